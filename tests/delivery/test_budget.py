"""What an embedded store may keep, by days and by bytes: on the real engine, and the choice of parts against what it must never do."""
from __future__ import annotations

import contextlib
import random
import time
from pathlib import Path

import pytest

from dpi.store import Store, open_store
from dpi.store.budget import FOLDED, RAW, Budget
from dpi.store.disposal import Part
from dpi.store.keeping import Keeping, surplus
from dpi.store.parcel import Packing
from tests.delivery.test_delivery import rows as numbered
from tests.rows import batch

DAY = 86_400


def put(store: Store, packing: Packing, table: str, days: float, seed: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that were stored so many days ago."""
    packing.add(numbered(seed * rows, rows, table) if table == "flows" else batch(table, rows, seed))      # of one protocol: rollups are small
    with monkeypatch.context() as then:
        moment = time.time_ns() - int(days * DAY * 1e9)
        then.setattr("dpi.store.parcel.time.time_ns", lambda: moment)
        packing._stored = 0
        parcel = packing.pack(packing.take(True)[0])
    store.insert(parcel)


def held(store: Store, table: str) -> list[int]:
    """Of each row how many whole days ago it was stored, without repeats."""
    return [int(row[0]) for row in store.query(f"SELECT DISTINCT intDiv(dateDiff('second', stored_time, now64(6)), {DAY}) AS d FROM {table} ORDER BY d")]


def test_by_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.closing(open_store(f"chdb://{tmp_path}/store", merging=True)) as store:
        packing = Packing("p1")
        for number, days in enumerate((0.001, 1, 5, 29, 32, 170, 182, 800)):
            for table in ("flows", "dns", "coverage"):
                put(store, packing, table, days, number, 200, monkeypatch)
        rollups = store.query("SELECT sum(client_bytes), uniqExact(stored_day) FROM flows_1h").rows
        keeping = Keeping(store, Budget(flows=180, messages=30, folded=730))
        assert keeping.look() == keeping.rows > 0
        assert held(store, "flows") == [0, 1, 5, 29, 32, 170] and held(store, "dns") == [0, 1, 5, 29] and held(store, "coverage") == [0, 1, 5, 29, 32, 170, 182]
        (octets, days_held), = store.query("SELECT sum(client_bytes), uniqExact(stored_day) FROM flows_1h").rows
        assert (int(rollups[0][1]), int(days_held)) == (8, 7) and 0 < int(octets) < int(rollups[0][0])       # of flows that are gone, but for the oldest
        assert keeping.look() == 0
        # a clock that is a hundred years ahead makes nothing old
        monkeypatch.setattr("dpi.store.keeping.time.time", lambda: time.time_ns() / 1e9 + 36_500 * DAY)
        assert keeping.look() == 0 and held(store, "flows") == [0, 1, 5, 29, 32, 170]
        keeping.budget = Budget()
        assert keeping.look() == 0


def test_by_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Days of rows, then a day alone whose parts have merged: the newest stay, at least three quarters of what may be kept."""
    size = ("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase() "
            "AND table NOT IN ('fullspan_schema', 'pseudonym_key', 'expired')")        # they stay
    with contextlib.closing(open_store(f"chdb://{tmp_path}/store", merging=True)) as store:
        packing, keeping = Packing("p1"), Keeping(store, Budget(bytes=1 << 20))
        keeping.look()                      # from now on merges make no large parts
        for number in range(40):
            put(store, packing, "flows" if number % 2 else "dns", 20 - number / 4, number, 2500, monkeypatch)
        rollups = store.query("SELECT sum(client_bytes) FROM flows_1h").value()
        before = int(store.query(size).value())
        assert before > 3 << 19
        folded = int(store.query(f"{size} AND table NOT IN ('flows', 'dns')").value())      # made-up rows have little in common: rollups are large
        for may in (before - (before - folded) // 4, before - (before - folded) // 2, before - (before - folded) * 2 // 3):
            keeping.budget = Budget(bytes=may)
            ages = {table: held(store, table) for table in ("flows", "dns")}
            assert keeping.look() > 0
            assert may * 3 // 4 <= int(store.query(size).value()) <= may
            for table, had in ages.items():
                now = held(store, table)
                assert now == had[:len(now)]        # the oldest went
        assert abs(max(held(store, "flows")) - max(held(store, "dns"))) <= 1
        assert store.query("SELECT sum(client_bytes) FROM flows_1h").value() == rollups
        assert store.query("SELECT count() FROM captures").value() == 0


def test_what_is_dropped_never_is_what_may_stay() -> None:
    chance = random.Random(11)
    for _ in range(3000):
        now = 1_700_000_000.0
        parts = [Part(chance.choice((*RAW, *FOLDED)), str(number), 10, chance.randrange(1, 400), chance.choice((0, int(now) - chance.randrange(0, 100 * DAY))))
                 for number in range(chance.randrange(0, 30))]
        budget = Budget(chance.choice((0, chance.randrange(1, 6000))), *(chance.choice((0, chance.randrange(1, 90))) for _ in range(3)))
        gone = surplus(parts, budget, now + chance.choice((0, 10_000 * DAY)))
        newest = max((part.newest for part in parts), default=0)
        assert len({part for part, _ in gone}) == len(gone)
        for part, why in gone:
            if why == "age":
                assert part.newest and min(now + 10_000 * DAY, newest) - part.newest > budget.days[part.table] * DAY
        stay = [part for part in parts if part not in {one for one, _ in gone}]
        by_size = [part for part, why in gone if why == "size"]
        total = sum(part.bytes for part in stay)
        if by_size:
            assert budget.bytes and total >= 0.75 * budget.bytes and total + by_size[-1].bytes > budget.bytes
            for group in (RAW, FOLDED):
                left, went = [part.newest for part in stay if part.table in group], [part.newest for part in by_size if part.table in group]
                assert not left or not went or max(went) <= min(left)
            if any(part.table in FOLDED for part in by_size):
                assert not any(part.table in RAW for part in stay)
        if budget.bytes and all(part.bytes <= budget.bytes / 4 for part in parts):
            assert total <= budget.bytes
        due = [part for part in stay if part.newest and budget.days.get(part.table) and part.newest < min(now, newest) - budget.days[part.table] * DAY]
        assert not due
