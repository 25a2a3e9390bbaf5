"""Frames through libpcap, where the kernel's ring can't be had or does not know the interface: a callback copies each into a block of ours.

libpcap gives one packet at a time to a C function. Here that function is a kernel: no packet meets Python. What it costs beside the ring is libpcap's
own loop and one copy; what it lacks is PACKET_FANOUT (one worker an interface) and a look at how full the kernel's buffer is.

Source: pcap(3PCAP) and the pages it names, of libpcap 1.10; struct pcap_pkthdr in pcap/pcap.h.
"""
from __future__ import annotations

import ctypes
import select
import time
from typing import Any

import numpy as np

from dpi.capture.address import lying_at
from dpi.capture.block import Block
from dpi.capture.bpf import NETMASK_UNKNOWN, SNAP, Program, library
from dpi.capture.frame import FRAME
from dpi.capture.link import LINK_TYPES, RAW
from dpi.capture.live import TALLY
from dpi.capture.octets import le32
from dpi.capture.packet_socket import RETIRE_MS, exists, trouble
from dpi.errors import UserError
from dpi.jit import BUILD, I64, entry, kernel, pointed, records, world, world_dtype

ROOM = 256                      # frames of a block at most
BYTES = ROOM * SNAP             # so that every block fits; pages are touched as far as frames reach
HEADER = 24                     # of pcap_pkthdr: two words of time, both lengths
DIRECTION_IN = 1                # PCAP_D_IN
DLT_RAW = 12                    # LINKTYPE_RAW in files
NO_DEVICE, DENIED, NOT_UP, PROMISC_DENIED = -5, -8, -9, -11     # PCAP_ERROR_*
AGAIN = 1.0                     # s between two tries to open what failed
LOOK = 0.25                     # s between two looks at what was dropped
_ERROR = 256                    # PCAP_ERRBUF_SIZE
_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)

#: The block that is being filled: frames and bytes in use, LINKTYPE and interface number of its frames.
FILLING = np.dtype((np.record, [("count", "i8"), ("used", "i8"), ("link", "i8"), ("interface", "i8")]))
ARRAYS = {"filling": FILLING, "frames": FRAME, "data": np.dtype("u1"), "tally": TALLY}
WORLD = world_dtype(tuple(ARRAYS))
filling_of, frames_of, data_of, tally_of = (pointed(name, kind) for name, kind in ARRAYS.items())
octets_at, worlds_at = lying_at(np.uint8), lying_at(WORLD)


@entry(I64, I64, I64)
def take(user: Any, header: Any, packet: Any) -> Any:
    """libpcap's handler, with addresses: the world of a Libpcap, a pcap_pkthdr, and the frame, of which as many bytes are there as the header says."""
    head = octets_at(header, np.int64(HEADER))
    return put(worlds_at(user, np.int64(1))[0], head, octets_at(packet, le32(head, 16)))


@kernel
def put(w: Any, head: Any, packet: Any) -> Any:
    """Append a frame to the block, 1; where there is no room it is counted as broken, 0. head uint8[HEADER]; packet uint8[captured]."""
    filling = filling_of(w)[0]
    frames, data, tally = frames_of(w), data_of(w), tally_of(w)[0]
    at = np.int64(filling.used)
    captured = np.int64(packet.size)
    if filling.count >= frames.size or captured > data.size - at:
        tally.broken += 1
        return 0
    for k in range(captured):
        data[at + k] = packet[k]
    frame = frames[filling.count]
    frame.offset = np.uint64(at)
    frame.time = (le32(head, 0) | (le32(head, 4) & 0x7FFFFFFF) << 32) * 1_000_000 + le32(head, 8)
    frame.captured = np.uint32(captured)
    frame.wire = np.uint32(max(le32(head, 20), captured))
    frame.link = np.uint16(filling.link)
    frame.interface = np.uint16(filling.interface)
    tally.number += 1
    frame.number = np.uint32(tally.number & 0xFFFFFFFF)
    filling.count += 1
    filling.used += captured
    return 1


class _Stats(ctypes.Structure):
    _fields_ = (("received", ctypes.c_uint), ("dropped", ctypes.c_uint), ("interface_dropped", ctypes.c_uint))


def bound() -> Any:
    """libpcap with its calls for reading declared. UserError where it is not installed."""
    pcap = library()
    text, handle, number = ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int
    for name, result, arguments in (
            ("create", handle, (text, text)), ("activate", number, (handle,)), ("set_snaplen", number, (handle, number)),
            ("set_promisc", number, (handle, number)), ("set_timeout", number, (handle, number)), ("set_buffer_size", number, (handle, number)),
            ("setnonblock", number, (handle, number, text)), ("setdirection", number, (handle, number)),
            ("setfilter", number, (handle, ctypes.POINTER(Program))), ("datalink", number, (handle,)), ("get_selectable_fd", number, (handle,)),
            ("dispatch", number, (handle, number, _HANDLER, ctypes.c_void_p)), ("stats", number, (handle, ctypes.POINTER(_Stats))),
            ("statustostr", text, (number,))):
        function = getattr(pcap, f"pcap_{name}")
        function.argtypes, function.restype = arguments, result
    return pcap


class Libpcap:
    """What Live is (dpi/capture/live.py), through libpcap: `next` hands out a block, which is good until the next is asked for."""

    def __init__(self, interface: str, *, ring_bytes: int, promiscuous: bool = True, words: str = "", number: int = 0) -> None:
        """words: a filter in tcpdump's language. number: FRAME.interface of its frames.

        UserError: no libpcap, no such interface, no permission, a link type that is not read, a filter that libpcap refuses."""
        self.interface = interface
        self.tallies = records(1, TALLY)
        self._pcap = bound()
        self._asked = min(ring_bytes, (1 << 31) - 1), promiscuous, words
        self._filling, self._frames, self._data = records(1, FILLING), records(ROOM, FRAME), np.empty(BYTES, np.uint8)
        self._filling[0].interface = number
        self._world = world(WORLD, {"filling": self._filling, "frames": self._frames, "data": self._data, "tally": self.tallies})
        # kept: libpcap holds nothing but its address
        self._handler = _HANDLER(lambda *given: take.py_func(*given) and None) if BUILD == "off" else _HANDLER(take.address())
        self._handle: Any = None
        self._poll: select.poll | None = None
        self._dropped = self._counted = 0           # in all, and what the handle said last
        self._looked = self._pressed = 0.0          # when drops were looked at, and when they had grown
        self._until = 0                             # us: later frames are not wanted; 0 all are
        self._ended = False
        self._why, self._tried = "", 0.0            # why it gives nothing, and when it was tried last
        self._open()

    # ---- the handle

    def _open(self) -> None:
        pcap, (buffer, promiscuous, words) = self._pcap, self._asked
        error = ctypes.create_string_buffer(_ERROR)
        handle = pcap.pcap_create(self.interface.encode(), error)
        if not handle:
            raise UserError(_words(error.value), self.interface, "see the names with: ip link")
        try:
            for name, value in (("snaplen", SNAP), ("promisc", int(promiscuous)), ("timeout", RETIRE_MS), ("buffer_size", buffer)):
                getattr(pcap, f"pcap_set_{name}")(handle, value)
            status = pcap.pcap_activate(handle)
            if status < 0:
                raise self._refused(handle, status)
            link = int(pcap.pcap_datalink(handle))
            link = RAW if link == DLT_RAW else link
            if link not in LINK_TYPES:
                raise UserError(f"frames of link type {link} are not read", self.interface, "name another interface")
            if words.strip():
                self._filter(handle, words)
            pcap.pcap_setdirection(handle, DIRECTION_IN)        # where it can't be told, both come: they are both on the wire
            if pcap.pcap_setnonblock(handle, 1, error):
                raise UserError(_words(error.value), self.interface, "see `fullspan doctor`")
            descriptor = pcap.pcap_get_selectable_fd(handle)
        except UserError:
            pcap.pcap_close(handle)
            raise
        self._poll = select.poll() if descriptor >= 0 else None
        if self._poll is not None:
            self._poll.register(descriptor, select.POLLIN | select.POLLERR)
        self._handle, self._counted, self._why = handle, 0, ""
        self._filling[0].link = link

    def _refused(self, handle: Any, status: int) -> UserError:
        said = _words(self._pcap.pcap_geterr(handle)) or _words(self._pcap.pcap_statustostr(status))
        if status in (DENIED, PROMISC_DENIED):
            return UserError("packets may not be read", self.interface, "run as root, or give the process CAP_NET_RAW")
        if status == NO_DEVICE:
            return UserError("there is no such interface", self.interface, "see the names with: ip link")
        if status == NOT_UP:
            return UserError("is down", self.interface, f"ip link set {self.interface} up")
        return UserError(said, self.interface, "see `fullspan doctor`")

    def _filter(self, handle: Any, words: str) -> None:
        program = Program()
        failed = self._pcap.pcap_compile(handle, ctypes.byref(program), words.encode("utf-8", "surrogateescape"), 1, NETMASK_UNKNOWN)
        if not failed:
            failed = self._pcap.pcap_setfilter(handle, ctypes.byref(program))
            self._pcap.pcap_freecode(ctypes.byref(program))
        if failed:
            raise UserError(_words(self._pcap.pcap_geterr(handle)), "[probe] filter", "write it as for tcpdump, such as 'not port 22'; see man pcap-filter")

    def _lose(self, why: str) -> None:
        """The handle is of no more use; another one is tried for by and by."""
        self._look()
        self._pcap.pcap_close(self._handle)
        self._handle, self._poll, self._why, self._tried = None, None, why, time.monotonic()

    def _again(self) -> bool:
        if time.monotonic() - self._tried < AGAIN:
            return False
        self._tried = time.monotonic()
        try:
            self._open()
        except UserError as error:
            self._why = error.what
            return False
        return True

    # ---- as Live

    @property
    def link(self) -> int:
        """LINKTYPE of its frames."""
        return int(self._filling[0].link)

    def filter(self, program: Any, words: str) -> None:
        """Only frames that match from now on; program: not wanted, libpcap assembles its own."""
        self._asked = *self._asked[:2], words
        if self._handle is not None:
            self._filter(self._handle, words)

    def next(self, timeout: float) -> Block | None:
        """The next block of frames, None where none came within `timeout` seconds."""
        if self._ended or (self._handle is None and not self._again()):
            time.sleep(0 if self._ended else timeout)
            return None
        until = time.monotonic() + timeout
        # after `detach` as well: the kernel hands over a block that is not full only after RETIRE_MS
        while (got := self._dispatch()) == 0 and (left := until - time.monotonic()) > 0:
            self._wait(left)
        if got < 0:
            self._lose(_words(self._pcap.pcap_geterr(self._handle)) or "gives an error")
        count = self._wanted(int(self._filling[0].count))
        self._ended = self._ended or bool(self._until) and got <= 0
        return Block(self._data, self._frames, count, int(self.tallies[0].number) - count + 1) if count else None

    def _wait(self, seconds: float) -> None:
        """Until something may have come."""
        if self._poll is None:
            time.sleep(min(seconds, 0.01))
        elif any(event & select.POLLERR for _, event in self._poll.poll(seconds * 1000)):
            time.sleep(min(seconds, 0.05))

    def _dispatch(self) -> int:
        self._filling[0].count = self._filling[0].used = 0
        return int(self._pcap.pcap_dispatch(self._handle, ROOM, self._handler, self._world.ctypes.data))

    def _wanted(self, count: int) -> int:
        """Of the frames that came, those of before the end."""
        if not self._until or not count:
            return count
        late = np.flatnonzero(self._frames.view(np.ndarray)["time"][:count] > self._until)
        if len(late):
            self._ended = True
            self.tallies[0].number -= count - int(late[0])
            count = int(late[0])
        return count

    def release(self) -> None:
        """Nothing is to be given back: the block is ours."""

    def detach(self) -> None:
        """Frames from now on are not wanted; what libpcap has is."""
        self._until = time.time_ns() // 1000

    def _look(self) -> None:
        """Add what was dropped since the last look."""
        stats = _Stats()
        if self._handle is None or self._pcap.pcap_stats(self._handle, ctypes.byref(stats)):
            return
        fresh = (stats.dropped - self._counted) & 0xFFFFFFFF
        self._counted, self._dropped = stats.dropped, self._dropped + fresh
        self._looked = time.monotonic()
        if fresh:
            self._pressed = self._looked

    @property
    def drops(self) -> int:
        """Frames that the kernel dropped because its buffer was full."""
        self._look()
        return self._dropped

    @property
    def full(self) -> float:
        """1 within a second of a drop, else 0: libpcap does not say how much waits."""
        if time.monotonic() - self._looked > LOOK:
            self._look()
        return 1.0 if self._pressed and time.monotonic() - self._pressed < 1 else 0.0

    @property
    def trouble(self) -> str:
        """Why it gives nothing, '' where it could."""
        return self._why or (trouble(self.interface) if exists(self.interface) else "")

    @property
    def packets(self) -> int:
        """Frames handed out."""
        return int(self.tallies[0].number)

    def close(self) -> None:
        """Close the handle."""
        if self._handle is not None:
            self._pcap.pcap_close(self._handle)
            self._handle = None


def _words(said: bytes | None) -> str:
    """libpcap's words on one line."""
    return " ".join((said or b"").decode("utf-8", "replace").split())
