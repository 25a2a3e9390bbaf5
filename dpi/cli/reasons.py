"""The options by which a command that names a person is told why: --reason and --ticket. See dpi.store.access and docs/privacy.md."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from dpi.errors import UserError

F = TypeVar("F", bound=Callable[..., Any])


def reason_options(command: F) -> F:
    """Adds --reason and --ticket to a command: parameters `reason` and `ticket`, text, empty where not given."""
    command = click.option("--ticket", metavar="NUMBER", default="", help="The ticket for which it is read; kept in the audit table.")(command)
    return click.option("--reason", metavar="TEXT", default="", help="Why it is read, where the store knows whose flows are whose; kept in the audit table.")(command)


def permitted(store: Any, command: str, reason: str, ticket: str, kind: str, value: str, sql: str | None = None) -> Any:
    """The dpi.store.access.Reading of a command: call its `told(rows)` before anything is shown. UserError without a reason where one is needed."""
    from dpi.store.access import Access, permit

    return permit(store, Access(command, reason, ticket, kind, value), sql)


def permitted_of(store: Any, command: str, reason: str, ticket: str, customers: Iterable[str], services: Iterable[str]) -> Any:
    """The same of a command that sums, and of figures that are one customer's or service's: summed over everybody they take no reason."""
    named = [("customer", one) for one in customers] + [("service", one) for one in services]
    return permitted(store, command, reason, ticket, named[0][0], ", ".join(one for _, one in named)) if named else None


def noted(command: str, reason: str, ticket: str, kind: str, value: str, rows: int, url: str | None = None) -> None:
    """For a command that reads whose something is elsewhere than in the store (the bindings file): note it in the store, that of the settings or `url`, before
    anything is shown. Does nothing where the settings name no bindings file, and where no store was made yet, so that nothing was stamped. UserError without
    a reason, and where it can't be noted."""
    from dpi import settings
    from dpi.store import address, audit, open_store
    from dpi.store.access import MEND, Access, bindings_named

    url = url or settings.load().store.url
    where = address(url)
    if not bindings_named() or where.scheme == "none" or where.scheme == "chdb" and not where.path.exists():
        return
    if not Access(command, reason, ticket).given:
        raise UserError("the bindings say whose addresses these are: reading them takes a reason", "[identity] bindings", MEND)
    store: Any = open_store(url, create=False)
    try:
        if hasattr(store, "post"):
            store.post("/fullspan/audit", {"command": command, "reason": reason, "ticket": ticket, "target_kind": kind, "target": value, "rows": rows})
        else:
            audit.record(store, audit.Entry(audit.myself(), command, reason, ticket, kind, value, "", rows))
    finally:
        store.close()
