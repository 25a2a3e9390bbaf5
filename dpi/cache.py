"""Where what is made once and used by every start is kept: kernels, rules, pages, empty stores."""
from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """The directory: $FULLSPAN_CACHE, else the user's cache directory."""
    own = os.environ.get("FULLSPAN_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fullspan"
