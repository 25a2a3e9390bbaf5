"""Interrupts that are held back: real signals."""
from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from dpi.interrupts import held_back


@pytest.fixture(autouse=True)
def taken() -> Iterator[None]:
    """Interrupts are taken, also where a shell has them ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_one_waits_and_a_second_does_not() -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt), held_back():
        signal.raise_signal(signal.SIGINT)
        done.append("went on")
    with pytest.raises(KeyboardInterrupt), held_back():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        done.append("never")
    with held_back():
        done.append("quiet")
    assert done == ["went on", "quiet"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_where_they_are_ignored_or_in_another_thread_nothing_is_changed() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with held_back():
        signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    found: list[object] = []

    def beside() -> None:
        with held_back():
            found.append(signal.getsignal(signal.SIGINT))
    thread = threading.Thread(target=beside)
    thread.start()
    thread.join()
    assert found == [signal.SIG_IGN]
