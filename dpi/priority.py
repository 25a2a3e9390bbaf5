"""Work that gives way: where there are more threads than cores, those that packets don't wait for run when the others don't."""
from __future__ import annotations

import contextlib
import os
import threading

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


class Aside:
    """Threads that keep off the core of the one that tracks packets while it does. The kernel lets a thread that wakes run where it was woken, if no core is
    free: the two then share that core, for as long as nobody looks how busy the others are."""

    def __init__(self) -> None:
        self._all = os.sched_getaffinity(0)
        self._rest: set[int] = set()                # cores that are left to them; none: they may be anywhere
        self._threads: list[int] = []
        self._process = 0

    def join(self) -> None:
        """The thread that calls is one of them."""
        self._threads.append(threading.get_native_id())
        if self._rest:
            _keep_to(self._threads[-1], self._rest)

    def begin(self, process: int = 0) -> None:
        """From now on: off the core that the caller runs on, and keeps to. process: all of whose threads are among them, 0 none."""
        own = _core()
        self._rest, self._process = self._all - {own}, process
        if self._rest:
            _keep_to(0, {own})              # or it would follow those who wake it
            self._keep_to(self._rest)

    def end(self) -> None:
        """All may be anywhere again, with what they have started: said by the one that began."""
        if not self._rest:
            return
        confined, self._rest = self._rest, set()
        _keep_to(0, self._all)
        self._keep_to(self._all)
        for thread in map(int, _listed("/proc/self/task")):
            with contextlib.suppress(OSError):
                if os.sched_getaffinity(thread) == confined:
                    _keep_to(thread, self._all)

    def _keep_to(self, cores: set[int]) -> None:
        others = map(int, _listed(f"/proc/{self._process}/task")) if self._process else ()
        for thread in [*self._threads, *others]:
            _keep_to(thread, cores)


def _core() -> int:
    """That the thread that calls runs on (proc_pid_stat(5): field 39)."""
    with open("/proc/thread-self/stat", encoding="ascii", errors="replace") as file:
        return int(file.read().rpartition(")")[2].split()[36])


def _listed(folder: str) -> list[str]:
    with contextlib.suppress(OSError):
        return os.listdir(folder)
    return []


def _keep_to(thread: int, cores: set[int]) -> None:
    with contextlib.suppress(OSError):          # it has ended meanwhile
        os.sched_setaffinity(thread, cores)
