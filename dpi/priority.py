"""Work that gives way: where there are more threads than cores, those that packets don't wait for run when the others don't."""
from __future__ import annotations

import contextlib
import os

STEP = 3            # of nice: a third of a core that one other wants as well. More gains no more, and where others want both cores those that wait suffer
LAST = 19           # nothing is lower


def give_way() -> None:
    """Lower the priority of the thread that calls, and of those it starts from now on. Nobody can take that back."""
    _lower(0, lower())


def all_give_way() -> None:
    """The same of every thread of this process: again until there is none that another had started before its own turn came."""
    nice = lower()
    while any([_lower(int(one), nice) for one in os.listdir("/proc/self/task")]):
        pass


def lower() -> int:
    """The nice value of what gives way to the thread that calls."""
    return min(os.getpriority(os.PRIO_PROCESS, 0) + STEP, LAST)


def _lower(thread: int, nice: int) -> bool:
    """Lower a thread to that; whether it was not as low."""
    with contextlib.suppress(OSError):          # it has ended meanwhile
        if os.getpriority(os.PRIO_PROCESS, thread) < nice:
            os.setpriority(os.PRIO_PROCESS, thread, nice)
            return True
    return False
