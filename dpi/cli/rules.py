"""`fullspan rules`: check rule files, list what can be recognised, explain what a name, address, port or first bytes would be called."""
from __future__ import annotations

import json
from typing import Any

import click

from dpi.errors import UserError

_DIRECTORY = click.option("--rules", "directories", multiple=True, metavar="DIR", help="A further directory of rule files; may be given again.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("rules", short_help="Check, list and explain the rules that name applications.")
def command() -> None:
    """Check, list and explain the rules that name applications. docs/rules.md shows how to add one."""


@command.command("check")
@_DIRECTORY
@_JSON
@click.pass_context
def check(context: click.Context, directories: tuple[str, ...], as_json: bool) -> None:
    """Check every rule file; each error is one line with file, line and the fix. Exit 2 where there is one."""
    from dpi import rules

    errors = rules.check(directories)
    if errors:
        if as_json:
            click.echo(json.dumps({"ok": False, "errors": [{"what": one.what, "where": one.where, "mend": one.mend} for one in errors]}, indent=2))
        for one in errors:
            click.echo(str(one), err=True)
        context.exit(2)
    found = rules.load(directories)
    facts = {"ok": True, "version": found.version, "files": len(found.files), "applications": len(found.applications) - 1,
             "protocols": len(found.protocols) - 1, "parsers": len(found.parser_protocol) - 1, "rows": int(found.rows.size),
             "names": int((found.names.suffix[1:] > 0).sum() + (found.names.exact[1:] > 0).sum()), "tags": 0 if found.tagging is None else len(found.tagging.rules), "notes": found.notes}
    if as_json:
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    for note in found.notes:
        click.echo(f"note: {note}")
    click.echo(f"{facts['applications']} applications and {facts['protocols']} protocols ({facts['parsers']} parsed) from {facts['files']} files: "
               f"{facts['rows']} byte rows, {facts['names']} names, {facts['tags']} tag rules. No errors. Version {found.version}.")


@command.command("list")
@click.option("--category", help="Only this category.")
@click.option("--kind", type=click.Choice(["application", "protocol"]), help="Only applications, or only protocols.")
@_DIRECTORY
@_JSON
def list_(category: str | None, kind: str | None, directories: tuple[str, ...], as_json: bool) -> None:
    """List the applications and protocols that can be recognised."""
    from dpi import rules

    found = rules.load(directories)
    known = {*found.categories, *found.protocol_categories} - {""}
    if category is not None and category not in known:
        raise UserError(f"no category '{category}'", "rules list", f"there are: {', '.join(sorted(known))}")
    rows = [{"kind": sort, "name": name, "category": its}
            for sort, names, categories in (("application", found.applications, found.categories),
                                            ("protocol", found.protocols, found.protocol_categories))
            for name, its in zip(names, categories, strict=True)
            if name and kind in (None, sort) and category in (None, its)]
    rows.sort(key=lambda row: (row["category"], row["kind"], row["name"].lower()))
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    _table([(row["category"], row["kind"], row["name"]) for row in rows], ("category", "kind", "name"))
    click.echo(f"{len(rows)} in all")


@command.command("explain")
@click.argument("question")
@click.option("--transport", default="", metavar="tcp|udp|sctp|ip:N", help="For bytes: over what. Default: tcp and udp.")
@click.option("--server-port", type=click.IntRange(0, 65535), default=0, help="For bytes: the server's port.")
@click.option("--client-port", type=click.IntRange(0, 65535), default=50000, help="For bytes: the client's port.")
@click.option("--from", "direction", type=click.Choice(["client", "server"]), default="client", help="For bytes: who sent them.")
@_DIRECTORY
@_JSON
def explain(question: str, transport: str, server_port: int, client_port: int, direction: str, directories: tuple[str, ...], as_json: bool) -> None:
    """Say what QUESTION would be called, and why.

    QUESTION is a name (www.example.com), an address (203.0.113.7), a port (udp/3478), first bytes (hex:160301... or text:...), a user agent
    (agent:...), an ALPN value (alpn:h3) or a name in a certificate (certificate:example.com).
    """
    from dataclasses import asdict

    from dpi import explanation, rules

    answers = explanation.explain(rules.load(directories), question, ports=(client_port, server_port),
                                  direction=explanation.DIRECTIONS[direction], transport=transport)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in answers], indent=2, ensure_ascii=False))
        return
    _table([(one.asked, " + ".join(filter(None, (one.protocol, one.application))) or "-", one.category or "-", one.confidence or "-", one.evidence)
            for one in answers], ("asked", "would be", "category", "confidence", "evidence"))


def _table(rows: list[tuple[Any, ...]], head: tuple[str, ...]) -> None:
    """Plain columns, the last one as long as it is: fit to be read, cut and searched."""
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head) - 1)]
    for row in [head, *rows]:
        click.echo("  ".join([*(str(cell).ljust(width) for cell, width in zip(row, widths, strict=False)), str(row[-1])]))
