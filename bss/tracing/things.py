"""What people ask about: a service, a bill and its lines, rated charges, months of an SLA, credits, tickets. Each one's figures lead to what made them."""
from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import or_

from bss.desk import Desk
from bss.moment import begin_of
from bss.refusal import Refusal
from bss.tables import Service
from bss.tracing import money, ordered, promised, trouble
from bss.tracing.step import Figure, Rows, Step, Way

WEEK = timedelta(days=7)
Kind = Callable[[Desk, str], Step | None]


def trace(desk: Desk, id_: str) -> Step:
    """A thing by its id or by the number that people know it by, with the ways on from its figures. Refusal `missing`: there is none for the actor."""
    asked = id_.strip()
    for kind in KINDS:
        found = kind(desk, asked)
        if found is not None:
            return found
    raise Refusal("missing", f"there is nothing {asked[:64]!r} whose figures can be traced", mend="give the id or number of a service, ticket, bill or credit")


def service(desk: Desk, asked: str) -> Step | None:
    """A service: what it used in the last seven days, each day leading to its hours."""
    row: Any = _one(desk, Service, asked, Service.circuit)
    if row is None:
        return None
    desk.demand("service.read")
    zone = desk.office.settings.zone
    today = desk.now.astimezone(zone).date()
    lines: list[tuple[Figure, ...]] = []
    for back in range(WEEK.days):
        begin, end = begin_of(today - timedelta(days=back), zone), begin_of(today - timedelta(days=back - 1), zone)
        lines.append((Figure("since", begin), Figure("hours", "hours", Way("hours", row.id, begin, min(end, desk.now))),
                      Figure("minutes", "minutes", Way("minutes", row.id, begin, min(end, desk.now)))))
    figures = [Figure("state", row.state), Figure("kind", row.kind), Figure("class", row.class_), Figure("region", row.region)]
    return Step("service", row.id, row.circuit, figures, [Rows("days", ("since", "hours", "minutes"), lines)], [])


def _one(desk: Desk, table: Any, asked: str, number: Any) -> Any:
    """A row by id or number, if the actor may see it."""
    return desk.session.execute(desk.select(table).where(or_(table.id == asked, number == asked)).limit(1)).unique().scalar_one_or_none()


KINDS: tuple[Kind, ...] = (service, ordered.order, trouble.ticket, promised.month, promised.credit, money.bill, money.charge)
