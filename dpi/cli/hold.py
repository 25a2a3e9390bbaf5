"""`fullspan hold`: legal holds, which keep rows of a service or a customer from expiring."""
from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from dpi.errors import UserError

_STORE = click.option("--store", "store_url", metavar="URL", default="chdb:///fullspan.chdb", help="The store (default: fullspan.chdb in this directory).")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_REASON = click.option("--reason", metavar="TEXT", default="", help="Why; kept in the audit table.")
_TICKET = click.option("--ticket", metavar="NUMBER", default="", help="The ticket or order; kept in the audit table.")


@click.group("hold", short_help="Keep rows of a service or a customer from expiring.")
def command() -> None:
    """Legal holds: rows of a service or a customer that do not expire until the hold is ended. docs/privacy.md."""


@command.command("add")
@_STORE
@click.option("--service", "service", metavar="ID", default="", help="Rows of this service.")
@click.option("--customer", "customer", metavar="ID", default="", help="Rows of this customer.")
@click.option("--from", "begin", metavar="TIME", required=True, help="Packets from this moment on.")
@click.option("--to", "end", metavar="TIME", required=True, help="Packets before this moment.")
@_REASON
@_TICKET
@_JSON
def add(store_url: str, service: str, customer: str, begin: str, end: str, reason: str, ticket: str, as_json: bool) -> None:
    """Hold the rows of a service or a customer. What has expired already does not come back."""
    from dpi.cli.moments import moment

    _why(reason, ticket)
    _say(_change(store_url, {"do": "add", "service_id": service, "customer_id": customer, "from_time": moment(begin, "--from"), "to_time": moment(end, "--to"),
                             "reason": reason, "ticket": ticket}), as_json, "held")


@command.command("end")
@click.argument("number", metavar="HOLD", type=int)
@_STORE
@_REASON
@_TICKET
@_JSON
def end(number: int, store_url: str, reason: str, ticket: str, as_json: bool) -> None:
    """End a hold: what it kept expires as other rows do."""
    _why(reason, ticket)
    _say(_change(store_url, {"do": "end", "hold_id": number, "reason": reason, "ticket": ticket}), as_json, "no longer held")


@command.command("list")
@_STORE
@click.option("--all", "ended", is_flag=True, help="Those that were ended, too.")
@_JSON
def list_(store_url: str, ended: bool, as_json: bool) -> None:
    """List the holds in force."""
    from dpi.store import holds, open_store

    store = open_store(store_url, create=False)
    try:
        found = holds.every(store, ended)
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps([_plain(hold) for hold in found], ensure_ascii=False, indent=2))
        return
    for hold in found:
        _say(hold, False, "no longer held" if hold.ended_time else "held")
    click.echo(f"{len(found)} holds")


def _why(reason: str, ticket: str) -> None:
    if not (reason.strip() or ticket.strip()):
        raise UserError("a hold has a reason", "fullspan hold", "say why with --reason TEXT or --ticket NUMBER; it is kept in the audit table")


def _change(url: str, what: dict[str, Any]) -> Any:
    from dpi.store import holds, open_store
    from dpi.store.audit import myself

    store = open_store(url, create=False)
    try:
        return holds.change(store, what, myself())
    finally:
        store.close()


def _plain(hold: Any) -> dict[str, Any]:
    from dpi.store.audit import shown_time

    return {name: str(value) if name == "hold_id" else shown_time(value) if name.endswith("_time") and value else None if name == "ended_time" else value
            for name, value in asdict(hold).items()}


def _say(hold: Any, as_json: bool, word: str) -> None:
    from dpi.reports.terminal import clean

    one = _plain(hold)
    if as_json:
        click.echo(json.dumps(one, ensure_ascii=False, indent=2))
        return
    why = " ".join(filter(None, (one["reason"], one["ticket"] and f"ticket {one['ticket']}")))
    click.echo(clean(f"{one['hold_id']}  {hold.whom}  {one['from_time'][:19]} to {one['to_time'][:19]} UTC  {word}  ({why}; {one['user']}@{one['host']})"))
