"""Where what is made once and used by every start is kept: kernels, rules, pages, empty stores."""
from __future__ import annotations

import os

TYPE_CHECKING = False           # of all starts: see dpi/bundle.py
if TYPE_CHECKING:
    from pathlib import Path


def place() -> str:
    """The directory: $FULLSPAN_CACHE, else in the user's cache directory."""
    return os.environ.get("FULLSPAN_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "fullspan")


def cache_directory() -> Path:
    """The same as a Path."""
    from pathlib import Path

    return Path(place())


def keep(path: Path, data: bytes) -> None:
    """Keep a file there, whole or not at all. A cache that can't be written costs time, never a result."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}")
        part.write_bytes(data)
        part.replace(path)
    except OSError:
        pass
