"""fullspan probe: read interfaces day and night."""
from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from dpi.errors import UserError

if TYPE_CHECKING:
    from dpi.settings import Settings

log = logging.getLogger("dpi.probe")
_LAST = 10.0         # s that the last rows may take to be stored before usage of their minutes is left to the next start
_ORPHAN = 30        # s that the engine of a killed probe may take to end


@click.command("probe", short_help="Read interfaces: flows, applications, coverage.")
@click.option("--interface", "-i", "interfaces", metavar="NAME[,NAME...]", help="Interfaces to read; pcap:NAME reads one through libpcap, any all of them.")
@click.option("--store", "store_url", metavar="URL", default="chdb:///fullspan.chdb", help="Where rows go: chdb:///path, clickhouse://user@host:9000/db, or none (default: fullspan.chdb in this directory).")
@click.option("--filter", "packet_filter", metavar="BPF", help="Only packets that match this filter (tcpdump's language).")
@click.option("--workers", type=click.IntRange(1, 64), metavar="N", help="Threads for each interface.")
@click.option("--ring-mb", type=click.IntRange(2, 4096), metavar="MB", help="Packets that may wait, for each worker.")
@click.option("--cores", metavar="LIST", help="Processors that workers keep to, one each in turn, as in 2,3 or 2-5.")
@click.option("--dedup", is_flag=True, help="Count what a mirror sent twice on one interface within 50 ms as duplicates, in no flow.")
@click.option("--name", metavar="NAME", help="What rows say in `probe` (default: the host's name).")
@click.option("--seconds", type=click.FloatRange(0.1), metavar="S", help="End after this long (default: when told to).")
@click.option("--listen", metavar="ADDRESS:PORT", help="Where /metrics, /healthz and /readyz are served (default 127.0.0.1:9470; empty: nowhere).")
@click.option("--check", is_flag=True, help="Say whether it could start, and end.")
@click.option("--dump", is_flag=True, help="Print the settings in force as JSON, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print what was seen and lost as JSON at the end.")
@click.pass_context
def command(ctx: click.Context, interfaces: str | None, store_url: str, packet_filter: str | None, workers: int | None, ring_mb: int | None, cores: str | None, dedup: bool, name: str | None, seconds: float | None,
            listen: str | None, check: bool, dump: bool, as_json: bool) -> None:
    """Read interfaces (a mirrored port, a tap) and keep every flow, named, with a row of `coverage` each minute for what was seen and lost.

    SIGTERM and Ctrl-C end it: what was read is stored first. SIGHUP reads rules, cases and settings anew, without a gap. Needs CAP_NET_RAW.
    """
    from dpi import settings as settings_of
    from dpi.capture.source import places_of
    from dpi.logs import configure
    from dpi.pinging import Pinger, targets
    from dpi.store import open_store
    from dpi.store.budget import budget_of
    from dpi.store.keeping import Keeping

    given: dict[str, Any] = {"interfaces": interfaces, "filter": packet_filter, "workers": workers, "ring_mb": ring_mb, "cores": cores,
                             "dedup": 1 if dedup else None, "name": name, "listen": listen}
    given = {key: value for key, value in given.items() if value is not None}
    named = ctx.get_parameter_source("store_url") == click.core.ParameterSource.COMMANDLINE

    def read() -> Settings:
        """The settings as they are now; what the command line says comes first."""
        found = settings_of.load()
        return replace(found, probe=replace(found.probe, **given), store=replace(found.store, url=store_url) if named else found.store)

    loaded = read()
    if dump:
        click.echo(json.dumps(asdict(loaded), indent=2))
        return
    targets(loaded.ping)
    places_of(loaded.probe.interfaces)       # before anything is made for them
    ahead = None if check else _open_ahead(store_url)
    from dpi.probing import Probe

    if check:
        from dpi.sinks.announcer import checked

        checked(loaded)
        probe = Probe(loaded, [])
        probe.close()
        click.echo(f"ready: {', '.join(map(str, probe.places))}")
        return
    configure(loaded.probe.log)
    pinger: Pinger | None = None
    reporter: Any = None
    store, delivery, covered = _deliver(store_url, loaded.probe, ahead)
    keeping = None if delivery is None else Keeping(store if store is not None else lambda: open_store(store_url), budget_of(loaded))

    def adopt(settings: Settings) -> None:
        """Settings that are not the workers' own."""
        configure(settings.probe.log)
        if delivery is not None:
            delivery.pace(float(settings.probe.flush_seconds))
            delivery.room(settings.probe.spool_mb << 20)
        if keeping is not None:
            keeping.budget = budget_of(settings)
        if pinger is not None:
            pinger.adopt(settings.ping)
        announcing.adopt(settings, probe.watchman)

    announcing: Any = None
    try:
        announcing = _announcing(loaded, store, store_url, covered)
        probe = Probe(loaded, [] if delivery is None else [delivery], covered, announcing.standing)
        probe.receivers = announcing.health
        announcing.start(probe.watchman)
        if keeping is not None:
            probe.expired = lambda: keeping.rows
        metering = _metering(loaded, probe, store, store_url)
        pinger = Pinger(loaded.ping, probe.name, [delivery]) if delivery is not None else None
        if pinger is not None:
            pinger.start()
        reporter = _reporter(store_url, delivery is not None)
        if reporter is not None:
            probe.reported = reporter.health
            probe.also.append(lambda: reporter.look(bool(probe.settings.schedules)))
        with _answering(store, loaded.probe.answer_port), keeping or contextlib.nullcontext(), metering or contextlib.nullcontext():
            _run(probe, loaded.probe, seconds, read, adopt)
        if metering is not None and delivery.flush(_LAST):
            metering.look()         # of the last minutes, which the workers have told of now
    finally:
        for one in (reporter, pinger, announcing):
            if one is not None:
                one.close()
        if delivery is not None:
            delivery.close()
    _say(probe, as_json)
    sys.exit(0)


def _open_ahead(url: str) -> Any:
    """The engine's process, where the store is the probe's own. The one of a probe that was killed may still be storing what it was given."""
    from dpi.store import address, open_ahead
    from dpi.store.directory import held, wait

    where = address(url)
    if where.scheme == "chdb" and held(where.path):
        click.echo(f"fullspan: waiting for the process that holds {where.path}", err=True)
        wait(where.path, _ORPHAN)
    return open_ahead(url, merging=True)


def _deliver(url: str, asked: Any, ahead: Any) -> tuple[Any, Any, Any]:
    """The store, where it is the probe's own; what brings rows to it: each is on disk before it is sent, and counts once whatever breaks; and until when
    the minutes are told."""
    from pathlib import Path

    from dpi.covered import Covered
    from dpi.store import address, open_store
    from dpi.store.delivery import Delivery
    from dpi.store.disk_spool import DiskSpool

    where = address(url)
    if where.scheme == "none":
        return None, None, None
    own = open_store(url, ahead=ahead, merging=True) if where.scheme == "chdb" else None
    beside = where.path.with_name(where.path.name + ".spool") if own is not None else Path(os.environ.get("STATE_DIRECTORY", ".")) / "fullspan.spool"
    directory = Path(asked.spool) if asked.spool else beside        # systemd names STATE_DIRECTORY: a unit's working directory may be read-only
    spool = DiskSpool(directory, asked.spool_mb << 20)
    name = asked.name or socket.gethostname()
    delivery = Delivery((lambda: own) if own is not None else lambda: open_store(url), name, spool, ahead=True, wait=float(asked.flush_seconds))
    return own, delivery, Covered(directory / "covered.json")


def _announcing(settings: Settings, store: Any, url: str, covered: Any) -> Any:
    """What brings alerts to people. Without a store they outlive a restart only where somebody is told of them."""
    from contextlib import closing

    from dpi.announcing import Announcing, place
    from dpi.security.standing import Standing
    from dpi.store import alerts, open_store

    directory = covered.beside("alerts") if covered is not None else place(url)

    def muted() -> dict[str, int]:
        if store is not None:
            return alerts.mutes(store)
        with closing(open_store(url)) as opened:
            return alerts.mutes(opened)

    standing = Standing(directory.with_name(f"{directory.name}.state")) if covered is not None or settings.alert else None
    return Announcing(settings, directory, muted if covered is not None else None, standing)


def _metering(settings: Settings, probe: Any, store: Any, url: str) -> Any:
    """What computes usage; it has a connection of its own where the store is a server."""
    from dpi.store import address, open_store
    from dpi.usage.metering import Metering

    if not settings.usage.compute or address(url).scheme == "none":
        return None
    metering = Metering((lambda: store) if store is not None else lambda: open_store(url), probe.name)
    probe.usage = metering.health
    return metering


def _reporter(url: str, stored: bool) -> Any:
    """What makes scheduled reports; None without a store."""
    if not stored:
        return None
    from pathlib import Path

    from dpi.reporter import Reporter
    from dpi.store import address

    where = address(url)
    beside = where.path.with_name(f"{where.path.name}.reports.json") if where.scheme == "chdb" else (
        Path(os.environ.get("STATE_DIRECTORY", ".").partition(":")[0]) / "reports.json")
    return Reporter(url, beside)


def _run(probe: Any, asked: Any, seconds: float | None, read: Callable[[], Settings], adopt: Callable[[Settings], None]) -> None:
    """Read until told to end; systemd and whoever asks over HTTP are told how it goes. At SIGHUP `read` gives the settings anew, `adopt` takes them over."""
    from dpi.notify import Notifier, Watchdog

    hung_up, notifier = threading.Event(), Notifier()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: probe.stop.set())
    signal.signal(signal.SIGHUP, lambda *_: hung_up.set())

    def each() -> None:
        if hung_up.is_set():
            hung_up.clear()
            notifier.reloading()
            changed = probe.reload(read)
            if probe.reload_failed:
                log.error("not reloaded", extra={"reason": probe.reload_failed})
            else:
                adopt(probe.settings)
                log.info("reloaded", extra={"rules": probe.rules.version, "changed": ", ".join(changed)})
            notifier.ready()

    with _watch(probe, asked.listen):
        log.info("reading", extra={"interfaces": ",".join(probe.interfaces), "workers": len(probe.workers)})
        notifier.ready()
        dog = Watchdog(notifier, probe.health)
        dog.start()
        try:
            probe.run(seconds, each)
        finally:
            notifier.stopping()
            dog.close()


def _answering(store: Any, port: int) -> Any:
    """What lets `query`, `report` and `flow` work beside the probe, where the store is the probe's own."""
    if store is None:
        return contextlib.nullcontext()
    from dpi.store.answering import Answering

    return Answering(store, port)


def _watch(probe: Any, listen: str) -> Any:
    """The HTTP endpoint, where one is wanted."""
    if not listen:
        return contextlib.nullcontext()
    from dpi.watch import Watch

    address, _, port = listen.rpartition(":")
    if not port.isdigit():
        raise UserError("not address:port", f"[probe] listen: {listen}", "write it as 127.0.0.1:9470, or leave it empty")
    return Watch(probe.health, table_flows=probe.table_flows, address=address.strip("[]"), port=int(port))


def _say(probe: Any, as_json: bool) -> None:
    """What was seen and what was lost."""
    health = probe.health()
    if as_json:
        click.echo(json.dumps(asdict(health), indent=2))
        return
    for worker in health.workers:
        lost = ", ".join(f"{where} {count:,}" for where, count in worker.lost.items() if count) or "nothing"
        refused = ", ".join(f"{why} {count:,}" for why, count in worker.refused.items()) or "nothing"
        click.echo(f"{worker.interface} {worker.number}: {worker.packets:,} packets, {worker.wire_bytes:,} bytes, {worker.flows:,} flows; lost: {lost}; refused: {refused}"
                   + (f"; duplicates: {worker.duplicates:,}" if worker.duplicates else "")
                   + (f"; TCP seen in one direction only: {worker.one_sided_packets / worker.tcp_packets:.0%} of its packets" if worker.one_sided_packets else "")
                   + (f"; given up under pressure: {worker.given_up:,} rows" if worker.given_up else "")
                   + (f"; kept on disk: {worker.kept:,}, not kept: {worker.unkept:,}" if probe.ring is not None else ""))
