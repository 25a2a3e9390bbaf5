"""Months of an SLA and credits: the figures of a month lead to the spells of minutes that make them, a spell to its minutes, a credit to its month."""
from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from bss.desk import Desk
from bss.sla import facts, verdict
from bss.sla.month import minutes_of_month
from bss.tables import Credit, Service, SlaMinute, SlaMonth
from bss.tracing.step import Figure, Rows, Said, Step, Way, plain

DAY = timedelta(days=1)
COUNTED = ("excluded", "unknown", "down", "degraded")


def month(desk: Desk, asked: str) -> Step | None:
    """A month of a service's SLA by its id."""
    row: Any = desk.session.execute(desk.select(SlaMonth).where(SlaMonth.id == asked)).scalar_one_or_none()
    if row is None:
        return None
    desk.demand("sla.read")
    minutes = minutes_of_month(row)
    service, whole = desk.find(Service, row.service_id), Way("hours", row.service_id, *facts.span_of(desk, row.month))
    figures = [Figure("service", service.circuit, Way("thing", service.id)), Figure("period", row.month), Figure("state", row.state),
               Figure("verdict", row.verdict), Figure("availability", verdict.percent(minutes.availability), unit="%"),
               Figure("best", verdict.percent(minutes.best), unit="%"), Figure("worst", verdict.percent(minutes.worst), unit="%"),
               Figure("coverage", verdict.percent(minutes.coverage), unit="%"), Figure("total", row.total, whole, "min"),
               *(Figure("outage" if name == "down" else name, getattr(row, name), unit="min") for name in COUNTED), Figure("rtt", row.rtt_us, unit="µs"),
               Figure("again", row.again), Figure("tcp", row.tcp), Figure("revision", row.revision)]
    spells, sums = _spells(desk, row)
    same = all(sums.get(name, 0) == getattr(row, name) for name in COUNTED[:3])
    said = [Said("spells_sum" if same else "spells_differ", {}, same)]
    return Step("slaMonth", row.id, f"{service.circuit} {row.month}", figures, [spells], said)


def _spells(desk: Desk, row: SlaMonth) -> tuple[Rows, dict[str, int]]:
    """The minutes of a month that were not simply up, each run with the ways to its minutes and flows; how many of each state."""
    since, until = facts.span_of(desk, row.month)
    lines: list[tuple[Figure, ...]] = []
    sums: dict[str, int] = {}
    for one in desk.session.execute(select(SlaMinute).where(SlaMinute.service_id == row.service_id, SlaMinute.until > since, SlaMinute.since < until)
                                    .order_by(SlaMinute.since)).scalars():
        begin, end = max(one.since, since), min(one.until, until)
        count = (end - begin) // timedelta(minutes=1)
        sums[one.state] = sums.get(one.state, 0) + count
        lines.append((Figure("since", begin), Figure("until", end), Figure("minute_state", one.state), Figure("measured_as", one.measured),
                      Figure("why", one.reason), Figure("minutes", "minutes", Way("minutes", row.service_id, begin, min(end, begin + DAY))),
                      Figure("lasted", count, Way("flows", row.service_id, begin, end, "usage_1m"), "min")))
    return Rows("spells", ("since", "until", "minute_state", "measured_as", "why", "minutes", "lasted"), lines), sums


def credit(desk: Desk, asked: str) -> Step | None:
    """A credit by its id: how it was reached, and the month that it is of."""
    row: Any = desk.session.execute(desk.select(Credit).where(Credit.id == asked)).scalar_one_or_none()
    if row is None:
        return None
    desk.demand("sla.read")
    month_ = desk.session.execute(select(SlaMonth).where(SlaMonth.service_id == row.service_id, SlaMonth.month == row.month)).scalar_one_or_none()
    way = None if month_ is None else Way("thing", month_.id)
    figures = [Figure("service", desk.find(Service, row.service_id).circuit, Way("thing", row.service_id)), Figure("state", row.state),
               Figure("amount", row.amount, way, row.currency), Figure("period", row.month, way)]
    if row.bill_id:
        figures.append(Figure("bill", row.bill_id, Way("thing", row.bill_id)))
    lines: list[tuple[Figure, ...]] = [(Figure("field", name), Figure("value", plain(value), way))
                                       for name, value in row.why.items()]
    tables = [Rows("reached", ("field", "value"), lines), *([] if month_ is None else [_spells(desk, month_)[0]])]
    return Step("credit", row.id, row.id, figures, tables, [])
