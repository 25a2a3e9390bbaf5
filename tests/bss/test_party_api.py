"""The API and the commands of parties and the running base: shapes, scope, masks, If-Match, files."""
from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient
from openpyxl import load_workbook
from sqlalchemy import select

from bss.cli import command
from bss.office import Office
from bss.parties import customer
from bss.parties.contact import Given
from bss.people.entry import digest_of
from bss.people.scope import SYSTEM
from bss.tables import ApiToken, AuditRow, Customer, User
from tests.bss.conftest import BEGIN, served
from tests.bss.test_parties import service
from tests.bss.test_running import table, who

C, A, N, P = ("/tmf-api/customerManagement/v4/customer", "/tmf-api/agreementManagement/v4/agreement",
              "/tmf-api/partyInteractionManagement/v4/partyInteraction", "/tmf-api/partyManagement/v4")


class Api:
    """The API as somebody with a role."""

    def __init__(self, office: Office) -> None:
        self.office, self.client = office, TestClient(served(office))

    def by(self, role: str, **given: Any) -> dict[str, str]:
        """Headers of a new user."""
        def make(desk: Any) -> str:
            user = desk.add(User(login=f"u{desk.session.query(User).count()}", name="x", roles=[role], created=desk.now, **given))
            secret = f"secret-{user.id}"
            desk.add(ApiToken(user_id=user.id, name="t", digest=digest_of(secret), created=desk.now))
            return secret
        return {"Authorization": f"Bearer {self.office.act(SYSTEM, make)}"}


@pytest.fixture
def api(office: Office) -> Iterator[Api]:
    with office.writing() as desk:
        one = customer.make(desk, kind="individual", name="王小明", class_="home", region="贵阳", number="K1", legal_id="E12345678",
                            contacts=[Given("phone", "13800138000")])
        customer.make(desk, kind="organization", name="=贵州云上", class_="A", region="遵义", number="K2")
        service(desk, one, "GZ1", down_bps=100_000_000)
    yield Api(office)


def test_a_customer_by_the_api(api: Api) -> None:
    by, client = api.by("manager"), api.client
    sent = {"name": "李雷", "@type": "Customer", "engagedParty": {"@referredType": "Individual"},
            "contactMedium": [{"mediumType": "phone", "preferred": True, "characteristic": {"phoneNumber": "139 0013 9000"}}],
            "characteristic": [{"name": "class", "value": "home"}, {"name": "region", "value": "贵阳"}, {"name": "number", "value": "K9"}]}
    made = client.post(C, json=sent, headers={**by, "Idempotency-Key": "1"})
    assert made.status_code == 201 and made.headers["etag"] == '"1"' and made.headers["location"] == made.json()["href"] == f"{C}/{made.json()['id']}"
    assert client.post(C, json=sent, headers={**by, "Idempotency-Key": "1"}).json() == made.json()
    assert client.post(C, json=sent, headers=by).status_code == 409
    href = made.json()["href"]
    told = client.get(href, headers=by).json()
    assert (told["name"], told["contactMedium"][0]["characteristic"]["phoneNumber"][-2:], told["engagedParty"]["@referredType"]) == ("李*", "00", "Individual")
    assert "139" not in json.dumps(told) and client.get(f"{href}?unmask=true", headers=by).status_code == 400
    clear = client.get(f"{href}?unmask=true&reason=T-1", headers=by).json()
    assert (clear["name"], clear["contactMedium"][0]["characteristic"]["phoneNumber"]) == ("李雷", "+8613900139000")
    assert client.get(f"{href}?unmask=true&reason=T-1", headers=api.by("auditor")).status_code == 403
    patch = {"status": "suspended", "characteristic": [{"name": "marketingConsent", "value": True}]}
    changed = client.patch(href, json=patch, headers={**by, "If-Match": '"1"'})
    assert changed.status_code == 200 and changed.headers["etag"] == '"2"' and changed.json()["status"] == "suspended"
    assert client.patch(href, json=patch, headers={**by, "If-Match": '"1"'}).status_code == 412
    for wrong in ({"colour": 1}, {"status": "gone"}, {"characteristic": [{"name": "weight", "value": "1"}]}, {"contactMedium": [{"mediumType": "phone"}]},
                  {"name": " "}, {"engagedParty": {"@referredType": "Alien"}}):
        assert client.patch(href, json=wrong, headers=by).status_code in (400, 409), wrong
    again = {"engagedParty": {"id": told["engagedParty"]["id"], "@referredType": "Individual"}, "characteristic": sent["characteristic"][:2]}
    second = client.post(C, json=again, headers=by)
    assert second.status_code == 201 and second.json()["engagedParty"]["id"] == told["engagedParty"]["id"] and second.json()["name"] == "李*"
    assert client.post(C, json={**again, "name": "x"}, headers=by).status_code == 400
    assert client.patch(second.json()["href"], json={"status": "closed"}, headers=by).status_code == 200
    listed = client.get(C, params={"q": "lilei", "status": "suspended", "fields": "name"}, headers=by)
    assert listed.status_code == 200 and listed.headers["x-total-count"] == "1" and set(listed.json()[0]) == {"id", "href", "name"}
    assert client.get(C, params={"limit": 1}, headers=by).status_code == 206 and len(client.get(C, params={"class": "A"}, headers=by).json()) == 1
    seen = client.get("/fullspan/v1/customer/K1/view", headers=by).json()
    assert seen["services"][0]["circuit"] == "GZ1" and seen["traffic"]["day"] is None and seen["traffic"]["why"] and seen["customer"]["name"] == "王**"


def test_nobody_sees_by_the_api_what_is_not_his(api: Api) -> None:
    client = api.client
    with api.office.writing() as desk:
        here, there = desk.session.execute(select(Customer.id).order_by(Customer.number)).scalars()
        parties = list(desk.session.execute(select(Customer.party_id).order_by(Customer.number)).scalars())
    boss = api.by("manager")
    sent = {"name": "x", "agreementPeriod": {"startDateTime": "2026-01-01T00:00:00Z"}, "engagedParty": [{"id": here}]}
    contract = client.post(A, json=sent, headers=boss).json()
    noted = client.post(N, json={"reason": "报障", "relatedParty": [{"id": here}], "relatedChannel": [{"id": "sms"}]}, headers=boss).json()
    merge = client.post("/fullspan/v1/merge", json={"kept": here, "gone": there}, headers=boss)
    assert merge.status_code == 201 and client.post(f"{merge.json()['href']}/undo", headers=boss).status_code == 200
    own, other = api.by("customer", customers=[here]), api.by("customer", customers=[there])
    far, near = api.by("presales", regions=["遵义"]), api.by("presales", regions=["贵阳"])
    single = [f"{C}/{here}", f"/fullspan/v1/customer/{here}/view", f"{P}/individual/{parties[0]}", contract["href"], noted["href"], merge.json()["href"]]
    for path in single:
        assert [client.get(path, headers=by).status_code for by in (boss, near, own, far, other)] == [200, 200, 200, 404, 404], path
    for path in (C, A, N, f"{P}/individual", "/fullspan/v1/merge", "/fullspan/v1/search?q=wxm", "/fullspan/v1/search?q=GZ1"):
        assert [len(client.get(path, headers=by).json()) for by in (near, own)] == [1, 1], path
        assert not [one for by in (far, other) for one in client.get(path, headers=by).json() if one["id"] != there], path
    for by in (far, other):
        assert client.post(N, json={"reason": "x", "relatedParty": [{"id": here}], "relatedChannel": [{"id": "web"}]}, headers=by).status_code == 404
    assert client.post(N, json={"reason": "x", "relatedParty": [{"id": here}], "relatedChannel": [{"id": "web"}]}, headers=own).status_code == 201
    for method, path in (("patch", f"{C}/{here}"), ("patch", contract["href"]), ("patch", f"{P}/individual/{parties[0]}")):
        assert getattr(client, method)(path, json={"name": "y"}, headers=far).status_code == 404, path
        assert getattr(client, method)(path, json={"name": "y"}, headers=own).status_code == 403, path
    assert client.post("/fullspan/v1/merge", json={"kept": here, "gone": there}, headers=far).status_code == 403
    assert client.get("/fullspan/v1/export/customer", headers=own).status_code == 403
    contractor = api.by("contractor", own_work=True)
    assert all(client.get(path, headers=contractor).status_code == 403 for path in (*single, C, A, N, "/fullspan/v1/search?q=wxm", "/fullspan/v1/duplicate"))
    assert all(client.get(path).status_code == 401 for path in (*single, C, A, N, "/fullspan/v1/search?q=wxm", "/fullspan/v1/export/customer"))


def test_organisations_and_what_is_under_them(api: Api) -> None:
    by, client = api.by("manager"), api.client
    group = client.post(f"{P}/organization", json={"name": "贵州集团", "organizationType": "organization"}, headers=by).json()
    with api.office.reading() as desk:
        firm = desk.session.execute(select(Customer.party_id).where(Customer.number == "K2")).scalar_one()
    made = client.post("/fullspan/v1/relation", json={"from": firm, "to": group["id"], "kind": "parent"}, headers=by)
    assert made.status_code == 201
    assert client.post("/fullspan/v1/relation", json={"from": group["id"], "to": firm, "kind": "parent"}, headers=by).status_code == 409
    assert client.get(f"{P}/organization/{firm}", headers=by).json()["organizationParentRelationship"]["organization"] == {"id": group["id"]}
    assert client.get(group["href"], headers=by).json()["organizationChildRelationship"] == [{"organization": {"id": firm}}]
    assert client.get(f"{P}/individual/{firm}", headers=by).status_code == 404
    later = {"endDateTime": (BEGIN + timedelta(days=1)).isoformat()}
    assert client.post(f"/fullspan/v1/relation/{made.json()['id']}/end", json=later, headers=by).json()["validFor"]["endDateTime"] == "2026-12-02T01:00:00Z"
    changed = client.patch(group["href"], json={"name": "云上集团", "legalId": "91350100M000100Y43"}, headers={**by, "If-Match": '"1"'})
    assert changed.status_code == 200 and changed.headers["etag"] == '"2"'
    assert client.get(f"{P}/organization", params={"q": "yunshangjituan"}, headers=by).json()[0]["id"] == group["id"]


def test_lists_are_taken_away_as_files(api: Api) -> None:
    by, client = api.by("billing"), api.client
    book = load_workbook(io.BytesIO(client.get("/fullspan/v1/export/customer", params={"format": "xlsx", "lang": "zh"}, headers=by).content))
    rows = list(book.active.iter_rows(values_only=True))
    assert rows[0][:2] == ("客户编号", "客户名称") and {row[0]: row[1] for row in rows[1:]} == {"K1": "王**", "K2": "=****"}
    assert all(cell.data_type != "f" for row in book.active.iter_rows() for cell in row)
    text = client.get("/fullspan/v1/export/customer", params={"format": "csv", "lang": "en", "region": "遵义", "unmask": "true", "reason": "T-1"}, headers=by)
    assert text.headers["content-disposition"] == 'attachment; filename="customer.csv"'
    assert text.content.decode("utf-8-sig").splitlines()[1].startswith("K2,'=贵州云上,organization,A,遵义")
    for name in ("agreement", "interaction", "service", "binding", "order", "resource"):
        assert client.get(f"/fullspan/v1/export/{name}?format=csv", headers=api.by("manager")).status_code == 200, name
    for path, status in (("customer?weight=1", 400), ("nothing", 404), ("customer?format=pdf", 400), ("customer?unmask=true", 400)):
        assert client.get(f"/fullspan/v1/export/{path}", headers=by).status_code == status, path
    with api.office.reading() as desk:
        found = desk.session.execute(select(AuditRow.action, AuditRow.reason).where(AuditRow.action == "export.write")).all()
        assert len(found) == 8 and ("export.write", "T-1") in found


def test_the_commands(settings: Any, office: Office, tmp_path: Path) -> None:
    office.close()
    config = tmp_path / "bss.toml"
    config.write_text("\n".join(f'{name} = "{getattr(settings, name)}"' for name in ("database", "keys", "bindings", "store")))
    base = tmp_path / "customers.csv"
    base.write_bytes(table([who("K1"), who("K2", name="王晓明")]))

    def run(*words: str, code: int = 0) -> Any:
        done = CliRunner().invoke(command, ["--config", str(config), *words])
        assert done.exit_code == code, (words, done.output, done.exception)
        return json.loads(done.output) if "--json" in words else done.output

    told = run("import", "customers", str(base), "--cutover", "2026-11-30", "--dry-run", "--totals", "rows=3", "--json", code=1)
    assert told["batch"] is None and told["compared"] == [{"total": "rows", "found": 2, "stated": 3}]
    run("import", "customers", str(base), "--cutover", "2026-11-30", "--totals", "rows=3", code=2)
    told = run("import", "customers", str(base), "--cutover", "2026-11-30", "--totals", "rows=2,class.home=2", "--json")
    assert run("import", "list", "--json")[0]["batch"] == told["batch"]
    assert {one["number"] for one in run("customer", "list", "wxm", "--json")} == {"K1", "K2"}
    pair = run("customer", "duplicates", "--json")[0]
    assert {pair["first"], pair["second"]} == {"K1", "K2"} and pair["shared"] == "phone"
    merge = run("customer", "merge", "K1", "K2", "--take", "name", "--reason", "T-1", "--json")[0]["merge"]
    assert run("search", "13800138000", "--json")[0]["called"] == "K1 王**"
    run("import", "undo", told["batch"], code=2)
    run("customer", "unmerge", merge)
    assert run("customer", "show", "K1", "--unmask", "T-2", "--json")["customer"]["name"] == "王小明"
    made = run("customer", "add", "赵大海", "--class", "home", "--region", "贵阳", "--contact", "phone=13900139000", "--json")[0]
    assert "K" in run("customer", "show", made["number"]) and run("customer", "list")
    run("export", "customer", str(tmp_path / "out.csv"), "--filter", "region=贵阳", "--lang", "en")
    assert len((tmp_path / "out.csv").read_text(encoding="utf-8-sig").splitlines()) == 4
    assert "number (客户编号)*" in run("import", "customers", "--help")
