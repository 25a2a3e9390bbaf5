"""Which processors threads keep to."""
from __future__ import annotations

import os
import re

from dpi.errors import UserError

_WHERE = "[probe] cores"


def processors(words: str) -> list[int]:
    """The processors that `2,3` or `2-5` names, in that order; [] for ''. UserError: not such a list, or one this process may not use."""
    found: list[int] = []
    for part in filter(None, map(str.strip, words.split(","))):
        first, dash, last = part.partition("-")
        if not all(re.fullmatch(r"\s*[0-9]+\s*", one) for one in ((first, last) if dash else (first,))):
            raise UserError(f"{part!r} names no processors", _WHERE, "write it as 2,3 or 2-5")
        low, high = int(first), int(last) if dash else int(first)
        if high < low or high - low > 4096:
            raise UserError(f"{part!r} names no processors", _WHERE, "write it as 2,3 or 2-5")
        found += range(low, high + 1)
    allowed = os.sched_getaffinity(0)
    missing = sorted({one for one in found if one not in allowed})
    if missing:
        raise UserError(f"processor {missing[0]} is not there, or not for this process", _WHERE, f"there are {_ranges(sorted(allowed))}")
    return found


def _ranges(numbers: list[int]) -> str:
    """Numbers in order as `processors` reads them."""
    parts: list[list[int]] = []
    for one in numbers:
        if parts and one == parts[-1][1] + 1:
            parts[-1][1] = one
        else:
            parts.append([one, one])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in parts)
