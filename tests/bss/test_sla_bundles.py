"""A part of a bundle costs its share of the bundle: what is given back for it is of that, by the bundle's tax. And which months the worker closes."""
from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from bss.desk import Desk
from bss.office import Office
from bss.sla import charge, measuring
from bss.tables import OrderItem, ProductOrder, Service, SlaMark, SlaMonth
from tests.bss.conftest import Clock
from tests.bss.selling import act, customer, line, ordered, sold
from tests.bss.test_sla_credits import MONTH, SINCE, UNTIL, drafts, minutes, settled


def bought(office: Office) -> dict[str, str]:
    """A family bundle that was delivered before the month: offering -> its service (of mobiles the first)."""
    customer_id = customer(office, class_="home")
    sold(office)
    order_id = ordered(office, line("family-199", 0))

    def deliver(desk: Desk) -> dict[str, str]:
        desk.session.add(SlaMark(id=1, measured_until=UNTIL))
        order = desk.session.get_one(ProductOrder, order_id)
        order.state, order.completed = "completed", SINCE - timedelta(days=40)
        found: dict[str, str] = {}
        for n, item in enumerate(desk.session.execute(select(OrderItem).where(OrderItem.order_id == order_id).order_by(OrderItem.place)).scalars()):
            item.state = "completed"
            if item.offering in ("home-500", "mobile-59"):
                kind, class_ = ("broadband", "home") if item.offering == "home-500" else ("mobile", "mobile")
                service = desk.add(Service(circuit=f"K-{n}", customer_id=customer_id, offering=item.offering, offering_version=1, kind=kind, class_=class_,
                                           region="贵阳", state="active", created=SINCE - timedelta(days=40), activated=SINCE - timedelta(days=40)))
                item.service_id = service.id
                found.setdefault(item.offering, service.id)
        return found
    return act(office, deliver)


def test_a_part_of_a_bundle_is_credited_by_its_share(office: Office) -> None:
    services = bought(office)

    def look(desk: Desk) -> dict[str, Decimal]:
        rows = list(desk.session.execute(select(Service)).scalars())
        told = charge.monthly(desk, rows, UNTIL)
        return {one.id: sum((each.amount for prices in told[one.id] for each in charge.charges(prices, 30, 30)), Decimal(0)) for one in rows}
    shares = act(office, look)
    with office.reading() as desk:
        alone = {one.offering: charge._alone(desk, one.offering, one.offering_version, int(one.wanted.get("down_bps") or 0))
                 for one in desk.session.query(OrderItem) if one.wanted.get("bundle")}
    parts = alone["home-500"] + 2 * alone["mobile-59"] + alone["video-pack"]
    assert alone["home-500"] > 0 and abs(shares[services["home-500"]] - 199 * alone["home-500"] / parts) < Decimal("0.000001")
    assert sum(shares.values()) < 199                   # the rest is what no line carries
    minutes(office, services["home-500"], ("down", 500, "link"))
    row = settled(office, services["home-500"])
    assert (row.verdict, row.month) == ("breached", MONTH)
    drafted = drafts(office, services["home-500"])
    assert len(drafted) == 1 and (drafted[0].tax_mode, drafted[0].tax_rate) == ("inclusive", Decimal("0.09"))
    assert Decimal(0) < drafted[0].amount <= Decimal(str(drafted[0].why["charged"])) < 199
    assert Decimal(str(drafted[0].why["month_charge"])) == shares[services["home-500"]]


def test_parts_that_cost_nothing_alone_share_alike(office: Office) -> None:
    services = bought(office)

    def empty(desk: Desk) -> None:
        for one in desk.session.query(OrderItem):
            if one.wanted.get("bundle"):
                one.offering = "gone"
    act(office, empty)
    told = act(office, lambda desk: charge.monthly(desk, [desk.session.get_one(Service, services["home-500"])], UNTIL))
    assert abs(sum(one.amount for one in charge.charges(told[services["home-500"]][0], 30, 30)) - Decimal(199) / 3) < Decimal("0.000001")


def test_months_that_were_left_open_while_no_worker_ran_are_closed_too(office: Office, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    services = bought(office)

    def left(desk: Desk) -> None:
        for month in ("2026-09", "2026-10", "2026-12"):
            desk.add(SlaMonth(service_id=services["home-500"], customer_id=desk.session.get_one(Service, services["home-500"]).customer_id, region="贵阳",
                              month=month, verdict="met", total=1, measured_until=datetime(2027, 1, 1, tzinfo=UTC), made=desk.now, evidence={"digest": ""}))
    act(office, left)
    office.settings = office.settings.model_copy(update={"store": "chdb:///nowhere"})
    done: list[str] = []
    monkeypatch.setattr(measuring, "close", lambda office, month: done.append(month) or 1)
    monkeypatch.setattr(measuring, "recount", lambda office, month: done.append(f"recount {month}") or 0)
    monkeypatch.setattr(measuring, "_settle", lambda office, month, ids=None: 0)
    clock.now = datetime(2026, 12, 3, 1, tzinfo=UTC)
    assert measuring.daily(office, {}) == 2 and done == ["2026-09", "2026-10", "recount 2026-11"]
