"""Every state and where it may go: the tables against the plan's, each refusal in a sentence, and an order's state by its items."""
from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from bss import audit
from bss.desk import Desk
from bss.identifier import fresh
from bss.office import Office
from bss.orders import states
from bss.orders.states import ITEM_STATES, ORDER, STATES, TERMINAL, derived, path, refusal
from bss.orders.transition import TIMEOUT, move, move_item
from bss.orders.wanted import Wanted
from bss.refusal import Refusal
from bss.tables import Binding, Milestone, OrderItem, Outbox, ProductOrder, Service, Transition
from tests.bss.selling import act, checked, customer, line, ordered, person, records, sold, told

#: The plan's table, written once more: from -> to.
PLAN = """draft: acknowledged cancelled
acknowledged: rejected inProgress pending held assessingCancellation
inProgress: pending held completed failed partial assessingCancellation
pending: inProgress held assessingCancellation cancelled
held: inProgress pending failed assessingCancellation
assessingCancellation: pendingCancellation inProgress
pendingCancellation: cancelled failed
rejected:
cancelled:
completed:
failed:
partial:"""
WANTED = {before: set(ways.split()) for before, _, ways in (one.partition(":") for one in PLAN.splitlines())}
PAIRS = list(itertools.product(STATES, STATES))


@pytest.mark.parametrize(("before", "to"), PAIRS)
def test_each_pair_is_allowed_or_refused_in_a_sentence(before: str, to: str) -> None:
    why = refusal(before, to, "inProgress")
    assert (why == "") == (to in WANTED[before]) == states.allowed(before, to, "inProgress")
    assert not why or (len(why.split()) >= 4 and "\n" not in why)


def _brought(desk: Desk, customer_id: str, owner: str, before: str, to: str) -> str:
    """An order with two items that is in a state by rows, and could go anywhere that the table allows: checked, owned, delivered where that is asked."""
    order = desk.add(ProductOrder(number=f"{before}-{to}", customer_id=customer_id, region="贵阳", channel="manager", class_="A", created=desk.now,
                                  state=before, owner_id=owner, prior_state="inProgress" if before in states.COMMANDED else None,
                                  pending_since=desk.now - TIMEOUT if before == "pending" else None))
    item = {"draft": "acknowledged", "assessingCancellation": "inProgress", "pendingCancellation": "inProgress", "partial": "completed"}.get(before, before)
    for place, code in enumerate(("static-address", "video-pack")):
        state = "completed" if (before, to, place) == ("inProgress", "partial", 0) else item
        order.items.append(OrderItem(id=fresh("N"), order_id=order.id, place=place, action="add", offering=code, offering_version=1, state=state,
                                     wanted=Wanted().model_dump(mode="json"), price={}))
    checked(desk, order)
    return order.id


def test_each_pair_of_the_table_is_answered_by_the_desk(office: Office) -> None:
    customer_id, owner = customer(office), person(office, "owner", "provisioning").id
    sold(office)
    orders = act(office, lambda desk: {(before, to): _brought(desk, customer_id, owner, before, to) for before, to in PAIRS})
    whys: dict[str, str] = {}
    for (before, to), key in orders.items():
        if to in WANTED[before]:
            assert act(office, lambda desk, key=key, to=to: move(desk, key, to, "because")).state == to      # type: ignore[misc]
        else:
            with pytest.raises(Refusal) as error:
                act(office, lambda desk, key=key, to=to: move(desk, key, to, "because"))      # type: ignore[misc]
            assert error.value.kind == "conflict" and error.value.what == refusal(before, to, "inProgress" if before in states.COMMANDED else None)
            whys[key] = error.value.what
    assert len(whys) == len(PAIRS) - sum(map(len, WANTED.values()))
    with office.reading() as desk:
        steps = {one.entity_id: one for one in desk.session.execute(select(Transition).where(Transition.entity == "order")).scalars()}
        refused = {row.entity_id: (row, detail) for row, detail in records(desk, "product_order") if row.action == "order.move.refused"}
        assert set(refused) == set(whys)
        for (before, to), key in orders.items():
            order = desk.find(ProductOrder, key)
            if key in whys:
                row, detail = refused[key]
                assert order.state == before and key not in steps and row.reason == whys[key] and detail is not None and detail["after"]["to"] == to
                continue
            assert order.state == to and (steps[key].from_state, steps[key].to_state) == (before, to)
            if to not in states.COMMANDED and before != "draft":
                assert derived([(one.action, one.state) for one in order.items], to) == to
        assert audit.check(desk.session) > len(whys)


def test_a_refused_act_leaves_nothing_but_the_record(office: Office) -> None:
    customer(office)
    sold(office)
    order_id = ordered(office)
    with office.reading() as desk:
        events = desk.session.query(Outbox).count()
    with pytest.raises(Refusal, match="not checked"):
        act(office, lambda desk: move(desk, order_id, "inProgress"))
    with office.reading() as desk:
        order = desk.find(ProductOrder, order_id)
        assert order.version == 2 and order.state == "acknowledged" and desk.session.query(Outbox).count() == events
        assert [row.action for row, _ in records(desk, "product_order", order_id)][0] == "order.move.refused"
    nobody = person(office, "reader", "auditor")
    with pytest.raises(Refusal, match="order.advance"):
        act(office, lambda desk: move(desk, order_id, "inProgress"), nobody)
    with office.reading() as desk:
        assert records(desk, "product_order", order_id)[0][0].actor == "reader"


@pytest.mark.parametrize(("items", "state"), [
    (["rejected", "rejected"], "rejected"), (["completed", "noChange"], "completed"), (["cancelled", "cancelled"], "cancelled"),
    (["completed", "failed"], "partial"), (["completed", "cancelled", "held"], "held"), (["failed", "cancelled"], "failed"),
    (["rejected", "cancelled"], "cancelled"), (["held", "pending"], "held"), (["pending", "inProgress"], "pending"),
    (["inProgress", "acknowledged"], "inProgress"), (["completed", "acknowledged"], "inProgress"), (["rejected", "acknowledged"], "inProgress"),
    (["acknowledged", "acknowledged"], "acknowledged"),
    (["noChange", "noChange"], "completed"), (["noChange", "acknowledged"], "acknowledged"), (["noChange", "rejected"], "rejected")])
def test_an_orders_state_is_its_items_first_rule(items: list[str], state: str) -> None:
    assert derived([("noChange" if one == "noChange" else "add", "acknowledged" if one == "noChange" else one) for one in items]) == state
    assert all(derived([("add", one) for one in items if one != "noChange"], commanded) == commanded for commanded in states.COMMANDED)


@given(st.lists(st.sampled_from(ITEM_STATES), min_size=1, max_size=6))
def test_every_set_of_items_has_a_state_and_ends_when_they_do(items: list[str]) -> None:
    found = derived([("add", one) for one in items])
    assert found in ORDER and (found in TERMINAL) == all(one in TERMINAL for one in items)
    assert found == derived([("add", one) for one in reversed(items)])


def test_ways_go_through_the_table() -> None:
    for before, to in PAIRS:
        way = path(before, to)
        if way is not None:
            for one, following in itertools.pairwise((before, *way)):
                assert states.allowed(one, following)
    assert path("held", "completed") == ("inProgress", "completed") and path("inProgress", "rejected") is None and path("completed", "partial") is None


def test_items_take_their_order_along(office: Office) -> None:
    customer(office)
    sold(office)
    owner = person(office, "owner", "provisioning")
    order_id = ordered(office, line("static-address", 0), line("video-pack", 0), owner=owner)

    def step(place: int, to: str) -> str:
        item = act(office, lambda desk: desk.find(ProductOrder, order_id).items[place].id)
        act(office, lambda desk: move_item(desk, item, to, "because"))
        return act(office, lambda desk: desk.find(ProductOrder, order_id).state)
    assert step(0, "inProgress") == "inProgress" and step(1, "held") == "held" and step(0, "completed") == "held"
    with pytest.raises(Refusal, match="stays so"):
        step(0, "failed")
    assert step(1, "failed") == "partial"
    with office.reading() as desk:
        steps = desk.session.execute(select(Transition).where(Transition.entity_id == order_id)).scalars().all()
        assert {(one.from_state, one.to_state) for one in steps} >= {("held", "inProgress"), ("inProgress", "partial")}


def test_nothing_is_cancelled_item_by_item_to_the_last(office: Office) -> None:
    customer(office)
    sold(office)
    order_id = ordered(office, line("static-address", 0))
    item = act(office, lambda desk: desk.find(ProductOrder, order_id).items[0].id)
    with pytest.raises(Refusal, match="cancel the order"):
        act(office, lambda desk: move_item(desk, item, "cancelled", "because"))


def test_guards_ask_for_owner_reason_time_and_a_check(office: Office, clock: Any) -> None:
    customer(office)
    sold(office)
    order_id = ordered(office)

    def go(to: str, reason: str = "") -> str:
        return act(office, lambda desk: move(desk, order_id, to, reason)).state
    for to, why in (("held", "no owner"), ("pending", "a reason is needed"), ("inProgress", "not checked"), ("rejected", "a reason is needed")):
        with pytest.raises(Refusal, match=why):
            go(to)
    act(office, lambda desk: checked(desk, desk.find(ProductOrder, order_id), "unqualified"))
    clock.forward(minutes=1)
    with pytest.raises(Refusal, match="unqualified"):
        go("inProgress")
    act(office, lambda desk: checked(desk, desk.find(ProductOrder, order_id)))
    assert go("pending", "the customer builds a room") == "pending"
    with pytest.raises(Refusal, match="the customer has 30 days"):
        go("cancelled")
    clock.forward(days=31)
    assert go("cancelled") == "cancelled"


def test_what_is_delivered_is_not_cancelled(office: Office) -> None:
    customer(office)
    sold(office)
    told(office)
    order_id = ordered(office, line("static-address", 0), line(), started=True)
    item = act(office, lambda desk: desk.find(ProductOrder, order_id).items[0].id)
    act(office, lambda desk: move_item(desk, item, "completed"))
    with pytest.raises(Refusal, match="what is delivered is not cancelled"):
        act(office, lambda desk: move(desk, order_id, "assessingCancellation", "because"))
    with office.reading() as desk:
        assert desk.session.query(Milestone).count() == 0 and desk.session.query(Service).count() == 0 and desk.session.query(Binding).count() == 0
        assert desk.session.get_one(OrderItem, item).verified == "none"
