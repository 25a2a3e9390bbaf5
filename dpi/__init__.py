"""Fullspan's measuring half: captures become flows, applications and answers. From Python: `dpi.replay(path)`.

The imports are relative on purpose: dpi/jit.py follows absolute ones to learn what a kernel depends on, and no kernel depends on this.
"""
from __future__ import annotations

TYPE_CHECKING = False           # nothing is imported before what is kept of a start can be (dpi/bundle.py)
if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike
    from typing import Any

    from .notebook import Replayed

__all__ = ["replay"]
__version__ = "0.1.0"


def replay(path: str | PathLike[str] | Sequence[str | PathLike[str]], *, store: str | None = None, rules: str | None = None, **options: Any) -> Replayed:
    """Replay captures; see dpi.notebook.replay. Nothing is imported before it is called."""
    from .notebook import replay as run

    return run(path, store=store, rules=rules, **options)
