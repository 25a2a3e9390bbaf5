"""What tests of orders begin with: people, a customer, the sample catalogue, an order that has been checked."""
from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from bss import audit, evidence
from bss.catalogue.publishing import publish
from bss.catalogue.reading import of_text
from bss.desk import Desk
from bss.evidence import Minute
from bss.office import Office
from bss.orders.order import acknowledge, enter
from bss.orders.wanted import Line
from bss.people.scope import SYSTEM, Actor
from bss.tables import AuditRow, Binding, Customer, Party, ProductOrder, Qualification, Service, User

R = TypeVar("R")
SAMPLE = Path(__file__).resolve().parents[2] / "bss" / "samples" / "catalogue.toml"
MBIT100 = 100_000_000


class Told(evidence.Evidence):
    """The seam with minutes that a test writes down: `say` of a service, from a time on; what is not said was not measured."""

    def __init__(self) -> None:
        super().__init__("none")
        self.known: dict[tuple[str, datetime], Minute] = {}
        self.asked = 0

    def say(self, service_id: str, begin: datetime, *octets: tuple[int, int], covered: bool = True) -> None:
        for n, (down, up) in enumerate(octets):
            at = begin.replace(second=0, microsecond=0) + timedelta(minutes=n)
            self.known[service_id, at] = Minute(at, down, up, covered)

    def first_traffic(self, service_id: str, since: datetime) -> Minute | None:
        self.asked += 1
        found = sorted(one for (key, at), one in self.known.items() if key == service_id and at >= since and (one.down_bytes or one.up_bytes))
        return found[0] if found else None

    def minutes(self, service_id: str, since: datetime, until: datetime) -> list[Minute]:
        self.asked += 1
        at, found = since.replace(second=0, microsecond=0), []
        if at < since:
            at += timedelta(minutes=1)
        while at < until:
            found.append(self.known.get((service_id, at), Minute(at, 0, 0, False)))
            at += timedelta(minutes=1)
        return found


def told(office: Office) -> Told:
    """Have the office ask this evidence."""
    made = Told()
    office.__dict__["evidence"] = made
    return made


def act(office: Office, what: Callable[[Desk], R], actor: Actor = SYSTEM) -> R:
    return office.act(actor, what)


def records(desk: Desk, entity: str, entity_id: str = "") -> list[tuple[AuditRow, Any]]:
    """What is on record of something, the newest first, with its details."""
    return [(row, audit.detail(row)) for row in desk.session.execute(audit.search(desk, entity, entity_id).limit(1000)).scalars()]


def person(office: Office, login: str, *roles: str, **given: Any) -> Actor:
    """A user, as an actor."""
    def make(desk: Desk) -> str:
        return desk.add(User(login=login, name=login, roles=list(roles), created=desk.now)).id
    return Actor(act(office, make), login, frozenset(roles), **given)


def customer(office: Office, number: str = "K1", region: str = "贵阳", class_: str = "A") -> str:
    def make(desk: Desk) -> str:
        party = desk.add(Party(kind="organization", name="云上公司", created=desk.now))
        return desk.add(Customer(number=number, party_id=party.id, class_=class_, region=region, created=desk.now)).id
    return act(office, make)


def sold(office: Office) -> None:
    """The sample catalogue is sold: since 2026 began, or for a test of an earlier year since that did."""
    text = SAMPLE.read_text(encoding="utf-8").replace("2026-01-01", f"{min(office.clock().year, 2026)}-01-01")
    act(office, lambda desk: publish(desk, of_text(text, "sample")))


def line(offering: str = "line-a", down: int = MBIT100, up: int = 0, **given: Any) -> Line:
    return Line.model_validate({"action": "add", "offering": offering, "wanted": {"down_bps": down, "up_bps": up}, **given})


def checked(desk: Desk, order: ProductOrder, result: str = "qualified") -> Qualification:
    """A check that is done."""
    return desk.add(Qualification(order_id=order.id, customer_id=order.customer_id, region=order.region, state="done", result=result, asked={},
                                  created=desk.now, done=desk.now))


def ordered(office: Office, *lines: Line, customer_id: str = "", started: bool = False, owner: Actor | None = None) -> str:
    """An order that is acknowledged; started: checked and in progress."""
    def make(desk: Desk) -> str:
        from bss.orders.transition import move
        order = enter(desk, customer_id or desk.session.query(Customer.id).scalar(), list(lines) or [line()], owner_id=owner.id if owner else None)
        acknowledge(desk, order.id)
        if started:
            checked(desk, order)
            move(desk, order.id, "inProgress")
        return order.id
    return act(office, make)


def served(office: Office, item_id: str = "", customer_id: str = "", state: str = "inactive", bound: bool = True, covered: bool = True,
           offering: str = "line-a") -> str:
    """A service of rows alone, bound from now on; of an item where it is named."""
    def make(desk: Desk) -> str:
        from bss.tables import OrderItem
        owner = customer_id or desk.session.query(Customer.id).first()[0]
        kinds = {"line": ("leased_line", "A"), "home": ("broadband", "home")}[offering.split("-")[0]]
        service = desk.add(Service(circuit=f"ZX-{desk.session.query(Service).count() + 1}", customer_id=owner, offering=offering, offering_version=1,
                                   kind=kinds[0], class_=kinds[1], region="贵阳", state=state, down_bps=MBIT100, up_bps=MBIT100, covered=covered,
                                   created=desk.now))
        if bound:
            desk.add(Binding(service_id=service.id, key=f"p{service.id}", prefix="203.0.113.0/29", valid_from=desk.now, created=desk.now))
        if item_id:
            desk.session.get_one(OrderItem, item_id).service_id = service.id
        return service.id
    return act(office, make)
