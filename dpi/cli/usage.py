"""fullspan usage: what services and customers used, in minutes and hours that are closed."""
from __future__ import annotations

import csv
import json
import signal
import sys
import threading
import time
from dataclasses import asdict
from typing import Any

import click

from dpi.cli.moments import moment
from dpi.cli.reasons import permitted_of, reason_options
from dpi.errors import UserError

_STORE = click.option("--store", "store_url", metavar="URL", default="chdb:///fullspan.chdb", help="The store (default: fullspan.chdb in this directory).")
_DAY = 86_400
_SHOWN = 50             # lines of a table, and services of which a change is told
_BY = ("service", "customer", "application", "category", "network", "hour", "minute")


@click.group("usage", short_help="What services used, by minutes and hours that are closed.")
def command() -> None:
    """What each service and customer sent and received, in minutes and hours that are closed. docs/usage.md defines every figure.

    The probe computes it by itself, and so does a replay that was given bindings or local networks.
    """


@command.command("show", short_help="Show usage of a span.")
@click.argument("begin", metavar="[FROM", required=False)
@click.argument("end", metavar="TO]", required=False)
@_STORE
@click.option("--by", type=click.Choice(_BY), default="service", show_default=True, help="A line for each. Applications and categories are of whole hours; networks are what no binding covers.")
@click.option("--service", "services", metavar="ID", multiple=True, help="Only this service; may be given again.")
@click.option("--customer", "customers", metavar="ID", multiple=True, help="Only this customer; may be given again.")
@reason_options
@click.option("--top", type=click.IntRange(1), default=_SHOWN, show_default=True, metavar="N", help="Lines shown at most; JSON and CSV have all.")
@click.option("--json", "form", flag_value="json", help="Print JSON.")
@click.option("--csv", "form", flag_value="csv", help="Print CSV.")
def show(begin: str | None, end: str | None, store_url: str, by: str, services: tuple[str, ...], customers: tuple[str, ...], top: int, reason: str, ticket: str,
         form: str | None) -> None:
    """Usage from FROM until TO, times as in 2026-03-01T08:00:00Z; without them, of the newest day there is.

    Bytes are octets of IP packets. What was seen where a service is not metered (duplicates) is in a column of its own and in no other.
    """
    from dpi.store import open_store
    from dpi.usage.account import account, newest

    store = open_store(store_url, create=False, readonly=True)
    try:
        reading = permitted_of(store, "usage", reason, ticket, customers, services)
        last = newest(store)
        if last is None and (begin is None or end is None):
            raise UserError("no usage has been computed there", store_url, "give a replay --bindings, run a probe, or say: fullspan usage recompute FROM TO")
        until = _minute(end, "TO", up=True) or last or 0
        since = _minute(begin, "FROM")
        since = until - _DAY if since is None else since
        if since >= until:
            raise UserError("FROM is not before TO", f"{begin} {end or ''}".strip())
        found = account(store, since, until, by, services, customers)
        if reading is not None:
            reading.told(len(found.lines))
    finally:
        store.close()
    if form == "json":
        click.echo(json.dumps({"from": _shown(found.begin), "to": _shown(found.end), "by": by, "usage": [asdict(one) for one in found.lines],
                               "complete": asdict(found.complete)}, indent=2, ensure_ascii=False))
        return
    if form == "csv":
        from dpi.usage.account import Used

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow([by, *list(asdict(Used("")))[1:]])
        writer.writerows(["" if value is None else value for value in asdict(one).values()] for one in found.lines)
        click.echo(_complete(found), err=True)
        return
    _table(found, top)
    click.echo(_complete(found))


@command.command("recompute", short_help="Compute usage of a span anew.")
@click.argument("begin", metavar="FROM")
@click.argument("end", metavar="TO")
@_STORE
@click.option("--dry-run", is_flag=True, help="Say what would change, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def recompute(begin: str, end: str, store_url: str, dry_run: bool, as_json: bool) -> None:
    """Compute the minutes from FROM until TO, and the hours that they are in, from the flows that are stored now. What comes out as it is stays as it is.

    Minutes whose flows have gone, for their age or for want of room, are refused and keep what was computed of them. Exit status 1 where there were such.
    """
    from dpi.store import open_store
    from dpi.usage.computing import Job

    first, last = _minute(begin, "FROM"), _minute(end, "TO", up=True)
    if first is None or last is None or first >= last:
        raise UserError("FROM is not before TO", f"{begin} {end}")
    store = open_store(store_url, create=False, readonly=True) if dry_run else _own(store_url)
    try:
        outcome = Job(store, None if dry_run else 0).run(first, last, captures=None, every=True, dry=dry_run)
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, "tables": {name: asdict(tally) for name, tally in outcome.tables.items()},
                               "changes": {name: {who: asdict(change) for who, change in sorted(changes.items())} for name, changes in outcome.changes.items()},
                               "refused": [{"table": table, "probe": source.probe, "capture_id": str(source.capture_id), "time": _shown(at)}
                                           for table, source, at in outcome.refused]}, indent=2, ensure_ascii=False))
    else:
        _recomputed(outcome, dry_run)
    for table, source, at in outcome.refused[:20]:
        click.echo(f"fullspan: {table} {_shown(at)} of {source.probe}: flows of it have gone from the store; what was computed of it stays", err=True)
    if len(outcome.refused) > 20:
        click.echo(f"fullspan: and {len(outcome.refused) - 20} more", err=True)
    sys.exit(1 if outcome.refused or outcome.total("unsettled") else 0)


@command.command("run", short_help="Compute usage of a store day and night.")
@_STORE
@click.option("--once", is_flag=True, help="Compute what is closed now, and end.")
def run(store_url: str, once: bool) -> None:
    """Compute usage of the probes that write to this store, as their minutes close, until SIGTERM or Ctrl-C: beside a ClickHouse server, for probes that have
    `compute = 0` in [usage]. Two that do it at once do no harm.
    """
    from dpi.logs import configure
    from dpi.settings import load
    from dpi.usage.computing import Job
    from dpi.usage.metering import EVERY, Metering

    store = _own(store_url)
    try:
        if once:
            outcome = Job(store).run()
            click.echo(f"{outcome.total('written'):,} minutes and hours written, {outcome.total('open'):,} not closed yet")
            return
        configure(load().probe.log)
        Job(store)                      # what can't compute usage is told now
        over = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: over.set())
        metering = Metering(lambda: store)
        while not over.is_set():
            began = time.monotonic()
            metering.look()
            over.wait(max(0.0, EVERY - (time.monotonic() - began)))
    finally:
        store.close()


def _own(url: str) -> Any:
    """The store, to be written. UserError where another process owns it: that one computes its usage."""
    from dpi.store import open_store
    from dpi.store.remote import RemoteStore

    store = open_store(url, create=False)
    if isinstance(store, RemoteStore):
        raise UserError("a probe owns this store, and computes its usage itself", url, "say recompute --dry-run, or stop the probe first")
    return store


def _minute(text: str | None, option: str, up: bool = False) -> int | None:
    """The minute, s, in which that moment lies; up: at which the minute ends, unless it begins there."""
    when = moment(text, option)
    return None if when is None else -(-when // 60_000_000) * 60 if up else when // 60_000_000 * 60


def _shown(at: int) -> str:
    from datetime import UTC, datetime, timedelta

    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at):%Y-%m-%dT%H:%M:%SZ}"


def _octets(count: int) -> str:
    """Bytes with three digits, decimal prefixes."""
    size, unit = float(count), 0
    while size >= 999.5 and unit < 6:
        size, unit = size / 1000, unit + 1
    return f"{count} B" if not unit else f"{size:.{2 if size < 9.995 else 1 if size < 99.95 else 0}f} {'kMGTPE'[unit - 1]}B"


def _print(heads: list[str], rows: list[list[str]]) -> None:
    """A table: the first column and any named 'customer' to the left, numbers to the right. A pipe gets it as wide as it is."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, head in enumerate(heads):
        table.add_column(head, justify="left" if not place or head == "customer" else "right", overflow="fold", no_wrap=bool(place))
    for row in rows:
        table.add_row(*map(Text, row))
    Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(table)


def _table(found: Any, top: int) -> None:
    """Usage as a table."""
    quality, duplicates = any(one.rtt_us is not None or one.retransmitted is not None for one in found.lines), any(one.duplicate_bytes for one in found.lines)
    heads = [found.by, *(["customer"] if found.by == "service" else []), "up", "down", "up packets", "down packets", "flows",
             *(["mean RTT", "sent again"] if quality else []), *(["duplicates"] if duplicates else [])]
    rows = []
    for one in found.lines[:top]:
        rtt = "-" if one.rtt_us is None else f"{one.rtt_us / 1000:,.1f} ms"
        again = "-" if one.retransmitted is None else f"{one.retransmitted:.2%}"
        rows.append([one.name or "(unknown)", *([one.customer_id or "-"] if found.by == "service" else []), _octets(one.up_bytes), _octets(one.down_bytes),
                     f"{one.up_packets:,}", f"{one.down_packets:,}", f"{one.flows:,}", *([rtt, again] if quality else []),
                     *([_octets(one.duplicate_bytes)] if duplicates else [])])
    if rows:
        _print(heads, rows)
    else:
        click.echo("nothing")
    if len(found.lines) > top:
        click.echo(f"{len(found.lines) - top:,} more of {len(found.lines):,}: use --top, --json or --csv")


def _complete(found: Any) -> str:
    """How complete it is, in one sentence."""
    c = found.complete
    parts = [f"{c.closed:,} of {c.seen:,} {c.unit} seen are computed" if c.seen else "nothing was seen"]
    if c.seen > c.closed:
        parts[0] += f", {c.seen - c.closed:,} are not"
    parts += [f"not read for {c.unread_us / 1e6:,.0f} s"] if c.unread_us else []
    parts += [f"{c.lost:,} frames lost"] if c.lost else []
    parts += [f"{c.rows_lost:,} rows lost"] if c.rows_lost else []
    if len(parts) == 1 and c.seen:
        parts.append("nothing known to be lost")
    return f"{_shown(found.begin)} to {_shown(found.end)}: {'; '.join(parts)}."


def _recomputed(outcome: Any, dry: bool) -> None:
    """What was looked at and what changed."""
    rows = [[name, f"{tally.computed:,}", f"{tally.unchanged:,}", f"{tally.written:,}", f"{tally.refused:,}", f"{tally.open:,}", _octets(tally.bytes)]
            for name, tally in outcome.tables.items()]
    _print(["table", "slots computed", "as before", "would change" if dry else "written", "refused", "not closed", "bytes"], rows)
    if outcome.total("unsettled"):
        click.echo(f"{outcome.total('unsettled'):,} slots got flows while they were computed: say it again")
    changed = [(name, who, change) for name, changes in outcome.changes.items() for who, change in sorted(changes.items())]
    if not changed:
        click.echo("no figure changes" if dry else "no figure changed")
        return
    _print(["table", "of", "bytes before", "after", "difference"],
           [[name, who, f"{change.before:,}", f"{change.after:,}", f"{change.after - change.before:+,}"] for name, who, change in changed[:_SHOWN]])
    if len(changed) > _SHOWN:
        click.echo(f"{len(changed) - _SHOWN:,} more of {len(changed):,}: use --json")
