"""What tests of bills begin with: services that were active since a day, orders that were completed on one, a run that was issued."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bss.billing import audit, bill, issuing, run
from bss.catalogue.pricing import freeze
from bss.catalogue.publishing import version_of
from bss.desk import Desk
from bss.identifier import fresh
from bss.office import Office
from bss.people.scope import Actor
from bss.tables import Bill, BillLine, OrderItem, ProductOrder, Service, Transition
from tests.bss.selling import act, person

MBIT100 = 10 ** 8


def at(day: str, hour: int = 12) -> datetime:
    """A time of a day in Shanghai."""
    return datetime.fromisoformat(f"{day}T{hour:02d}:00:00+08:00").astimezone(UTC)


def step(desk: Desk, service: Service, to: str, day: str, reason: str = "") -> None:
    """A service was brought to a state on a day."""
    desk.add(Transition(entity="service", entity_id=service.id, from_state=service.state, to_state=to, time=at(day), reason=reason))
    service.state, service.reason = to, reason if to == "inactive" else ""
    if to == "terminated":
        service.terminated = at(day)
    desk.session.flush()


def serving(office: Office, customer_id: str, day: str, offering: str = "line-a", down: int = MBIT100, imported: bool = False,
            steps: Sequence[tuple[str, str, str]] = ()) -> str:
    """A service that is active since a day, by an order or imported; steps: what came of it (state, day, reason)."""
    def make(desk: Desk) -> str:
        row = version_of(desk, offering, 1)
        service = desk.add(Service(circuit=f"ZX-{fresh('')[-6:]}", customer_id=customer_id, offering=offering, offering_version=1, kind=row.kind,
                                   class_=row.class_, region="贵阳", state="active" if imported else "inactive", down_bps=down, up_bps=down, created=at(day),
                                   activated=at(day)))
        if not imported:
            step(desk, service, "active", day)
            completed(desk, customer_id, service.id, offering, day, down)
        for to, when, reason in steps:
            step(desk, service, to, when, reason)
        return service.id
    return act(office, make)


def completed(desk: Desk, customer_id: str, service_id: str | None, offering: str, day: str, down: int = MBIT100, action: str = "add", change: str = "",
              bundle: str = "", order: ProductOrder | None = None) -> OrderItem:
    """An item that was completed on a day, with the prices of that day."""
    order = order or desk.add(ProductOrder(number=f"DD{fresh('')[-8:]}", customer_id=customer_id, region="贵阳", channel="manager", class_="A", created=at(day),
                                           state="completed", completed=at(day), items=[]))
    version, price = freeze(desk, offering, at(day), down, 1, None, bundle)
    item = desk.add(OrderItem(order_id=order.id, place=1, action=action, offering=offering, offering_version=version.version, state="completed",
                              service_id=service_id, price=price,
                              wanted={"down_bps": down, "up_bps": down, "change": change, "bundle": bundle}))
    desk.add(Transition(entity="order_item", entity_id=item.id, from_state="inProgress", to_state="completed", time=at(day)))
    return item


def people(office: Office) -> tuple[Actor, Actor]:
    """Who makes bills, and who approves them."""
    return person(office, "bill-1", "billing"), person(office, "bill-2", "billing", "manager")


def made(office: Office, period: str = "2026-11", customers: Sequence[str] = (), anchor: int = 1, actor: Any = None) -> str:
    """A run whose bills are made and audited, all findings cleared."""
    who = actor or person(office, f"maker-{fresh('')[-6:]}", "billing")
    key = act(office, lambda desk: run.start(desk, period, anchor, customers).id, who)
    run.build(office, who, key)
    act(office, lambda desk: run.look_over(desk, key), who)
    for kind in ("first", "zero", "change", "negative"):
        act(office, lambda desk, kind=kind: audit.clear(desk, key, "as it should be", kind=kind), who)          # type: ignore[misc]
    return key


def issued(office: Office, period: str = "2026-11", customers: Sequence[str] = (), anchor: int = 1) -> list[Bill]:
    """The bills of a run that was approved and issued."""
    key = made(office, period, customers, anchor)
    other = person(office, f"approver-{fresh('')[-6:]}", "billing", "manager")
    act(office, lambda desk: run.approve(desk, key), other)
    issuing.issue_all(office, other, key)
    return bills(office, key)


def bills(office: Office, run_id: str) -> list[Bill]:
    """Bills of a run that are not void."""
    with office.reading() as desk:
        return [one for one in desk.session.execute(bill.listed(desk, run_id=run_id)).scalars() if one.state != "void"]


def lines(office: Office, bill_id: str) -> list[BillLine]:
    with office.reading() as desk:
        return bill.lines_of(desk, bill_id)


def said(office: Office, bill_id: str) -> list[tuple[str, str, str]]:
    """(kind, price, amount) of each line."""
    return [(one.kind, one.price_key, str(one.amount)) for one in lines(office, bill_id)]
