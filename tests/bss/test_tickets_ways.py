"""What people do with alarms and tickets beside the queue: clear an alarm that was told by the API, take tickets away as a list, see them on the first page."""
from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from bss.desk import Desk
from bss.office import Office
from bss.people import user
from bss.people.scope import SYSTEM
from bss.tables import Alarm, Escalation, LinkState, Service, Ticket, User
from bss.tickets import alarm, escalation, roster, ticket, transition
from bss.tickets.alarm import Event
from tests.bss.conftest import BEGIN, Clock, site
from tests.bss.selling import act, person
from tests.bss.test_tickets_alarms import plant, tickets
from tests.bss.test_tickets_api import ALARM, TICKET, asking, told


def test_an_alarm_is_cleared_by_patch_where_it_was_told(office: Office, clock: Clock) -> None:
    _, _, (one, two) = plant(office, 2)
    with asking(office) as client:
        client.post(ALARM, json=told(one))
        held = client.get(ALARM, params={"service": one}).json()[0]
        path = held["href"]
        assert client.patch(path, json={"perceivedSeverity": "minor"}).json()["perceivedSeverity"] == "minor" and tickets(office)[0].state == "acknowledged"
        assert client.patch(path, json={}).status_code == 400 and client.patch(f"{ALARM}/nobody", json={"state": "cleared"}).status_code == 404
        assert client.patch(path, json={"state": "raised"}).status_code in (400, 422)
        early = client.patch(path, json={"state": "cleared", "alarmClearedTime": "2026-12-01T08:40:00+08:00"})
        assert early.status_code == 409 and "which is later" in early.json()["reason"]
        clock.forward(minutes=5)
        done = client.patch(path, json={"state": "cleared"})
        assert (done.status_code, done.json()["state"], done.json()["perceivedSeverity"]) == (200, "cleared", "cleared")
        assert client.patch(path, json={"perceivedSeverity": "cleared"}).status_code == 200          # said again it does nothing
        row = tickets(office)[0]
        assert (row.state, row.restored) == ("resolved", BEGIN + timedelta(minutes=5)) and row.restoration["how"] == "cleared"
        with office.reading() as desk:
            states = desk.session.execute(select(LinkState.state).where(LinkState.subject == one).order_by(LinkState.since)).scalars().all()
            assert states == ["down", "up"] and desk.session.query(Alarm).one().count == 3
        act(office, lambda desk: alarm.take(desk, [Event("ping", "p/1", two, "raised", "ping_down", "critical", clock.now, "down", service=two)]))
        other = client.get(ALARM, params={"sourceSystemId": "ping"}).json()[0]["href"]
        refused = client.patch(other, json={"state": "cleared"})
        assert refused.status_code == 409 and "cleared by ping" in refused.json()["reason"]


def test_nobody_opens_a_ticket_as_if_a_program_had(office: Office) -> None:
    """What a program opens is shown in clear to all, and mailed to customers."""
    _, _, (one,) = plant(office, 1)
    with asking(office) as client:
        made = {"name": "slow", "relatedEntity": [{"id": one, "@referredType": "Service"}]}
        assert [client.post(TICKET, json={**made, "channel": channel}).status_code for channel in ("alarm", "system", "phone")] == [400, 400, 201]


def test_tickets_are_taken_away_as_a_list(office: Office) -> None:
    _, _, (one, two) = plant(office, 2)
    with asking(office, "auditor") as client, asking(office, "contractor", own_work=True) as outside:
        act(office, lambda desk: ticket.open_(desk, kind="complaint", service_id=one, severity="minor", summary="王先生说网速慢", channel="phone"))
        act(office, lambda desk: ticket.open_(desk, kind="outage", service_id=two, severity="critical", summary="los"))
        answer = client.get("/fullspan/v1/export/ticket", params={"format": "csv", "lang": "en", "kind": "complaint"})
        rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
        every = client.get("/fullspan/v1/export/ticket", params={"format": "csv", "lang": "zh"}).text
        assert "los" in every and "故障描述" in every          # a program's words are nobody's
        assert answer.status_code == 200 and [(row["kind"], row["service"], row["state"]) for row in rows] == [("complaint", one, "acknowledged")]
        assert "王先生" not in answer.text and rows[0]["response_due"]
        assert client.get("/fullspan/v1/export/ticket", params={"format": "xlsx", "colour": "red"}).status_code == 400
        assert outside.get("/fullspan/v1/export/ticket").status_code == 403


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_first_page_tells_of_tickets(office: Office, clock: Clock, lang: str) -> None:
    _, _, (one, two) = plant(office, 2)

    def make(desk: Desk) -> None:
        boss = user.make(desk, "boss", "Boss", "a long password", ["manager"])
        mine = ticket.open_(desk, kind="outage", service_id=one, severity="critical", summary="los")
        ticket.open_(desk, kind="outage", service_id=two, severity="critical", summary="los")
        desk.session.get_one(Ticket, mine.id).owner_id = desk.session.query(User).where(User.login == boss.login).one().id
    office.act(SYSTEM, make)
    clock.forward(hours=9)
    with TestClient(site(office), headers={"accept": "text/html"}) as client:
        client.post("/login", data={"login": "boss", "password": "a long password"})
        text: Any = client.get(f"/?lang={lang}").text
        for words, count in ((("open tickets", "未解决故障单"), 2), (("tickets past their time", "超时故障单"), 2),
                             (("tickets nobody has taken", "无人接单"), 1)):
            assert f"<b>{count}</b><span>{words[lang == 'zh']}</span>" in text
        assert ("我的故障单" if lang == "zh" else "My tickets") in text and text.count('href="/tickets/T') == 1


@pytest.mark.both
def test_a_storm_is_escalated_once_but_for_what_has_a_clock_or_an_owner_of_its_own(office: Office, clock: Clock) -> None:
    _, ports, services = plant(office, 8)
    lead, owner = person(office, "lead", "assurance"), person(office, "owner", "assurance")

    def shifts(desk: Desk) -> None:
        for level, who in (("duty", lead), ("lead", lead), ("manager", lead)):
            roster.add(desk, level=level, user_id=who.id, since=BEGIN - timedelta(hours=1), until=BEGIN + timedelta(days=9))
        desk.session.get_one(Service, services[7]).class_ = "A"
    act(office, shifts)
    act(office, lambda desk: alarm.take(desk, [Event("tmf642", "e1", "pon", "raised", "port_down", "critical", BEGIN, "los", resource=ports[0])]))
    parent = next(one for one in tickets(office) if one.root_cause)
    children = {str(one.service_id): one.id for one in tickets(office) if one.parent_id == parent.id}
    assert len(children) == 8
    act(office, lambda desk: ticket.assign(desk, children[services[0]], owner.id), owner)           # answered, and his

    def watched(**given: float) -> list[tuple[str, str, int]]:
        clock.forward(**given)
        with office.reading() as desk:
            before = {(one.ticket_id, one.clock, one.percent) for one in desk.session.query(Escalation)}
        act(office, escalation.watch)
        with office.reading() as desk:
            names = {parent.id: "cause", children[services[0]]: "owned", children[services[7]]: "A"}
            return sorted({(names.get(one.ticket_id, "child"), one.clock, one.percent) for one in desk.session.query(Escalation)
                           if (one.ticket_id, one.clock, one.percent) not in before})
    assert watched(minutes=8) == [("A", "response", 50)]                     # 15 minutes: its clock is another
    assert watched(minutes=8) == [("A", "response", 80), ("A", "response", 100), ("cause", "response", 50)]
    assert watched(minutes=15) == [("cause", "response", 80), ("cause", "response", 100)] and watched() == []
    assert watched(minutes=90) == [("A", "restore", 50)]
    assert watched(hours=2) == [("A", "restore", 80), ("A", "restore", 100), ("cause", "restore", 50), ("owned", "restore", 50)]
    act(office, lambda desk: transition.step(desk, desk.session.get_one(Ticket, parent.id), "resolved", ""))
    assert watched(minutes=1) == []                     # what was told holds when the cause is over
    late = watched(hours=9)                             # nobody speaks for them any more, so the first of them does
    assert [one[1:] for one in late] == [("restore", 80), ("restore", 100)]
    assert {one[0] for one in late} in ({"child"}, {"owned"})           # due at the same time, any of them is the first, of both
    with office.reading() as desk:
        assert desk.session.query(Escalation).filter(Escalation.clock == "restore", Escalation.percent == 100).count() == 2
        assert parent.id in {one.ticket_id for one in escalation.told_of(desk, children[services[3]])}
