"""One capture, read from its first packet to its last or to the damage."""
from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import stat
import threading
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np

from dpi import jit
from dpi.capture.block import BAD_LENGTH, END, FULL, MORE, NEED, NO_INTERFACE, POSITION, START, STATUS, TOO_LONG, Block, Walker
from dpi.capture.compressed import Feed, Source, compression, opened
from dpi.capture.frame import FRAME
from dpi.capture.inputs import KNOWN, STANDARD_INPUT, Input, capture_format, shown
from dpi.capture.pcap import FILE_HEADER, Pcap
from dpi.capture.pcapng import Pcapng
from dpi.errors import UserError

BUFFER = 8 << 20        # a record that straddles two fills must find room: twice pcapng.LARGEST_BLOCK
FILL = 1 << 20          # bytes read at a time, few enough to be in the processor's cache when they are walked
_PIECE = 1 << 20        # hashed at a time


class Trace:
    """A capture being read. `blocks` can be gone through once.

    A plain file is mapped; everything else (gzip, zstd, pipes, standard input) passes through one buffer of 8 MB.
    """

    def __init__(self, one: Input) -> None:
        self.path = one.name                #: where it is, as text to show and keep
        self.name = os.path.basename(one.name) or one.name
        self.size = one.size                #: stored bytes, 0 where unknown
        self.modified_time = 0              #: of the stored file, us; 0 where there is none
        self.packets = 0                    #: handed out so far
        self.damage = ""                    #: one sentence, '' where all is well so far
        self.finished = False               #: the end, or the damage, was reached
        self._sha256 = ""
        self._hasher: threading.Thread | None = None
        self._closed = False
        self._file, self._owned = _open(one)
        self._map: mmap.mmap | None = None
        self._source: Source | None = None
        self._feed: Feed | None = None
        self._walker: Walker | None = None
        self._data: np.ndarray[Any, np.dtype[np.uint8]] = np.empty(0, np.uint8)
        self._end = 0
        self._before = 0                    # stream bytes that have left the buffer
        try:
            about = os.fstat(self._file.fileno()) if self._owned else None
            self._stored = about is not None and stat.S_ISREG(about.st_mode)
            if about is not None and self._stored:
                self.size, self.modified_time = about.st_size, about.st_mtime_ns // 1000
            if self._stored and not compression(os.pread(self._file.fileno(), 4, 0)):
                self._map_file(one)
            else:
                self._stream_file(one)
            self._begin(one)
        except OSError as error:
            self.close()
            raise UserError(f"cannot be read: {error.strerror or error}", one.name, "check the file and its disk") from None
        except BaseException:
            self.close()
            raise

    # ------------------------------------------------------------ opening

    def _map_file(self, one: Input) -> None:
        if not self.size:
            raise UserError("is empty", one.name, f"give a capture: {KNOWN}")
        self._map = mmap.mmap(self._file.fileno(), self.size, access=mmap.ACCESS_READ)
        self._map.madvise(mmap.MADV_SEQUENTIAL)
        self._data = np.frombuffer(self._map, np.uint8)
        self._end = self.size

    def _stream_file(self, one: Input) -> None:
        self._feed = Feed(self._file, hashed=not self._stored)
        self._source = opened(self._feed)
        self._data = np.empty(BUFFER, np.uint8)
        self._view = self._data.data
        self._fill(FILE_HEADER)

    def _begin(self, one: Input) -> None:
        """Read the file's own headers, so that link types are known before the first block."""
        head = self._data[:min(self._end, FILE_HEADER)].tobytes()
        kind = capture_format(head)
        if not kind:
            why = "is empty" if not head and not self._source_damage() else self._source_damage() or "is no capture"
            raise UserError(why, one.name, f"give a capture: {KNOWN}")
        if kind == "pcap" and len(head) < FILE_HEADER:
            self._stop(self._source_damage() or f"cut in the file header: {FILE_HEADER - len(head)} bytes missing")
            return
        self._walker = Pcap(head) if kind == "pcap" else Pcapng()
        self._walker.words[END] = self._end
        none = jit.records(1, FRAME)
        while not self._walker.walk(self._data, none, 0) and self._walker.words[STATUS] == MORE and self._refill():
            pass

    def _source_damage(self) -> str:
        return self._source.damage if self._source is not None else ""

    # ------------------------------------------------------------ what is known

    @property
    def position(self) -> int:
        """Stored bytes consumed so far."""
        if self._source is not None:
            return self._source.position
        return min(self._walker.words[POSITION], self.size) if self._walker is not None else self.size

    @property
    def link_types(self) -> set[int]:
        """LINKTYPE numbers declared so far (pcapng declares more on the way)."""
        return set(self._walker.link_types) if self._walker is not None else set()

    @property
    def interfaces(self) -> list[str]:
        """Names of the interfaces declared so far; the index is FRAME.interface."""
        return list(self._walker.interfaces) if self._walker is not None else []

    # ------------------------------------------------------------ reading

    def blocks(self, frames_per_block: int = 65536, place: Callable[[], Any] | None = None) -> Iterator[Block]:
        """The packets in order. Both arrays of a block are valid until the next one is asked for (see `Block`); never empty, never raises
        for what is in the file: after the last block `damage` says what was wrong.

        place: asked before each block for the FRAME[frames_per_block] to write it into; without it all blocks share one."""
        frames = jit.records(frames_per_block if place is None else 0, FRAME)
        walker = self._walker
        while walker is not None and not self.finished:
            if self._map is not None and not self._still_there():
                return
            if place is not None:
                frames = place()
            count = walker.walk(self._data, frames, frames_per_block)
            first = self.packets + 1
            self.packets += count
            status = walker.words[STATUS]
            if count:
                yield Block(self._data, frames, count, first)
            if status == MORE and not self._refill():
                self._finish()
            elif status not in (MORE, FULL):
                self._stop(f"{self._fault(status)} in record {self.packets + 1} at byte {self._at()}")

    def give_up(self) -> None:
        """Its blocks were not all taken: it is not finished, however far it was walked."""
        self.finished = False

    def let_go(self) -> None:
        """Its blocks were taken: the memory they lie in is given back, before that of what is made of them is taken. Who looks again reads it again."""
        if self._map is not None:
            with contextlib.suppress(OSError):          # of locked memory
                self._map.madvise(mmap.MADV_DONTNEED)

    def _still_there(self) -> bool:
        """A mapped file that has shrunk must not be touched beyond its new end."""
        if self._closed:
            return False
        size = os.fstat(self._file.fileno()).st_size
        words = self._walker.words if self._walker is not None else None
        if words is None or size >= words[END]:
            return True
        self._end = words[END] = max(size, words[POSITION])
        self.damage = f"the file shrank from {self.size} to {size} bytes while it was read"
        if size >= words[POSITION]:
            return True
        self.finished = True
        return False

    def _fill(self, wanted: int) -> None:
        """Read until the buffer holds `wanted` bytes more and about FILL, or the stream ends."""
        goal = min(self._end + max(wanted, FILL), len(self._data))
        while self._source is not None and self._end < goal:
            count = self._source.readinto(self._view[self._end:goal])
            if not count:
                break
            self._end += count

    def _refill(self) -> bool:
        """Carry what is left to the front of the buffer and read on; False at the end."""
        if self._source is None or self._walker is None:
            return False
        words = self._walker.words
        position, need, at = words[POSITION], words[NEED], self._at()
        beyond = max(position - self._end, 0)
        kept = self._end - position if not beyond else 0
        self._data[:kept] = self._data[position:position + kept]
        self._before += position
        self._end = kept
        while beyond:       # a block of no interest, longer than the buffer may be
            count = self._source.readinto(self._view[:min(beyond, len(self._data))])
            if not count:
                words[POSITION] = words[START] = words[END] = 0
                self._stop(self._damaged(f"cut in record {self.packets + 1} at byte {at}: {beyond} bytes missing"))
                return False
            beyond -= count
        self._fill(need)
        words[POSITION], words[START], words[END] = 0, 0, self._end
        return self._end > kept

    def _at(self) -> int:
        return self._before + self._walker.words[START] if self._walker is not None else 0

    def _finish(self) -> None:
        """The data is at its end: between two records, or inside one."""
        if self.finished or self._walker is None:
            return
        need = self._walker.words[NEED]
        cut = f"cut in record {self.packets + 1} at byte {self._at()}: {need} bytes missing" if need else ""
        self._stop(self._damaged(cut))

    def _damaged(self, cut: str) -> str:
        """What the source says, then where that leaves the records; or what was known before."""
        return "; ".join(part for part in (self.damage, self._source_damage(), cut) if part)

    def _fault(self, status: int) -> str:
        need = self._walker.words[NEED] if self._walker is not None else 0
        if status == TOO_LONG:
            return f"a captured length of {need} bytes, which is absurd,"
        if status == BAD_LENGTH:
            return f"a block length of {need} bytes, which cannot be,"
        if status == NO_INTERFACE:
            return f"a packet of interface {need}, which was not declared,"
        return getattr(self._walker, "refusal", "") or "a broken header"

    def _stop(self, damage: str) -> None:
        self.damage, self.finished = damage, True

    # ------------------------------------------------------------ identity

    def hash_ahead(self) -> None:
        """Begin hashing the stored file in a thread of its own (hashlib lets other threads run)."""
        if self._stored and self._hasher is None and not self._sha256 and not self._closed:
            self._hasher = threading.Thread(target=self._hash, name="sha256", daemon=True)
            self._hasher.start()

    def _hash(self) -> None:
        self._sha256 = _sha256(self._file.fileno(), lambda: not self._closed)

    def sha256(self) -> str:
        """SHA-256 of the capture as stored, in hex; of a stream: of what has been read. '' where the file can no longer be read."""
        if self._feed is not None and self._feed.digest is not None:
            return self._feed.digest.hexdigest()
        if self._hasher is not None:
            self._hasher.join()
        elif not self._sha256 and not self._closed:
            self._hash()
        return self._sha256

    @property
    def streamed(self) -> bool:
        """It passes through a buffer: compressed, a pipe, standard input."""
        return self._map is None

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def mapped(self) -> bool:
        """Blocks' data is the mapped file and stays valid until `close`."""
        return self._map is not None

    def close(self) -> None:
        """Let go of the file. Blocks handed out stay valid: the map goes when the last array over it does."""
        self._closed = True
        if self._hasher is not None:
            self._hasher.join()
        if self._owned:
            self._file.close()
        self._map = None
        self._data = np.empty(0, np.uint8)
        if self._walker is not None:
            self._walker.forget()

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _sha256(number: int, go_on: Callable[[], bool]) -> str:
    """Of an open file, in hex; '' where it can't be read or `go_on` says no."""
    digest, at = hashlib.sha256(), 0
    try:
        while go_on():
            piece = os.pread(number, _PIECE, at)
            if not piece:
                return digest.hexdigest()
            digest.update(piece)
            at += len(piece)
    except OSError:
        pass
    return ""


def file_sha256(path: str, go_on: Callable[[], bool] = lambda: True) -> str:
    """SHA-256 of a file, in hex; '' where it can't be read or `go_on` says no."""
    try:
        with open(path, "rb", buffering=0) as file:
            return _sha256(file.fileno(), go_on)
    except OSError:
        return ""


def _open(one: Input) -> tuple[BinaryIO, bool]:
    if one.stream is not None:
        return one.stream, False
    try:
        return open(one.path, "rb", buffering=0), True
    except OSError as error:
        raise UserError(f"cannot be opened: {error.strerror or error}", one.name, "check the name and the permissions") from None


def open_trace(one: Input | str | os.PathLike[str]) -> Trace:
    """Open a capture for reading. Raises UserError where it cannot be opened or is no capture."""
    if not isinstance(one, Input):
        path = os.fspath(one)
        if path == STANDARD_INPUT:
            import sys
            return Trace(Input(path, "standard input", 0, sys.stdin.buffer))
        one = Input(path, shown(path))
    return Trace(one)
