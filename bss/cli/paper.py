"""`fullspan bss paper`: solutions, quotes, test and acceptance sheets."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bss.cli.counter import acting, show
from bss.cli.enquiry import document
from bss.tables.paper import PAPERS

COLUMNS = ("id", "kind", "version", "state", "of", "written", "written_by", "decided_by", "reason")


def row_of(row: Any) -> dict[str, Any]:
    """A line of the list."""
    return {"id": row.id, "kind": row.kind, "version": row.number, "state": row.state, "of": row.entity_id, "written": row.written,
            "written_by": row.written_by, "decided_by": row.decided_by, "reason": row.reason, "content": row.content}


@click.group()
def command() -> None:
    """Papers: write, decide, list; the acceptance sheet of an order."""


@command.command()
@click.argument("kind", type=click.Choice(PAPERS))
@click.argument("entity", type=click.Choice(["enquiry", "product_order", "order_item"]))
@click.argument("id")
@click.option("--content", required=True, help="What it says, as JSON.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def write(ctx: click.Context, kind: str, entity: str, id: str, content: str, as_json: bool) -> None:
    """Write a new version of a paper of an ENTITY (by its ID)."""
    from bss.orders import paper

    show([row_of(acting(ctx, lambda desk: paper.write(desk, kind, entity, id, document(content, "--content"))))], as_json, () if as_json else COLUMNS)


@command.command()
@click.argument("id")
@click.option("--approve/--reject", required=True, help="Which of both.")
@click.option("--reason", default="", help="Why.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def decide(ctx: click.Context, id: str, approve: bool, reason: str, as_json: bool) -> None:
    """Approve a paper or reject it, as the second person."""
    from bss.orders import paper

    show([row_of(acting(ctx, lambda desk: paper.decide(desk, id, approve, reason)))], as_json, () if as_json else COLUMNS)


@command.command("list")
@click.option("--kind", default="", help="Of this kind.")
@click.option("--of", "entity_id", default="", help="Of this enquiry, order or item (id).")
@click.option("--state", default="", help="In this state.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def listed(ctx: click.Context, kind: str, entity_id: str, state: str, as_json: bool) -> None:
    """List the newest 200 papers."""
    from bss.orders import paper

    show(acting(ctx, lambda desk: [row_of(one) for one in desk.session.execute(paper.listed(desk, kind, entity_id, state).limit(200)).scalars()]),
         as_json, () if as_json else COLUMNS)


@command.command()
@click.argument("order")
@click.option("--out", type=click.Path(path_type=Path), help="Write it here as a page to print, too.")
@click.option("--lang", type=click.Choice(["en", "zh"]), help="In this language; default: the operator's.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def acceptance(ctx: click.Context, order: str, out: Path | None, lang: str | None, as_json: bool) -> None:
    """Write the acceptance sheet of an ORDER, with what was measured."""
    from bss.desk import Desk
    from bss.orders import acceptance as sheets

    def act(desk: Desk) -> tuple[Any, str]:
        row = sheets.make(desk, order)
        return row, sheets.shown(desk, row.id, lang or "")
    row, page = acting(ctx, act)
    if out is not None:
        out.write_text(page, encoding="utf-8")
    show([row_of(row)], as_json, () if as_json else COLUMNS)
