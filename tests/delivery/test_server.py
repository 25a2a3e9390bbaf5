"""A ClickHouse server as the store, on a real one (18.16), and the same parcels on the embedded engine, which knows the types of newer servers."""
from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dpi.batch import NULLS, Batch, Coded, Lists, Texts
from dpi.errors import UserError
from dpi.schema import TABLES, Column
from dpi.store import Away, Store, address, alerts, legacy, masked, open_store
from dpi.store.captures import UNFINISHED, Stored
from dpi.store.parcel import Packing, Parcel
from tests.delivery.servers import Server, free_port
from tests.oracle import columns as twin
from tests.rows import START, batch

OPTIONS = {"plain": "timeout=20", "replicated": "timeout=20&replicated=/clickhouse/{}"}
TABLES_WRITTEN = [table.name for table in TABLES.values() if not table.folds]


@pytest.fixture(params=["plain", "replicated"])
def store(request: pytest.FixtureRequest, server: Server) -> Iterator[Store]:
    """An empty database on the server, its tables of one server or replicated ones."""
    database = f"db{abs(hash(request.node.name)):x}"
    opened = open_store(server.url(database, OPTIONS[request.param].format(database)))
    try:
        yield opened
    finally:
        opened.query(f"DROP DATABASE {database}")
        opened.close()


def parcel(rows: Batch, probe: str = "p1") -> Parcel:
    """These rows as a parcel."""
    packing = Packing(probe)
    packing.add(rows)
    return packing.pack(packing.take(True)[0])


def whole(store: Store) -> str:
    """Its URL with the password, which the store does not show."""
    assert "cret" not in store.url
    return store.url.replace("***", "se%3Acret")


def shown(column: Column, value: Any) -> Any:
    """The twin's value as a query shows it."""
    if column.kind in ("time", "time?") and value is not None:
        return value.replace("T", " ").rstrip("Z")
    return int(value) if column.kind in ("id", "flag") else value


def held(store: Store, table: str) -> list[str]:
    """Rows of a table without the time at which they were stored."""
    names = [name for name in TABLES[table].names if name != "stored_time"]
    asked = (f"toUnixTimestamp(`{name}`)" if TABLES[table].column(name).kind == "minute" else f"`{name}`" for name in names)    # shown in the server's zone
    found = store.query(f"SELECT {', '.join(asked)} FROM {table}")
    kinds = [TABLES[table].column(name).kind for name in names]
    return sorted(repr(tuple(int(value) if kind == "flag" else value for value, kind in zip(row, kinds, strict=True))) for row in found.rows)


def wanted(rows: Batch) -> list[str]:
    """The same from the batch."""
    columns = [column for column in TABLES[rows.table].columns if column.name != "stored_time"]
    return sorted(repr(tuple(shown(column, row[column.name]) for column in columns)) for row in twin.rows(rows))


@pytest.mark.parametrize("table", TABLES_WRITTEN)
def test_every_kind_comes_out_as_it_went_in(store: Store, table: str) -> None:
    rows = batch(table, 300, **({"capture_id": np.arange(300, dtype=np.uint64)} if table == "captures" else {}))
    store.write(rows)
    store.flush()
    assert held(store, table) == wanted(rows)


def test_of_a_newer_server_the_embedded_engine_takes_the_same_parcels(tmp_path: Path) -> None:
    """Sent twice they count once, in the tables and in their rollups; the second one with a token of its own counts."""
    with contextlib.closing(open_store(f"chdb://{tmp_path}/store")) as embedded:
        for table in TABLES_WRITTEN:
            rows = batch(table, 300, **({"capture_id": np.arange(300, dtype=np.uint64)} if table == "captures" else {}))
            one = parcel(rows)
            for again in (False, True, True):
                embedded.insert(one, again)
            assert held(embedded, table) == wanted(rows)
        embedded.insert(parcel(batch("flows", 300)))
        embedded.insert(one, True)
        assert embedded.query("SELECT count() FROM flows").value() == 600
        for rollup in ("flows_1m", "flows_5m", "flows_1h"):
            assert embedded.query(f"SELECT sum(client_packets), sum(flows) FROM {rollup}").rows == embedded.query(
                "SELECT sum(client_packets), countIf(interval = 0) FROM flows").rows
        with pytest.raises(UserError) as caught:
            embedded.insert(Parcel("flows", 5, "p", 1, 1, 1, (("flow_id", b"short"),)))
        assert not isinstance(caught.value, Away)


def test_every_rollup_is_there_on_an_old_server_too(store: Store) -> None:
    """Computed when asked for, from the rows themselves."""
    for table in ("flows", "dns"):
        store.write(batch(table, 300))
    store.write(batch("tls", 300, role=Coded.same("server", 300)))
    store.flush()
    for rollup in (table for table in TABLES.values() if table.folds):
        found = store.query(f"SELECT * FROM {rollup.name} ORDER BY time LIMIT 3")
        assert tuple(found.columns) == rollup.names and (found.rows or rollup.folds.startswith("usage_")), rollup.name
    for name, sums, rows in (("links_1m", "sum(server_wire_bytes), sum(flows)", "sum(server_wire_bytes), countIf(flows.interval = 0) FROM flows"),
                             ("delays_1d", "sum(measures)", "count(client_rtt_us) + count(server_rtt_us) + count(server_response_us) FROM flows"),
                             ("names_1d", "sum(packets)", "sum(client_packets + server_packets) FROM flows WHERE server_name != ''"),
                             ("dns_5m", "sum(messages), sum(measures)", "count(), count(response_time_us) FROM dns"),
                                    ("tls_1h", "sum(hellos)", "count() FROM tls")):
        assert store.query(f"SELECT {sums} FROM {name}").rows == store.query(f"SELECT {rows}").rows, name


def test_strings_in_each_form_and_missing_columns(store: Store) -> None:
    cut = Lists.of([["x"], ["y", "z"], []])
    rows = Batch("captures", 2, {"path": Texts.of(["", "b" * 300]), "source": Coded(np.array([0, 9]), ["p", "q"]),
                                 "link_types": Lists(cut.offsets[1:], cut.values), "refused_counts": Lists(np.array([0, 2, 3]), np.array([3, 4, 5], np.uint64)),
                                 "capture_id": np.array([1, 1 << 63], np.uint64)})
    store.write(rows)
    store.write(Batch("flows", 1, {"flow_id": np.array([5], np.uint64)}))
    store.flush()
    assert store.query("SELECT path, source, link_types, refused_counts, capture_id FROM captures ORDER BY capture_id").rows == [
        ("", "p", ["y", "z"], [3, 4], 1), ("b" * 300, "q", [], [5], 1 << 63)]
    row = store.query("SELECT * FROM flows").dicts()[0]
    assert row["flow_id"] == 5 and row.pop("stored_time") > "2020"
    for column in TABLES["flows"].columns[1:-1]:
        assert row[column.name] == shown(column, twin.default(column)), column.name


def test_a_parcel_counts_once_however_often_it_is_sent(store: Store) -> None:
    first, second = parcel(batch("flows", 100, 1)), parcel(batch("flows", 100, 1))          # the same rows, seen twice: both count
    for one, again in ((first, False), (first, True), (second, False), (second, True), (first, True)):
        store.insert(one, again)
    assert store.query("SELECT count() FROM flows").value() == 200


def test_a_replicated_table_knows_a_block_by_itself(server: Server) -> None:
    with contextlib.closing(open_store(server.url("itself", OPTIONS["replicated"].format("itself")))) as store:
        one = parcel(batch("flows", 100))
        for _ in range(3):
            store.insert(one)                   # nobody says that it was sent before
        assert store.query("SELECT count() FROM flows").value() == 100


def test_rollups_are_the_sums_of_flows(store: Store) -> None:
    small = {name: np.arange(2000, dtype=np.uint64) * 3 for name in ("client_packets", "server_bytes")}
    rows = batch("flows", 2000, 1, interval=(np.arange(2000) % 3).astype(np.uint32), **small)
    store.write(rows)
    store.flush()
    for table, step in (("flows_1m", 60), ("flows_5m", 300), ("flows_1h", 3600)):
        got = store.query(f"SELECT toUInt32(time) AS slot, probe, protocol, sum(client_packets), sum(server_bytes), sum(flows) FROM {table} "
                          "GROUP BY slot, probe, protocol ORDER BY slot, probe, protocol").rows
        sums: dict[tuple[int, str, str], list[int]] = {}
        columns: Any = rows.columns
        for at in range(2000):
            key = (int(columns["interval_start"][at]) // 1_000_000 // step * step, columns["probe"][at], columns["protocol"][at])
            one = sums.setdefault(key, [0, 0, 0])
            one[0] += 3 * at
            one[1] += 3 * at
            one[2] += at % 3 == 0
        assert got == [(*key, *sums[key]) for key in sorted(sums, key=lambda key: (key[0], key[1].encode(), key[2].encode()))], table
    assert store.query("SELECT time FROM flows_1h ORDER BY time LIMIT 1").value() == "2012-04-09 19:00:00"
    assert START == 1_334_000_000_000_000


def _capture(number: int, size: int, damage: str = "") -> Batch:
    return Batch("captures", 1, {"capture_id": np.array([number], np.uint64), "size": np.array([size], np.uint64), "path": Texts.of([f"/{number}"]),
                                 "modified_time": np.array([5]), "sha256": Texts.of(["aa"]), "damage": Texts.of([damage])})


def test_captures_are_known_and_replaced(store: Store) -> None:
    for number in (1, 2):
        store.write(_capture(number, 10, UNFINISHED))
        assert store.query(f"SELECT count() FROM captures WHERE capture_id = {number}").value() == 1        # before its rows
        store.write(batch("flows", 50, number, capture_id=np.full(50, number, np.uint64)))
        store.write(_capture(number, 10))
    store.flush()
    assert store.query("SELECT capture_id, damage FROM captures ORDER BY capture_id").rows == [(1, ""), (2, "")]
    again = open_store(whole(store))
    assert again.captures(10) == [Stored(1, "/1", 10, 5, "aa"), Stored(2, "/2", 10, 5, "aa")]
    again.replace([1])
    again.close()
    assert store.query("SELECT capture_id, count() FROM flows GROUP BY capture_id").rows == [(2, 50)]
    assert store.query("SELECT groupArray(capture_id) FROM captures").value() == [2]


def test_merges_of_the_servers_own_are_waited_for(server: Server) -> None:
    def written(name: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(open_store(server.url(name, OPTIONS["replicated"].format(name)))) as store:
            found = []
            for number in range(0, 40, 2):      # each a part, more than its server wants to keep: it merges meanwhile
                for damage in (UNFINISHED, ""):
                    for one in (number, number + 1):
                        store.write(_capture(one, 10, damage))
                store.flush()
                found += store.query("SELECT count(), uniqExact(capture_id) FROM captures").rows
            store.query(f"DROP DATABASE {name}")
        return found

    with ThreadPoolExecutor(4) as several:
        for found in several.map(written, [f"merging{number}" for number in range(4)]):
            assert found == [(count, count) for count in range(2, 42, 2)]


def test_a_store_is_found_again_and_gains_new_columns(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write(batch("dns", 10))
    store.flush()
    grown = TABLES["dns"].columns[:4] + (Column("added", "u32?", "a column of tomorrow"),) + TABLES["dns"].columns[4:]
    monkeypatch.setitem(TABLES, "dns", type(TABLES["dns"])(**{**TABLES["dns"].__dict__, "columns": grown}))
    with contextlib.closing(open_store(whole(store))) as second:
        second.write(Batch("dns", 1, {"added": np.array([3], np.uint32)}))
        second.flush()
        assert second.query("SELECT added FROM dns WHERE added = 3").rows == [(3,)] and second.query("SELECT count() FROM dns").value() == 11
        assert [row[0] for row in second.query("DESCRIBE TABLE dns").rows][:6] == [column.name for column in grown][:6]
    monkeypatch.setattr(legacy, "VERSION", 0)
    with pytest.raises(UserError, match="newer Fullspan"):
        open_store(whole(store))


def test_questions_have_answers_and_errors_one_line(store: Store) -> None:
    answer = store.query("SELECT {n:UInt64} AS number, {word:String} AS word, {some:Array(String)} AS some", {"n": 1 << 63, "word": "it's \\", "some": ["a"]})
    assert answer.columns == ["number", "word", "some"] and answer.rows == [(1 << 63, "it's \\", ["a"])]
    assert store.arrow("SELECT number AS n FROM numbers(3)")["n"].to_pylist() == [0, 1, 2]
    assert store.query("SELECT toDateTime('2020-01-01 00:00:00', 'UTC') AS t, toDate('2020-01-02') AS d, NULL AS n, 0.5 AS f").rows == [
        ("2020-01-01 00:00:00", "2020-01-02", None, 0.5)]
    for wrong in ("SELEC 1", "SELECT nothing FROM flows", "SELECT 1 FROM absent", "SELECT {absent:String}"):
        with pytest.raises(UserError) as caught:
            store.query(wrong)
        assert "\n" not in str(caught.value) and "DB::Exception" not in str(caught.value) and len(str(caught.value)) < 320
        assert not isinstance(caught.value, Away)
    with contextlib.closing(open_store(whole(store), create=False, readonly=True)) as reader:
        for change in ("DROP TABLE flows", "INSERT INTO flows (flow_id) VALUES (1)"):
            with pytest.raises(UserError, match="only reading"):
                reader.query(change)
        assert reader.query("SELECT count() FROM flows").value() == 0


def test_what_can_not_be_had_is_told(server: Server) -> None:
    with pytest.raises(Away, match="can't be reached"):
        open_store(f"clickhouse://default@127.0.0.1:{free_port()}/x")
    with pytest.raises(Away, match="wrong password|rong password|assword") as caught:
        open_store(f"clickhouse://probe:other@127.0.0.1:{server.port}/x")
    assert "other" not in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UserError, match="no such database"):
        open_store(server.url("absent"), create=False)
    open_store(server.url("kind")).close()
    with pytest.raises(UserError, match="not replicated"):
        open_store(server.url("kind", "replicated=/clickhouse/kind"))
    for options, what in (("replicated=x", "path of ZooKeeper"), ("timeout=no", "number of seconds"), ("other=1", "no option other")):
        with pytest.raises(UserError, match=what) as told:
            open_store(server.url("x", options))
        assert "cret" not in str(told.value)
    there = address("clickhouse://me@host/db?replicated=/a/b/&replica=r2&timeout=5")
    assert (there.replicated, there.replica, there.timeout, there.port) == ("/a/b", "r2", 5.0, 9000)


def test_rows_the_tables_can_not_hold_are_refused_for_good(store: Store) -> None:
    store.query("ALTER TABLE flows DROP COLUMN vlan")
    one = parcel(batch("flows", 5))
    with pytest.raises(UserError, match="vlan") as caught:
        store.insert(one)
    assert not isinstance(caught.value, Away) and "\n" not in str(caught.value)
    store.insert(one)                               # the next connection has looked at the tables and added it
    assert store.query("SELECT count() FROM flows WHERE vlan > 0").value() == 5


def test_ids_of_alerts_have_a_secret_and_mutes_are_read(store: Store) -> None:
    one = masked.secret(lambda sql: store.query(sql).rows)
    assert len(one) == 32 and masked.secret(lambda sql: store.query(sql).rows) == one
    count = 3
    store.write(batch("alert_actions", count, action_id=np.arange(1, count + 1, dtype=np.uint64), dedup_key=Texts.of(["k", "k", "l"]),
                      action=Coded.of(["mute", "unmute", "mute"]), until_time=np.array([5, NULLS["time?"], NULLS["time?"]], np.int64)))
    store.flush()
    assert alerts.mutes(store) == {"l": 0}
    store.write(batch("alert_actions", 1, action_id=np.array([9], np.uint64), dedup_key=Texts.of(["k"]), action=Coded.of(["mute"]),
                      until_time=np.array([1_800_000_000_123_456], np.int64)))
    store.flush()
    assert alerts.mutes(store) == {"l": 0, "k": 1_800_000_000_123_456}
