"""A thread that writes rows behind those who track packets."""
from __future__ import annotations

import threading
from collections.abc import Callable

from dpi.priority import Aside, give_way

EVERYTHING = 1 << 62        # a packet's number that is beyond all others


class Behind:
    """Runs calls that write what shards exported, those that wait for the earliest packet first. aside: where cores are few its thread gives way to those who
    track packets, and keeps off their core."""

    def __init__(self, shards: int = 1, aside: Aside | None = None) -> None:
        self.passed = [0] * shards      # packets that each shard is beyond, its answers learned
        self.table = threading.Lock()   # held by whoever learns answers or asks for them
        self.failed: BaseException | None = None
        self._waiting: list[tuple[int, int, Callable[[], bool | None], threading.Event]] = []
        self._turn = threading.Condition()
        self._watching = False
        self._count = 0
        self._ended = False
        self._aside = aside
        threading.Thread(target=self._run, name="rows", daemon=True).start()

    def put(self, position: int, call: Callable[[], bool | None], done: threading.Event) -> None:
        """Run the call once all shards are beyond `position`, then set `done`; where it returns True somebody else will."""
        done.clear()
        with self._turn:
            self._count += 1
            self._waiting.append((position, self._count, call, done))
            self._turn.notify_all()

    def beyond(self, shard: int, position: int) -> None:
        """A shard has passed the packets before `position`."""
        self.passed[shard] = position
        if self._watching:
            with self._turn:
                self._turn.notify_all()

    def wait(self) -> None:
        """Until all is written. Raises what went wrong."""
        with self._turn:
            while self._waiting:
                self._turn.wait()
        self.complain()

    def close(self) -> None:
        """End the thread: nothing will be put any more."""
        with self._turn:
            self._ended = True
            self._turn.notify_all()

    def complain(self) -> None:
        """Raise what went wrong, once."""
        failed, self.failed = self.failed, None
        if failed is not None:
            raise failed

    def _run(self) -> None:
        if self._aside is not None:
            give_way()
            self._aside.join()
        while True:
            with self._turn:
                while True:
                    # before `passed` is looked at: a shard that passes on in between sees that it must wake this thread
                    self._watching = bool(self._waiting)
                    if self._waiting and min(self._waiting)[0] <= min(self.passed):
                        break
                    if self._ended and not self._waiting:
                        return
                    self._turn.wait()
                self._watching = False
                first = min(self._waiting)
            passed_on: bool | None = False
            try:
                if self.failed is None:
                    passed_on = first[2]()
            except BaseException as error:      # raised where the caller is; what comes after it is not written
                self.failed = error
            if not passed_on:
                first[3].set()
            with self._turn:
                self._waiting.remove(first)
                self._turn.notify_all()
            del first       # what it wrote holds a shard's memory
