"""Frames of an interface, where the kernel wrote them: blocks of a TPACKET_V3 ring become Blocks of the engine without a copy.

Source: Documentation/networking/packet_mmap.rst; struct tpacket_block_desc and tpacket3_hdr in include/uapi/linux/if_packet.h.
"""
from __future__ import annotations

import select
import time
from typing import Any

import numpy as np

from dpi.capture.block import Block
from dpi.capture.frame import FRAME
from dpi.capture.octets import le16, le32
from dpi.capture.packet_socket import BLOCK, PacketSocket, trouble
from dpi.jit import I64, entry, kernel, records

USER = 1                    # of a block's status: it is ours until 0 is written there
VLAN_VALID, TPID_VALID = 0x10, 0x40
SMALLEST = 96               # bytes a frame takes in a block at least: its header of 48, the headroom, the Ethernet header, aligned
ROOM = BLOCK // SMALLEST    # frames of a block at most
_U1 = np.dtype("u1")

#: What a walk of one block counts.
TALLY = np.dtype((np.record, [("number", "i8"), ("tagged", "i8"), ("broken", "i8")]))


@entry(_U1, I64, I64, FRAME, I64, I64, TALLY)
def walk_ring(ring: Any, at: Any, size: Any, frames: Any, link: Any, interface: Any, tallies: Any) -> Any:
    """Fill frames from the block at ring[at : at + size]; how many. VLAN tags that the card took off are put back, in the ring.

    The kernel wrote what is read here; offsets are checked all the same, and a frame that would lie outside its block ends the walk (broken).
    """
    tally = tallies[0]
    end = at + size
    many = le32(ring, at + 12)
    header = at + le32(ring, at + 16)
    count = np.int64(0)
    for _ in range(many):
        if count >= frames.size or header < at or header + 48 > end:
            tally.broken += 1
            break
        captured = le32(ring, header + 12)
        wire = le32(ring, header + 16)
        start = header + le16(ring, header + 24)
        if start < header + 48 or start + captured > end:
            tally.broken += 1
            break
        if le32(ring, header + 20) & VLAN_VALID and link == 1 and captured >= 12 and start - 4 >= header + 48:
            tag_back(ring, start, header)
            tally.tagged += 1
            start -= 4
            captured += 4
            wire += 4
        frame = frames[count]
        frame.offset = np.uint64(start)
        frame.time = le32(ring, header + 4) * 1_000_000 + le32(ring, header + 8) // 1000
        frame.captured = np.uint32(captured)
        frame.wire = np.uint32(wire)
        frame.link = np.uint16(link)
        frame.interface = np.uint16(interface)
        tally.number += 1
        frame.number = np.uint32(tally.number & 0xFFFFFFFF)
        count += 1
        step = le32(ring, header)
        if step == 0:
            break
        header += step
    return count


@kernel
def tag_back(ring: Any, start: Any, header: Any) -> Any:
    """Move both MAC addresses four bytes to the front and write the tag between them and the type (IEEE 802.1Q-2018 section 9.3)."""
    for i in range(12):
        ring[start - 4 + i] = ring[start + i]
    kind = le16(ring, header + 36) if le32(ring, header + 20) & TPID_VALID else np.int64(0x8100)
    tag = le32(ring, header + 32) & 0xFFFF
    ring[start + 8] = np.uint8(kind >> 8)
    ring[start + 9] = np.uint8(kind & 0xFF)
    ring[start + 10] = np.uint8(tag >> 8)
    ring[start + 11] = np.uint8(tag & 0xFF)
    return 0


class Live:
    """The blocks of one ring, in the kernel's order. `next` hands out one; it must be given back with `release` before the next is asked for."""

    def __init__(self, interface: str, *, ring_bytes: int, promiscuous: bool = True, fanout: int | None = None, program: Any = None, number: int = 0) -> None:
        """number: FRAME.interface of its frames. The rest as for PacketSocket."""
        self.interface, self._number = interface, number
        self.socket = PacketSocket(interface, ring_bytes, promiscuous, fanout, program)
        self._ring: np.ndarray[Any, Any] = np.frombuffer(self.socket.ring, np.uint8)
        self._status: np.ndarray[Any, Any] = self._ring.view(np.uint32)[2::BLOCK // 4]        # of each block
        self._at = 0
        self._frames = records(ROOM, FRAME)
        self.tallies = records(1, TALLY)
        self._poll = select.poll()
        self._poll.register(self.socket.socket.fileno(), select.POLLIN | select.POLLERR)

    def next(self, timeout: float) -> Block | None:
        """The next block of frames, None where the kernel has finished none within `timeout` seconds."""
        if not self._status[self._at] & USER:
            if any(event & select.POLLERR for _, event in self._poll.poll(timeout * 1000)) and not self._status[self._at] & USER:
                # the interface went down: the socket stays bound to it, and reads again once it is up
                self.socket.error()
                time.sleep(timeout)
            if not self._status[self._at] & USER:
                return None
        first = int(self.tallies[0].number) + 1
        count = walk_ring(self._ring, self._at * BLOCK, BLOCK, self._frames, self.socket.link, self._number, self.tallies)
        return Block(self._ring, self._frames, count, first)

    def release(self) -> None:
        """Give the block back to the kernel."""
        self._status[self._at] = 0
        self._at = (self._at + 1) % self.socket.blocks

    @property
    def link(self) -> int:
        """LINKTYPE of its frames."""
        return self.socket.link

    def filter(self, program: Any, words: str) -> None:
        """Only frames that match from now on. program: the filter `words`, assembled; None for all frames."""
        self.socket.filter(program)

    def detach(self) -> None:
        """No further frame comes; what is in the ring stays."""
        self.socket.detach()

    @property
    def drops(self) -> int:
        """Frames that found the ring full."""
        return self.socket.statistics()[1]

    @property
    def trouble(self) -> str:
        """Why the interface gives nothing, '' where it could."""
        return trouble(self.interface)

    @property
    def full(self) -> float:
        """The part of the ring that waits to be read."""
        return float(np.count_nonzero(self._status & USER)) / self.socket.blocks

    @property
    def packets(self) -> int:
        """Frames handed out."""
        return int(self.tallies[0].number)

    def close(self) -> None:
        """Give the ring back."""
        self._ring, self._status = np.empty(0, np.uint8), np.empty(0, np.uint32)
        self.socket.close()
