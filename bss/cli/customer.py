"""`fullspan bss customer`: list, show, add, duplicates, merge, unmerge."""
from __future__ import annotations

import json
from typing import Any

import click
from sqlalchemy import select

from bss.cli.counter import acting, show
from bss.desk import Desk
from bss.moment import iso
from bss.parties import customer, duplicate, merging, view
from bss.parties.contact import Given
from bss.refusal import Refusal
from bss.tables import Customer, User
from bss.tables.party import CLASSES, CUSTOMER_STATES, PARTY_KINDS

JSON = click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
COLUMNS = ("number", "name", "kind", "class", "region", "state", "id")


def _row(desk: Desk, one: Customer) -> dict[str, Any]:
    return {"id": one.id, "number": one.number, "name": desk.shown(one.party.name), "kind": one.party.kind, "class": one.class_, "region": one.region,
            "state": one.state, "created": iso(one.created, desk.office.settings.zone)}


@click.group()
def command() -> None:
    """Customers: list, show, add, find duplicates, merge and part them."""


@command.command("list")
@click.argument("text", required=False, default="")
@click.option("--state", type=click.Choice(CUSTOMER_STATES))
@click.option("--class", "class_", type=click.Choice(CLASSES))
@click.option("--region", default="")
@click.option("--kind", type=click.Choice(PARTY_KINDS))
@click.option("--limit", type=click.IntRange(1, 10000), default=100, show_default=True)
@JSON
@click.pass_context
def listed(ctx: click.Context, text: str, state: str | None, class_: str | None, region: str, kind: str | None, limit: int, as_json: bool) -> None:
    """List customers, newest first. TEXT: a name, pinyin, number, telephone number, mail address or identity number."""
    def look(desk: Desk) -> list[dict[str, Any]]:
        query = customer.listed(desk, state=state or "", class_=class_ or "", region=region, kind=kind or "", q=text).limit(limit)
        found: list[Customer] = list(desk.session.scalars(query).unique())         # type: ignore[arg-type]
        return [_row(desk, one) for one in found]
    show(acting(ctx, look), as_json, COLUMNS)


@command.command("show")
@click.argument("customer_id", metavar="CUSTOMER")
@click.option("--unmask", default="", metavar="REASON", help="Show personal fields; the reason is put on record.")
@click.option("--no-traffic", is_flag=True, help="Don't ask the store.")
@JSON
@click.pass_context
def shown(ctx: click.Context, customer_id: str, unmask: str, no_traffic: bool, as_json: bool) -> None:
    """Show all of a customer: services, orders, interactions, contracts and traffic. CUSTOMER: id or number."""
    told = acting(ctx, lambda desk: view.single(desk, customer_id, unmask=unmask, traffic=not no_traffic))
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False, indent=2, default=str))
        return
    who = told["customer"]
    show([{"field": name, "value": value} for name, value in who.items() if isinstance(value, str | int | bool) and value != ""], False)
    show([{"medium": one["medium"], "value": one["value"], "role": one["role"]} for one in who["contacts"]], False)
    for name in ("agreements", "services", "orders", "interactions"):
        click.echo(f"\n{name}: {told['counts'].get(name, len(told[name] or ()))}")
        show([{key: value for key, value in one.items() if key != "id"} for one in told[name] or ()], False)
    if told["traffic"]:
        click.echo("\ntraffic" + (f": {told['traffic']['why']}" if told["traffic"]["why"] else ""))
        show([{"span": name, **told["traffic"][name]} for name, _span in view.SPANS if told["traffic"][name]], False)


@command.command("add")
@click.argument("name")
@click.option("--kind", type=click.Choice(PARTY_KINDS), default="individual", show_default=True)
@click.option("--class", "class_", type=click.Choice(CLASSES), required=True)
@click.option("--region", required=True)
@click.option("--number", help="Made where none is given.")
@click.option("--legal-id", help="Identity card or unified social credit code.")
@click.option("--contact", "contacts", multiple=True, metavar="MEDIUM=VALUE", help="Such as phone=13800138000 or email=a@example.cn; again for more.")
@click.option("--manager", help="Log-in of the account manager.")
@JSON
@click.pass_context
def added(ctx: click.Context, name: str, kind: str, class_: str, region: str, number: str | None, legal_id: str | None, contacts: tuple[str, ...],
          manager: str | None, as_json: bool) -> None:
    """Enter a customer."""
    given = []
    for one in contacts:
        medium, sign, value = one.partition("=")
        if not sign:
            raise Refusal("invalid", f"{one!r} is no contact", "--contact", "write it as phone=13800138000")
        given.append(Given(medium, value))

    def act(desk: Desk) -> dict[str, Any]:
        manager_id = None
        if manager:
            manager_id = desk.session.execute(select(User.id).where(User.login == manager)).scalar_one_or_none()
            if manager_id is None:
                raise Refusal("missing", f"there is no user {manager!r}", "--manager", "fullspan bss user list")
        return _row(desk, customer.make(desk, kind=kind, name=name, class_=class_, region=region, number=number, legal_id=legal_id, contacts=given,
                                        manager_id=manager_id))
    show([acting(ctx, act)], as_json, COLUMNS)


@command.command("duplicates")
@click.argument("customer_id", metavar="[CUSTOMER]", required=False, default="")
@click.option("--limit", type=click.IntRange(1, 10000), default=100, show_default=True)
@JSON
@click.pass_context
def duplicates(ctx: click.Context, customer_id: str, limit: int, as_json: bool) -> None:
    """Customers that may be one, the surest first, with what they share and how alike their names are (0 to 100)."""
    def look(desk: Desk) -> list[dict[str, Any]]:
        own = customer.find(desk, customer_id).id if customer_id else ""
        return [{"first": pair.first.number, "name": desk.shown(pair.first.party.name), "second": pair.second.number,
                 "other_name": desk.shown(pair.second.party.name), "score": pair.score, "shared": ", ".join(pair.reasons)}
                for pair in duplicate.candidates(desk, own, limit)]
    show(acting(ctx, look), as_json)


@command.command("merge")
@click.argument("kept")
@click.argument("gone")
@click.option("--take", "taken", multiple=True, type=click.Choice(list(merging.CALLED)), help="Keep the value of GONE in this field; again for more.")
@click.option("--reason", default="", help="Why; put on record.")
@JSON
@click.pass_context
def merged(ctx: click.Context, kept: str, gone: str, taken: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Merge customer GONE into KEPT: each field is KEPT's unless it is empty or taken; all that GONE has goes over."""
    def act(desk: Desk) -> dict[str, Any]:
        row = merging.merge(desk, customer.find(desk, kept).id, customer.find(desk, gone).id, dict.fromkeys(taken, "gone"), reason)
        return {"merge": row.id, "kept": row.kept_id, "gone": row.gone_id}
    show([acting(ctx, act)], as_json)


@command.command("unmerge")
@click.argument("merge")
@click.option("--reason", default="", help="Why; put on record.")
@JSON
@click.pass_context
def parted(ctx: click.Context, merge: str, reason: str, as_json: bool) -> None:
    """Part two customers again, as they were. MERGE: its id."""
    def act(desk: Desk) -> dict[str, Any]:
        row = merging.unmerge(desk, merge, reason)
        return {"merge": row.id, "kept": row.kept_id, "gone": row.gone_id, "undone": iso(row.undone)}
    show([acting(ctx, act)], as_json)
