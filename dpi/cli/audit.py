"""`fullspan audit`: who read what of whom and why, and whether that record is whole."""
from __future__ import annotations

import json
from typing import Any

import click

_STORE = click.option("--store", "store_url", metavar="URL", default="chdb:///fullspan.chdb", help="The store to ask (default: fullspan.chdb in this directory).")
_SHOWN = 240            # characters of a statement; all of it with --json
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("audit", short_help="Show and verify who read what names a person, and why.")
def command() -> None:
    """Show and verify the audit table: a row for each reading of what names a person, and for each change of what is kept. docs/privacy.md."""


@command.command("show")
@_STORE
@click.option("--since", metavar="TIME", help="Only rows from this moment on.")
@click.option("--last", type=click.IntRange(1), metavar="N", help="Only the last N rows.")
@_JSON
def show(store_url: str, since: str | None, last: int | None, as_json: bool) -> None:
    """Print the audit rows, the oldest first."""
    from dpi.cli.moments import moment
    from dpi.reports.terminal import clean
    from dpi.store import open_store
    from dpi.store.audit import rows_of, shown_time

    begin = moment(since, "--since")
    store = open_store(store_url, create=False)
    try:
        rows = rows_of(store, "" if begin is None else shown_time(begin))[-(last or 0):]
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for row in rows:
        why = " ".join(filter(None, (row["reason"] and f"reason: {row['reason']}", row["ticket"] and f"ticket: {row['ticket']}"))) or "no reason"
        click.echo(clean(f"{row['number']:>6}  {str(row['time'])[:19]}  {row['user']}@{row['host']}  {row['command']}  {row['target_kind']} {row['target']}  "
                         f"{row['rows']} rows  {why}"))
        if row["sql"]:
            click.echo(clean(f"        {row['sql'] if len(row['sql']) <= _SHOWN else row['sql'][:_SHOWN] + ' ...'}"))
    click.echo(f"{len(rows)} rows")


@command.command("verify")
@_STORE
@click.option("--head", "heads", metavar="DIGEST", multiple=True, help="A digest that an earlier run printed, which must still be there; may be given again.")
@_JSON
@click.pass_context
def verify(context: click.Context, store_url: str, heads: tuple[str, ...], as_json: bool) -> None:
    """Check that no audit row was changed or taken out. Exit 1 where one was; print the newest digest, to be noted elsewhere and given to --head."""
    from dpi.store import audit, open_store

    store = open_store(store_url, create=False)
    try:
        rows, faults = audit.verify(store, heads)
    finally:
        store.close()
    newest = audit.newest(rows)
    if as_json:
        click.echo(json.dumps({"rows": len(rows), "faults": [{"number": one.number, "what": one.what} for one in faults], "heads": newest}, indent=2))
    else:
        for one in faults:
            click.echo(f"row {one.number}: {one.what}" if one.number else one.what, err=True)
        said: Any = f"{len(faults)} faults" if faults else "whole"
        click.echo(f"{len(rows)} audit rows: {said}" + (f"; newest: {' '.join(newest)}" if newest else ""))
    if faults:
        context.exit(1)
