"""`fullspan bss payment`: payments, a bank's file, refunds."""
from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import click

from bss.cli.counter import acting, settings_of, show
from bss.desk import Desk
from bss.refusal import Refusal

COLUMNS = ("id", "state", "amount", "matched", "refunded", "balance", "currency", "received", "method", "account", "source", "suggestion")


def row_of(row: Any) -> dict[str, Any]:
    """A line of the list."""
    from bss.billing.payment import told

    return {**told(row), "received": row.received, "method": row.method, "account": row.account_id, "source": row.source,
            "suggestion": " ".join(f"{one['bill']} ({one['by']} {one['score']})" for one in row.suggestion)}


def amount_of(text: str) -> Decimal:
    """An amount as a person writes it."""
    try:
        return Decimal(text.replace(",", ""))
    except InvalidOperation:
        raise Refusal("invalid", f"{text!r} is no amount", "amount", "write it as 199.00") from None


@click.group()
def command() -> None:
    """Payments: enter, match a bank's file, take back, give back."""


@command.command()
@click.argument("amount")
@click.option("--account", help="Whose it is (id); without one a person says so later.")
@click.option("--bill", "bills", multiple=True, help="That it is for (id or number); default: the oldest open ones.")
@click.option("--method", type=click.Choice(["bank", "cash", "card", "online"]), default="bank", show_default=True, help="How it was paid.")
@click.option("--source", default="", help="What it is known by, such as the bank's serial number: once.")
@click.option("--received", default="", help="When it came in; default: now.")
@click.option("--payer", default="", help="Who paid.")
@click.option("--remark", default="", help="What was written on it.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def add(ctx: click.Context, amount: str, account: str | None, bills: tuple[str, ...], method: str, source: str, received: str, payer: str, remark: str,
        as_json: bool) -> None:
    """Enter a payment of an AMOUNT."""
    from bss.billing import payment
    from bss.moment import read

    when = read(received, settings_of(ctx).zone, "--received") if received else None
    show([acting(ctx, lambda desk: row_of(payment.enter(desk, amount_of(amount), account_id=account, method=method, received=when, source=source, payer=payer,
                                                        remark=remark, bill_ids=bills)))], as_json, COLUMNS)


@command.command("bring")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def bring(ctx: click.Context, file: str, as_json: bool) -> None:
    """Take a bank's FILE (CSV or XLSX): what is sure is posted, the rest waits for a person. A line is taken once."""
    from bss.billing import matching
    from bss.running import reading

    show([acting(ctx, lambda desk: matching.bring(desk, reading.read(file, matching.COLUMNS)))], as_json)


@command.command("list")
@click.option("--state", default="", help="In this state.")
@click.option("--account", default="", help="Of this account (id).")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def listed(ctx: click.Context, state: str, account: str, as_json: bool) -> None:
    """List the newest 200 payments."""
    from bss.billing import payment

    def look(desk: Desk) -> list[dict[str, Any]]:
        found: Any = desk.session.execute(payment.listed(desk, state, account).limit(200)).scalars()
        return [row_of(one) for one in found]
    show(acting(ctx, look), as_json, COLUMNS)


@command.command()
@click.argument("payment")
@click.option("--account", default="", help="Whose it is (id).")
@click.option("--bill", "bills", multiple=True, help="That it is for (id); may be given again.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def confirm(ctx: click.Context, payment: str, account: str, bills: tuple[str, ...], as_json: bool) -> None:
    """Say whose a PAYMENT is; without more, that what was suggested is right."""
    from bss.billing import matching

    show([acting(ctx, lambda desk: row_of(matching.confirm(desk, payment, account, bills)))], as_json, COLUMNS)


@command.command()
@click.argument("payment")
@click.argument("bill")
@click.option("--amount", help="So much; default: what both have left.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def use(ctx: click.Context, payment: str, bill: str, amount: str | None, as_json: bool) -> None:
    """Pay a BILL (id) out of what a PAYMENT has left."""
    from bss.billing import payment as payments

    show([acting(ctx, lambda desk: row_of(payments.use(desk, payment, bill, amount_of(amount) if amount else None)))], as_json, COLUMNS)


@command.command()
@click.argument("payment")
@click.option("--reason", required=True, help="Why, such as that it bounced.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def reverse(ctx: click.Context, payment: str, reason: str, as_json: bool) -> None:
    """Take a PAYMENT back: its bills are open again."""
    from bss.billing import payment as payments

    show([acting(ctx, lambda desk: row_of(payments.reverse(desk, payment, reason)))], as_json, COLUMNS)


@command.command()
@click.argument("payment")
@click.option("--amount", help="How much of it is to be given back.")
@click.option("--state", type=click.Choice(["approved", "rejected", "paid"]), help="Decide on a refund (its id instead of the payment's), or say it was paid.")
@click.option("--reason", default="", help="Why.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def refund(ctx: click.Context, payment: str, amount: str | None, state: str | None, reason: str, as_json: bool) -> None:
    """Ask that something of a PAYMENT is given back; a second person approves it."""
    from bss.billing import payment as payments

    def act(desk: Desk) -> dict[str, Any]:
        row = payments.move_refund(desk, payment, state, reason) if state else payments.ask_refund(desk, payment, amount_of(amount or ""), reason)
        return {"id": row.id, "payment": row.payment_id, "amount": row.amount, "state": row.state, "reason": row.reason}
    show([acting(ctx, act)], as_json)
