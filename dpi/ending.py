"""How this process ends.

The command line ends it as soon as its command is through (dpi/cli/main.py): what goes with a process then need not be brought to its end in order, and
what need only be waited for is waited for last. What takes long to give back is given back meanwhile.
"""
from __future__ import annotations

from collections.abc import Callable

soon = False            # it ends when its command is through
last: list[Callable[[], object]] = []       # what is to be waited for then
held: list[object] = []      # kept until then


def end() -> None:
    """Wait for what is to be waited for."""
    if last:
        held.clear()            # meanwhile; else it goes with the process
    for wait in last:
        wait()
