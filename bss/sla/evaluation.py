"""Post-evaluation (后评估, R38): the figures behind the scorecards of customers, orders and contractors, each with where it was read. The scoring is of
scorecard.py.

Figures are of what ended in the time: answers that were given, orders that were completed, tickets that were restored, dispatches that were done. What was not
measured is no case: a restoration that an override put in the place of a measured one counts as not in time, and shows beside.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import select

from bss.database import lots
from bss.desk import Desk
from bss.moment import iso
from bss.orders import clock
from bss.refusal import Refusal
from bss.sla.scorecard import Card, Figures, Total, fill, mean, median, percent, ranking
from bss.tables import Customer, Dispatch, Enquiry, ProductOrder, Qualification, SlaMonth, Ticket, User
from bss.tickets import template
from bss.tickets.dispatch import judged
from bss.tickets.promise import spans_of

SUBJECTS = ("customer", "order", "contractor")
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
REPEAT = EARLY = timedelta(days=30)
FAULTS = ("outage", "quality")
MOST, SHOWN = 20_000, 20        # rows that are read of a kind; ids that evidence names
LONGEST = timedelta(days=400)


class Ranked(NamedTuple):
    """A card of somebody. name: a number or a log-in, no name of a person; place: None where there are too few cases; overrides: tickets that were resolved
    against what was measured."""
    subject: str
    name: str
    total: Total
    place: int | None


def one(desk: Desk, kind: str, subject: str, since: datetime | None = None, until: datetime | None = None) -> tuple[Card, Ranked]:
    """The card of a customer, an order or a contractor, by id."""
    begin, end = _span(desk, since, until)
    card = _card(desk, kind)
    row: Any
    if kind == "contractor":
        row = desk.session.get(User, subject)
        if row is None or not _ours(desk, row):
            raise Refusal("missing", f"there is no contractor {subject}", "contractor", "look at the list of those you may see")
    else:
        row = desk.find(Customer, subject) if kind == "customer" else desk.find(ProductOrder, subject)
    total = fill(card, _figures(desk, kind, row, begin, end))
    return card, Ranked(subject, row.login if kind == "contractor" else row.number, total, None)


def all_of(desk: Desk, kind: str, since: datetime | None = None, until: datetime | None = None, region: str = "") -> tuple[Card, list[Ranked]]:
    """The cards of all of whom something ended in the time, ranked: those with fewer cases than the card asks for come last, without a place. At most 500."""
    begin, end = _span(desk, since, until)
    card, rows = _card(desk, kind), list(_subjects(desk, kind, begin, end, region))[:500]
    names = {row.id: row.login if kind == "contractor" else row.number for row in rows}
    found = ranking((row.id, fill(card, _figures(desk, kind, row, begin, end))) for row in rows)
    return card, [Ranked(key, names[key], total, place) for key, total, place in found]


def _card(desk: Desk, kind: str) -> Card:
    desk.demand("scorecard.read")
    if kind not in SUBJECTS:
        raise Refusal("invalid", f"{kind!r} has no scorecard", "kind", f"there are {', '.join(SUBJECTS)}")
    if "contractor" in desk.actor.roles and kind != "contractor" and not desk.may("order.advance") and not desk.may("calendar.write"):
        raise Refusal("forbidden", "a contractor sees his own card", "kind", "ask for contractor")
    found: Card = template.current(desk, "scorecard", kind).document
    return found


def _span(desk: Desk, since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    end = until or desk.now
    begin = since or end - timedelta(days=90)
    if begin >= end or end - begin > LONGEST:
        raise Refusal("invalid", f"a scorecard is of a time of up to {LONGEST.days} days", "until")
    return begin, end


def _ours(desk: Desk, user: User) -> bool:
    """Whether the actor may see somebody's card: his own, or that of who works in one of his regions."""
    alone = desk.actor.own_work or ("contractor" in desk.actor.roles and not desk.may("dispatch.write"))
    if user.id == desk.actor.id or "contractor" not in user.roles:
        return user.id == desk.actor.id
    return not alone and (not desk.actor.regions or bool({*user.regions} & {*desk.actor.regions}))


def _subjects(desk: Desk, kind: str, begin: datetime, end: datetime, region: str) -> Iterable[Any]:
    if kind == "contractor":
        users = desk.session.execute(select(User).where(User.disabled.is_(False)).order_by(User.login)).scalars()
        yield from (one for one in users if _ours(desk, one) and (not region or not one.regions or region in one.regions))
        return
    table: Any = Customer if kind == "customer" else ProductOrder
    query = desk.select(table)
    if region:
        query = query.where(table.region == region)
    if kind == "order":
        query = query.where(ProductOrder.completed >= begin, ProductOrder.completed < end)
    else:
        busy = [select(column).where(when >= begin, when < end) for column, when in (
            (ProductOrder.customer_id, ProductOrder.completed), (Ticket.customer_id, Ticket.restored), (Qualification.customer_id, Qualification.done))]
        busy.append(select(SlaMonth.customer_id).where(SlaMonth.month.in_(_months(desk, begin, end))))
        query = query.where(table.id.in_(busy[0]) | table.id.in_(busy[1]) | table.id.in_(busy[2]) | table.id.in_(busy[3]))
    yield from desk.session.execute(query.order_by(table.id).limit(500)).unique().scalars()


def _figures(desk: Desk, kind: str, row: Any, begin: datetime, end: datetime) -> dict[str, Figures]:
    if kind == "contractor":
        return _contractor(desk, row, begin, end)
    orders = [row] if kind == "order" else list(desk.session.execute(select(ProductOrder).where(
        ProductOrder.customer_id == row.id, ProductOrder.completed >= begin, ProductOrder.completed < end).limit(MOST)).unique().scalars())
    found = {"resource-answer": _answers(desk, row, kind, begin, end), "activation": _activation(orders)}
    services = sorted({item.service_id for order in orders for item in order.items if item.service_id})
    if kind == "order":
        found["early-faults"] = _early(desk, row, services)
        found["availability"] = _availability(desk, services, "", row.completed or begin, end)
    else:
        found["mttr"] = _mttr(desk, row.id, begin, end)
        found["availability"] = _availability(desk, (), row.id, begin, end)
    return found


# ---- customers and orders

def _answers(desk: Desk, row: Any, kind: str, begin: datetime, end: datetime) -> Figures:
    """The first answer to each enquiry or order, within one working day of what was asked."""
    query = select(Qualification).where(Qualification.state == "done", Qualification.customer_id == (row.id if kind == "customer" else row.customer_id))
    query = query.where(Qualification.done >= begin, Qualification.done < end) if kind == "customer" else query.where(
        (Qualification.order_id == row.id) | (Qualification.enquiry_id == row.enquiry_id if row.enquiry_id else Qualification.order_id == row.id))
    first: dict[str, Qualification] = {}
    for check in desk.session.execute(query.order_by(Qualification.done).limit(MOST)).scalars():
        first.setdefault(check.enquiry_id or check.order_id or check.id, check)
    good, calendar = 0, clock.days(desk)
    for check in first.values():
        enquiry = desk.session.get(Enquiry, check.enquiry_id) if check.enquiry_id else None
        order = desk.session.get(ProductOrder, check.order_id) if check.order_id else None
        asked = enquiry.created if enquiry else (order.acknowledged or order.created) if order else check.created
        good += clock.elapsed(asked, check.done or check.created, calendar) <= DAY
    found = percent(good, len(first))
    return found._replace(evidence={"table": "qualification", "in_time": good, "ids": sorted(one.id for one in first.values())[:SHOWN]})


def _activation(orders: Sequence[ProductOrder]) -> Figures:
    """Orders that were completed in time and whose items were verified by measurement; what no sensor sees, or has nothing to be measured, is no case."""
    cases, good, manual = 0, 0, 0
    for order in orders:
        verified = {item.verified for item in order.items if item.state == "completed" and item.action in ("add", "modify")} - {"", "none"}
        manual += "manual" in verified
        if order.completed is None or order.due is None or verified != {"measured"}:
            continue
        cases += 1
        good += order.completed <= order.due
    return percent(good, cases)._replace(evidence={"table": "product_order", "in_time": good, "by_hand": manual,
                                                   "ids": sorted(one.id for one in orders)[:SHOWN]})


def _mttr(desk: Desk, customer_id: str, begin: datetime, end: datetime) -> Figures:
    """Hours from the beginning of a fault to its measured end, less the time in which the customer had to act; outages of class A."""
    query = select(Ticket).where(Ticket.customer_id == customer_id, Ticket.kind == "outage", Ticket.class_ == "A", Ticket.restored >= begin,
                                 Ticket.restored < end).order_by(Ticket.restored).limit(MOST)
    rows = list(desk.session.execute(query).scalars())
    hours = [Decimal(_lasted(ticket, desk.now) // timedelta(microseconds=1)) / (HOUR // timedelta(microseconds=1)) for ticket in rows]
    return Figures(mean(hours), len(rows), {"table": "ticket", "ids": [one.id for one in rows[:SHOWN]]})


def _lasted(ticket: Ticket, now: datetime) -> timedelta:
    restored = ticket.restored or now
    stood = sum((min(end, restored) - max(begin, ticket.began) for begin, end in spans_of(ticket, now) if min(end, restored) > max(begin, ticket.began)),
                timedelta())
    return restored - ticket.began - stood


def _early(desk: Desk, order: ProductOrder, services: Sequence[str]) -> Figures:
    """Faults of an order's services within 30 days of its completion."""
    if order.completed is None or not services:
        return Figures(None)
    rows = list(desk.session.execute(select(Ticket.id).where(Ticket.service_id.in_(services), Ticket.kind.in_(FAULTS), Ticket.began >= order.completed,
                                                             Ticket.began < order.completed + EARLY).order_by(Ticket.id).limit(MOST)).scalars())
    return Figures(Decimal(len(rows)), 1, {"table": "ticket", "services": list(services)[:SHOWN], "ids": rows[:SHOWN]})


def _months(desk: Desk, begin: datetime, end: datetime) -> list[str]:
    """The months that a time touches, in the operator's zone."""
    zone = desk.office.settings.zone
    first, last = begin.astimezone(zone), (end - timedelta(microseconds=1)).astimezone(zone)
    return [f"{n // 12}-{n % 12 + 1:02}" for n in range(12 * first.year + first.month - 1, 12 * last.year + last.month)]


def _availability(desk: Desk, services: Sequence[str], customer_id: str, begin: datetime, end: datetime) -> Figures:
    """(T - X - U - D) / (T - X - U) over all minutes of the months: unknown minutes are neither up nor down."""
    if not services and not customer_id:
        return Figures(None)
    query = select(SlaMonth).where(SlaMonth.month.in_(_months(desk, begin, end)))
    query = query.where(SlaMonth.customer_id == customer_id) if customer_id else query.where(SlaMonth.service_id.in_(services))
    rows = list(desk.session.execute(query.order_by(SlaMonth.month, SlaMonth.service_id).limit(MOST)).scalars())
    known = sum(one.total - one.excluded - one.unknown for one in rows)
    down = sum(one.down for one in rows)
    value = Decimal(100 * (known - down)) / known if known else None
    return Figures(value, len(rows) if known else 0, {"table": "sla_month", "minutes": known, "down": down, "unknown": sum(one.unknown for one in rows),
                                                      "months": sorted({one.month for one in rows}), "ids": [one.id for one in rows[:SHOWN]]})


# ---- contractors

def _contractor(desk: Desk, user: User, begin: datetime, end: datetime) -> dict[str, Figures]:
    sent = list(desk.session.execute(select(Dispatch).where(Dispatch.owner_id == user.id, Dispatch.due >= begin, Dispatch.due < end, Dispatch.due <= desk.now,
                                                            Dispatch.state != "cancelled").order_by(Dispatch.due).limit(MOST)).scalars())
    quick = sum(one.accepted is not None and one.accepted <= one.due for one in sent)
    done = list(desk.session.execute(select(Dispatch).where(Dispatch.owner_id == user.id, Dispatch.done >= begin, Dispatch.done < end).order_by(
        Dispatch.done).limit(MOST)).scalars())
    whole = sum(not judged(desk, one).missing for one in done)
    mine = select(Dispatch.ticket_id).where(Dispatch.owner_id == user.id, Dispatch.ticket_id.is_not(None), Dispatch.accepted.is_not(None))
    whose = (Ticket.claimed_by == user.id) | Ticket.id.in_(mine)
    tickets = list(desk.session.execute(select(Ticket).where(whose, Ticket.kind.in_(FAULTS), Ticket.resolved >= begin, Ticket.resolved < end).order_by(
        Ticket.resolved).limit(MOST)).scalars())
    overrides = [one.id for one in tickets if one.restoration.get("how") == "override"]
    timely = sum(one.restored is not None and one.restore_due is not None and one.restored <= one.restore_due and one.id not in overrides for one in tickets)
    settled = [one for one in tickets if one.resolved is not None and (one.resolved + REPEAT <= desk.now or _repeated(desk, [one.id]))]
    again = _repeated(desk, [one.id for one in settled])
    gaps = [abs(Decimal(int(one.restoration["gap_seconds"]))) / 60 for one in tickets if "gap_seconds" in one.restoration]
    early = sum(int(one.restoration["gap_seconds"]) < 0 for one in tickets if "gap_seconds" in one.restoration)
    ids = [one.id for one in tickets[:SHOWN]]
    return {
        "response": percent(quick, len(sent))._replace(evidence={"table": "dispatch", "in_time": quick, "ids": [one.id for one in sent[:SHOWN]]}),
        "restore": percent(timely, len(tickets))._replace(evidence={"table": "ticket", "in_time": timely, "overrides": overrides[:SHOWN], "ids": ids}),
        "first-time-fix": percent(len(settled) - len(again), len(settled))._replace(evidence={"table": "ticket", "repeated": sorted(again)[:SHOWN]}),
        "gap": Figures(median(gaps), len(gaps), {"table": "ticket", "claimed_too_early": early, "ids": ids}),
        "evidence": percent(whole, len(done))._replace(evidence={"table": "dispatch", "complete": whole, "ids": [one.id for one in done[:SHOWN]]})}


def _repeated(desk: Desk, ids: Sequence[str]) -> set[str]:
    """Those of these tickets that another one repeats."""
    found: set[str] = set()
    for lot in lots(ids):
        found |= {str(one) for one in desk.session.execute(select(Ticket.repeat_of_id).where(Ticket.repeat_of_id.in_(lot))).scalars()}
    return found


def span_of(desk: Desk, since: datetime | None, until: datetime | None) -> dict[str, str | None]:
    """The time that a card is of, as it is shown."""
    begin, end = _span(desk, since, until)
    return {"startDateTime": iso(begin), "endDateTime": iso(end)}
