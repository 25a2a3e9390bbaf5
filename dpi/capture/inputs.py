"""Which captures a person meant: files, directories, patterns and standard input, found before anything is read."""
from __future__ import annotations

import glob
import os
import stat
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from dpi.capture import pcap, pcapng
from dpi.capture.compressed import Feed, compression, opened
from dpi.dataclass import dataclass
from dpi.errors import UserError

STANDARD_INPUT = "-"
KNOWN = "pcap or pcapng, also packed with gzip or zstd"
_HEAD = 12


@dataclass
class Input:
    """One capture to read."""
    path: str                           # as the system knows it; '-' for standard input
    name: str                           # to show and to keep: always encodable as UTF-8, without control characters
    size: int = 0                       # stored bytes, 0 where unknown
    stream: BinaryIO | None = None      # standard input


class Skipped(NamedTuple):
    """A file of a directory or pattern that is not read, and why."""
    name: str
    why: str


class Inputs(list[Input]):
    """The captures found, in order, and what was passed over."""

    def __init__(self, found: Sequence[Input] = (), skipped: Sequence[Skipped] = ()) -> None:
        super().__init__(found)
        self.skipped: list[Skipped] = list(skipped)


def capture_format(head: bytes) -> str:
    """'pcap', 'pcapng' or '' by the first bytes of uncompressed data (12 to be sure)."""
    if int.from_bytes(head[:4], "little") in pcap.MAGICS and len(head) >= 4:
        return "pcap"
    mark = head[8:12]
    marks = (pcapng.BYTE_ORDER.to_bytes(4, "little"), pcapng.BYTE_ORDER.to_bytes(4, "big"))
    if head[:4] == pcapng.MAGIC and any(order[:len(mark)] == mark for order in marks):
        return "pcapng"
    return ""


def shown(path: str) -> str:
    """A path as text that can be printed and stored, whatever bytes its name is made of."""
    text = os.fsencode(path).decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def find(arguments: Sequence[str], stdin: BinaryIO | None = None) -> Inputs:
    """The captures that `arguments` name: files, directories (searched to the bottom, in name order), patterns, '-'.

    A file that is named twice is read once. In directories and patterns, what is no capture is passed over and listed in `.skipped`.
    Raises UserError for a name that does not exist, cannot be read or is no capture, and for a directory or pattern without one.
    """
    found = Inputs()
    seen: set[tuple[int, int]] = set()
    for argument in arguments:
        if argument == STANDARD_INPUT:
            found.append(_standard_input(found, stdin))
        elif os.path.lexists(argument) or not glob.has_magic(argument):
            _named(argument, found, seen)
        else:
            matches = sorted(glob.glob(argument, recursive=True))
            if not matches:
                raise UserError("no file matches", shown(argument), "check the pattern, or quote it if the shell changed it")
            _several(matches, argument, found, seen)
    return found


def _standard_input(found: Inputs, stdin: BinaryIO | None) -> Input:
    if any(one.stream is not None for one in found):
        raise UserError("standard input is named twice", STANDARD_INPUT, "give '-' once")
    if stdin is None or stdin.isatty():
        raise UserError("standard input is a terminal or closed", STANDARD_INPUT, "pipe a capture into the command, or name a file")
    return Input(STANDARD_INPUT, "standard input", 0, stdin)


def _named(path: str, found: Inputs, seen: set[tuple[int, int]]) -> None:
    """Add what a path given by name stands for."""
    try:
        about = os.stat(path)
    except OSError as error:
        raise UserError(_reason(error), shown(path), _mend(error)) from None
    if stat.S_ISDIR(about.st_mode):
        _several([path], path, found, seen)
        return
    if stat.S_ISREG(about.st_mode):
        try:
            why = _no_capture(path, about.st_size)
        except OSError as error:
            raise UserError(_reason(error), shown(path), _mend(error)) from None
        if why:
            raise UserError(why, shown(path), f"give a capture: {KNOWN}")
    elif not stat.S_ISFIFO(about.st_mode) and not stat.S_ISCHR(about.st_mode):
        raise UserError("is neither a file nor a directory", shown(path), f"give a capture: {KNOWN}")
    _add(path, about, found, seen)


def _several(paths: Sequence[str], argument: str, found: Inputs, seen: set[tuple[int, int]]) -> None:
    """Add every capture under `paths`; at least one is wanted."""
    captures = 0
    for path in _files(paths, argument):
        try:
            about = os.stat(path)
            if not stat.S_ISREG(about.st_mode):
                continue
            why = _no_capture(path, about.st_size)
        except OSError as error:
            why = _reason(error)
        if why:
            found.skipped.append(Skipped(shown(path), why))
        else:
            captures += 1
            _add(path, about, found, seen)
    if not captures:
        raise UserError("holds no capture", shown(argument), f"captures are files of {KNOWN}")


def _files(paths: Sequence[str], argument: str) -> Iterator[str]:
    """Files under `paths`, folders opened where they stand in name order; links to folders are not followed, so no loop can be."""
    todo = list(reversed(paths))
    while todo:
        path = todo.pop()
        if not os.path.isdir(path) or (os.path.islink(path) and path not in paths):
            yield path
            continue
        try:
            names = sorted(os.listdir(path), reverse=True)
        except OSError as error:
            if path == argument:
                raise UserError(_reason(error), shown(path), _mend(error)) from None
            yield path      # its stat or open tells why
            continue
        todo.extend(os.path.join(path, name) for name in names)


def _add(path: str, about: os.stat_result, found: Inputs, seen: set[tuple[int, int]]) -> None:
    identity = (about.st_dev, about.st_ino)
    if identity not in seen:
        seen.add(identity)
        found.append(Input(path, shown(path), about.st_size if stat.S_ISREG(about.st_mode) else 0))


def _no_capture(path: str, size: int) -> str:
    """Why the regular file is no capture, or ''. Raises OSError."""
    if not size:
        return "is empty"
    with open(path, "rb") as file:
        head = file.read(_HEAD)
        if not compression(head):
            return "" if capture_format(head) else "is no capture"
        file.seek(0)
        inner = bytearray(_HEAD)
        filled = 0
        try:
            source = opened(Feed(file, hashed=False))
            while filled < _HEAD:
                count = source.readinto(memoryview(inner)[filled:])
                if not count:
                    break
                filled += count
        except (zlib.error, ValueError, EOFError):
            return "is damaged from its first bytes on"
    if source.damage and not filled:
        return f"cannot be unpacked: {source.damage}"
    return "" if capture_format(bytes(inner[:filled])) else f"is packed with {compression(head)}, and what is inside is no capture"


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "does not exist"
    if isinstance(error, PermissionError):
        return "may not be read"
    return f"cannot be read: {error.strerror or error}"


def _mend(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "check the name"
    if isinstance(error, PermissionError):
        return "ask for read permission, or run as a user who has it"
    return "check the file and its disk"
