"""How long orders stay in each state (R11): the report by which a bottleneck is found. Spells are read from the steps that were written, in hours of the
wall clock and of working time."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from bss.desk import Desk
from bss.orders import clock, states
from bss.refusal import Refusal
from bss.tables import ProductOrder, Transition

MOST = 200_000          # steps that are read


def quantile(values: Sequence[float], share: int) -> float:
    """The value that `share` percent of them do not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[max(-(-len(ranked) * share // 100), 1) - 1]


def report(desk: Desk, since: datetime | None = None, until: datetime | None = None, region: str = "", class_: str = "") -> list[dict[str, Any]]:
    """A row for each state that orders were in: how many spells ended in the time, their median and 90th percentile in hours of the wall clock and of working
    time; and of those that have not ended how many there are, the longest and whose it is. Only orders that who asks may see."""
    desk.demand("report.read")
    until = until or desk.now
    since = since or until - timedelta(days=90)
    if since >= until:
        raise Refusal("invalid", "the time ends before it begins", "until")
    orders = desk.select(ProductOrder)
    if region:
        orders = orders.where(ProductOrder.region == region)
    if class_:
        orders = orders.where(ProductOrder.class_ == class_)
    numbers = {key: number for key, number in desk.session.execute(orders.with_only_columns(ProductOrder.id, ProductOrder.number)).tuples()}     # type: ignore[var-annotated, arg-type]
    steps = select(Transition.entity_id, Transition.from_state, Transition.to_state, Transition.time).where(
        Transition.entity == "order", Transition.time < until).order_by(Transition.time, Transition.id).limit(MOST + 1)
    found = desk.session.execute(steps).tuples().all()
    if len(found) > MOST:
        raise Refusal("large", f"more than {MOST} steps would be read", "until", "ask for fewer orders, or an earlier end")
    ended, running = _spells([one for one in found if one[0] in numbers], since)
    calendar = clock.days(desk)
    rows = []
    for state in states.OPEN:
        hours = [(end - begin) / timedelta(hours=1) for begin, end in ended[state]]
        working = [clock.elapsed(begin, end, calendar) / timedelta(hours=1) for begin, end in ended[state]]
        still = sorted((begin, key) for key, begin in running[state].items())
        if not hours and not still:
            continue
        rows.append({"state": state, "count": len(hours), "median_hours": _rounded(hours, 50), "p90_hours": _rounded(hours, 90),
                     "median_working_hours": _rounded(working, 50), "p90_working_hours": _rounded(working, 90), "open": len(still),
                     "longest_open_hours": round((until - still[0][0]) / timedelta(hours=1), 1) if still else None,
                     "longest_open": numbers[still[0][1]] if still else None})
    return rows


def _rounded(values: Sequence[float], share: int) -> float | None:
    return round(quantile(values, share), 1) if values else None


def _spells(steps: Sequence[tuple[str, str, str, datetime]], since: datetime) -> tuple[
        dict[str, list[tuple[datetime, datetime]]], dict[str, dict[str, datetime]]]:
    """By state: the spells that ended since then, and those that have not ended."""
    ended: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    at: dict[str, tuple[str, datetime]] = {}
    for key, before, to, time in steps:
        known = at.get(key)
        if known is not None and known[0] == before and time >= since:
            ended[before].append((known[1], time))
        at[key] = to, time
    running: dict[str, dict[str, datetime]] = defaultdict(dict)
    for key, (state, time) in at.items():
        if state not in states.TERMINAL:
            running[state][key] = time
    return ended, running
