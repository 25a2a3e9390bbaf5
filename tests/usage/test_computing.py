"""Usage is the sum of its flows, whatever happens while it is computed."""
from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dpi.batch import Batch, Coded, Texts
from dpi.schema import KINDS, TABLES
from dpi.store import Store, open_store
from dpi.store.captures import UNFINISHED
from dpi.usage.computing import Job
from dpi.usage.definition import STEPS, figures
from tests.oracle import usage as twin
from tests.usage import killed
from tests.usage.sums import check, stored
from tests.usage.traffic import BEGIN, MINUTE, coverage, flows, put

pytestmark = pytest.mark.compiled
_NUMBERS = itertools.count(100)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_store(f"chdb://{tmp_path_factory.mktemp('usage')}/store")
    yield store
    store.close()


@pytest.fixture
def store(opened: Store) -> Store:
    """Empty."""
    for table, in opened.query("SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"):
        if table in TABLES:             # rollups that are views have nothing of their own
            opened.query(f"TRUNCATE TABLE {table}")
    return opened


def everything(store: Any) -> list[Any]:
    return [store.query(f"SELECT * EXCEPT (stored_time) FROM {table} FINAL ORDER BY ALL").rows for table in (*STEPS, "usage_slots")]


def parts(store: Any) -> list[Any]:
    return list(store.query("SELECT table, sum(rows) FROM system.parts WHERE active AND table LIKE 'usage%' AND database = currentDatabase() "
                            "GROUP BY table ORDER BY table"))


def one_flow(**given: Any) -> Batch:
    """A TCP connection of one row."""
    numbers = {"client_packets": 5, "server_packets": 7, "client_bytes": 1000, "server_bytes": 7000, "client_tcp_flags": 26, "server_tcp_flags": 26,
               "ip_protocol": 6, "client_rtt_us": 2000, "server_rtt_us": 9000, "interval_start": BEGIN, "interval": 0, "folded": 0, "client_duplicate": 0,
               "server_duplicate": 0}
    kinds = {column.name: KINDS[column.kind].numpy for column in TABLES["flows"].columns}
    nobody = {f"{side}_{what}": Coded.of([""]) for side in ("client", "server") for what in ("service_id", "customer_id")}
    return flows(1, **{**nobody, **{name: np.array([value], kinds[name]) for name, value in numbers.items()}, **given})


def test_an_hour_is_the_sum_of_its_flows_and_recomputing_changes_nothing(store: Store) -> None:
    made = flows(6000)
    put(store, made, coverage(range(60)))
    job = Job(store)
    outcome = job.run()
    check(store, made)
    assert {name: (tally.written, tally.open, tally.unsettled) for name, tally in outcome.tables.items()} == {
        "usage_1m": (60, 0, 0), "usage_1h": (1, 0, 0), "usage_unbound_1h": (1, 0, 0)}
    before, rows = everything(store), parts(store)
    again = Job(store).run(every=True)
    assert (again.total("computed"), again.total("unchanged"), again.total("written")) == (62, 62, 0)
    assert everything(store) == before and parts(store) == rows
    assert store.query("SELECT sum(up_bytes + down_bytes) FROM usage_1m FINAL").value() == store.query(
        "SELECT sum(bytes) FROM usage_slots FINAL WHERE table_name = 'usage_1m'").value()


def test_what_is_killed_is_finished_by_the_next_run(tmp_path: Path) -> None:
    """Real processes, killed at random; the twenty of the proof are three here."""
    asked = [sys.executable, "-m", "tests.usage.killed", "--kills", "3", "--flows", "2000", "--slots", "8"]
    done = subprocess.run(asked, cwd=killed.ROOT, capture_output=True, text=True, check=False, timeout=120,
                          env={**os.environ, "PYTHONPATH": str(killed.ROOT), "TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_flow_between_two_services_counts_once_for_each(store: Store) -> None:
    made = one_flow(client_service_id=Coded.of(["A"]), client_customer_id=Coded.of(["a"]), server_service_id=Coded.of(["B"]),
                    server_customer_id=Coded.of(["b"]))
    put(store, made, coverage([0]))
    Job(store).run()
    check(store, made)
    found = {key[3]: row for key, row in stored(store, "usage_1m").items()}
    assert (found["A"]["up_bytes"], found["A"]["down_bytes"]) == (1000, 7000) == (found["B"]["down_bytes"], found["B"]["up_bytes"])
    assert (found["A"]["syn_up"], found["A"]["syn_ack_down"], found["B"]["syn_up"], found["B"]["syn_ack_down"]) == (1, 1, 0, 0)
    assert (found["A"]["rtt_sum_us"], found["B"]["rtt_sum_us"]) == (2000, 9000)
    assert (found["A"]["rtt_histogram"].index(1), found["B"]["rtt_histogram"].index(1)) == (10, 13)
    assert (found["A"]["servers"], found["B"]["servers"], found["A"]["directions"]) == (1, 0, 3)


def test_what_is_metered_elsewhere_counts_as_duplicate_and_nothing_else(store: Store) -> None:
    made = one_flow(client_service_id=Coded.of(["A"]), server_service_id=Coded.of(["B"]), client_duplicate=np.ones(1, np.uint8))
    put(store, made, coverage([0]))
    Job(store).run()
    check(store, made)
    found = {key[3]: row for key, row in stored(store, "usage_1m").items()}
    assert {name: value for name, value in found["A"].items() if value} == {"duplicate_packets": 12, "duplicate_bytes": 8000}
    assert (found["B"]["up_bytes"], found["B"]["duplicate_bytes"]) == (7000, 0)


def test_flows_stored_late_lead_to_another_revision(store: Store) -> None:
    first = flows(300, 1, span=3 * MINUTE)
    put(store, first, coverage(range(3)))
    Job(store).run()
    late = flows(50, 2, start=BEGIN + MINUTE, span=MINUTE)
    put(store, late)
    outcome = Job(store).run()
    assert (outcome.tables["usage_1m"].written, outcome.tables["usage_1m"].revised, outcome.tables["usage_1m"].computed) == (1, 1, 1)
    check(store, first, late, tables=("usage_1m",))
    assert [row[0] for row in store.query("SELECT revision FROM usage_slots FINAL WHERE table_name = 'usage_1m' ORDER BY time")] == [1, 2, 1]
    assert not Job(store).run().total("computed")


def test_flows_of_nobody_that_come_late_are_counted_once(store: Store) -> None:
    """They are in no row of usage, and must not be looked at for ever."""
    put(store, flows(50, span=MINUTE), coverage([0]))
    Job(store).run()
    nobody = {f"{side}_{what}": Coded.same("", 5) for side in ("client", "server") for what in ("service_id", "customer_id")}
    put(store, flows(5, 2, span=MINUTE, **nobody, client_local=np.zeros(5, np.uint8), server_local=np.zeros(5, np.uint8)))
    rows = sorted(stored(store, "usage_1m"))
    assert Job(store).run().tables["usage_1m"].written == 1
    assert sorted(stored(store, "usage_1m")) == rows and not Job(store).run().total("computed")


def test_a_key_that_vanished_counts_nothing(store: Store) -> None:
    made = flows(200, span=MINUTE, services=3)
    put(store, made, coverage([0]))
    Job(store).run()
    assert {key[3] for key in stored(store, "usage_1m")} == {"S0", "S1", "S2"}
    for side in ("client", "server"):           # an operator corrects what was stamped wrongly
        store.query(f"ALTER TABLE flows UPDATE {side}_service_id = 'S1' WHERE {side}_service_id = 'S0' SETTINGS mutations_sync = 1")
    assert not Job(store).run().total("computed")         # the number of rows is as it was
    outcome = Job(store).run(every=True, dry=True)
    assert (outcome.tables["usage_1m"].written, sorted(outcome.changes["usage_1m"])) == (1, ["S0", "S1"])
    change = outcome.changes["usage_1m"]
    assert change["S0"].after == 0 and change["S0"].before == change["S1"].after - change["S1"].before > 0
    assert {key[3] for key in stored(store, "usage_1m")} == {"S0", "S1", "S2"}
    assert Job(store).run(every=True).tables["usage_1m"].written == 1
    assert {key[3] for key in stored(store, "usage_1m")} == {"S1", "S2"}
    assert store.query("SELECT sum(up_bytes + down_bytes) FROM usage_1m FINAL").value() == store.query(
        "SELECT bytes FROM usage_slots FINAL WHERE table_name = 'usage_1m'").value()
    assert not Job(store).run(every=True).total("written")


def test_rows_of_a_run_that_was_killed_are_outnumbered_where_they_are_wrong(store: Store) -> None:
    made = flows(200, span=MINUTE, services=3)
    put(store, made, coverage([0]))
    Job(store).run()
    expected = everything(store)
    # as a run leaves them that saw other flows: a service that is not there, and another with wrong figures, both of a revision without a slot
    for service in ("S9", "S1"):
        store.query(f"INSERT INTO usage_1m (time, probe, service_id, customer_id, up_bytes, up_packets, revision) SELECT time, probe, '{service}', "
                    "customer_id, 5, 1, 2 FROM usage_1m WHERE service_id = 'S1'")
    store.query("TRUNCATE TABLE usage_slots")
    Job(store).run()
    check(store, made)
    assert store.query("SELECT revision FROM usage_slots FINAL WHERE table_name = 'usage_1m'").value() == 3
    # and as one leaves them that was killed after its last row
    store.query("TRUNCATE TABLE usage_1m")
    store.query("TRUNCATE TABLE usage_slots")
    Job(store).run()
    store.query("TRUNCATE TABLE usage_slots")
    rows = [row for row in parts(store) if row[0] != "usage_slots"]
    Job(store).run()
    assert everything(store)[:3] == expected[:3]
    assert [row for row in parts(store) if row[0] != "usage_slots"] == rows


def test_a_minute_is_closed_once_every_worker_has_told_of_it(store: Store) -> None:
    made = flows(100, span=4 * MINUTE)
    put(store, made, coverage(range(4), told=range(1)))
    now = BEGIN // 1_000_000 + 3600
    assert Job(store).run(now=now).tables["usage_1m"].open == 4
    put(store, coverage(range(3), told=range(1, 2)))
    outcome = Job(store).run(now=now)
    assert (outcome.tables["usage_1m"].written, outcome.tables["usage_1m"].open, outcome.tables["usage_1h"].open) == (3, 1, 1)
    # the probe was killed and another begins: rows come in their order, so what lies before its first whole minute is closed
    put(store, coverage([70], workers=1))
    outcome = Job(store).run(now=now + 3600)
    assert (outcome.tables["usage_1m"].written, outcome.tables["usage_1h"].written, outcome.total("open")) == (2, 1, 2)
    check(store, made)


def test_a_minute_that_was_told_before_it_came_closes_none(store: Store) -> None:
    """A clock that was ahead for a while."""
    put(store, flows(100, span=4 * MINUTE), coverage(range(2)), coverage([500]))
    now = BEGIN // 1_000_000 + 150
    assert (Job(store).run(now=now).tables["usage_1m"].written, Job(store).run(now=now).tables["usage_1m"].open) == (2, 3)


def test_what_a_probe_left_untold_is_closed_after_a_day(store: Store) -> None:
    put(store, flows(20, span=MINUTE), coverage([0], told=range(1)))
    hour = BEGIN // 1_000_000
    assert Job(store).run(now=hour + 86_400).total("written") == 0
    assert Job(store).run(now=hour + 86_400 + 60).tables["usage_1m"].written == 1
    assert Job(store).run(now=hour + 86_400 + 3600).tables["usage_1h"].written == 1


def test_flows_that_have_gone_are_no_reason_to_compute_less(store: Store) -> None:
    made = flows(200, span=2 * MINUTE)
    put(store, made, coverage(range(2)))
    Job(store).run()
    before = everything(store)
    store.query(f"ALTER TABLE flows DELETE WHERE interval_start < fromUnixTimestamp64Micro({BEGIN + MINUTE}, 'UTC') SETTINGS mutations_sync = 1")
    for every in (False, True):
        outcome = Job(store).run(every=every)
        assert (outcome.tables["usage_1m"].refused, outcome.tables["usage_1h"].refused, outcome.total("written")) == (1, 1, 0)
    assert everything(store) == before
    # nor is a minute computed as nothing whose flows went before anyone looked
    store.query("TRUNCATE TABLE usage_slots")
    store.query("INSERT INTO coverage SELECT * REPLACE (stored_time - toIntervalDay(1) AS stored_time) FROM coverage")
    store.query("ALTER TABLE coverage DELETE WHERE stored_time > now() - 3600 SETTINGS mutations_sync = 1")
    outcome = Job(store).run(every=True)
    assert (outcome.tables["usage_1m"].refused, outcome.tables["usage_1m"].written) == (1, 1)


def test_a_capture_is_closed_when_it_is_whole_and_its_usage_goes_with_it(store: Store) -> None:
    for number, damage in ((7, UNFINISHED), (8, "")):
        put(store, Batch("captures", 1, {"capture_id": np.array([number], np.uint64), "damage": Texts.of([damage]),
                                         "stored_time": np.array([1], np.int64)}))
    seventh, eighth = flows(50, 1, probe="replay", capture=7), flows(50, 2, probe="replay", capture=8)
    put(store, seventh, eighth)
    assert not Job(store).run().total("computed")           # live traffic only
    outcome = Job(store).run(captures=None)
    assert outcome.tables["usage_1h"].written == 1 and outcome.tables["usage_1h"].open == 1
    check(store, eighth)
    put(store, Batch("captures", 1, {"capture_id": np.array([7], np.uint64), "stored_time": np.array([2], np.int64)}))
    Job(store).run(captures=[7])
    check(store, seventh, eighth)
    store.replace([8])
    store.flush()
    check(store, seventh)
    assert store.query("SELECT uniqExact(capture_id) FROM usage_slots").value() == 1


@settings(max_examples=5, deadline=None, phases=(Phase.explicit, Phase.generate), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 30), count=st.integers(1, 60), span=st.integers(1, 3 * MINUTE), before=st.integers(-2, 1), late=st.integers(0, 20))
def test_any_flows(store: Store, seed: int, count: int, span: int, before: int, late: int) -> None:
    """Also before 1970 and over the border of an hour; what comes late comes in."""
    number, start = next(_NUMBERS), (BEGIN if before >= 0 else 0) + before * MINUTE
    batches = [flows(count, seed, start, span, 2, capture=number), *([flows(late, seed + 1, start, span, 2, capture=number)] if late else [])]
    put(store, batches[0], Batch("captures", 1, {"capture_id": np.array([number], np.uint64)}))
    Job(store).run(captures=[number])
    put(store, *batches[1:])
    Job(store).run(captures=[number])
    lines = [line for batch in batches for line in twin.lines(batch)]
    for table in STEPS:
        expected = getattr(twin, table)(lines)
        found = {key: row for key, row in stored(store, table).items() if key[2] == number}
        assert found == {key: {column: [] if column == "rtt_histogram" else 0 for column in figures(table)} | row for key, row in expected.items()}


def test_two_that_compute_at_once_do_no_harm(store: Store) -> None:
    made = flows(2000)
    put(store, made, coverage(range(60)))
    jobs = [threading.Thread(target=Job(store).run) for _ in range(2)]
    for job in jobs:
        job.start()
    late = flows(200, 9)
    put(store, late)
    for job in jobs:
        job.join()
    for _ in range(2):
        Job(store).run()
    check(store, made, late)
    assert not Job(store).run(every=True).total("written")


def test_what_two_write_at_once_counts_once(store: Store) -> None:
    """Also in the rollups over usage, which know nothing of revisions."""
    put(store, flows(300, span=3 * MINUTE), coverage(range(3)))
    Job(store).run()
    rows, folded = parts(store), "SELECT sum(up_bytes) FROM services_1h"
    once = store.query(folded).value()

    class Behind:
        """Another job that looked before the first had written."""
        url, insert = store.url, staticmethod(store.insert)

        def query(self, sql: str, params: Any = None) -> Any:
            hidden = "FROM usage_" in sql and "SHA256" not in sql
            return store.query(f"SELECT * FROM ({sql}) LIMIT 0" if hidden else sql, params)

    assert Job(Behind()).run().tables["usage_1m"].written == 3
    assert parts(store) == rows and store.query(folded).value() == once > 0
