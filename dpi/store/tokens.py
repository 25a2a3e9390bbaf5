"""What an embedded engine remembers of tokens (see Store.insert), put right before it opens a store whose engine was killed.

A table notes a parcel's token in deduplication_logs/ and gives the part its name a moment later. Killed in between, it would take the parcel, sent again, for
stored. One parcel is inserted at a time, so only the last note of each table can be such a one. Lines: 1 (added) or 2 (dropped), part, token.
"""
from __future__ import annotations

import re
from pathlib import Path

_NOTE = re.compile(rb"1\t([0-9A-Za-z]+)_(\d+)_\d+_\d+(?:_\d+)?\t[^\n]*\n?")
_PART = re.compile(r"([0-9A-Za-z]+)_(\d+)_(\d+)_\d+(?:_\d+)?")


def mend(store: Path) -> int:
    """Take back the last note of each table where there is no part for it; how many. `store` is not open. What is not understood is left alone."""
    return sum(_mend(folder) for folder in store.glob("store/*/*/deduplication_logs"))


def _mend(folder: Path) -> bool:
    try:
        logs = {int(found.group(1)): path for path in folder.iterdir() if (found := re.fullmatch(r"deduplication_log_(\d+)\.txt", path.name))}
        for number in sorted(logs, reverse=True):
            data = logs[number].read_bytes()
            if not data:
                continue            # a new one was just begun
            begin = data.rstrip(b"\n").rfind(b"\n") + 1
            last = _NOTE.fullmatch(data[begin:])
            if last is None or _holds(folder.parent, last.group(1).decode(), int(last.group(2))):
                return False
            with logs[number].open("r+b") as file:
                file.truncate(begin)
            return True
    except OSError:
        pass                        # the engine says what is wrong with the directory
    return False


def _holds(table: Path, partition: str, number: int) -> bool:
    """Whether the block of that number is in a part, its own or one that was merged from it."""
    return any(found.group(1) == partition and int(found.group(2)) <= number <= int(found.group(3))
               for path in table.iterdir() if (found := _PART.fullmatch(path.name)))
