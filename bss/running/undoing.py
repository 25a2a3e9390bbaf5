"""Taking a batch back: its rows are removed and the database is as it was, until something was built on one of them, which is told.

What may be built on a row is known from the tables themselves: every column that refers to it, its version, and what the audit log says was done to it.
"""
from __future__ import annotations

from typing import Any

from sqlalchemy import Select, String, cast, delete, exists, func, select

from bss import audit
from bss.database import Table
from bss.desk import Desk
from bss.refusal import Refusal
from bss.running.batch import find, kind_of
from bss.running.kind import Kind
from bss.services import export
from bss.tables import AuditRow, Blind, Customer, ImportBatch, ImportRow, User

TOLD = 20               # things that are named
READS = ("personal.unmask", "customer.view", "traffic.read")       # acts that build nothing


def undo(desk: Desk, batch_id: str, reason: str = "") -> ImportBatch:
    """Undo a batch. Refusal: it is undone, or something was built on it."""
    desk.demand("import.write")
    batch = find(desk, batch_id, lock=True)
    if batch.state != "imported":
        raise Refusal("conflict", f"batch {batch.id} is {batch.state} already", batch.id)
    kind = kind_of(batch.kind)
    held = built(desk, batch)
    if held:
        more = f" and at least {len(held) - 3} more" if len(held) > 3 else ""
        raise Refusal("conflict", f"something was built on it: {'; '.join(held[:3])}{more}", batch.id, "take that away first, or mend single rows by hand")
    for table, column, entity in kind.undone:
        desk.session.execute(delete(table).where(getattr(table, column).in_(_made(batch, entity))).execution_options(synchronize_session=False))
    desk.session.flush()
    desk.session.expire_all()
    desk.session.refresh(batch)
    batch.state = "undone"
    desk.record("import.undo", batch, {"state": "imported"}, {"state": "undone"}, reason)
    desk.emit("import.undo", batch.id, {"id": batch.id, "kind": batch.kind})
    if batch.kind == "bindings":
        export.changed(desk)
    return batch


def built(desk: Desk, batch: ImportBatch) -> list[str]:
    """What stands on rows of a batch, some of it; empty: it can be undone."""
    kind = kind_of(batch.kind)
    held: list[str] = []
    audit.write(desk.session)       # what this act itself has on record counts too
    for entity, table in kind.entities.items():
        plain: Any = table.__table__
        made = _made(batch, entity)
        there = desk.session.execute(select(func.count()).select_from(plain).where(plain.c.id.in_(made))).scalar_one()
        wanted = desk.session.execute(select(func.count()).select_from(made.subquery())).scalar_one()
        if there != wanted:
            held.append(f"{wanted - there} rows of {entity} are not there any more")
        if "version" in plain.c:
            held += [f"{entity} {key} was changed" for key in desk.session.execute(
                select(plain.c.id).where(plain.c.id.in_(made), plain.c.version != 1).limit(TOLD)).scalars()]
        else:
            held += [f"{entity} {key}: {action}" for key, action in desk.session.execute(select(AuditRow.entity_id, AuditRow.action).where(
                AuditRow.entity == entity, AuditRow.entity_id.in_(made), AuditRow.action.not_in(READS)).limit(TOLD))]
        held += _referring(desk, kind, batch, plain, made)
        if table is Customer:
            held += _users(desk, batch)
        if len(held) >= TOLD:
            break
    return held[:TOLD]


def _made(batch: ImportBatch, entity: str) -> Select[str]:
    """Ids of what a batch made."""
    return select(ImportRow.entity_id).where(ImportRow.batch_id == batch.id, ImportRow.entity == entity)


def _referring(desk: Desk, kind: Kind, batch: ImportBatch, target: Any, made: Select[str]) -> list[str]:
    """Rows of other tables, and of the same one, that refer to rows of a batch and are not of it."""
    aside = {AuditRow.__tablename__, Blind.__tablename__, ImportRow.__tablename__}
    own = {table.__tablename__: entity for entity, table in kind.entities.items()}
    gone = {(table.__tablename__, column) for table, column, _entity in kind.undone}
    held: list[str] = []
    for name, table in sorted(Table.metadata.tables.items()):
        if name in aside:
            continue
        key = next(iter(table.primary_key))
        for column in table.columns:
            refers = any(one.column.table.name == target.name for one in column.foreign_keys) or column.name == "entity_id"
            if not refers or ((name, column.name) in gone and name not in own):
                continue
            query = select(key, column).where(column.is_not(None), column.in_(made))
            if name in own:
                query = query.where(~exists().where(ImportRow.batch_id == batch.id, ImportRow.entity == own[name], ImportRow.entity_id == key))
            held += [f"{name.removeprefix('app_').replace('_', ' ')} {one} on {target.name} {other}" for one, other in desk.session.execute(query.limit(TOLD))]
    return held


def _users(desk: Desk, batch: ImportBatch) -> list[str]:
    """Users of the portal that are customers of a batch."""
    made = set(desk.session.execute(_made(batch, "customer")).scalars())
    users = desk.session.execute(select(User).where(cast(User.customers, String) != "[]")).scalars()
    return [f"user {user.login}" for user in users if made.intersection(user.customers)][:TOLD]
