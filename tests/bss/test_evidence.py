"""What the store says, against sums by hand: a real store, filled as a probe fills it and computed by the probe's own job."""
from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from bss.evidence import Evidence, Minute, Used
from bss.question import Ends
from bss.refusal import Refusal
from dpi.batch import Batch, Coded
from dpi.store import Store, open_store
from dpi.store.audit import rows_of
from dpi.usage.computing import Job
from tests.usage.traffic import BEGIN, MINUTE, coverage, flows, put

START = datetime.fromtimestamp(BEGIN // 1_000_000, UTC)


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def stamps(made: Batch, side: str) -> list[str]:
    """The services of a side, row by row."""
    column: Any = made.columns[f"{side}_service_id"]
    return [column.words[code] for code in column.codes]


def carried(made: Batch, service: str) -> dict[int, list[int]]:
    """Minute -> [down, up, flows] of a service, row by row."""
    found: dict[int, list[int]] = {}
    columns: dict[str, Any] = dict(made.columns)
    for side, other in (("client", "server"), ("server", "client")):
        for k, word in enumerate(stamps(made, side)):
            if word == service and not columns[f"{side}_duplicate"][k]:
                one = found.setdefault(int(columns["interval_start"][k] - BEGIN) // MINUTE, [0, 0, 0])
                one[0] += int(columns[f"{other}_bytes"][k])
                one[1] += int(columns[f"{side}_bytes"][k])
                one[2] += int(columns["interval"][k] == 0)
    return found


@pytest.fixture(scope="module")
def made() -> Batch:
    return flows(3000)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, made: Batch) -> Iterator[Store]:
    """An hour of flows of probe p1. Minute 10 lost 2 %, 11 lost less than 1 %, 12 was not read for 2 s, 13 lost a row; p1 said nothing of 20."""
    store = open_store(f"chdb://{tmp_path_factory.mktemp('evidence')}/store")
    lost = coverage([n for n in range(60) if n != 20], frames=500)
    for name, minute, value in (("dropped_kernel", 10, 20), ("dropped_nic", 11, 9), ("dropped_store", 13, 1), ("unread_us", 12, 2_000_000)):
        numbers = np.zeros(lost.count, np.uint64)
        columns: dict[str, Any] = lost.columns
        numbers[(columns["time"] == BEGIN + minute * MINUTE) & (columns["worker"] == 0)] = value
        lost.columns[name] = numbers
    put(store, made, lost)
    Job(store).run()
    yield store
    store.close()


@pytest.fixture
def evidence(store: Store) -> Iterator[Evidence]:
    made = Evidence(store.url)
    yield made
    made.close()


BAD = {10, 12, 13, 20}


def test_minutes_are_the_sums_of_their_flows_and_say_what_was_measured(evidence: Evidence, made: Batch) -> None:
    by_hand = carried(made, "S1")
    found = evidence.minutes("S1", at(0), at(60))
    assert found == [Minute(at(n), *by_hand.get(n, [0, 0, 0])[:2], n not in BAD) for n in range(60)] and sum(one.down_bytes for one in found) > 0
    assert [one.begin for one in evidence.minutes("S1", at(1.5), at(3.5))] == [at(2), at(3)]           # of a minute that is cut the whole is not his
    assert evidence.minutes("S1", at(3), at(3)) == []


def test_nothing_is_told_apart_from_not_measured(evidence: Evidence) -> None:
    assert evidence.minutes("nobody", at(9), at(12)) == [Minute(at(9), 0, 0, True), Minute(at(10), 0, 0, False), Minute(at(11), 0, 0, True)]
    assert evidence.minutes("S1", at(600), at(601)) == [Minute(at(600), 0, 0, False)]
    assert evidence.used(["nobody"], at(-60), at(60)) == Used(0, 0, 0, 60 - len(BAD), 120)
    assert evidence.first_traffic("nobody", at(0)) is None


def test_used_and_services_are_sums_over_minutes(evidence: Evidence, made: Batch) -> None:
    span = range(5, 35)
    sums = {service: [sum(carried(made, service).get(n, [0, 0, 0])[k] for n in span) for k in range(3)] for service in ("S0", "S1", "S2", "S3", "S4")}
    good = len(set(span) - BAD)
    assert evidence.services(at(5), at(35)) == {service: Used(*three, good, 30) for service, three in sums.items()}
    assert evidence.used(["S0", "S3", "S0"], at(5), at(35)) == Used(*(sums["S0"][k] + sums["S3"][k] for k in range(3)), good, 30)
    peak = evidence.peaks(at(0), at(60))["S2"]
    slots = [[sum(carried(made, "S2").get(n, [0, 0, 0])[k] for n in range(first, first + 5)) * 8 / 300 for first in range(0, 60, 5)] for k in range(2)]
    assert (peak.down_bps, peak.up_bps) == (max(slots[0]), max(slots[1]))


def test_first_traffic_is_of_a_minute_that_begins_since_then(evidence: Evidence, made: Batch) -> None:
    busy = sorted(n for n, one in carried(made, "S4").items() if one[0] + one[1])
    first = evidence.first_traffic("S4", at(busy[3]) - timedelta(seconds=1))
    assert first is not None and first.begin == at(busy[3]) and [first.down_bytes, first.up_bytes] == carried(made, "S4")[busy[3]][:2]
    later = evidence.first_traffic("S4", at(busy[3]) + timedelta(seconds=1))
    assert later is not None and later.begin == at(busy[4])
    found = evidence.first_of({"S4": at(busy[3]), "S0": at(50), "nobody": at(0)})
    assert found["S4"] == first and found["S0"].begin >= at(50) and set(found) == {"S4", "S0"}


def test_the_newest_revision_of_a_minute_counts_alone(store: Store, evidence: Evidence, made: Batch) -> None:
    late = flows(40, seed=9, start=BEGIN + 30 * MINUTE, span=MINUTE)
    put(store, late)
    assert evidence.minutes("S1", at(30), at(31))[0].down_bytes == carried(made, "S1")[30][0]
    Job(store).run()
    wanted = [one + other for one, other in zip(carried(made, "S1")[30], carried(late, "S1")[30], strict=True)]
    assert list(evidence.minutes("S1", at(30), at(31))[0][1:3]) == wanted[:2]
    assert store.query("SELECT uniqExact(revision) FROM usage_1m WHERE service_id = 'S1' AND toMinute(time) = 30").value() == 2


def test_a_capture_counts_only_where_no_probe_told(store: Store, evidence: Evidence, made: Batch) -> None:
    replay = {"probe": "replay", "capture": 77}
    lost = [minute.begin for minute in evidence.minutes("S1", at(0), at(60)) if not minute.covered]
    put(store, flows(300, seed=3, **replay), flows(300, seed=4, start=BEGIN - 60 * MINUTE, services=2, **replay),
        coverage(range(-60, 60), workers=0, told=range(1), **replay))
    named = Batch("captures", 1, {"capture_id": np.array([77], np.uint64), "damage": Coded.of([""])})
    put(store, named)
    Job(store).run(captures=[77])
    assert evidence.used(["S1"], at(0), at(10))[:2] == tuple(sum(carried(made, "S1").get(n, [0, 0])[k] for n in range(10)) for k in range(2))
    assert at(10) in lost and [minute.begin for minute in evidence.minutes("S1", at(0), at(60)) if not minute.covered] == lost    # nor does it cover there
    before = evidence.used(["S1"], at(-60), at(0))
    assert before.down_bytes > 0 and before.measured == 60


def test_unbound_traffic_by_network(store: Store, evidence: Evidence, made: Batch) -> None:
    by_hand = {str(prefix): (int(octets), int(count)) for prefix, octets, count in store.query(
        "SELECT prefix, sum(up_bytes + down_bytes), sum(flows) FROM usage_unbound_1h FINAL WHERE capture_id = 0 GROUP BY prefix")}
    found = evidence.unbound(at(0), at(60))
    assert {one.prefix: (one.bytes, one.flows) for one in found} == by_hand
    assert [one.bytes for one in found] == sorted((one.bytes for one in found), reverse=True)
    assert evidence.unbound(at(60), at(600)) == []


def test_a_link_is_as_busy_as_its_covered_slots(tmp_path: Any, store: Store, evidence: Evidence) -> None:
    n = 60
    line = flows(n, seed=5, probe="p9", services=1, interface=Coded.same("eth7", n), interval_start=np.array([BEGIN + k * MINUTE for k in range(n)], np.int64),
                 client_local=np.ones(n, np.uint8), server_local=np.zeros(n, np.uint8), client_wire_bytes=np.full(n, 1000, np.uint64),
                 server_wire_bytes=np.array([1_000_000 * (k // 5 + 1) for k in range(n)], np.uint64))
    told = coverage([k for k in range(n) if k != 59], probe="p9", frames=100)
    told.columns["source"] = Coded.same("eth7", told.count)
    put(store, line, told)
    found = evidence.busy("p9", "eth7", at(0), at(60))
    rate = 5_000_000 * 8 / 300
    assert found.slots == 11 and found.peak_bps == pytest.approx(11 * rate) and found.p95_bps == pytest.approx(11 * rate)       # the twelfth is not covered
    assert evidence.busy("p9", "eth8", at(0), at(60)) == (None, None, 0)
    down = evidence.busy("p9", "eth7", at(0), at(25))
    assert down.p95_bps == pytest.approx(5 * rate) and down.slots == 5


def test_flows_that_a_binding_is_about(evidence: Evidence, made: Batch) -> None:
    ends = Ends("1", {}, "S3", at(0), at(60))
    moved = evidence.moved(ends)
    assert {one.service_id for one in moved} == {"S3"} and [one.begin for one in moved] == [at(0)]
    sent: dict[str, Any] = {side: made.columns[f"{side}_bytes"] for side in ("client", "server")}
    by_hand = sum(int(sent["client"][k] + sent["server"][k]) for side in sent for k, word in enumerate(stamps(made, side)) if word == "S3")
    assert sum(one.bytes for one in moved) >= by_hand > 0


def test_what_names_a_service_is_noted_in_the_store(store: Store, evidence: Evidence) -> None:
    before = len(rows_of(store))
    evidence.used(["S1"], at(0), at(1))
    added = rows_of(store)[before:]
    assert {row["command"] for row in added} == {"business"} and "S1" in {row["target"] for row in added} and all(row["reason"] for row in added)


def test_no_store_is_away_and_nothing_is_guessed(tmp_path: Any) -> None:
    with pytest.raises(Refusal, match="nothing is measured") as none:
        Evidence("none").used(["S1"], at(0), at(1))
    assert none.value.kind == "away"
    with pytest.raises(Refusal, match="does not answer") as gone:
        Evidence(f"chdb://{tmp_path}/not-there").services(at(0), at(1))
    assert gone.value.kind == "away"
    with pytest.raises(Refusal, match="ends before it begins"):
        Evidence("none").minutes("S1", at(1), at(0))


OWNER = """
import sys
from dpi.store import open_store
from dpi.store.answering import Answering
store = open_store(sys.argv[1], create=False)
with Answering(store):
    print("ready", flush=True)
    sys.stdin.read()
store.close()
"""


def test_the_owner_of_the_store_is_asked_where_there_is_one(tmp_path: Any) -> None:
    """As beside a running probe: the same answers by HTTP, each reading noted by the owner with its reason, and nothing is written but by him."""
    url = f"chdb://{tmp_path}/store"
    program = ("import sys; from tests.usage.traffic import *; from dpi.store import open_store; from dpi.usage.computing import Job; "
               "store = open_store(sys.argv[1]); put(store, flows(500), coverage(range(60), frames=500)); Job(store).run(); store.close()")
    subprocess.run([sys.executable, "-c", program, url], check=True)
    by_hand = carried(flows(500), "S1")
    owner = subprocess.Popen([sys.executable, "-c", OWNER, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    evidence = Evidence(url)
    try:
        assert owner.stdout is not None and owner.stdout.readline() == "ready\n"
        assert evidence.used(["S1", "S2"], at(0), at(60)).measured == 60
        assert evidence.minutes("S1", at(0), at(60)) == [Minute(at(n), *by_hand.get(n, [0, 0, 0])[:2], True) for n in range(60)]
        first = evidence.first_of({"S1": at(0), "S2": at(20)})
        assert first["S1"].begin == at(min(by_hand)) and first["S2"].begin >= at(20)
        assert set(evidence.services(at(0), at(60))) == set(evidence.peaks(at(0), at(60))) and evidence.unbound(at(0), at(60))
        assert evidence.busy("p1", "eth1", at(0), at(60)).slots == 12 and evidence.moved(Ends("1", {}, "S1", at(0), at(60)))
        assert evidence.holder("192.0.2.1", at(0)) is None
        with pytest.raises(Refusal, match="another process owns the store"):
            evidence.restamp(Ends("1", {}, "S1", at(0), at(60)), "S2", "C2")
        noted = [row for row in rows_of(open_store(url, create=False, readonly=True)) if row["command"] == "business"]
        assert len(noted) > 8 and all(str(row["reason"]).startswith("business layer") for row in noted)
    finally:
        owner.communicate("")
    with pytest.raises(Refusal) as gone:
        evidence.used(["S1"], at(0), at(60))
    assert gone.value.kind == "away"


def test_a_store_that_nobody_owns_is_let_go_soon(tmp_path: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a probe can start while the business layer runs."""
    monkeypatch.setattr("bss.evidence.LINGER", 0.05)
    evidence = Evidence(store.url)
    evidence.used(["S1"], at(0), at(1))
    assert evidence._store is not None
    deadline = time.monotonic() + 5
    while evidence._store is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert evidence._store is None and evidence.used(["S1"], at(0), at(1)).minutes == 1
    evidence.close()


def session(store: Store, at_: datetime, action: str, service: str, address: str = "100.64.0.9", length: int = 32, number: int = 1, **given: Any) -> None:
    """A row of `sessions`, as one learned on the wire."""
    us = int(at_.timestamp()) * 1_000_000
    ip = np.array([[0] * 10 + [255, 255, *map(int, address.split("."))]], np.uint8)
    words = {"probe": "p1", "source": "eth1", "action": action, "reason": "", "learned_from": "radius", "service_id": service, "customer_id": "C1"}
    numbers = {"capture_id": 0, "user": 1, "circuit": 0, "mac": 0, "session": number, "nas": 5, **given}
    put(store, Batch("sessions", 1, {
        "time": np.array([us], np.int64), "since": np.array([us], np.int64), "address": ip, "prefix_length": np.array([length], np.uint8),
        "vlan": np.array([given.get("vlan", 0)], np.uint16), "inner_vlan": np.zeros(1, np.uint16), "any_vlan": np.array([given.get("any_vlan", 1)], np.uint8),
        **{name: Coded.of([word]) for name, word in words.items()},
        **{name: np.array([number_], np.uint64) for name, number_ in numbers.items() if name not in ("vlan", "any_vlan")}}))


def test_who_had_an_address_by_its_session(store: Store, evidence: Evidence) -> None:
    session(store, at(100), "start", "S1")
    session(store, at(110), "stop", "S1")
    session(store, at(120), "start", "S2", number=2)
    session(store, at(121), "start", "S3", number=3, vlan=7, any_vlan=0)
    session(store, at(140), "restart", "", address="0.0.0.0", length=0, number=0)

    def holder(minute: float, **given: int) -> str | None:
        found = evidence.holder("100.64.0.9", at(minute), **given)
        return found and found.service_id
    assert [holder(n) for n in (99, 100, 109.9, 110, 119, 120, 139, 140)] == [None, "S1", "S1", None, None, "S2", "S2", None]
    assert (holder(130, vlan=7), holder(130, vlan=8)) == ("S3", "S2") and evidence.holder("100.64.0.10", at(130)) is None
    found = evidence.holder("100.64.0.9", at(105))
    assert found is not None and (found.customer_id, found.learned_from, found.since) == ("C1", "radius", at(100))
