"""Orders: what a milestone was reached by. First traffic and the ordered rate lead to the minute that was measured, and that to its flows."""
from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from bss.desk import Desk
from bss.tables import Milestone, ProductOrder
from bss.tracing.step import Figure, Rows, Step, Way, plain

MINUTE = timedelta(minutes=1)
HEADS = ("milestone", "reached_at", "field", "value")


def order(desk: Desk, asked: str) -> Step | None:
    """An order by its id or number."""
    query: Any = desk.select(ProductOrder).where((ProductOrder.id == asked) | (ProductOrder.number == asked)).limit(1)
    row: Any = desk.session.execute(query).unique().scalar_one_or_none()
    if row is None:
        return None
    desk.demand("order.read")
    lines: list[tuple[Figure, ...]] = []
    for item in row.items:
        for one in desk.session.execute(select(Milestone).where(Milestone.item_id == item.id).order_by(Milestone.reached, Milestone.name)).scalars():
            way = _minute(one.evidence, item.service_id)
            for name, value in one.evidence.items() or [("", "")]:
                lines.append((Figure("milestone", one.name), Figure("reached_at", one.reached), Figure("field", name), Figure("value", plain(value), way)))
    figures = [Figure("state", row.state), Figure("region", row.region)]
    figures += [Figure("service", item.service_id, Way("thing", item.service_id)) for item in row.items if item.service_id]
    return Step("order", row.id, row.number, figures, [Rows("milestones", HEADS, lines)], [])


def _minute(evidence: dict[str, Any], service_id: str | None) -> Way | None:
    """The minute that a milestone was reached by."""
    told = evidence.get("minute")
    if service_id is None or not isinstance(told, str):
        return None
    try:
        begin = datetime.fromisoformat(told)
    except ValueError:
        return None
    return Way("flows", service_id, begin, begin + MINUTE, "usage_1m")
