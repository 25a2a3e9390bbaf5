"""The options by which a command that names a person is told why: --reason and --ticket. See dpi.store.access and docs/privacy.md."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def reason_options(command: F) -> F:
    """Adds --reason and --ticket to a command: parameters `reason` and `ticket`, text, empty where not given."""
    command = click.option("--ticket", metavar="NUMBER", default="", help="The ticket for which it is read; kept in the audit table.")(command)
    return click.option("--reason", metavar="TEXT", default="", help="Why it is read, where the store knows whose flows are whose; kept in the audit table.")(command)


def permitted(store: Any, command: str, reason: str, ticket: str, kind: str, value: str, sql: str | None = None) -> Any:
    """The dpi.store.access.Reading of a command: call its `told(rows)` before anything is shown. UserError without a reason where one is needed."""
    from dpi.store.access import Access, permit

    return permit(store, Access(command, reason, ticket, kind, value), sql)
