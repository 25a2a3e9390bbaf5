"""`fullspan bss ticket`: tickets from their opening to their end."""
from __future__ import annotations

from typing import Any

import click

from bss.cli.counter import acting, settings_of, show
from bss.desk import Desk
from bss.moment import read as read_time

COLUMNS = ("id", "kind", "severity", "priority", "state", "service", "customer", "owner", "opened", "restore_due", "summary")
JSON = click.option("--json", "as_json", is_flag=True, help="As JSON.")


def row_of(desk: Desk, row: Any) -> dict[str, Any]:
    """A line of the list."""
    from bss.tickets.ticket import summary_of

    return {"id": row.id, "kind": row.kind, "severity": row.severity, "priority": row.priority, "state": row.state, "service": row.service_id,
            "customer": row.customer_id, "resource": row.resource_id, "owner": row.owner_id, "opened": row.created, "response_due": row.response_due,
            "restore_due": row.restore_due, "parent": row.parent_id, "repeat_of": row.repeat_of_id, "summary": summary_of(desk, row)}


@click.group()
def command() -> None:
    """Tickets: open, list, move, note, claim restored, override."""


@command.command("open")
@click.option("--service", help="Id of the service that it is about.")
@click.option("--customer", help="Id of the customer.")
@click.option("--resource", help="Id of the resource.")
@click.option("--kind", default="complaint", show_default=True, help="outage, quality, attack, complaint, other ...")
@click.option("--severity", type=click.Choice(["critical", "major", "minor"]), default="minor", show_default=True, help="How grave it is.")
@click.option("--channel", default="phone", show_default=True, help="By which channel it came.")
@click.option("--summary", required=True, help="What is the matter.")
@JSON
@click.pass_context
def opened(ctx: click.Context, service: str | None, customer: str | None, resource: str | None, kind: str, severity: str, channel: str, summary: str,
           as_json: bool) -> None:
    """Open a ticket."""
    from bss.tickets import ticket

    show([acting(ctx, lambda desk: row_of(desk, ticket.open_(desk, kind=kind, severity=severity, summary=summary, service_id=service, customer_id=customer,
                                                             resource_id=resource, channel=channel)))], as_json, COLUMNS)


@command.command("list")
@click.option("--state", multiple=True, help="In this state; may be given again.")
@click.option("--kind", default="", help="Of this kind.")
@click.option("--region", default="", help="Of this region.")
@click.option("--owner", default="", help="Of this responsible person (id).")
@click.option("--parent", default="", help="Children of this ticket (id).")
@click.option("--overdue", is_flag=True, help="Those that should have been answered or restored by now.")
@JSON
@click.pass_context
def listed(ctx: click.Context, state: tuple[str, ...], kind: str, region: str, owner: str, parent: str, overdue: bool, as_json: bool) -> None:
    """List the newest 200 tickets."""
    from bss.tickets import ticket

    def look(desk: Desk) -> list[dict[str, Any]]:
        query = ticket.listed(desk, state=state, kind=kind, region=region, owner=owner, parent=parent, overdue=overdue).limit(200)
        return [row_of(desk, one) for one in desk.session.execute(query).scalars()]
    show(acting(ctx, look), as_json, COLUMNS)


@command.command("show")
@click.argument("ticket_id")
@JSON
@click.pass_context
def one(ctx: click.Context, ticket_id: str, as_json: bool) -> None:
    """Show what was done and said of a ticket, and what it rests on."""
    from bss.tables import Ticket
    from bss.tickets import ticket, transition

    def look(desk: Desk) -> list[dict[str, Any]]:
        desk.demand("ticket.read")
        row = desk.find(Ticket, ticket_id)
        steps = [{"time": step.time, "what": f"{step.from_state or 'new'} -> {step.to_state}", "who": step.user_id, "words": step.reason}
                 for step in ticket.history_of(desk, row)]
        notes = [{"time": said.time, "what": said.kind, "who": said.user_id, "words": said.text} for said in ticket.notes_of(desk, row)]
        lines = sorted([*steps, *notes], key=lambda line: str(line["time"]))
        if as_json:
            return [{**row_of(desk, row), "evidence": transition.evidence_of(row), "claimed": row.claimed, "restored": row.restored, "history": lines}]
        return [{"time": row.created, "what": row.state, "who": row.owner_id, "words": ticket.summary_of(desk, row)}, *lines]
    show(acting(ctx, look), as_json, () if as_json else ("time", "what", "who", "words"))


@command.command()
@click.argument("ticket_id")
@click.argument("state")
@click.option("--reason", default="", help="Why; some states ask for it.")
@JSON
@click.pass_context
def move(ctx: click.Context, ticket_id: str, state: str, reason: str, as_json: bool) -> None:
    """Move a ticket to a STATE. What is refused is said in a sentence, and is on record."""
    from bss.tickets import transition

    show([acting(ctx, lambda desk: row_of(desk, transition.move(desk, ticket_id, state, reason)))], as_json, COLUMNS)


@command.command()
@click.argument("ticket_id")
@click.argument("text")
@click.option("--internal", is_flag=True, help="Its customer does not see it.")
@click.pass_context
def note(ctx: click.Context, ticket_id: str, text: str, internal: bool) -> None:
    """Note something on a ticket."""
    from bss.tickets import ticket

    click.echo(acting(ctx, lambda desk: ticket.note(desk, ticket_id, text, internal).id))


@command.command()
@click.argument("ticket_id")
@click.argument("owner_id")
@JSON
@click.pass_context
def assign(ctx: click.Context, ticket_id: str, owner_id: str, as_json: bool) -> None:
    """Give a ticket to a user (his id)."""
    from bss.tickets import ticket

    show([acting(ctx, lambda desk: row_of(desk, ticket.assign(desk, ticket_id, owner_id)))], as_json, COLUMNS)


@command.command()
@click.argument("ticket_id")
@click.option("--at", help="When it was restored; now where it is left out.")
@click.option("--note", "said", default="", help="How.")
@JSON
@click.pass_context
def claim(ctx: click.Context, ticket_id: str, at: str | None, said: str, as_json: bool) -> None:
    """Say that it was restored. It stays open until that is measured."""
    from bss.tickets import transition

    when = read_time(at, settings_of(ctx).zone, "--at") if at else None
    show([acting(ctx, lambda desk: row_of(desk, transition.claim(desk, ticket_id, when, said)))], as_json, COLUMNS)


@command.command()
@click.argument("ticket_id")
@click.option("--reason", required=True, help="Why.")
@JSON
@click.pass_context
def override(ctx: click.Context, ticket_id: str, reason: str, as_json: bool) -> None:
    """Resolve a ticket whatever the traffic says, as the second person."""
    from bss.tickets import transition

    show([acting(ctx, lambda desk: row_of(desk, transition.override(desk, ticket_id, reason)))], as_json, COLUMNS)


@command.command()
@click.argument("ticket_id")
@click.option("--reject", is_flag=True, help="Reject it, with a reason.")
@click.option("--reason", default="", help="Why.")
@JSON
@click.pass_context
def decide(ctx: click.Context, ticket_id: str, reject: bool, reason: str, as_json: bool) -> None:
    """Approve or reject what is proposed against an attack."""
    from bss.tickets import transition

    show([acting(ctx, lambda desk: row_of(desk, transition.decide(desk, ticket_id, not reject, reason)))], as_json, COLUMNS)


@command.command()
@click.argument("ticket_id")
@JSON
@click.pass_context
def children(ctx: click.Context, ticket_id: str, as_json: bool) -> None:
    """Resolve those children of a resolved ticket of which it is measured that they are restored."""
    from bss.tickets import transition

    def act(desk: Desk) -> list[dict[str, Any]]:
        done, left = transition.resolve_children(desk, ticket_id)
        return [*({"id": row.id, "state": row.state, "why": ""} for row in done), *({"id": key, "state": "", "why": why} for key, why in left.items())]
    show(acting(ctx, act), as_json, ("id", "state", "why"))
