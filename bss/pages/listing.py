"""What the pages of lists have in common: filters out of the address, a page of rows, how many there are."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Select, func, select

from bss.desk import Desk
from bss.pages.visitor import ROWS, Visitor


def listed(desk: Desk, query: Select[Any], visit: Visitor, filters: Mapping[str, Any], order: Any) -> dict[str, Any]:
    """rows, total, offset, size and choices of the filters (parameter of the address -> column)."""
    asked = visit.request.query_params
    chosen = {name: asked.get(name, "") for name in filters}
    choices = {name: sorted(one for one in desk.session.execute(query.with_only_columns(column).distinct().order_by(None).limit(200)).scalars() if one)
               for name, column in filters.items()}
    for name, column in filters.items():
        if chosen[name]:
            query = query.where(column == chosen[name])
    offset = _number(asked.get("offset", "0"))
    total = desk.session.execute(select(func.count()).select_from(query.order_by(None).subquery())).scalar_one()
    rows = list(desk.session.execute(query.order_by(order).offset(offset).limit(ROWS)).unique().scalars())
    return {"rows": rows, "total": total, "offset": offset, "size": ROWS, "choices": choices, "chosen": chosen}


def named(desk: Desk, table: Any, ids: Any, label: Callable[[Any], str]) -> dict[str, str]:
    """Labels of rows by their ids, in one question, of those the actor may see."""
    wanted = {one for one in ids if one}
    if not wanted:
        return {}
    return {row.id: label(row) for row in desk.session.execute(desk.select(table).where(table.id.in_(wanted))).unique().scalars()}


def _number(text: str) -> int:
    return min(int(text), 1 << 40) if text.isdigit() else 0
