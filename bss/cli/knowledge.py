"""`fullspan bss knowledge`: what is known about faults."""
from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import click

from bss.cli.counter import acting, show
from bss.desk import Desk
from bss.refusal import Refusal

as_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group()
def command() -> None:
    """The knowledge base: find, show, load a file of articles, retire."""


def row_of(row: Any, score: float | None = None) -> dict[str, Any]:
    """A line of the list."""
    return {"id": row.id, "title": row.title["en"], "title_zh": row.title["zh"], "about": " ".join([*row.alert_kinds, *row.ticket_kinds]), "score": score}


@command.command()
@click.argument("words", required=False, default="", metavar="[WORDS]")
@click.option("--kind", default="", help="Those about this kind of alert or ticket first.")
@as_json
@click.pass_context
def find(ctx: click.Context, words: str, kind: str, as_json: bool) -> None:
    """The articles that fit WORDS, in English or Chinese, best; the newest without."""
    from bss.tickets import knowledge

    show(acting(ctx, lambda desk: [row_of(one.article, one.score) for one in knowledge.search(desk, words, (kind,))]), as_json)


@command.command("show")
@click.argument("id")
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="In this language.")
@as_json
@click.pass_context
def one(ctx: click.Context, id: str, lang: str, as_json: bool) -> None:
    """Show an article."""
    from bss.tickets import knowledge

    row = acting(ctx, lambda desk: knowledge.find(desk, id))
    if as_json:
        show([{**row_of(row), "title": row.title, "text": row.text}], True)
    else:
        click.echo(f"{row.title[lang]}\n\n{row.text[lang]}")


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@as_json
@click.pass_context
def load(ctx: click.Context, file: Path, as_json: bool) -> None:
    """Load the articles of a TOML FILE (tables [[article]]), each as a new one: all of them, or none."""
    from bss.tickets import knowledge

    try:
        told = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Refusal("invalid", f"the file can't be read: {error}", str(file), "see bss/samples/knowledge.toml") from None
    articles = told.get("article")
    if not isinstance(articles, list) or set(told) != {"article"} or not all(isinstance(one, dict) for one in articles):
        raise Refusal("invalid", "the file has tables [[article]], and nothing else", str(file), "see bss/samples/knowledge.toml")

    def act(desk: Desk) -> list[dict[str, Any]]:
        return [row_of(knowledge.write(desk, one)) for one in articles]
    show(acting(ctx, act), as_json)


@command.command()
@click.argument("id")
@click.option("--reason", default="", help="Why.")
@as_json
@click.pass_context
def retire(ctx: click.Context, id: str, reason: str, as_json: bool) -> None:
    """Suggest an article no longer."""
    from bss.tickets import knowledge

    show([acting(ctx, lambda desk: row_of(knowledge.retire(desk, id, reason)))], as_json)


@command.command()
@click.argument("ticket")
@as_json
@click.pass_context
def suggest(ctx: click.Context, ticket: str, as_json: bool) -> None:
    """What is known about a TICKET (its id)."""
    from bss.tickets import knowledge

    show(acting(ctx, lambda desk: [row_of(one.article, one.score) for one in knowledge.suggested(desk, ticket)]), as_json)
