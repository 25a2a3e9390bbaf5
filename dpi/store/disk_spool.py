"""A spool on disk: parcels that could not be stored yet, one file each, whole or not there at all, given back in their order.

A file is named boot-sequence-stored_time-rows.parcel, so a start knows what waits without opening any. It is written beside under another name, synced and
renamed: a process killed at any moment leaves what it was told is kept, and nothing half. Layout: mark, digest of all that follows, length of the
head, head (JSON), columns (zstd). A file that is not what was written is set aside under the ending .damaged, and counted.
"""
from __future__ import annotations

import bisect
import contextlib
import fcntl
import hashlib
import json
import os
import re
import threading
from pathlib import Path

import zstandard

from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.store.parcel import Parcel

_MARK = b"FULLSPAN PARCEL1"
_DIGEST = 16            # bytes
_LEVEL = 1              # of compression: a processor that is busy with packets has little time
_NAME = re.compile(r"(\d{20})-(\d{10})-(\d{20})-(\d{10})\.parcel")
PARCEL, PART, DAMAGED, REFUSED = ".parcel", ".part", ".damaged", ".refused"

Order = tuple[int, int]


@dataclass(frozen=True)
class _Entry:
    """A file."""
    order: Order
    stored_time: int
    rows: int
    size: int               # bytes

    @property
    def name(self) -> str:
        return f"{self.order[0]:020d}-{self.order[1]:010d}-{self.stored_time:020d}-{self.rows:010d}{PARCEL}"


class Full(Exception):
    """There is no room for this parcel: the bound is reached, or the disk is full. `args[0]` says it in words."""


class Damaged(Exception):
    """A file that is not what was written. `args[0]` says in what."""


class DiskSpool:
    """One process at a time has it. Any thread may put and ask, one reads and removes."""

    def __init__(self, directory: Path, bound: int) -> None:
        """bound: bytes of all files together, those set aside among them. Raises UserError where the directory can't be had."""
        self._directory, self._bound = directory, bound
        self._lock = threading.Lock()
        self._entries: dict[Order, _Entry] = {}
        self._orders: list[Order] = []
        self.rows = 0                   # that wait
        self.bytes = 0                  # on disk, what is set aside and what is being written included
        self.damaged = self.lost = 0    # files found damaged since this began, and their rows
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise UserError(f"the spool can't be kept here: {error.strerror}", str(directory), "name a directory that may be written") from None
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._folder)
            raise UserError("the spool is in use by another process", str(directory), "give each probe a directory of its own") from None
        self._find()

    def _find(self) -> None:
        """What an earlier process left."""
        for path in self._directory.iterdir():
            if path.suffix == PART:
                path.unlink()               # nobody was told that it is kept
            elif found := _NAME.fullmatch(path.name):
                boot, sequence, stored, rows = map(int, found.groups())
                entry = _Entry((boot, sequence), stored, rows, path.stat().st_size)
                self.bytes += entry.size
                self._note(entry)
            elif path.suffix in (DAMAGED, REFUSED):
                self.bytes += path.stat().st_size

    def __len__(self) -> int:
        return len(self._orders)

    @property
    def first(self) -> Order | None:
        """Of the oldest parcel. Waits for nothing."""
        return next(iter(self._orders), None)

    @property
    def oldest(self) -> int:
        """The stored_time of the oldest parcel, 0 where there is none."""
        entry = self._entries.get(self.first or (0, 0))
        return entry.stored_time if entry is not None else 0

    @property
    def last_boot(self) -> int:
        """Of the newest parcel; 0 where there is none."""
        return self._orders[-1][0] if self._orders else 0

    def room(self, bound: int) -> None:
        """Hold so many bytes at most from now on; what is there stays."""
        with self._lock:
            self._bound = bound

    def put(self, parcel: Parcel) -> None:
        """Keep a parcel: when this returns it is on disk. Raises Full; what was kept before stays as it was."""
        self._write(parcel, PARCEL)

    def refuse(self, parcel: Parcel) -> None:
        """The store will never take this parcel: keep it aside, where somebody may look at it. Raises Full where there is no room for it."""
        if parcel.order in self._entries:
            self._set_aside(parcel.order, REFUSED)
        else:
            self._write(parcel, REFUSED)

    def _write(self, parcel: Parcel, ending: str) -> None:
        data = _encode(parcel)
        entry = _Entry(parcel.order, parcel.stored_time, parcel.rows, len(data))
        path = (self._directory / entry.name).with_suffix(ending)
        part = path.with_suffix(PART)
        with self._lock:
            if parcel.order in self._entries:
                return
            if self.bytes + len(data) > self._bound:
                raise Full(f"the spool has reached its bound of {self._bound} bytes")
            self.bytes += len(data)
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
            os.fsync(self._folder)
        except OSError as error:
            for left in (part, path):
                with contextlib.suppress(OSError):
                    left.unlink(missing_ok=True)
            with self._lock:
                self.bytes -= len(data)
            raise Full(f"the spool can't be written: {error.strerror}") from None
        if ending == PARCEL:
            with self._lock:
                self._note(entry)

    def read(self) -> Parcel | None:
        """The oldest parcel; it stays until it is removed. Files that are damaged are set aside on the way."""
        while (order := self.first) is not None:
            if (parcel := self.get(order)) is not None:
                return parcel
        return None

    def get(self, order: Order) -> Parcel | None:
        """This parcel; it stays. None where it is not there, or damaged: then it is set aside."""
        entry = self._entries.get(order)
        if entry is None:
            return None
        try:
            parcel = _decode((self._directory / entry.name).read_bytes())
            if (parcel.order, parcel.stored_time, parcel.rows) != (order, entry.stored_time, entry.rows):
                raise Damaged("its name")
            return parcel
        except (Damaged, OSError):
            self.damaged += 1
            self.lost += entry.rows
            self._set_aside(order, DAMAGED)
            return None

    def orders(self) -> list[Order]:
        """Of all parcels that wait, the oldest first."""
        with self._lock:
            return list(self._orders)

    def trim(self, kept: int) -> int:
        """Delete the oldest of what was set aside until so many bytes of it are left; how many files went."""
        found = sorted((path for path in self._directory.iterdir() if path.suffix in (DAMAGED, REFUSED)), reverse=True)
        gone, held = 0, 0
        for path in found:
            try:
                size = path.stat().st_size
                held += size
                if held <= kept:
                    continue
                path.unlink()
            except OSError:
                continue
            gone += 1
            with self._lock:
                self.bytes -= size
        return gone

    def remove(self, order: Order) -> None:
        """This parcel is stored."""
        entry = self._forget(order)
        if entry is not None:
            with contextlib.suppress(OSError):          # should it stay: it is sent again, and counts once
                (self._directory / entry.name).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the directory."""
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def _note(self, entry: _Entry) -> None:
        self._entries[entry.order] = entry
        bisect.insort(self._orders, entry.order)
        self.rows += entry.rows

    def _forget(self, order: Order) -> _Entry | None:
        with self._lock:
            entry = self._entries.pop(order, None)
            if entry is not None:
                self._orders.remove(order)
                self.rows -= entry.rows
                self.bytes -= entry.size
            return entry

    def _set_aside(self, order: Order, ending: str) -> None:
        entry = self._forget(order)
        if entry is not None:
            path = self._directory / entry.name
            with contextlib.suppress(OSError):          # gone, or unreadable where it is
                path.rename(path.with_suffix(ending))
                with self._lock:
                    self.bytes += entry.size


def _encode(parcel: Parcel) -> bytes:
    head = json.dumps({"table": parcel.table, "rows": parcel.rows, "probe": parcel.probe, "boot": parcel.boot, "sequence": parcel.sequence,
                       "stored_time": parcel.stored_time, "columns": [[name, len(data)] for name, data in parcel.columns]}).encode()
    columns = zstandard.ZstdCompressor(level=_LEVEL).compress(b"".join(data for _name, data in parcel.columns))
    body = len(head).to_bytes(4, "little") + head + columns
    return _MARK + hashlib.blake2b(body, digest_size=_DIGEST).digest() + body


def _decode(data: bytes) -> Parcel:
    """The parcel of a file's bytes. Raises Damaged."""
    begin = len(_MARK) + _DIGEST
    if data[:len(_MARK)] != _MARK:
        raise Damaged("its mark")
    body = memoryview(data)[begin:]
    if hashlib.blake2b(body, digest_size=_DIGEST).digest() != data[len(_MARK):begin]:
        raise Damaged("its digest")
    size = int.from_bytes(body[:4], "little")
    head = json.loads(bytes(body[4:4 + size]))
    whole = zstandard.ZstdDecompressor().decompress(body[4 + size:])
    columns, at = [], 0
    for name, length in head.pop("columns"):
        columns.append((name, whole[at:at + length]))
        at += length
    return Parcel(**head, columns=tuple(columns))
