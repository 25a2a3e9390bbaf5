"""Work in the field by its API, its commands and its pages, a telephone's among them."""
from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

from click.testing import CliRunner
from fastapi.testclient import TestClient

from bss.cli import command
from bss.office import Office
from bss.people import user
from bss.people.entry import digest_of
from bss.people.scope import SYSTEM
from bss.tables import ApiToken
from bss.tickets import escalation
from tests.bss.conftest import BEGIN, Clock, served, site
from tests.bss.selling import SAMPLE
from tests.bss.test_field import PNG, REPAIR, begun, opened

V1, TMF = "/fullspan/v1", "/tmf-api/workOrderManagement/v4/workOrder"


def person(office: Office, login: str, *roles: str) -> str:
    """A user with a password and a token, both his log-in made longer; his id."""
    def make(desk: object) -> str:
        made = user.make(desk, login, login, f"a long {login} password", list(roles))
        desk.add(ApiToken(user_id=made.id, name="t", digest=digest_of(login), created=desk.now, expires=desk.now + timedelta(days=90)))
        return made.id
    return office.act(SYSTEM, make)


def test_from_a_ticket_to_a_photo_by_the_api(office: Office, clock: Clock) -> None:
    service = begun(office)
    lin, chen = person(office, "lin", "assurance"), person(office, "chen", "contractor")
    boss = person(office, "boss", "manager")
    ticket = opened(office, service)
    with TestClient(served(office)) as client:
        def ask(who: str, method: str, path: str, status: int = 200, **given: object) -> object:
            answer = client.request(method, path, headers={"authorization": f"Bearer {who}", **given.pop("headers", {})}, **given)
            assert answer.status_code == status, (method, path, answer.status_code, answer.text)
            return answer.json() if answer.content else None
        shift = ask("boss", "POST", f"{V1}/roster", 201, json={"level": "duty", "user": {"id": lin}, "since": "2026-12-01T00:00:00Z",
                                                            "until": "2026-12-08T00:00:00Z"})
        assert shift["user"]["id"] == lin
        sent: dict[str, object] = ask("lin", "POST", TMF, 201, json={"owner": {"id": chen}, "description": "find the cut", "troubleTicket": {"id": ticket},
                                                                     "place": "中山路 8 号"})
        key = sent["id"]
        assert [one["id"] for one in ask("chen", "GET", f"{TMF}?state=assigned")] == [key]
        assert "place" not in ask("chen", "GET", TMF)[0] and ask("chen", "GET", f"{TMF}/{key}")["place"] == "中山路 8 号"
        assert ask("boss", "GET", f"{TMF}/{key}")["place"] == "中山路 8 号"
        refused = ask("chen", "PATCH", f"{TMF}/{key}", 409, json={"state": "done"})
        assert "can't become done" in refused["reason"]
        ask("chen", "PATCH", f"{TMF}/{key}", json={"state": "accepted"}, headers={"if-match": '"1"'})
        ask("chen", "PATCH", f"{TMF}/{key}", 412, json={"state": "arrived"}, headers={"if-match": '"1"'})
        ask("chen", "PATCH", f"{TMF}/{key}", json={"state": "arrived", "answers": REPAIR})
        ask("chen", "POST", f"{V1}/attachment?entity=dispatch&entityId={key}&name=cut.png", 201, content=PNG)
        done = ask("chen", "PATCH", f"{TMF}/{key}", json={"state": "done"})
        assert done["state"] == "done" and done["missing"] == [] and done["photos"] == 1
        clock.forward(hours=2)
        office.act(SYSTEM, escalation.watch)
        told = ask("lin", "GET", f"{V1}/ticket/{ticket}/escalation")
        assert [(one["clock"], one["percent"]) for one in told] == [("restore", 50)] and told[0]["user"] == chen
        article = ask("lin", "POST", f"{V1}/article", 201, json={"title": {"en": "Cut", "zh": "光功率低"}, "text": {"en": "x", "zh": "x"},
                                                               "ticket_kinds": ["outage"]})
        assert [one["id"] for one in ask("chen", "GET", f"{V1}/ticket/{ticket}/article")] == [article["id"]]
        assert ask("chen", "GET", f"{V1}/article?q=功率")[0]["id"] == article["id"]
        due = ask("chen", "GET", f"{V1}/calendar/business/due?since=2026-12-04T16:00&minutes=240")
        assert due["dueThere"] == "2026-12-07T11:00:00+08:00"
        card = ask("chen", "GET", f"{V1}/scorecard/contractor/{chen}")
        assert [one["key"] for one in card["kpi"]] == ["response", "restore", "first-time-fix", "gap", "evidence"] and not card["ranked"]
        event = ask("lin", "POST", f"{V1}/assurance", 201, json={"name": "Marathon", "service": [{"id": service}], "since": "2026-12-02T00:00:00Z",
                                                                  "until": "2026-12-02T09:00:00Z", "thresholds": {"rtt_ms": 15}})
        assert event["state"] == "draft" and event["thresholds"]["rtt_ms"] == "15" and event["thresholds"]["loss_percent"] == "0.5"
        ask("lin", "PATCH", f"{V1}/assurance/{event['id']}", 403, json={"state": "approved"})
        assert ask("boss", "PATCH", f"{V1}/assurance/{event['id']}", json={"state": "approved"})["decidedBy"] == boss
        plan = ask("lin", "POST", f"{V1}/inspectionPlan", 201, json={"name": "room", "every": "week", "owner": {"id": chen}, "region": "贵阳"})
        assert plan["days"] == 7 and ask("chen", "GET", f"{V1}/inspectionPlan")[0]["id"] == plan["id"]
        assert {one["id"] for one in ask("chen", "GET", f"{V1}/checklist")} >= {"repair", "site"}


def test_a_contractor_with_a_telephone(office: Office) -> None:
    service = begun(office)
    chen, lin = person(office, "chen", "contractor"), person(office, "lin", "assurance", "manager")
    assert lin
    ticket = opened(office, service)
    app = site(office)
    with TestClient(app, headers={"accept": "text/html"}) as client:
        def enter(who: str) -> str:
            client.cookies.clear()
            client.post("/login", data={"login": who, "password": f"a long {who} password"})
            mark = re.search(r'name="csrf" value="([^"]+)"', client.get("/?lang=zh").text)
            assert mark is not None
            return mark[1]
        csrf = enter("lin")
        page = client.post(f"/field/tickets/{ticket}/send", data={"csrf": csrf, "owner": chen, "kind": "repair", "task": "查找断点", "site": "中山路 8 号"})
        assert page.status_code == 200 and "已派出 PD20261201" in page.text
        for path in ("/field", "/field/dispatches", "/field/inspections", "/field/plans", "/field/assurances", "/field/knowledge?words=x", "/field/scorecards",
                     "/field/rosters", "/field/calendars", f"/field/tickets/{ticket}", f"/tickets/{ticket}", f"/field/scorecards/contractor/{chen}"):
            for lang in ("en", "zh"):
                page = client.get(path, params={"lang": lang} if "?" not in path else None)
                assert page.status_code == 200 and "script" not in page.text, path
        csrf = enter("chen")
        work = client.get("/work")
        key = re.search(r"/work/dispatch/(W\w+)", work.text)
        assert key is not None and "查找断点" in work.text and 'name="viewport" content="width=device-width' in work.text
        path = f"/work/dispatch/{key[1]}"
        for to in ("accepted", "arrived"):
            assert client.post(f"{path}/move", data={"csrf": csrf, "to": to}).status_code == 200
        page = client.post(f"{path}/answer", data={"csrf": csrf, "answer.safe": "yes", "answer.cause": "光缆中断", "answer.work": "熔接",
                                                     "answer.tested": "no"})
        assert "尚缺:修复部位照片" in page.text and '<option value="no" selected>' in page.text
        assert client.post(f"{path}/photo", data={"csrf": csrf}, files={"file": ("x.png", b"GIF89a", "image/png")}).status_code == 400
        assert "检查表已完整" in client.post(f"{path}/photo", data={"csrf": csrf}, files={"file": ("x.png", PNG, "image/png")}).text
        page = client.post(f"{path}/restored", data={"csrf": csrf})
        assert "已登记报修复" in page.text
        page = client.post(f"{path}/move", data={"csrf": csrf, "to": "done", "answer.tested": "yes"})
        assert page.status_code == 200 and "已完成" in page.text and "中山路 8 号" in page.text
        assert client.get("/field/scorecards").text.count("chen") >= 1 and client.post(f"{path}/move", data={"to": "accepted"}).status_code == 403
    with office.reading() as desk:
        from bss.tables import Dispatch, Ticket
        assert desk.find(Ticket, ticket).claimed == BEGIN and desk.find(Dispatch, key[1]).answers["tested"] is True


def test_the_commands(office: Office, tmp_path: Path) -> None:
    service = begun(office)
    chen, lin = person(office, "chen", "contractor"), person(office, "lin", "assurance")
    ticket = opened(office, service)
    (config := tmp_path / "bss.toml").write_text("\n".join(f"{name} = {json.dumps(str(getattr(office.settings, name)))}" for name in (
        "database", "keys", "attachments", "bindings", "store")))
    runner = CliRunner()

    def run(*words: str, who: str = "", code: int = 0) -> list[dict[str, str]]:
        answer = runner.invoke(command, ["--config", str(config), *(("--as", who) if who else ()), *words, "--json"])
        assert answer.exit_code == code, (words, answer.output)
        return json.loads(answer.output) if code == 0 else []
    assert {one["key"] for one in run("calendar", "load", str(SAMPLE.parent / "field.toml"))} == {"business", "site-battery", "contractor"}
    assert {one["key"]: one["version"] for one in run("calendar", "list")} == {"24x7": "standard", "business": 1, "workdays": "standard"}
    assert run("calendar", "due", "business", "2026-12-04T16:00", "--minutes", "240")[0]["due"] == "2026-12-07T11:00:00+08:00"
    assert len(run("knowledge", "load", str(SAMPLE.parent / "knowledge.toml"))) == 5 and run("knowledge", "find", "光功率")[0]["title_zh"] == "光功率低"
    assert run("knowledge", "suggest", ticket)[0]["title_zh"] == "光功率低"
    run("roster", "add", "lead", lin, "2026-12-01", "2027-12-01", "--region", "贵阳")
    assert {one["user"] for one in run("roster", "list", "--since", "2026-11-01")} == {"lin"}
    event = run("assurance", "plan", "Gala", "2099-01-01", "2099-01-02", "--service", service, who="lin")[0]
    run("assurance", "move", event["id"], "approved", who="lin", code=2)
    assert run("assurance", "move", event["id"], "approved")[0]["state"] == "approved" and run("assurance", "report", event["id"]) == []
    plan = run("inspection", "plan", "room", "year", chen, "--region", "贵阳", "--checklist", "site-battery")[0]
    assert run("inspection", "plans")[0]["id"] == plan["id"] and run("inspection", "list") == []
    assert run("scorecard", "contractor")[0]["name"] == "chen"
    assert [one["kpi"] for one in run("scorecard", "contractor", chen)[0]["kpi"]][0] == "response"
    row = run("dispatch", "send", chen, "--ticket", ticket, "--task", "find it", who="lin")[0]
    for to in ("accepted", "arrived"):
        run("dispatch", "move", row["id"], to, who="chen")
    run("dispatch", "answer", row["id"], json.dumps(REPAIR), who="chen")
    (photo := tmp_path / "cut.png").write_bytes(PNG)
    run("dispatch", "photo", row["id"], str(photo), who="chen")
    assert not any(one["missing"] for one in run("dispatch", "show", row["id"], who="chen")[0]["checklist"])
    assert run("dispatch", "move", row["id"], "done", who="chen")[0]["state"] == "done" and run("dispatch", "list", "--state", "done")[0]["id"] == row["id"]
