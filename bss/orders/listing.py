"""Lists of orders: a query of them as rows to act on, and the same to be looked at (asking.py), which is several times as quick."""
from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Select, select

from bss.asking import Listing, Sight, gathered, give, given, several, whole
from bss.database import lots
from bss.desk import Desk
from bss.orders import states
from bss.people.scope import Actor, visible
from bss.tables import OrderItem, ProductOrder


def listed(desk: Desk, state: Sequence[str] = (), region: str = "", owner_id: str = "", customer_id: str = "",
           overdue: bool = False) -> Select[tuple[ProductOrder]]:
    """A query of orders, the newest first."""
    desk.demand("order.read")
    wanted = _wanted(desk, state, region, owner_id, customer_id, overdue)
    return _listed(tuple(wanted), desk.scope).params(**wanted)


def listing(desk: Desk, state: Sequence[str] = (), region: str = "", owner_id: str = "", customer_id: str = "",
            overdue: bool = False) -> tuple[Listing, dict[str, Any]]:
    """The same to be looked at (asking.py): a listing and its values."""
    desk.demand("order.read")
    wanted = _wanted(desk, state, region, owner_id, customer_id, overdue)
    return _listing(tuple(wanted), desk.scope), wanted


def completed(desk: Desk, rows: Sequence[Sequence[Any]]) -> list[ProductOrder]:
    """Orders of a page of a listing, each with its items."""
    items = gathered((one for lot in lots(row.id for row, in rows) for one in _ITEMS.each(desk.session, keys=lot)), "order_id")
    for order, in rows:
        give(order, "items", items.get(order.id, []))
    return [order for order, in rows]


_ITEMS = Sight(whole(OrderItem).where(OrderItem.order_id.in_(several("keys"))).order_by(OrderItem.place), OrderItem)


def _wanted(desk: Desk, state: Sequence[str], region: str, owner_id: str, customer_id: str, overdue: bool) -> dict[str, Any]:
    found = {"state": list(state), "region": region, "owner_id": owner_id, "customer_id": customer_id, "now": desk.now if overdue else None}
    return {name: value for name, value in found.items() if value}


@lru_cache(maxsize=512)
def _listed(wanted: tuple[str, ...], scope: Actor | None) -> Select[tuple[ProductOrder]]:
    query = visible(select(ProductOrder), ProductOrder, scope)
    for name in wanted:
        if name == "state":
            query = query.where(ProductOrder.state.in_(several(name)))
        elif name == "now":
            query = query.where(ProductOrder.due < given(name, ProductOrder.due), ProductOrder.state.in_(states.OPEN))
        else:
            column = getattr(ProductOrder, name)
            query = query.where(column == given(name, column))
    return query.order_by(ProductOrder.created.desc(), ProductOrder.id.desc())


@lru_cache(maxsize=512)
def _listing(wanted: tuple[str, ...], scope: Actor | None) -> Listing:
    return Listing(_listed(wanted, scope), ProductOrder)
