"""A wire for the tests of a file, and an end for every probe."""
from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live.probe import Run
from tests.live.wire import Wire, wire


@pytest.fixture(scope="module")
def cable() -> Iterator[Wire]:
    with wire() as one:
        yield one


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """A test that fails leaves no probe behind."""
    yield
    while Run.started:
        if (process := Run.started.pop()).poll() is None:
            process.kill()
