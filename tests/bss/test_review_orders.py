"""What somebody may not get by the way he writes an order: a price that is not his, what is ours to say, a sheet that nobody measured."""
from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bss.catalogue.pricing import freeze
from bss.office import Office
from bss.orders import attachment, configuration, enquiry, order, paper, reminding, verifying
from bss.orders.milestone import reached
from bss.orders.transition import move, move_item
from bss.orders.wanted import Line
from bss.parties import agreement
from bss.people.scope import Actor
from bss.refusal import Refusal
from bss.tables import Agreement, Binding, OrderItem, Paper, ProductOrder, Service
from tests.bss.conftest import Clock
from tests.bss.selling import MBIT100, act, customer, line, ordered, person, served, sold, told

WRONG: tuple[Any, ...] = ("NaN", "Infinity", "-1", "1e3", 80.1, True, "1e999", {})


def lines_of(office: Office, order_id: str, without: tuple[str, ...] = ()) -> list[Line]:
    """An order's items as they are sent again."""
    def read(desk: Any) -> list[Line]:
        return [Line.model_validate({"id": one.id, "action": one.action, "offering": one.offering, "service_id": one.service_id, "wanted": one.wanted})
                for one in desk.find(ProductOrder, order_id).items if one.offering not in without and one.removed is None]
    return act(office, read)


def prices(office: Office, order_id: str) -> list[str]:
    return act(office, lambda desk: [one.price["monthly"] for one in desk.find(ProductOrder, order_id).items if one.removed is None])


def test_nothing_is_free_because_it_says_that_it_is_in_a_bundle(office: Office) -> None:
    owner = customer(office, class_="home")
    sold(office)
    free = Line.model_validate({"action": "add", "offering": "home-500", "wanted": {"bundle": "family-199"}})
    with pytest.raises(Refusal, match="comes with the bundle"):
        act(office, lambda desk: order.enter(desk, owner, [free]))
    service = served(office, customer_id=owner, state="active", offering="home-500")
    with pytest.raises(Refusal, match="comes with the bundle"):
        act(office, lambda desk: order.enter(desk, owner, [Line.model_validate(
            {"action": "modify", "service_id": service, "wanted": {"change": "rate", "bundle": "x"}})]))
    order_id = ordered(office, line("family-199", 0))
    parts, fewer = lines_of(office, order_id, ("family-199",)), lines_of(office, order_id, ("video-pack",))
    with pytest.raises(Refusal, match="no longer ordered"):
        act(office, lambda desk: order.amend(desk, order_id, parts, "without it"))
    act(office, lambda desk: order.amend(desk, order_id, fewer, "no films"))
    assert prices(office, order_id) == ["199.00", "0.00", "0.00", "0.00"]


def test_a_price_is_of_the_rates_that_a_service_has(office: Office) -> None:
    owner = customer(office)
    sold(office)
    service = served(office, customer_id=owner, state="active", offering="home-500")

    def faster(desk: Any) -> None:
        desk.find(Service, service).down_bps = 10 * MBIT100
    act(office, faster)
    cheap = Line.model_validate({"action": "modify", "service_id": service, "offering": "home-100", "wanted": {"change": "price"}})
    with pytest.raises(Refusal, match="is sold with"):
        act(office, lambda desk: order.enter(desk, owner, [cheap]))


@pytest.mark.parametrize("terms", [{"prices": ["x"]}, {"prices": {"line-a": "80"}},
    *({"prices": {"line-a": {"line": wrong}}} for wrong in WRONG)])
def test_what_a_contract_says_is_money(office: Office, terms: dict[str, Any]) -> None:
    owner = customer(office)
    sold(office)
    with pytest.raises(Refusal, match="contract's price"):
        act(office, lambda desk: agreement.make(desk, customer_id=owner, name="x", valid_from=desk.now, terms=terms))
    with pytest.raises(Refusal, match="contract's price"):      # one that is there from before
        act(office, lambda desk: freeze(desk, "line-a", desk.now, MBIT100, terms=terms))


def test_how_it_is_built_is_not_for_customers_to_say(office: Office) -> None:
    owner = customer(office)
    sold(office)
    boss = person(office, "boss", "manager")
    his = Actor(person(office, "his", "customer").id, "his", frozenset({"customer"}), customers=(owner,))
    for given in ({"covered": False}, {"wanted": {"vlan": 100}}, {"wanted": {"prefixes": ["203.0.113.0/29"]}}, {"wanted": {"user": "x"}}):
        with pytest.raises(Refusal, match="not for customers"):
            act(office, lambda desk, given=given: order.enter(desk, owner, [Line.model_validate(     # type: ignore[misc]
                {"action": "add", "offering": "line-a", **given})]), his)
    for more in ({"owner_id": boss.id}, {"region": "遵义"}):
        with pytest.raises(Refusal, match="not for customers"):
            act(office, lambda desk, more=more: order.enter(desk, owner, [line()], **more), his)     # type: ignore[misc]
    made = act(office, lambda desk: order.enter(desk, owner, [line()]).id, his)
    with pytest.raises(Refusal, match="not for customers"):
        act(office, lambda desk: order.assign(desk, made, boss.id), his)
    ours = [one.model_copy(update={"covered": False, "wanted": one.wanted.model_copy(update={"vlan": 7})}) for one in lines_of(office, made)]
    act(office, lambda desk: order.amend(desk, made, ours), boss)
    bare = [one.model_copy(update={"wanted": one.wanted.model_copy(update={"vlan": None, "down_bps": 2 * MBIT100, "up_bps": 0})})
            for one in lines_of(office, made)]
    act(office, lambda desk: order.amend(desk, made, bare), his)
    item = act(office, lambda desk: desk.find(ProductOrder, made).items[0])
    assert not item.covered and item.wanted["vlan"] == 7 and item.wanted["down_bps"] == 2 * MBIT100


def test_an_enquiry_is_surveyed_by_us_and_of_ones_own_region(office: Office) -> None:
    owner = customer(office)
    his = Actor(person(office, "his", "customer").id, "his", frozenset({"customer"}), customers=(owner,))
    mine = person(office, "mine", "presales", regions=("贵阳",))
    need = {"kind": "broadband"}
    with pytest.raises(Refusal, match="not one of yours"):
        act(office, lambda desk: enquiry.enter_need(desk, owner, need, region="遵义"), mine)
    with pytest.raises(Refusal, match="not for customers"):
        act(office, lambda desk: enquiry.enter_need(desk, owner, need, owner_id=mine.id), his)
    found = act(office, lambda desk: enquiry.enter_need(desk, owner, need).id, his)
    for what in (lambda desk: enquiry.survey(desk, found, {"x": 1}), lambda desk: enquiry.move(desk, found, "surveyed")):
        with pytest.raises(Refusal, match="not for customers"):
            act(office, what, his)
    sold(office)
    assert act(office, lambda desk: enquiry.win(desk, found, [line()]).customer_id, his) == owner


def sheet(office: Office, order_id: str, by: Actor) -> Paper:
    return act(office, lambda desk: paper.write(desk, "acceptance", "product_order", order_id, {"items": []}), by)


def test_nobody_writes_an_acceptance_sheet_by_hand(office: Office) -> None:
    customer(office)
    sold(office)
    order_id = ordered(office)
    with pytest.raises(Refusal, match="written by the program"):
        sheet(office, order_id, person(office, "boss", "manager"))


def in_work(office: Office) -> tuple[str, str, str]:
    customer(office)
    sold(office)
    order_id = ordered(office, line(), started=True)
    item_id = act(office, lambda desk: desk.find(ProductOrder, order_id).items[0].id)
    return order_id, item_id, served(office, item_id)


def test_what_was_seen_before_the_service_was_bound_anew_was_anothers(office: Office, clock: Clock) -> None:
    order_id, item_id, service = in_work(office)
    evidence = told(office)
    begin = clock.now
    evidence.say(service, begin, (712_500_000, 712_500_000), (712_500_000, 712_500_000))
    clock.forward(minutes=10)
    act(office, lambda desk: verifying.install(desk, item_id, [(begin, begin + timedelta(minutes=5))]))
    assert act(office, lambda desk: verifying.verify(desk, item_id)).done

    def anew(desk: Any) -> None:            # it was another's line
        old = desk.session.query(Binding).one()
        old.withdrawn = desk.now
        desk.add(Binding(service_id=service, key="p2", prefix="203.0.113.8/29", valid_from=desk.now, created=desk.now))
    act(office, anew)
    since = clock.now
    clock.forward(minutes=10)
    with pytest.raises(Refusal, match="no traffic of its service was seen"):
        act(office, lambda desk: move(desk, order_id, "completed"))
    evidence.say(service, since, (712_500_000, 712_500_000))
    with pytest.raises(Refusal, match="no whole minute of the test"):
        act(office, lambda desk: move(desk, order_id, "completed"))
    act(office, lambda desk: verifying.install(desk, item_id, [(since, since + timedelta(minutes=5))]))
    assert act(office, lambda desk: move(desk, order_id, "completed")).state == "completed"
    assert act(office, lambda desk: reached(desk, desk.find(OrderItem, item_id))["rateVerified"].evidence["minute"]) == "2026-12-01T01:10:00Z"


def test_an_order_that_is_delivered_in_part_is_not_cancelled_by_waiting(office: Office, clock: Clock) -> None:
    customer(office)
    sold(office)
    order_id = ordered(office, line("video-pack", 0), line("video-pack", 0), started=True)
    first, second = act(office, lambda desk: [one.id for one in desk.find(ProductOrder, order_id).items])
    act(office, lambda desk: move_item(desk, first, "completed"))
    act(office, lambda desk: move_item(desk, second, "pending", "he is away"))
    clock.forward(days=31)
    act(office, reminding.remind)
    assert act(office, lambda desk: desk.find(ProductOrder, order_id).state) == "pending"
    with pytest.raises(Refusal, match="is delivered"):
        act(office, lambda desk: move(desk, order_id, "cancelled", "too long"))


def test_files_are_for_those_who_may_see_what_they_are_attached_to(office: Office) -> None:
    owner = customer(office)
    contract = act(office, lambda desk: desk.add(Agreement(number="G1", customer_id=owner, name="x", kind="contract", state="active", valid_from=desk.now,
                                                           terms={})).id)
    sold(office)
    order_id = ordered(office)
    hidden = act(office, lambda desk: attachment.attach(desk, "agreement", contract, "contract.txt", b"secret").id)
    shown = act(office, lambda desk: attachment.attach(desk, "product_order", order_id, "site.txt", b"left of the door").id)
    builder = person(office, "builder", "contractor")
    with pytest.raises(Refusal, match="customer.read"):
        act(office, lambda desk: attachment.read(desk, hidden), builder)
    with pytest.raises(Refusal, match="customer.read"):
        act(office, lambda desk: attachment.attach(desk, "customer", owner, "x.txt", b"x"), builder)
    assert act(office, lambda desk: attachment.read(desk, shown)[1], builder) == b"left of the door"
    def ids(desk: Any) -> list[str]:
        return [one.id for one in desk.session.execute(attachment.listed(desk)).scalars()]
    assert act(office, ids, builder) == [shown]


@pytest.mark.parametrize("wrong", [{"vlan": "100a"}, {"vlan": True}, {"vlan": 4095}, {"inner_vlan": "0"}, {"prefixes": "203.0.113.0/29"}, {"prefixes": ["x"]}])
def test_values_that_conflicts_are_found_by_have_one_form(wrong: dict[str, Any]) -> None:
    with pytest.raises(Refusal):
        configuration.checked_values(wrong)


def test_a_vlan_is_the_same_however_it_is_written() -> None:
    assert configuration.checked_values({"vlan": "100", "prefixes": ["203.0.113.1/29"]}) == {"vlan": 100, "prefixes": ["203.0.113.0/29"]}
