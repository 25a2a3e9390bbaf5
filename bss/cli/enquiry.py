"""`fullspan bss enquiry`: what somebody wants, and whether it can be delivered."""
from __future__ import annotations

import json
from typing import Any

import click

from bss.cli.counter import acting, show
from bss.desk import Desk
from bss.refusal import Refusal

COLUMNS = ("id", "number", "state", "customer", "region", "kind", "down_mbps", "created")


def row_of(row: Any) -> dict[str, Any]:
    """A line of the list."""
    return {"id": row.id, "number": row.number, "state": row.state, "customer": row.customer_id, "region": row.region, "kind": row.need["kind"],
            "down_mbps": row.need["down_bps"] / 10 ** 6, "created": row.created}


@click.group()
def command() -> None:
    """Enquiries: enter, list, survey, check, move."""


@command.command()
@click.argument("customer")
@click.option("--kind", required=True, help="leased_line, broadband, wlan, mobile, value_added or bundle.")
@click.option("--down-mbps", type=click.IntRange(0, 10 ** 6), default=0, help="Mbit/s down.")
@click.option("--up-mbps", type=click.IntRange(0, 10 ** 6), default=0, help="Mbit/s up.")
@click.option("--site", help="Where it is to be (kept sealed).")
@click.option("--channel", default="manager", show_default=True, help="By which channel it came.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def add(ctx: click.Context, customer: str, kind: str, down_mbps: int, up_mbps: int, site: str | None, channel: str, as_json: bool) -> None:
    """Enter an enquiry of a CUSTOMER (its id)."""
    from bss.orders import enquiry

    need = {"kind": kind, "down_bps": down_mbps * 10 ** 6, "up_bps": up_mbps * 10 ** 6}
    show([row_of(acting(ctx, lambda desk: enquiry.enter_need(desk, customer, need, channel=channel, site=site)))], as_json, COLUMNS)


@command.command("list")
@click.option("--state", default="", help="In this state.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def listed(ctx: click.Context, state: str, as_json: bool) -> None:
    """List the newest 200 enquiries."""
    from bss.orders import enquiry

    show(acting(ctx, lambda desk: [row_of(one) for one in desk.session.execute(enquiry.listed(desk, state).limit(200)).scalars()]), as_json, COLUMNS)


@command.command()
@click.argument("id")
@click.option("--found", default="{}", help="What was found on the spot, as JSON.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def survey(ctx: click.Context, id: str, found: str, as_json: bool) -> None:
    """Note what was found on the spot."""
    from bss.orders import enquiry

    show([row_of(acting(ctx, lambda desk: enquiry.survey(desk, id, document(found, "--found"))))], as_json, COLUMNS)


@command.command()
@click.argument("id")
@click.argument("state")
@click.option("--reason", default="", help="Why.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def move(ctx: click.Context, id: str, state: str, reason: str, as_json: bool) -> None:
    """Move an enquiry to a STATE."""
    from bss.orders import enquiry

    show([row_of(acting(ctx, lambda desk: enquiry.move(desk, id, state, reason)))], as_json, COLUMNS)


@command.command()
@click.argument("id")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with every candidate.")
@click.pass_context
def check(ctx: click.Context, id: str, as_json: bool) -> None:
    """Check whether an enquiry or order (its id) can be delivered."""
    from bss.orders import qualification

    def act(desk: Desk) -> list[dict[str, Any]]:
        row = qualification.of_order(desk, id) if id.startswith("O") else qualification.of_enquiry(desk, id)
        return [{"id": row.id, "result": row.result, **({"found": row.found} if as_json else {"why": "; ".join(filter(None, (
            one["why"] for one in row.found["items"])))})}]
    show(acting(ctx, act), as_json)


def document(text: str, where: str) -> dict[str, Any]:
    """JSON that somebody wrote. Refusal: it is no object."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise Refusal("invalid", f"it is no JSON: {error}", where) from None
    if not isinstance(found, dict):
        raise Refusal("invalid", "it is no JSON object", where, "write it as {\"name\": \"value\"}")
    return found
