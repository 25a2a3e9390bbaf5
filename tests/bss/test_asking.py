"""Questions that are worded once: the same rows as statements give, objects that change nothing, one connection, errors as
SQLAlchemy's; and routes that look."""
from __future__ import annotations

from typing import Any, cast

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.exc import DataError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import UnmappedInstanceError

from bss.asking import Listing, Question, Sight, at_most, columns, given, several, whole
from bss.database import Table
from bss.office import Office
from bss.parties import customer
from bss.parties.contact import Given
from bss.people.entry import digest_of
from bss.people.scope import SYSTEM, Actor
from bss.refusal import Refusal
from bss.tables import ApiToken, AuditRow, Customer, Party, Service, User
from tests.bss.conftest import served
from tests.bss.test_parties import service

AFAR = Actor("U0", "afar", frozenset({"manager"}), regions=("遵义",))


@pytest.fixture
def three(office: Office) -> list[str]:
    """Ids of three customers; the first has two contacts and a service."""
    with office.writing() as desk:
        made = [customer.make(desk, kind="individual", name=name, class_="home", region=region, number=number, legal_id="E12345678", contacts=contacts)
                for name, region, number, contacts in (("王小明", "贵阳", "K1", [Given("phone", "13800138000"), Given("email", "a@b.cn")]),
                                                       ("李四", "贵阳", "K2", []), ("赵五", "遵义", "K3", []))]
        service(desk, made[0], "GZ1", down_bps=100_000_000)
        return [one.id for one in made]


def _told(row: Table) -> dict[str, Any]:
    return {name: getattr(row, name) for name, _ in columns(type(row))}


@pytest.mark.both
def test_a_sight_has_what_the_row_has(office: Office, three: list[str]) -> None:
    def look(desk: Any) -> None:
        for table in (Customer, Party, Service):
            rows = {one.id: _told(one) for one in desk.session.scalars(select(table)).unique()}
            assert rows and {key: _told(desk.see(table, key)) for key in rows} == rows
        seen, found = customer.see(desk, "K1"), customer.find(desk, "K1")
        assert [_told(one) for one in seen.party.contacts] == [_told(one) for one in found.party.contacts] and len(found.party.contacts) == 2
        assert _told(seen.party) == _told(found.party) and customer.see(desk, three[0]).number == "K1"
        assert {one.number: one.party.name for one in customer.several_of(desk, three)} == {"K1": "王小明", "K2": "李四", "K3": "赵五"}
    office.look(SYSTEM, look)
    with office.writing() as desk:          # and in a transaction what it has not committed yet
        desk.find(Customer, three[1]).class_ = "A"
        assert desk.see(Customer, three[1]).class_ == "A"


@pytest.mark.both
def test_nobody_sees_more_by_it(office: Office, three: list[str]) -> None:
    def look(desk: Any) -> None:
        assert customer.see(desk, "K3").id == three[2] and [one.id for one in customer.several_of(desk, three)] == [three[2]]
        for key in (three[0], "K1"):
            with pytest.raises(Refusal, match="there is no customer"):
                customer.see(desk, key)
        with pytest.raises(Refusal, match="there is no customer"):
            desk.see(Customer, three[0])
        listing, wanted = customer.listing(desk, state="active")
        assert [row.id for row, in listing.sight.all(desk.session, **wanted, offset=0, limit=9)] == [three[2]]
        assert listing.count.ask(desk.session, **wanted)[0][0] == 1
    office.look(AFAR, look)


def test_what_is_seen_is_not_changed(office: Office, three: list[str]) -> None:
    with office.writing() as desk:
        seen = desk.see(Customer, three[0])
        assert isinstance(seen, Customer)
        with pytest.raises(AttributeError):
            seen.class_ = "A"
        with pytest.raises(UnmappedInstanceError):
            desk.session.add(seen)


@pytest.mark.both
def test_a_listing_pages_as_its_query_does(office: Office, three: list[str]) -> None:
    listing = Listing(select(Customer).where(Customer.region == given("region", Customer.region)).order_by(Customer.number.desc()), Customer)
    some = Sight(whole(Customer).where(Customer.id.in_(several("keys"))).order_by(Customer.number).limit(at_most(2)), Customer)

    def look(desk: Any) -> None:
        assert [one.number for one, in listing.sight.all(desk.session, region="贵阳", offset=0, limit=9)] == ["K2", "K1"]
        assert [one.number for one, in listing.sight.all(desk.session, region="贵阳", offset=1, limit=1)] == ["K1"]
        assert [listing.count.ask(desk.session, region=one)[0][0] for one in ("贵阳", "遵义", "安顺")] == [2, 1, 0]
        assert [[one.number for one in some.each(desk.session, keys=keys)] for keys in (three, three[2:], [])] == [["K1", "K2"], ["K3"], []]
    office.look(SYSTEM, look)


@pytest.mark.both
def test_who_looks_has_one_connection(office: Office, three: list[str]) -> None:
    if office.database.lite:
        pytest.skip("SQLite is asked in a transaction")
    pool: Any = office.database.engine.pool
    before = office.act(SYSTEM, lambda desk: desk.session.query(AuditRow).count())
    with office.looking() as desk:
        assert pool.checkedout() == 0
        assert desk.see(Customer, three[0]).number == "K1" and pool.checkedout() == 1
        assert desk.session.scalars(select(Customer.number).where(Customer.id == three[1])).one() == "K2" and pool.checkedout() == 1
        assert desk.see(Customer, three[2]).number == "K3" and pool.checkedout() == 1
        desk.record("customer.view", desk.see(Customer, three[0]))
        assert desk.session.query(AuditRow).count() == before           # it is written at the end
    assert pool.checkedout() == 0 and office.act(SYSTEM, lambda desk: desk.session.query(AuditRow).count()) == before + 1
    with pytest.raises(RuntimeError), office.writing() as desk:         # the connection that looked does transactions again
        desk.find(Customer, three[0]).class_ = "A"
        desk.session.flush()
        raise RuntimeError
    assert office.look(SYSTEM, lambda desk: desk.see(Customer, three[0])).class_ == "home"


@pytest.mark.both
def test_a_connection_that_is_gone_is_replaced(office: Office, three: list[str]) -> None:
    if office.database.lite:
        pytest.skip("SQLite has no connection that may go")
    tries = []

    def look(desk: Any) -> str:
        session = cast(Session, desk.session)
        found: str = desk.see(Customer, three[0]).number
        tries.append(found)
        if len(tries) == 1:
            session.driver()[0].close()       # type: ignore[attr-defined]
            desk.see(Customer, three[0])
        return found
    assert office.look(SYSTEM, look) == "K1" and len(tries) == 2


@pytest.mark.both
def test_what_the_database_refuses_is_raised_as_ever(office: Office) -> None:
    if office.database.lite:
        pytest.skip("SQLite takes any value for any column")
    asked = Question(select(User.id).where(User.failures == given("count")))
    with office.looking() as desk:
        with pytest.raises(DataError):
            asked.ask(desk.session, count=1 << 70)
        assert asked.ask(desk.session, count=0) == []          # and the next is answered


def test_a_route_that_looks_takes_the_long_way_for_the_rest(office: Office, three: list[str]) -> None:
    def make(desk: Any) -> None:
        user = desk.add(User(login="u", name="x", roles=["manager"], created=desk.now))
        desk.add(ApiToken(user_id=user.id, name="t", digest=digest_of("secret"), created=desk.now))
    office.act(SYSTEM, make)
    client, by = TestClient(served(office)), {"Authorization": "Bearer secret"}
    root = "/tmf-api/customerManagement/v4/customer"
    first = client.get(root, headers=by, params={"limit": 2})            # whose token was not looked up yet
    assert first.status_code == 206 and first.headers["X-Total-Count"] == "3"
    assert client.get(root, headers=by, params={"limit": 2}).json() == first.json() == client.get(root, headers=by, params={"limit": "2", "x": "y"}).json()
    for wrong in ("0", "1001", "x", ""):
        refused = client.get(root, headers=by, params={"limit": wrong})
        assert refused.status_code == 400 and refused.json()["referenceError"] == "query.limit", wrong
    assert client.get("/fullspan/v1/search", headers=by).json()["referenceError"] == "query.q"
    orders = "/tmf-api/productOrderingManagement/v5/productOrder"
    assert client.get(orders, headers=by, params={"state": ["draft", "held"]}).json() == []
    assert client.get(orders, headers=by, params=[("state", "draft"), ("state", "nowhere")]).status_code == 400
    assert client.get(root, headers={"Authorization": "Bearer other"}).status_code == 401
    assert client.get(f"{root}/{three[0]}", headers={**by, "Idempotency-Key": "k"}).json()["id"] == three[0]
