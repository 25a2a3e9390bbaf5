"""Where what is made once and used by every start is kept: kernels, rules, pages, empty stores."""
from __future__ import annotations

import contextlib
import os
from pathlib import Path


def cache_directory() -> Path:
    """The directory: $FULLSPAN_CACHE, else the user's cache directory."""
    own = os.environ.get("FULLSPAN_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fullspan"


def keep(path: Path, data: bytes) -> None:
    """Keep a file there, whole or not at all. A cache that can't be written costs time, never a result."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}")
        part.write_bytes(data)
        part.replace(path)
