"""A leased line from enquiry to acceptance, while the month runs: the steps that people take, and what the probe has measured of the installer's test."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select

from bss.desk import Desk
from bss.orders import acceptance, configuration, enquiry, fulfilment, order, paper, qualification, transition, verifying
from bss.orders.wanted import Line as Wish
from bss.orders.wanted import Wanted
from bss.services import resource
from bss.tables import Customer, ProductOrder, User
from pcaps.make.month import Line
from pcaps.make.network import Trouble
from pcaps.make.sample import EAST, PROBES, Operator, Sold


class Made(NamedTuple):
    """An order that is under way."""
    order_id: str
    item_id: str
    service_id: str
    customer_id: str


def sell(operator: Operator, one: Sold) -> Made:
    """Enquired for, checked, quoted, ordered, reserved, configured and bound."""
    code = "GY" if one.region == EAST else "ZY"

    def place(desk: Desk) -> list[str]:
        site = resource.add(desk, kind="site", name=f"{one.region}核心机房", region=one.region)
        device = resource.add(desk, kind="device", name=f"{code}-SR-1", region=one.region, parent_id=site.id)
        port = resource.add(desk, kind="port", name=f"{code}-SR-1 xe-0/0/1", region=one.region, parent_id=device.id, capacity_bps=10 ** 10,
                            probe=PROBES[one.region], interface="generated", detail={"shared": True})
        own = [resource.add(desk, kind=kind, name=name, region=one.region, parent_id=device.id).id for kind, name in (("vlan", "109"), ("prefix", one.address))]
        return [port.id, *own]

    resources = operator.act("manager", place)
    with operator.office.reading() as desk:
        customer = desk.session.execute(select(Customer.id).where(Customer.number == one.customer)).scalar_one()
        keeper = desk.session.execute(select(User.id).where(User.login == "provision")).scalar_one()
    rate = one.mbps * 1_000_000
    need = {"kind": one.kind, "offering": one.offering, "down_bps": rate, "up_bps": rate}
    asked = operator.act("sales", lambda desk: enquiry.enter_need(desk, customer, need, channel="manager", site=f"{one.region}市示范路").id)
    operator.act("sales", lambda desk: enquiry.survey(desk, asked, {"distance_m": 180, "power": "AC 220 V", "rack": "1U"}))
    operator.act("sales2", lambda desk: qualification.of_enquiry(desk, asked))
    for kind, content in (("solution", {"access": "fibre to the rack"}), ("quote", {"offering": one.offering, "rate_bps": rate})):
        written = operator.act("sales", lambda desk, kind=kind, content=content: paper.write(desk, kind, "enquiry", asked, content).id)
        operator.act("manager", lambda desk, written=written: paper.decide(desk, written, True, "as agreed"))
    wish = Wish(offering=one.offering, site=f"{one.region}市示范路", wanted=Wanted(down_bps=rate, up_bps=rate, prefixes=(f"{one.address}/32",), vlan=109))
    made = operator.act("sales", lambda desk: enquiry.win(desk, asked, [wish]).id)
    operator.act("sales", lambda desk: order.acknowledge(desk, made))
    operator.act("manager", lambda desk: order.assign(desk, made, keeper))
    operator.act("sales2", lambda desk: qualification.of_order(desk, made))
    operator.act("provision", lambda desk: transition.move(desk, made, "inProgress"))
    with operator.office.reading() as desk:
        item = desk.find(ProductOrder, made).items[0].id
    operator.act("provision", lambda desk: fulfilment.reserve(desk, item, resources))
    data = operator.act("provision", lambda desk: configuration.render(desk, item).id)
    operator.act("provision2", lambda desk: configuration.sign(desk, data))
    operator.act("provision", lambda desk: configuration.apply(desk, data))
    operator.act("provision", lambda desk: fulfilment.connect(desk, item, [{"prefix": f"{one.address}/32"}]))
    with operator.office.reading() as desk:
        service = desk.find(ProductOrder, made).items[0].service_id
    if service is None:
        raise Trouble("the ordered line has no service")
    operator.ids[one.name], operator.customers[service] = service, customer
    return Made(made, item, service, customer)


def seen(operator: Operator, one: Sold, made: Made, since: datetime) -> Line:
    """The line as the generator sees it, from its test on."""
    return Line(made.service_id, made.customer_id, one.kind, one.address, PROBES[one.region], one.typical, one.rtt_us, one.mbps * 1_000_000, since)


def accept(operator: Operator, made: Made, begin: datetime, end: datetime) -> str:
    """Installed and tested; completed by what was measured. The milestone's evidence in a sentence. Trouble: it was not verified."""
    operator.act("field", lambda desk: verifying.install(desk, made.item_id, [(begin, end)], "speed test, both ways"))
    found = operator.act("provision", lambda desk: verifying.verify(desk, made.item_id))
    if not found.done:
        raise Trouble(f"the ordered line was not verified: {found.why}")
    operator.act("provision", lambda desk: transition.move(desk, made.order_id, "completed"))
    sheet = operator.act("provision", lambda desk: acceptance.make(desk, made.order_id).id)
    operator.act("manager", lambda desk: paper.decide(desk, sheet, True, "measured"))
    return found.why
