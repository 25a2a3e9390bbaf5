"""The directory of an embedded store: what is wrong with it, said before the engine does in its own words."""
from __future__ import annotations

import fcntl
import time
from pathlib import Path

from dpi.errors import UserError


def check(path: Path, create: bool) -> None:
    """Make the directory where it may be made. UserError: it is a file, something else, not there, not to be made, or held by another process."""
    if path.exists() and not path.is_dir():
        raise UserError("this is a file, the store is a directory", str(path), "name another path with --store chdb:///path")
    if path.is_dir() and any(path.iterdir()) and not (path / "metadata").is_dir():
        raise UserError("this directory holds something else than a store", str(path), "name another path with --store chdb:///path")
    if not path.exists() and not create:
        raise UserError("there is no store here", str(path), "make one with: fullspan replay FILE, or name it with --store chdb:///path")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"the store cannot be made: {error.strerror}", str(path), "name another path with --store chdb:///path") from None
    if held(path):
        raise in_use(path)


def held(path: Path) -> bool:
    """Whether a process has locked the store."""
    try:
        with (path / "status").open("rb") as status:
            try:
                fcntl.flock(status, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            fcntl.flock(status, fcntl.LOCK_UN)
    except OSError:
        pass            # no such file: nobody has it open
    return False


def in_use(path: Path) -> UserError:
    """What is said of a store that another process holds."""
    return UserError("the store is in use by another process", str(path), "wait for it to end, or name another path with --store chdb:///path")


def wait(path: Path, seconds: float) -> bool:
    """Wait until nobody holds the store, where its holder answers nobody: the engine of a process that was killed goes on until what it was told is done.
    False: it is held still."""
    from dpi.store.notice import standing

    end = time.monotonic() + seconds
    while held(path):
        if time.monotonic() > end or standing(path) is not None:
            return False
        time.sleep(0.1)
    return True
