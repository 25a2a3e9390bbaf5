"""The packet ring on disk: what a worker has decoded is kept for a while, its headers only, unless a case opens content (dpi/capture/cases.py).

A kernel gathers the records of a batch into a buffer as the decoder leaves it: each frame up to its layer-4 payload, which is nowhere copied. A thread
of the ring writes buffers to segments (dpi/capture/segments.py), one write each. While it writes, the worker fills the next; where the disk is so slow that all
are full, or takes no more, packets are not kept and counted, and reading goes on. Frames in no flow are not kept.

Records are those of pcap (draft-ietf-opsawg-pcap section 5), little-endian, microseconds: the times of the packet clock, as in the flows' rows.
"""
from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from dpi.capture.bpf import INSTRUCTION, MEMORY
from dpi.capture.cases import CASE, PREFIX, Case, Tables, case_of
from dpi.capture.frame import PACKET
from dpi.capture.segments import Segments
from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.jit import I64, entry, kernel, pointed, records, world, world_dtype

RECORD = 16                     # bytes of a record's header
SIZE = 2 << 20                  # bytes of a buffer; a block of the kernel's ring (1 MB) never becomes more than itself
BUFFERS = 4                     # of each worker
PORTS = 8                       # bytes that are kept of a transport header that could not be read
_CLOSING = 2_000_000            # us after a case's end in which packets of its time may still come
_TICK = 1.0                     # s between two looks at the clock
_LAST_WORDS = 10.0              # s that the disk has for what is left at the end
_U1, _I8 = np.dtype("u1"), np.dtype("i8")
log = logging.getLogger("dpi.ring")

#: The buffer in use is bytes [begin, end); records lie before `at`. Times in us. lost: no room; opened: kept whole for a case.
KEEP = np.dtype((np.record, [("begin", "i8"), ("end", "i8"), ("at", "i8"), ("packets", "i8"), ("first", "i8"), ("last", "i8"),
                             ("most", "i8"), ("prefixes", "i8"), ("lost", "i8"), ("opened", "i8")]))
OWN = {"keep": KEEP, "buffer": _U1, "cases": CASE, "prefixes": PREFIX, "instructions": INSTRUCTION, "memory": _I8}
RING = world_dtype(tuple(OWN))
keep_of, buffer_of, cases_of, prefixes_of, instructions_of, memory_of = (pointed(name, kind) for name, kind in OWN.items())
#: For a world of the engine: RING[1], or none where packets are not kept.
ARRAYS = {"ring": RING}
ring_of = pointed("ring", RING)


@kernel
def headers(p: Any, most: Any) -> Any:
    """Bytes of a decoded packet's frame before its layer-4 payload, `most` at most. Of a transport header that can't be read the first PORTS are kept;
    what lies behind the IP packet (padding) never is."""
    end = np.int64(p.payload_at)
    if p.mangled:
        end = min(end, np.int64(p.l4_at) + PORTS)
    return min(end, np.int64(p.ip_at) + np.int64(p.ip_bytes), np.int64(p.captured), most)


@kernel
def put32(buffer: Any, at: Any, value: Any) -> Any:
    """Write 32 bits in the order of little-endian writers."""
    for i in range(4):
        buffer[at + i] = np.uint8((value >> (8 * i)) & 0xFF)
    return 0


@kernel
def record(buffer: Any, at: Any, data: Any, p: Any, size: Any) -> Any:
    """Write the first `size` bytes of a packet's frame as a record; where the next one goes."""
    time = np.int64(p.time)
    put32(buffer, at, time // 1_000_000)
    put32(buffer, at + 4, time % 1_000_000)
    put32(buffer, at + 8, size)
    put32(buffer, at + 12, max(np.int64(p.wire), np.int64(p.captured)))
    source = np.int64(p.offset)
    at += RECORD
    for i in range(size):
        buffer[at + i] = data[source + i]
    return at + size


@entry(_U1, PACKET, I64, RING)
def keep(data: Any, packets: Any, many: Any, rings: Any) -> Any:
    """Append records of packets[:many], decoded from data uint8[n], to the buffer in use."""
    r = rings[0]
    state = keep_of(r)[0]
    buffer = buffer_of(r)
    at = np.int64(state.at)
    end = np.int64(state.end)
    for i in range(many):
        p = packets[np.uint64(i)]
        if p.status != 0:
            continue
        size = headers(p, np.int64(state.most))
        case = np.int64(0)
        if state.prefixes and size < np.int64(p.captured):
            case = case_of(data, p, cases_of(r), prefixes_of(r), np.int64(state.prefixes), instructions_of(r), memory_of(r))
            if case:
                size = np.int64(p.captured)
        if size < 0 or at + RECORD + size > end:
            state.lost += 1
            continue
        at = record(buffer, at, data, p, size)
        if state.packets == 0 or p.time < state.first:
            state.first = p.time
        if state.packets == 0 or p.time > state.last:
            state.last = p.time
        state.packets += 1
        if case:
            state.opened += 1
            cases_of(r)[np.uint64(case - 1)].packets += 1
    state.at = at
    return 0


@dataclass(frozen=True)
class _Piece:
    """A buffer that is to be written."""
    keeper: Keeper
    number: int
    used: int
    packets: int
    first: int
    last: int


class Keeper:
    """What one worker keeps. Its thread calls all but the figures."""

    def __init__(self, ring: Ring, interface: str, worker: int, link: int, most: int) -> None:
        """most: bytes of a frame that are kept where no case opens it."""
        self.interface, self.worker, self.link = interface, worker, link
        self.kept = self.unwritten = 0          # packets on disk, and those that the disk did not take
        self._handed = self._written = 0        # buffers given to the writer (by the worker), and given back (by the writer)
        self.tables = Tables((), link)
        self.next_tables: Tables | None = None  # to be adopted between two blocks
        self._ring = ring
        self._opened: dict[Case, int] = {}      # packets, by cases of earlier tables
        self._free: deque[int] = deque(range(1, BUFFERS))
        self._number = 0
        self.buffer = np.zeros(BUFFERS * SIZE, np.uint8)
        self._rows = records(1, KEEP)
        self._state = self._rows.view(np.ndarray)[0]
        self._state["most"] = most
        self._memory = np.zeros(MEMORY, np.int64)
        self.world = world(RING, self._arrays())
        self._begin(0)

    def _arrays(self) -> dict[str, Any]:
        return {"keep": self._rows, "buffer": self.buffer, "cases": self.tables.rows, "prefixes": self.tables.prefixes,
                "instructions": self.tables.instructions, "memory": self._memory}

    def _begin(self, number: int) -> None:
        self._number = number
        state = self._state
        state["begin"] = state["at"] = number * SIZE
        state["end"] = (number + 1) * SIZE
        state["packets"] = 0

    @property
    def lost(self) -> int:
        """Packets that were not kept."""
        return int(self._state["lost"]) + self.unwritten

    @property
    def opened(self) -> int:
        """Packets kept whole for a case."""
        return int(self._state["opened"])

    def opened_for(self, case: Case) -> int:
        """Packets kept whole for this case."""
        return self._opened.get(case, 0) + self.tables.opened().get(case, 0)

    def adopt(self) -> None:
        """Open content for other cases from now on, where there are others."""
        if self.next_tables is None:
            return
        for case, packets in self.tables.opened().items():
            self._opened[case] = self._opened.get(case, 0) + packets
        self.tables, self.next_tables = self.next_tables, None
        fresh = world(RING, self._arrays())
        self.world.view(np.ndarray)[:] = fresh.view(np.ndarray)      # in place: the engine's worlds have its address
        self._state["prefixes"] = self.tables.count

    def hand_over(self, last: bool = False) -> None:
        """Give the writer what was gathered, where it has time for it or the buffer is half full, and another buffer is free. last: nothing more will come."""
        state = self._state
        used = int(state["at"] - state["begin"])
        if not used or not last and (not self._free or self._handed != self._written and used < SIZE // 2):
            return
        piece = _Piece(self, self._number, used, int(state["packets"]), int(state["first"]), int(state["last"]))
        self._handed += 1
        if self._free:
            self._begin(self._free.popleft())
        else:
            state["begin"] = state["at"] = state["end"]     # all buffers are with the writer
        self._ring.put(piece)

    def done(self, piece: _Piece, why: str) -> None:
        """The writer has written a piece, or not."""
        if why:
            self.unwritten += piece.packets
        else:
            self.kept += piece.packets
        self._free.append(piece.number)
        self._written += 1


class Ring:
    """The ring of a probe: its files, the thread that writes them, and the cases that open content."""

    def __init__(self, segments: Segments, most: int) -> None:
        self.segments, self.trouble = segments, ""       #: why the disk does not take packets, '' where it does
        self.cases: tuple[Case, ...] = ()
        self.keepers: list[Keeper] = []
        self._most = most
        self._known: list[Case] = []            # told as opened, and not yet as closed
        self._unkept = 0                        # packets, when trouble began
        self._pieces: deque[_Piece] = deque()
        self._turn = threading.Condition()
        self._cases = threading.Lock()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="packet ring", daemon=True)

    def keeper(self, interface: str, worker: int, link: int) -> Keeper:
        """What a worker's packets are given to."""
        made = Keeper(self, interface, worker, link, self._most)
        self.keepers.append(made)
        return made

    def start(self) -> None:
        """Write from now on."""
        self._thread.start()

    def tables(self, cases: Sequence[Case]) -> list[Tables]:
        """The cases for each keeper. UserError: a filter that libpcap refuses."""
        return [Tables(cases, keeper.link) for keeper in self.keepers]

    def open(self, cases: Sequence[Case]) -> None:
        """Content is opened for these cases and no others. UserError: a filter that libpcap refuses, or the opening can't be put on record; then nothing
        changes."""
        tables = self.tables(cases)
        with self._cases:
            for case in cases:
                if case not in self._known:
                    self._note("opened", case)
                    self._known.append(case)
            self.cases = tuple(cases)
            for keeper, one in zip(self.keepers, tables, strict=True):
                keeper.next_tables = one

    @property
    def running(self) -> int:
        """Cases that open content now."""
        now = time.time_ns() // 1000
        return sum(case.until > now for case in self.cases)

    def put(self, piece: _Piece) -> None:
        """Have a piece written."""
        with self._turn:
            self._pieces.append(piece)
            self._turn.notify()

    def close(self) -> None:
        """Write what is left; the workers have ended. What the disk does not take in time is lost."""
        for keeper in self.keepers:
            keeper.hand_over(last=True)
        if self._thread.is_alive():
            with self._turn:
                self._ending = True
                self._turn.notify()
            self._thread.join(_LAST_WORDS)
            if self._thread.is_alive():
                log.error("packets are lost: the disk does not answer", extra={"directory": str(self.segments.directory)})
                return
        with self._cases:
            for case in self._known:
                self._note("closed", case, "the probe ended")
        self.segments.close()

    # ---- the thread

    def _run(self) -> None:
        looked = 0.0
        while True:
            with self._turn:
                if not self._pieces and not self._ending:
                    self._turn.wait(_TICK)
                piece = self._pieces.popleft() if self._pieces else None
                if piece is None and self._ending:
                    return
            if piece is not None:
                self._write(piece)
            if time.monotonic() - looked >= _TICK:
                looked = time.monotonic()
                try:
                    self.segments.expire(time.time_ns() // 1000)
                    self._close_cases()
                except Exception:       # as in _write: a disk that fails must not end this thread
                    log.exception("the packet ring can't be kept in order")

    def _write(self, piece: _Piece) -> None:
        keeper = piece.keeper
        begin = piece.number * SIZE
        try:
            why = self.segments.append(keeper.interface, keeper.worker, keeper.link, keeper.buffer[begin:begin + piece.used], piece.first, piece.last)
        except Exception as error:          # a fault of ours must not end the reading of packets, nor pass in silence
            log.exception("packets are not kept")
            why = repr(error)
        keeper.done(piece, why)
        if why and not self.trouble:
            self._unkept = sum(one.unwritten for one in self.keepers) - piece.packets
            log.warning("packets are not kept", extra={"directory": str(self.segments.directory), "reason": why})
        elif self.trouble and not why:
            log.info("packets are kept again", extra={"missing": sum(one.unwritten for one in self.keepers) - self._unkept})
        self.trouble = why

    # ---- cases

    def _close_cases(self) -> None:
        """Tell of the cases that are over or were taken out, once no worker opens content for them any longer."""
        now = time.time_ns() // 1000
        with self._cases:
            if any(keeper.next_tables is not None for keeper in self.keepers):
                return
            for case in [case for case in self._known if case not in self.cases or now >= case.until + _CLOSING]:
                self._note("closed", case, "its time is over" if now >= case.until else "it was taken out of the file")
                self._known.remove(case)
                self.cases = tuple(other for other in self.cases if other != case)

    def _note(self, event: str, case: Case, why: str = "") -> None:
        """A line in openings.jsonl, on disk before anything is opened, and one in the log. UserError: it can't be written (of an opening)."""
        words = {**case.words, **({"why": why, "packets": sum(keeper.opened_for(case) for keeper in self.keepers)} if why else {})}
        path = self.segments.directory / "openings.jsonl"
        line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": event, **words}, ensure_ascii=False) + "\n"
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(file, line.encode())
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            if event == "opened":
                raise UserError(f"content is not opened, because the opening can't be put on record: {error.strerror}", str(path), "make room for it") from None
            log.error("the end of a case is not on record", extra={"case": case.number, "reason": error.strerror})
        log.warning(f"content is {event}", extra=words)
