"""`fullspan bss bill`: runs of bills, bills, credit notes, ageing."""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from bss.cli.counter import acting, actor_of_command, office_of, show
from bss.desk import Desk

RUNS = ("id", "period", "anchor", "state", "bills", "sums", "findings", "begun", "begun_by")
BILLS = ("id", "number", "period", "state", "account", "customer", "net", "tax", "gross", "paid", "due", "reason")
LINES = ("line", "kind", "item", "service", "from", "before", "quantity", "unit", "net", "rate", "tax", "gross", "original")
FINDINGS = ("id", "kind", "bill", "detail", "cleared", "reason")


def run_of(desk: Desk, row: Any) -> dict[str, Any]:
    """A line of the list of runs."""
    from bss.billing import audit, run

    told = run.totals(desk, row.id)
    return {"id": row.id, "period": row.period, "anchor": row.anchor, "state": row.state, "bills": _counts(told["bills"]),
            "sums": ", ".join(f"{one['gross']} {currency}" for currency, one in told["sums"].items()), "findings": _counts(audit.open_(desk, row.id)),
            "begun": row.begun, "begun_by": row.begun_by}


def _counts(told: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(told.items()))


def bill_of(row: Any) -> dict[str, Any]:
    """A line of the list of bills."""
    return {"id": row.id, "number": row.number, "period": row.period, "state": row.state, "account": row.account_id, "customer": row.customer_id,
            "net": row.net, "tax": row.tax, "gross": row.gross, "paid": row.paid, "currency": row.currency, "due": row.due, "reason": row.reason,
            "revision": row.revision}


@click.group()
def command() -> None:
    """Bills: run, audit, approve, issue; show, hold, credit; what is overdue."""


@command.command("run")
@click.argument("period", required=False)
@click.option("--anchor", type=click.IntRange(1, 31), default=1, show_default=True, help="Of accounts whose periods begin on this day.")
@click.option("--customer", "customers", multiple=True, help="Of this customer alone (id); may be given again.")
@click.option("--go-on", "known", help="Go on with this run (id).")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def begin(ctx: click.Context, period: str | None, anchor: int, customers: tuple[str, ...], known: str | None, as_json: bool) -> None:
    """Make the bills of a PERIOD (2026-11; default: the last one that ended). Killed, it goes on with --go-on."""
    from bss.billing import run

    office = office_of(ctx)
    actor = actor_of_command(ctx, office)
    key = known or office.act(actor, lambda desk: run.start(desk, period or run.last_period(desk, anchor), anchor, customers).id)
    count = 0

    def told(some: int) -> None:
        nonlocal count
        count += some
        if sys.stderr.isatty():
            click.echo(f"\r{count} customers", nl=False, err=True)
    run.build(office, actor, key, told)
    show([office.act(actor, lambda desk: run_of(desk, run.find(desk, key)))], as_json, RUNS)


@command.command()
@click.argument("id")
@click.option("--clear", "kind", help="Clear all findings of this kind, or the one with this id.")
@click.option("--reason", default="", help="Why it is right.")
@click.option("--again", multiple=True, metavar="CUSTOMER", help="Make this customer's bill again (id); may be given again.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def audit(ctx: click.Context, id: str, kind: str | None, reason: str, again: tuple[str, ...], as_json: bool) -> None:
    """Compare the bills of a run (its ID) with those of the period before, and list what a person has to clear."""
    from bss.billing import audit as audits
    from bss.billing import run
    from bss.tables.billing import FINDINGS as KINDS

    def act(desk: Desk) -> list[dict[str, Any]]:
        if again:
            run.again(desk, id, again, reason)
        if kind:
            audits.clear(desk, id, reason, () if kind in KINDS else (kind,), kind if kind in KINDS else "")
        elif run.find(desk, id).state in ("built", "audited"):
            run.look_over(desk, id)
        found: Any = desk.session.execute(audits.listed(desk, id).limit(200)).scalars()
        return [{"id": one.id, "kind": one.kind, "bill": one.bill_id, "detail": " ".join(f"{name} {value}" for name, value in one.detail.items()),
                 "cleared": one.cleared, "reason": one.reason} for one in found]
    show(acting(ctx, act), as_json, FINDINGS)


@command.command()
@click.argument("id")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def approve(ctx: click.Context, id: str, as_json: bool) -> None:
    """Approve a run (its ID), as the second person."""
    from bss.billing import run

    show([acting(ctx, lambda desk: run_of(desk, run.approve(desk, id)))], as_json, RUNS)


@command.command()
@click.argument("id")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def issue(ctx: click.Context, id: str, as_json: bool) -> None:
    """Send the bills of a run (its ID) that is approved: they get their numbers. Killed, it goes on when it is asked again."""
    from bss.billing import issuing, run

    office = office_of(ctx)
    actor = actor_of_command(ctx, office)
    issuing.issue_all(office, actor, id)
    show([office.act(actor, lambda desk: run_of(desk, run.find(desk, id)))], as_json, RUNS)


@command.command()
@click.argument("id")
@click.option("--reason", required=True, help="Why.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def cancel(ctx: click.Context, id: str, reason: str, as_json: bool) -> None:
    """Give up a run (its ID) that is not approved: its bills are void."""
    from bss.billing import run

    show([acting(ctx, lambda desk: run_of(desk, run.cancel(desk, id, reason)))], as_json, RUNS)


@command.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def runs(ctx: click.Context, as_json: bool) -> None:
    """List the newest 50 runs."""
    from bss.billing import run

    def look(desk: Desk) -> list[dict[str, Any]]:
        found: Any = desk.session.execute(run.listed(desk).limit(50)).scalars()
        return [run_of(desk, one) for one in found]
    show(acting(ctx, look), as_json, RUNS)


@command.command("list")
@click.option("--state", multiple=True, help="In this state; may be given again.")
@click.option("--customer", default="", help="Of this customer (id).")
@click.option("--period", default="", help="Of this period.")
@click.option("--run", "run_id", default="", help="Of this run (id).")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def listed(ctx: click.Context, state: tuple[str, ...], customer: str, period: str, run_id: str, as_json: bool) -> None:
    """List the newest 200 bills."""
    from bss.billing import bill

    def look(desk: Desk) -> list[dict[str, Any]]:
        found: Any = desk.session.execute(bill.listed(desk, state=state, customer_id=customer, period=period, run_id=run_id).limit(200)).scalars()
        return [bill_of(one) for one in found]
    show(acting(ctx, look), as_json, BILLS)


@command.command("show")
@click.argument("bill")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it here: .html, .pdf, .csv or .json, by the name.")
@click.option("--lang", type=click.Choice(["en", "zh"]), help="In this language; default: the account's.")
@click.option("--unmask", default="", metavar="REASON", help="With the buyer as he is; the reason is put on record.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with the evidence of each line.")
@click.pass_context
def one(ctx: click.Context, bill: str, out: Path | None, lang: str | None, unmask: str, as_json: bool) -> None:
    """Show the lines of a BILL (id or number)."""
    import json

    from bss.billing import bill as bills
    from bss.billing import data, document
    from bss.cli.counter import kept
    from bss.refusal import Refusal

    def look(desk: Desk) -> tuple[list[dict[str, Any]], bytes]:
        row = bills.find(desk, bill)
        open_ = bool(unmask) and desk.unmask(row, unmask)
        kind = out.suffix.lstrip(".").lower() if out else ""
        content = b""
        if kind == "html":
            content = document.shown(desk, row.id, lang or "", open_).encode()
        elif kind == "pdf":
            content = document.pdf(desk, row.id, lang or "", open_)
        elif kind == "csv":
            content = data.as_csv(desk, row.id).encode()
        elif kind == "json":
            content = json.dumps(data.told(desk, row, lines=True), ensure_ascii=False, indent=2).encode()
        elif out is not None:
            raise Refusal("invalid", f"a bill is not written as {kind!r}", str(out), "end its name in .html, .pdf, .csv or .json")
        if as_json:
            return [data.told(desk, row, lines=True)], content
        return [{"line": line.number, "kind": line.kind, "item": line.name["en"], "service": line.service_id, "from": line.begin, "before": line.end,
                 "quantity": f"{line.quantity.normalize():f}", "unit": line.unit, "net": line.net, "rate": line.tax_rate, "tax": line.tax, "gross": line.gross,
                 "original": line.original_period} for line in bills.lines_of(desk, row.id)], content
    rows, content = acting(ctx, look)
    if out is not None:
        kept(out, content)
    show(rows, as_json, () if as_json else LINES)


@command.command()
@click.argument("bill")
@click.argument("state", type=click.Choice(["onHold", "new", "void", "validated", "sent"]))
@click.option("--reason", default="", help="Why.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def move(ctx: click.Context, bill: str, state: str, reason: str, as_json: bool) -> None:
    """Hold a BILL, release it (new), void it, approve it and send it by itself."""
    from bss.billing import bill as bills

    show([acting(ctx, lambda desk: bill_of(bills.move(desk, bill, state, reason)))], as_json, BILLS)


@command.command()
@click.argument("bill")
@click.option("--reason", default="", help="Why it is taken back.")
@click.option("--issue/--reject", "decision", default=None, help="Decide on the credit note (its id instead of the bill's), as the second person.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def credit(ctx: click.Context, bill: str, reason: str, decision: bool | None, as_json: bool) -> None:
    """Write a credit note of a BILL that was sent, in full; a second person issues it. Then run the period for that customer again."""
    from bss.billing import bill as bills

    def act(desk: Desk) -> dict[str, Any]:
        row = bills.write_credit(desk, bill, reason) if decision is None else bills.decide_credit(desk, bill, decision, reason)
        return {"id": row.id, "number": row.number, "bill": row.bill_id, "state": row.state, "gross": -row.gross, "reason": row.reason}
    show([acting(ctx, act)], as_json)


@command.command()
@click.option("--customer", default="", help="Of this customer (id).")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def ageing(ctx: click.Context, customer: str, as_json: bool) -> None:
    """What is open of each account, by days overdue."""
    from bss.billing import ageing as ages

    show(acting(ctx, lambda desk: [ages.told(one) for one in ages.report(desk, customer_id=customer)]), as_json,
         () if as_json else ("number", "customer", "currency", *ages.NAMES, "open", "balance", "bills"))
