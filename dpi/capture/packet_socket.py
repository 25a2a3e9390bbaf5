"""An AF_PACKET socket with a TPACKET_V3 ring: what the kernel's headers say, as calls of Python.

Source: include/uapi/linux/if_packet.h, Documentation/networking/packet_mmap.rst.
"""
from __future__ import annotations

import ctypes
import fcntl
import mmap
import socket
import struct
from pathlib import Path
from typing import Any

from dpi.errors import UserError

SOL_PACKET = 263
ADD_MEMBERSHIP, RX_RING, STATISTICS, VERSION, RESERVE, FANOUT, IGNORE_OUTGOING = 1, 5, 6, 10, 12, 18, 23
PROMISCUOUS, TPACKET_V3, FANOUT_HASH = 1, 2, 0
SO_ATTACH_FILTER = 26
EVERY_PROTOCOL = 0x0003         # ETH_P_ALL
BLOCK = 1 << 20                 # bytes of a block of the ring
RETIRE_MS = 60                  # a block that is not full is handed over after this long
HEADROOM = 16                   # bytes before each frame, where a VLAN tag finds room (and the frame stays aligned)
SIOCGIFFLAGS, SIOCGIFHWADDR = 0x8913, 0x8927
UP, RUNNING = 0x1, 0x40
EVERYTHING = struct.pack("HBBI", 6, 0, 0, 0xFFFFFFFF)       # a filter's program: return the whole packet
NOTHING = struct.pack("HBBI", 6, 0, 0, 0)       # a filter's program: return 0
#: ARPHRD_* of an interface -> LINKTYPE of what the socket gives
LINKS = {1: 1, 772: 1, 65534: 101, 768: 101, 776: 101, 778: 101}


class PacketSocket:
    """One ring on one interface. Needs CAP_NET_RAW. The ring belongs to the kernel where a block's status says so, else to us."""

    def __init__(self, interface: str, ring_bytes: int, promiscuous: bool = True, fanout: int | None = None, program: Any = None) -> None:
        """program: recarray INSTRUCTION[n] that the kernel runs on each frame (dpi.capture.bpf.assemble). fanout: number of a group of sockets that
        share the interface's packets by the hash of their conversation. UserError: no such interface, no permission, no memory."""
        self.interface, self.blocks = interface, max(ring_bytes // BLOCK, 2)
        self.link = link_of(interface)
        self._packets = self._drops = self._freezes = 0
        try:
            index = socket.if_nametoindex(interface)
            # protocol 0: nothing is queued before filter and ring are in place
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError:
            raise UserError("packets may not be read", interface, "run as root, or give the process CAP_NET_RAW") from None
        except OSError as error:
            raise UserError(f"cannot be read: {error.strerror}", interface, "see the names with: ip link") from None
        try:
            self.socket.setsockopt(SOL_PACKET, VERSION, TPACKET_V3)
            self.socket.setsockopt(SOL_PACKET, RESERVE, HEADROOM)
            self.socket.setsockopt(SOL_PACKET, IGNORE_OUTGOING, 1)
            frame = 2048                # of no meaning in version 3 but that a block is a whole number of them
            self.socket.setsockopt(SOL_PACKET, RX_RING, struct.pack("7I", BLOCK, self.blocks, frame, BLOCK // frame * self.blocks, RETIRE_MS, 0, 0))
            self.ring = mmap.mmap(self.socket.fileno(), BLOCK * self.blocks, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
            if program is not None:
                self._attach(program.tobytes())
            self.socket.bind((interface, EVERY_PROTOCOL))
            if promiscuous:
                self.socket.setsockopt(SOL_PACKET, ADD_MEMBERSHIP, struct.pack("iHH8s", index, PROMISCUOUS, 0, b""))
            if fanout is not None:
                self.socket.setsockopt(SOL_PACKET, FANOUT, fanout & 0xFFFF | FANOUT_HASH << 16)
        except OSError as error:
            self.socket.close()
            raise UserError(f"cannot be captured: {error.strerror}", interface, "see `fullspan doctor`; a smaller [probe] ring_mb needs less memory") from None
        self.statistics()               # what came before the ring was bound does not count

    def _attach(self, program: bytes) -> None:
        raw = ctypes.create_string_buffer(program)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(raw)))

    def filter(self, program: Any) -> None:
        """Take frames by another program from now on, None for all; what is in the ring stays, and no frame is missed between the two."""
        self._attach(EVERYTHING if program is None else program.tobytes())

    def statistics(self) -> tuple[int, int, int]:
        """Since the ring was bound: packets for this socket, those dropped ones among them; the drops; how often the queue was frozen."""
        packets, drops, freezes = struct.unpack("3I", self.socket.getsockopt(SOL_PACKET, STATISTICS, 12))
        self._packets, self._drops, self._freezes = self._packets + packets, self._drops + drops, self._freezes + freezes
        return self._packets, self._drops, self._freezes

    def error(self) -> int:
        """The error that waits on the socket, 0 none; it is told once."""
        return self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def detach(self) -> None:
        """No further packet comes; what is in the ring stays. (A socket of a fanout group can't be unbound, a filter that takes nothing can be set.)"""
        self._attach(NOTHING)

    def close(self) -> None:
        """Give the ring back. Arrays over it must be gone."""
        self.ring.close()
        self.socket.close()


def exists(interface: str) -> bool:
    """Whether there is an interface of that name."""
    return _ask(interface, SIOCGIFHWADDR) is not None


def kind_of(interface: str) -> int:
    """ARPHRD_* of an interface. UserError: there is none of that name."""
    kind = _ask(interface, SIOCGIFHWADDR)
    if kind is None:
        raise UserError("there is no such interface", interface, "see the names with: ip link")
    return kind


def link_of(interface: str) -> int:
    """LINKTYPE of an interface's frames. UserError: there is none of that name, or it is of a kind that is not read."""
    kind = kind_of(interface)
    if kind not in LINKS:
        raise UserError(f"interfaces of this kind (ARPHRD {kind}) are not read", interface, "name an Ethernet interface, or a tunnel that carries IP")
    return LINKS[kind]


def ring_missing() -> str:
    """Why this kernel has no rings as they are wanted here, '' where it has. Without permission to ask, it is taken to have them."""
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as asked:
            asked.setsockopt(SOL_PACKET, VERSION, TPACKET_V3)
            asked.setsockopt(SOL_PACKET, IGNORE_OUTGOING, 1)
    except PermissionError:
        return ""
    except (OSError, AttributeError) as error:
        return f"the kernel has no ring (TPACKET_V3): {error}"
    return ""


def trouble(interface: str) -> str:
    """Why an interface gives nothing: it is gone, down or without a carrier; '' where it could."""
    flags = _ask(interface, SIOCGIFFLAGS)
    return "is gone" if flags is None else "is down" if not flags & UP else "has no carrier" if not flags & RUNNING else ""


def _ask(interface: str, what: int) -> int | None:
    """The first 16 bits that the kernel tells of an interface; None where there is none of that name."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            return int(struct.unpack_from("H", fcntl.ioctl(asked, what, struct.pack("16s24x", interface.encode())), 16)[0])
    except (OSError, struct.error):
        return None


def card_drops(interface: str) -> int:
    """Frames that the card or its driver has dropped since it came up: sysfs rx_dropped is the stack's own and not among them."""
    total = 0
    for name in ("rx_missed_errors", "rx_fifo_errors", "rx_over_errors"):
        try:
            total += int(Path(f"/sys/class/net/{interface}/statistics/{name}").read_text())
        except (OSError, ValueError):
            continue
    return total


def queue_drops() -> int:
    """Packets that the kernel dropped before any socket saw them, of all interfaces and processors: its input queues were full."""
    try:
        return sum(int(line.split()[1], 16) for line in Path("/proc/net/softnet_stat").read_text().splitlines())
    except (OSError, ValueError, IndexError):
        return 0
