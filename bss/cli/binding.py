"""`fullspan bss binding`: what tells the probe whose traffic it is."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from bss.cli.counter import acting, settings_of, show
from bss.desk import Desk
from bss.moment import iso, read
from bss.services import binding, correction
from bss.services.spelling import What
from bss.tables import Binding

F = TypeVar("F", bound=Callable[..., Any])
COLUMNS = ("id", "service", "key", "metered", "from", "to", "revision")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _bound(command: F) -> F:
    """The options that say what is bound."""
    for name, words in (("interface", "Interface of the probe at which it is metered."), ("probe", "Probe at which it is metered."),
                        ("circuit", "Circuit of a session."), ("user", "User name of a session."), ("mac", "MAC address."),
                        ("prefix", "Network or address, as 192.0.2.0/24.")):
        command = click.option(f"--{name}", default="", help=words)(command)
    command = click.option("--inner-vlan", type=click.IntRange(1, 4094), help="Inner VLAN (QinQ).")(command)
    return click.option("--vlan", type=click.IntRange(1, 4094), help="VLAN, alone or with a prefix.")(command)


@click.group()
def command() -> None:
    """Bind traffic to services: list, add, end, move, correct."""


@command.command("list")
@click.option("--service", default="", metavar="ID", help="Of this service.")
@click.option("--at", metavar="TIME", help="Those that hold at this moment.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True)
@_JSON
@click.pass_context
def list_(ctx: click.Context, service: str, at: str | None, limit: int, as_json: bool) -> None:
    """Bindings that hold or held."""
    zone = settings_of(ctx).zone

    def look(desk: Desk) -> list[dict[str, Any]]:
        desk.demand("service.read")
        query: Any = desk.select(Binding).where(Binding.withdrawn.is_(None)).order_by(Binding.key, Binding.valid_from).limit(limit)
        query = query.where(Binding.service_id == service) if service else query
        query = query.where(*binding.holds(read(at, zone, "--at"))) if at else query
        return [_shown(one) for one in desk.session.execute(query).scalars()]

    show(acting(ctx, look), as_json, COLUMNS)


@command.command()
@click.argument("service_id")
@_bound
@click.option("--from", "since", metavar="TIME", help="First moment (default: now).")
@click.option("--to", "until", metavar="TIME", help="First moment at which it no longer holds.")
@_JSON
@click.pass_context
def add(ctx: click.Context, /, service_id: str, since: str | None, until: str | None, as_json: bool, **what: Any) -> None:
    """Bind something to a service."""
    zone = settings_of(ctx).zone
    begin, end = (read(one, zone, where) if one else None for one, where in ((since, "--from"), (until, "--to")))
    show([acting(ctx, lambda desk: _shown(binding.bind(desk, service_id, **what, valid_from=begin, valid_to=end)))], as_json, COLUMNS)


@command.command("end")
@click.argument("id_", metavar="ID")
@click.option("--at", metavar="TIME", help="When (default: now).")
@_JSON
@click.pass_context
def end_(ctx: click.Context, id_: str, at: str | None, as_json: bool) -> None:
    """End a binding, or all bindings of a service (ID of either)."""
    moment = read(at, settings_of(ctx).zone, "--at") if at else None

    def act(desk: Desk) -> list[dict[str, Any]]:
        if id_.startswith(Binding.LETTER):
            return [_shown(binding.end_one(desk, id_, moment))]
        return [_shown(one) for one in binding.end(desk, id_, moment)]

    show(acting(ctx, act), as_json, COLUMNS)


@command.command()
@click.argument("service_id")
@click.argument("other_id")
@click.option("--at", metavar="TIME", help="When (default: now).")
@_JSON
@click.pass_context
def move(ctx: click.Context, service_id: str, other_id: str, at: str | None, as_json: bool) -> None:
    """Give all that a service has to another one, without a gap."""
    moment = read(at, settings_of(ctx).zone, "--at") if at else None
    show(acting(ctx, lambda desk: [_shown(one) for one in binding.move(desk, service_id, other_id, moment)]), as_json, COLUMNS)


@command.command()
@click.argument("service_id")
@_bound
@click.option("--from", "since", metavar="TIME", required=True, help="From which moment in the past on.")
@click.option("--to", "until", metavar="TIME", help="First moment at which it no longer holds.")
@click.option("--reason", default="", help="Why; needed unless it is a dry run.")
@click.option("--dry-run", is_flag=True, help="Show whose bytes would move, and change nothing.")
@_JSON
@click.pass_context
def correct(ctx: click.Context, /, service_id: str, since: str, until: str | None, reason: str, dry_run: bool, as_json: bool, **given: Any) -> None:
    """Say whose something was from a moment in the past on: SERVICE_ID, or `nobody`."""
    zone = settings_of(ctx).zone
    begin, end = read(since, zone, "--from"), read(until, zone, "--to") if until else None
    probe, interface = given.pop("probe"), given.pop("interface")
    found = acting(ctx, lambda desk: correction.correct(desk, None if service_id == "nobody" else service_id, What(**given), begin, end, probe=probe,
                                                        interface=interface, reason=reason, dry=dry_run))
    moved = [{"hour": iso(one.begin, zone), "from": one.service_id or "nobody", "customer": one.customer_id, "to": piece.to_service or "nobody",
              "flows": one.flows, "bytes": one.bytes} for piece, one in found.moved]
    if as_json:
        show([{"dry_run": dry_run, "key": found.key, "binding": found.binding_id, "bytes": None if found.unknown else found.bytes,
               "unknown": found.unknown, "customers": found.customers, "moved": moved, "commands": found.commands}], True)
        return
    show(moved, False, ("hour", "from", "customer", "to", "flows", "bytes"))
    click.echo(found.unknown or f"{found.bytes:,} bytes of {len(found.customers)} customers {'would move' if dry_run else 'move'}.")
    if not dry_run and not found.unknown:
        click.echo("The worker gives the flows their right stamp, and usage follows.")


def _shown(one: Binding) -> dict[str, Any]:
    return {"id": one.id, "service": one.service_id, "key": one.key, "metered": " ".join(filter(None, (one.probe, one.interface))),
            "from": iso(one.valid_from), "to": iso(one.valid_to), "revision": one.revision}
