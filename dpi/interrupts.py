"""Interrupts that come while something must not be left half done."""
from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def held_back() -> Iterator[None]:
    """An interrupt (SIGINT) waits until this is over; a second one does not."""
    if threading.current_thread() is not threading.main_thread():
        yield                   # interrupts come to the main thread alone
        return
    came: list[int] = []
    before: Any = signal.getsignal(signal.SIGINT)
    if not callable(before):
        yield                   # somebody has them ignored, or sees to them elsewhere
        return

    def note(number: int, frame: Any) -> None:
        if came:
            before(number, frame)
        came.append(number)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            before(signal.SIGINT, None)
