"""A probe's figures as Prometheus metrics.

Counters never go back within a run: each shows the highest value seen of it, and one that was seen stays when its worker ends. So two scrapes
that overlap, or a worker that is taken away by a reload, can't make Prometheus see a restart. Gauges show only what is there now.
"""
from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from dpi.health import LOSSES, Ask, Health, WorkerHealth

Labels = tuple[str, ...]

_WORKER: Labels = ("interface", "worker")
#: Counters: name without `_total`, unit, labels, and what it means.
_COUNTERS: tuple[tuple[str, str, Labels, str], ...] = (
    ("fullspan_packets", "", _WORKER, "Frames taken from the ring, since the probe began; copies by a mirror not among them."),
    ("fullspan_wire_bytes", "bytes", _WORKER, "Bytes these frames had on the wire, whatever was kept of them."),
    ("fullspan_lost", "", (*_WORKER, "where"),
     "What was lost, by place: frames by nic (the card), kernel (socket queue) and ring; flows evicted by a full table; pieces of first bytes and "
     "facts for which the arena had no room; rows by spool (on disk) and store."),
    ("fullspan_duplicates", "", _WORKER, "Frames left out as copies by a mirror (dedup)."),
    ("fullspan_tcp_packets", "", _WORKER, "TCP packets of rows of flows that left."),
    ("fullspan_one_sided_packets", "", _WORKER, "Those of them whose flow was seen in one direction only, though the other must have been there."),
    ("fullspan_one_sided_flows", "", _WORKER, "Flows that ended and were seen in one direction only, though the other must have been there."),
    ("fullspan_refused", "", ("reason",), "Frames that are in no flow, by reason."),
    ("fullspan_flows_opened", "", _WORKER, "Flows opened in the table, since the probe began."),
    ("fullspan_flows_folded", "", _WORKER, "Half-open flows evicted and folded: by server, port and client prefix or more coarsely."),
    ("fullspan_rows_given_up", "", _WORKER, "Rows of dns, tls, http and files that were not made, under pressure or for want of room."),
    ("fullspan_ring_packets", "", _WORKER, "Packets written to the ring on disk."),
    ("fullspan_ring_lost", "", _WORKER, "Packets not kept in the ring on disk, which was too slow, full or failing; they are counted in flows all the same."),
    ("fullspan_ring_opened", "", _WORKER, "Packets kept with their content, for a case."),
    ("fullspan_store_rows", "", (), "Rows the store accepted."),
    ("fullspan_store_rows_lost", "", ("where",), "Rows lost for good: in the spool, which had no room for them, or by the store, which refused them."),
    ("fullspan_store_rows_expired", "", (), "Rows dropped by the store's budget of days and bytes."),
    ("fullspan_bindings_reloads", "", (), "Changes of the bindings file that were taken."),
    ("fullspan_bindings_refused", "", (), "Changes of the bindings file that were not taken, for an error in it."),
    ("fullspan_usage_slots", "", (), "Minutes and hours of usage that were computed and stored, of all its tables."),
    ("fullspan_usage_revised", "", (), "Those of them that were closed before: flows were stored late."),
    ("fullspan_usage_failures", "", (), "Passes over the store in which usage could not be computed."),
    ("fullspan_sessions", "", ("event",),
     "Who has which address, as learned on the wire: messages read by protocol and those that could not be (_bad), accounting and DHCP from where it is "
     "not believed (untrusted), leases that were started, stopped, replaced, restarted, expired or evicted, what was not learned (lost, stale, unknown, "
     "refused), and changes that cut no row for want of room (uncut)."),
    ("fullspan_reports", "", ("result",), "Scheduled reports that were made, and attempts that failed, since their state was new."),
    ("fullspan_alerts", "", ("kind", "severity"), "Alerts that were raised, by kind and severity."),
    ("fullspan_alerts_told", "", ("receiver", "result"),
     "States of alerts by receiver: sent, failed (attempts, made again), refused for good, dropped for want of room, silenced (muted or maintenance)."),
    ("fullspan_detection", "", ("event",),
     "What detectors counted: rows, keys that made room for others (evicted), counts that came after their slot was closed (late), values that were not told "
     "apart for want of room (values_lost), alerts cleared for want of room (alerts_given_up), detections that a person has excepted (ignored)."),
    ("fullspan_reloads", "", (), "Reloads of rules and settings that were done."),
)
#: Gauges, likewise.
_GAUGES: tuple[tuple[str, str, Labels, str], ...] = (
    ("fullspan_flows_live", "", _WORKER, "Flows in the table now."),
    ("fullspan_flows_limit", "", _WORKER, "Flows the table has room for; beyond, the least useful is evicted."),
    ("fullspan_pressure_level", "", _WORKER, "How much work is given up to keep pace: 0 none, each further level more."),
    ("fullspan_ring_bytes", "bytes", (), "Bytes of packets kept on disk."),
    ("fullspan_ring_limit_bytes", "bytes", (), "Bytes of packets that may be kept on disk; 0 where there is no ring."),
    ("fullspan_ring_span_seconds", "seconds", (), "Age of the oldest packet kept on disk; 0 where there is none."),
    ("fullspan_ring_cases", "", (), "Cases that open content now."),
    ("fullspan_sessions_open", "", (), "Leases of addresses that hold now."),
    ("fullspan_store_rows_waiting", "", (), "Rows not yet accepted by the store, in memory or in the spool."),
    ("fullspan_store_spool_bytes", "bytes", (), "Bytes of rows that wait on disk."),
    ("fullspan_store_lag_seconds", "seconds", (), "Time since the oldest row that waits was made; 0 where none waits."),
    ("fullspan_reports_waiting", "", (), "Messages with scheduled reports that some recipient has not got."),
    ("fullspan_detection_keys", "", (), "Keys and slots that detectors count now."),
    ("fullspan_alerts_open", "", (), "Alerts that are not cleared."),
    ("fullspan_alerts_waiting", "", ("receiver",), "States of alerts that a receiver has not got yet."),
    ("fullspan_alerts_spool_bytes", "bytes", ("receiver",), "Bytes on disk of what waits for a receiver, and of what it refused."),
    ("fullspan_store_up", "", (), "1 where the store can be reached, 0 where it is away."),
    ("fullspan_bindings", "", (), "Lines of the bindings file that hold now."),
    ("fullspan_bindings_loaded_seconds", "seconds", (), "When the bindings in force were read, since the epoch; 0 where there are none."),
    ("fullspan_bindings_failed", "", (), "1 where the last change of the bindings file was not taken, else 0."),
    ("fullspan_usage_lag_seconds", "seconds", (), "Time since the end of the newest minute that is closed; 0 where none is known."),
    ("fullspan_reload_failed", "", (), "1 where the last reload was refused and what was loaded before is still used, else 0."),
    ("fullspan_ready", "", (), "1 where packets are read and the store can be reached, else 0; /readyz says why."),
    ("fullspan_start_time_seconds", "seconds", (), "When the run began, since the epoch; all counters count from there."),
    ("fullspan_clock_seconds", "seconds", (), "The probe's clock when it gave these figures, since the epoch."),
)


class Figures(Collector):
    """Collects from `ask`. `table_flows`: the flows the table of each worker has room for."""

    def __init__(self, ask: Ask, *, table_flows: int) -> None:
        self._ask = ask
        self._table_flows = table_flows
        self._lock = threading.Lock()
        self._began = 0.0
        self._highest: dict[str, dict[Labels, float]] = {}

    def collect(self) -> Iterable[Metric]:
        """All families; whatever `ask` raises goes to the caller, who has no figures then."""
        health = self._ask()
        with self._lock:
            return [*self._counters(health), *self._gauges(health), _build(health)]

    def _counters(self, health: Health) -> Iterator[Metric]:
        if health.began != self._began:         # another run: its counters begin again
            self._began = health.began
            self._highest = {name: {} for name, *_ in _COUNTERS}
        for name, labels, value in _counted(health):
            seen = self._highest[name]
            seen[labels] = max(value, seen.get(labels, 0.0))
        for name, unit, names, words in _COUNTERS:
            sums: dict[Labels, float] = {}
            for labels, value in self._highest[name].items():
                # a refusal is kept by worker, so that none goes back, and told without: labels that are told come last
                told = labels[len(labels) - len(names):]
                sums[told] = sums.get(told, 0.0) + value
            counter = CounterMetricFamily(name, words, labels=names, unit=unit)
            for told, value in sorted(sums.items()):
                counter.add_metric(told, value)
            yield counter

    def _gauges(self, health: Health) -> Iterator[Metric]:
        values: dict[str, dict[Labels, float]] = {name: {} for name, *_ in _GAUGES}
        for worker in health.workers:
            labels = _named(worker)
            values["fullspan_flows_live"][labels] = worker.live
            values["fullspan_flows_limit"][labels] = self._table_flows
            values["fullspan_pressure_level"][labels] = worker.level
        for one in health.receivers:
            values["fullspan_alerts_waiting"][one.name,] = one.waiting
            values["fullspan_alerts_spool_bytes"][one.name,] = one.spool_bytes
        store, ring = health.store, health.ring
        for name, value in (("fullspan_ring_bytes", ring.bytes), ("fullspan_ring_limit_bytes", ring.limit), ("fullspan_ring_cases", ring.cases),
                            ("fullspan_ring_span_seconds", max(health.now - ring.oldest, 0.0) if ring.oldest else 0.0),
                            ("fullspan_sessions_open", health.sessions.get("open", 0)),
                            ("fullspan_store_rows_waiting", store.waiting), ("fullspan_store_spool_bytes", store.spool_bytes),
                            ("fullspan_store_lag_seconds", store.lag), ("fullspan_store_up", not store.away),
                            ("fullspan_bindings", health.identity.in_force), ("fullspan_bindings_loaded_seconds", health.identity.loaded),
                            ("fullspan_bindings_failed", bool(health.identity.trouble)),
                            ("fullspan_usage_lag_seconds", max(health.now - health.usage.until, 0.0) if health.usage.until else 0.0),
                            ("fullspan_reports_waiting", health.reports.waiting),
                            ("fullspan_detection_keys", health.detection.counters.get("keys", 0)),
                            ("fullspan_alerts_open", health.detection.counters.get("alerts_open", 0)),
                            ("fullspan_reload_failed", bool(health.reload_failed)), ("fullspan_ready", not health.trouble),
                            ("fullspan_start_time_seconds", health.began), ("fullspan_clock_seconds", health.now)):
            values[name][()] = float(value)
        for name, unit, names, words in _GAUGES:
            gauge = GaugeMetricFamily(name, words, labels=names, unit=unit)
            for labels, value in values[name].items():
                gauge.add_metric(labels, value)
            yield gauge


def registry(ask: Ask, *, table_flows: int) -> CollectorRegistry:
    """The probe's figures, and those of its process: CPU, memory, open files, garbage collection, Python's version."""
    made = CollectorRegistry()
    ProcessCollector(registry=made)
    PlatformCollector(registry=made)
    GCCollector(registry=made)
    made.register(Figures(ask, table_flows=table_flows))
    return made


def _named(worker: WorkerHealth) -> Labels:
    return worker.interface, str(worker.number)


def _counted(health: Health) -> Iterator[tuple[str, Labels, float]]:
    """Every count: the name of its counter, its labels, its value. Places of loss are all there from the start: a rate needs the zero before."""
    for worker in health.workers:
        labels = _named(worker)
        yield "fullspan_packets", labels, worker.packets
        yield "fullspan_wire_bytes", labels, worker.wire_bytes
        yield "fullspan_flows_opened", labels, worker.flows
        yield "fullspan_flows_folded", labels, worker.folded
        yield "fullspan_rows_given_up", labels, worker.given_up
        yield "fullspan_duplicates", labels, worker.duplicates
        yield "fullspan_tcp_packets", labels, worker.tcp_packets
        yield "fullspan_one_sided_packets", labels, worker.one_sided_packets
        yield "fullspan_one_sided_flows", labels, worker.one_sided_flows
        yield "fullspan_ring_packets", labels, worker.kept
        yield "fullspan_ring_lost", labels, worker.unkept
        yield "fullspan_ring_opened", labels, worker.opened
        for where in {**dict.fromkeys(LOSSES), **dict.fromkeys(worker.lost)}:
            yield "fullspan_lost", (*labels, where), worker.lost.get(where, 0)
        for reason, count in worker.refused.items():
            yield "fullspan_refused", (*labels, reason), count
    yield "fullspan_store_rows", (), health.store.rows
    yield "fullspan_store_rows_lost", ("spool",), health.store.lost - health.store.refused
    yield "fullspan_store_rows_lost", ("store",), health.store.refused
    yield "fullspan_store_rows_expired", (), health.store.expired
    yield "fullspan_bindings_reloads", (), health.identity.reloads
    yield "fullspan_bindings_refused", (), health.identity.refused
    yield "fullspan_usage_slots", (), health.usage.slots
    yield "fullspan_usage_revised", (), health.usage.revised
    yield "fullspan_usage_failures", (), health.usage.failures
    for event, count in health.sessions.items():
        if event != "open":
            yield "fullspan_sessions", (event,), count
    yield "fullspan_reports", ("made",), health.reports.made
    yield "fullspan_reports", ("failed",), health.reports.failed
    for kind, severities in health.detection.raised.items():
        for severity, count in severities.items():
            yield "fullspan_alerts", (kind, severity), count
    for one in health.receivers:
        for result in ("sent", "failed", "refused", "dropped", "silenced"):
            yield "fullspan_alerts_told", (one.name, result), getattr(one, result)
    for event in ("rows", "evicted", "late", "values_lost", "alerts_given_up", "ignored"):
        yield "fullspan_detection", (event,), health.detection.counters.get(event, 0)
    yield "fullspan_reloads", (), health.reloads


def _build(health: Health) -> Metric:
    told = {"probe": health.probe, "version": health.version, "rules_version": health.rules_version}
    return InfoMetricFamily("fullspan_build", "The probe's name, and the versions of the program and of its rules.", value=told)
