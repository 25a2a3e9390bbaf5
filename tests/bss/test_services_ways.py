"""Services, resources, bindings and whois by REST and on the command line, on each database."""
from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bss import audit
from bss.cli import command
from bss.moment import iso
from bss.office import Office
from bss.people.entry import digest_of
from bss.people.scope import SYSTEM
from bss.services import correction, inventory
from bss.services.spelling import What
from bss.tables import ApiToken, Binding, Job, Service, User
from tests.bss.client import Client
from tests.bss.conftest import BEGIN, Clock
from tests.bss.test_bindings import bind, lines, rows, some
from tests.bss.test_services import items

SERVICE, RESOURCE = "/tmf-api/serviceInventory/v4/service", "/tmf-api/resourceInventoryManagement/v4/resource"
BINDING, WHOIS = "/fullspan/v1/binding", "/fullspan/v1/whois"


def ask(office: Office, role: str = "manager", regions: list[str] | None = None) -> Client:
    """Somebody of a role, by token."""
    secret = os.urandom(8).hex()
    with office.writing() as desk:
        user = desk.add(User(login=secret, name="x", roles=[role], regions=regions or [], created=desk.now))
        desk.add(ApiToken(user_id=user.id, name="t", digest=digest_of(secret), roles=[], created=desk.now))
    return Client(office, secret)


@pytest.fixture
def manager(office: Office) -> Client:
    return ask(office)


def wanted(office: Office, **given: Any) -> dict[str, Any]:
    one, = some(office, 1)
    with office.reading() as desk:
        owner = desk.session.get_one(Service, one).customer_id
    return {"customerId": owner, "offering": "FTTH", "offeringVersion": 1, "serviceType": "broadband", "serviceClass": "home", "region": "贵阳",
            "downBps": 100_000_000, "upBps": 20_000_000, "site": "中山路1号2单元", **given}


def test_a_service_by_rest(office: Office, manager: Client) -> None:
    made = manager.post(SERVICE, json=wanted(office), headers={"Idempotency-Key": "k"})
    assert made.status_code == 201 and made.headers["location"] == made.json()["href"] and made.headers["etag"] == '"1"'
    href, key = made.json()["href"], made.json()["id"]
    assert made.json()["place"]["name"].startswith("中**") and "中山路" not in made.text
    again = {**wanted(office), "customerId": made.json()["relatedParty"][0]["id"]}
    assert manager.post(SERVICE, json=again, headers={"Idempotency-Key": "k"}).json()["id"] == key
    assert manager.get(href, params={"unmask": True}).status_code == 400
    assert manager.get(href, params={"unmask": True, "reason": "T-1"}).json()["place"]["name"] == "中山路1号2单元"
    with office.reading() as desk:
        assert [row.reason for row in desk.session.execute(audit.search(desk, "service", key, action="personal.unmask")).scalars()] == ["T-1"]
    patched = manager.patch(href, json={"downBps": 1, "state": "reserved"}, headers={"If-Match": '"1"'})
    assert patched.status_code == 200 and patched.json()["state"] == "reserved" and patched.headers["etag"] == '"3"'
    assert manager.patch(href, json={"upBps": 2}, headers={"If-Match": '"1"'}).status_code == 412
    for body, status in (({"state": "active"}, 409), ({"state": "gone"}, 400), ({"colour": 1}, 400), ({"downBps": None}, 400), ({"state": "terminated"}, 400)):
        assert manager.patch(href, json=body).status_code == status
    found = manager.get(SERVICE, params={"state": "reserved", "fields": "state"})
    assert found.json() == [{"id": key, "href": href, "state": "reserved"}] and found.headers["x-total-count"] == "1"
    assert manager.get(SERVICE, params={"limit": 1}).status_code == 206
    elsewhere = ask(office, "provisioning", ["遵义"])
    assert elsewhere.get(href).status_code == 404 and elsewhere.get(SERVICE).json() == []
    billing = ask(office, "billing")
    assert billing.get(href).status_code == 200 and billing.patch(href, json={"downBps": 5}).status_code == 403


def test_bindings_and_whois_by_rest(office: Office, manager: Client, clock: Clock) -> None:
    one, two = some(office, 2)
    made = manager.post(BINDING, json={"serviceId": one, "prefix": "192.0.2.0/24", "vlan": 7, "probe": "north"})
    assert made.status_code == 201 and lines(office) == rows(office) and len(lines(office)) == 1
    assert manager.post(BINDING, json={"serviceId": two, "prefix": "192.0.2.0/24", "vlan": 7}).status_code == 409
    assert manager.post(BINDING, json={"serviceId": two, "prefix": "192.0.2.1/24"}).json()["referenceError"] == "prefix"
    assert manager.post(BINDING, json={"serviceId": two, "prefix": "192.0.2.0/24", "validFrom": "2026-12-01T00:00:00"}).status_code == 400
    clock.forward(hours=1)
    moved = manager.post(f"{BINDING}/move", json={"fromServiceId": one, "toServiceId": two})
    assert [each["serviceId"] for each in moved.json()] == [two] and [line["service_id"] for line in lines(office)] == [one, two]
    assert manager.get(f"{SERVICE}/{one}/binding").json()[0]["validFor"]["endDateTime"] == iso(clock.now)
    assert [each["serviceId"] for each in manager.get(BINDING, params={"at": iso(BEGIN)}).json()] == [one]
    clock.forward(hours=1)
    asked = {"address": "192.0.2.9", "vlan": 7, "reason": "T-9"}
    assert manager.get(WHOIS, params={**asked, "at": iso(BEGIN)}).json()["serviceId"] == one
    assert manager.get(WHOIS, params=asked).json()["serviceId"] == two and manager.get(WHOIS, params={**asked, "vlan": 8}).json()["serviceId"] is None
    assert manager.get(WHOIS, params={"address": "192.0.2.9"}).status_code == 400 and manager.get(WHOIS, params={**asked, "address": "x"}).status_code == 400
    assert ask(office, "presales").get(WHOIS, params=asked).status_code == 403
    ended = manager.post(f"{BINDING}/{moved.json()[0]['id']}/end", json={})
    assert ended.json()["validFor"]["endDateTime"] == iso(clock.now) and lines(office) == rows(office)
    dry = manager.post(f"{BINDING}/correction", json={"serviceId": two, "prefix": "192.0.2.0/24", "vlan": 7, "validFrom": iso(BEGIN)}).json()
    assert dry["dryRun"] and dry["bytes"] is None and "nothing is measured" in dry["unknown"]
    assert [(each["fromServiceId"], each["toServiceId"]) for each in dry["pieces"]] == [(one, two), (None, two)]


def test_resources_by_rest(office: Office, manager: Client) -> None:
    item, = items(office, 1)
    until = iso(BEGIN + timedelta(days=3))
    olt = manager.post(RESOURCE, json={"kind": "olt", "name": "OLT1", "region": "贵阳", "capacityBps": 10 ** 10})
    port = manager.post(RESOURCE, json={"kind": "pon_port", "name": "OLT1/0/1", "region": "贵阳", "parentId": olt.json()["id"], "capacityBps": 2_500_000_000})
    assert port.status_code == 201 and port.json()["resourceRelationship"][0]["id"] == olt.json()["id"]
    href = port.json()["href"]
    kept = manager.post(f"{href}/reservation", json={"itemId": item, "bps": 10 ** 9, "until": until})
    assert kept.status_code == 201 and manager.get(f"{href}/headroom").json() == {
        "capacityBps": 2_500_000_000, "reservedBps": 10 ** 9, "usedBps": 0, "measuredP95Bps": None, "measuredSlots": 0, "freeBps": 1_500_000_000}
    assert manager.post(f"{href}/reservation", json={"itemId": item, "bps": 3 * 10 ** 9, "until": until}).status_code == 409
    able = manager.get(f"{RESOURCE}/candidate", params={"region": "贵阳", "category": "pon_port", "bps": 10 ** 9}).json()
    assert [each["name"] for each in able] == ["OLT1/0/1"]
    assert manager.patch(href, json={"administrativeState": "locked"}, headers={"If-Match": '"1"'}).json()["administrativeState"] == "locked"
    assert manager.get(f"{RESOURCE}/candidate", params={"region": "贵阳", "category": "pon_port"}).json() == []
    pool = manager.post(f"{RESOURCE}/pool", json={"kind": "vlan", "name": "V", "region": "贵阳", "first": 10, "last": 11}).json()
    vlan = manager.post(f"{pool['href']}/reservation", json={"itemId": item, "until": until}).json()
    assert manager.get(vlan["resource"]["href"]).json()["resourceStatus"] == "reserved"
    assert {each["category"] for each in manager.get(RESOURCE, params={"region": "贵阳", "fields": "category"}).json()} == {"olt", "pon_port", "vlan"}
    billing = ask(office, "billing")
    assert billing.get(href).status_code == 403


def test_on_the_command_line(office: Office, tmp_path: Path) -> None:
    given = office.settings
    config = tmp_path / "bss.toml"
    config.write_text("".join(f"{name} = {json.dumps(getattr(given, name))}\n" for name in ("database", "keys", "bindings", "attachments", "store")))

    def run(*words: str, fails: str = "") -> Any:
        done = CliRunner().invoke(command, ["--config", str(config), *words])
        assert (done.exit_code == 2 and fails in done.output) if fails else done.exit_code == 0, done.output
        return None if fails else json.loads(done.output) if "--json" in words else done.output

    one, two = some(office, 2)
    made, = run("binding", "add", one, "--prefix", "192.0.2.0/24", "--json")
    run("binding", "add", two, "--prefix", "192.0.2.0/24", fails=f"bound to service {one}")
    run("binding", "add", two, "--prefix", "192.0.2.0/24", "--from", "soon", fails="'soon' is no time")
    assert lines(office) == rows(office) and len(lines(office)) == 1
    assert "prefix 192.0.2.0/24" in run("binding", "list", "--service", one)
    assert run("whois", "192.0.2.5", "--at", "2099-01-01", "--reason", "T-1", "--json")[0]["service"] == one
    assert "nobody's" in run("whois", "192.0.2.5", "--at", "2020-01-01", "--reason", "T-1")
    run("whois", "192.0.2.5", fails="--reason")
    told = run("binding", "correct", two, "--prefix", "192.0.2.0/24", "--from", "2026-01-01", "--dry-run", "--json")
    assert told[0]["dry_run"] and told[0]["bytes"] is None
    assert run("binding", "move", one, two, "--json")[0]["service"] == two
    assert len(run("binding", "end", two, "--json")) == 1
    Path(given.bindings).unlink()
    assert run("export-bindings", "--json")[0]["lines"] == len(lines(office)) and made["revision"] == 1
    assert run("service", "list", "--state", "active", "--json")[0]["id"] in (one, two)
    assert run("service", "move", one, "inactive", "--reason", "asked for", "--json")[0]["state"] == "inactive"
    run("service", "move", two, "reserved", fails="can't become reserved")
    assert run("service", "change", two, "--down", "5", "--json")[0]["down_bps"] == 5 and "down_bps" in run("service", "show", two)
    olt, = run("resource", "add", "olt", "OLT1", "--region", "贵阳", "--capacity", "1000", "--json")
    assert run("resource", "headroom", olt["id"], "--json")[0]["free_bps"] == 1000
    assert run("resource", "candidates", "贵阳", "olt", "--bps", "10", "--json")[0]["id"] == olt["id"]
    assert run("resource", "list", "--kind", "olt", "--json")[0]["name"] == "OLT1"
    run("leakage", "2026-12-01", fails="no store is named")


def test_a_correction_without_a_store_is_a_new_revision(office: Office, clock: Clock) -> None:
    one, two = some(office, 2)
    bind(office, one, prefix="192.0.2.0/24", valid_to=BEGIN + timedelta(hours=8))
    clock.forward(hours=10)
    office.act(SYSTEM, lambda desk: inventory.move(desk, one, "terminated"))            # who has gone since had it then all the same
    at = [BEGIN + timedelta(hours=n) for n in (2, 4)]
    office.act(SYSTEM, lambda desk: correction.correct(desk, two, What("192.0.2.0/24"), *at, reason="T", dry=False))
    with office.reading() as desk:
        held = [(row.service_id, row.valid_from, row.valid_to, row.revision) for row in
                desk.session.query(Binding).where(Binding.withdrawn.is_(None)).order_by(Binding.valid_from)]
        assert held == [(one, BEGIN, at[0], 2), (two, *at, 2), (one, at[1], BEGIN + timedelta(hours=8), 2)]
        assert desk.session.query(Job).count() == 0                 # there is no usage that could follow
    assert lines(office) == rows(office)
