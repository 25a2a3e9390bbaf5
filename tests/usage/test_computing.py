"""Usage is the sum of its flows, whatever happens while it is computed."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dpi.schema import TABLES
from dpi.store import Store, open_store
from dpi.usage.computing import Job
from dpi.usage.definition import STEPS, figures, keys
from tests.oracle import usage as twin
from tests.usage.traffic import BEGIN, MINUTE, coverage, flows, put

pytestmark = pytest.mark.compiled


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_store(f"chdb://{tmp_path_factory.mktemp('usage')}/store")
    yield store
    store.close()


@pytest.fixture
def store(opened: Store) -> Store:
    """Empty."""
    for table in TABLES:
        opened.query(f"TRUNCATE TABLE {table}")
    return opened


def stored(store: Any, table: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The rows of a usage table as anyone reads them, without those of nothing."""
    names = ("probe", "capture_id", *keys(table))
    found = store.query(f"SELECT toUnixTimestamp(time), probe, toString(capture_id), {', '.join((*keys(table), *figures(table)))} FROM {table} FINAL")
    rows = {(int(row[0]), row[1], int(row[2]), *row[3:len(names) + 1]): dict(zip(figures(table), row[len(names) + 1:], strict=True)) for row in found}
    assert len(rows) == len(found)
    return {key: row for key, row in rows.items() if any(value for name, value in row.items() if name != "rtt_histogram")}


def check(store: Any, *batches: Any, tables: tuple[str, ...] = tuple(STEPS)) -> None:
    """The store holds what the slow twin makes of these flows."""
    lines = [line for batch in batches for line in twin.lines(batch)]
    for table in tables:
        expected = getattr(twin, table)(lines)
        found = stored(store, table)
        assert found.keys() == expected.keys()
        for key, row in expected.items():
            assert found[key] == {name: [] if name == "rtt_histogram" else 0 for name in figures(table)} | row, (table, key)


def everything(store: Any) -> list[Any]:
    return [store.query(f"SELECT * EXCEPT (stored_time) FROM {table} FINAL ORDER BY ALL").rows for table in (*STEPS, "usage_slots")]


def parts(store: Any) -> list[Any]:
    return list(store.query("SELECT table, sum(rows) FROM system.parts WHERE active AND table LIKE 'usage%' AND database = currentDatabase() "
                            "GROUP BY table ORDER BY table"))


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


def test_what_is_killed_is_finished_by_the_next_run(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Real processes, killed at random; the twenty of the proof are six here."""
    done = subprocess.run([sys.executable, "-m", "tests.usage.killed", "--kills", "6", "--flows", "5000"], cwd=killed.ROOT, capture_output=True, text=True,
                          check=False, timeout=120, env={**os.environ, "PYTHONPATH": str(killed.ROOT), "TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
