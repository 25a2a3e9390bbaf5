"""The month's end: minutes are counted and judged, a breach becomes a credit, usage is rated and closed, bills are made, looked over, approved, issued and
paid; and the month after, whose bill has the credit."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import select

from bss.billing import audit, issuing, payment, run
from bss.desk import Desk
from bss.rating import closing
from bss.services import inventory
from bss.sla import credit, measuring, verdict
from bss.sla.month import minutes_of_month
from bss.tables import Bill, BillLine, Credit, RatedCharge, SlaMonth
from pcaps.make.network import Trouble
from pcaps.make.sample import Operator


class Figure(NamedTuple):
    """What is printed: a sentence's subject, its value, and the id from which `fullspan bss trace` leads on."""
    what: str
    value: str
    id: str


def end(operator: Operator, name: str, moment: datetime) -> None:
    """A customer gives up a line before its commitment is over."""
    operator.at(moment)
    operator.act("manager", lambda desk: inventory.move(desk, operator.ids[name], "terminated", "客户提前退租"))


def judge(operator: Operator, period: str, moment: datetime) -> list[Figure]:
    """Count the month, close it when the time to object is over, decide on what was drafted. Figures: each service's availability, each credit."""
    operator.at(moment)
    measuring.recount(operator.office, period)
    operator.at(moment + timedelta(days=4))
    measuring.close(operator.office, period, operator.actor("manager2"))
    names = {key: name for name, key in operator.ids.items()}
    with operator.office.reading() as desk:
        drafts = list(desk.session.execute(select(Credit.id).where(Credit.state == "drafted").order_by(Credit.id)).scalars())
    for one in drafts:
        operator.act("manager", lambda desk, one=one: credit.decide(desk, one, True, "按实测核准"))

    def look(desk: Desk) -> list[Figure]:
        found = []
        for row in sorted(desk.session.execute(select(SlaMonth).where(SlaMonth.month == period)).scalars(), key=lambda row: names[row.service_id]):
            minutes = minutes_of_month(row)
            value = (f"{verdict.percent(minutes.availability)} % available, {row.verdict} "
                     f"(T {row.total}, X {row.excluded}, U {row.unknown}, D {row.down} minutes)")
            found.append(Figure(names[row.service_id], value, row.id))
        for one in desk.session.execute(select(Credit).order_by(Credit.id)).scalars():
            found.append(Figure(f"credit of {names[one.service_id]}", f"{one.amount} {one.currency}, {one.state}", one.id))
        return found

    return operator.act("", look)


def rate(operator: Operator, period: str, moment: datetime) -> list[Figure]:
    """Rate and close the month. Figures: each charge."""
    operator.at(moment)
    closing.close(operator.office, period)
    names = {key: name for name, key in operator.ids.items()}

    def look(desk: Desk) -> list[Figure]:
        rows = desk.session.execute(select(RatedCharge).where(RatedCharge.original_period == period, RatedCharge.revision > 0)
                                    .order_by(RatedCharge.service_id, RatedCharge.price_key)).scalars()
        return [Figure(f"{names[one.service_id]} {one.price_key}", f"{one.quantity.normalize():f} {one.unit}, {one.amount.normalize():f} {one.currency}",
                       one.id) for one in rows]

    return operator.act("", look)


def bill(operator: Operator, period: str, moment: datetime, customers: tuple[str, ...] = ()) -> list[Figure]:
    """Trial, audit, a second person's approval, issue. Figures: each bill, each kind of line. Trouble: a bill is not issued."""
    operator.at(moment)
    made: str = operator.act("bill", lambda desk: run.start(desk, period, customers=customers).id)
    run.build(operator.office, operator.actor("bill"), made)
    found = operator.act("bill", lambda desk: run.look_over(desk, made))
    for kind in sorted(found):
        operator.act("bill", lambda desk, kind=kind: audit.clear(desk, made, "首月出账,已核对", kind=kind))
    operator.act("bill2", lambda desk: run.approve(desk, made))
    issuing.issue_all(operator.office, operator.actor("bill2"), made)

    def look(desk: Desk) -> list[Figure]:
        told = []
        for row in desk.session.execute(select(Bill).where(Bill.run_id == made).order_by(Bill.number, Bill.id)).scalars():
            kinds = desk.session.execute(select(BillLine.kind).where(BillLine.bill_id == row.id).order_by(BillLine.number)).scalars()
            told.append(Figure(f"bill {row.number or row.id}", f"{row.gross} {row.currency}, {row.state}: {', '.join(dict.fromkeys(kinds))}", row.id))
        return told

    return operator.act("", look)


def pay(operator: Operator, moment: datetime, count: int = 3) -> list[Figure]:
    """Some of the bills are paid. Figures: what they are then."""
    operator.at(moment)

    def unpaid(desk: Desk) -> list[tuple[str, str, Decimal]]:
        query: Any = select(Bill.id, Bill.account_id, Bill.gross).where(Bill.state == "sent", Bill.gross > Decimal(0)).order_by(Bill.number).limit(count)
        return [(str(key), str(account), gross) for key, account, gross in desk.session.execute(query)]

    bills = operator.act("", unpaid)
    if not bills:
        raise Trouble("there is no bill to pay")
    for key, account, gross in bills:
        operator.act("bill", lambda desk, key=key, account=account, gross=gross: payment.enter(desk, gross, account_id=account, bill_ids=[key]))

    def look(desk: Desk) -> list[Figure]:
        rows = [desk.find(Bill, key) for key, _, _ in bills]
        return [Figure(f"paid {row.number}", f"{row.paid} {row.currency}, {row.state}", row.id) for row in rows]

    return operator.act("", look)
