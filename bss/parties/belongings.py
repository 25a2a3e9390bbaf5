"""What belongs to a customer: every table with a column that names him, and how rows of them hang on one another. Known from the tables themselves, so that
a table that comes later is merged and parted like the others."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy import String, cast, select, update
from sqlalchemy import Table as Plain

from bss.database import Table, lots
from bss.desk import Desk
from bss.tables import Customer, Merge, OrderItem, ProductOrder, User

Moved = dict[str, list[str]]


@lru_cache(maxsize=1)
def owned() -> dict[str, tuple[Plain, str]]:
    """Tables whose rows are a customer's: name -> table and the column that names him. What has no id of its own is a finding of a day, and stays."""
    found = {}
    for name, table in sorted(Table.metadata.tables.items()):
        if name in (Customer.__tablename__, Merge.__tablename__) or "id" not in table.columns:
            continue
        for column in table.columns:
            if any(key.column.table.name == Customer.__tablename__ for key in column.foreign_keys):
                found[name] = (table, column.name)
    return found


def rows_of(desk: Desk, customer_id: str) -> Moved:
    """Ids of all rows that are a customer's, by table."""
    found = {name: list(desk.session.execute(select(table.c.id).where(table.c[column] == customer_id).order_by(table.c.id)).scalars())
             for name, (table, column) in owned().items()}
    return {name: ids for name, ids in found.items() if ids}


def give(desk: Desk, moved: Mapping[str, Iterable[str]], customer_id: str) -> None:
    """Make rows another customer's; those that have a version get the next."""
    for name, ids in moved.items():
        table, column = owned()[name]
        values: dict[str, Any] = {column: customer_id}
        if "version" in table.c:
            values["version"] = table.c.version + 1
        for lot in lots(ids):
            desk.session.execute(update(table).where(table.c.id.in_(lot)).values(values))
    desk.session.flush()
    desk.session.expire_all()


def holders(desk: Desk, moved: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Whose these rows are now: id -> customer. A row that is not there any more is missing."""
    found: dict[str, str] = {}
    for name, ids in moved.items():
        table, column = owned()[name]
        for lot in lots(ids):
            found.update((key, owner) for key, owner in desk.session.execute(select(table.c.id, table.c[column]).where(table.c.id.in_(lot))))
    return found


def crossings(desk: Desk, customer_id: str, moved: Mapping[str, Iterable[str]], gone_id: str) -> list[tuple[str, str, str]]:
    """Pairs of a customer's rows of which one moved to him and hangs on one that did not, or the other way round: table, id, id of what it hangs on."""
    side = {key: True for ids in moved.values() for key in ids} | {customer_id: False, gone_id: True}
    own = rows_of(desk, customer_id)
    side |= {key: False for ids in own.values() for key in ids if key not in side}
    orders = select(ProductOrder.id).where(ProductOrder.customer_id == customer_id)
    for key, order in desk.session.execute(select(OrderItem.id, OrderItem.order_id).where(OrderItem.order_id.in_(orders))):
        side[key] = side.get(order, False)
    found: list[tuple[str, str, str]] = []
    known = {*owned(), OrderItem.__tablename__}
    for name in sorted(known):
        table = Table.metadata.tables[name]
        hangs = [column for column in table.columns if any(key.column.table.name in known for key in column.foreign_keys)]
        hangs += [column for column in table.columns if column.name == "entity_id"]
        if not hangs:
            continue
        mine = table.c.order_id.in_(orders) if name == OrderItem.__tablename__ else table.c[owned()[name][1]] == customer_id
        for key, *others in desk.session.execute(select(table.c.id, *hangs).where(mine)):
            found += [(name, key, other) for other in others if other in side and side[other] != side.get(key, False)]
    return sorted(found)


def users_of(desk: Desk, customer_id: str) -> list[User]:
    """Users of the portal that are a customer's."""
    found = desk.session.execute(select(User).where(cast(User.customers, String).contains(f'"{customer_id}"', autoescape=True)).order_by(User.id)).scalars()
    return [user for user in found if customer_id in user.customers]
