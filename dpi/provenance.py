"""Whether a capture is in the store already, with as little hashing as the answer needs.

A hash of a large file takes as long as all the rest of a replay. It is computed where the answer depends on it:

- files up to `HASHED` bytes, compressed files and streams always are, and so is what `--sha256` asks for;
- a larger one, where a stored capture has its size but another path or another time: then hashes decide, and the stored file is hashed too
  where that was not needed before and it still lies there unchanged. Where it does not, nobody can tell: both are kept, and that is said.
"""
from __future__ import annotations

import os
from typing import Any

from dpi.asking import Asked
from dpi.capture.trace import Trace, file_sha256

HASHED = 256 << 20      # bytes up to which every file is hashed


class Provenance:
    """What is known of one capture that is being replayed into a store."""

    def __init__(self, store: Any, trace: Trace, own: int, always: bool = False) -> None:
        """own: the number of this replay of it, which the store may know by now. always: it is hashed whatever the store has."""
        self._store, self._trace, self._own = store, trace, own
        self._hashes: Asked[dict[int, str]] | None = None       # of stored captures that had none, by capture id
        self.unsure: list[str] = []                 # captures that could not be compared
        if surely := always or trace.streamed or trace.size <= HASHED:
            trace.hash_ahead()
        self._wanted = Asked(lambda: self._look(surely))

    def _look(self, surely: bool) -> bool:
        """Whether the capture's hash is wanted; what stored captures lack of theirs is computed."""
        trace, others = self._trace, self._others()
        if not surely and (not others or any(self._same_file(one) for one in others)):
            return False
        trace.hash_ahead()
        nameless = [one for one in others if not one.sha256 and not self._same_file(one) and unchanged(one)]
        if nameless:
            self._hashes = Asked(lambda: {one.capture_id: file_sha256(one.path, lambda: not trace.closed) for one in nameless})
        return True

    def _others(self) -> list[Any]:
        """Stored captures of its size."""
        return [one for one in self._store.captures(self._trace.size) if one.capture_id != self._own]

    def complain(self) -> None:
        """Raise what the store answered, where it has by now and it was an error."""
        self._wanted.complain()

    def settle(self) -> None:
        """Wait until the store has answered, whatever that was."""
        self._wanted.settle()

    def _same_file(self, one: Any) -> bool:
        """The same path, size and time: nothing was written there since."""
        trace = self._trace
        return bool(trace.modified_time) and (one.path, one.size, one.modified_time) == (str(trace.path), trace.size, trace.modified_time)

    def sha256(self) -> str:
        """SHA-256 of the capture, '' where it was not needed."""
        return self._trace.sha256() if self._wanted() else ""

    def same(self) -> list[int]:
        """Ids of the stored captures that are this one, replayed before."""
        sha256 = self.sha256()
        hashes = self._hashes() if self._hashes is not None else {}
        found = []
        for one in self._others():
            theirs = one.sha256 or hashes.get(one.capture_id, "")
            if sha256 and theirs:
                same = sha256 == theirs
            else:
                same = self._same_file(one)
                if not same:
                    self.unsure.append(one.path)
            if same:
                found.append(one.capture_id)
        return found


def unchanged(one: Any) -> bool:
    """Whether the file of a stored capture still lies where it was, of the same size and time."""
    try:
        about = os.stat(one.path)
    except OSError:
        return False
    return bool(one.modified_time) and (about.st_size, about.st_mtime_ns // 1000) == (one.size, one.modified_time)
