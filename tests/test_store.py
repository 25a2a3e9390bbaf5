"""The embedded store, on a real engine: what goes in comes out, what is replaced is gone, what is wrong is told in one line."""
from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dpi.batch import Batch, Coded, Lists, Texts
from dpi.errors import UserError
from dpi.schema import TABLES, Column
from dpi.store import NoStore, Store, address, open_store, tables
from dpi.store.blank import Blank
from dpi.store.captures import UNFINISHED, Stored, has_begun
from dpi.store.directory import held
from dpi.store.gathering import Gathering, signature
from dpi.store.writer import FIRST, LAST, Spool, Writer
from tests.oracle import columns as twin
from tests.rows import START, batch

DAY = 86_400_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A fresh store; one path is open at a time in a process."""
    opened = open_store(f"chdb://{tmp_path}/store")
    yield opened
    opened.close()


def _shown(column: Column, value: Any) -> Any:
    """The twin's value as a query shows it."""
    if column.kind in ("time", "time?") and value is not None:
        return value.replace("T", " ").rstrip("Z")
    if column.kind == "minute":
        return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S}"
    return int(value) if column.kind == "id" else value


@pytest.mark.parametrize("table", [table.name for table in TABLES.values() if not table.folds])
def test_every_kind_comes_out_as_it_went_in(store: Store, table: str) -> None:
    rows = batch(table, 300, **({"capture_id": np.arange(300, dtype=np.uint64)} if table == "captures" else {}))
    store.write(rows)
    store.flush()
    names = [name for name in TABLES[table].names if name != "stored_time"]
    got = store.query(f"SELECT {', '.join(names)} FROM {table}")
    want = [tuple(_shown(column, row[column.name]) for column in TABLES[table].columns if column.name in row) for row in twin.rows(rows)]
    assert sorted(map(repr, got.rows)) == sorted(map(repr, want))


def test_a_new_store_is_a_copy_of_the_one_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one is made by statements; from then on a copy. A copy that is damaged or half there is not used, and nothing of it stays."""
    monkeypatch.setenv("FULLSPAN_CACHE", str(tmp_path / "cache"))

    def opened(name: str) -> tuple[list[Any], bool]:
        made: list[str] = []
        keep = Blank.keep
        monkeypatch.setattr(Blank, "keep", lambda self, path: (made.append("made"), keep(self, path)))
        one = open_store(f"chdb://{tmp_path}/{name}")
        one.write(batch("flows", 10))
        one.flush()
        assert one.query("SELECT count() FROM flows").value() == 10 and one.query("SELECT sum(flows) FROM flows_1h").value() is not None
        shown = one.query("SELECT name, create_table_query FROM system.tables WHERE database = 'default' ORDER BY name").rows
        one.close()
        monkeypatch.undo()
        monkeypatch.setenv("FULLSPAN_CACHE", str(tmp_path / "cache"))
        return shown, bool(made)

    first, made = opened("first")
    assert made
    kept, = (tmp_path / "cache" / "stores").iterdir()
    second, made = opened("second")
    assert not made and [row[0] for row in second] == [row[0] for row in first]
    whole = kept.read_text()
    for damaged in (whole[:1000], whole.replace("format_version.txt", "no/such/place", 1), "{}", "[]"):
        kept.write_text(damaged)
        assert opened("third")[1]
        assert sorted(one.name for one in tmp_path.iterdir()) == ["cache", "first", "second", "third"]
        shutil.rmtree(tmp_path / "third")


def test_missing_columns_get_defaults(store: Store) -> None:
    store.write(Batch("flows", 2, {"flow_id": np.array([5, 6], np.uint64)}))
    store.flush()
    row = store.query("SELECT * FROM flows WHERE flow_id = 5").dicts()[0]
    assert row.pop("stored_time") > "2020"
    for column in TABLES["flows"].columns[1:-1]:
        assert row[column.name] == _shown(column, twin.default(column)), column.name


def test_captures_of_2012_and_of_a_thousand_days_go_in_whole(store: Store) -> None:
    """Partitions follow the time of writing: a batch over more than 100 days of packet time is not refused."""
    many = batch("flows", 3000, 3, interval_start=START + DAY * (np.arange(3000) % 1000))
    wild = batch("flows", 4, 4, interval_start=np.array([0, -5_000_000, -62_135_596_800_000_000, 4_000_000_000_000_000], np.int64))
    dns = batch("dns", 2000, 5, time=START + DAY * np.arange(2000))
    for one in (many, wild, dns):
        store.write(one)
    store.flush()
    days = store.query("SELECT count(), uniqExact(toDate(interval_start)) FROM flows WHERE interval_start BETWEEN '2012-01-01' AND '2015-12-31'")
    assert days.rows == [(3000, 1000)]
    assert store.query("SELECT count() FROM flows").value() == 3004
    assert store.query("SELECT count() FROM dns").value() == 2000
    for rollup in ("flows_1m", "flows_5m", "flows_1h"):
        assert store.query(f"SELECT sum(client_packets) FROM {rollup}").value() == store.query("SELECT sum(client_packets) FROM flows").value()


def test_rollups_are_the_sums_of_flows(store: Store) -> None:
    for seed in (1, 2):
        store.write(batch("flows", 2000, seed, interval=(np.arange(2000) % 3).astype(np.uint32), start=-100_000_000 if seed == 1 else START))
        store.flush()
    assert store.query("SELECT sum(flows) FROM flows_1m").value() == 2 * 667
    for table, step in (("flows_1m", 60), ("flows_5m", 300), ("flows_1h", 3600)):
        sums = "sum(client_packets), sum(server_packets), sum(client_bytes), sum(server_bytes), sum(client_wire_bytes), sum(server_wire_bytes)"
        by = "probe, capture_id, protocol, application, category"
        got = store.query(f"SELECT toUnixTimestamp64Second(time) AS slot, {by}, {sums}, sum(flows) FROM {table} GROUP BY ALL ORDER BY ALL").rows
        want = store.query(f"SELECT toInt64(floor(toUnixTimestamp64Micro(interval_start) / 1e6 / {step})) * {step} AS slot, {by}, {sums}, "
                           "countIf(interval = 0) FROM flows GROUP BY ALL ORDER BY ALL").rows
        assert got == want, table


def test_shards_may_write_from_threads_of_their_own(store: Store) -> None:
    def write(seed: int) -> None:
        for number in range(10):
            store.write(batch("flows", 7, 100 * seed + number))

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.flush()
    assert store.query("SELECT count() FROM flows").value() == 280


def test_small_batches_are_gathered_into_few_parts(store: Store) -> None:
    for seed in range(40):
        store.write(batch("flows", 5, seed, application=Texts.of(["a"] * 5)))
    store.write(Batch("flows", 1, {"flow_id": np.array([1], np.uint64)}))       # other columns: an insert of its own
    store.flush()
    assert store.query("SELECT count() FROM flows").value() == 201
    assert store.query("SELECT count() FROM system.parts WHERE active AND table = 'flows'").value() == 2


def _capture(number: int, size: int = 0, damage: str = "") -> Batch:
    return Batch("captures", 1, {"capture_id": np.array([number], np.uint64), "size": np.array([size], np.uint64), "path": Texts.of([f"/{number}"]),
                                 "modified_time": np.array([5]), "sha256": Texts.of(["aa"]), "damage": Texts.of([damage])})


def test_captures_of_a_size_are_known_whether_flushed_or_not(store: Store) -> None:
    store.write(_capture(1, 10))
    store.flush()
    store.write(_capture(2, 10))
    store.write(_capture(3, 11))
    assert store.captures(10) == [Stored(1, "/1", 10, 5, "aa"), Stored(2, "/2", 10, 5, "aa")]
    store.replace([1])
    assert [one.capture_id for one in store.captures(10)] == [2]
    store.close()
    again = open_store(store.url)
    assert again.captures(10) == [Stored(2, "/2", 10, 5, "aa")] and [one.capture_id for one in again.captures(11)] == [3]
    again.close()


def test_a_capture_that_has_begun_is_stored_before_its_rows_and_ends_after_them() -> None:
    """However rows are gathered: whenever the process is killed, no row is without its capture, and no capture is whole too early."""
    order: list[tuple[str, int]] = []
    writer = Writer(lambda spool: order.append((spool.table, spool.rows)), rows=10)
    for number in (1, 2):
        writer.write(_capture(number, damage=UNFINISHED), FIRST)
        writer.write(batch("flows", 6, number))         # of the second, ten rows are together: they go, the first two captures before them
        writer.write(batch("dns", 4, number))
        writer.write(_capture(number), LAST)
    assert has_begun(_capture(1, damage=UNFINISHED)) and not has_begun(_capture(1))
    writer.close()
    assert order[:2] == [("captures", 2), ("flows", 12)] and order[-1] == ("captures", 2) and sorted(order[2:-1]) == [("dns", 8)]


def test_rows_go_ahead_where_a_core_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Soon, and then in inserts that grow with the table, so that parts stay few."""
    sizes: dict[int, list[int]] = {}
    for cores in (1, 2):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid, cores=cores: set(range(cores)))
        sizes[cores] = []
        writer = Writer(lambda spool, into=sizes[cores]: into.append(spool.rows), rows=1000, eager=10)
        for seed in range(400):
            writer.write(batch("captures", 5, seed))
            writer._queue.join()                    # the thread is idle
        writer.close()
    assert sizes[1] == [1000, 1000]
    assert sizes[2][:3] == [10, 10, 10] and sum(sizes[2]) == 2000 and len(sizes[2]) < 30 and max(sizes[2]) > 200


def test_replaying_a_capture_replaces_its_rows(store: Store) -> None:
    for number in (1, 2, 3):
        for table in ("flows", "dns", "tls", "http", "coverage"):
            store.write(batch(table, 50, number, capture_id=np.full(50, number, np.uint64)))
        store.write(_capture(number))
        if number == 1:
            store.flush()               # a part of its own is dropped whole; 2 and 3 share theirs
    store.replace([1])
    store.replace([])
    store.flush()
    for table in ("flows", "dns", "tls", "http", "coverage", "flows_1m", "flows_1h"):
        assert store.query(f"SELECT groupUniqArray(capture_id) FROM {table}").value() in ([2, 3], [3, 2]), table
    assert store.query("SELECT sum(client_packets) FROM flows_1m").value() == store.query("SELECT sum(client_packets) FROM flows").value()
    store.write(_capture(4))
    store.replace([2])                  # mixed parts: rewritten without its rows
    store.flush()
    assert store.query("SELECT groupArray(capture_id) FROM (SELECT capture_id FROM captures ORDER BY capture_id)").value() == [3, 4]
    assert store.query("SELECT groupUniqArray(capture_id) FROM flows").value() == [3]
    assert store.query("SELECT count() FROM flows").value() == 50
    assert store.query("SELECT sum(flows) FROM flows_5m").value() == store.query("SELECT countIf(interval = 0) FROM flows").value()


def test_a_later_row_of_a_capture_replaces_the_former(store: Store) -> None:
    for packets in (1, 2):
        store.write(Batch("captures", 1, {"capture_id": np.array([7], np.uint64), "packets": np.array([packets], np.uint64)}))
        store.flush()
    assert store.query("SELECT packets FROM captures").rows == [(2,)]


def test_a_store_is_found_again_and_gains_new_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"chdb://{tmp_path}/store"
    first = open_store(url)
    first.write(batch("flows", 10))
    first.close()
    grown = TABLES["dns"].columns[:4] + (Column("added", "u32?", "a column of tomorrow"),) + TABLES["dns"].columns[4:]
    monkeypatch.setitem(TABLES, "dns", type(TABLES["dns"])(**{**TABLES["dns"].__dict__, "columns": grown}))
    second = open_store(url)
    assert second.query("SELECT count() FROM flows").value() == 10
    second.write(Batch("dns", 1, {"added": np.array([3], np.uint32)}))
    second.write(batch("flows", 10, 2))
    second.flush()
    assert second.query("SELECT added FROM dns").rows == [(3,)]
    assert [row[0] for row in second.query("DESCRIBE dns").rows][:6] == [column.name for column in grown][:6]
    assert second.query("SELECT sum(flows) FROM flows_1h").value() == second.query("SELECT countIf(interval = 0) FROM flows").value()
    second.close()


def test_a_store_of_a_newer_fullspan_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"chdb://{tmp_path}/store"
    monkeypatch.setattr(tables, "VERSION", 9)
    monkeypatch.setattr(tables, "MIGRATIONS", {number: () for number in range(10)})
    open_store(url).close()
    monkeypatch.setattr(tables, "VERSION", 1)
    with pytest.raises(UserError, match="newer Fullspan"):
        open_store(url)


def test_questions_have_answers_and_errors_one_line(store: Store) -> None:
    answer = store.query("SELECT {n:UInt64} AS number, 'x' AS word", {"n": 1 << 63})
    assert answer.columns == ["number", "word"] and answer.rows == [(1 << 63, "x")] and answer.dicts() == [{"number": 1 << 63, "word": "x"}]
    addresses = store.query("SELECT toIPv6('::ffff:1.2.3.4') AS a, [toIPv6('::ffff:1.2.3.4'), toIPv6('2001:db8::1')] AS b")
    assert addresses.rows == [("1.2.3.4", ["1.2.3.4", "2001:db8::1"])]
    assert store.arrow("SELECT number AS n FROM numbers(3)")["n"].to_pylist() == [0, 1, 2]
    for wrong in ("SELEC 1", "SELECT nothing FROM flows", "SELECT 1 FROM absent"):
        with pytest.raises(UserError) as caught:
            store.query(wrong)
        assert "\n" not in str(caught.value) and "DB::Exception" not in str(caught.value) and len(str(caught.value)) < 320


def test_reading_only_allows_no_change(tmp_path: Path) -> None:
    url = f"chdb://{tmp_path}/store"
    open_store(url).close()
    reader = open_store(url, create=False, readonly=True)
    try:
        for change in ("DROP TABLE flows", "INSERT INTO flows (flow_id) VALUES (1)", "SET readonly = 0"):
            with pytest.raises(UserError, match="only reading"):
                reader.query(change)
        assert reader.query("SELECT count() FROM flows").value() == 0
    finally:
        reader.close()


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    one = open_store(f"chdb://{tmp_path}/store")
    one.close()
    with pytest.raises(UserError, match="the store is closed"):
        one.query("SELECT 1")


def test_a_held_store_is_told(store: Store) -> None:
    code = f"from dpi.cli.main import run; import sys; sys.exit(run(['query', '--store', {store.url!r}]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "in use by another process" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    again = open_store(store.url)       # the same process may open it twice
    again.close()
    assert store.query("SELECT 1").value() == 1
    with pytest.raises(UserError, match="another store open"):
        open_store(store.url + "-other")


def test_wrong_addresses_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter").write_text("x")
    for url, what in (("chdb://", "needs a path"), ("mysql://x", "not a store URL"), ("clickhouse://", "not a store URL"),
                      (f"chdb://{tmp_path}/file", "is a file"), (f"chdb://{tmp_path}/other", "something else than a store"),
                      (f"chdb://{tmp_path}/x?database=a-b", "database name")):
        with pytest.raises(UserError, match=what):
            open_store(url)
    with pytest.raises(UserError, match="no store here"):
        open_store(f"chdb://{tmp_path}/absent", create=False)
    assert not (tmp_path / "absent").exists()
    assert address("").path == address("chdb:///fullspan.chdb").path == address("chdb:fullspan.chdb").path == Path("fullspan.chdb").absolute()
    assert address("chdb:///a/b").path == Path("/a/b")
    there = address("clickhouse://me:secret@host:9001/db")
    assert (there.host, there.port, there.user, there.password, there.database) == ("host", 9001, "me", "secret", "db")
    assert "secret" not in repr(there)


def test_no_store_keeps_nothing_and_says_so() -> None:
    none = open_store("none")
    assert isinstance(none, NoStore)
    none.write(batch("flows", 1))
    none.flush()
    assert none.captures(0) == []
    none.replace([1])
    with pytest.raises(UserError, match="no store"):
        none.query("SELECT 1")
    none.close()


def test_the_writer_tells_the_first_error_and_counts_what_was_lost() -> None:
    def full(_spool: Spool) -> None:
        raise UserError("the disk is full", "somewhere")

    writer = Writer(full, rows=10)
    writer.write(batch("flows", 10))
    with pytest.raises(UserError, match="disk is full"):
        writer.flush()
    with pytest.raises(UserError, match="disk is full"):
        writer.write(batch("flows", 10))
    with pytest.raises(UserError, match="disk is full"):
        writer.close()
    assert (writer.rows, writer.lost) == (0, 10)


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted")
def test_a_full_disk_is_told_and_nothing_is_half_written(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", str(tmp_path / "small")], check=True)
    try:
        opened = open_store(f"chdb://{tmp_path}/small/store")
        with pytest.raises(UserError, match="disk is full"):
            for seed in range(6):
                opened.write(batch("flows", 20_000, seed, interval_start=START + np.arange(20_000)))
                opened.flush()
        count = opened.query("SELECT count() FROM flows").value()
        assert count % 20_000 == 0
        with pytest.raises(UserError, match="disk is full"):
            opened.close()
    finally:
        subprocess.run(["umount", str(tmp_path / "small")], check=False)


@pytest.mark.parametrize("table", ["flows", "captures", "http"])
def test_batches_put_together_hold_the_rows_of_each(table: str) -> None:
    """Whatever room was reserved, and in whichever form strings come; nothing of the batches is shared."""
    want: list[dict[str, Any]] = []
    gathered = Gathering(batch(table, 1), 16)
    for seed in range(12):
        given = {name: Texts.of(["", "00:11:22:33:44:55"] * 25) for name in ("client_mac", "server_mac")} if table == "flows" and seed % 3 == 2 else {}
        one = batch(table, 50, seed, **given)
        assert signature(one) == signature(batch(table, 1))
        want += twin.rows(one)
        gathered.add(one)
        for column in one.columns.values():
            if isinstance(column, np.ndarray):
                column[:] = 0
    assert twin.rows(gathered.batch()) == want


def test_pieces_of_columns_are_put_together() -> None:
    """Columns cut out of larger ones: offsets that do not begin at 0, codes beyond the words."""
    words = Texts.of(["a", "bb", "", "cc"])
    cut = Texts(words.data, words.offsets[1:])
    lists = Lists.of([["x"], ["y", "z"], []])
    pieces = [Batch("captures", 3, {"path": cut, "source": Coded(np.array([0, 1, 9]), ["p", "q"]), "link_types": lists}),
              Batch("captures", 2, {"path": Texts(words.data, words.offsets[2:]), "source": Coded.of(["q", "r"]),
                                    "link_types": Lists(lists.offsets[1:], lists.values)})]
    gathered = Gathering(pieces[0], 1)
    for piece in pieces:
        gathered.add(piece)
    columns = gathered.batch().columns
    assert list(columns["path"]) == ["bb", "", "cc", "", "cc"] and list(columns["source"]) == ["p", "q", "q", "q", "r"]
    assert list(columns["link_types"]) == [["x"], ["y", "z"], [], ["y", "z"], []]


def test_lists_of_numbers(store: Store) -> None:
    counts = Lists(np.array([0, 2]), np.array([3, 4], np.uint64))
    store.write(Batch("captures", 1, {"refused_reasons": Lists.of([["x", "y"]]), "refused_counts": counts}))
    store.flush()
    assert store.query("SELECT refused_reasons, refused_counts FROM captures").rows == [(["x", "y"], [3, 4])]
    assert json.dumps(store.query("SELECT * FROM captures").dicts())


# ---- the engine in a process of its own: each in a fresh process, for one with threads can't be forked

_BESIDE = """
import os, signal, sys
from dpi.store import open_ahead, open_store
os.sched_getaffinity = lambda _: {0, 1}
url = sys.argv[1]
ahead = open_ahead(url)
assert ahead is not None
from dpi.errors import UserError
from tests.rows import batch
store = open_store(url, ahead=ahead)
try:
    exec(sys.argv[2])
except UserError as error:
    print("UserError", error, flush=True)
store.close() if "close" in sys.argv[2] else os._exit(0)
"""


def beside(where: Path, program: str) -> list[str]:
    """Lines that the program prints, given a `store` whose engine runs beside it."""
    done = subprocess.run([sys.executable, "-c", _BESIDE, f"chdb://{where}/store", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_beside_it_answers_like_here(tmp_path: Path) -> None:
    said = beside(tmp_path, """
store.write(batch("flows", 500))
store.start_flush()
store.flush()
print(store.query("SELECT count() FROM flows WHERE flow_id >= {id:UInt64}", {"id": 0}).value(), store.arrow("SELECT flow_id FROM flows").num_rows, flush=True)
try:
    store.query("SELECT * FROM no_such_table")
except UserError as error:
    print("no_such_table" in str(error), flush=True)
store.close()
""")
    assert said == ["500 500", "True"]
    with contextlib.closing(open_store(f"chdb://{tmp_path}/store")) as again:
        assert again.query("SELECT count() FROM flows").value() == 500


def test_a_replays_engine_gives_way(tmp_path: Path) -> None:
    said = beside(tmp_path, """
store.query("SELECT 1")
from dpi.priority import lower
print({os.getpriority(os.PRIO_PROCESS, int(one)) for one in os.listdir(f"/proc/{ahead._child}/task")} - {lower()}, flush=True)
""")
    assert said == ["set()"]


def test_a_lost_engine_is_told(tmp_path: Path) -> None:
    said = beside(tmp_path, """
store.write(batch("flows", 5))
store.flush()
os.kill(ahead._child, signal.SIGKILL)
store.write(batch("flows", 5))
try:
    store.flush()
except UserError as error:
    print(error, flush=True)
""")
    assert len(said) == 1 and "the engine's process has ended" in said[0]


def test_without_its_parent_the_engine_lets_go(tmp_path: Path) -> None:
    beside(tmp_path, "store.write(batch('flows', 5)); store.flush(); os._exit(0)")
    for _ in range(100):
        if not held(tmp_path / "store"):
            break
        time.sleep(0.1)
    with contextlib.closing(open_store(f"chdb://{tmp_path}/store")) as again:
        assert again.query("SELECT count() FROM flows").value() == 5


def test_beside_a_store_of_a_newer_fullspan_is_told_when_it_is_needed(tmp_path: Path) -> None:
    with contextlib.closing(open_store(f"chdb://{tmp_path}/store")) as newer:
        newer.query("INSERT INTO fullspan_schema (version, digest, applied) VALUES (99, 'x', now64(6) + 60)")
    said = beside(tmp_path, "store.query('SELECT 1')")
    assert len(said) == 1 and said[0].startswith("UserError") and "newer Fullspan" in said[0]
