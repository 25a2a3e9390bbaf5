"""`fullspan bss whois`: whose an address was."""
from __future__ import annotations

import click

from bss.cli.counter import acting, settings_of, show
from bss.moment import iso, read
from bss.services.whois import whois


@click.command()
@click.argument("address", metavar="IP")
@click.option("--at", metavar="TIME", help="At this moment (default: now).")
@click.option("--vlan", type=click.IntRange(1, 4094), help="As seen in this VLAN.")
@click.option("--inner-vlan", type=click.IntRange(1, 4094), help="And in this inner one (QinQ).")
@click.option("--reason", required=True, help="Why it is asked; kept in the audit log.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, address: str, at: str | None, vlan: int | None, inner_vlan: int | None, reason: str, as_json: bool) -> None:
    """Say which service and customer an address was bound to."""
    zone = settings_of(ctx).zone
    found = acting(ctx, lambda desk: whois(desk, address, read(at, zone, "--at") if at else desk.now, vlan, inner_vlan, reason))
    told = {"address": found.address, "at": iso(found.at, zone), "service": found.service_id, "circuit": found.circuit, "customer": found.customer_id,
            "by": found.by, "from": iso(found.valid_from, zone), "to": iso(found.valid_to, zone)}
    if as_json:
        show([told], True)
    elif not found.service_id:
        click.echo(f"{found.address} at {told['at']}: nobody's")
    else:
        click.echo("\n".join(f"{name:<9} {value}" for name, value in told.items() if value))
