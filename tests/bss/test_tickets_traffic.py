"""What the traffic says of tickets, by a real store: nobody resolves what is still down, the probe's alerts and pings become tickets once, and a store that is
away refuses."""
from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from bss.desk import Desk
from bss.evidence import Evidence
from bss.office import Office
from bss.refusal import Refusal
from bss.tables import LinkState, Resource, Service, ServiceResource, Ticket
from bss.tickets import linkstate, sweeping, ticket, transition
from bss.tickets.traffic import Minute, ailment, silent, trailing
from dpi.batch import Batch, Coded, Texts
from dpi.store import Store, open_store
from tests.bss.conftest import BEGIN, Clock
from tests.bss.selling import act, person, records
from tests.bss.test_tickets_alarms import plant, tickets
from tests.usage.traffic import put

SPAN = 60                   # minutes before BEGIN that the store knows
FULL = 712_500_000          # bytes of a minute at 95 % of 100 Mbit/s
BROKE = BEGIN - timedelta(minutes=40)
S = [f"S{n:015d}" for n in range(8)]


def micros(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000


def ago(minutes: int) -> datetime:
    return BEGIN - timedelta(minutes=minutes)


def usage(rows: list[dict[str, Any]]) -> Batch:
    """Rows of usage_1m."""
    n = len(rows)
    numbers = ("down_bytes", "up_bytes", "down_packets", "up_packets", "syn_up", "syn_ack_down", "up_tcp_packets", "up_retransmissions", "rtt_count",
               "rtt_sum_us")
    return Batch("usage_1m", n, {
        "time": np.array([micros(row["time"]) // 1_000_000 for row in rows], np.int64), "probe": Coded.same("p1", n), "capture_id": np.zeros(n, np.uint64),
        "service_id": Coded.of([row["service"] for row in rows]), "customer_id": Coded.same("", n),
        **{name: np.array([row.get(name, 0) for row in rows], np.uint64) for name in numbers},
        "servers": np.array([row.get("servers", 0) for row in rows], np.uint32), "directions": np.full(n, 3, np.uint8), "revision": np.ones(n, np.uint32)})


def carried(service: str, first: int, last: int, **given: Any) -> list[dict[str, Any]]:
    """Minutes from so many minutes ago to so many, each with both ways where nothing else is said."""
    return [{"time": ago(n), "service": service, "down_bytes": 1_000_000, "up_bytes": 90_000, "down_packets": 900, "up_packets": 700, **given}
            for n in range(first, last, -1)]


def alert(rows: list[dict[str, Any]]) -> Batch:
    n = len(rows)
    return Batch("alerts", n, {
        **{name: Texts.of([str(row.get(name, "")) for row in rows])
           for name in ("alert_id", "dedup_key", "source", "target", "summary", "summary_zh", "evidence")},
        **{name: Coded.of([str(row.get(name, "")) for row in rows]) for name in ("kind", "severity", "state", "customer_id", "service_id", "technique")},
        **{name: np.array([micros(row["time"]) for row in rows], np.int64) for name in ("last_time", "stored_time")},
        "first_time": np.array([micros(row.get("first", row["time"])) for row in rows], np.int64),
        "probe": Coded.same("p1", n), "capture_id": np.array([row.get("capture", 0) for row in rows], np.uint64),
        "revision": np.array([row["revision"] for row in rows], np.uint32),
        "signature_id": np.zeros(n, np.uint32), "count": np.ones(n, np.uint64), "shared_by": np.ones(n, np.uint32)})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """An hour before the begin of tests. Services: 0 back since 10 minutes; 1 silent; 2 back since 3; 3 carries one way alone; 4 sends again too often until 8
    minutes ago; 5 silent but for a speed test; 6 has connections that nobody answers; 7 silent, and its ping is answered."""
    store = open_store(f"chdb://{tmp_path_factory.mktemp('tickets')}/store")
    rows = [*carried(S[0], 60, 40), *carried(S[0], 10, 0), *carried(S[1], 60, 40, down_bytes=FULL, up_bytes=FULL), *carried(S[2], 60, 40), *carried(S[2], 3, 0),
            *carried(S[3], 60, 0, down_bytes=0),
            *carried(S[4], 60, 8, up_tcp_packets=1000, up_retransmissions=50), *carried(S[4], 8, 0, up_tcp_packets=1000, up_retransmissions=10),
            *carried(S[5], 12, 11, down_bytes=FULL, up_bytes=FULL), *carried(S[6], 60, 0, syn_up=40, servers=9, syn_ack_down=2)]
    minutes = np.array([micros(ago(n)) for n in range(SPAN, 0, -1)], np.int64)
    coverage = Batch("coverage", SPAN, {"time": minutes, "probe": Coded.same("p1", SPAN), "source": Coded.same("eth1", SPAN),
                                        "capture_id": np.zeros(SPAN, np.uint64), "worker": np.zeros(SPAN, np.uint16), "workers": np.ones(SPAN, np.uint16),
                                        "frames": np.full(SPAN, 1000, np.uint64)})
    closed = Batch("usage_slots", SPAN, {"table_name": Coded.same("usage_1m", SPAN), "time": minutes // 1_000_000, "probe": Coded.same("p1", SPAN),
                                         "capture_id": np.zeros(SPAN, np.uint64), "revision": np.ones(SPAN, np.uint32), "digest": Texts.of([""] * SPAN)})
    told = [(S[7], n, "down" if 40 >= n > 20 else "up") for n in range(60, 0, -1)]
    pings = Batch("link_state", len(told), {
        "time": np.array([micros(ago(n)) for _, n, _ in told], np.int64), "probe": Coded.same("p1", len(told)), "target": Coded.same("t", len(told)),
        "service_id": Coded.of([one for one, _, _ in told]), "source": Coded.same("ping", len(told)), "state": Coded.of([state for *_, state in told])})
    alerts = alert([
        {"alert_id": "a1", "revision": 1, "kind": "service_silent", "severity": "high", "state": "raised", "service_id": S[1], "time": ago(39),
         "summary": "silent", "summary_zh": "静默"},
        {"alert_id": "a1", "revision": 2, "kind": "service_silent", "severity": "critical", "state": "updated", "service_id": S[1], "time": ago(30),
         "first": ago(39)},
        {"alert_id": "a2", "revision": 1, "kind": "syn_flood", "severity": "high", "state": "raised", "service_id": S[2], "time": ago(20),
         "target": "203.0.113.9"},
        {"alert_id": "a3", "revision": 1, "kind": "resource_silent", "severity": "high", "state": "raised", "time": ago(15),
         "evidence": "120 s; rows: (source = 'eth1' OR interface = 'eth1')"},
        {"alert_id": "a4", "revision": 1, "kind": "loss", "severity": "low", "state": "raised", "service_id": S[4], "time": ago(9)},
        {"alert_id": "a5", "revision": 1, "kind": "syn_flood", "severity": "high", "state": "raised", "service_id": S[5], "time": ago(9), "capture": 7}])
    put(store, usage(rows), coverage, closed, pings, alerts)
    yield store
    store.close()


@pytest.fixture
def asked(office: Office, store: Store) -> Office:
    """An office that asks this store, with eight services."""
    office.settings = office.settings.model_copy(update={"store": store.url})
    office.__dict__["evidence"] = Evidence(store.url)
    plant(office, 8, 4, each_customer=False)
    return office


def broken(office: Office, service: str, kind: str = "outage") -> str:
    return act(office, lambda desk: ticket.open_(desk, kind=kind, service_id=service, severity="critical", summary="down", began=BROKE).id)


# ---- pure

def minutes(marks: str) -> list[Minute]:
    """x healthy, . silent, ? not measured, 1 one way."""
    return [Minute(ago(len(marks) - n), *{"x": (9, 9), ".": (0, 0), "?": (0, 0), "1": (0, 9)}[one], one != "?") for n, one in enumerate(marks)]


@pytest.mark.parametrize(("marks", "run"), [("xx..xxx", (3, 3)), ("xx..x?x", (3, 2)), ("xx..xx.", None), ("??", None), ("xxxxx", (5, 5)), ("x1xx", (2, 2))])
def test_the_healthy_run_at_the_end(marks: str, run: tuple[int, int] | None) -> None:
    found = trailing(minutes(marks), lambda one: not ailment(one))
    assert (None if found is None else (int((BEGIN - found.begin).total_seconds()) // 60, found.length)) == run


def test_what_ails_a_minute() -> None:
    good = Minute(BEGIN, 1000, 1000, True, 40, 3, 9, 1000, 20, 20_000.0)
    assert ailment(good) == "" and ailment(good, True, 10_000.0) == "" and not silent(good)
    assert "2 of 40" in ailment(good._replace(answered=2)) and ailment(good._replace(answered=2, servers=4)) == ""
    assert ailment(good._replace(syns=19, answered=0)) == ""
    assert "2.1 %" in ailment(good._replace(again=21), True) and ailment(good._replace(again=21)) == ""
    assert "20.0 ms" in ailment(good, True, 9_999.0) and "towards" in ailment(good._replace(down_bytes=0)) and "away" in ailment(good._replace(up_bytes=0))


# ---- by the store

def test_nobody_resolves_what_the_traffic_says_is_down(asked: Office, clock: Clock) -> None:
    """Issue: a contractor's false "restored" is refused, and what he said is kept beside what was measured."""
    worker = person(asked, "contractor", "contractor", "assurance")
    for number, why in ((1, "carries nothing, and no link state"), (2, "3 of 5 minutes"), (3, "carried nothing towards the customer"),
                        (6, "had 2 of 40 connections answered")):
        key = broken(asked, S[number])
        act(asked, lambda desk, key=key: transition.claim(desk, key, ago(20), "patched"), worker)         # type: ignore[misc]
        with pytest.raises(Refusal, match=why):
            act(asked, lambda desk, key=key: transition.act(desk, key, "resolve"), worker)         # type: ignore[misc]
        with asked.reading() as desk:
            row = desk.find(Ticket, key)
            assert (row.state, row.claimed, row.restored) == ("inProgress", ago(20), None)
            assert any(one.action == "ticket.move.refused" for one, _ in records(desk, "ticket", key))


def test_it_was_restored_with_the_first_healthy_minute(asked: Office, clock: Clock) -> None:
    worker = person(asked, "contractor", "contractor", "assurance")
    key = broken(asked, S[0])
    act(asked, lambda desk: transition.claim(desk, key, ago(25)), worker)
    row = act(asked, lambda desk: transition.act(desk, key, "resolve"), worker)
    assert (row.state, row.restored) == ("resolved", ago(10))
    assert row.restoration["how"] == "traffic" and row.restoration["gap_seconds"] == -15 * 60 and row.restoration["table"] == "usage_1m"
    clock.forward(minutes=20)
    act(asked, lambda desk: transition.act(desk, key, "reopen", "down again"), worker)
    with pytest.raises(Refusal, match="was last measured at"):
        act(asked, lambda desk: transition.act(desk, key, "resolve"), worker)


def test_quality_asks_for_more_than_traffic(asked: Office) -> None:
    key = broken(asked, S[4], "quality")
    row = act(asked, lambda desk: transition.move(desk, key, "resolved"))
    assert row.restored == ago(8) and row.restoration["healthy_minutes"] == 8


def test_an_idle_line_is_up_by_a_speed_test_or_its_ping_or_a_second_person(asked: Office, clock: Clock) -> None:
    key = broken(asked, S[5])
    row = act(asked, lambda desk: transition.move(desk, key, "resolved"))
    assert (row.restored, row.restoration["how"], row.restoration["needed_down_bytes"]) == (ago(12), "speed_test", FULL)
    sweeping.pings(asked, {})
    row = act(asked, lambda desk: transition.move(desk, next(one.id for one in tickets(asked) if one.service_id == S[7]), "inProgress", "x"))
    row = act(asked, lambda desk: transition.move(desk, row.id, "resolved"))
    assert (row.restored, row.restoration["how"], row.restoration["link_state"]) == (ago(20), "link", "ping")
    other = broken(asked, S[1])
    act(asked, lambda desk: linkstate.tell(desk, state="down", service_id=S[1], since=ago(39), evidence={"note": "he called"}))
    worker, boss = person(asked, "li", "assurance", "manager"), person(asked, "boss", "manager")
    with pytest.raises(Refusal, match="is down since .*, says person"):
        act(asked, lambda desk: transition.move(desk, other, "resolved"), worker)
    with pytest.raises(Refusal, match="nobody says that it was restored"):
        act(asked, lambda desk: transition.override(desk, other, "I saw it"), boss)
    act(asked, lambda desk: transition.claim(desk, other), worker)
    with pytest.raises(Refusal, match="second person"):
        act(asked, lambda desk: transition.override(desk, other, "I saw it"), worker)
    with pytest.raises(Refusal, match="a reason is needed"):
        act(asked, lambda desk: transition.override(desk, other, " "), boss)
    row = act(asked, lambda desk: transition.override(desk, other, "its router is off"), boss)
    assert (row.state, row.restoration["how"], row.restoration["by"]) == ("resolved", "override", "boss") and "gap_seconds" not in row.restoration


def test_a_cause_is_over_when_what_hangs_on_it_is(asked: Office) -> None:
    """A parent of which one child is still bad is not resolved; silent ones say nothing."""
    with asked.reading() as desk:
        olt = desk.session.execute(select(Resource.id).where(Resource.kind == "olt")).scalar_one()
    parent = act(asked, lambda desk: ticket.open_(desk, kind="outage", resource_id=olt, severity="critical", summary="olt", began=BROKE).id)
    children = {n: act(asked, lambda desk, n=n: ticket.open_(desk, kind="outage", service_id=S[n], severity="critical", summary="x", began=BROKE,
                                                             parent_id=parent).id) for n in (0, 1, 6)}      # type: ignore[misc]
    act(asked, lambda desk: ticket.relate(desk, children[0], parent))
    with pytest.raises(Refusal, match="one of 3 services is not back: .*2 of 40"):
        act(asked, lambda desk: transition.move(desk, parent, "resolved"))
    act(asked, lambda desk: ticket.relate(desk, children[6], None))
    row = act(asked, lambda desk: transition.move(desk, parent, "resolved"))
    assert (row.restored, row.restoration["back"], row.restoration["silent"]) == (ago(10), 1, 1)
    done, left = act(asked, lambda desk: transition.resolve_children(desk, parent))
    assert [one.id for one in done] == [children[0]] and "carries nothing" in left[children[1]]
    with asked.reading() as desk:
        assert [one.kind for one in ticket.notes_of(desk, desk.find(Ticket, children[1]))] == ["proposal"]          # it is proposed, and not forced
    with pytest.raises(Refusal, match="not the cause of itself"):
        act(asked, lambda desk: ticket.relate(desk, parent, children[0]))


def test_a_store_that_is_away_refuses_and_nothing_is_guessed(office: Office) -> None:
    _, _, (one, *_) = plant(office, 2)
    key = broken(office, one)
    with pytest.raises(Refusal, match="no store is named") as refused:
        act(office, lambda desk: transition.move(desk, key, "resolved"))
    assert refused.value.kind == "away"
    office.settings = office.settings.model_copy(update={"store": "chdb:///not/there"})
    office.__dict__["evidence"] = Evidence(office.settings.store)
    assert sweeping.sweep(office, {"slot": BEGIN.isoformat()}) == {}           # it is asked again in the next minute
    with pytest.raises(Refusal) as refused:
        act(office, lambda desk: transition.move(desk, key, "resolved"))
    assert refused.value.kind == "away"

    def uncovered(desk: Desk) -> None:
        desk.session.get_one(Service, one).covered = False
        onu = desk.add(Resource(kind="onu", name="onu 1", region="贵阳"))
        desk.add(ServiceResource(service_id=one, resource_id=onu.id))
    act(office, uncovered)
    with pytest.raises(Refusal, match="no link state, ping or speed test"):
        act(office, lambda desk: transition.move(desk, key, "resolved"))
    with office.reading() as desk:
        onu = desk.session.execute(select(Resource.id).where(Resource.kind == "onu")).scalar_one()
    act(office, lambda desk: linkstate.tell(desk, state="up", resource_id=onu, since=ago(5), evidence={"note": "OMC"}))
    assert act(office, lambda desk: transition.move(desk, key, "resolved")).restored == ago(5)


def test_what_the_probe_has_stored_becomes_tickets_once(asked: Office, clock: Clock) -> None:
    long_ago = {"since": "2020-01-01T00:00:00+00:00"}          # they are stored now, whatever the office's clock says
    first = sweeping.alerts(asked, long_ago)
    assert (first["new"], first["opened"], first["suppressed"]) == (4, 3, 1)           # of a1 the store keeps the newest state alone
    rows = {one.alert_id: one for one in tickets(asked) if one.alert_id and one.parent_id is None or one.alert_id == "a1"}
    assert (rows["a1"].service_id, rows["a1"].severity, rows["a1"].began, rows["a1"].evidence["alert_id"]) == (S[1], "critical", ago(39), "a1")
    assert rows["a2"].proposal["target"] == "203.0.113.9" and rows["a2"].kind == "attack"
    parent = next(one for one in tickets(asked) if one.root_cause)
    with asked.reading() as desk:
        assert desk.find(Resource, str(parent.resource_id)).kind == "olt"             # a link that says nothing is the OLT that it measures
        assert len([one for one in tickets(asked) if one.parent_id == parent.id]) == 8
    before = [(one.id, one.state, one.count) for one in tickets(asked)]
    again = sweeping.alerts(asked, long_ago)
    assert (again["new"], again["known"]) == (0, 4) and [(one.id, one.state, one.count) for one in tickets(asked)] == before


def test_more_alerts_than_are_read_at_a_time_are_all_taken(asked: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that were stored at one moment."""
    monkeypatch.setattr(sweeping, "MOST", 1)
    assert sweeping.alerts(asked, {"since": "2020-01-01T00:00:00+00:00"})["new"] == 4
    assert sweeping.alerts(asked, {})["new"] == 0


def test_alerts_of_replayed_captures_become_tickets_where_the_operator_wants_them(asked: Office) -> None:
    long_ago = {"since": "2020-01-01T00:00:00+00:00"}
    assert sweeping.alerts(asked, long_ago)["new"] == 4 and not [one for one in tickets(asked) if one.alert_id == "a5"]
    asked.settings = asked.settings.model_copy(update={"alerts_replayed": True})
    assert sweeping.alerts(asked, long_ago)["new"] == 1
    assert [one.service_id for one in tickets(asked) if one.alert_id == "a5"] == [S[5]]


@pytest.mark.parametrize("part", [600, 3600])
def test_pings_of_a_long_time_are_read_in_parts(asked: Office, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "PART", part)
    assert sweeping.pings(asked, {"since": ago(60).isoformat()})["new"] == 2
    row = tickets(asked)[0]
    assert (row.service_id, row.state, row.began, row.restored) == (S[7], "resolved", ago(40), ago(20))


def test_pings_raise_after_two_of_three_and_clear_after_five(asked: Office, clock: Clock) -> None:
    clock.now = ago(36)
    assert sweeping.pings(asked, {})["opened"] == 1
    row = tickets(asked)[0]
    assert (row.service_id, row.alarm_kind, row.began, row.state) == (S[7], "ping_down", ago(40), "acknowledged")
    clock.now = ago(12)
    sweeping.pings(asked, {})
    row = tickets(asked)[0]
    assert (row.state, row.restored) == ("resolved", ago(20))
    clock.now = BEGIN
    assert sweeping.pings(asked, {"since": ago(60).isoformat()})["new"] == 0
    with asked.reading() as desk:
        held = desk.session.execute(select(LinkState).order_by(LinkState.since)).scalars().all()
        assert [(one.state, one.since, one.until) for one in held] == [("up", ago(60), ago(40)), ("down", ago(40), ago(20)), ("up", ago(20), None)]
