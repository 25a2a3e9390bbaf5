"""Minutes measured from a real store: an outage, silence, a silent OLT, link state, a one-sided mirror, a sensor that loses and one that is blind; kept,
counted, proved."""
from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bss.desk import Desk
from bss.evidence import Evidence
from bss.office import Office
from bss.people.scope import SYSTEM
from bss.question import second
from bss.refusal import Refusal
from bss.settings import Settings
from bss.sla import evidence, keeping, measure, measuring, reading, reclassification, speedtest
from bss.sla import month as months
from bss.sla.degraded import median_us, p95_us
from bss.tables import Binding, Credit, Resource, Service, ServiceResource, SlaMark, SlaMinute, SlaMonth, Ticket
from dpi.store import Store
from tests.bss.conftest import Clock, _at
from tests.bss.measured import COLUMNS, DOWN, RTT, START, UP, filled
from tests.bss.selling import act, customer, person, sold
from tests.usage.traffic import BEGIN, MINUTE, flows, put

UNTIL = START + timedelta(minutes=COLUMNS)
MONTH = f"{START:%Y-%m}"


@pytest.fixture(scope="module")
def made(founded_sqlite: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Office, list[str], Store]]:
    """An office whose ten services have been active for long, and the store."""
    folder = tmp_path_factory.mktemp("sla")
    settings = _at(folder, f"sqlite:///{folder / 'bss.db'}")
    shutil.copy(founded_sqlite.keys, settings.keys)
    shutil.copy(founded_sqlite.database.removeprefix("sqlite:///"), settings.database.removeprefix("sqlite:///"))
    clock = Clock()
    clock.now = UNTIL + timedelta(minutes=30)
    office = Office(settings, clock)
    customer_id = customer(office)
    sold(office)

    def lay(desk: Desk) -> list[str]:
        ids = []
        for n in range(10):
            ids.append(desk.add(Service(circuit=f"ZX-{n}", customer_id=customer_id, offering="line-a", offering_version=1, kind="leased_line", class_="A",
                                        region="贵阳", state="active", down_bps=DOWN * 8 // 60, up_bps=UP * 8 // 60, covered=True,
                                        created=START - timedelta(days=60), activated=START - timedelta(days=60))).id)
        for n, interface in ((7, "eth2"), (0, "known by another name")):
            desk.add(Binding(service_id=ids[n], key=f"k{n}", prefix=f"203.0.113.{n}/32", probe="p1", interface=interface, valid_from=START - timedelta(days=60),
                             created=START))
        olt = desk.add(Resource(kind="olt", name="OLT 1", region="贵阳"))
        pon = desk.add(Resource(kind="pon_port", name="PON 1", region="贵阳", parent_id=olt.id))
        desk.session.add_all([ServiceResource(service_id=ids[n], resource_id=pon.id) for n in range(4, 8)])
        return ids
    ids = act(office, lay)
    store = filled(folder, ids)
    store.close()
    office.__dict__["evidence"] = Evidence(store.url)
    yield office, ids, store
    office.close()


def measured(office: Office) -> measure.Window:
    with office.reading() as desk:
        return measure.measure(desk, second(START), second(UNTIL))


def spells(window: measure.Window, service: str) -> list[tuple[int, int, str, str]]:
    """First minute, minute after the last, state, reason."""
    return [((one.since - window.first) // 60, (one.until - window.first) // 60, one.state, one.reason) for one in window.spells[service]]


EVERYBODY = [(100, 105, "unknown", "sensor"), (110, 115, "unknown", "blind")]


def test_every_minute_of_a_real_store(made: tuple[Office, list[str], Store]) -> None:
    office, ids, _store = made
    window = measured(office)
    own: dict[int, list[tuple[int, int, str, str]]] = {
        1: [(30, 50, "down", "unanswered"), (50, 60, "down", "silent_unanswered")], 2: [(20, 40, "unknown", "silent")],
        3: [(60, 70, "down", "silent_link"), (70, 80, "down", "link")], 4: [(80, 100, "down", "silent_neighbours")],
        5: [(81, 100, "down", "silent_neighbours")], 6: [(81, 100, "down", "silent_neighbours")], 8: [(10, 20, "unknown", "one_sided")],
        9: [(20, 30, "degraded", "degraded")]}
    for n, service in enumerate(ids):
        assert spells(window, service) == (own.get(n, []) + EVERYBODY if n != 7 else [(60, COLUMNS, "unknown", "sensor")]), n
    told = {n: window.spells[ids[n]][0].evidence for n in own}
    assert told[1]["minutes"][0] == {"minute": (START + timedelta(minutes=30)).isoformat().replace("+00:00", "Z"), "syn_up": 25, "syn_ack_down": 0,
                                     "servers": 8, "down_bytes": 0} and told[1]["probes"] == ["p1"]
    assert told[2]["usual_bytes"] == [DOWN + UP] and told[3]["link_state"][0]["source"] == "ping" and told[4]["resource"] == told[6]["resource"]
    assert told[9]["minutes"][0]["up_again"] == 42 and told[9]["floor_percent"] == 95


def test_windows_of_an_hour_say_what_one_of_two_says(made: tuple[Office, list[str], Store]) -> None:
    office, ids, _store = made
    whole = measured(office)
    act(office, lambda desk: keeping.keep(desk, whole))
    with office.reading() as desk:
        at_once = keeping.held(desk, ids, START, UNTIL)
    for service in ids:
        act(office, lambda desk, service=service: keeping.write(desk, [service], [], START, UNTIL))         # type: ignore[misc]
    for minute in (0, 35, 60, 65, 90):              # cut anywhere
        first, last = START + timedelta(minutes=minute), START + timedelta(minutes={0: 35, 35: 60, 60: 65, 65: 90, 90: COLUMNS}[minute])
        with office.reading() as desk:
            window = measure.measure(desk, second(first), second(last))
        act(office, lambda desk, window=window: keeping.keep(desk, window))         # type: ignore[misc]
    with office.reading() as desk:
        by_hours = keeping.held(desk, ids, START, UNTIL)
    for n, service in enumerate(ids):
        assert [one[:5] for one in by_hours[service]] == [one[:5] for one in at_once[service]], n
    assert act(office, lambda desk: keeping.keep(desk, whole)) == []          # again it changes nothing
    assert list(measure.windows(10, START, UNTIL, [START + timedelta(minutes=50)])) == [(second(START), second(START) + 3000),
                                                                                       (second(START) + 3000, second(UNTIL))]
    assert len(list(measure.windows(100_000, START, UNTIL))) == 2


def test_the_month_and_its_proof(made: tuple[Office, list[str], Store]) -> None:
    office, ids, store = made
    assert measuring.recount(office, MONTH) == 10
    with office.reading() as desk:
        rows = {one.service_id: one for one in desk.session.query(SlaMonth)}
        mark = desk.session.get_one(SlaMark, 1).measured_until
        assert mark == office.clock().replace(second=0) and rows[ids[1]].measured_until == mark
        one, two, nine = rows[ids[1]], rows[ids[2]], rows[ids[9]]
        assert one.down == 30 and one.faults == 1 and two.down == 0 and nine.degraded == 10
        # of the month two of the weeks before are measured as well; all that is not is unknown
        assert one.unknown == one.total - 3 * COLUMNS + 10 and two.unknown == two.total - 3 * COLUMNS + 30 and one.total == nine.total
        assert one.verdict == "breached" and months.why(one) == "" and two.verdict == months.why(two) == "undecided"
        ticket = desk.session.get_one(Ticket, one.ticket_id)         # the month is not over, and can't be saved any more
        assert (ticket.kind, ticket.service_id, ticket.evidence["down_minutes"]) == ("sla", ids[1], 30) and two.ticket_id is None
        assert one.rtt_us == median_us([0] * 11 + [1]) and one.again == 0 and nine.again == 420
        checked = evidence.check(desk, ids[0], MONTH)
        assert checked.same and checked.rows_now == 3 * COLUMNS - 5 and len(checked.now) == 64
    behind = act(office, lambda desk: evidence.of(desk, ids[1], START + timedelta(minutes=28), START + timedelta(minutes=32)))
    assert [minute.state for minute in behind.minutes] == ["up", "up", "down", "down"] and behind.minutes[2].carried["syn_up"] == 25
    assert all(minute.good == {"p1": True} for minute in behind.minutes) and len(behind.slots) == 4 and behind.slots[0][0] == "p1"
    with pytest.raises(Refusal, match="6 hours at most"):
        act(office, lambda desk: evidence.of(desk, ids[1], START, START + timedelta(hours=7)))


def test_medians_of_the_store_are_those_of_the_twin(made: tuple[Office, list[str], Store]) -> None:
    office, ids, _store = made
    with office.reading() as desk:
        carried = reading.carried(desk, ids[:3], second(START), second(UNTIL))
        found = dict(reading.quality(desk, ids[:1], second(START), second(UNTIL)))[ids[0]]
        usual = reading.usual_rtt(desk, second(START) // 86400 * 86400)
    bins = [0] * 26
    bins[RTT.bit_length() - 1] = 1
    assert set(carried[ids[0]]["rtt_us"].tolist()) == {median_us(bins)} and found.rtt_us == p95_us(carried[ids[0]]["rtt_us"].astype("i8"))
    assert usual[ids[0]] == median_us(bins) and carried[ids[0]]["down_bytes"].sum() == DOWN * (COLUMNS - 5)
    assert sorted(carried[ids[1]]["at"].tolist()) == [n for n in range(COLUMNS) if not 50 <= n < 60 and not 110 <= n < 115]


def test_a_person_says_what_silence_was(made: tuple[Office, list[str], Store]) -> None:
    office, ids, _store = made
    act(office, lambda desk: keeping.keep(desk, measured(office)))
    writer, boss = person(office, "writer", "assurance"), person(office, "boss", "manager")
    first, last = START + timedelta(minutes=15), START + timedelta(minutes=45)
    evidence_ = {"note": "the customer says that his line was cut by a digger"}

    def propose(desk: Desk, since: datetime = first, until: datetime = last, to: str = "down", said: Any = evidence_) -> Any:
        return reclassification.propose(desk, ids[2], since, until, to, "cut by a digger", said)
    for given, why in (({"to": "fine"}, "can't become"), ({"until": first}, "no time of whole minutes"), ({"said": {"note": " "}}, "evidence are needed"),
                       ({"since": START, "until": first}, "none of these minutes is unknown"),
                       ({"since": START, "until": START + timedelta(days=40)}, "in two months")):
        with pytest.raises(Refusal, match=why):
            act(office, lambda desk, given=given: propose(desk, **given), writer)           # type: ignore[misc, arg-type]
    row = act(office, propose, writer)
    assert row.minutes == 20 and len(row.before) == 1
    with pytest.raises(Refusal, match="takes a second person"):
        act(office, lambda desk: reclassification.decide(desk, row.id, True), writer._replace(roles=frozenset({"manager"})))
    act(office, lambda desk: reclassification.decide(desk, row.id, True, "seen"), boss)
    with pytest.raises(Refusal, match="approved already"):
        act(office, lambda desk: reclassification.decide(desk, row.id, True), boss)

    def down() -> list[tuple[str, str, str | None]]:
        with office.reading() as desk:
            return [(one.state, one.measured, one.reclassification_id) for one in keeping.held(desk, [ids[2]], START, UNTIL)[ids[2]]]
    assert down()[0] == ("down", "unknown", row.id)
    act(office, lambda desk: keeping.keep(desk, measured(office)))
    assert down()[0] == ("down", "unknown", row.id)             # measured again it stays, with what was found beside it
    with office.reading() as desk:
        month = months.find(desk, ids[2], MONTH)
        assert month.down == 20 and month.revision == 2
        rejected = desk.session.query(SlaMinute).filter(SlaMinute.service_id == ids[2], SlaMinute.reclassification_id.is_not(None)).count()
        assert rejected == 1


def test_a_speed_test_below_the_floor_is_a_degraded_minute(made: tuple[Office, list[str], Store]) -> None:
    office, ids, _store = made
    act(office, lambda desk: speedtest.record(desk, ids[0], START + timedelta(minutes=5, seconds=20), DOWN * 8 // 60 // 2, UP * 8 // 60, "iperf3"))
    act(office, lambda desk: speedtest.record(desk, ids[0], START + timedelta(minutes=7), DOWN * 8 // 60, UP * 8 // 60))
    with pytest.raises(Refusal, match="within 35 days"):
        act(office, lambda desk: speedtest.record(desk, ids[0], START + timedelta(days=5), 1, 1))
    assert spells(measured(office), ids[0])[0] == (5, 6, "degraded", "speed_test")


def test_the_worker_closes_the_month_and_closed_it_stays(made: tuple[Office, list[str], Store]) -> None:
    office, ids, store = made
    settings, clock, now = office.settings, office.clock, office.clock()
    assert isinstance(clock, Clock)
    with office.reading() as desk:
        before = {one.service_id: one.down for one in desk.session.query(SlaMonth)}
    office.settings, clock.now = settings.model_copy(update={"store": store.url}), datetime(2023, 12, 6, 1, tzinfo=UTC)
    try:
        assert measuring.daily(office, {"slot": datetime(2023, 12, 6, tzinfo=UTC).isoformat()}) == 10
        assert measuring.hourly(office, {"slot": UNTIL.isoformat()}) == 0           # it is measured again, and left alone
    finally:
        office.settings, clock.now = settings, now
    with office.reading() as desk:
        rows = {one.service_id: one for one in desk.session.query(SlaMonth)}
        assert {(one.state, one.total) for one in rows.values()} == {("closed", 30 * 1440)}
        assert {service: one.down for service, one in rows.items()} == before and rows[ids[1]].down == 30 and rows[ids[2]].down == 20
        drafted = {one.service_id: (one.state, one.evidence["down_minutes"]) for one in desk.session.query(Credit)}
        assert drafted[ids[1]] == ("drafted", 30) and ids[0] not in drafted and rows[ids[8]].verdict == "undecided"
    with pytest.raises(Refusal, match="is closed"):
        act(office, lambda desk: reclassification.propose(desk, ids[8], START, UNTIL, "up", "x", {"note": "x"}))


def test_a_changed_row_is_found_and_without_the_store_nothing_is_guessed(made: tuple[Office, list[str], Store], tmp_path: Path) -> None:
    office, ids, _store = made
    from dpi.store import open_store
    from dpi.usage.computing import Job

    office.evidence.close()
    store = open_store(_store.url, create=False)
    late = flows(1, start=BEGIN + 3 * MINUTE, span=MINUTE, client_service_id=_coded(ids[0]), server_service_id=_coded(""))
    put(store, late)
    Job(store).run()
    store.close()
    with office.reading() as desk:
        assert not evidence.check(desk, ids[0], MONTH).same and evidence.check(desk, ids[5], MONTH).same
    office.evidence.close()
    office.__dict__["evidence"] = Evidence("none")
    with pytest.raises(Refusal, match="nothing is measured"):
        measuring.recount(office, MONTH)
    assert measuring.hourly(office, {}) == measuring.daily(office, {}) == 0 and SYSTEM.id == ""


def _coded(word: str) -> Any:
    from dpi.batch import Coded
    return Coded.of([word])
