"""Writes the pages that derive from the code: docs/business-*.md, docs/commands.md, docs/dashboards.md, docs/detection.md, docs/protocols.md, docs/reports.md,
docs/schema.md and docs/settings.md.

python docs/generate.py            write them
python docs/generate.py --check    write nothing; exit 1 where a page is not what would be written (CI)
"""
from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
import business_pages  # noqa: E402

_NOTE = "<!-- Written by docs/generate.py: change the code, not this page. -->\n"


def commands() -> str:
    """Each command and its options, as `--help` says them."""
    from dpi.cli.main import cli

    context = click.Context(cli, info_name="fullspan")
    lines = [_NOTE, "# Commands\n", (cli.help or "").split("\n\n")[0].replace("\n", " ") + "\n",
             "Exit codes: 0 done; 1 finished, but an input was cut, damaged or skipped, or a rule was refused; 2 wrong use or wrong configuration; "
             "130 interrupted, with what was done so far kept and shown.\n"]
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        if command is not None:
            lines += _command(command, click.Context(command, info_name=name, parent=context), 2)
    return "\n".join(lines)


def _command(command: click.Command, context: click.Context, level: int) -> Iterator[str]:
    yield f"{'#' * level} {context.command_path}\n"
    context.terminal_width = context.max_content_width = 110
    yield f"```\n{command.get_help(context).rstrip()}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                yield from _command(inner, click.Context(inner, info_name=name, parent=context), level + 1)


def _sorted(table: Any) -> str:
    """How its rows lie in the store."""
    if table.order:
        return f"Sorted by {', '.join(f'`{name}`' for name in table.order)}."
    return f"Rows lie as they came, with the least and greatest `{table.span}` of every 8192."


def schema() -> str:
    """Each table and its columns."""
    from dpi.schema import KINDS, TABLES

    lines = [_NOTE, "# Tables and columns\n",
             "Times are UTC with microseconds. Addresses are IPv6 with IPv4 mapped in the store, plain IPv4 in text. The client is the side that opened "
             "the flow. `wire` bytes are the frame as sent without FCS (link load); `bytes` are the octets of the innermost IP packet (bills, IPFIX); "
             "`payload` bytes are those of layer 4. In JSON and CSV every column keeps its name. Partitions and retention follow `stored_time`.\n"]
    for table in TABLES.values():
        lines += [f"## {table.name}\n", f"{table.words} {_sorted(table)}"
                  + (f" Computed from `{table.folds}` as rows are stored; in a store of replays, when it is asked for." if table.folds else "") + "\n",
                  "| column | store | JSON | unit | meaning | source |", "|---|---|---|---|---|---|"]
        for column in table.columns:
            cells = (f"`{column.name}`", f"`{column.type()}`", KINDS[column.kind].words, column.unit, column.words, column.source)
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        lines.append("")
    lines += ["## Adding a column\n",
              "Add its row to the table in `dpi/schema.py`: name, kind, meaning, unit, source. The numpy and Arrow types, the DDL, the JSON name and this page "
              "follow; an existing store gains the column when it is next opened. Then give it values where rows are made: `dpi/flow/rows.py` for `flows`; "
              "for `dns`, `tls`, `http` and `files` the row's `slot` names the field of the parser's record, and nothing else is needed.\n"]
    return "\n".join(lines)


def settings() -> str:
    """Each setting, its default and its bounds."""
    from dpi.settings import _SECTIONS, _TABLES

    lines = [_NOTE, "# Settings\n", "Defaults, then `fullspan.toml` of the working directory (or the file `$FULLSPAN_CONFIG` names), then the environment: "
             "`FULLSPAN_FLOW_IDLE_TCP=120` sets `idle_tcp` of `[flow]`. A wrong name or value is one error that says where. "
             "`FULLSPAN_CACHE` is the directory of what is made once and used by every start: kernels, rules, modules, pages, empty stores; "
             "`FULLSPAN_JIT` is `on`, `off` or `checked`.\n",
             "SIGHUP: a probe that runs takes a setting marked `yes` when it is told to read its settings anew; the others need a restart.\n"]
    for name, section in {**_SECTIONS, **{f"{name}.NAME": kind for name, kind in _TABLES.items()}}.items():
        lines += [f"## [{name}]\n", f"{(section.__doc__ or '').strip()}\n", "| name | default | allowed | SIGHUP | meaning |", "|---|---|---|---|---|"]
        for one in fields(section):
            rule: Any = one.metadata
            allowed = f"{rule['least']} to {rule['most']}" if rule["least"] is not None else ", ".join(rule["among"]) or "text"
            lines.append(f"| `{one.name}` | `{one.default!r}` | {allowed} | {'yes' if rule['live'] else ''} | {rule['words']} |")
        lines.append("")
    return "\n".join(lines)


def protocols() -> str:
    """Each parser, then each protocol that rules know: by first bytes, or by port, network, ALPN or name alone."""
    from dpi.classify.registry import parsers

    parsed = parsers()
    lines = [_NOTE, "# Protocols\n",
             "What the column `protocol` can say, how it is known, and where. A parser reads fields; a row of first bytes compares bytes at offsets, lengths "
             "and repetition; [rules.md](rules.md) and [adding.md](adding.md) show how to add either. Applications are rows of [rules/apps](../rules/apps).\n",
             f"## Parsed: {len(parsed)}\n",
             "`fields`: columns of `flows`, or tables, that the parser fills beside `protocol`, `category`, `confidence` and `evidence`.\n",
             "| protocol | also names | transport | fields | source | file |", "|---|---|---|---|---|---|"]
    for one in sorted(parsed, key=lambda one: one.protocol.name.lower()):
        said = one.protocol
        transports = sorted({claim.transport for claim in said.claims})
        lines.append(_line(f"`{said.name}`", ", ".join(f"`{name}`" for name in said.also), ", ".join(transports),
                           ", ".join(f"`{name}`" for name in said.fields), said.source, f"[{Path(one.file).name}](../{one.file})"))
    known = {name.partition(".")[0] for one in parsed for name in (one.protocol.name, *one.protocol.also)}
    by_bytes, by_else = _stanzas(known)
    for title, column, rows in (("first bytes", "transport", by_bytes), ("port, network, ALPN or name alone", "by", by_else)):
        lines += ["", f"## Known by {title}: {len(rows)}\n", f"| protocol | category | {column} | source | file |", "|---|---|---|---|---|", *rows]
    return "\n".join(lines)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _stanzas(parsed: set[str]) -> tuple[list[str], list[str]]:
    """Lines of the protocols that only rules know: those with first bytes, and the rest. Stanzas of one name are taken together."""
    from dpi.classify.ports import TRANSPORTS
    from dpi.classify.stanzas import Stanza, read

    named: dict[str, list[Stanza]] = {}
    for path in sorted((HERE.parent / "rules" / "apps").glob("*.toml")):
        for stanza in read(path, f"rules/apps/{path.name}"):
            if stanza.kind == "protocol" and stanza.name not in parsed:
                named.setdefault(stanza.name, []).append(stanza)
    words = {number: word for word, number in TRANSPORTS.items()}
    by_bytes, by_else = [], []
    for name, stanzas in sorted(named.items(), key=lambda item: item[0].lower()):
        over = sorted({words.get(row.ip_protocol, f"ip:{row.ip_protocol}") for one in stanzas for row, _ in one.signatures})
        files = ", ".join(f"[{Path(file).name}](../{file})" for file in sorted({one.place.file for one in stanzas}))
        sources = "; ".join(dict.fromkeys(one.source for one in stanzas if one.source))
        how = [word for word, field in (("port", "ports"), ("network", "networks"), ("ALPN", "alpn"), ("name", "names"), ("user agent", "user_agents"),
                                        ("certificate", "certificates")) if any(getattr(one, field) for one in stanzas)]
        (by_bytes if over else by_else).append(_line(f"`{name}`", stanzas[0].category, ", ".join(over or how), sources, files))
    return by_bytes, by_else


def dashboards() -> str:
    """Each Grafana dashboard, its choices and its panels."""
    from dpi.reports import grafana

    kinds = {"series": "lines", "heatmap": "heatmap", "table": "table", "bars": "bars", "stat": "figure"}
    lines = [_NOTE, "# Dashboards\n",
             "What each Grafana dashboard shows; [grafana.md](grafana.md) has the set-up. Written by `fullspan grafana`, never drawn here.\n"]
    for english, chinese in zip(grafana.boards("en"), grafana.boards("zh"), strict=True):
        choices = ", ".join(one.label for one in english.variables)
        lines += [f"## {english.title} ({chinese.title})\n", f"{english.words} Choices: {choices}.\n",
                  "| panel | 面板 | kind | unit | what it answers | read from |", "|---|---|---|---|---|---|"]
        for panel, other in zip(english.panels, chinese.panels, strict=True):
            read = dict.fromkeys(re.findall(r"\b(?:FROM|(?<!ARRAY )JOIN)\s+([a-z_]\w*)", panel.sql))
            lines.append(_line(panel.title, other.title, kinds[panel.kind], panel.unit if panel.unit != "none" else "", panel.words,
                               ", ".join(f"`{name}`" for name in read)))
        lines.append("")
    return "\n".join(lines)


def reports() -> str:
    """Each named report: its question, dimensions and columns, after what is true of all of them."""
    from dpi.reports.named import registry

    lines = [_NOTE, (HERE / "reports.head.md").read_text(encoding="utf-8").rstrip() + "\n"]
    for name, one in registry().items():
        filters = f" Filters: {', '.join(f'`--{given}`' for given in one.filters)}." if one.filters else ""
        lines += [f"## {name}\n", f"{one.title.en} ({one.title.zh}). {one.question.en}\n",
                  f"`--by`: {', '.join(f'`{by}`' for by in one.dimensions)}.{filters}\n",
                  "| column | unit | heading | 中文 | meaning |", "|---|---|---|---|---|"]
        lines += [_line(f"`{column.name}`", column.unit, column.heading.en, column.heading.zh, column.meaning.en) for column in one.columns]
        lines.append("")
    return "\n".join(lines)


def detection() -> str:
    """Each detector: what its file says, its options; after how detection works. Then the attacks by real tools that are made to try them."""
    from benchmarks.attacks.attack import attacks
    from dpi.security.registry import every

    found = every()
    lines = [_NOTE, (HERE / "detection.head.md").read_text(encoding="utf-8").rstrip() + "\n", f"## Detectors: {len(found)}\n",
             "| kind | severity | technique | |", "|---|---|---|---|"]
    lines += [_line(f"[`{one.kind}`](#{one.kind})", one.severity, f"{one.technique} {one.technique_name}".strip(), f"{one.title.en}, {one.title.zh}")
              for one in found]
    lines.append("")
    for one in found:
        technique = f"; ATT&CK {one.technique}, {one.technique_name}" if one.technique else ""
        lines += [f"## {one.kind}\n", f"{one.title.en} ({one.title.zh}); {one.severity}{technique}. [{Path(one.file).name}](../{one.file})\n",
                  f"{one.words}\n", "| option | default | allowed | meaning |", "|---|---|---|---|"]
        for each in fields(one.options):
            rule: Any = each.metadata
            bounds = f"{rule['least']} to {rule['most']}" if rule["least"] is not None else "text"
            lines.append(_line(f"`{each.name}`", f"`{each.default}`", bounds, rule["words"]))
        lines.append("")
    lines += ["## The attack day\n", "Attacks by real tools in network namespaces (`python -m benchmarks.attacks`), what is to be told of each, and within how "
              "many seconds of its beginning a probe beside it has to. A replay of what they left must say the same: `make proof` has the raw output.\n",
              "| attack | tool | any of these kinds | seconds, at most | told live after |", "|---|---|---|---|---|"]
    day = json.loads((HERE.parent / "benchmarks" / "results" / "attack-day.json").read_text(encoding="utf-8"))
    for each in attacks():
        found_it = day["attacks"].get(each.name, {"live_seconds": None, "told": ""})
        seconds = "not in time" if found_it["live_seconds"] is None else f"{found_it['live_seconds']:.0f} s"
        lines.append(_line(f"`{each.name}`", each.tool, ", ".join(f"`{kind}`" for kind in each.kinds), f"{each.limit:g}",
                           "not run" if each.name not in day["attacks"] else seconds))
    lines += ["", f"Of {day['date']}, commit {day['commit']}. By kind: alerts of the whole day, those that named the attack that was on rightly (the others "
              f"are true as well in part: a flood of questions also fails by the thousand), and how many came in {day['quiet_minutes']} minutes of quiet.\n",
              "| kind | alerts | rightly named | precision | in quiet, an hour |", "|---|---|---|---|---|"]
    for kind, count in day["kinds"].items():
        precision = f"{100 * count['right'] / count['of']:.0f} %" if count["of"] else ""
        lines.append(_line(f"`{kind}`", str(count["of"]), str(count["right"]), precision, f"{60 * count['quiet'] / day['quiet_minutes']:.1f}"))
    lines += ["", "Kinds that are not named were not told at all."]
    return "\n".join([*lines, ""])


PAGES = {"business-formats.md": business_pages.formats, "business-permissions.md": business_pages.permissions, "commands.md": commands,
         "dashboards.md": dashboards, "detection.md": detection, "reports.md": reports, "protocols.md": protocols, "schema.md": schema,
         "settings.md": settings}


def main(check: bool) -> int:
    """Write or compare the pages; returns the exit code."""
    stale = 0
    for name, make in PAGES.items():
        page, text = HERE / name, make().rstrip() + "\n"
        if page.exists() and page.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if check:
            print(f"docs/{name} is not what the code says: run python docs/generate.py", file=sys.stderr)
        else:
            page.write_text(text, encoding="utf-8")
            print(f"docs/{name} written")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
