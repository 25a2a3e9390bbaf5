"""What commands begin with: the office, and as whom."""
from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

from bss.desk import Desk
from bss.office import Office
from bss.people.entry import actor_of
from bss.people.scope import SYSTEM, Actor
from bss.refusal import Refusal
from bss.settings import Settings, load
from bss.tables import User

R = TypeVar("R")


def settings_of(ctx: click.Context) -> Settings:
    """Of the file that the command line names."""
    return load(ctx.obj[0] if ctx.obj else None)


def office_of(ctx: click.Context) -> Office:
    """Opened once a command, closed at its end."""
    office = Office(settings_of(ctx))
    ctx.call_on_close(office.close)
    return office


def actor_of_command(ctx: click.Context, office: Office) -> Actor:
    """Who acts: the user that --as names, else the system."""
    login = ctx.obj[1] if ctx.obj else None
    if not login:
        return SYSTEM
    with office.reading() as desk:
        user = desk.session.execute(select(User).where(User.login == login)).scalar_one_or_none()
    if user is None or user.disabled:
        raise Refusal("missing", f"there is no user {login!r}", "--as", "fullspan bss user list")
    return actor_of(user)


def acting(ctx: click.Context, what: Callable[[Desk], R]) -> R:
    """Do something as one transaction, as whom the command line says."""
    office = office_of(ctx)
    return office.act(actor_of_command(ctx, office), what)


def kept(path: Path, content: bytes) -> None:
    """Write a file that is of persons: its owner alone reads it. Refusal: it can't be written."""
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(content)
    except OSError as error:
        raise Refusal("invalid", f"the file can't be written: {error.strerror}", str(path), "name another one") from None


def show(rows: Sequence[dict[str, Any]], as_json: bool, columns: Sequence[str] = ()) -> None:
    """Rows as a table for people, or JSON."""
    if as_json:
        click.echo(json.dumps(list(rows), ensure_ascii=False, indent=2, default=str))
        return
    console = Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else 200)
    named = list(columns or (rows[0] if rows else ()))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in named:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*("" if row.get(name) is None else str(row.get(name)) for name in named))
    console.print(table if rows else "none")
