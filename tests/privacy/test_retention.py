"""Days, holds and what is told of rows that have expired, on the embedded engine."""
from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from dpi.batch import Batch, Coded, Texts
from dpi.cli.main import cli
from dpi.errors import UserError
from dpi.settings import Settings, load
from dpi.store import Store, holds, open_store
from dpi.store.answering import Answering
from dpi.store.audit import Entry, Who, record, rows_of, verify
from dpi.store.budget import Budget, budget_of
from dpi.store.expired import closed, span_of
from dpi.store.keeping import Keeping
from tests.privacy.stores import DAY, START, flows, put
from tests.privacy.test_audit import ask, told
from tests.rows import batch

ME = Who("someone", 1000, "box")
HOUR = 3_600_000_000


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One engine for all: each test has a database of it."""
    with contextlib.closing(open_store(f"chdb://{tmp_path_factory.mktemp('retention')}/store", merging=True)) as opened:
        yield opened


@pytest.fixture
def store(base: Store, request: pytest.FixtureRequest) -> Iterator[Store]:
    with contextlib.closing(open_store(f"{base.url}?database={request.node.name[5:30]}", merging=True)) as opened:
        yield opened


def change(**given: Any) -> dict[str, Any]:
    """A hold of S1 in the first hour, but for what is given."""
    return {"do": "add", "service_id": "S1", "customer_id": "", "from_time": START, "to_time": START + HOUR, "reason": "r", "ticket": "", **given}


def services(store: Store) -> dict[str, int]:
    """Rows of flows by the client's service."""
    return {str(name): int(rows) for name, rows in store.query("SELECT client_service_id AS name, count() FROM flows GROUP BY name ORDER BY name")}


def test_unbound_flows_go_first_where_there_are_bindings(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed, days in enumerate((0.0, 20, 40, 40.01, 100, 200), 1):
        put(store, flows(40, seed, ["S1", ""]), days, monkeypatch)
    keeping = Keeping(store, Budget(flows=180, unbound=30), wait=True)
    assert keeping.look() == 40 + 60 and services(store) == {"": 40, "S1": 100}
    assert keeping.look() == 0 and services(store) == {"": 40, "S1": 100}
    causes = store.query("SELECT cause, sum(rows) FROM expired GROUP BY cause ORDER BY cause").rows
    assert [(str(cause), int(rows)) for cause, rows in causes] == [("age", 40), ("unbound", 60)]
    # 20 days later those of 20 days ago go as well
    keeping.budget = Budget(flows=180, unbound=10)
    assert keeping.look() == 20 and services(store) == {"": 20, "S1": 100}


def test_unbound_flows_stay_where_nothing_is_bound(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed, days in enumerate((0.0, 40, 200), 1):
        put(store, flows(10, seed, [""]), days, monkeypatch)
    keeping = Keeping(store, Budget(flows=180, unbound=30), wait=True)
    assert keeping.look() == 10 and services(store) == {"": 20}


def test_a_hold_keeps_its_rows_and_no_others(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, flows(3, 9, ["S1"], START + 40 * HOUR), 0, monkeypatch)
    for seed, days, start in ((1, 200, START), (2, 201, START + 30 * HOUR), (3, 202, START)):
        put(store, flows(30, seed, ["S1", "S2", ""] if seed < 3 else ["S2"], start), days, monkeypatch)
        messages = batch("dns", 30, seed, flow_id=(np.arange(30) + seed * 1000 + (7 << 40)).astype("u8"), capture_id=np.zeros(30, "u8"))
        put(store, messages, days, monkeypatch)
    put(store, batch("dns", 3, 9), 0, monkeypatch)
    hold = holds.change(store, change(reason="court 4"), ME)
    assert [one.whom for one in holds.every(store)] == ["service S1"]
    keeping = Keeping(store, Budget(flows=180, messages=30), wait=True)
    # of the part of seed 1 the ten rows of S1 stay, the part of seed 2 is of another time, that of seed 3 of another service
    assert keeping.look() == 20 + 30 + 30 + (20 + 30 + 30)
    assert services(store) == {"S1": 13} and store.query("SELECT count() FROM dns").value() == 13
    assert keeping.look() == 0
    keeping.budget = Budget(bytes=1)
    keeping.look()
    assert services(store)["S1"] >= 10 and store.query(f"SELECT count() FROM flows WHERE flow_id < {(7 << 40) + 2000}").value() == 10
    keeping.budget = Budget(flows=180, messages=30)
    with pytest.raises(UserError, match="no hold 5 is in force"):
        holds.change(store, {"do": "end", "hold_id": 5, "reason": "r", "ticket": ""}, ME)
    ended = holds.change(store, {"do": "end", "hold_id": hold.hold_id, "reason": "closed", "ticket": "T"}, ME)
    assert ended.ended_time and not holds.every(store) and holds.every(store, ended=True) == [ended]
    put(store, flows(3, 10, ["S1"], START + 40 * HOUR), 0, monkeypatch)
    assert keeping.look() == 20 and store.query(f"SELECT count() FROM flows WHERE flow_id < {(7 << 40) + 2000}").value() == 0
    noted = [(row["command"], row["reason"], row["ticket"], row["target"]) for row in rows_of(store)]
    assert noted == [("hold add", "court 4", "", f"{hold.hold_id}: service S1"), ("hold end", "closed", "T", f"{hold.hold_id}: service S1")]


def test_a_row_that_began_before_the_time_of_a_hold_is_of_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, flows(3, 1, ["S1"], START), 200, monkeypatch)           # each of them 9 us long
    put(store, flows(3, 2, ["S1"], START - 20), 200, monkeypatch)
    times = np.array([START - HOUR, START + 5, START + 2 * HOUR], np.int64)
    put(store, Batch("sessions", 3, {"time": times, "service_id": Coded.same("S1", 3)}), 200, monkeypatch)
    put(store, flows(3, 3, ["S1"], START + 40 * HOUR), 0, monkeypatch)
    holds.change(store, change(from_time=START + 5), ME)
    assert Keeping(store, Budget(flows=180), wait=True).look() == 3 + 1
    assert services(store) == {"S1": 6} and store.query("SELECT count() FROM sessions").value() == 2


def test_what_is_held_takes_no_room_from_what_comes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.query("SYSTEM STOP MERGES flows")
    put(store, flows(20_000, 1, ["S1"], START), 2, monkeypatch)
    for seed in (2, 3):
        put(store, flows(1000, 30 * seed, ["S2"], START + 40 * HOUR), 0, monkeypatch)
    size = int(store.query("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase()").value())
    holds.change(store, change(), ME)
    assert Keeping(store, Budget(bytes=size * 3 // 4), wait=True).look() == 0 and services(store) == {"S1": 20_000, "S2": 2000}


def test_a_hold_of_a_customer_keeps_usage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    minute = START // 1_000_000 // 60 * 60
    for customer in ("C1", "C2"):
        put(store, Batch("usage_1m", 2, {"time": np.array([minute, minute + 7200], np.int64), "service_id": Coded.same(f"S of {customer}", 2),
                                         "customer_id": Coded.same(customer, 2), "revision": np.ones(2, "u4")}), 800, monkeypatch)
    put(store, batch("usage_1m", 1), 0, monkeypatch)
    holds.change(store, change(customer_id="C1", service_id="", to_time=START + 60_000_000), ME)
    keeping = Keeping(store, Budget(folded=730), wait=True)
    assert sum(keeping.look() for _ in range(3)) == 3           # what the engine merged meanwhile goes at the next look
    assert [tuple(row) for row in store.query("SELECT customer_id, toUnixTimestamp(time) FROM usage_1m WHERE service_id LIKE 'S of%'")] == [("C1", minute)]


def test_an_expired_flow_is_told_with_its_closed_usage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, flows(10, 1, ["S1"]), 200, monkeypatch)
    put(store, flows(10, 2, ["S1"], START + 50 * HOUR), 0, monkeypatch)
    hour = START // 1_000_000 // 3600 * 3600
    put(store, Batch("usage_slots", 3, {"table_name": Coded.of(["usage_1h", "usage_1m", "usage_1h"]), "time": np.array([hour, hour, hour + 7200], np.int64),
                                        "probe": Coded.same("p1", 3), "rows": np.arange(3).astype("u8"), "bytes": np.arange(3).astype("u8"),
                                        "digest": Texts.of(["aa", "bb", "cc"]), "revision": np.ones(3, "u4")}), 200, monkeypatch)
    assert Keeping(store, Budget(flows=180)).look() == 10
    flow = (7 << 40) + 1004
    gone = span_of(store, flow)
    assert gone is not None and gone.rows == 10 and gone.first == time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(START // 1_000_000))
    assert [slot["digest"] for slot in closed(store, gone)][:1] == ["aa"] and span_of(store, (7 << 40) + 5) is None
    assert told("flow", str(flow), "--store", store.url)[0] == 2         # it names a person still
    code, said = told("flow", str(flow), "--store", store.url, "--ticket", "T")
    assert code == 0 and "have expired" in said and "sha256 aa" in said and "probe p1" in said
    assert json.loads(CliRunner().invoke(cli, ["flow", str(flow), "--store", store.url, "--ticket", "T", "--json"]).output)["expired"]["rows"] == 10
    code, said = told("flow", "77", "--store", store.url, "--ticket", "T")
    assert code == 2 and "no flow 77" in said


def test_audit_rows_go_and_the_chain_holds(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    with monkeypatch.context() as then:
        for days in (2000, 1900, 1):
            moment = now - int(days * DAY * 1e9)
            then.setattr("dpi.store.parcel.time.time_ns", lambda moment=moment: moment)
            record(store, Entry(ME, "query", f"{days} days ago"))
    record(store, Entry(ME, "query", "now"))
    keeping = Keeping(store, Budget(audit=1825))
    assert keeping.look() == 2 and keeping.look() == 0
    rows, faults = verify(store)
    assert not faults and [row["reason"] for row in rows] == ["1 days ago", "now", "", ""] and [row["target"] for row in rows][2:] == ["1", "2"]
    store.query("ALTER TABLE audit DELETE WHERE number = 3 SETTINGS mutations_sync = 1")
    assert verify(store)[1]


def test_holds_beside_the_owner(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with Answering(store) as answering:         # type: ignore[arg-type]
        assert ask(answering.port, json.dumps(change()), path="/fullspan/hold")[0] == 200 and [one.uid for one in holds.every(store)] == [0]
        for wrong in ("{}", "no json", json.dumps(change(customer_id="C1")), json.dumps(change(do="drop"))):
            assert ask(answering.port, wrong, path="/fullspan/hold")[0] == 400, wrong
        monkeypatch.setattr("dpi.store.interface.user_at", lambda *_: 12345)
        status, said = ask(answering.port, json.dumps(change()), path="/fullspan/hold")
        assert status == 403 and "Only root" in said and len(holds.every(store)) == 1


def test_the_command_adds_lists_and_ends(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    span = ("--from", "2026-01-01", "--to", "2026-02-01")
    assert told("hold", "add", "--store", store.url, "--service", "S1", *span)[0] == 2
    assert told("hold", "add", "--store", store.url, *span, "--reason", "r")[0] == 2
    assert told("hold", "add", "--store", store.url, "--service", "S1", "--from", "2026-02-01", "--to", "2026-01-01", "--reason", "r")[0] == 2
    code, said = told("hold", "add", "--store", store.url, "--service", "S1", *span, "--reason", "court 4", "--ticket", "T-4")
    assert code == 0 and "service S1  2026-01-01 00:00:00 to 2026-02-01 00:00:00 UTC  held  (court 4 ticket T-4; " in said
    number = said.split()[0]
    assert told("hold", "list", "--store", store.url)[1].splitlines()[0] == said.strip()
    assert told("hold", "end", number, "--store", store.url, "--reason", "closed")[0] == 0
    with monkeypatch.context() as given:
        given.setenv("FULLSPAN_STORE_URL", store.url)
        assert told("hold", "list")[1] == "0 holds\n" and told("audit", "verify")[1].startswith("2 audit rows: whole")
    assert told("hold", "list", "--store", store.url)[1] == "0 holds\n" and "no longer held" in told("hold", "list", "--all", "--store", store.url)[1]


def test_days_are_a_probes_and_a_replays_only_where_asked(tmp_path: Path) -> None:
    assert budget_of(Settings()) == Budget(0, 180, 30, 730, 1825, 30) and not budget_of(Settings(), replay=True)
    file = tmp_path / "fullspan.toml"
    file.write_text("[retention]\nreplays = 1\nflows = 7\n")
    assert budget_of(load(file, {}), replay=True).flows == 7
    file.write_text("[store]\nmax_days = 7\n")
    with pytest.raises(UserError, match=r"flows of \[retention\]"):
        load(file, {})
