"""The thread that computes usage: a pass where a minute has closed, late flows within the hour, trouble told and no end of anything."""
from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from dpi.store import Away, Store, open_store
from dpi.store.parcel import Parcel
from dpi.usage.metering import Metering
from tests.usage.traffic import BEGIN, MINUTE, coverage, flows, put

pytestmark = pytest.mark.compiled
NOW = BEGIN / 1e6 + 3600


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_store(f"chdb://{tmp_path_factory.mktemp('metering')}/store")
    yield store
    store.close()


class Failing:
    """A store that is away when it is told so."""

    def __init__(self, store: Store) -> None:
        self.url, self._store, self.away = store.url, store, False

    def query(self, sql: str, params: dict[str, Any] | None = None) -> Any:
        if self.away:
            raise Away("it does not answer", "store")
        return self._store.query(sql, params)

    def insert(self, parcel: Parcel, again: bool = False) -> None:
        self._store.insert(parcel, again)


def test_passes_follow_the_minutes(opened: Store) -> None:
    store = Failing(opened)
    metering = Metering(lambda: store, "p1")
    first = flows(200, span=3 * MINUTE)
    put(opened, first, coverage(range(3)))
    done = metering.look(NOW)
    assert done is not None and done.tables["usage_1m"].written == 3
    health = metering.health()
    assert (health.slots, health.revised, health.failures, health.trouble) == (3, 0, 0, "") and health.until == BEGIN / 1e6 + 180
    assert metering.look(NOW) is None                       # nothing has closed
    late = flows(20, 2, span=MINUTE)
    put(opened, late, flows(20, 3, start=BEGIN + 3 * MINUTE, span=MINUTE), coverage([3]))
    done = metering.look(NOW)
    assert done is not None and (done.tables["usage_1m"].written, done.tables["usage_1m"].revised, done.tables["usage_1m"].computed) == (2, 1, 2)

    store.away = True
    assert metering.look(NOW) is None and metering.look(NOW) is None
    assert (metering.health().failures, metering.health().trouble) == (2, "store: it does not answer")
    assert metering.health().until == BEGIN / 1e6 + 240     # and lags more and more
    store.away = False
    put(opened, coverage([4]))
    assert metering.look(NOW) is not None
    assert (metering.health().trouble, metering.health().until) == ("", BEGIN / 1e6 + 300)
    # another probe's minutes are computed as well, and told of only where they are asked for
    put(opened, flows(20, 4, probe="p2", span=MINUTE), coverage([0], probe="p2"))
    assert metering.look(NOW) is not None and metering.health().until == BEGIN / 1e6 + 300
    assert opened.query("SELECT count() FROM usage_slots FINAL WHERE probe = 'p2'").value() == 1


def test_its_thread_ends_when_it_is_told(opened: Store) -> None:
    done = threading.Event()

    class Asked(Failing):
        def query(self, sql: str, params: dict[str, Any] | None = None) -> Any:
            done.set()
            return super().query(sql, params)

    with Metering(lambda: Asked(opened), "p1", every=0.01) as metering:
        assert done.wait(20)
    assert not metering._thread.is_alive() and not metering.health().trouble
