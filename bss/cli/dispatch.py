"""`fullspan bss dispatch`: field staff and contractors, sent for tickets and orders."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bss.cli.counter import acting, settings_of, show
from bss.cli.enquiry import document
from bss.desk import Desk
from bss.moment import iso
from bss.moment import read as read_time
from bss.refusal import Refusal

COLUMNS = ("id", "number", "kind", "state", "owner", "ticket", "item", "due", "accepted", "arrived", "done", "reason")
as_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group()
def command() -> None:
    """Dispatches: send, list, show, move on, answer the checklist, attach photos."""


def row_of(desk: Desk, row: Any) -> dict[str, Any]:
    """A line of the list."""
    from bss.tables import User

    zone, user = desk.office.settings.zone, desk.session.get(User, row.owner_id)
    return {"id": row.id, "number": row.number, "kind": row.kind, "state": row.state, "owner": user.login if user else row.owner_id, "ticket": row.ticket_id,
            "item": row.item_id, "region": row.region, "task": row.task, "due": iso(row.due, zone), "accepted": iso(row.accepted, zone),
            "arrived": iso(row.arrived, zone), "done": iso(row.done, zone), "reason": row.reason}


@command.command()
@click.argument("owner")
@click.option("--kind", type=click.Choice(["repair", "install", "survey"]), default="repair", show_default=True, help="What he is sent for.")
@click.option("--ticket", help="Of this ticket (id).")
@click.option("--item", help="Or of this item of an order (id).")
@click.option("--task", required=True, help="What is to be done.")
@click.option("--site", help="Where.")
@click.option("--checklist", default="", help="Key of the checklist; default: that of the kind.")
@click.option("--due", default="", help="Accepted by then; default: in 30 minutes.")
@as_json
@click.pass_context
def send(ctx: click.Context, owner: str, kind: str, ticket: str | None, item: str | None, task: str, site: str | None, checklist: str, due: str,
         as_json: bool) -> None:
    """Send somebody (OWNER, his id)."""
    from bss.tickets import dispatch

    when = read_time(due, settings_of(ctx).zone, "--due") if due else None
    show([acting(ctx, lambda desk: row_of(desk, dispatch.send(desk, kind=kind, owner_id=owner, task=task, ticket_id=ticket, item_id=item, site=site,
                                                              checklist=checklist, due=when)))], as_json, () if as_json else COLUMNS)


@command.command("list")
@click.option("--state", default="", help="In this state.")
@click.option("--owner", default="", help="Of this person (id).")
@click.option("--region", default="", help="Of this region.")
@click.option("--overdue", is_flag=True, help="Those that should have been accepted.")
@as_json
@click.pass_context
def listed(ctx: click.Context, state: str, owner: str, region: str, overdue: bool, as_json: bool) -> None:
    """List the newest 200."""
    from bss.tickets import dispatch

    query = {"state": state, "owner": owner, "region": region}
    show(acting(ctx, lambda desk: [row_of(desk, one) for one in desk.session.execute(dispatch.listed(desk, **query, overdue=overdue).limit(200)).scalars()]),
         as_json, () if as_json else COLUMNS)


@command.command("show")
@click.argument("id")
@as_json
@click.pass_context
def one(ctx: click.Context, id: str, as_json: bool) -> None:
    """Show one with its checklist."""
    from bss.tickets import dispatch

    def look(desk: Desk) -> list[dict[str, Any]]:
        row = dispatch.find(desk, id)
        found = dispatch.judged(desk, row)
        asked = [{"key": one.key, "question": one.name.en, "question_zh": one.name.zh, "kind": one.kind, "unit": one.unit, "answer": found.answers.get(one.key),
                  "missing": one.key in found.missing} for one in dispatch.questions(desk, row).question]
        desk.record("dispatch.view", row)
        return [{**row_of(desk, row), "photos": dispatch.photos(desk, row.id), "checklist": asked}] if as_json else asked
    show(acting(ctx, look), as_json)


@command.command()
@click.argument("id")
@click.argument("state", type=click.Choice(["accepted", "arrived", "done", "declined", "cancelled"]))
@click.option("--reason", default="", help="Why; of what is declined, cancelled or done without an answer.")
@click.option("--answers", default="", help="Answers, as JSON: {\"cause\": \"...\", \"tested\": true}.")
@as_json
@click.pass_context
def move(ctx: click.Context, id: str, state: str, reason: str, answers: str, as_json: bool) -> None:
    """Move a dispatch on. What is refused is said in a sentence, and is on record."""
    from bss.tickets import dispatch

    given = document(answers, "--answers") if answers else None
    show([acting(ctx, lambda desk: row_of(desk, dispatch.move(desk, id, state, reason, given)))], as_json, () if as_json else COLUMNS)


@command.command()
@click.argument("id")
@click.argument("answers")
@as_json
@click.pass_context
def answer(ctx: click.Context, id: str, answers: str, as_json: bool) -> None:
    """Answer questions of the checklist (ANSWERS, as JSON)."""
    from bss.tickets import dispatch

    given = document(answers, "ANSWERS")
    show([acting(ctx, lambda desk: row_of(desk, dispatch.answer(desk, id, given)))], as_json, () if as_json else COLUMNS)


@command.command()
@click.argument("id")
@click.argument("file", type=click.Path(path_type=Path))
@as_json
@click.pass_context
def photo(ctx: click.Context, id: str, file: Path, as_json: bool) -> None:
    """Attach a FILE to a dispatch, such as a photo."""
    from bss.orders.attachment import attach

    try:
        content = file.read_bytes()
    except OSError as error:
        raise Refusal("invalid", f"the file can't be read: {error.strerror}", str(file), "name another one") from None

    def act(desk: Desk) -> dict[str, Any]:
        row = attach(desk, "dispatch", id, file.name, content)
        return {"id": row.id, "of": row.entity_id, "type": row.media_type, "bytes": row.size, "sha256": row.digest}
    show([acting(ctx, act)], as_json)
