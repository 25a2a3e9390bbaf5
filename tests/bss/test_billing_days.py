"""Which days and years are charged, and once: anchors that change, yearly prices, what was set up before, what an order ended, which month tax goes by."""
from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bss.billing import account, charging, choosing
from bss.billing.draft import Draft
from bss.billing.standing import Plan, Standing, spells_of
from bss.catalogue.publishing import publish
from bss.catalogue.reading import of_text
from bss.charges.proration import Spell, days, period_of, share_of, without
from bss.moment import begin_of
from bss.office import Office
from bss.orders import order as orders
from bss.orders.transition import move
from bss.orders.wanted import Line
from bss.rating import buckets, month
from bss.rating.plan import Catalogue, plans
from bss.refusal import Refusal
from bss.tables import Bill, OrderItem
from tests.bss.paying import bills, completed, issued, lines, made, said, serving
from tests.bss.selling import SAMPLE, act, customer, sold
from tests.bss.test_billing_joints import rated

CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])          # how fast the machine is is not what is asked


def price(amount: str, key: str = "port", period: str = "month", type_: str = "recurring") -> dict[str, Any]:
    return {"key": key, "name": {"en": key, "zh": key}, "type": type_, "period": period, "unit": "", "rate": amount, "quantity": "1", "amount": amount,
            "tax": "exclusive", "tax_rate": "0.06", "by_contract": False}


def plan(since: date, *told: dict[str, Any], item: str = "", added: bool = False) -> Plan:
    return Plan(since, told, item or f"N{since}", "DD1", "x", 1, added)


def standing(*told: Plan, ended: date | None = None) -> Standing:
    return Standing("S1", "C1", "S1", "ZX-1", "leased_line", [Spell(told[0].since, ended or date(9999, 1, 1), D(1))], list(told), ended)


def owed(one: Standing, since: str, count: int, anchor: int = 1) -> list[Draft]:
    """What all periods of so many months charge."""
    return [draft for n in range(count) for draft in charging.recurring(one, period_of(month.after(since, n), anchor), month.after(since, n))]


# ---- a year

def test_a_change_that_leaves_a_yearly_price_moves_no_year() -> None:
    year = price("1200", "hosting", "year")
    one = standing(plan(date(2026, 1, 15), price("100"), year, added=True), plan(date(2026, 6, 10), price("120"), year))
    found = [draft for draft in owed(one, "2026-01", 30) if draft.price_key == "hosting"]
    assert [(draft.begin, draft.end, draft.amount) for draft in found] == [
        (date(2026, 1, 15), date(2027, 1, 15), D("1200.00")), (date(2027, 1, 15), date(2028, 1, 15), D("1200.00")),
        (date(2028, 1, 15), date(2029, 1, 15), D("1200.00"))]


def test_another_yearly_price_credits_what_is_left_of_the_year_and_begins_its_own() -> None:
    one = standing(plan(date(2026, 1, 15), price("1200", "hosting", "year"), added=True), plan(date(2026, 6, 10), price("2400", "hosting", "year")))
    found = owed(one, "2026-01", 20)
    # 219 of 365 days are left on 10 June
    assert [(draft.kind, draft.begin, draft.amount) for draft in found] == [
        ("recurring", date(2026, 1, 15), D("1200.00")), ("adjustment", date(2026, 6, 10), D("-720.00")), ("recurring", date(2026, 6, 10), D("2400.00")),
        ("recurring", date(2027, 6, 10), D("2400.00"))]
    assert len({draft.source for draft in found}) == len(found)


@pytest.mark.parametrize(("changed", "left"), [(date(2027, 3, 10), D("-328.77")), (date(2027, 3, 20), None)])
def test_a_year_does_not_begin_once_another_plan_has_ended_its_price(changed: date, left: D | None) -> None:
    """Changed in the month in which the next year would have begun, before its day and on it."""
    one = standing(plan(date(2026, 3, 20), price("12000", "hosting", "year"), added=True), plan(changed, price("24000", "hosting", "year")))
    assert [(draft.kind, draft.begin, draft.amount) for draft in owed(one, "2026-03", 20)] == [
        ("recurring", date(2026, 3, 20), D("12000.00")), *([("adjustment", changed, left)] if left else []), ("recurring", changed, D("24000.00"))]


@pytest.mark.parametrize(("changed", "left"), [(date(2026, 5, 31), D("-9632.88")), (date(2026, 6, 1), D("-9600.00")), (date(2026, 6, 2), D("-9567.12"))])
@pytest.mark.parametrize("follows", [[price("24000", "hosting", "year")], [price("12000", "hosting", "month")], []])
def test_what_is_left_of_a_year_is_credited_on_a_periods_first_day_as_on_any(changed: date, left: D, follows: list[dict[str, Any]]) -> None:
    """Of a year since 20 March, on 31 May, 1 and 2 June; a yearly price beside it that stays is left alone."""
    beside = price("100", "name", "year")
    one = standing(plan(date(2026, 3, 20), price("12000", "hosting", "year"), beside, price("50"), added=True), plan(changed, *follows, beside, price("60")))
    found = owed(one, "2026-03", 6)
    assert [(draft.price_key, draft.begin, draft.amount) for draft in found if draft.kind == "adjustment" and draft.price_key != "port"] == [
        ("hosting", changed, left)]
    assert sum(draft.amount for draft in found if draft.price_key == "name") == 100 and len({draft.source for draft in found}) == len(found)


def test_a_yearly_price_that_was_another_for_no_day_moves_no_year() -> None:
    told = [plan(date(2026, 3, 20), price("12000", "hosting", "year"), added=True), *(
        plan(date(2026, 6, 10), price(amount, "hosting", "year"), item=f"N{amount}") for amount in ("24000", "12000"))]
    assert [(draft.begin, draft.amount) for draft in owed(standing(*told), "2026-03", 20)] == [
        (date(2026, 3, 20), D("12000.00")), (date(2027, 3, 20), D("12000.00"))]


def test_no_year_begins_of_a_yearly_price_that_a_change_left_out() -> None:
    one = standing(plan(date(2026, 3, 20), price("100"), price("12000", "hosting", "year"), added=True), plan(date(2027, 3, 10), price("100")))
    assert [(draft.kind, draft.amount) for draft in owed(one, "2026-03", 20) if draft.price_key == "hosting"] == [
        ("recurring", D("12000.00")), ("adjustment", D("-328.77"))]


@CALM
@given(st.dates(date(2024, 1, 1), date(2027, 12, 31)), st.integers(1, 31), st.lists(st.integers(1, 400), max_size=3))
def test_a_yearly_price_that_stays_is_charged_once_a_year_whatever_is_changed_beside(begun: date, anchor: int, changes: list[int]) -> None:
    year, told = price("1200", "hosting", "year"), [plan(begun, price("1"), price("1200", "hosting", "year"), added=True)]
    for n, later in enumerate(changes):
        told.append(plan(date.fromordinal(told[-1].since.toordinal() + later), price(str(n + 2)), year))
    found = [draft for draft in owed(standing(*told), "2023-11", 100, anchor) if draft.price_key == "hosting"]
    assert found[0].begin == begun
    assert all(one.end == two.begin for one, two in zip(found, found[1:], strict=False)) and len({draft.source for draft in found}) == len(found)


def test_a_year_is_known_by_its_first_day_whatever_the_anchor_and_what_is_changed_beside() -> None:
    """Two anchors' periods begin under different plans here, and both have the year's first day, and the day on which another price ends it."""
    year = price("12000", "hosting", "year")
    one = standing(plan(date(2026, 3, 20), price("50"), year, item="i1", added=True), plan(date(2027, 3, 5), price("60"), year, item="i2"),
                   plan(date(2027, 3, 25), price("60"), price("24000", "hosting", "year"), item="i3"))
    told = [{(draft.source, draft.begin, draft.amount) for draft in owed(one, "2026-02", 20, anchor) if draft.price_key == "hosting"} for anchor in (1, 15, 31)]
    assert told[0] == told[1] == told[2] and len(told[0]) == 4


HOSTING = """
[[offering]]
code = "hosting"
kind = "broadband"
class = "home"
name = { en = "x", zh = "x" }
valid_from = 2026-01-01T00:00:00+08:00
rates = { down_mbps = 10, most_mbps = 1000 }
[[offering.prices]]
key = "rack"
name = { en = "x", zh = "x" }
type = "recurring"
period = "year"
amount = 1200.00
tax = "exclusive"
tax_rate = 0.06
"""


@pytest.mark.both
@pytest.mark.parametrize(("first", "second"), [(15, 1), (1, 15)])
def test_a_year_is_charged_once_where_an_account_with_another_anchor_takes_over(office: Office, clock: Any, first: int, second: int) -> None:
    sold(office)
    act(office, lambda desk: publish(desk, of_text(HOSTING, "hosting")))
    one = customer(office)
    serving(office, one, "2026-10-20", "hosting")
    old = act(office, lambda desk: account.open_(desk, one, anchor=first).id)
    clock.forward(days=50)
    issued(office, "2026-10", anchor=first)

    def closed(desk: Any) -> None:
        for row in desk.session.query(Bill):
            row.paid, row.state = row.gross, "settled"
        account.change(desk, old, state="closed")
        account.open_(desk, one, anchor=second)
    act(office, closed)
    for period in ("2026-10", "2026-11"):
        issued(office, period, anchor=second)
    with office.reading() as desk:
        told = [(line.begin, line.amount) for row in desk.session.query(Bill) for line in lines(office, row.id) if line.kind == "recurring"]
    assert told == [(date(2026, 10, 20), D("1200.00"))]


# ---- once

def test_what_was_set_up_is_not_set_up_again_by_a_change_of_plan() -> None:
    setup = price("100", "setup", "", "one_time")
    one = standing(plan(date(2026, 10, 1), price("79"), setup, item="N1", added=True), plan(date(2026, 11, 12), price("109"), setup, item="N2"),
                   plan(date(2026, 11, 20), price("109"), setup, price("50", "move", "", "one_time"), item="N3"))
    assert [(draft.price_key, draft.amount, draft.source) for draft in charging.once(one, date(2026, 12, 1))] == [
        ("setup", D("100.00"), "once/N1/setup"), ("move", D("50.00"), "once/N3/move")]
    # what was brought in was set up before
    imported = standing(plan(date(2026, 1, 1), price("79"), setup, added=True)._replace(item=""), plan(date(2026, 11, 12), price("109"), setup))
    assert not list(charging.once(imported, date(2026, 12, 1)))


# ---- anchors

SPELLS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)), max_size=4)


@CALM
@given(SPELLS, SPELLS)
def test_days_that_were_taken_are_charged_no_more_and_no_other_is_lost(told: list[tuple[int, int]], gone: list[tuple[int, int]]) -> None:
    at = date(2026, 1, 1).toordinal()
    spells = [Spell(date.fromordinal(at + begin), date.fromordinal(at + begin + length), D(1)) for begin, length in told]
    taken = [(date.fromordinal(at + begin), date.fromordinal(at + begin + length)) for begin, length in gone]
    for n in range(100):
        day = date.fromordinal(at + n)
        following = date.fromordinal(at + n + 1)
        lost = any(begin <= day < end for begin, end in taken)
        assert days(without(spells, taken), day, following) == (0 if lost else days(spells, day, following))


@pytest.mark.both
@pytest.mark.parametrize(("first", "second"), [(15, 1), (1, 15)])
def test_an_account_with_another_anchor_charges_no_day_twice_and_leaves_none_out(office: Office, clock: Any, first: int, second: int) -> None:
    sold(office)
    one = customer(office)
    serving(office, one, "2026-10-20", "home-100")
    old = act(office, lambda desk: account.open_(desk, one, anchor=first).id)
    clock.forward(days=50)
    issued(office, "2026-10", anchor=first)
    issued(office, "2026-11", anchor=first)

    def closed(desk: Any) -> None:
        for row in desk.session.query(Bill):
            row.paid, row.state = row.gross, "settled"
        account.change(desk, old, state="closed")
        account.open_(desk, one, anchor=second)
    act(office, closed)
    clock.forward(days=60)
    for period in ("2026-10", "2026-11", "2026-12"):
        issued(office, period, anchor=second)
    with office.reading() as desk:
        told = [(line.begin, line.end) for row in desk.session.query(Bill) for line in lines(office, row.id) if line.kind == "recurring"]
    charged = sorted(day for begin, end in told for day in range(begin.toordinal(), end.toordinal()))
    assert len(charged) == len(set(charged)) == charged[-1] - charged[0] + 1 and charged[0] == date(2026, 10, 20).toordinal()


def test_what_another_account_that_is_billed_further_ahead_would_not_charge_is_moved_when_both_are_billed_as_far(office: Office, clock: Any) -> None:
    sold(office)
    one = customer(office)
    first = act(office, lambda desk: account.open_(desk, one, anchor=1).id)
    clock.forward(hours=1)
    second = act(office, lambda desk: account.open_(desk, one, anchor=15).id)
    service, stays = serving(office, one, "2026-10-20", "home-100"), serving(office, one, "2026-10-20", "home-100")
    act(office, lambda desk: choosing.choose(desk, second, [service]))
    item = act(office, lambda desk: completed(desk, one, None, "static-address", "2026-10-25").id)
    act(office, lambda desk: choosing.choose(desk, second, [item]))
    clock.forward(days=max(0, (datetime(2026, 12, 5, tzinfo=UTC) - clock()).days))
    issued(office, "2026-10", anchor=15)
    for period in ("2026-10", "2026-11"):
        issued(office, period)
    for subject in (service, item):
        with pytest.raises(Refusal, match="is billed to 2026-11-15: the days between would be on no bill"):
            act(office, lambda desk, subject=subject: choosing.choose(desk, first, [subject]))         # type: ignore[misc]

    def close(desk: Any) -> None:
        for row in desk.session.query(Bill):
            row.paid, row.state = row.gross, "settled"
        account.change(desk, second, state="closed")
    with pytest.raises(Refusal, match="the days between would be on no bill"):
        act(office, close)
    # to an account that is not as far, there and back: what the other has charged is no gap
    assert act(office, lambda desk: choosing.choose(desk, second, [stays])) == 1
    assert act(office, lambda desk: choosing.choose(desk, first, [stays])) == 1
    # a service that began after what both have billed goes anywhere
    late = serving(office, one, "2026-12-02", "home-100")
    assert [act(office, lambda desk, to=to: choosing.choose(desk, to, [late])) for to in (second, first)] == [1, 1]         # type: ignore[misc]
    clock.forward(days=12)
    issued(office, "2026-11", anchor=15)
    act(office, close)
    clock.forward(days=20)
    issued(office, "2026-12")
    with office.reading() as desk:
        told = [(line.begin, line.end) for row in desk.session.query(Bill) for line in lines(office, row.id)
                if line.kind == "recurring" and line.service_id == service]
    charged = sorted(day for begin, end in told for day in range(begin.toordinal(), end.toordinal()))
    assert len(charged) == len(set(charged)) == charged[-1] - charged[0] + 1 and charged[0] == date(2026, 10, 20).toordinal()
    assert date.fromordinal(charged[-1]) == date(2026, 12, 31)


# ---- what an order ended

def test_a_value_added_item_without_a_service_ends_with_the_order_that_ends_it(office: Office, clock: Any) -> None:
    sold(office)
    one, other = customer(office), customer(office, "K2")
    serving(office, one, "2026-10-01", "home-100")
    kept = act(office, lambda desk: completed(desk, one, None, "static-address", "2026-10-05").id)
    part = act(office, lambda desk: completed(desk, one, None, "video-pack", "2026-10-05", bundle="family-199").id)
    first = issued(office)[0]
    assert ("recurring", "static-address") in {(kind, lines(office, first.id)[n].evidence["offering"]) for n, (kind, *_) in enumerate(said(office, first.id))}
    for key, whose, why in ((kept, other, "another customer's"), (part, one, "of a bundle"), ("S404", one, "there is no order item S404")):
        with pytest.raises(Refusal, match=why):
            act(office, lambda desk, key=key, whose=whose: orders.enter(desk, whose, [Line.model_validate({"action": "delete", "wanted": {"ends": key}})]))
    with pytest.raises(ValueError, match="or the item without one that it ends"):
        Line.model_validate({"action": "delete"})
    clock.forward(days=9, hours=3)
    row = act(office, lambda desk: orders.terminate(desk, kept))
    with pytest.raises(Refusal, match=f"order {row.number} ends it"):
        act(office, lambda desk: orders.terminate(desk, kept))
    act(office, lambda desk: move(desk, row.id, "inProgress"))
    with office.reading() as desk:
        item = desk.session.query(OrderItem).filter(OrderItem.order_id == row.id).one()
        if item.state != "completed":
            act(office, lambda desk: move_item(desk, item.id))
    with office.reading() as desk:
        assert desk.session.get_one(OrderItem, item.id).state == "completed"
    clock.forward(days=40)
    gone = [line for line in lines(office, issued(office, "2026-12")[0].id) if line.evidence.get("offering") == "static-address"]
    assert [(line.kind, line.begin, line.end) for line in gone if line.kind == "recurring"] == [("recurring", date(2026, 12, 1), date(2026, 12, 10))]
    clock.forward(days=31)
    with office.reading() as desk:
        grants = plans(desk, [one])[one].grants
        assert [grant.offering for grant in grants if grant.until is not None] == ["static-address"]
        assert buckets.given(desk, plans(desk, [one])[one], Catalogue(), "2026-12") is not None
    assert not [line for line in lines(office, issued(office, "2027-01")[0].id) if line.evidence.get("offering") == "static-address"]


def move_item(desk: Any, item_id: str) -> None:
    from bss.orders.transition import move_item as moved
    moved(desk, item_id, "completed")


# ---- before it is completed

def test_a_service_that_is_active_before_its_order_is_completed_is_charged_from_then_on(office: Office, clock: Any) -> None:
    sold(office)
    one = customer(office)
    service = serving(office, one, "2026-11-20", "home-100", imported=True)

    def order(desk: Any) -> None:
        item = completed(desk, one, service, "home-100", "2026-12-10")
        item.price["lines"][0]["amount"] = "50.00"          # as it was agreed
        desk.session.query(OrderItem).filter(OrderItem.id == item.id).update({"price": item.price})
    act(office, order)
    assert bills(office, made(office)) == []         # the catalogue's price is not his, and nothing is owed yet
    clock.forward(days=31)
    found = issued(office, "2026-12")[0]
    assert [(line.begin, line.amount) for line in lines(office, found.id) if line.kind == "recurring"] == [(date(2026, 12, 10), D("35.48"))]


# ---- late usage, other currencies

def test_late_usage_is_of_the_month_it_was_used_in_and_taxed_by_it(office: Office) -> None:
    sold(office)
    one = customer(office)
    service = serving(office, one, "2026-08-01", "home-100")
    act(office, lambda desk: account.enter_rate(desk, "", "", date(2020, 1, 1), D("0.09")))
    act(office, lambda desk: account.enter_rate(desk, "", "", date(2026, 11, 1), D("0.06")))
    act(office, lambda desk: (rated(desk, one, service, "late", "109.00", original="2026-10", revision=2), rated(desk, one, service, "now", "106.00")))
    found = {line.price_key: line for line in lines(office, issued(office)[0].id)}
    assert (found["late"].tax_rate, found["late"].begin, found["late"].end) == (D("0.09"), date(2026, 10, 1), date(2026, 11, 1))
    assert (found["now"].tax_rate, found["now"].begin) == (D("0.06"), date(2026, 11, 1))


def test_what_is_priced_in_another_currency_than_its_account_holds_the_bill(office: Office) -> None:
    sold(office)
    one = customer(office)
    serving(office, one, "2026-11-10")
    act(office, lambda desk: account.open_(desk, one, currency="USD"))
    row = bills(office, made(office))[0]
    assert (row.state, row.currency) == ("onHold", "USD") and "priced in CNY, the account in USD" in row.reason


def test_a_price_in_another_currency_that_is_long_gone_keeps_no_bill_on_hold(office: Office, clock: Any) -> None:
    sold(office)
    sample = of_text(SAMPLE.read_text(encoding="utf-8"), "sample")
    document = next(one for one in sample.offering if one.code == "line-a")
    dollars = document.model_copy(update={"code": "line-usd", "prices": tuple(one.model_copy(update={"currency": "USD"}) for one in document.prices)})
    act(office, lambda desk: publish(desk, sample.model_copy(update={"sla": (), "offering": (dollars,)})))
    one = customer(office)
    serving(office, one, "2026-10-01", "home-100")
    serving(office, one, "2026-10-01", "line-usd", steps=[("terminated", "2026-11-05", "gone")])
    clock.forward(days=31)
    row = bills(office, made(office))[0]
    assert row.state == "onHold" and "line-usd is priced in USD, the account in CNY" in row.reason          # its days until 5 November

    def settle(desk: Any) -> None:          # a person has billed them otherwise
        for found in desk.session.query(Bill):
            found.state = "settled"
    act(office, settle)
    assert [(found.state, found.reason) for found in bills(office, made(office, "2026-12"))] == [("new", "")]


def test_an_anchor_at_a_month_end_is_kept_by_bills(office: Office, clock: Any) -> None:
    sold(office)
    one = customer(office)
    serving(office, one, "2026-12-31", "home-100")
    act(office, lambda desk: account.open_(desk, one, anchor=31))
    clock.forward(days=130)
    told = [issued(office, period, anchor=31)[0] for period in ("2026-12", "2027-01", "2027-02")]
    assert [(row.begin, row.end, row.gross) for row in told][1:] == [
        (date(2027, 1, 31), date(2027, 2, 28), D("79.00")), (date(2027, 2, 28), date(2027, 3, 31), D("79.00"))]


# ---- every day once

MONTHS, SHARES = 6, ("1", "0.5", "0")


@st.composite
def histories(draw: st.DrawFn) -> Standing:
    """A service with changes of plan, suspensions by reason and perhaps an end, over half a year and its edges."""
    begun = date(2026, 1, 1).toordinal() + draw(st.integers(0, 40))
    days_of = sorted(draw(st.sets(st.integers(1, 150) | st.sampled_from([30, 31, 58, 59, 89, 90, 120]), max_size=4)))
    plans = [plan(date.fromordinal(begun), price(draw(st.sampled_from(["199.00", "24.95", "8000.00"]))), added=True)]
    for n, later in enumerate(days_of):
        told = [price(draw(st.sampled_from(["199.00", "299.00", "24.95"])))] + ([price("10.00", "extra")] if draw(st.booleans()) else [])
        plans.append(plan(date.fromordinal(begun + later), *told, item=f"N{n}"))
    spells, at = [], begun
    for length, share in draw(st.lists(st.tuples(st.integers(1, 60), st.sampled_from(SHARES)), max_size=5)):
        spells.append(Spell(date.fromordinal(at), date.fromordinal(at + length), D(share)))
        at += length
    ended = date.fromordinal(at) if spells and draw(st.booleans()) else None
    if ended is None:
        spells.append(Spell(date.fromordinal(at), date(9999, 1, 1), D(1)))
    return Standing("S1", "C1", "S1", "ZX-1", "leased_line", spells, plans, ended)


@CALM
@given(histories(), st.sampled_from([1, 2, 15, 28, 29, 30, 31]))
def test_whatever_happens_each_day_is_charged_once_by_the_plan_and_the_state_that_it_ends_in(one: Standing, anchor: int) -> None:
    for n in range(-1, MONTHS):
        name = month.after("2026-01", n)
        period, exact = period_of(name, anchor), D(0)
        drafts = list(charging.recurring(one, period, name))
        for day in range(period.begin.toordinal(), period.end.toordinal()):
            now = date.fromordinal(day)
            held = [each for each in one.plans if each.since <= now]
            share = days(one.spells, now, date.fromordinal(day + 1)) if one.ended is None or now < one.ended else D(0)
            exact += sum((D(line["amount"]) for line in held[-1].lines), D(0)) * share / period.days if held else 0
        assert abs(sum((draft.amount for draft in drafts), D(0)) - exact) <= D("0.005") * max(1, len(drafts)) + D("0.005") * 12, (name, drafts)
        assert len({draft.source for draft in drafts}) == len(drafts)


# ---- states of a service

class Step(NamedTuple):
    """As it is read from the history of a service."""
    from_state: str
    to_state: str
    time: datetime
    reason: str


@CALM
@given(st.sampled_from(["Asia/Shanghai", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]),
       st.datetimes(datetime(2026, 2, 20), datetime(2026, 11, 20)),
       st.lists(st.tuples(st.integers(0, 60 * 24 * 3), st.sampled_from(["customer", "non_payment", "fault", "x", ""])), max_size=12), st.booleans())
def test_a_day_is_of_the_state_that_it_ends_in_in_every_zone_and_over_changes_of_the_clock(
        zone: str, begun: datetime, told: list[tuple[int, str]], ends: bool) -> None:
    where, at = ZoneInfo(zone), begun.replace(tzinfo=UTC)
    steps = [Step("inactive", "active", at, "")]
    for minutes, reason in told:
        at += timedelta(minutes=minutes)
        now = steps[-1].to_state
        steps.append(Step(now, "inactive" if now == "active" else "active", at, reason))
    if ends:
        at += timedelta(hours=7)
        steps.append(Step(steps[-1].to_state, "terminated", at, ""))
    spells, ended = spells_of(steps, "active", steps[0].time, where)
    assert ended == (at.astimezone(where).date() if ends else None)
    first = begun.replace(tzinfo=UTC).astimezone(where).date()
    for n in range(-2, 45):
        day = first + timedelta(days=n)
        midnight = begin_of(day + timedelta(days=1), where)
        before = [step for step in steps if step.time < midnight]
        last = before[-1] if before else None
        wanted = D(0) if last is None or last.to_state == "terminated" else D(1) if last.to_state == "active" else share_of(last.reason)
        assert days(spells, day, day + timedelta(days=1)) == wanted, (day, last)
