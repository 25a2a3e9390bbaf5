"""Bills and what they charge for: a line leads to its rated charge, the charge to the closed rows that it was rated from, and each row to its flows."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import select

from bss.desk import Desk
from bss.moment import begin_of
from bss.rating import month, usage
from bss.rating.lines import unpack
from bss.tables import Bill, BillLine, RatedCharge, Service, UsageHour
from bss.tracing import chain, rollup
from bss.tracing.step import Figure, Rows, Said, Step, Way, plain

_LEADS = ("rated", "credit")          # what a line's evidence names it by that it leads to


def bill(desk: Desk, asked: str) -> Step | None:
    """A bill by its id or number: its lines, each with the charge, credit or service that it is for."""
    query: Any = desk.select(Bill).where((Bill.id == asked) | (Bill.number == asked)).limit(1)
    row: Any = desk.session.execute(query).scalar_one_or_none()
    if row is None:
        return None
    desk.demand("bill.read")
    circuits, zone = _circuits(desk, row.id), desk.office.settings.zone
    lines: list[tuple[Figure, ...]] = []
    for one in desk.session.execute(select(BillLine).where(BillLine.bill_id == row.id).order_by(BillLine.number)).scalars():
        way = next((Way("thing", str(one.evidence[name])) for name in _LEADS if one.evidence.get(name)), None)
        if way is None and one.service_id is not None:      # what is not paid by use: what was used in the time that it is charged for
            way = Way("hours", one.service_id, begin_of(one.begin, zone), begin_of(max(one.end, one.begin + timedelta(days=1)), zone))
        lines.append((Figure("number", one.number), Figure("line_kind", one.kind), Figure("called", one.name.get(_lang(desk), "")),
                      Figure("service", circuits.get(one.service_id or "", "")), Figure("quantity", one.quantity, way, one.unit), Figure("net", one.net),
                      Figure("tax", one.tax), Figure("amount", one.gross, way, row.currency)))
    figures = [Figure("state", row.state), Figure("period", row.period), Figure("net", row.net, unit=row.currency), Figure("tax", row.tax, unit=row.currency),
               Figure("amount", row.gross, unit=row.currency)]
    heads = ("number", "line_kind", "called", "service", "quantity", "net", "tax", "amount")
    summed = sum(one[7].value for one in lines if one[7].value is not None) == row.gross        # type: ignore[misc]
    return Step("bill", row.id, row.number or row.id, figures, [Rows("lines", heads, lines)], [Said("sum" if summed else "no_sum", {}, summed)])


def charge(desk: Desk, asked: str) -> Step | None:
    """A rated charge: how it was computed, and the closed rows that it was rated from. Refusal `away`."""
    row: Any = desk.session.execute(desk.select(RatedCharge).where(RatedCharge.id == asked)).scalar_one_or_none()
    if row is None:
        return None
    desk.demand("usage.read")
    told: dict[str, Any] = row.evidence
    figures = [Figure("called", row.name.get(_lang(desk), "")), Figure("state", row.state), Figure("period", row.original_period),
               Figure("algorithm", told.get("algorithm")), Figure("quantity", row.quantity, unit=row.unit), Figure("amount", row.amount, unit=row.currency)]
    if row.bill_id:
        figures.append(Figure("bill", row.bill_id, Way("thing", row.bill_id)))
    figures += [Figure(f"computed_{name}", plain(value)) for name, value in dict(told.get("computed", {})).items()]
    services = [one for one in told.get("services", {}) if isinstance(one, str)] or [row.service_id]
    if told.get("table") == "usage_1m":
        return _burst(desk, row, figures, told, services)
    zone = desk.office.settings.zone
    begin, end = month.span(row.original_period, zone)
    step = chain.hours(desk, services, begin, min(end, desk.now), row.price_key)
    said = [*step.said, *_rated(desk, services, row.original_period, begin, end)]
    return Step("ratedCharge", row.id, row.price_key, [*figures, *step.figures], [_days(desk, services, row.original_period), *step.rows], said)


def _burst(desk: Desk, row: Any, figures: list[Figure], told: dict[str, Any], services: Sequence[str]) -> Step:
    """By the 95th percentile: the slot that it is paid by, and the minutes of each line in it."""
    rows: list[Rows] = []
    said: list[Said] = []
    slot = told.get("slot")
    circuits = {one: desk.find(Service, one).circuit for one in services}
    lines: list[tuple[Figure, ...]] = []
    if slot:
        since, until = datetime.fromisoformat(slot["from"]), datetime.fromisoformat(slot["to"])
        figures += [Figure("slot", since), Figure("until", until)]
        for one in services:
            minutes = rollup.minutes(desk, one, since, until)
            down, up = sum(each.down_bytes for each in minutes), sum(each.up_bytes for each in minutes)
            way = Way("flows", one, since, until, "usage_1m")
            lines.append((Figure("service", circuits[one]), Figure("down", down, way, "B"), Figure("up", up, way, "B"),
                          Figure("minutes", "minutes", Way("minutes", one, since, until))))
        said = chain.checked(desk, "usage_1m", services, since, until, sum(int(str(one[k].value)) for one in lines for k in (1, 2)))
        rows.append(Rows("slot_lines", ("service", "down", "up", "minutes"), lines))
    if told.get("hold"):
        said.append(Said("hold", {"why": str(told["hold"])}, False))
    return Step("ratedCharge", row.id, row.price_key, figures, rows, said)


def _days(desk: Desk, services: Sequence[str], period: str) -> Rows:
    """What was rated, by day: bytes as they were taken from the rollup, and the way to its hours."""
    zone = desk.office.settings.zone
    circuits = {one: desk.find(Service, one).circuit for one in services}
    lines: list[tuple[Figure, ...]] = []
    current = usage.current(desk, list(services), f"{period}-01", f"{period}-31")
    for (service, day), (revision, packed, state) in sorted(current.items(), key=lambda one: one[0][1]):
        kept, date_ = unpack(packed), date.fromisoformat(day)
        way = Way("hours", service, begin_of(date_, zone), min(begin_of(date_ + timedelta(days=1), zone), desk.now))
        lines.append((Figure("service", circuits[service]), Figure("day", day), Figure("state", state), Figure("revision", revision),
                      Figure("down", sum(one.down for one in kept), way, "B"), Figure("up", sum(one.up for one in kept), way, "B")))
    return Rows("rated_days", ("service", "day", "state", "revision", "down", "up"), lines)


def _rated(desk: Desk, services: Sequence[str], period: str, begin: datetime, end: datetime) -> list[Said]:
    """Whether what was rated is what the rollup has: the same bytes, and of each hour the digest that it was rated from is the newest."""
    kept = sum(one.up + one.down for lines in usage.of_period(desk, services, period).values() for one in lines)
    hours = rollup.hours(desk, services, begin, min(end, desk.now))
    there = sum(one.up_bytes + one.down_bytes for one in hours)
    said = [Said("rated_same" if kept == there else "rated_differs", {"rated": kept, "usage": there}, kept == there)]
    known = {(one.hour, one.probe if one.capture == "0" else one.capture): one.digest for one in desk.session.execute(
        select(UsageHour).where(UsageHour.hour >= begin, UsageHour.hour < end)).scalars()}
    slots = rollup.slots(desk, "usage_1h", services, begin, min(end, desk.now))
    older = [one for one in slots if known.get((one.begin, one.source), one.digest) != one.digest]
    if older:
        said.append(Said("rated_older", {"hours": len(older), "first": older[0].begin}, False))
    elif slots:
        said.append(Said("rated_newest", {"hours": sum((one.begin, one.source) in known for one in slots)}, True))
    return said


def _circuits(desk: Desk, bill_id: str) -> dict[str, str]:
    query = select(Service.id, Service.circuit).join(BillLine, BillLine.service_id == Service.id).where(BillLine.bill_id == bill_id)
    return dict(desk.session.execute(query).tuples().all())


def _lang(desk: Desk) -> str:
    return desk.office.settings.lang
