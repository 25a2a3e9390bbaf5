"""Tickets, alarms and windows by the API, the pages and the command line; and what a probe's web hook sends."""
from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient

from bss.cli import command
from bss.office import Office
from bss.people.entry import COOKIE, digest_of
from bss.refusal import Refusal
from bss.tables import Login, User
from bss.tickets import tending, ticket, transition, window
from tests.bss.belongings import token
from tests.bss.conftest import BEGIN, Clock, served, site
from tests.bss.selling import act, person
from tests.bss.test_reach import written
from tests.bss.test_tickets_alarms import plant, tickets

TICKET, ALARM, ALERT, WINDOW, LINK = ("/tmf-api/troubleTicket/v5/troubleTicket", "/tmf-api/alarmManagement/v4/alarm", "/fullspan/v1/alert",
                                      "/fullspan/v1/plannedWindow", "/fullspan/v1/linkState")


def asking(office: Office, role: str = "manager", **given: Any) -> TestClient:
    return TestClient(served(office), headers={"authorization": f"Bearer {token(office, role, [], **given)}"})


def told(service: str, **more: Any) -> dict[str, Any]:
    return {"externalAlarmId": "x1", "perceivedSeverity": "critical", "probableCause": "lossOfSignal", "alarmRaisedTime": "2026-12-01T08:50:00+08:00",
            "affectedService": [{"id": service}], "@type": "Alarm", **more}


def test_an_alarm_and_its_ticket_by_the_api(office: Office) -> None:
    _, _, (one, two) = plant(office, 2)
    with asking(office) as client:
        first = client.post(ALARM, json=told(one))
        assert (first.status_code, first.json()["opened"]) == (201, 1)
        assert (client.post(ALARM, json=told(one)).status_code, client.post(ALARM, json=[told(one)]).json()["known"]) == (200, 1)
        held = client.get(ALARM, params={"service": one}).json()
        assert [(row["probableCause"], row["state"], row["perceivedSeverity"]) for row in held] == [("loss_of_signal", "raised", "critical")]
        key = held[0]["troubleTicket"]["id"]
        row = client.get(f"{TICKET}/{key}")
        assert row.json()["status"] == "acknowledged" and row.json()["relatedEntity"][0]["id"] == one and row.json()["evidence"]["externalAlarmId"] == "x1"
        assert row.json()["expectedResolutionDate"] == "2026-12-01T09:00:00Z" and row.json()["secondsLeft"] == {
            "response": 1800, "restore": 28800, "stands": False}
        assert client.patch(f"{TICKET}/{key}", json={"status": "held", "statusChangeReason": "x"}).status_code == 409
        assert client.patch(f"{TICKET}/{key}", json={"status": "inProgress"}, headers={"if-match": '"7"'}).status_code == 412
        assert client.patch(f"{TICKET}/{key}", json={"status": "inProgress"}, headers={"if-match": row.headers["etag"]}).status_code == 200
        assert client.patch(f"{TICKET}/{key}", json={"status": "held", "severity": "minor"}).status_code == 400
        assert client.patch(f"{TICKET}/{key}", json={"severity": "minor"}).json()["priority"] == "3"
        assert client.patch(f"{TICKET}/{key}", json={"note": {"text": "called him"}}).status_code == 200
        assert client.post(f"/fullspan/v1/troubleTicket/{key}/claim", json={"at": "2026-12-01T09:00:00+08:00"}).json()["claimed"] == "2026-12-01T01:00:00Z"
        refused = client.patch(f"{TICKET}/{key}", json={"status": "resolved"})
        assert refused.status_code == 503 and "no store is named" in refused.json()["reason"]
        assert client.post(f"/fullspan/v1/troubleTicket/{key}/override", json={"reason": "x"}).status_code == 403           # he said it himself
        last = client.get(f"{TICKET}/{key}").json()
        assert [step["status"] for step in last["statusChangeHistory"]] == ["acknowledged", "inProgress"] and len(last["note"]) == 2
        assert client.get(TICKET, params={"status": "gone"}).status_code == 400 and len(client.get(TICKET, params={"status": "inProgress"}).json()) == 1
        made = client.post(TICKET, json={"name": "slow", "relatedEntity": [{"id": two, "@referredType": "Service"}]})
        assert made.status_code == 201 and made.headers["location"] == made.json()["href"] and made.json()["severity"] == "minor"
        assert client.post(TICKET, json={"name": "slow"}).status_code == 400
        assert client.get("/tmf-api/alarmManagement/v4/alarm/nobody").status_code == 404
        assert client.post(ALARM, json=told(one, probableCause="")).status_code == 400


def test_windows_and_link_states_by_the_api(office: Office) -> None:
    olt, _, (one,) = plant(office, 1)
    with asking(office) as client:
        body = {"kind": "maintenance", "since": "2026-12-03T00:00:00+08:00", "until": "2026-12-03T04:00:00+08:00", "announced": "2026-12-01T08:00:00+08:00",
                "reason": "cutover", "resourceIds": [olt]}
        made = client.post(WINDOW, json=body)
        assert made.status_code == 201 and made.json()["counts"] is False
        at = made.json()["href"]
        assert client.patch(at, json={"state": "approved"}).status_code == 403
        for wrong, status in (({"until": None}, 400), ({"resourceIds": []}, 400), ({"since": "2026-12-04T00:00:00+08:00"}, 400), ({"resourceIds": ["R"]}, 404)):
            assert client.post(WINDOW, json=body | wrong).status_code == status, wrong
        said = client.post(LINK, json={"serviceId": one, "state": "down", "note": "he called"})
        assert said.status_code == 201 and client.get(LINK, params={"current": True}).json()[0]["evidence"]["note"] == "he called"
        assert client.post(LINK, json={"serviceId": one, "state": "up", "since": "2026-11-30T00:00:00Z", "note": "late"}).status_code == 409
        whole = {"serviceId": one, "state": "down", "since": "2026-11-29T00:00:00Z", "until": "2026-11-29T01:00:00Z", "note": "log"}
        assert [client.post(LINK, json=whole).status_code for _ in range(2)] == [201, 201] and len(client.get(LINK).json()) == 2
    key, other = at.rpartition("/")[2], person(office, "boss", "manager")
    row = act(office, lambda desk: window.move(desk, key, "approved"), other)
    assert window.counts(row)
    with pytest.raises(Refusal, match="ends before that"):
        act(office, lambda desk: window.end(desk, key), other)


def test_a_customer_sees_his_tickets_and_no_more(office: Office) -> None:
    _, _, (one, two) = plant(office, 2)
    mine = act(office, lambda desk: ticket.open_(desk, kind="complaint", service_id=one, severity="minor", summary="慢", channel="phone"))
    act(office, lambda desk: ticket.note(desk, mine.id, "he is difficult", internal=True))
    other = act(office, lambda desk: ticket.open_(desk, kind="complaint", service_id=two, severity="minor", summary="慢", channel="phone"))
    with asking(office, "customer", customers=[mine.customer_id]) as client:
        assert [row["id"] for row in client.get(TICKET).json()] == [mine.id] and client.get(f"{TICKET}/{other.id}").status_code == 404
        seen = client.get(f"{TICKET}/{mine.id}").json()
        assert seen["name"] == "慢" and "evidence" not in seen and seen["note"] == [] and "difficult" not in json.dumps(seen)
        assert client.patch(f"{TICKET}/{mine.id}", json={"note": {"text": "still slow", "internal": True}}).status_code == 200
        assert [row["text"] for row in client.get(f"{TICKET}/{mine.id}").json()["note"]] == ["still slow"]
        assert client.patch(f"{TICKET}/{mine.id}", json={"status": "inProgress"}).status_code == 403
        assert client.get(f"{TICKET}/{mine.id}").json()["responded"] is None            # he is no response to himself
        assert client.patch(f"{TICKET}/{mine.id}", json={"status": "cancelled", "statusChangeReason": "it works"}).json()["status"] == "cancelled"
        assert client.get(ALARM).json() == [] and client.get(WINDOW).json() == []


def test_a_probes_web_hook_is_believed_by_its_signature(office: Office, clock: Clock, tmp_path: Path) -> None:
    _, _, (one,) = plant(office, 1)
    event = {"specversion": "1.0", "id": "a1.1", "source": "/fullspan/probes/p1", "type": "fullspan.alert.raised", "subject": "a1", "data": {
        "alert_id": "a1", "kind": "syn_flood", "severity": "high", "state": "raised", "first_time": "2026-12-01T00:50:00Z", "last_time": "2026-12-01T00:55:00Z",
        "revision": 1, "service_id": one, "summary": "flood", "summary_zh": "洪水", "target": "203.0.113.9", "probe": "p1"}}
    body = json.dumps(event).encode()

    def signed(secret: str, at: int, of: bytes = body) -> dict[str, str]:
        mark = hmac.new(secret.encode(), f"{at}.".encode() + of, hashlib.sha256).hexdigest()
        return {"content-type": "application/cloudevents+json", "x-fullspan-signature": f"t={at},v1={mark}"}
    now = int(BEGIN.timestamp())
    with TestClient(served(office)) as client:
        assert client.post(ALERT, content=body, headers=signed("s3cret", now)).status_code == 401           # no secret is set
        (file := tmp_path / "secret").write_text("s3cret\n")
        file.chmod(0o600)
        office.settings = office.settings.model_copy(update={"alerts_secret_file": str(file)})
        for headers in (signed("other", now), signed("s3cret", now - 301), signed("s3cret", now, b"{}"), {"x-fullspan-signature": "t=x,v1=y"},
                        {"content-type": "application/json"}):
            assert client.post(ALERT, content=body, headers=headers).status_code == 401, headers
        answers = [client.post(ALERT, content=body, headers=signed("s3cret", now)) for _ in range(2)]
        assert [one.status_code for one in answers] == [201, 200] and answers[0].json()["opened"] == 1
    assert [(row.alert_id, row.kind, row.began) for row in tickets(office)] == [("a1", "attack", BEGIN - timedelta(minutes=10))]


def test_waiting_for_a_customer_is_reminded_of_and_ends(office: Office, clock: Clock) -> None:
    """Working days 1, 3 and 5, and then resolved without a reply; an outage that the traffic does not clear goes on waiting."""
    _, _, (one, two) = plant(office, 2)
    keys = [act(office, lambda desk, kind=kind, service=service: ticket.open_(desk, kind=kind, service_id=service, severity="minor", summary="x").id)     # type: ignore[misc]
            for kind, service in (("complaint", one), ("outage", two))]
    for key in keys:
        act(office, lambda desk, key=key: transition.move(desk, key, "inProgress"))         # type: ignore[misc]
        act(office, lambda desk, key=key: transition.move(desk, key, "pending", "not at home"))         # type: ignore[misc]
    made = []
    for _ in range(9):              # Tuesday 1 December 2026 to Thursday of the next week
        made.append(act(office, tending.remind))
        assert act(office, tending.remind)["reminded"] == 0
        clock.forward(days=1)
    assert [one["reminded"] for one in made] == [0, 2, 0, 2, 0, 0, 0, 2, 0] and [one["resolved"] for one in made] == [0] * 8 + [1]
    assert [(row.state, row.reason) for row in tickets(office)] == [("resolved", "客户未回复"), ("pending", "not at home")]


def test_pages_of_tickets_and_windows(office: Office) -> None:
    _, _, (one, *_) = plant(office, 2)
    row = act(office, lambda desk: ticket.open_(desk, kind="outage", service_id=one, severity="critical", summary="断网", channel="phone"))

    def enter(desk: Any) -> None:
        user = desk.add(User(login="page", name="page", roles=["assurance", "manager"], created=desk.now))
        desk.session.add(Login(id=digest_of("cookie"), user_id=user.id, csrf="mark", since=desk.now, seen=desk.now))
    act(office, enter)
    with TestClient(site(office), follow_redirects=True, cookies={COOKIE: "cookie"}, headers={"accept": "text/html"}) as client:
        for lang, word in (("en", "Tickets"), ("zh", "故障单")):
            assert word in client.get("/tickets", params={"lang": lang}).text
            assert "断网" in client.get(f"/tickets/{row.id}", params={"lang": lang}).text and client.get("/windows", params={"lang": lang}).status_code == 200
        assert "已记录" in client.post(f"/tickets/{row.id}/note", data={"csrf": "mark", "text": "called"}).text
        assert "处理中" in client.post(f"/tickets/{row.id}/move", data={"csrf": "mark", "to": "inProgress"}).text
        assert "实测恢复后方可解决" in client.post(f"/tickets/{row.id}/claim", data={"csrf": "mark", "at": "", "note": "patched"}).text
        assert client.post(f"/tickets/{row.id}/move", data={"csrf": "mark", "to": "resolved"}).status_code == 503
        assert client.post(f"/tickets/{row.id}/override", data={"csrf": "mark", "reason": "x"}).status_code == 403


def test_commands(office: Office, tmp_path: Path) -> None:
    olt, _, (one,) = plant(office, 1)
    config, _ = written(office, tmp_path)

    def run(*words: str, code: int = 0) -> str:
        answer = CliRunner().invoke(command, ["--config", str(config), *words])
        assert answer.exit_code == code, answer.output
        return answer.output
    (file := tmp_path / "alarms.csv").write_text(f"time,state,service,event_id\n2026-11-29 08:00,down,{one},e1\n")
    assert json.loads(run("alarm", "import", str(file), "--dry-run", "--json")) == [{"events": 1, "link_states": 0}]
    assert json.loads(run("alarm", "import", str(file), "--json"))[0]["opened"] == 1 and json.loads(run("alarm", "import", str(file), "--json"))[0]["new"] == 0
    assert json.loads(run("alarm", "import", str(file), "--later", "--json")) == [{"asked": True}]
    assert json.loads(run("alarm", "list", "--json"))[0]["kind"] == "link_down" and "down" in run("alarm", "links", "--current")
    key = json.loads(run("ticket", "list", "--json"))[0]["id"]
    run("ticket", "move", key, "inProgress")
    assert "no store is named" in run("ticket", "move", key, "resolved", code=2)
    run("ticket", "claim", key, "--note", "patched")
    assert "patched" in run("ticket", "show", key)
    made = json.loads(run("window", "plan", "customer", "--since", "2026-11-28", "--until", "2026-11-29", "--service", one, "--reason", "his power",
                          "--json"))[0]
    run("window", "move", made["id"], "approved")
    assert json.loads(run("window", "list", "--json"))[0]["counts"] is True
    (secret := tmp_path / "community").write_text("public\n")
    assert "chmod 600" in run("traps", "--community-file", str(secret), "--port", "0", "--seconds", "0.3", code=2)
    secret.chmod(0o600)
    assert json.loads(run("traps", "--community-file", str(secret), "--port", "0", "--seconds", "0.3", "--json").strip().splitlines()[-1])["heard"] == 0
