"""The API and the commands of catalogue, enquiries, checks, orders, papers, attachments and configuration data."""
from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from bss.cli import command
from bss.office import Office
from bss.people.entry import digest_of
from bss.services import resource
from bss.tables import ApiToken, AuditRow, User
from tests.bss.client import Client
from tests.bss.selling import SAMPLE, act, customer, person, sold

ORDERS = "/tmf-api/productOrderingManagement/v5"
CATALOGUE = "/tmf-api/productCatalogManagement/v4/productOffering"
CHECKS = "/tmf-api/serviceQualificationManagement/v4/checkServiceQualification"


@pytest.fixture
def client(office: Office) -> Client:
    """Who asks as a manager; the headers of a request name others."""
    for login, roles in (("boss", ["manager", "presales"]), ("data", ["provisioning", "manager"]), ("reader", ["auditor"])):
        who = person(office, login, *roles)
        act(office, lambda desk, who=who, login=login: desk.add(ApiToken(user_id=who.id, name=login, digest=digest_of(login), roles=[], created=desk.now)))
    return Client(office, "boss")


DATA = {"Authorization": "Bearer data"}


def test_the_catalogue(office: Office, client: Client) -> None:
    sold(office)
    offered = tomllib.loads(SAMPLE.read_text(encoding="utf-8"))["offering"]
    answer = client.get(CATALOGUE, params={"limit": 4, "fields": "name,isBundle"})
    assert answer.status_code == 206 and answer.headers["X-Total-Count"] == str(len(offered)) and set(answer.json()[0]) == {"id", "href", "name", "isBundle"}
    one = client.get(f"{CATALOGUE}/family-199").json()
    assert one["isBundle"] and one["bundledProductOffering"][1] == {"id": "mobile-59", "href": f"{CATALOGUE}/mobile-59", "numberRelOfferDefault": 2}
    assert one["productOfferingPrice"][0]["price"] == {"value": "199.00", "unit": "CNY"} and one["productOfferingPrice"][0]["tax"][0]["included"]
    document = {**one["document"], "valid_from": "2027-02-01T00:00:00+08:00", "prices": [{**one["document"]["prices"][0], "amount": "209.00"}]}
    assert client.post(CATALOGUE, json=document).status_code == 201
    assert client.get(f"{CATALOGUE}/family-199").json()["version"] == "1"
    assert client.get(f"{CATALOGUE}/family-199", params={"at": "2027-02-01T00:00:00+08:00"}).json()["version"] == "2"
    wrong = client.post(CATALOGUE, json={**document, "valid_from": "2027-03-01T00:00:00+08:00", "prics": []})
    assert wrong.status_code == 400 and wrong.json()["reason"] == "there is no 'prics' here" and wrong.json()["referenceError"] == "prics"
    assert client.post(CATALOGUE, json=document, headers={"Authorization": "Bearer reader"}).status_code == 403
    assert [row["version"] for row in client.get(CATALOGUE, params={"id": "family-199"}).json()] == ["1", "2"]


def test_an_order_through_the_api(office: Office, client: Client) -> None:
    owner = customer(office)
    sold(office)
    parts = act(office, lambda desk: [resource.add(desk, kind=kind, name=name, region="贵阳", capacity_bps=10 ** 9 if kind == "port" else 0).id
                                      for kind, name in (("port", "ge-0/0/1"), ("vlan", "301"), ("prefix", "203.0.113.0/29"))])
    body = {"customer": {"id": owner}, "productOrderItem": [{"action": "add", "productOffering": {"id": "line-a"}, "place": "云岩区中山路1号",
                                                             "wanted": {"down_bps": 100_000_000}}]}
    key = {"Idempotency-Key": "one"}
    made = client.post(f"{ORDERS}/productOrder", json=body, headers=key)
    assert made.status_code == 201 and made.headers["ETag"] == '"1"' and made.json()["state"] == "draft"
    href = made.json()["href"]
    assert client.post(f"{ORDERS}/productOrder", json=body, headers=key).json()["id"] == made.json()["id"]
    assert client.post(f"{ORDERS}/productOrder", json={**body, "region": "遵义"}, headers=key).status_code == 422
    assert client.get(f"{ORDERS}/productOrder").headers["X-Total-Count"] == "1"
    assert client.patch(href, json={"state": "completed"}).status_code == 409
    answer = client.patch(href, json={"state": "acknowledged"}, headers={"If-Match": '"1"'})
    assert answer.status_code == 200 and answer.json()["productOrderItem"][0]["itemPrice"][0]["price"]["dutyFreeAmount"] == {"unit": "CNY", "value": "8000.00"}
    assert client.patch(href, json={"state": "inProgress"}, headers={"If-Match": '"1"'}).status_code == 412
    refused = client.patch(href, json={"state": "inProgress"})
    assert refused.status_code == 409 and refused.json()["reason"] == "whether it can be delivered is not checked" and refused.json()["message"]
    item = answer.json()["productOrderItem"][0]
    assert item["place"].startswith("云*") and "中山路" not in answer.text
    plain = client.get(href, params={"unmask": True, "reason": "ticket 1"})
    assert plain.json()["productOrderItem"][0]["place"] == "云岩区中山路1号" and client.get(href, params={"unmask": True}).status_code == 400
    with office.reading() as desk:
        assert "ticket 1" in desk.session.execute(select(AuditRow.reason).where(AuditRow.action == "personal.unmask")).scalars().all()
    amended = client.patch(href, json={"stateReason": "more", "productOrderItem": [
        {"id": item["id"], "productOffering": {"id": "line-a"}, "wanted": {"down_bps": 200_000_000}}]})
    assert amended.json()["revision"] == 2 and amended.json()["difference"]["total"] == {"monthly": "8480.00", "one_time": "0.00"}
    assert [one["revision"] for one in client.get(f"{href}/version").json()] == [1]
    office_clock = office.clock
    office_clock.forward(minutes=1)         # type: ignore[attr-defined]
    checked = client.post(CHECKS, json={"productOrder": {"id": made.json()["id"]}})
    assert checked.status_code == 201 and checked.json()["qualificationResult"] == "qualified", checked.text
    assert client.get(CHECKS, params={"productOrder": made.json()["id"]}).headers["X-Total-Count"] == "1"
    assert client.patch(href, json={"state": "inProgress"}).json()["state"] == "inProgress"
    step = f"/fullspan/v1/productOrderItem/{item['id']}"
    reserved = client.post(f"{step}/reserve", json={"resource": parts}, headers=DATA)
    assert reserved.status_code == 200 and len(reserved.json()["reservation"]) == 3 and "resourceReserved" in reserved.json()["milestone"], reserved.text
    data = client.post("/fullspan/v1/configuration", json={"productOrderItem": item["id"]}, headers=DATA)
    assert data.status_code == 201 and "ge-0/0/1.301" in data.json()["text"], data.text
    assert client.patch(data.json()["href"], json={"state": "signed"}, headers=DATA).status_code == 403
    assert client.patch(data.json()["href"], json={"state": "signed"}).json()["state"] == "signed"
    assert client.patch(data.json()["href"], json={"state": "applied"}, headers=DATA).json()["state"] == "applied"
    bound = client.post(f"{step}/connect", json={"binding": [{"prefix": "203.0.113.0/29"}]}, headers=DATA)
    assert bound.status_code == 200 and len(bound.json()["binding"]) == 1, bound.text
    begin = office.clock().isoformat()
    office_clock.forward(minutes=5)         # type: ignore[attr-defined]
    installed = client.post(f"{step}/install", json={"test": [{"begin": begin, "end": office.clock().isoformat()}]}, headers=DATA)
    assert installed.status_code == 200 and len(installed.json()["milestone"]["installed"]["evidence"]["tests"]) == 1
    assert client.post(f"{step}/verify", headers=DATA).status_code == 503          # there is no store: nothing is guessed
    assert client.patch(href, json={"state": "completed"}).status_code == 503
    gone = client.post(f"{ORDERS}/cancelProductOrder", json={"productOrder": {"id": made.json()["id"]}, "cancellationReason": "moved away"})
    assert gone.status_code == 201 and gone.json()["state"] == "done" and gone.json()["productOrder"]["state"] == "cancelled"
    steps = [(one["from"], one["to"]) for one in client.get(f"{href}/history").json() if one["id"] == made.json()["id"]]
    assert steps[0] == ("", "draft") and ("pendingCancellation", "cancelled") in steps
    assert client.get("/fullspan/v1/report/dwell").json()[0]["state"] == "draft"


def test_orders_of_a_wrong_form_are_refused(client: Client) -> None:
    bodies: tuple[tuple[dict[str, Any], int], ...] = (
        ({}, 400), ({"customer": {"id": "C0"}, "productOrderItem": [{"productOffering": {"id": "line-a"}}]}, 404),
        ({"customer": {"id": "C0"}, "productOrderItem": [{"productOffering": {"id": "line-a"}, "colour": "red"}]}, 400),
        ({"customer": {"id": "C0"}, "productOrderItem": []}, 400))
    for body, status in bodies:
        answer = client.post(f"{ORDERS}/productOrder", json=body)
        assert answer.status_code == status and set(answer.json()) == {"code", "reason", "message", "referenceError"}


def test_enquiries_papers_and_files_through_the_api(office: Office, client: Client) -> None:
    owner = customer(office)
    sold(office)
    made = client.post("/fullspan/v1/enquiry", json={"customer": {"id": owner}, "need": {"kind": "leased_line", "down_bps": 100_000_000}, "place": "中山路1号"})
    assert made.status_code == 201 and "中山路" not in made.text
    href = made.json()["href"]
    assert client.post(f"{href}/survey", json={"found": {"distance_m": 40}}, headers={"If-Match": '"1"'}).json()["state"] == "surveyed"
    assert client.patch(href, json={"state": "quoted"}).status_code == 409
    quote = client.post("/fullspan/v1/paper", json={"kind": "quote", "entity": "enquiry", "entityId": made.json()["id"], "content": {"monthly": "1"}})
    assert client.post(f"{quote.json()['href']}/decision", json={"approve": True}).status_code == 403
    assert client.post(f"{quote.json()['href']}/decision", json={"approve": True}, headers=DATA).json()["state"] == "approved"
    assert client.get(href).json()["state"] == "quoted"
    won = client.post(f"{href}/order", json={"productOrderItem": [{"productOffering": {"id": "static-address"}}]})
    assert won.status_code == 201 and won.json()["enquiry"]["id"] == made.json()["id"] and client.get(href).json()["state"] == "won"
    where = {"entity": "enquiry", "entityId": made.json()["id"], "name": "王小明.pdf"}
    file = client.post("/fullspan/v1/attachment", params=where, content=b"%PDF-1.7 x", headers={"Idempotency-Key": "f"})
    assert file.status_code == 201 and file.json()["name"] == "王******" and file.json()["mimeType"] == "application/pdf", file.text
    assert client.post("/fullspan/v1/attachment", params=where, content=b"%PDF-1.7 x", headers={"Idempotency-Key": "f"}).json()["id"] == file.json()["id"]
    read = client.get(f"{file.json()['href']}/content", params={"reason": "t"})
    assert read.content == b"%PDF-1.7 x" and read.headers["X-Content-Type-Options"] == "nosniff" and "attachment;" in read.headers["Content-Disposition"]
    assert client.post("/fullspan/v1/attachment", params=where, content=b"%PDF-1.7" + bytes(21 << 20)).status_code == 413
    assert client.post("/fullspan/v1/attachment", params={**where, "name": "a.exe"}, content=b"MZ\x00").status_code == 400
    assert client.get("/fullspan/v1/attachment", params={"entityId": made.json()["id"]}).headers["X-Total-Count"] == "1"


def test_the_commands(office: Office, tmp_path: Path) -> None:
    owner = customer(office)
    config = tmp_path / "bss.toml"
    config.write_text("".join(f'{name} = "{getattr(office.settings, name)}"\n' for name in ("database", "keys", "attachments", "bindings", "store")))

    def run(*words: str, status: int = 0) -> Any:
        done = CliRunner().invoke(command, ["--config", str(config), *words])
        assert done.exit_code == status, done.output
        return json.loads(done.stdout) if words[-1] == "--json" and not status else done.output
    sample = tomllib.loads(SAMPLE.read_text(encoding="utf-8"))
    assert len(run("catalogue", "load", str(SAMPLE), "--json")) == len(sample["offering"]) + len(sample["sla"])
    assert len(run("catalogue", "list", "--kind", "broadband", "--json")) == 3
    assert "带宽月租" in run("catalogue", "show", "line-a")
    broken = tmp_path / "broken.toml"
    broken.write_text("[[offering]]\ncode = \"x\"\ncolour = 1\n")
    assert f"{broken}:3" in run("catalogue", "load", str(broken), status=2)
    asked = run("enquiry", "add", owner, "--kind", "leased_line", "--down-mbps", "100", "--json")[0]
    assert run("enquiry", "check", asked["id"], "--json")[0]["result"] == "unqualified"
    assert run("enquiry", "survey", asked["id"], "--found", '{"rack": "A1"}', "--json")[0]["state"] == "surveyed"
    assert len(run("enquiry", "list", "--json")) == 1
    made = run("order", "add", owner, "--item", "static-address", "--item", "line-b@50", "--acknowledge", "--json")[0]
    assert made["state"] == "acknowledged" and made["monthly"] == "3230.00"
    items = run("order", "show", made["id"], "--json")[0]["items"]
    assert "not checked" in run("order", "move", made["id"], "inProgress", status=2)
    kept = json.dumps({"id": items[0]["id"], "offering": "static-address"})
    told = run("order", "amend", made["id"], "--item", kept, "--reason", "no line", "--json")
    assert told[-1]["monthly"] == "-3180.00" and told[-1]["revision"] == 2
    assert run("order", "move", made["id"], "inProgress", "--json")[0]["state"] == "inProgress"
    assert run("order", "verify", items[0]["id"], "--json") == [{"item": items[0]["id"], "done": True, "how": "none", "why": ""}]
    assert run("order", "move", items[0]["id"], "completed", "--json")[0]["state"] == "completed"
    assert run("order", "list", "--state", "completed", "--json")[0]["id"] == made["id"] and run("order", "dwell", "--json")
    page = tmp_path / "sheet.html"
    sheet = run("paper", "acceptance", made["id"], "--out", str(page), "--lang", "en", "--json")[0]
    assert "Acceptance sheet" in page.read_text() and run("paper", "decide", sheet["id"], "--approve", "--json")[0]["state"] == "approved"
    assert run("paper", "list", "--of", made["id"], "--json")[0]["kind"] == "acceptance" and run("configuration", "list", "--json") == []
    other = run("order", "add", owner, "--item", "video-pack", "--json")[0]
    assert run("order", "cancel", other["id"], "--reason", "a mistake", "--json")[0]["state"] == "cancelled"
    assert "no service" in run("order", "service", "S0", "terminate", status=2)
    with office.reading() as desk:
        assert desk.session.query(User).count() == 0
