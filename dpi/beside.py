"""Work beside the pipeline: kernels drop the GIL, so blocks can be read ahead of them and rows turned into columns behind them."""
from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from typing import Any

from dpi.capture.block import Block

AHEAD = 6           # blocks read ahead at most
_END = object()


def ahead(blocks: Iterable[Block]) -> Generator[Block, None, None]:
    """The same blocks, made by a thread of their own: at most AHEAD wait. What a block holds must stay valid for as long.

    An error of the source is raised here. Leaving the loop early ends the thread.
    """
    waiting: queue.Queue[Any] = queue.Queue(AHEAD)
    stop = threading.Event()

    def put(item: Any) -> None:
        while not stop.is_set():
            try:
                waiting.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def read() -> None:
        try:
            for block in blocks:
                put(block)
                if stop.is_set():
                    return
            put(_END)
        except BaseException as error:      # handed to the consumer, whatever it is
            put(error)

    thread = threading.Thread(target=read, name="reader", daemon=True)
    thread.start()
    try:
        while (item := waiting.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()


class Behind:
    """Runs calls in order in one thread; at most one waits. What a call raises is raised by the next `do` or by `wait`."""

    def __init__(self) -> None:
        self._calls: queue.Queue[Callable[[], None]] = queue.Queue(1)
        self._failed: BaseException | None = None
        threading.Thread(target=self._run, name="rows", daemon=True).start()

    def _run(self) -> None:
        while True:
            call = self._calls.get()
            try:
                if self._failed is None:
                    call()
            except BaseException as error:  # raised where the caller is
                self._failed = error
            finally:
                self._calls.task_done()

    def do(self, call: Callable[[], None]) -> None:
        """Run it after what came before; waits while one is waiting already."""
        self._raise()
        self._calls.put(call)

    def wait(self) -> None:
        """Until everything is done."""
        self._calls.join()
        self._raise()

    def _raise(self) -> None:
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed
