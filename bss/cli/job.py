"""`fullspan bss job`: what waits for the worker, and what it could not do."""
from __future__ import annotations

from typing import Any

import click

from bss.cli.counter import acting, show
from bss.desk import Desk
from bss.moment import iso
from bss.tables import Job
from bss.working import job

as_json = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


@click.group()
def command() -> None:
    """Jobs of the worker: list, again."""


def told(desk: Desk, one: Job) -> dict[str, Any]:
    """A job as a row."""
    zone = desk.office.settings.zone
    return {"id": one.id, "kind": one.kind, "key": one.key, "due": iso(one.due, zone), "tries": one.tries, "done": iso(one.done, zone), "trouble": one.trouble}


@command.command(name="list")
@click.option("--waiting", is_flag=True, help="Only what is not done.")
@click.option("--trouble", is_flag=True, help="Only what has failed, or was given up.")
@click.option("--kind", default="", help="Only of this kind.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 100_000), help="Rows at most.")
@as_json
@click.pass_context
def list_(ctx: click.Context, waiting: bool, trouble: bool, kind: str, limit: int, as_json: bool) -> None:
    """Jobs, what is due first."""
    def look(desk: Desk) -> list[dict[str, Any]]:
        found: Any = desk.session.execute(job.search(desk, waiting, trouble, kind).limit(limit)).scalars()
        return [told(desk, one) for one in found]

    show(acting(ctx, look), as_json)


@command.command()
@click.argument("job_id", metavar="ID")
@as_json
@click.pass_context
def again(ctx: click.Context, job_id: str, as_json: bool) -> None:
    """Try a job once more, at once."""
    show([acting(ctx, lambda desk: told(desk, job.again(desk, job_id)))], as_json)
