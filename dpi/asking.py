"""What is asked for while packets are read already: an engine that is being opened, or the hash of a file, would be waited for else."""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Asked(Generic[T]):
    """A call in a thread of its own, begun at once. Called itself it waits for what the call returns, or raises what that raised."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._answer: list[T] = []
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="asked", daemon=True)
        self._thread.start()

    def __call__(self) -> T:
        self.settle()
        self.complain()
        return self._answer[0]

    def settle(self) -> None:
        """Wait for it, whatever comes of it."""
        self._thread.join()

    def complain(self) -> None:
        """Raise what the call raised, where it has by now."""
        if self._failed is not None:
            raise self._failed

    def _run(self) -> None:
        try:
            self._answer.append(self._call())
        except BaseException as error:      # raised where the answer is wanted
            self._failed = error
