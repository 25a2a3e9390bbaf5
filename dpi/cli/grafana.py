"""fullspan grafana: Grafana's dashboards as files, and the rollups that they read."""
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from dpi.errors import UserError

_DEFAULT_STORE = "chdb:///fullspan.chdb"


@click.command("grafana", short_help="Write Grafana's dashboards, or fill the rollups that they read.")
@click.option("--out", metavar="DIR", default="grafana", show_default=True, help="Where dashboards/en, dashboards/zh and grants.sql go.")
@click.option("--lang", "languages", type=click.Choice(["en", "zh"]), multiple=True, help="Only this language; both unless given.")
@click.option("--database", default="fullspan", show_default=True, help="The server's database, for grants.sql.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 where a file there is not what would be written.")
@click.option("--fill", is_flag=True, help="Instead, compute the rollups of every day anew from the rows that are stored: those of an older store have nothing of the days before them. While it runs nobody else may write.")
@click.option("--store", "store_url", metavar="URL", default=_DEFAULT_STORE, help="The store to fill (default: fullspan.chdb in this directory).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(context: click.Context, out: str, languages: tuple[str, ...], database: str, check: bool, fill: bool, store_url: str, as_json: bool) -> None:
    """Write Grafana's dashboards as files that it provisions. Links come from [links] of the settings. docs/grafana.md has the set-up."""
    if fill:
        _fill(store_url, as_json)
        return
    made = files(languages or ("en", "zh"), database)
    place = Path(out)
    stale = [name for name, text in made.items() if not _same(place / name, text)]
    if not check:
        for name in stale:
            _write(place / name, made[name])
    if as_json:
        click.echo(json.dumps({"files": sorted(made), "stale" if check else "written": stale}, indent=2))
    elif check:
        for name in stale:
            click.echo(f"{place / name} is not what fullspan grafana would write", err=True)
    else:
        click.echo(f"{len(made)} files in {place}, {len(stale)} of them written. Next: docs/grafana.md, from step 2.")
    context.exit(1 if check and stale else 0)


def files(languages: tuple[str, ...], database: str) -> dict[str, str]:
    """Name below the directory -> text. UserError for a name that is no database."""
    from dpi import settings
    from dpi.reports import grafana
    from dpi.reports.grafana.sql import Place

    if not database.replace("_", "a").isalnum():
        raise UserError("a database's name is made of letters, digits and _", f"--database {database}")
    links = getattr(settings.load(), "links", {})
    places = tuple(Place(name, link.interface, link.probe, link.site, link.capacity_bps) for name, link in links.items())
    made = {f"dashboards/{lang}/{name}": text for lang in languages for name, text in grafana.files(lang, places).items()}
    return {**made, "grants.sql": grafana.grants(database)}


def _same(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except (OSError, ValueError):
        return False


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.new")        # Grafana looks every few seconds, and must not see half a file
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise UserError(f"can't be written: {error.strerror}", str(path), "name another directory with --out") from None


def _fill(url: str, as_json: bool) -> None:
    from dpi.store import open_store, rollups

    store: Any = open_store(url, create=False)
    try:
        if not hasattr(store, "fill"):
            raise UserError("rollups are filled where the store can be written", url, "stop the probe that owns it, fill, and start it again")
        days = store.fill(lambda day, rows: None if as_json else click.echo(f"{day}: {rows:,} rows of rollups", err=True))
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps({"days": days, "rollups": [table.name for table in rollups.FOLDED]}))
    else:
        click.echo(f"{days} days filled in {len(rollups.FOLDED)} rollups")
    sys.stdout.flush()
