"""fullspan replay: capture files become flows, applications and answers."""
from __future__ import annotations

import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from dpi import ending
from dpi.cli.moments import length, moment
from dpi.errors import UserError

_ALLOCATIONS = 100_000          # between collections of garbage: a replay makes little
_SENDING = 30.0                 # s that receivers are given at the end
_DEFAULT_STORE = "chdb:///fullspan.chdb"


@click.command("replay", short_help="Read capture files: flows, applications, a summary.")
@click.argument("files", nargs=-1, required=True, metavar="FILE|DIR|GLOB...")
@click.option("--store", "store_url", metavar="URL", default=_DEFAULT_STORE, help="Where rows go: chdb:///path, clickhouse://user@host:9000/db, or none (default: fullspan.chdb in this directory).")
@click.option("--out", "outs", metavar="FILE", multiple=True, help="Write the flows to FILE as well: .jsonl, .csv or .parquet by its ending.")
@click.option("--detections-out", "detections_out", metavar="FILE", help="Write what was detected to FILE: .jsonl, .csv or .parquet by its ending.")
@click.option("--alerts-out", "alerts_out", metavar="FILE", help="Write the states of alerts to FILE, likewise.")
@click.option("--report", "report_path", metavar="FILE.html", help="Write the HTML report: one file that opens offline.")
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Language of the summary and the report.")
@click.option("--rules", "rules_path", metavar="DIR", help="Rules in place of those that come with Fullspan.")
@click.option("--filter", "packet_filter", metavar="BPF", help="Only packets that match this filter (tcpdump's language).")
@click.option("--since", metavar="TIME", help="Only packets from this moment on (after --time-shift).")
@click.option("--until", metavar="TIME", help="Only packets before this moment.")
@click.option("--time-shift", metavar="SPAN", help="Add this to every packet's time: +1h, -3d.")
@click.option("--max-flows", type=click.IntRange(1024, 1 << 27), metavar="N", help="Flows held at once; beyond it the oldest are closed early, and counted.")
@click.option("--workers", type=click.IntRange(1, 64), metavar="N", help="Cores to use (default: all that this process may): of two, one tracks and names; of more, all but the one that reads.")
@click.option("--joined", is_flag=True, help="Take the files as one rotated capture, in order of time.")
@click.option("--dedup", is_flag=True, help="Drop packets that a mirror sent twice.")
@click.option("--append", is_flag=True, help="Keep the rows of an earlier replay of the same file as well.")
@click.option("--sha256", is_flag=True, help="Hash files larger than 256 MB as well (otherwise only where size, path and time leave open whether the store has them).")
@click.option("--bindings", metavar="FILE", help="Say whose flows are: CSV of prefixes, VLANs, MAC addresses and users with their services and customers.")
@click.option("--local-networks", metavar="CIDR,...", help="Networks on the operator's side.")
@click.option("--announce", is_flag=True, help="Send alerts to the receivers of [alert.NAME] as well; else a replay tells nobody.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(files: tuple[str, ...], store_url: str, outs: tuple[str, ...], detections_out: str | None, alerts_out: str | None, report_path: str | None, lang: str, rules_path: str | None, packet_filter: str | None,
            since: str | None, until: str | None, time_shift: str | None, max_flows: int | None, workers: int | None, joined: bool, dedup: bool, append: bool,
            sha256: bool, bindings: str | None, local_networks: str | None, announce: bool, as_json: bool) -> None:
    """Read capture files (pcap, pcapng, also compressed; - is standard input), name every flow, and say what the capture is.

    Exit status: 0 done, 1 an input was cut, damaged or skipped, 2 wrong use, 130 interrupted (what was done is kept and shown).
    """
    from dpi.store import open_ahead, open_store

    gc.set_threshold(_ALLOCATIONS)
    moments = {"since": moment(since, "--since"), "until": moment(until, "--until"), "time_shift": length(time_shift, "--time-shift")}
    _check_report(report_path)
    ahead = open_ahead(store_url)       # while this process imports what it needs
    from dpi.flow.summary import Summary
    from dpi.replaying import ReplayOptions, run

    announcing = _announcing(store_url) if announce else None
    options = ReplayOptions(announcing=announcing, rules=rules_path, filter=packet_filter, max_flows=max_flows, workers=workers, joined=joined, dedup=dedup, append=append,
                            sha256=sha256, bindings=bindings, local_networks=local_networks, **moments)
    if ending.soon:
        gc.freeze()         # no look for garbage need walk what was imported
    summary = Summary()
    started = time.perf_counter()
    store = open_store(store_url, ahead=ahead, replaying=True)
    if announcing is not None and store.url != "none":
        from dpi.store import alerts

        announcing.silence.muted.update(alerts.mutes(store))
    files_out: list[Any] = []
    try:
        wanted = [*((out, "flows") for out in outs), *((out, table) for out, table in ((detections_out, "detections"), (alerts_out, "alerts")) if out)]
        if wanted:
            from dpi.sinks.files import FileSink
            files_out += [FileSink(out, table) for out, table in wanted]
        bar = Bar() if sys.stderr.isatty() and not as_json else None
        beside = _Beside(report_path, bar)
        try:
            outcome = run(files, sinks=[summary, *([] if store.url == "none" else [store]), *files_out], options=options, progress=beside)
        finally:
            if bar:
                bar.close()
        store.start_flush()             # while the page is made
        for out in files_out:
            out.close()
        took = outcome.seconds or time.perf_counter() - started
        figures = summary.figures(outcome)
        written = _write_report(report_path, figures, lang, beside)
        metered = _meter(store, outcome, options)
        _keep_to_budget(store, store_url)
    except BaseException:
        for out in files_out:
            out.discard()
        raise
    finally:
        store.close()
        if announcing is not None:
            _announced(announcing)
    if as_json:
        click.echo(json.dumps({**figures.json(), "store": store.url, "report": written, "usage_minutes": metered, "seconds_taken": round(took, 3)}, ensure_ascii=False, indent=2))
    else:
        _say(figures, lang, store.url, written, tuple(out for out, _ in wanted), took, metered)
    sys.exit(_status(figures))


def _announcing(url: str) -> Any:
    """What tells people of alerts. UserError: nobody is to be told, or a receiver with a fault."""
    from dpi.announcing import Announcing, place
    from dpi.settings import load

    settings = load()
    if not settings.alert:
        raise UserError("the settings name no receiver of alerts", "--announce", "write a table [alert.NAME], docs/alerts.md")
    return Announcing(settings, place(url))


def _announced(announcing: Any) -> None:
    """Give receivers some time; what they have not got then waits on disk."""
    waiting = announcing.settled(_SENDING)
    announcing.close()
    for one in announcing.health():
        click.echo(f"fullspan: {one.name}: {one.sent} states of alerts sent, {one.refused} refused, {one.dropped} dropped" + (f": {one.trouble}" if one.trouble else ""), err=True)
    if waiting:
        click.echo(f"fullspan: {waiting} wait on disk for the next time", err=True)


def _meter(store: Any, outcome: Any, options: Any) -> int | None:
    """Usage of these captures, where their rows say whose they are; how many minutes of it. None where nobody asked for that, or the store can't."""
    from dpi.settings import load

    asked = load().identity
    given = (options.bindings, options.local_networks, asked.bindings, asked.local_networks)
    numbers = [one.capture_id for one in outcome.captures if one.capture_id]
    if store.url == "none" or not numbers or not any(given):
        return None
    from dpi.usage.computing import Job

    store.flush()
    try:
        done = Job(store).run(captures=numbers)
    except UserError as error:
        click.echo(f"fullspan: usage was not computed: {error}", err=True)
        return None
    return done.tables["usage_1m"].computed


def _keep_to_budget(store: Any, url: str) -> None:
    """Drop what is beyond [store] max_mb and, where it is for replays, [retention]: once the rows of this replay are in."""
    from dpi.settings import load
    from dpi.store import address
    from dpi.store.budget import budget_of

    budget = budget_of(load(), replay=True)
    if budget and address(url).scheme == "chdb":
        from dpi.store.keeping import Keeping

        store.flush()
        keeping = Keeping(store, budget, wait=True)
        if keeping.look():
            click.echo(f"fullspan: {keeping.rows:,} rows ({keeping.bytes:,} bytes) were older, or the store larger, than [retention] and [store] say, and were dropped", err=True)


def _status(figures: Any) -> int:
    """130 interrupted, 1 where an input was damaged or skipped (said on stderr), else 0."""
    complaints = [f"{capture.name}: {capture.damage}" for capture in figures.captures if capture.damage] + list(figures.skipped)
    for complaint in complaints[:20]:
        click.echo(f"fullspan: {complaint}", err=True)
    if len(complaints) > 20:
        click.echo(f"fullspan: and {len(complaints) - 20} more", err=True)
    if figures.interrupted:
        return 130
    return 1 if complaints else 0


def _check_report(path: str | None) -> None:
    """Refuse a report that can't be written before an hour's work is done."""
    if path is None:
        return
    target = Path(path)
    if target.is_dir():
        raise UserError("this is a directory", path, "name a file, such as report.html")
    if not target.absolute().parent.is_dir():
        raise UserError("there is no such directory", str(target.absolute().parent), "make it first, or name another path with --report")


class _Beside:
    """The report's template, looked for beside the reading where a core is free for that: once packets are read, for what it imports would hold up the start.
    Called with a dpi.outcome.Progress, which `bar` shows."""

    def __init__(self, path: str | None, bar: Any) -> None:
        self._wanted, self._bar = path is not None and len(os.sched_getaffinity(0)) > 1, bar
        self._page: Any = None

    def __call__(self, progress: Any) -> None:
        if self._wanted and self._page is None:
            from dpi.asking import Asked

            self._page = Asked(_template)
        if self._bar is not None:
            self._bar(progress)

    def page(self) -> Any:
        """The template; None where it is not looked for."""
        return self._page and self._page()


def _template() -> Any:
    from dpi.reports.html import template

    return template()


def _write_report(path: str | None, figures: Any, lang: str, beside: _Beside) -> str | None:
    if path is None:
        return None
    from dpi.reports.html import write

    return str(write(figures, path, lang, beside.page()).absolute())


def _say(figures: Any, lang: str, store_url: str, report: str | None, outs: tuple[str, ...], took: float, metered: int | None) -> None:
    """The summary, then where everything is."""
    from dpi.reports.language import Language
    from dpi.reports.terminal import sections, show

    say = Language(lang)
    lines = [show(sections(figures, say), sys.stdout.isatty()), ""]
    read, octets = figures.read_packets, figures.bytes
    lines.append(say("label.speed", packets=say.count(read), seconds=f"{took:.2f}", rate=say("unit.packets_per_second", number=say.short(read / max(took, 1e-6))),
                     bits=say.rate(octets * 8 / max(took, 1e-6))))
    if store_url != "none":
        from dpi.store import address
        where = address(store_url)
        lines.append(say("label.rows_at", store=str(where.path) if where.scheme == "chdb" else store_url, flows=say.count(figures.flows), rows=say.count(figures.rows)))
    if metered is not None:
        lines.append(say("label.usage_at", minutes=say.count(metered)))
    lines += [say("label.out_at", path=out) for out in outs]
    if report:
        lines.append(say("label.report_at", path=report))
    click.echo("\n".join(lines))


class Bar:
    """The progress bar: packets, bytes, rate, time left. Called with a dpi.outcome.Progress."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        self._bar = Progress(BarColumn(30), TaskProgressColumn(), TextColumn("{task.fields[said]}"), TimeRemainingColumn(), console=Console(stderr=True),
                             auto_refresh=False, transient=True)
        self._task = self._bar.add_task("", total=None, said="")
        self._bar.start()
        self._started = time.perf_counter()
        self._shown = 0.0

    def __call__(self, progress: Any) -> None:
        now = time.perf_counter()
        if now - self._shown < 0.1:
            return
        self._shown = now
        seconds = max(now - self._started, 1e-3)
        said = (f"{progress.packets / 1e6:.2f} M packets  {progress.bytes / 1e9:.2f} GB  {progress.packets / seconds / 1e6:.2f} Mpps  "
                f"{progress.bytes * 8 / seconds / 1e9:.2f} Gbit/s")
        self._bar.update(self._task, completed=progress.position, total=progress.size or None, said=said)
        self._bar.refresh()

    def close(self) -> None:
        """Take the bar off the screen."""
        self._bar.stop()
