"""Orders from a draft to acceptance: prices frozen, amended in versions, cancelled, and one order through everything with real resources."""
from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bss.catalogue.publishing import publish
from bss.catalogue.reading import of_text
from bss.office import Office
from bss.orders import acceptance, configuration, enquiry, fulfilment, qualification, verifying
from bss.orders import order as orders
from bss.orders import paper as papers
from bss.orders.milestone import NAMES, reached
from bss.orders.transition import move
from bss.orders.wanted import Line
from bss.people.scope import Actor
from bss.refusal import Refusal
from bss.services import inventory, resource
from bss.tables import Agreement, OrderItem, OrderVersion, ProductOrder, Reservation, Service
from tests.bss.conftest import BEGIN, Clock
from tests.bss.selling import MBIT100, SAMPLE, act, checked, customer, line, ordered, person, served, sold, told

FULL = 712_500_000


def state_of(office: Office, order_id: str) -> ProductOrder:
    return act(office, lambda desk: desk.find(ProductOrder, order_id))


# ---- prices and versions

def test_the_price_is_frozen_when_an_order_is_acknowledged(office: Office, clock: Clock) -> None:
    owner = customer(office)
    sold(office)
    order_id = act(office, lambda desk: orders.enter(desk, owner, [line()])).id
    assert state_of(office, order_id).items[0].price == {}
    dearer = of_text(SAMPLE.read_text(encoding="utf-8").replace("amount = 80.00", "amount = 90.00"), "x")
    later = dearer.model_copy(update={"sla": (), "offering": (dearer.offering[0].model_copy(update={"valid_from": BEGIN + timedelta(days=1)}),)})
    act(office, lambda desk: publish(desk, later))
    act(office, lambda desk: orders.acknowledge(desk, order_id))
    clock.forward(days=2)
    found = state_of(office, order_id)
    assert found.items[0].price["lines"][0]["amount"] == "8000.00" and found.items[0].offering_version == 1
    _order, told_of = act(office, lambda desk: orders.amend(desk, order_id, [line(id=found.items[0].id, down=2 * MBIT100)], "wants more"))
    now = state_of(office, order_id)
    assert now.items[0].price["lines"][0]["amount"] == "18000.00" and now.items[0].offering_version == 2 and now.revision == 2
    assert told_of["total"] == {"monthly": "10600.00", "one_time": "0.00"}         # 19,080 less 8,480, tax in it
    with office.reading() as desk:
        kept = desk.session.get_one(OrderVersion, (order_id, 1))
        assert kept.content["items"][0]["price"]["lines"][0]["amount"] == "8000.00" and kept.content["items"][0]["wanted"]["down_bps"] == MBIT100


def test_amending_is_free_in_a_draft_makes_versions_later_and_then_takes_another_order(office: Office) -> None:
    owner = customer(office)
    sold(office)
    boss = person(office, "boss", "manager")
    for state, free, version in (("draft", True, False), ("acknowledged", True, True), ("pending", True, True), ("held", True, True),
                                 ("inProgress", False, False), ("completed", False, False), ("assessingCancellation", False, False)):
        def bring(desk: Any, state: str = state) -> str:
            order = orders.enter(desk, owner, [line(), line("static-address", 0)], owner_id=boss.id)
            if state != "draft":
                orders.acknowledge(desk, order.id)
                checked(desk, order)
                if state == "completed":
                    order.state = "completed"
                elif state != "acknowledged":
                    move(desk, order.id, state, "because")
            return order.id
        order_id = act(office, bring)
        lines = [line(id=state_of(office, order_id).items[0].id, down=5 * MBIT100), line("video-pack", 0)]

        def amend(desk: Any, order_id: str = order_id, lines: list[Line] = lines) -> tuple[ProductOrder, dict[str, Any]]:
            return orders.amend(desk, order_id, lines, "because")
        if not free:
            with pytest.raises(Refusal, match="is not amended"):
                act(office, amend)
            continue
        found, compared = act(office, amend)
        changes = {one["offering"]: one["change"] for one in compared["items"]}
        assert changes == {"line-a": "changed", "static-address": "removed", "video-pack": "added"}
        assert found.revision == (2 if version else 1) and found.state == state
        with office.reading() as desk:
            assert desk.session.query(OrderVersion).filter(OrderVersion.order_id == order_id).count() == int(version)
            items = desk.find(ProductOrder, order_id).items
            assert [item.offering for item in items if item.removed is None] == ["line-a", "video-pack"] and len(items) == (3 if version else 2)


def test_a_contract_has_to_be_in_force(office: Office) -> None:
    owner = customer(office)
    sold(office)

    def sign(desk: Any, number: str, state: str = "active") -> str:
        return desk.add(Agreement(number=number, customer_id=owner, name="x", state=state, valid_from=BEGIN - timedelta(days=9),
                                  terms={"prices": {"line-a": {"port": "70.00"}}})).id
    good, ended = act(office, lambda desk: (sign(desk, "G1"), sign(desk, "G2", "ended")))
    made = act(office, lambda desk: orders.acknowledge(desk, orders.enter(desk, owner, [line()], agreement_id=good).id))
    assert made.items[0].price["lines"][0]["amount"] == "7000.00" and made.items[0].price["lines"][0]["by_contract"]
    with pytest.raises(Refusal, match="contract G2 is not in force"):
        act(office, lambda desk: orders.acknowledge(desk, orders.enter(desk, owner, [line()], agreement_id=ended).id))


def test_what_was_amended_is_checked_again(office: Office, clock: Clock) -> None:
    customer(office)
    sold(office)
    order_id = ordered(office)
    act(office, lambda desk: checked(desk, desk.find(ProductOrder, order_id)))
    clock.forward(minutes=1)
    item = state_of(office, order_id).items[0].id
    act(office, lambda desk: orders.amend(desk, order_id, [line(id=item, down=3 * MBIT100)], "because"))
    with pytest.raises(Refusal, match="amended after it was checked"):
        act(office, lambda desk: move(desk, order_id, "inProgress"))


def test_a_change_order_names_the_one_it_changes(office: Office) -> None:
    owner = customer(office)
    sold(office)
    order_id = ordered(office, started=True)
    assert act(office, lambda desk: orders.enter(desk, owner, [line("static-address", 0)], changes_id=order_id)).changes_id == order_id
    other = ordered(office, line("video-pack", 0))
    with pytest.raises(Refusal, match="it can be amended itself"):
        act(office, lambda desk: orders.enter(desk, owner, [line()], changes_id=other))


def test_a_bundle_brings_what_it_holds(office: Office) -> None:
    customer(office, class_="home")
    sold(office)
    found = state_of(office, ordered(office, line("family-199", 0)))
    assert [one.offering for one in found.items] == ["family-199", "home-500", "mobile-59", "mobile-59", "video-pack"]
    assert [one.price["monthly"] for one in found.items] == ["199.00", "0.00", "0.00", "0.00", "0.00"]
    assert found.items[1].wanted["down_bps"] == 500_000_000 and found.items[1].covered and not found.items[2].covered


def test_orders_are_checked_as_they_are_entered(office: Office) -> None:
    owner = customer(office)
    sold(office)
    wrong: tuple[tuple[list[dict[str, Any]], str], ...] = (
        ([], "does something"), ([{"action": "add", "offering": "line-z"}], "no version of 'line-z'"),
        ([{"action": "add", "offering": "line-a", "wanted": {"down_bps": 1}}], "is sold with"),
        ([{"action": "add", "offering": "video-pack"}] * 51, "50 items"),
        ([{"action": "delete", "service_id": "S0"}], "there is no service"))
    for lines, why in wrong:
        with pytest.raises(Refusal, match=why):
            act(office, lambda desk, lines=lines: orders.enter(desk, owner, [Line.model_validate(one) for one in lines]))     # type: ignore[misc]


def test_two_orders_are_not_at_one_service(office: Office) -> None:
    owner, other = customer(office), customer(office, "K2")
    sold(office)
    service_id = served(office, customer_id=owner, state="active")
    act(office, lambda desk: orders.suspend(desk, service_id, "customer"))
    with pytest.raises(Refusal, match="is at the service"):
        act(office, lambda desk: orders.terminate(desk, service_id))
    with pytest.raises(Refusal, match="another customer's"):
        act(office, lambda desk: orders.enter(desk, other, [Line.model_validate({"action": "delete", "service_id": service_id})]))


def test_a_customer_asks_for_a_cancellation_and_somebody_carries_it_out(office: Office) -> None:
    owner = customer(office)
    sold(office)
    order_id = ordered(office)
    buyer = person(office, "buyer", "customer", customers=(owner,))
    assert act(office, lambda desk: orders.cancel(desk, order_id, "too dear"), buyer).state == "assessingCancellation"
    assert act(office, lambda desk: orders.cancel(desk, order_id, "agreed")).state == "cancelled"
    assert [one.state for one in state_of(office, order_id).items] == ["cancelled"]
    stranger = Actor("U0", "stranger", frozenset({"customer"}), customers=("C0",))
    with pytest.raises(Refusal, match="there is no product order"):
        act(office, lambda desk: orders.cancel(desk, order_id, "mine"), stranger)


# ---- one order through everything

def test_from_enquiry_to_acceptance(office: Office, clock: Clock) -> None:
    owner = customer(office)
    sold(office)
    seam = told(office)
    seller, office_one, boss = person(office, "seller", "presales"), person(office, "data", "provisioning"), person(office, "boss", "manager")
    fitter, other = person(office, "fitter", "contractor"), person(office, "data2", "provisioning")

    def stock(desk: Any) -> list[str]:
        site = resource.add(desk, kind="site", name="云岩", region="贵阳")
        device = resource.add(desk, kind="device", name="R1", region="贵阳", parent_id=site.id, capacity_bps=1_000_000_000)
        return [resource.add(desk, kind=kind, name=name, region="贵阳", parent_id=device.id, capacity_bps=size).id
                for kind, name, size in (("port", "ge-0/0/1", 1_000_000_000), ("vlan", "301", 0), ("prefix", "203.0.113.0/29", 0))]
    asked = act(office, lambda desk: enquiry.enter_need(desk, owner, {"kind": "leased_line", "down_bps": MBIT100, "up_bps": MBIT100}), seller)
    assert act(office, lambda desk: qualification.of_enquiry(desk, asked.id), seller).result == "unqualified"
    parts = act(office, stock)
    act(office, lambda desk: enquiry.survey(desk, asked.id, {"distance_m": 120}), seller)
    assert act(office, lambda desk: qualification.of_enquiry(desk, asked.id), seller).result == "qualified"
    with pytest.raises(Refusal, match="no quote that is approved"):
        act(office, lambda desk: enquiry.move(desk, asked.id, "quoted"), seller)
    quote = act(office, lambda desk: papers.write(desk, "quote", "enquiry", asked.id, {"monthly": "8480.00"}), seller)
    act(office, lambda desk: papers.decide(desk, quote.id, True), boss)
    made = act(office, lambda desk: enquiry.win(desk, asked.id, [line()], owner_id=office_one.id), seller)
    act(office, lambda desk: orders.acknowledge(desk, made.id), seller)
    checked_row = act(office, lambda desk: qualification.of_order(desk, made.id), seller)
    found = checked_row.found["items"][0]
    assert checked_row.result == "qualified" and found["candidates"][0]["free_bps"] == 1_000_000_000 and not found["measured"]
    act(office, lambda desk: move(desk, made.id, "inProgress"), office_one)
    item = state_of(office, made.id).items[0].id
    act(office, lambda desk: fulfilment.reserve(desk, item, parts), office_one)
    with pytest.raises(Refusal, match="is kept for item"):
        again = ordered(office, started=True)
        act(office, lambda desk: fulfilment.reserve(desk, desk.find(ProductOrder, again).items[0].id, parts[:1]))
    data = act(office, lambda desk: configuration.render(desk, item), office_one)
    assert "encapsulation dot1q 301" in data.text and "rate-limit output 100000" in data.text and "route 203.0.113.0/29 ge-0/0/1.301" in data.text
    assert "no interface ge-0/0/1.301" in data.inverse and data.conflicts == []
    with pytest.raises(Refusal, match="takes a second person"):
        act(office, lambda desk: configuration.sign(desk, data.id), office_one)
    act(office, lambda desk: configuration.sign(desk, data.id), other)
    act(office, lambda desk: configuration.apply(desk, data.id), office_one)
    act(office, lambda desk: fulfilment.connect(desk, item, [{"prefix": "203.0.113.0/29"}]), office_one)
    service_id = state_of(office, made.id).items[0].service_id
    assert service_id is not None
    bound = clock.now
    clock.forward(minutes=10)
    seam.say(service_id, bound, (50, 50), *[(FULL, FULL)] * 9)
    act(office, lambda desk: verifying.install(desk, item, [(bound + timedelta(minutes=1), bound + timedelta(minutes=6))], "speed test"), fitter)
    act(office, lambda desk: move(desk, made.id, "completed"), office_one)
    with office.reading() as desk:
        service = desk.session.get_one(Service, service_id)
        assert service.state == "active" and service.down_bps == MBIT100 and desk.session.query(Reservation).filter(Reservation.released.is_(None)).count() == 0
        known = reached(desk, desk.session.get_one(OrderItem, item))
        assert list(known) == list(NAMES[:6])
    sheet = act(office, lambda desk: acceptance.make(desk, made.id), office_one)
    measured = sheet.content["items"][0]["measured"]
    assert measured["down_bytes"] == FULL and measured["down_mbps"] == "95" and sheet.content["on_time"] == "yes"
    for lang, title in (("en", "Acceptance sheet"), ("zh", "竣工验收单")):
        page = act(office, lambda desk, lang=lang: acceptance.shown(desk, sheet.id, lang))       # type: ignore[misc]
        assert title in page and "712500000" in page and "云上公司" not in page and service.circuit in page
    act(office, lambda desk: papers.decide(desk, sheet.id, True), boss)
    with office.reading() as desk:
        assert list(reached(desk, desk.session.get_one(OrderItem, item))) == list(NAMES)


def test_a_check_says_what_lesser_rate_there_is_room_for(office: Office) -> None:
    customer(office, class_="home")
    sold(office)
    told(office)

    def stock(desk: Any) -> str:
        site = resource.add(desk, kind="site", name="云岩", region="贵阳")
        olt = resource.add(desk, kind="olt", name="OLT1", region="贵阳", parent_id=site.id, capacity_bps=10_000_000_000)
        pon = resource.add(desk, kind="pon_port", name="0/1/1", region="贵阳", parent_id=olt.id, capacity_bps=1_200_000_000)
        splitter = resource.add(desk, kind="splitter", name="S1", region="贵阳", parent_id=pon.id)
        resource.add(desk, kind="vlan", name="41", region="贵阳", parent_id=olt.id)
        resource.add(desk, kind="onu", name="O1", region="贵阳", parent_id=splitter.id)
        return pon.id
    pon = act(office, stock)
    first = ordered(office, line("home-1000", 0))
    assert act(office, lambda desk: qualification.of_order(desk, first)).result == "qualified"
    act(office, lambda desk: move(desk, first, "inProgress"))
    act(office, lambda desk: fulfilment.reserve(desk, desk.find(ProductOrder, first).items[0].id, [pon]))
    second = ordered(office, line("home-1000", 0))
    found = act(office, lambda desk: qualification.of_order(desk, second))
    assert found.result == "alternative" and found.found["items"][0]["alternative_bps"] == 200_000_000
    chain = found.found["items"][0]["candidates"][0]["chain"]
    assert [one["kind"] for one in chain] == ["pon_port", "olt"] and chain[0]["free_bps"] == 200_000_000
    with pytest.raises(Refusal, match="the check says alternative"):
        act(office, lambda desk: move(desk, second, "inProgress"))


def test_a_cancelled_order_gives_everything_back(office: Office) -> None:
    customer(office)
    sold(office)
    told(office)
    order_id = ordered(office, started=True)
    item = state_of(office, order_id).items[0].id
    parts = act(office, lambda desk: [resource.add(desk, kind="port", name="p1", region="贵阳", capacity_bps=10 ** 9).id])
    act(office, lambda desk: fulfilment.reserve(desk, item, parts))
    act(office, lambda desk: fulfilment.connect(desk, item, [{"prefix": "203.0.113.0/29"}]))
    assert act(office, lambda desk: orders.cancel(desk, order_id, "no longer wanted")).state == "cancelled"
    with office.reading() as desk:
        assert fulfilment.held_resources(desk, desk.find(ProductOrder, order_id)) == 0
        service = desk.session.get_one(Service, desk.session.get_one(OrderItem, item).service_id)
        assert service.state == "terminated" and not inventory.bound(desk, service.id)
        assert resource.headroom(desk, parts[0]).free_bps == 10 ** 9
