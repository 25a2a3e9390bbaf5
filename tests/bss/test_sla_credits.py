"""A month that was breached: counted, its ticket and credit, decided on by others, closed, on a bill, in a report. On both databases, as far as they differ."""
from __future__ import annotations

import io
import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from bss.desk import Desk
from bss.office import Office
from bss.people import user
from bss.people.entry import CSRF
from bss.people.scope import SYSTEM, Actor
from bss.refusal import Refusal
from bss.sla import credit, keeping, measuring, report, states
from bss.sla import month as months
from bss.sla.keeping import Kept, joined
from bss.tables import Agreement, AuditRow, Credit, Outbox, Service, SlaMark, SlaMonth, Ticket
from tests.bss.conftest import BEGIN, Clock, site
from tests.bss.selling import act, customer, person, records, sold

MONTH, SINCE, UNTIL = "2026-11", datetime(2026, 10, 31, 16, tzinfo=UTC), datetime(2026, 11, 30, 16, tzinfo=UTC)
BANDS = [{"low": "99.5", "high": "99.9", "share_percent": "5"}, {"low": "0", "high": "99.5", "share_percent": "10"}]
TIER: dict[str, Any] = {"availability_percent": "99.9", "credit": {"model": "tier", "bands": BANDS}}
EXAMPLE = (("excluded", 120, "maintenance"), ("unknown", 60, "sensor"), ("down", 5, "link"), ("down", 5, "link"), ("down", 85, "unanswered"))


def line(office: Office, terms: dict[str, Any] | None = None, number: str = "1", **given: Any) -> str:
    """A service of 8,000 a month that was active all month, under a contract with these promises."""
    def make(desk: Desk) -> str:
        owner = given.get("customer_id") or desk.session.execute(select(Service.customer_id)).scalars().first() or customer_id
        contract = desk.add(Agreement(number=f"G{number}", customer_id=owner, name="frame", valid_from=SINCE - timedelta(days=90), terms={"sla": terms or {}}))
        return desk.add(Service(circuit=f"ZX-{number}", customer_id=owner, agreement_id=contract.id, offering="line-a", offering_version=1, kind="leased_line",
                                class_="A", region="贵阳", state="active", down_bps=10 ** 8, up_bps=10 ** 8, created=SINCE - timedelta(days=90),
                                activated=given.get("activated", SINCE - timedelta(days=90)))).id
    if number == "1":
        customer_id = customer(office)
        sold(office)
        act(office, lambda desk: desk.session.add(SlaMark(id=1, measured_until=UNTIL)))
    else:
        customer_id = ""
    return act(office, make)


def minutes(office: Office, service: str, *spells: tuple[str, int, str], at: datetime = SINCE + timedelta(days=3)) -> None:
    """Spells of so many minutes, an hour between two."""
    def write(desk: Desk) -> None:
        begin, rows = at, []
        for state, length, reason in spells:
            rows.append(Kept(begin, begin + timedelta(minutes=length), state, state, reason))
            begin += timedelta(minutes=length + 60)
        keeping.write(desk, [service], keeping.rows_of(service, rows), SINCE, UNTIL)
    act(office, write)


def settled(office: Office, *services: str) -> SlaMonth:
    rows = act(office, lambda desk: months.settle(desk, [desk.find(Service, one) for one in services], MONTH))
    return rows[0]


def drafts(office: Office, service: str) -> list[Credit]:
    with office.reading() as desk:
        return list(desk.session.execute(credit.listed(desk, service=service)).scalars())


def closed(office: Office, *services: str, actor: Actor = SYSTEM) -> int:
    return act(office, lambda desk: months.close(desk, list(desk.session.execute(select(SlaMonth).where(SlaMonth.service_id.in_(services))).scalars())), actor)


def test_the_worked_month_from_minutes_to_the_bill(office: Office, clock: Clock) -> None:
    service = line(office, TIER)
    minutes(office, service, *EXAMPLE)
    row = settled(office, service)
    assert (row.total, row.excluded, row.unknown, row.down, row.faults, row.verdict, row.revision) == (43200, 120, 60, 95, 3, "breached", 1)
    told = months.objectives(row)[0]
    assert (told["actual"], told["best"], told["worst"], told["coverage"]) == ("99.7791", "99.7794", "99.6402", "99.8607")
    [one] = drafts(office, service)
    assert (one.amount, one.state, one.tax_mode, one.tax_rate, one.currency) == (Decimal("400.00"), "drafted", "exclusive", Decimal("0.06"), "CNY")
    assert one.why["band"] == "[99.5, 99.9)" and one.evidence["sla_month"] == row.id and one.evidence["down_minutes"] == 95
    with office.reading() as desk:
        ticket = desk.session.execute(select(Ticket)).scalar_one()
        assert ticket.id == row.ticket_id and ticket.kind == "sla" and "99.7791" in ticket.summary
    assert settled(office, service).revision == 1 and len(drafts(office, service)) == 1         # again it changes nothing
    boss, biller, other = person(office, "boss", "manager"), person(office, "biller", "billing"), person(office, "both", "manager", "billing")
    with pytest.raises(Refusal, match="is open: its figures may change"):
        act(office, lambda desk: credit.decide(desk, one.id, True), boss)
    assert closed(office, service, actor=boss) == 1 and closed(office, service) == 0
    with pytest.raises(Refusal, match="needs the permission 'credit.approve'"):
        act(office, lambda desk: credit.decide(desk, one.id, True), biller)
    with pytest.raises(Refusal, match="changed meanwhile"):
        act(office, lambda desk: credit.decide(desk, one.id, True, version=7), boss)
    assert act(office, lambda desk: credit.decide(desk, one.id, True, "as promised"), other).state == "approved"
    with office.reading() as desk:
        assert credit.waiting(desk, one.customer_id, date(2026, 11, 1)) == []
        [waits] = credit.waiting(desk, one.customer_id, date(2026, 12, 1))
        assert waits.id == one.id
    with pytest.raises(Refusal, match="takes a second person"):
        act(office, lambda desk: credit.applied(desk, one, "Q1", 3), other)
    with pytest.raises(Refusal, match="needs the permission 'credit.apply'"):
        act(office, lambda desk: credit.applied(desk, one, "Q1", 3), boss)
    applied = act(office, lambda desk: credit.applied(desk, one, "Q1", 3), biller)
    assert (applied.state, applied.bill_id, applied.line_number) == ("applied", "Q1", 3)
    assert act(office, lambda desk: credit.applied(desk, one, "Q1", 3), biller).version == applied.version       # a bill run that goes on says it again
    with pytest.raises(Refusal, match="applied already"):
        act(office, lambda desk: credit.applied(desk, one, "Q2", 1), biller)
    with office.reading() as desk:
        assert credit.waiting(desk, one.customer_id, date(2027, 1, 1)) == []
        kinds = {kind for kind, in desk.session.query(Outbox.type)}
        assert {"fullspan.credit.create", "fullspan.credit.stateChange", "fullspan.serviceLevel.close"} <= kinds
        refused = [row.reason for row, _ in records(desk, "credit") if row.action.endswith(".refused")]
        assert len(refused) == 6
    assert settled_none(office, service)


def settled_none(office: Office, service: str) -> bool:
    """What is closed is counted no more."""
    return act(office, lambda desk: months.settle(desk, [desk.find(Service, service)], MONTH)) == []


@pytest.mark.parametrize(("terms", "amount"), [
    ({**TIER, "credit": {"model": "hour", "hours": "total"}}, "533.33"), ({**TIER, "credit": {"model": "hour"}}, "1066.67"),
    ({**TIER, "availability_percent": "99.7"}, None), ({**TIER, "availability_percent": "99.5"}, None), ({**TIER, "credit": None}, None)])
def test_other_contracts(founded: Office, terms: dict[str, Any], amount: str | None) -> None:
    service = line(founded, terms)
    minutes(founded, service, *EXAMPLE)
    row = settled(founded, service)
    assert [str(one.amount) for one in drafts(founded, service)] == ([amount] if amount else [])
    assert months.why(row) == {"99.9": "", "99.7": "undecided", "99.5": "kept"}[row.promised["availability_percent"]]
    assert (row.ticket_id is None) == (row.verdict != "breached")


def test_a_month_that_comes_out_otherwise_replaces_its_draft(office: Office) -> None:
    service = line(office, TIER)
    minutes(office, service, *EXAMPLE)
    settled(office, service)
    first = drafts(office, service)[0].id
    minutes(office, service, ("down", 300, "link"))
    row = settled(office, service)
    assert (row.revision, row.down) == (2, 300)
    found = {one.id: (one.state, str(one.amount)) for one in drafts(office, service)}
    assert found.pop(first) == ("superseded", "400.00") and list(found.values()) == [("drafted", "800.00")]
    minutes(office, service, ("down", 10, "link"))
    assert settled(office, service).verdict == "met" and {one.state for one in drafts(office, service)} == {"superseded"}
    minutes(office, service, *EXAMPLE)
    settled(office, service)
    boss = person(office, "boss", "manager")
    closed(office, service)
    last = next(one for one in drafts(office, service) if one.state == "drafted")
    with pytest.raises(Refusal, match="a reason is needed"):
        act(office, lambda desk: credit.decide(desk, last.id, False), boss)
    assert act(office, lambda desk: credit.decide(desk, last.id, False, "the contract was ended"), boss).state == "rejected"


def test_every_event_in_every_state_is_answered_by_the_desk(office: Office) -> None:
    service = line(office, TIER)
    minutes(office, service, *EXAMPLE)
    settled(office, service)
    closed(office, service)
    boss, biller = person(office, "boss", "manager"), person(office, "biller", "billing")
    ways: dict[str, tuple[Actor, Any]] = {
        "approve": (boss, lambda desk, key: credit.decide(desk, key, True)), "reject": (boss, lambda desk, key: credit.decide(desk, key, False, "no")),
        "supersede": (biller, lambda desk, key: credit.withdraw(desk, key, "no")),
        "apply": (biller, lambda desk, key: credit.applied(desk, desk.session.get_one(Credit, key), "Q9", 1))}

    def brought(desk: Desk, state: str, n: int) -> str:
        one = desk.session.execute(select(Credit)).scalars().first()
        assert one is not None
        return desk.add(Credit(service_id=service, customer_id=one.customer_id, region=one.region, month=MONTH, state=state, amount=Decimal(1), currency="CNY",
                               tax_mode="inclusive", tax_rate=Decimal(n), drafted=desk.now)).id
    refused = 0
    for n, (state, event) in enumerate((state, event) for state in states.STATES for event in states.EVENTS):
        key = act(office, lambda desk, state=state, n=n: brought(desk, state, n))         # type: ignore[misc]
        actor, way = ways[event]
        if (state, event) in states.STEPS:
            assert act(office, lambda desk, way=way, key=key: way(desk, key), actor).state == states.STEPS[state, event]         # type: ignore[misc]
        else:
            with pytest.raises(Refusal) as error:
                act(office, lambda desk, way=way, key=key: way(desk, key), actor)         # type: ignore[misc]
            assert error.value.kind == "conflict" and error.value.what == states.refusal(state, event)
            refused += 1
    with office.reading() as desk:
        assert desk.session.query(AuditRow).filter(AuditRow.entity == "credit", AuditRow.action.like("%.refused")).count() == refused


def test_the_database_keeps_one_live_credit_whoever_drafts_at_once(office: Office) -> None:
    service = line(office, TIER)
    minutes(office, service, *EXAMPLE)
    settled(office, service)
    minutes(office, service, ("down", 300, "link"))
    said: list[str] = []

    def recount() -> None:
        try:
            settled(office, service)
        except Refusal as refusal:
            said.append(refusal.kind)
    threads = [threading.Thread(target=recount) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(one.state for one in drafts(office, service)) == ["drafted", "superseded"] and set(said) <= {"conflict"}
    with pytest.raises(Refusal, match="the database refuses it"):
        act(office, lambda desk: desk.session.execute(Credit.__table__.insert().from_select(  # type: ignore[attr-defined]
            [column.name for column in Credit.__table__.columns],
            select(*(column if column.name != "id" else Credit.customer_id for column in Credit.__table__.columns)).where(Credit.state == "drafted"))))


def test_a_part_month_and_a_suspended_one(founded: Office) -> None:
    late = line(founded, TIER, activated=UNTIL - timedelta(days=15))
    minutes(founded, late, ("down", 120, "link"), at=UNTIL - timedelta(days=5))
    row = settled(founded, late)
    assert (row.total, row.down) == (15 * 1440, 120) and str(drafts(founded, late)[0].amount) == "400.00"         # 10 % of half a month
    other = line(founded, TIER, "2")
    minutes(founded, other, ("excluded", 1440, "nonpayment"))

    def suspend(desk: Desk) -> None:
        from bss.services.inventory import move
        from bss.tables import Transition
        move(desk, other, "inactive", "does not pay")
        step = desk.session.execute(select(Transition).where(Transition.entity_id == other)).scalar_one()
        step.time = SINCE + timedelta(days=3)
    act(founded, suspend)
    row = settled(founded, other)
    assert (row.total, row.excluded, row.verdict) == (3 * 1440 + 1440, 1440, "met")           # suspended for that it counts, as excluded


def test_who_sees_not_all_closes_no_month(founded: Office, clock: Clock) -> None:
    service = line(founded, TIER)
    minutes(founded, service, *EXAMPLE)
    settled(founded, service)
    boss = person(founded, "boss", "manager", regions=("贵阳",))
    with pytest.raises(Refusal, match="of all regions at once"):
        act(founded, lambda desk: measuring.demand_close(desk, MONTH), boss)
    with pytest.raises(Refusal, match="is not over"):
        act(founded, lambda desk: measuring.demand_close(desk, "2026-12"))
    for wrong in ("2026-13", "202611", "november"):
        with pytest.raises(Refusal, match="is no month"):
            act(founded, lambda desk, wrong=wrong: measuring.demand_close(desk, wrong))          # type: ignore[misc]
    act(founded, lambda desk: setattr(desk.session.execute(select(SlaMonth)).scalar_one(), "measured_until", UNTIL - timedelta(days=1)))
    with pytest.raises(Refusal, match="is measured until"):
        closed(founded, service)


def test_silence_that_is_explained_later_is_down_from_its_beginning() -> None:
    def spell(begin: int, end: int, state: str, reason: str) -> Kept:
        return Kept(BEGIN + timedelta(minutes=begin), BEGIN + timedelta(minutes=end), state, state, reason)
    silent, link = spell(0, 60, "unknown", "silent"), spell(60, 65, "down", "link")
    assert [(one.state, one.reason) for one in joined([silent, link])] == [("down", "silent_link"), ("down", "link")]
    neighbours = spell(60, 90, "down", "silent_neighbours")
    assert [(one.until, one.state) for one in joined([silent, neighbours])] == [(neighbours.until, "down")]
    assert [one.reason for one in joined([neighbours, spell(90, 200, "unknown", "silent"), spell(300, 310, "unknown", "silent")])] == [
        "silent_neighbours", "silent"]
    said = silent._replace(state="up", reclassification_id="F1")
    assert joined([said, link])[0] == said           # what a person said stays


def test_the_report_in_both_languages_and_as_pdf(founded: Office) -> None:
    from pypdf import PdfReader

    service = line(founded, TIER)
    minutes(founded, service, *EXAMPLE)
    settled(founded, service)
    owner = drafts(founded, service)[0].customer_id
    for lang, words in (("en", ("Service level report", "missed", "Up to 43.2 minutes down", "Faults: 3; mean time to restore 31.66", "400.00 CNY")),
                        ("zh", ("服务等级报告", "未达标", "中断不超过 43.2 分钟", "故障 3 次；平均修复 31.66", "400.00 CNY"))):
        page = act(founded, lambda desk, lang=lang: report.html(desk, owner, MONTH, lang, "https://bss.example/"))         # type: ignore[misc]
        assert all(word in page for word in (*words, "99.7791", "99.7794", "99.6402", "99.8607", "43200")), lang
        links = page.count(f'href="https://bss.example/sla/{service}/{MONTH}')
        assert links == 3 + 2 + 2 + len(EXAMPLE)            # each figure leads on; two of the four objectives have one
        content = act(founded, lambda desk, lang=lang: report.pdf(desk, owner, MONTH, lang))         # type: ignore[misc]
        text = "".join(one.extract_text() for one in PdfReader(io.BytesIO(content)).pages)
        assert content.startswith(b"%PDF") and "99.7791" in text and words[0] in text
    assert report.of.__doc__ and act(founded, lambda desk: report.of(desk, owner, MONTH))["verdicts"]["breached"] == 1
    with pytest.raises(Refusal, match="nothing of the month"):
        act(founded, lambda desk: report.of(desk, owner, "2026-10"))
    with pytest.raises(Refusal, match="no language"):
        act(founded, lambda desk: report.html(desk, owner, MONTH, "fr"))


def test_pages_and_api(founded: Office) -> None:
    service = line(founded, TIER)
    minutes(founded, service, *EXAMPLE)
    row = settled(founded, service)
    act(founded, lambda desk: user.make(desk, "boss", "Boss", "a long password", ["manager", "auditor"]))
    app = site(founded)
    with TestClient(app, headers={"accept": "text/html"}) as client:
        client.post("/login", data={"login": "boss", "password": "a long password"})
        [one] = drafts(founded, service)
        for path, word in (("/sla", "99.7791"), (f"/sla/{service}", "43.2"), (f"/sla/{service}/{MONTH}", "99.6402"), ("/credits", "400.00"),
                           (f"/credits/{one.id}", "[99.5, 99.9)"), (f"/customers/{one.customer_id}/sla/{MONTH}", "99.7791"),
                           (f"/sla/{service}/{MONTH}/evidence?at=2026-11-04T00:00", "nothing is measured")):
            for lang in ("en", "zh"):
                page = client.get(path, params={"lang": lang} if "?" not in path else None)
                assert page.status_code == 200 and word in page.text and "script" not in page.text, (path, page.text[:500])
        assert client.get(f"/customers/{one.customer_id}/sla/{MONTH}?format=pdf").content.startswith(b"%PDF")
        mark = client.get("/sla").text.partition('name="csrf" value="')[2].partition('"')[0]
        form = {"csrf": mark, "since": "2026-11-04T03:00", "until": "2026-11-04T04:00", "state": "up", "reason": "the sensor was moved", "evidence": "T-1"}
        said = client.post(f"/sla/{service}/{MONTH}/reclassify", data=form)
        assert said.status_code == 200 and "60 unknown minutes" in said.text.replace("60 个未知分钟", "60 unknown minutes")
        asked = client.get("/fullspan/v1/reclassification").json()[0]
        refused = client.post(f"/reclassifications/{asked['id']}/decide", data={"csrf": mark, "to": "approved"})
        assert refused.status_code == 403 and "second person" in refused.text
        assert client.post(f"/credits/{one.id}/decide", data={"csrf": mark, "to": "approved"}).status_code == 409          # the month is open
        told = client.get(f"/fullspan/v1/service/{service}/sla/{MONTH}").json()
        assert (told["availability"], told["verdict"], told["minutes"]["down"], told["fault"]["restoreMinutes"]) == ("99.7791", "breached", 95, "31.66")
        assert [spell["minutes"] for spell in client.get(f"/fullspan/v1/service/{service}/sla/{MONTH}/minute").json()] == [120, 60, 5, 5, 85]
        base = "/tmf-api/serviceQualityManagement/v4"
        specification = client.get(f"{base}/serviceLevelSpecification", params={"key": "line-a"}).json()[0]
        objective = specification["relatedServiceLevelObjective"][0]
        assert objective["conformanceTarget"] == "99.99" and objective["thresholdTarget"] == "99.995" and specification["credit"]["model"] == "tier"
        assert client.get(objective["href"]).json() == objective and client.get(specification["href"]).json() == specification
        assert len(client.get(f"{base}/serviceLevelObjective", params={"key": "wlan"}).json()) == 6
        assert client.get(f"{base}/serviceLevelObjective/none.1.x").status_code == client.get(f"{base}/serviceLevelSpecification/x.1").status_code == 404
        assert client.get("/fullspan/v1/credit", params={"state": "drafted"}).json()[0]["amount"] == {"unit": "CNY", "value": "400.00"}
        closing = client.post(f"/fullspan/v1/sla/{MONTH}/close", headers={CSRF: mark})
        assert closing.status_code == 409 and "not decided on" in closing.text and row.state == "open"
        assert client.get(f"/fullspan/v1/customer/{one.customer_id}/sla/{MONTH}").json()["services"][0]["allowed"] == "43.2"


@pytest.fixture
def founded(founded_sqlite: Any, tmp_path: Any, clock: Clock) -> Any:
    """An office on SQLite alone: for what does not depend on the database."""
    import shutil

    from tests.bss.conftest import _at
    settings = _at(tmp_path, f"sqlite:///{tmp_path / 'bss.db'}")
    shutil.copy(founded_sqlite.keys, settings.keys)
    shutil.copy(founded_sqlite.database.removeprefix("sqlite:///"), settings.database.removeprefix("sqlite:///"))
    made = Office(settings, clock)
    yield made
    made.close()
