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
    """Threads that keep off the core of the one that tracks packets while it does, where there are two. The kernel lets a thread that wakes run where it was
    woken, if no core is free: the two then share that core, for as long as nobody looks how busy the others are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: list[int] = []
        self._process = 0
        self._own: set[int] = set()                 # the core of who tracks packets; none: nobody keeps off any
        self._rest: set[int] = set()
        self._before: dict[int, set[int]] = {}      # cores of the threads of this process when it began

    def join(self) -> None:
        """The thread that calls is one of them."""
        with self._lock:
            self._threads.append(threading.get_native_id())
            if self._rest:
                _keep_to(self._threads[-1], self._rest)

    def begin(self, process: int = 0) -> None:
        """The caller keeps to the core that it runs on from now on, and they to the other. process: all of whose threads are among them, 0 none."""
        cores, own = os.sched_getaffinity(0), {_core()}
        if len(cores) != 2 or not own < cores:      # of more there is always a free one
            return
        with self._lock:
            self._before = {thread: _cores_of(thread) for thread in _threads_of("self")}
            self._own, self._rest, self._process = own, cores - own, process
            _keep_to(0, own)                        # or it would follow those who wake it
            self._threads = [one for one in self._threads if one in self._before]       # a number may be another's by now
            for thread in [*self._threads, *_threads_of(process)]:
                _keep_to(thread, self._rest)

    def end(self) -> None:
        """Each may be where it was before, and what was started meanwhile anywhere: said by the one that began."""
        with self._lock:
            if not self._rest:
                return
            cores = self._own | self._rest
            for thread in _threads_of("self"):
                now, before = _cores_of(thread), self._before.get(thread, cores)
                if now != before and now in (self._own, self._rest):
                    _keep_to(thread, before)
            while any([_keep_to(thread, cores) for thread in _threads_of(self._process) if _cores_of(thread) == self._rest]):
                pass                                # it may have started one that its starter's turn came after
            self._rest = set()


def _core() -> int:
    """That the thread that calls runs on (proc_pid_stat(5): field 39); -1 where nobody says."""
    try:
        with open("/proc/thread-self/stat", encoding="ascii", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[36])
    except (OSError, ValueError, IndexError):
        return -1


def _threads_of(process: int | str) -> list[int]:
    """Of a process that is there; of 0 none."""
    with contextlib.suppress(OSError):
        return [int(one) for one in os.listdir(f"/proc/{process}/task")] if process else []
    return []


def _cores_of(thread: int) -> set[int]:
    with contextlib.suppress(OSError):
        return os.sched_getaffinity(thread)
    return set()


def _keep_to(thread: int, cores: set[int]) -> bool:
    """Whether it is there still."""
    with contextlib.suppress(OSError):
        os.sched_setaffinity(thread, cores)
        return True
    return False
