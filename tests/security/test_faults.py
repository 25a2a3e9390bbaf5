"""Each detector of faults with made-up rows and minutes of coverage: nothing below its limit, one alert over it, who is named, and that it is cleared."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest

from dpi.batch import Batch, Coded
from dpi.security.alert import Alert
from dpi.security.registry import configured, every
from tests.security.made import BEGIN, SECOND, batch, row, watch

SERVER, NONE = "203.0.113.10", 0xFFFFFFFF
Row = dict[str, Any]


def line(k: int = 1) -> Row:
    """Whose the client is."""
    return {"client": f"192.0.2.{k}", "service": f"line-{k}", "customer": f"c-{k}"}


def download(at: float, packets: int = 1000, lost: int = 0, rtt: int = NONE, who: Row | None = None, **given: Any) -> Row:
    """One row of a TCP flow with payload, of a client that is bound."""
    one = who or line()
    made = row(one["client"], SERVER, at=at, client_packets=packets // 2, server_packets=packets, server_retransmissions=lost, server_payload_bytes=1,
               client_wire_bytes=packets * 30, server_wire_bytes=packets * 1500, client_rtt_us=rtt, server_rtt_us=NONE, server_response_us=NONE, **given)
    return {**made, "service": one["service"], "customer": one["customer"]}


def flows(rows: Iterable[Row], side: str = "client", source: str = "wire") -> Batch:
    """They as a batch with the columns of identity."""
    kept = list(rows)
    words = {f"{side}_{what}_id": Coded.of(one.get(what, "") for one in kept) for what in ("service", "customer")}
    plain = [{name: value for name, value in one.items() if name not in ("service", "customer")} for one in kept]
    return batch(plain, source=Coded.same(source, len(kept)), **words)


def coverage(minute: int, megabits: float, busiest: float | None = None, frames: int = 1000, unread: int = 0, source: str = "wire") -> Batch:
    """A minute of a link: its mean, and its busiest second (None: as the mean)."""
    start = BEGIN + minute * 60 * SECOND
    return Batch("coverage", 1, {
        "time": np.array([start]), "probe": Coded.same("test", 1), "source": Coded.same(source, 1), "frames": np.array([frames]),
        "wire_bytes": np.array([int(megabits * 7_500_000)]), "busiest_second": np.array([start + SECOND]), "unread_us": np.array([unread]),
        "busiest_bytes": np.array([int((megabits if busiest is None else busiest) * 125_000)])})


def told(kind: str, batches: Iterable[Batch], **options: Any) -> list[Alert]:
    """What a listener hears of one detector."""
    watchman, _, heard = watch([one for one in configured({}) if one.detector.kind == kind], **options)
    for one in batches:
        watchman.write(one)
    watchman.end()
    return heard


def slots(count: int, each: Any, who: list[Row] | None = None) -> Iterator[Batch]:
    """A batch for each slot of 30 s, of ten rows of every line; each(slot): what they have."""
    for k in range(count):
        yield flows(download(30 * k + j, **{"packets": 100, "who": one, **each(k)}) for one in (who or [line()]) for j in range(10))


def test_every_fault_has_its_tests() -> None:
    assert sorted(one.kind for one in every() if one.faults is not None) == [
        "congestion", "loss", "microburst", "resource_silent", "rtt_degradation", "service_silent"]


# ---- loss

@pytest.mark.parametrize(("packets", "lost", "fires"), [(1000, 29, False), (1000, 30, True), (299, 200, False), (300, 9, True)])
def test_loss_has_a_limit_and_a_floor(packets: int, lost: int, fires: bool) -> None:
    heard = told("loss", [flows([download(5, packets, lost), download(35, packets, lost)])])
    assert bool(heard) == fires
    for one in heard:
        assert (one.state, one.customer_id, one.service_id, one.target, one.shared_by) == ("raised", "c-1", "line-1", "192.0.2.1", 1)
        assert "the line of 192.0.2.1 loses packets: 3 %" in one.summary and "192.0.2.1 的线路丢包" in one.summary_zh
        assert "client_service_id = 'line-1'" in one.evidence and one.dedup_key == "loss:service line-1:test"


def test_loss_is_held_against_what_is_usual_of_the_line() -> None:
    reorders = lambda k: {"lost": 2 if k < 30 else 5}           # noqa: E731
    assert {one.first_time for one in told("loss", slots(40, reorders))} == set()                            # 2 %, then 5: four times are 8
    once = told("loss", slots(32, lambda k: {"lost": 2 if k < 30 else 9}))
    assert [(one.state, one.first_time) for one in once] == [("raised", BEGIN + 900 * SECOND)] and "(limit 8.14 %)" in once[0].summary
    assert told("loss", slots(32, lambda k: {"lost": 0 if k < 30 else 2}))[0].first_time == BEGIN + 900 * SECOND     # below the fixed limit
    assert told("loss", slots(10, lambda k: {"lost": 2})) == []


def test_a_flood_or_a_call_in_vain_is_no_loss() -> None:
    assert told("loss", [flows([download(5, 1000, 500) | {"server_payload_bytes": 0}])]) == []


def test_a_link_that_is_shared_has_one_alert_with_its_customers_and_is_cleared() -> None:
    who = [line(k) for k in range(1, 6)]
    heard = told("loss", slots(40, lambda k: {"lost": 5 if k < 3 else 0}, who))
    assert [one.state for one in heard] == ["raised", "cleared"] and heard[-1].count == 2
    assert told("loss", [flows(download(30 * j, 1000, 50, who=one, vlan=9) for one in who for j in range(2))])[0].dedup_key == "loss:link wire:test"
    assert {(one.dedup_key, one.shared_by, one.customer_id, one.target) for one in heard} == {("loss:link wire:test", 5, "", "")}
    assert "link wire loses packets" in heard[0].summary and "source = 'wire'" in heard[0].evidence


def test_a_customer_of_many_with_a_fault_of_its_own_is_named() -> None:
    who = [line(k) for k in range(1, 9)]
    rows = [download(j, 1000, 90 if one is who[2] else 0, who=one) for one in who for j in (5, 35)]
    assert [(one.customer_id, one.dedup_key) for one in told("loss", [flows(rows)])] == [("c-3", "loss:service line-3:test")]


# ---- round trips

@pytest.mark.parametrize(("known", "rtt", "fires"), [(1, 900_000, False), (2, 160_000, False), (2, 200_000, True), (30, 35_000, False), (30, 52_000, True)])
def test_round_trips_are_held_against_what_is_usual(known: int, rtt: int, fires: bool) -> None:
    heard = told("rtt_degradation", slots(known + 2, lambda k: {"rtt": 10_000 if k < known else rtt}))
    assert [(one.customer_id, one.first_time) for one in heard] == ([("c-1", BEGIN + 30 * known * SECOND)] if fires else [])
    assert not fires or "(usual: 10.1 ms)" in heard[0].summary


def test_one_slot_over_a_limit_is_told_only_where_it_is_far_over() -> None:
    assert told("rtt_degradation", slots(31, lambda k: {"rtt": 10_000 if k < 30 else 300_000})) == []
    assert told("rtt_degradation", slots(31, lambda k: {"rtt": 10_000 if k < 30 else 350_000}))
    assert told("loss", slots(1, lambda k: {"lost": 11})) == [] and told("loss", slots(1, lambda k: {"lost": 12}))
    assert told("loss", slots(9, lambda k: {"lost": 11 if k % 2 else 0})) == []


def test_few_round_trips_or_a_small_rise_say_nothing() -> None:
    def rows(k: int) -> Batch:
        return flows(download(30 * k + j, rtt=1000 if k < 30 else 90_000) for j in range(10 if k < 30 else 9))
    assert told("rtt_degradation", [rows(k) for k in range(32)]) == []
    assert told("rtt_degradation", slots(32, lambda k: {"rtt": 1000 if k < 30 else 20_000})) == []


# ---- how full

def full(megabits: list[float], capacity: int = 100_000_000, each: Any = None) -> list[Batch]:
    out = []
    for minute, rate in enumerate(megabits):
        out.append(flows(download(60 * minute + 30 * half + j, **({"packets": 10} | (each(minute) if each else {}))) for half in (0, 1) for j in range(10)))
        out.append(coverage(minute, rate))
    return out


@pytest.mark.parametrize(("rates", "fires"), [([84.0] * 9, False), ([90.0] * 4 + [10.0] + [90.0] * 4, False), ([90.0] * 5, True), ([96.0], False),
                                              ([96.0] * 2, True)])
def test_a_full_link_is_told_after_some_minutes(rates: list[float], fires: bool) -> None:
    # directions are not told apart here: both together are held against the capacity
    made = [Batch(one.table, one.count, {name: column for name, column in one.columns.items() if "service" not in name and "customer" not in name}, one.records)
            for one in full(rates)]
    heard = told("congestion", made, places=lambda probe, interface: ("uplink", 100_000_000))
    assert bool(heard) == fires and all(one.dedup_key == "congestion:link wire:test" and "link uplink is full" in one.summary for one in heard)


def test_the_busier_direction_is_what_is_full_where_it_can_be_told() -> None:
    each = lambda minute: {"packets": 10_000}           # noqa: E731 ; 20 rows of 15 MB: 40 Mbit/s down, 0.8 up
    places = {"places": lambda probe, interface: ("uplink", 41_000_000)}
    heard = told("congestion", full([90.0] * 2, each=each), **places)
    assert [(one.customer_id, one.shared_by) for one in heard] == [("c-1", 1)] and "97.6 %" in heard[0].summary
    assert told("congestion", full([90.0] * 2, each=each), places=lambda probe, interface: ("uplink", 43_000_000)) == []


def test_a_plateau_with_losses_is_congestion_where_no_capacity_is_known() -> None:
    usual = [5.0] * 10
    assert told("congestion", full([*usual, 20.0, 20.0], each=lambda minute: {"packets": 100, "lost": 10 if minute > 9 else 0}))
    assert told("congestion", full([*usual, 20.0, 20.0], each=lambda minute: {"packets": 100})) == []
    assert told("congestion", full([*usual, 0.9, 0.9], each=lambda minute: {"packets": 100, "lost": 10 if minute > 9 else 0})) == []


@pytest.mark.parametrize(("mean", "busiest", "fires"), [(10, 89, False), (10, 91, True), (55, 91, False)])
def test_a_burst_fills_a_link_of_known_capacity(mean: float, busiest: float, fires: bool) -> None:
    made = [flows([download(3), download(40)]), coverage(0, mean, busiest)]
    heard = told("microburst", made, places=lambda probe, interface: ("uplink", 100_000_000))
    assert [(one.kind, one.severity, one.customer_id) for one in heard] == ([("microburst", "low", "c-1")] if fires else [])


def test_a_burst_is_held_against_usual_ones_where_no_capacity_is_known() -> None:
    def minutes(count: int, last: float) -> list[Batch]:
        return [each for k in range(count + 1) for each in (flows([download(60 * k + 3), download(60 * k + 40)]), coverage(k, 1, 2 if k < count else last))]
    assert told("microburst", minutes(12, 17)) and not told("microburst", minutes(12, 15)) and not told("microburst", minutes(9, 17))


# ---- silence

def talk(slots_of: Iterable[int], who: Row, asks: int = 0) -> list[Row]:
    """The service answers a row in each of these slots; asks: or is asked so often in vain."""
    return [{**row("198.51.100.7", who["client"], at=30 * k + 1 + j / 10, server_packets=0 if asks else 3, client_rtt_us=NONE, server_rtt_us=NONE,
                   server_response_us=NONE), "service": who["service"], "customer": who["customer"]} for k in slots_of for j in range(asks or 1)]


def others(last: int) -> list[Row]:
    """Other traffic of the link."""
    return [row("198.51.100.8", "198.51.100.9", at=30 * k) for k in range(last + 2)]


@pytest.mark.parametrize(("spoke", "silent", "asks", "fires"), [(3, 2, 5, True), (2, 3, 5, False), (3, 1, 50, False), (3, 2, 4, False), (119, 30, 0, False),
                                                               (120, 19, 0, False), (120, 20, 0, True)])
def test_a_service_that_falls_silent_is_told_sooner_where_it_is_asked(spoke: int, silent: int, asks: int, fires: bool) -> None:
    rows = [*talk(range(spoke), line()), *(talk(range(spoke, spoke + silent), line(), asks) if asks else []), *others(spoke + silent - 1)]
    made = sorted(rows, key=lambda one: int(one["interval_start"]))
    heard = told("service_silent", [flows(made[k:k + 20], "server") for k in range(0, len(made), 20)])
    assert bool(heard) == fires
    if fires:
        assert [(one.customer_id, one.target, one.first_time) for one in heard] == [("c-1", "192.0.2.1", BEGIN + 30 * spoke * SECOND)]


def test_a_service_with_gaps_that_declines_is_no_silence_and_one_that_speaks_again_is_cleared() -> None:
    gaps = [k for k in range(200) if k < 100 or k % 2 == 0]
    rows = sorted([*talk(gaps, line()), *others(260)], key=lambda one: int(one["interval_start"]))
    assert told("service_silent", [flows(rows, "server")]) == []
    back = [*talk(range(5), line()), *talk(range(5, 9), line(), 9), *talk(range(9, 60), line()), *others(60)]
    back.sort(key=lambda one: int(one["interval_start"]))
    states = [one.state for one in told("service_silent", [flows(back[k:k + 9], "server") for k in range(0, len(back), 9)])]
    assert states[0] == "raised" and states[-1] == "cleared" and states.count("raised") == 1


def test_most_services_of_a_link_at_once_are_one_resource() -> None:
    who = [line(k) for k in range(1, 6)]
    rows = [one for each in who for one in talk(range(65 if each is not who[4] else 80), each)] + others(80)
    rows.sort(key=lambda one: int(one["interval_start"]))
    asked = [one for one in configured({}) if one.detector.kind in ("service_silent", "resource_silent")]
    watchman, _, heard = watch(asked)
    for k in range(0, len(rows), 25):
        watchman.write(flows(rows[k:k + 25], "server"))
    watchman.end()
    assert {(one.kind, one.dedup_key, one.shared_by) for one in heard} >= {("resource_silent", "resource_silent:link wire:test", 5)}
    assert {one.kind for one in heard} == {"resource_silent"} and heard[0].first_time == BEGIN + 1950 * SECOND


def test_services_that_fall_silent_one_by_one_are_no_resource() -> None:
    who = [line(k) for k in range(1, 6)]
    rows = [one for k, each in enumerate(who) for one in talk(range(60 + 5 * k), each)] + others(100)
    rows.sort(key=lambda one: int(one["interval_start"]))
    assert told("resource_silent", [flows(rows[k:k + 25], "server") for k in range(0, len(rows), 25)]) == []


@pytest.mark.parametrize("grace", [20, 45])
@pytest.mark.parametrize(("empty", "unread", "fires"), [(1, 0, False), (3, 0, True), (3, 5, False)])
def test_a_link_without_a_frame_while_the_probe_reads_is_silent(empty: int, unread: int, fires: bool, grace: int) -> None:
    watchman, _, heard = watch([one for one in configured({}) if one.detector.kind == "resource_silent"], prompt=True, grace=grace)
    for minute in range(12):
        watchman.write(flows([download(60 * minute), download(60 * minute + 35)]))
        watchman.write(coverage(minute, 1))
        watchman.tick(BEGIN + (60 * minute + 100) * SECOND)
    for minute in range(12, 12 + empty):
        watchman.tick(BEGIN + (60 * minute + 61) * SECOND)
        watchman.write(coverage(minute, 0, frames=0, unread=unread))
        watchman.tick(BEGIN + (60 * minute + 120) * SECOND)
    assert [(one.state, one.customer_id) for one in heard][:1] == ([("raised", "c-1")] if fires else [])


def test_minutes_of_several_workers_are_one_and_those_that_nobody_read_are_none() -> None:
    places = {"places": lambda probe, interface: ("uplink", 100_000_000)}
    halves = [each for minute in range(2) for each in (
        flows(row("10.0.0.1", "10.0.0.2", at=60 * minute + at) for at in (0, 40)), coverage(minute, 48), coverage(minute, 49))]
    unread = Batch("coverage", 1, {"time": np.array([BEGIN]), "probe": Coded.same("test", 1), "source": Coded.same("wire", 1), "unread_us": np.array([9])})
    assert [one.dedup_key for one in told("congestion", [unread, *halves], **places) if "97 %" in one.summary] == ["congestion:link wire:test"]
    assert told("congestion", [each for each in halves if each.table == "flows" or each is halves[1]], **places) == []


def test_a_network_that_falls_silent_is_told() -> None:
    rows = sorted([*talk(range(120), line() | {"service": ""}), *others(140)], key=lambda one: int(one["interval_start"]))
    def local(k: int) -> Batch:
        part = rows[k:k + 9]
        made = flows(part, "server")
        return Batch("flows", made.count, {**{name: column for name, column in made.columns.items() if not name.startswith("server_")},
                                           "server_local": np.array(["service" in one for one in part], np.uint8)}, made.records)
    heard = told("resource_silent", [local(k) for k in range(0, len(rows), 9)])
    assert {(one.dedup_key, one.target) for one in heard} == {("resource_silent:network 192.0.2.0/24:test", "192.0.2.0/24")}
    assert "192.0.2.0/24 has been silent" in heard[0].summary and "toIPv6('192.0.2.255')" in heard[0].evidence


def test_a_vlan_that_falls_silent_is_told() -> None:
    rows = [row("10.0.0.1", "10.0.0.2", at=30 * k, vlan=77) for k in range(120)] + others(140)
    rows.sort(key=lambda one: int(one["interval_start"]))
    heard = told("resource_silent", [flows(rows[k:k + 9]) for k in range(0, len(rows), 9)])
    assert {one.dedup_key for one in heard} == {"resource_silent:vlan 77:test"} and "VLAN 77 has been silent" in heard[0].summary
