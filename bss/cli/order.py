"""`fullspan bss order`: orders from a draft to acceptance."""
from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from bss.cli.counter import acting, settings_of, show
from bss.cli.enquiry import document
from bss.desk import Desk
from bss.moment import read as read_time
from bss.refusal import Refusal

COLUMNS = ("id", "number", "state", "customer", "class", "owner", "due", "monthly")
ITEMS = ("id", "place", "action", "offering", "down_mbps", "state", "service", "covered", "verified", "milestones")


def row_of(row: Any) -> dict[str, Any]:
    """A line of the list."""
    from decimal import Decimal

    monthly = sum((Decimal(one.price.get("monthly", "0")) for one in row.items if one.state not in ("cancelled", "rejected", "failed")), Decimal())
    return {"id": row.id, "number": row.number, "state": row.state, "customer": row.customer_id, "class": row.class_, "owner": row.owner_id, "due": row.due,
            "monthly": str(monthly), "revision": row.revision, "reason": row.reason}


def item_of(desk: Desk, item: Any) -> dict[str, Any]:
    """A line of its items."""
    from bss.orders.milestone import reached

    return {"id": item.id, "place": item.place, "action": item.action, "offering": f"{item.offering} v{item.offering_version}",
            "down_mbps": item.wanted["down_bps"] / 10 ** 6, "state": item.state, "service": item.service_id, "covered": item.covered,
            "verified": item.verified, "milestones": " ".join(reached(desk, item))}


def lines_of(texts: tuple[str, ...]) -> list[Any]:
    """Items as the command line has them: CODE, CODE@MBITS, or JSON."""
    from bss.catalogue.reading import checked
    from bss.orders.wanted import Line

    found = []
    for text in texts:
        if text.lstrip().startswith("{"):
            found.append(checked(Line, document(text, "--item"), "--item"))
            continue
        code, _, rate = text.partition("@")
        if rate and not rate.isdigit():
            raise Refusal("invalid", f"{rate!r} is no rate in Mbit/s", "--item", "write it as line-a@100")
        found.append(checked(Line, {"action": "add", "offering": code, "wanted": {"down_bps": int(rate or 0) * 10 ** 6}}, "--item"))
    return found


@click.group()
def command() -> None:
    """Orders: enter, list, move, amend, cancel, verify; how long they stay where."""


@command.command()
@click.argument("customer")
@click.option("--item", "items", multiple=True, required=True, help="CODE, CODE@MBITS, or a line as JSON; may be given again.")
@click.option("--owner", help="Id of who is responsible.")
@click.option("--agreement", help="Id of the contract.")
@click.option("--channel", default="manager", show_default=True, help="By which channel it came.")
@click.option("--acknowledge", is_flag=True, help="Freeze its prices and start its clock at once.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def add(ctx: click.Context, customer: str, items: tuple[str, ...], owner: str | None, agreement: str | None, channel: str, acknowledge: bool,
        as_json: bool) -> None:
    """Enter an order of a CUSTOMER (its id)."""
    from bss.orders import order

    def act(desk: Desk) -> dict[str, Any]:
        row = order.enter(desk, customer, lines_of(items), channel=channel, owner_id=owner, agreement_id=agreement)
        return row_of(order.acknowledge(desk, row.id) if acknowledge else row)
    show([acting(ctx, act)], as_json, COLUMNS)


@command.command("list")
@click.option("--state", multiple=True, help="In this state; may be given again.")
@click.option("--region", default="", help="Of this region.")
@click.option("--owner", default="", help="Of this responsible person (id).")
@click.option("--overdue", is_flag=True, help="Those that are overdue.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def listed(ctx: click.Context, state: tuple[str, ...], region: str, owner: str, overdue: bool, as_json: bool) -> None:
    """List the newest 200 orders."""
    from bss.orders import listing

    def look(desk: Desk) -> list[dict[str, Any]]:
        return [row_of(one) for one in desk.session.execute(listing.listed(desk, state, region, owner, overdue=overdue).limit(200)).scalars()]
    show(acting(ctx, look), as_json, COLUMNS)


@command.command("show")
@click.argument("id")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with prices.")
@click.pass_context
def one(ctx: click.Context, id: str, as_json: bool) -> None:
    """Show the items of an order and what they have reached."""
    from bss.tables import ProductOrder

    def look(desk: Desk) -> list[dict[str, Any]]:
        desk.demand("order.read")
        row = desk.find(ProductOrder, id)
        items = [{**item_of(desk, item), **({"price": item.price, "wanted": item.wanted} if as_json else {})} for item in row.items]
        return [{**row_of(row), "items": items}] if as_json else items
    show(acting(ctx, look), as_json, () if as_json else ITEMS)


@command.command()
@click.argument("id")
@click.argument("state")
@click.option("--reason", default="", help="Why; some states ask for it.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def move(ctx: click.Context, id: str, state: str, reason: str, as_json: bool) -> None:
    """Move an order, or one item of it (by its id), to a STATE. What is refused is said in a sentence, and is on record."""
    from bss.orders.transition import move as go
    from bss.orders.transition import move_item

    def act(desk: Desk) -> dict[str, Any]:
        return row_of(move_item(desk, id, state, reason).order if id.startswith("N") else go(desk, id, state, reason))
    show([acting(ctx, act)], as_json, COLUMNS)


@command.command()
@click.argument("id")
@click.option("--item", "items", multiple=True, required=True, help="Every item from now on; those that stay as JSON with their id.")
@click.option("--reason", default="", help="Why.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def amend(ctx: click.Context, id: str, items: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Change what an order asks for; the difference is shown."""
    from bss.orders import order

    def act(desk: Desk) -> list[dict[str, Any]]:
        _row, told = order.amend(desk, id, lines_of(items), reason)
        rows = [*told["items"], {"item": "", "change": "total", **told["total"]}]
        return [{"revision": told["revision"], **one} for one in rows]
    show(acting(ctx, act), as_json, () if as_json else ("revision", "item", "offering", "change", "monthly", "one_time"))


@command.command()
@click.argument("id")
@click.option("--reason", required=True, help="Why.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def cancel(ctx: click.Context, id: str, reason: str, as_json: bool) -> None:
    """Cancel an order; its resources are given back."""
    from bss.orders import order

    show([acting(ctx, lambda desk: row_of(order.cancel(desk, id, reason)))], as_json, COLUMNS)


@command.command()
@click.argument("service")
@click.argument("what", type=click.Choice(["suspend", "resume", "terminate"]))
@click.option("--for", "whose", type=click.Choice(["customer", "non_payment", "fault"]), help="For whom it is suspended.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def service(ctx: click.Context, service: str, what: str, whose: str | None, as_json: bool) -> None:
    """Order that a SERVICE is suspended, resumed or terminated; or terminated, a value-added item that has no service (its id)."""
    from bss.orders import order

    def act(desk: Desk) -> dict[str, Any]:
        if what == "suspend":
            return row_of(order.suspend(desk, service, whose or ""))
        return row_of(order.resume(desk, service) if what == "resume" else order.terminate(desk, service))
    show([acting(ctx, act)], as_json, COLUMNS)


@command.command()
@click.argument("item")
@click.option("--resource", "resources", multiple=True, help="Id of a resource; may be given again.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def reserve(ctx: click.Context, item: str, resources: tuple[str, ...], as_json: bool) -> None:
    """Keep resources for an ITEM (its id)."""
    from bss.orders import fulfilment

    show(acting(ctx, lambda desk: [{"id": one.id, "resource": one.resource_id, "bps": one.bps, "until": one.until}
                                   for one in fulfilment.reserve(desk, item, resources)]), as_json)


@command.command()
@click.argument("item")
@click.option("--prefix", multiple=True, help="A prefix that is bound to its service; may be given again.")
@click.option("--vlan", type=click.IntRange(1, 4094), help="A VLAN that is.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def connect(ctx: click.Context, item: str, prefix: tuple[str, ...], vlan: int | None, as_json: bool) -> None:
    """Put the resources of an ITEM to use, and bind traffic to its service."""
    from bss.orders import fulfilment

    bindings: list[dict[str, Any]] = [{"prefix": one} for one in prefix] + ([{"vlan": vlan}] if vlan else [])
    show(acting(ctx, lambda desk: [{"id": one.id, "service": one.service_id, "key": one.key, "valid_from": one.valid_from}
                                   for one in fulfilment.connect(desk, item, bindings)]), as_json)


@command.command()
@click.argument("item")
@click.option("--test", "tests", nargs=2, multiple=True, metavar="BEGIN END", help="From when to when it was tested; may be given again.")
@click.option("--note", default="", help="What is to be known.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def install(ctx: click.Context, item: str, tests: tuple[tuple[str, str], ...], note: str, as_json: bool) -> None:
    """Note that an ITEM is installed, and when it was tested."""
    from bss.orders import verifying

    zone = settings_of(ctx).zone
    spans: list[tuple[datetime, datetime]] = [(read_time(begin, zone, "--test"), read_time(end, zone, "--test")) for begin, end in tests]
    show([acting(ctx, lambda desk: item_of(desk, verifying.install(desk, item, spans, note)))], as_json, ITEMS)


@command.command()
@click.argument("item")
@click.option("--accept", help="Accept by hand what no sensor sees, as the second person: what was looked at.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def verify(ctx: click.Context, item: str, accept: str | None, as_json: bool) -> None:
    """Ask the probe what an ITEM still lacks before it may be completed."""
    from bss.orders import verifying

    def act(desk: Desk) -> dict[str, Any]:
        if accept:
            verifying.accept_by_hand(desk, item, accept)
        found = verifying.verify(desk, item)
        return {"item": item, "done": found.done, "how": found.how, "why": found.why}
    show([acting(ctx, act)], as_json)


@command.command()
@click.option("--since", default="", help="Spells that ended since then; default: 90 days ago.")
@click.option("--until", default="", help="And before then; default: now.")
@click.option("--region", default="", help="Orders of this region.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def dwell(ctx: click.Context, since: str, until: str, region: str, as_json: bool) -> None:
    """How long orders stay in each state, in hours: where the bottleneck is."""
    from bss.orders.dwell import report

    zone = settings_of(ctx).zone
    begin, end = (read_time(text, zone, name) if text else None for text, name in ((since, "--since"), (until, "--until")))
    show(acting(ctx, lambda desk: report(desk, begin, end, region)), as_json)
