"""The desk: what one act needs. A transaction, who acts, what time it is; and the ways in which rows are found, recorded and told of.

Functions of the domains take a desk first, and do everything through it: permissions (`demand`), the limits of what a person may see (`find`, `select`), the
audit log (`record`), events (`emit`). They raise Refusal, and then nothing of the act remains.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Select
from sqlalchemy import select as choose
from sqlalchemy.inspection import inspect
from sqlalchemy.orm import Session

from bss import audit, identifier
from bss.asking import Question, Sight, given, several, whole
from bss.database import Table, lots
from bss.people.permission import allowed, demand
from bss.people.scope import Actor, visible
from bss.refusal import Refusal
from bss.sealing import masked
from bss.tables import Customer, Outbox

if TYPE_CHECKING:
    from bss.office import Office

T = TypeVar("T", bound=Table)


class Desk:
    """session: of one transaction; actor: who acts; office: the installation. now: the same for the whole act."""

    def __init__(self, session: Session, actor: Actor, office: Office) -> None:
        self.session, self.actor, self.office = session, actor, office
        self.denied: list[tuple[str, tuple[str, str], str, dict[str, Any]]] = []
        self.now: datetime = office.clock().astimezone(UTC)
        self.after: dict[str, Callable[[], None]] = {}          # what is done once the act is committed, by name: once, however often it is asked for

    # ---- may he

    def demand(self, permission: str) -> None:
        """Refusal where the actor does not have it."""
        demand(self.actor.roles, permission)

    def may(self, permission: str) -> bool:
        """Whether he has it."""
        return allowed(self.actor.roles, permission)

    def another(self, user_id: str | None, what: str) -> None:
        """Refusal where the actor is who did the step before."""
        if user_id is not None and user_id == self.actor.id:
            raise Refusal("forbidden", f"{what} takes a second person", mend="ask a colleague with the same permission")

    # ---- rows

    def select(self, table: type[T]) -> Select[tuple[T]]:
        """A query of rows of a table that the actor may see."""
        return visible(choose(table), table, self.actor)

    def find(self, table: type[T], key: Any, *, lock: bool = False) -> T:
        """A row by its id, if the actor may see it. lock: nobody else changes it until this act ends. Refusal `missing` where there is none for him."""
        found: T | None = self.session.execute(_by_key(table, self.scope, lock), {"key": key}).unique().scalar_one_or_none()
        if found is None:
            raise self._missing(table, key)
        return found

    def see(self, table: type[T], key: Any) -> T:
        """The same row to be looked at, with its columns and nothing beside (asking.py)."""
        found: list[T] = _seen_by_key(table, self.scope).each(self.session, key=key)
        if not found:
            raise self._missing(table, key)
        return found[0]

    @staticmethod
    def _missing(table: type[Table], key: Any) -> Refusal:
        return Refusal("missing", f"there is no {_called(table)} {key}", mend="look at the list of those you may see")

    @property
    def scope(self) -> Actor | None:
        """Who acts, where that limits what rows he may see: what statements are kept by."""
        return self.actor if self.actor.limited else None

    def add(self, row: T) -> T:
        """A new row, with an id if it has none."""
        if table_letter := type(row).LETTER:
            if getattr(row, "id", None) is None:
                row.id = identifier.fresh(table_letter)        # type: ignore[attr-defined]
        self.session.add(row)
        self.session.flush()
        if (owner := getattr(row, "customer_id", None)) is not None:
            self.unmerged((owner,))
        return row

    def unmerged(self, customers: Iterable[str]) -> None:
        """Refusal where one of these customers, whose rows were just written, was merged into another one meanwhile: nothing may be left with him. From that
        writing on a merge waits for this act, so that what is seen here holds to its end."""
        for lot in lots(customers):
            for number, into in _MERGED.ask(self.session, keys=lot):
                raise Refusal("conflict", f"customer {number} was merged into another one", "customer", f"take {into}")

    def fresh(self, row: Any, version: int | None) -> None:
        """Take a row's next version. Refusal `stale` where the caller knew another one (If-Match)."""
        if version is not None and version != row.version:
            raise Refusal("stale", f"{_called(type(row))} {row.id} was changed meanwhile: it is version {row.version}, not {version}", mend="read it again")
        row.version += 1

    # ---- what is said of it

    def record(self, action: str, row: Table | tuple[str, str], before: Mapping[str, Any] | None = None, after: Mapping[str, Any] | None = None,
               reason: str = "") -> None:
        """Write an act into the audit log. before, after: fields that differ."""
        entity, key = row if isinstance(row, tuple) else (type(row).__tablename__, _key(row))
        detail = {name: dict(value) for name, value in (("before", before), ("after", after)) if value is not None}
        audit.add(self.session, self.now, self.actor.login, action, entity, key, reason, detail or None)

    def deny(self, action: str, row: Table | tuple[str, str], refusal: Refusal, **tried: Any) -> Refusal:
        """Have a refused act on record, in a transaction of its own: the act itself is undone. Gives the refusal, to be raised."""
        named = row if isinstance(row, tuple) else (type(row).__tablename__, _key(row))
        self.denied.append((f"{action}.refused", (named[0], named[1][:64]), refusal.what, {**tried, "kind": refusal.kind, "mend": refusal.mend}))
        return refusal

    @contextmanager
    def answering(self, action: str, row: Table | tuple[str, str], **tried: Any) -> Iterator[None]:
        """Whatever is refused within is on record, once: what was tried with which row, and why not."""
        before = len(self.denied)
        try:
            yield
        except Refusal as refusal:
            if len(self.denied) == before:
                self.deny(action, row, refusal, **tried)
            raise

    def emit(self, kind: str, subject: str, data: Mapping[str, Any]) -> None:
        """Tell others of it, once this act is committed. kind: such as `productOrder.stateChange`; data holds ids and states, no personal field."""
        told = json.loads(json.dumps(dict(data), default=str))
        self.session.add(Outbox(id=identifier.fresh("Z"), type=f"fullspan.{kind}", subject=subject, time=self.now, data=told))

    def shown(self, text: str | None, unmasked: bool = False) -> str | None:
        """A personal field as this actor is shown it: masked, unless he asked for it unmasked, may, and said why (`unmask`)."""
        return text if unmasked else masked(text)

    def unmask(self, row: Table, reason: str) -> bool:
        """Let the actor see a row's personal fields, and put it on record. Refusal without permission or reason."""
        self.demand("personal.unmask")
        if not reason.strip():
            raise Refusal("invalid", "a reason is needed to see personal fields", "reason", "give a ticket's number or a sentence")
        self.record("personal.unmask", row, reason=reason)
        return True


def _called(table: type[Table]) -> str:
    return str(table.__tablename__).removeprefix("app_").replace("_", " ")


def _key(row: Table) -> str:
    """The first of a row's primary key."""
    return str(getattr(row, _named(type(row))))


_MERGED_ONES: Any = choose(Customer.number, Customer.merged_into).where(Customer.id.in_(several("keys")), Customer.merged_into.is_not(None))
_MERGED = Question(_MERGED_ONES.limit(1))


@cache
def _named(table: type[Table]) -> str:
    return str(inspect(table).primary_key[0].key)


@lru_cache(maxsize=2048)
def _by_key(table: type[T], scope: Actor | None, lock: bool) -> Select[tuple[T]]:
    """The statement of `Desk.find`: to word it costs as much as to ask it."""
    first = inspect(table).primary_key[0]
    query = visible(choose(table), table, scope).where(first == given("key", first))
    return query.with_for_update(of=table).execution_options(populate_existing=True) if lock else query


@lru_cache(maxsize=2048)
def _seen_by_key(table: type[Table], scope: Actor | None) -> Sight:
    first = inspect(table).primary_key[0]
    return Sight(visible(whole(table), table, scope).where(first == given("key", first)), table)
