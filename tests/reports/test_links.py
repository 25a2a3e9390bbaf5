"""The report of links against plain loops over every minute."""
from __future__ import annotations

import contextlib
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from dpi.batch import Batch, Coded
from dpi.reports.named import make
from dpi.reports.percentile import percentile, rank, slope
from dpi.store import open_store
from tests.reports.conftest import Known
from tests.reports.test_named import ask
from tests.reports.traffic import BEGIN, DAY, MINUTE

#: Days -> slots of five minutes, and the rank of their 95th percentile.
RANKS = {7: (2016, 1916), 28: (8064, 7661), 29: (8352, 7935), 30: (8640, 8208), 31: (8928, 8482)}


@pytest.mark.parametrize("days", RANKS)
def test_the_rank_is_in_integers(days: int) -> None:
    slots, k = RANKS[days]
    assert days * 288 == slots and rank(slots) == k == slots - 5 * slots // 100


@given(some.lists(some.integers(0, 1000), min_size=1, max_size=400))
def test_a_percentile_is_what_is_left_when_the_top_twentieth_is_dropped(values: list[int]) -> None:
    found = percentile(values)
    assert found.value == sorted(values)[:len(values) - 5 * len(values) // 100][-1] and found.n == len(values)


@given(some.lists(some.floats(-1e6, 1e6), min_size=3, max_size=12), some.integers(0, 11), some.floats(0, 1e9))
def test_one_odd_week_does_not_turn_a_slope(values: list[float], odd: int, much: float) -> None:
    line = [3.0 * k for k in range(13)]
    assert slope(line) == 3.0
    line[odd] += much
    assert 0 <= slope(line) <= 6
    steps = [late - early for early, late in pairwise(values)]
    assert min(steps) - 1e-6 <= slope(values) <= max(steps) + 1e-6


def test_a_week_that_is_not_known_is_a_step_all_the_same() -> None:
    """Two weeks apart, 10 more: 5 a week, not 10."""
    assert slope([100.0, None, 110.0, None, 120.0]) == 5.0 and slope([None, 3.0]) == 0.0


def named(table: Any, line: int = 0) -> dict[str, Any]:
    return dict(zip((column.name for column in table.columns), table.rows[line], strict=True))


def test_load_and_peaks_of_each_link(ten_weeks: Known) -> None:
    """Ten days in which some minutes of each link are not known."""
    first, minutes = 8 * 60 - 480, 10 * 1440
    report = ask(ten_weeks, "links", "2026-09-28T08:00", "2026-10-08T08:00")
    load, high = report.tables
    flows = ten_weeks.flows
    place = (flows["interval_start"] - BEGIN) // MINUTE
    for nth, name in enumerate(("core", "edge")):
        at = [row[0] for row in load.rows].index(name)
        told = named(load, at) | named(high, at)
        into, from_ = np.zeros(minutes), np.zeros(minutes)
        for k in np.flatnonzero((flows["link"] == nth) & (place >= first) & (place < first + minutes)).tolist():
            local = bool(flows["client_local"][k])
            into[place[k] - first] += int(flows["server_wire_bytes" if local else "client_wire_bytes"][k])
            from_[place[k] - first] += int(flows["client_wire_bytes" if local else "server_wire_bytes"][k])
        known = ten_weeks.known[nth, first:first + minutes]
        capacity = (80_000, 300_000)[nth]
        slots = [k for k in range(0, minutes, 5) if known[k:k + 5].all()]
        k = len(slots) - 5 * len(slots) // 100
        p95 = [sorted(sum(way[slot:slot + 5].tolist()) * 8 / 300 for slot in slots)[k - 1] for way in (into, from_)]
        assert (told["p95_rank"], told["slots"], told["capacity_bps"]) == (k, len(slots), capacity)
        assert [told["p95_in_bps"], told["p95_out_bps"]] == pytest.approx(p95) and told["p95_bps"] == pytest.approx(max(p95))
        assert told["p95_use"] == pytest.approx(max(p95) / capacity)
        rates = [max(a, b) * 8 / 60 if sure else -1 for a, b, sure in zip(into.tolist(), from_.tolist(), known.tolist(), strict=True)]
        assert told["peak_bps"] == pytest.approx(max(rates)) and told["peak_time"] == BEGIN + (first + rates.index(max(rates))) * MINUTE
        for bound in (70, 85, 95):
            assert told[f"above_{bound}"] == sum(rate > capacity * bound / 100 for rate in rates)
        assert nth or told["above_70"] > told["above_95"] > 0
        hours = []
        for hour in range(minutes // 60):
            of = [rate for rate in rates[hour * 60:hour * 60 + 60] if rate >= 0]
            hours.append(sum(of) / len(of) if len(of) >= 30 else -1)
        assert told["busy_hour_bps"] == pytest.approx(max(hours)) and told["busy_hour"] == BEGIN + (first + hours.index(max(hours)) * 60) * MINUTE
        assert (told["minutes"], told["unknown"]) == (int(known.sum()), minutes - int(known.sum())) and told["lost"] == 5
        assert told["bytes"] == int(ten_weeks.octets[nth, first:first + minutes][known if nth else slice(None)].sum())
        assert told["in_bps"] == pytest.approx(into[known].sum() * 8 / 60 / known.sum())


def test_a_site_and_all_links_sum_each_minute_first(ten_weeks: Known) -> None:
    whole = named(ask(ten_weeks, "links", "2026-10-20", "2026-10-21", by="day").tables[0])
    sites = ask(ten_weeks, "links", "2026-10-20", "2026-10-21", by="site").tables[0]
    assert {row[0] for row in sites.rows} == {"Guiyang", "Zunyi"} and whole["capacity_bps"] == 380_000
    assert whole["bytes"] == sum(named(sites, at)["bytes"] for at in (0, 1))
    assert whole["p95_bps"] < sum(named(sites, at)["p95_bps"] for at in (0, 1))
    hours = ask(ten_weeks, "links", "2026-10-20", "2026-10-21", by="hour").tables[0]
    assert len(hours.rows) == 24 and sum(named(hours, at)["bytes"] for at in range(24)) == whole["bytes"]


def test_minutes_that_are_known_of_every_link(ten_weeks: Known) -> None:
    from dpi.reports.load import known_minutes, loads
    from dpi.reports.request import Place, Request

    places = tuple(Place(name, interface=interface) for name, interface in (("core", "eth1"), ("silent", "eth9")))
    for more in (places[:1], places, ()):
        for begin, end in ((BEGIN - 90_000_000, BEGIN + 5 * DAY + 30_000_000), (BEGIN, BEGIN + 1000), (0, 60_000_000)):
            asked = Request(ten_weeks.store, begin, end, places=more)
            whole = loads(asked, lambda _: "")
            first, known = known_minutes(asked)
            if whole and whole[0].octets.any():
                assert first == whole[0].first and (known == whole[0].known).all() and known.any() == (len(more) < 2)
            else:
                assert not known.any()


def test_a_capture_is_no_link_that_is_missing_before_and_after_it(ten_weeks: Known) -> None:
    """Two captures of an hour each, a day apart: together each minute of theirs is known, and none between them."""
    from dpi.reports.load import known_minutes, loads
    from dpi.reports.request import Request

    count = 120
    minutes = np.concatenate([np.arange(60), 1440 + np.arange(60)])
    with contextlib.closing(open_store(f"{ten_weeks.store.url}?database=two")) as store:
        store.write(Batch("coverage", count, {
            "time": BEGIN + minutes * MINUTE, "probe": Coded.of(["replay"] * count), "source": Coded.of(["a.pcap"] * 60 + ["b.pcap"] * 60),
            "capture_id": np.repeat(np.array([7, 8], np.uint64), 60), "frames": np.ones(count, np.uint64), "wire_bytes": np.full(count, 750, np.uint64),
            "stored_time": np.full(count, BEGIN, np.int64)}))
        store.flush()
        asked = Request(store, BEGIN, BEGIN + 2 * DAY, by="day", captures={7: "a.pcap", 8: "b.pcap"})
        (whole,) = loads(asked, lambda _: "")
        assert np.flatnonzero(whole.known).tolist() == minutes.tolist() and (known_minutes(asked)[1] == whole.known).all()
        load, high = make("links", asked).tables
        assert [(named(load, at)["p95_bps"], named(load, at)["slots"], named(high, at)["minutes"]) for at in (0, 1)] == [(100.0, 12, 60)] * 2


def test_what_was_lost_is_told_in_the_hour_in_which_it_was(ten_weeks: Known) -> None:
    """Five frames of each link in the seventh minute of the store, which is 08:07 in Shanghai."""
    high = ask(ten_weeks, "links", "2026-09-28T08:00", "2026-09-28T10:00", by="hour").tables[1]
    assert [named(high, at)["lost"] for at in (0, 1)] == [10, 0]


def test_growth_says_when_a_link_is_full(ten_weeks: Known) -> None:
    report = ask(ten_weeks, "trends", "2026-09-28", "2026-12-07", by="link")
    growth = next(table for table in report.tables if table.name == "growth")
    for row in growth.rows:
        told = dict(zip((column.name for column in growth.columns), row, strict=True))
        assert 3 <= told["weeks"] <= 10 and told["busy_bps"] > 0
        if told["days_left"] is not None:
            assert told["days_left"] == pytest.approx(max(0, (0.8 * told["capacity_bps"] - told["busy_bps"]) / told["growth_bps"] * 7))
        assert told["days_left"] == 0 or told["use"] < 0.8      # it is there already, growing or not
    assert {row[0] for row in growth.rows} == {"core", "edge"}
