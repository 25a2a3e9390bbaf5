"""Customers and their delays out of the tables of usage: of each slot the latest computation counts, and what is not computed yet is said."""
from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from dpi.batch import Batch, Coded, Lists, Texts
from dpi.reports.asking import make_asked
from dpi.reports.language import Language
from dpi.settings import Settings
from dpi.store import Store, open_store
from tests.reports.traffic import BEGIN, DAY, END, MINUTE

HOUR = 60 * MINUTE
CLOSED = 47         # of the 48 hours


def columns(count: int, **given: Any) -> dict[str, Any]:
    return {"probe": Coded.of(["box"] * count), "capture_id": np.zeros(count, np.uint64), "stored_time": np.full(count, END, np.int64), **given}


def hours(revision: int, scale: int) -> Batch:
    """Of each closed hour a row for two services of two customers and an application of each."""
    keys = [(hour, k) for hour in range(CLOSED) for k in range(2)]
    sent = np.array([(hour + 1) * (k + 1) * scale for hour, k in keys], np.uint64)
    return Batch("usage_1h", len(keys), columns(
        len(keys), time=np.array([(BEGIN + hour * HOUR) // 1_000_000 for hour, _ in keys], np.int64), service_id=Coded.of([("S1", "S2")[k] for _, k in keys]),
        customer_id=Coded.of([("C1", "C2")[k] for _, k in keys]), application=Coded.of([("YouTube", "")[k] for _, k in keys]), up_bytes=sent,
        down_bytes=sent * np.uint64(9), flows=np.ones(len(keys), np.uint64), duplicate_bytes=np.full(len(keys), 7, np.uint64),
        revision=np.full(len(keys), revision, np.uint32)))


def minutes() -> Batch:
    """Of each closed minute a row for S1: 100 kB up, 4 round trips of 1 to 8 ms."""
    count = CLOSED * 60
    bins = [0] * 26
    bins[9], bins[10], bins[12] = 1, 2, 1
    return Batch("usage_1m", count, columns(
        count, time=(BEGIN + np.arange(count, dtype=np.int64) * MINUTE) // 1_000_000, service_id=Coded.of(["S1"] * count), customer_id=Coded.of(["C1"] * count),
        up_bytes=np.full(count, 100_000, np.uint64), rtt_count=np.full(count, 4, np.uint64), rtt_sum_us=np.full(count, 12_000, np.uint64),
        rtt_histogram=Lists(np.arange(count + 1, dtype=np.int64) * 26, np.array(bins * count, np.uint64)), revision=np.ones(count, np.uint32)))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store(f"chdb://{tmp_path_factory.mktemp('usage')}/store")
    slots = Batch("usage_slots", CLOSED, columns(
        CLOSED, table_name=Coded.of(["usage_1h"] * CLOSED), time=(BEGIN + np.arange(CLOSED, dtype=np.int64) * HOUR) // 1_000_000,
        digest=Texts.of([""] * CLOSED), revision=np.ones(CLOSED, np.uint32)))
    told = 48 * 60
    coverage = Batch("coverage", told, columns(told, time=BEGIN + np.arange(told, dtype=np.int64) * MINUTE, source=Coded.of(["eth1"] * told)))
    each = CLOSED * 60
    small = Batch("usage_slots", each, columns(
        each, table_name=Coded.of(["usage_1m"] * each), time=(BEGIN + np.arange(each, dtype=np.int64) * MINUTE) // 1_000_000,
        digest=Texts.of([""] * each), revision=np.ones(each, np.uint32)))
    for batch in (hours(1, 1000), hours(2, 10), minutes(), slots, small, coverage):
        opened.write(batch)
    opened.flush()
    yield opened
    opened.close()


def ask(store: Store, name: str, **how: Any) -> Any:
    return make_asked(store, Settings(), name, "2026-09-28", "2026-09-30", now=BEGIN + 2 * DAY, **how)[0]


def test_the_latest_computation_counts(store: Store) -> None:
    report = ask(store, "customers")
    total = sum((hour + 1) * 10 * 10 for hour in range(CLOSED))
    rows = {row[0]: row for row in report.tables[0].rows}
    assert (rows["C1"][5], rows["C2"][5], report.tables[0].total[5]) == (total, 2 * total, 3 * total) and report.sources[0] == "usage_1h"
    assert rows["C2"][1:5] == (1, CLOSED, 2 * total // 10, 2 * total * 9 // 10) and rows["C1"][8] == 7 * CLOSED
    assert "47 of the 48 hours" in report.notes[0](Language("en")) and "48 小时" in report.notes[0](Language("zh"))
    narrowed = ask(store, "applications", filters={"customer": "C1"})
    assert [row[0] for row in narrowed.tables[0].rows] == ["YouTube"] and narrowed.tables[0].total[5] == total


def test_busiest_times_are_of_minutes(store: Store) -> None:
    """The last of the 48 hours is not computed yet: that is not an hour without traffic."""
    table = ask(store, "customers").tables[1]
    one = next(row for row in table.rows if row[0] == "C1")
    assert one[1] == pytest.approx(100_000 * 8 / 60) and (one[3], one[4]) == (564 - 5 * 564 // 100, 564) and one[5] == pytest.approx(100_000 * 8 / 60)


def test_delays_are_told_by_the_greatest_of_their_bin(store: Store) -> None:
    report = ask(store, "quality", by="service")
    row = next(row for row in report.tables[1].rows if row[0] == "S1")
    assert row[1:4] == (CLOSED * 60 * 4, 2.0 ** 11, 2.0 ** 13) and row[4:] == (None,) * 6
    assert "greatest of its bin" in report.tables[1].notes[0](Language("en"))


def test_a_week_of_which_usage_is_not_whole_is_not_compared_with(store: Store) -> None:
    """Usage of three weeks of which the first three days were never computed: the second week before is not known, not small."""
    count, first = 18 * 24, 3 * 24
    starts = (BEGIN + (first + np.arange(count, dtype=np.int64)) * HOUR) // 1_000_000
    with contextlib.closing(open_store(f"{store.url}?database=later")) as later:
        later.write(Batch("usage_1h", count, columns(count, time=starts, service_id=Coded.of(["S1"] * count), customer_id=Coded.of(["C1"] * count),
                                                     up_bytes=np.full(count, 1000, np.uint64), revision=np.ones(count, np.uint32))))
        later.write(Batch("usage_slots", count, columns(count, table_name=Coded.of(["usage_1h"] * count), time=starts, digest=Texts.of([""] * count),
                                                        revision=np.ones(count, np.uint32))))
        later.write(Batch("coverage", 2, columns(2, time=np.array([BEGIN, BEGIN + 21 * DAY - MINUTE]), source=Coded.of(["eth1"] * 2))))
        later.flush()

        def weeks(until: str) -> Any:
            report = make_asked(later, Settings(), "trends", "2026-09-28", until, now=BEGIN + 21 * DAY, by="customer")[0]
            return next(table for table in report.tables if table.title.en.startswith("Week")).rows[0][1:4]

        assert weeks("2026-10-19") == (168_000.0, 168_000.0, 0.0) and weeks("2026-10-12") == (168_000.0, None, None)
