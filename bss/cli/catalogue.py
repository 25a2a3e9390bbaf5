"""`fullspan bss catalogue`: what is sold."""
from __future__ import annotations

from pathlib import Path

import click

from bss.cli.counter import acting, settings_of, show
from bss.moment import read as read_time


@click.group()
def command() -> None:
    """What is sold: load a catalogue, list it, show an offering."""


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def load(ctx: click.Context, file: Path, as_json: bool) -> None:
    """Publish the offerings and promises of a TOML FILE, or nothing of it. See bss/samples/catalogue.toml."""
    from bss.catalogue.publishing import publish
    from bss.catalogue.reading import read

    catalogue = read(file)
    done = acting(ctx, lambda desk: publish(desk, catalogue))
    show([{"code": one.code, "version": one.version, "new": one.new} for one in done], as_json)


@command.command("list")
@click.option("--kind", multiple=True, help="Of this kind; may be given again.")
@click.option("--at", default="", help="As it is sold at this time; else the newest version of each.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def listed(ctx: click.Context, kind: tuple[str, ...], at: str, as_json: bool) -> None:
    """List offerings."""
    from bss.catalogue.publishing import newest, summary
    from bss.desk import Desk

    when = read_time(at, settings_of(ctx).zone, "--at") if at else None

    def look(desk: Desk) -> list[dict[str, object]]:
        desk.demand("catalogue.read")
        return [dict(summary(row)) for row in desk.session.execute(newest(kind, when)).scalars()]
    show(acting(ctx, look), as_json)


@command.command("show")
@click.argument("code")
@click.option("--version", type=click.IntRange(1), help="This version; else the one that is sold now.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def one(ctx: click.Context, code: str, version: int | None, as_json: bool) -> None:
    """Show one offering with its prices."""
    from bss.catalogue.publishing import document_of, holding, summary, version_of
    from bss.desk import Desk

    def look(desk: Desk) -> list[dict[str, object]]:
        desk.demand("catalogue.read")
        row = version_of(desk, code, version) if version else holding(desk, code, desk.now)
        if as_json:
            return [{**summary(row), "document": row.document}]
        document = document_of(row)
        return [{"code": row.code, "version": row.version, "price": one.key, "name": one.name.en, "name_zh": one.name.zh, "amount": one.amount,
                 "per": " ".join(filter(None, (one.unit, one.period))), "tax": f"{one.tax} {one.tax_rate}"} for one in document.prices]
    show(acting(ctx, look), as_json)
