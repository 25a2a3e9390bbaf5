"""Figures as metrics: each figure, its type, counters that never go back, and what promtool says of the real page."""
from __future__ import annotations

import re
import subprocess
from dataclasses import fields, replace
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from dpi.health import LOSSES, DetectionHealth, Health, IdentityHealth, ReceiverHealth, ReportsHealth, RingHealth, StoreHealth, UsageHealth, WorkerHealth
from dpi.reports.prometheus import registry
from dpi.watch import Watch
from tests.watch.processes import page

WORKER = WorkerHealth("span0", 1, packets=11, wire_bytes=12, refused={"cut": 13, "arp": 14}, lost={"kernel": 15, "table": 16}, flows=17, live=18,
                      folded=19, level=2, given_up=22, duplicates=27, tcp_packets=28, one_sided_packets=29, one_sided_flows=30,
                      kept=23, unkept=24, opened=25)
OTHER = WorkerHealth('odd "name"\n\\', 0, packets=1, refused={"cut": 100})
HEALTH = Health("p1", "0.1.0", "r7", began=1000.5, now=2000.25, workers=(WORKER, OTHER), reloads=21,
                store=StoreHealth(rows=22, lost=23, waiting=24, spool_bytes=25, lag=26.5, expired=27, refused=9),
                ring=RingHealth(bytes=31, limit=28, oldest=1500.25, cases=3),
                identity=IdentityHealth(lines=50, in_force=32, reloads=33, refused=34, loaded=1234.5),
                usage=UsageHealth(slots=42, revised=43, failures=44, until=1980.0),
                sessions={"radius": 33, "open": 35}, reports=ReportsHealth(made=51, failed=52, waiting=53),
                detection=DetectionHealth({"rows": 61, "evicted": 62, "late": 63, "values_lost": 64, "alerts_given_up": 65, "ignored": 66, "keys": 67,
                                           "alerts_open": 68}, {"syn_flood": {"high": 69}}),
                receivers=(ReceiverHealth("soc", "webhook", sent=71, failed=72, waiting=73, refused=74, dropped=75, spool_bytes=76, silenced=77),
                           ReceiverHealth("chat", "slack", trouble="no answer")))
ONE = {"interface": "span0", "worker": "1"}


def value(health: Health | list[Health], name: str, **labels: str) -> float | None:
    """A metric after the last of some figures."""
    given = iter(health if isinstance(health, list) else [health])
    asked = registry(lambda: next(given), table_flows=1000)
    found = None
    for _ in range(len(health) if isinstance(health, list) else 1):
        found = {(one.name, tuple(sorted(one.labels.items()))): one.value for family in asked.collect() for one in family.samples}
    assert found is not None
    return found.get((name, tuple(sorted(labels.items()))))


def test_every_figure_is_told() -> None:
    want = {"packets_total": 11, "wire_bytes_total": 12, "flows_opened_total": 17, "flows_live": 18, "flows_folded_total": 19,
            "rows_given_up_total": 22, "duplicates_total": 27, "tcp_packets_total": 28, "one_sided_packets_total": 29, "one_sided_flows_total": 30,
            "pressure_level": 2, "flows_limit": 1000,
            "ring_packets_total": 23, "ring_lost_total": 24, "ring_opened_total": 25}
    assert {name: value(HEALTH, f"fullspan_{name}", **ONE) for name in want} == want
    assert {where: value(HEALTH, "fullspan_lost_total", **ONE, where=where) for where in LOSSES} == dict.fromkeys(LOSSES, 0) | {"kernel": 15, "table": 16}
    assert (value(HEALTH, "fullspan_refused_total", reason="cut"), value(HEALTH, "fullspan_refused_total", reason="arp")) == (113, 14)
    want = {"store_rows_total": 22, "store_rows_expired_total": 27, "store_rows_waiting": 24,
            "store_spool_bytes": 25, "store_lag_seconds": 26.5, "store_up": 1,
            "reloads_total": 21, "reload_failed": 0, "ready": 1, "start_time_seconds": 1000.5, "clock_seconds": 2000.25,
            "ring_bytes": 31, "ring_limit_bytes": 28, "ring_span_seconds": 500, "ring_cases": 3,
            "bindings": 32, "bindings_reloads_total": 33, "bindings_refused_total": 34, "bindings_loaded_seconds": 1234.5, "bindings_failed": 0,
            "usage_slots_total": 42, "usage_revised_total": 43, "usage_failures_total": 44, "usage_lag_seconds": 20.25,
            "sessions_open": 35, "reports_waiting": 53, "detection_keys": 67, "alerts_open": 68}
    assert value(HEALTH, "fullspan_sessions_total", event="radius") == 33
    assert [value(HEALTH, "fullspan_reports_total", result=result) for result in ("made", "failed")] == [51, 52]
    assert {name: value(HEALTH, f"fullspan_{name}") for name in want} == want
    assert value(HEALTH, "fullspan_alerts_total", kind="syn_flood", severity="high") == 69
    results = ("sent", "failed", "refused", "dropped", "silenced")
    assert [value(HEALTH, "fullspan_alerts_told_total", receiver="soc", result=result) for result in results] == [71, 72, 74, 75, 77]
    assert [value(HEALTH, f"fullspan_alerts_{name}", receiver="soc") for name in ("waiting", "spool_bytes")] == [73, 76]
    assert value(HEALTH, "fullspan_alerts_told_total", receiver="chat", result="refused") == 0
    events = ("rows", "evicted", "late", "values_lost", "alerts_given_up", "ignored")
    assert [value(HEALTH, "fullspan_detection_total", event=event) for event in events] == [61, 62, 63, 64, 65, 66]
    assert [value(HEALTH, "fullspan_store_rows_lost_total", where=where) for where in ("spool", "store")] == [14, 9]
    assert value(HEALTH, "fullspan_build_info", probe="p1", version="0.1.0", rules_version="r7") == 1
    away = replace(HEALTH, store=StoreHealth(away="refused"), reload_failed="no such file")
    assert [value(away, f"fullspan_{name}") for name in ("store_up", "reload_failed", "ready")] == [0, 1, 0]
    assert value(replace(HEALTH, identity=IdentityHealth(trouble="line 3")), "fullspan_bindings_failed") == 1
    assert value(replace(HEALTH, workers=()), "fullspan_ready") == 0 == value(replace(HEALTH, ring=RingHealth()), "fullspan_ring_span_seconds")
    assert value(replace(HEALTH, workers=(WORKER, replace(OTHER, trouble="is down"))), "fullspan_ready") == 0
    # a figure that is added to Health must come here too
    assert {kind: len(fields(kind)) for kind in (Health, WorkerHealth, StoreHealth, RingHealth, IdentityHealth, UsageHealth, ReportsHealth,
                                                     DetectionHealth, ReceiverHealth)} == {
        Health: 16, ReceiverHealth: 10, DetectionHealth: 2,
        WorkerHealth: 19, StoreHealth: 8, RingHealth: 5, IdentityHealth: 6, UsageHealth: 5, ReportsHealth: 3}


def test_counters_never_go_back_within_a_run_and_gauges_do() -> None:
    late = replace(HEALTH, workers=(replace(WORKER, packets=5, live=3, refused={"cut": 2}, lost={}),), reloads=20, store=StoreHealth(rows=21))
    run = [HEALTH, late]
    assert value(run, "fullspan_packets_total", **ONE) == 11 and value(run, "fullspan_lost_total", **ONE, where="kernel") == 15
    assert value(run, "fullspan_refused_total", reason="cut") == 113 and value(run, "fullspan_reloads_total") == 21
    assert value(run, "fullspan_store_rows_total") == 22 and value(run, "fullspan_flows_live", **ONE) == 3
    gone = [HEALTH, replace(HEALTH, workers=(OTHER,))]
    assert value(gone, "fullspan_packets_total", **ONE) == 11 and value(gone, "fullspan_flows_live", **ONE) is None
    assert value([HEALTH, replace(late, began=3000.0)], "fullspan_packets_total", **ONE) == 5


def test_the_real_page_passes_promtool_and_both_parsers() -> None:
    with Watch(lambda: HEALTH, table_flows=1000, port=0) as watch:
        status, kind, text = page(watch.port, "/metrics")
        _, open_kind, open_text = page(watch.port, "/metrics", "application/openmetrics-text;version=1.0.0")
    assert status == 200 and kind.startswith("text/plain; version=0.0.4") and open_kind.startswith("application/openmetrics-text; version=1.0.0")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    for families in (list(plain(text)), list(openmetrics(open_text))):
        types = {family.name: family.type for family in families}
        helps = {family.name: family.documentation for family in families if family.name.startswith("fullspan_")}
        assert len(helps) == 54 and all(len(words) > 20 and words.endswith(".") for words in helps.values())
        assert {types[f"fullspan_{name}"] for name in ("packets", "lost", "store_rows", "flows_opened", "reloads")} == {"counter"}
        assert {types[f"fullspan_{name}"] for name in ("flows_live", "store_up", "store_spool_bytes", "pressure_level")} == {"gauge"}
        assert {"process_resident_memory_bytes", "process_open_fds", "python_info", "process_cpu_seconds"} <= set(types)
        interfaces = {sample.labels["interface"] for family in families for sample in family.samples if "interface" in sample.labels}
        assert interfaces == {"span0", OTHER.interface}


def test_rules_use_only_metrics_there_are() -> None:
    """A rule over a name with a slip in it would never fire."""
    rules = (Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "fullspan.rules.yml").read_text()
    told = {sample.name for family in registry(lambda: HEALTH, table_flows=1000).collect() for sample in family.samples}
    used = set(re.findall(r"(?<![\w:])fullspan_\w+(?![\w:])", rules))
    assert used and used <= told, used - told
