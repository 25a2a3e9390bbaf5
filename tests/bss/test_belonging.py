"""Nobody where they don't belong: every endpoint and page, as every role, against another region's rows; what they answer holds no word of those, and none of
them changes."""
from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any
from zlib import crc32

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import text

from bss import api, pages
from bss.office import Office
from bss.people.entry import COOKIE, digest_of
from bss.people.scope import SYSTEM
from bss.tables import Login, User
from bss.tables.person import ROLES
from tests.bss.belongings import body_of, fill, kind_of, token
from tests.bss.conftest import site

HERE, THERE = "贵阳", "遵义"
MARK = "Zunyi7Secret"
#: Where nobody has to be logged in: path -> methods.
OPEN = {"/login", "/logout", "/tmf-api/docs", "/tmf-api/openapi.json", "/fullspan/v1/login", "/fullspan/v1/logout", "/fullspan/v1/oidc/leave",
        "/fullspan/v1/oidc/return"}
TABLES = ("party", "contact", "customer", "agreement", "interaction", "enquiry", "qualification", "product_order", "order_item", "service", "binding",
          "resource", "paper", "attachment", "configuration", "milestone", "transition", "relation", "merge", "reservation",
          "sla_month", "sla_minute", "reclassification", "credit", "speed_test",
          "ticket", "ticket_note", "alarm", "link_state", "planned_window", "planned_window_subject",
          "dispatch", "inspection_plan", "inspection", "assurance", "assured_service", "roster",
          "billing_account", "bill", "bill_line", "bill_finding", "bill_run", "credit_note", "payment", "payment_match", "refund", "dunning_case",
          "billed_on", "write_off",
          "journal_entry",
          "bucket", "rated_charge", "rated_usage", "recycled")
ASKED = {"q": "K", "address": "203.0.113.1", "reason": "x", "region": THERE, "kind": "port", "entity": "product_order", "name": "x.txt",
         "category": "port"}
BODY = {"name": "x", "state": "cancelled", "reason": "x", "to": "cancelled", "note": "x", "region": HERE}


def routes() -> Iterator[tuple[str, str]]:
    """(method, path) of everything that is answered."""
    for router in (*api.routers(), *pages.routers()):
        for route in router.routes:
            for method in sorted(route.methods - {"HEAD", "OPTIONS"}):          # type: ignore[attr-defined]
                yield method, route.path            # type: ignore[attr-defined]


def some(ids: list[str], path: str) -> list[str]:
    """A few ids, others for each path: none of them is of the kind that it wants. All of them where there is time (see conftest.py)."""
    if os.environ.get("FULLSPAN_DATABASES") == "both":
        return ids
    first = crc32(path.encode())
    return [ids[(first + 7 * k) % len(ids)] for k in range(min(5, len(ids)))]


def filled(path: str, ids: dict[str, str]) -> Iterator[str]:
    """A path with ids in it: those of the kind that a parameter names, else each."""
    names = re.findall(r"{(\w+)(?::\w+)?}", path)
    if not names:
        yield path
        return
    kinds = {"order": "product_order", "item": "order_item", "check": "qualification"}
    name = names[0]
    kind = name.removesuffix("_id")
    known = kinds.get(kind, kind) if kinds.get(kind, kind) in ids else kind_of(path, ids)
    if name in ("key", "kind"):         # of documents and lists that are nobody's
        known = "service"
    wanted = [ids[known]] if known else some(list(ids.values()), path)
    for one in wanted:
        yield re.sub(r"{\w+(?::\w+)?}", one, path)


def more(path: str, ids: dict[str, str]) -> dict[str, Any]:
    """What only people know of a body."""
    line = {"action": "add", "productOffering": {"id": "line-a"}}
    known: dict[str, dict[str, Any]] = {
        "paper": {"kind": "solution", "entity": "product_order", "entityId": ids["product_order"]}, "pool": {"kind": "vlan", "first": 1, "last": 2},
        "order": {"action": "terminate"} if "service" in path else {"productOrderItem": [line]}, "productOrder": {"productOrderItem": [line]},
        "binding": {"prefix": "192.0.2.0/30"}, "correction": {"prefix": "192.0.2.0/30", "validFrom": "2026-11-30T08:00:00Z"},
        "agreement": {"name": "x", "engagedParty": [{"id": ids["customer"]}], "agreementPeriod": {"startDateTime": "2026-12-01T00:00:00Z"}}}
    return known.get(path.removesuffix("/{id}").rpartition("/")[2], {})


def rows(office: Office) -> dict[str, list[Any]]:
    """All rows of the business, but what says who asked."""
    with office.reading() as desk:
        return {name: sorted(map(str, desk.session.execute(text(f"SELECT * FROM {name}")).all())) for name in TABLES}


@pytest.fixture
def app(office: Office) -> FastAPI:
    return site(office)


def test_nobody_is_answered_without_a_log_in(app: FastAPI, office: Office) -> None:
    ids = fill(office, THERE, MARK)
    with TestClient(app, follow_redirects=False) as client:
        for method, path in routes():
            if path in OPEN:
                continue
            for url in filled(path, ids):
                answer = client.request(method, url, json=BODY if method in ("POST", "PATCH", "PUT") else None)
                assert answer.status_code in (401, 303, 400, 404, 422) and MARK not in answer.text, (method, url, answer.status_code)
                assert answer.status_code != 303 or answer.headers["location"].startswith("/login"), (method, url)


#: The limits are the same SQL on both databases: on PostgreSQL who has the most limits, and who has the most rights.
BOTH = ("customer", "manager")


def tried(office: Office, role: str) -> None:
    """Skip what was tried on the other database."""
    if not office.database.lite and role not in BOTH:
        pytest.skip("tried on SQLite")


@pytest.mark.both
@pytest.mark.parametrize("role", ROLES)
def test_another_regions_rows_are_not_there(app: FastAPI, office: Office, role: str) -> None:
    tried(office, role)
    ids = fill(office, THERE, MARK)
    own = fill(office, HERE, "Guiyang1Own")
    secret = token(office, role, [HERE], customers=[own["customer"]] if role == "customer" else [])
    before, document, answers = rows(office), app.openapi(), Counter[int]()
    with TestClient(app, follow_redirects=False, headers={"authorization": f"Bearer {secret}"}) as client:
        for method, path in routes():
            if path in OPEN or not path.startswith(("/tmf-api", "/fullspan")) or "audit" in path:
                continue
            for url in filled(path, ids):
                body = body_of(document, path, method, ids) if method != "GET" else None
                answer = client.request(method, url, json=body)
                if answer.status_code == 400 and method in ("GET", "POST", "PATCH"):         # it wants to be told what, or more than the document says
                    answer = client.request(method, url, params=ASKED | {"entityId": ids["product_order"]}, json={**(body or {}), **more(path, ids)} if body
                                            is not None else None, headers={"content-type": "text/plain"} if path.endswith("attachment") else None)
                assert MARK not in answer.text, (method, url, answer.text[:300])
                answers[answer.status_code] += method != "GET"
                if url != path:
                    assert answer.status_code in (400, 403, 404, 405, 409, 422), (method, url, answer.status_code, answer.text[:200])
    assert role != "manager" or answers[404] > 2 * answers[400], answers         # it is their not being there that refuses, not the form of what was sent
    after = rows(office)
    for name, held in before.items():
        assert [row for row in held if MARK in row or any(one in row for one in ids.values())] == [
            row for row in after[name] if MARK in row or any(one in row for one in ids.values())], name


@pytest.mark.both
@pytest.mark.parametrize("role", ROLES)
def test_pages_of_another_region_are_not_there(app: FastAPI, office: Office, role: str) -> None:
    tried(office, role)
    ids = fill(office, THERE, MARK)
    own = fill(office, HERE, "Guiyang1Own")

    def enter(desk: Any) -> None:
        customers = [own["customer"]] if role == "customer" else []
        user = desk.add(User(login="page", name="page", roles=[role], regions=[HERE], customers=customers, created=desk.now))
        desk.session.add(Login(id=digest_of("cookie"), user_id=user.id, csrf="mark", since=desk.now, seen=desk.now))
    office.act(SYSTEM, enter)
    with TestClient(app, follow_redirects=False, cookies={COOKIE: "cookie"}, headers={"accept": "text/html"}) as client:
        for method, path in routes():
            if path.startswith(("/tmf-api", "/fullspan")) or path in OPEN or path.startswith("/audit"):
                continue
            for url in filled(path, ids):
                for form in ({"csrf": "mark", **BODY}, BODY) if method == "POST" else ({},):
                    answer = client.request(method, url, data=form or None)
                    assert MARK not in answer.text, (method, url)
                    if url != path:
                        assert answer.status_code in (403, 404), (method, url, answer.status_code)
                    else:
                        assert answer.status_code in ((200, 403) if method == "GET" else (200, 400, 403)), (method, url, answer.status_code)
        for own_url, kind in (("/customers/", "customer"), ("/orders/", "product_order"), ("/services/", "service"), ("/resources/", "resource")):
            assert client.get(own_url + own[kind]).status_code in (200, 403), kind
