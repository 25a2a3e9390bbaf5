"""The packet ring's files: pcap segments of bounded size and age, the oldest deleted, never more bytes than allowed.

A segment holds packets of one worker on one interface, in the order they came. Its name is first-boot-worker-interface.pcap: the time of its first
packet (us), the number of the probe's run (as in a flow's number), the worker. Once it is whole its modified time is that of its last packet. Every
write is whole records, so a segment that a killed probe left can be read up to its end or to the record that was being written.
"""
from __future__ import annotations

import bisect
import contextlib
import errno
import fcntl
import os
import re
import stat
import struct
from pathlib import Path
from typing import Any

from dpi.capture.block import LARGEST_CAPTURED
from dpi.dataclass import dataclass
from dpi.errors import UserError

HEADER = 24                     # bytes of a file's header
LARGEST = 64 << 20              # bytes of a segment
SMALLEST = 1 << 20
PART = 16                       # segments hold at most so small a part of the time that packets are kept
SERIES_LEAST = 8 << 20          # bytes for each worker at least
_NAME = re.compile(r"(\d{16})-([0-9a-f]{6})-(\d+)-(.+)\.pcap")
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, order=True)
class Segment:
    """A file. Times in us; of one that is being written, `last` is when it was written last."""
    first: int
    boot: int
    worker: int
    interface: str
    size: int
    last: int

    @property
    def name(self) -> str:
        return f"{self.first:016d}-{self.boot:06x}-{self.worker:02d}-{self.interface}.pcap"


def listed(directory: Path) -> list[Segment]:
    """The segments of a directory, oldest first. OSError: it can't be read."""
    found = []
    for entry in os.scandir(directory):
        if parts := _NAME.fullmatch(entry.name):
            with contextlib.suppress(FileNotFoundError):        # deleted meanwhile
                about = entry.stat()
                found.append(Segment(int(parts[1]), int(parts[2], 16), int(parts[3]), parts[4], about.st_size, -(-about.st_mtime_ns // 1000)))
    return sorted(found)


@dataclass
class _Open:
    """A segment that is being written."""
    file: int
    path: Path
    first: int
    last: int
    size: int = 0
    spoiled: bool = False           # part of a record is at its end, and can't be taken away


class Segments:
    """Written by one thread; `bytes` and `oldest` may be asked by any."""

    def __init__(self, directory: Path, *, budget: int, seconds: int, boot: int, series: int) -> None:
        """budget: bytes of all files together. seconds: a packet is deleted at this age at the latest. series: workers of all interfaces.

        UserError: the directory can't be had, others may look into it, another process has it, or the budget is too small."""
        self.directory, self.budget, self.seconds, self._boot = directory, budget, seconds, boot
        if budget < series * SERIES_LEAST:
            raise UserError(f"too little for {series} workers", "[probe] ring_disk_mb", f"give {series * SERIES_LEAST >> 20} at least")
        self.segment = min(max(budget // (8 * series), SMALLEST), LARGEST)
        self._span = max(seconds * 1_000_000 // PART, 1_000_000)
        self._hopeless = False          # the disk was full, and deleting did not help
        self._open: dict[tuple[str, int], _Open] = {}
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise UserError(f"packets can't be kept here: {error.strerror}", str(directory),
                            "name a directory that may be written in [probe] ring_directory") from None
        try:
            if stat.S_IMODE(os.fstat(self._folder).st_mode) & 0o077:
                raise UserError("others may look into the directory of packets", str(directory), f"chmod 700 {directory}")
            if not os.access(directory, os.W_OK | os.X_OK):
                raise UserError("packets can't be kept here: it may not be written", str(directory), "name another in [probe] ring_directory")
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._folder)
            raise UserError("another process keeps its packets here", str(directory), "give each probe a directory of its own") from None
        except UserError:
            os.close(self._folder)
            raise
        self._closed = listed(directory)
        self.bytes = sum(one.size for one in self._closed)

    @property
    def oldest(self) -> int:
        """When the oldest packet came, us; 0 where there is none."""
        times = [one.first for one in self._closed[:1]] + [one.first for one in list(self._open.values())]
        return min(times, default=0)

    def append(self, interface: str, worker: int, link: int, data: Any, first: int, last: int) -> str:
        """Write records (a buffer of bytes) of packets that came from `first` to `last`, us. Why they were not written, '' where they were."""
        why, full = self._append((interface, worker), link, data, first, last)
        if full and not self._hopeless and self._closed and self._delete_oldest():
            # the disk has less room than was thought: the newest packets are worth more than the oldest
            why, full = self._append((interface, worker), link, data, first, last)
        self._hopeless = full
        return why

    def _append(self, key: tuple[str, int], link: int, data: Any, first: int, last: int) -> tuple[str, bool]:
        """(why not, whether the disk is full)"""
        one = self._open.get(key)
        if one is not None and (one.spoiled or one.size + len(data) > self.segment or first - one.first > self._span or first < one.last - 1_000_000):
            self._finish(key)       # the last of these: the clock was set back
            one = None
        while self.bytes + len(data) + HEADER > self.budget:
            if not self._closed and self._open:
                self._finish(min(self._open, key=lambda other: self._open[other].first))
                one = self._open.get(key)
            if not self._delete_oldest():
                return "old packets can't be deleted", False
        try:
            if one is None:
                one = self._begin(key, link, first)
            self._write(one, data)
            one.last = max(one.last, last)
        except OSError as error:
            return error.strerror or str(error), error.errno in _FULL
        return "", False

    def _begin(self, key: tuple[str, int], link: int, first: int) -> _Open:
        while True:
            path = self.directory / Segment(first, self._boot, key[1], key[0], 0, 0).name
            try:
                file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
                break
            except FileExistsError:         # the clock was set back to this very moment
                first -= 1
        made = _Open(file, path, first, first)
        try:
            self._write(made, struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, LARGEST_CAPTURED, link))
        except OSError:
            os.close(file)
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        self._open[key] = made
        return made

    def _write(self, one: _Open, data: Any) -> None:
        """All of it, or nothing."""
        view, done = memoryview(data), 0
        try:
            while done < len(view):
                done += os.write(one.file, view[done:])
        except OSError:
            try:
                os.ftruncate(one.file, one.size)
            except OSError:
                one.spoiled = True
            raise
        one.size += done
        self.bytes += done

    def _finish(self, key: tuple[str, int]) -> None:
        one = self._open.pop(key)
        with contextlib.suppress(OSError):
            os.utime(one.file, ns=(one.last * 1000, one.last * 1000))
        os.close(one.file)
        bisect.insort(self._closed, Segment(one.first, self._boot, key[1], key[0], one.size, one.last))

    def _delete_oldest(self) -> bool:
        if not self._closed:
            return False
        try:
            (self.directory / self._closed[0].name).unlink(missing_ok=True)
        except OSError:
            return False
        self.bytes -= self._closed.pop(0).size
        return True

    def expire(self, now: int) -> None:
        """Delete what is too old at `now`, us. A segment goes as a whole, with its oldest packet."""
        for key in [key for key, one in self._open.items() if now - one.first > self._span]:
            self._finish(key)
        while self._closed and self._closed[0].first < now - self.seconds * 1_000_000 and self._delete_oldest():
            pass

    def close(self) -> None:
        """End the segments, and let go of the directory."""
        for key in list(self._open):
            self._finish(key)
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1
