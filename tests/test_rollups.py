"""Rollups: what they sum up, what becomes of them when a store is opened by a newer Fullspan, and filling them anew."""
from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dpi.batch import Coded, Lists, Texts
from dpi.cli.main import run
from dpi.errors import UserError
from dpi.schema import TABLES
from dpi.store import Store, masked, open_store, rollups, tables
from tests.rows import START, batch

pytestmark = pytest.mark.compiled
NAMES = ("www.example.com", "cdn.example.com", "WWW.BBC.co.uk", "alices-phone.local", "192.0.2.7", "2001:db8::1", "192.0.2.7:8080", "", "a.b.网络.cn",
         "localhost",
         "x" * 200 + ".com", "y'\\.org", "4.3.2.1.in-addr.arpa")
DOMAINS = {"example.com", "bbc.co.uk", "local", "", "b.网络.cn", ("x" * 200 + ".com")[:120], "1.in-addr.arpa"}
COUNT = 1500


def named(seed: int) -> Texts:
    rng = np.random.default_rng(seed)
    return Texts.of([NAMES[k] for k in rng.integers(0, len(NAMES), COUNT)])


def write(store: Store) -> None:
    """Rows of every table that is folded, some before 1970; usage of slots that were computed twice."""
    delays = {f"{name}_us": (np.random.default_rng(k).lognormal(9, 2, COUNT)).astype(np.uint32) for k, name in enumerate(("client_rtt", "server_rtt",
          "server_response"))}
    for name in delays:
        delays[name][::3] = 0xFFFFFFFF
    place: dict[str, Any] = {"probe": Coded.of(["q"] * COUNT), "capture_id": np.zeros(COUNT, np.uint64)}
    whose: dict[str, Any] = {f"{end}_{what}_id": Coded.of([("", f"{what} {k % 5}")[(k + nth) % 3 == 0] for k in range(COUNT)])
                             for nth, end in enumerate(("client", "server")) for what in ("service", "customer")}
    tags = Lists.of([[("gold", "night")[t] for t in range(2) if k >> t & 1] for k in range(COUNT)])
    store.write(batch("flows", COUNT, 1, **place, start=START - 5_000_000, server_name=named(1), ip_protocol=np.where(np.arange(COUNT) % 2, 6,
          17).astype(np.uint8), tags=tags, client_duplicate=(np.arange(COUNT) % 7 == 0).astype(np.uint8),
                      interval=(np.arange(COUNT) % 3).astype(np.uint32), **whose, **delays))
    store.write(batch("flows", COUNT, 2, **place, start=-100_000_000, server_name=named(2)))
    store.write(batch("dns", COUNT, 3, **place, query_name=named(3), response_code=Coded.of([("NOERROR", "NXDOMAIN",
          "SERVFAIL")[k % 3] for k in range(COUNT)])))
    store.write(batch("tls", COUNT, 4, **place, span=1000, alpn=Texts.of([("h2,http/1.1", "h2", "", "made-up")[k % 4] for k in range(COUNT)]),
                      server_name=named(4),
                      role=Coded.of([("client", "server")[k % 2] for k in range(COUNT)]),
                      version=Coded.of([("TLS 1.3", "SSL 3.0", "TLS 1.2", "TLS 1.1")[k % 4] for k in range(COUNT)])))
    for revision in (1, 2):
        keys = {"service_id": Coded.of([f"s{k % 50}" for k in range(400)]), "customer_id": Coded.of([f"c{k % 7}" for k in range(400)]),
                "revision": np.full(400, revision, np.uint32), "time": START // 60_000_000 * 60 + 60 * np.arange(400),
                "probe": Coded.of(["p"] * 400), "capture_id": np.zeros(400, np.uint64)}
        store.write(batch("usage_1m", 400, 5, **keys))
        store.write(batch("usage_1h", 400, 6, **keys))
    store.flush()


def held(store: Any) -> dict[str, Any]:
    """The rows of every rollup, summed up."""
    found = {}
    for table in rollups.FOLDED:
        keys = ", ".join(column.name for column in table.columns if rollups.is_key(column))
        sums = ", ".join(f"sum({column.name})" for column in table.columns if not rollups.is_key(column))
        found[table.name] = sorted(map(repr, store.query(f"SELECT {keys}, {sums} FROM {table.name} GROUP BY {keys}").rows))
    return found


def survived(store: Any) -> None:
    """The former rollups have what they had, the new ones are empty, and nothing of the rebuild is left."""
    plain = store.query("SELECT sum(client_packets), sum(server_wire_bytes), countIf(interval = 0) FROM flows").rows
    for name in ("flows_1m", "flows_5m", "flows_1h"):
        assert store.query(f"SELECT sum(client_packets), sum(server_wire_bytes), sum(flows) FROM {name}").rows == plain
        assert store.query(f"SELECT sum(tcp_opened) FROM {name}").value() == 0
    assert store.query("SELECT count() FROM delays_1h").value() == 0
    assert not store.query("SELECT name FROM system.tables WHERE name LIKE '%_before'").rows


def test_an_older_store_keeps_its_rollups_and_gains_the_new_ones(tmp_path: Path) -> None:
    """Rows of before are there with what they had; a rebuild that was cut short is begun again; filled, all is as in a new store."""
    url = f"chdb://{tmp_path}/store"
    first: Any = open_store(url, merging=True)
    write(first)
    want = held(first)
    old = ("time", "stored_day", "probe", "capture_id", "protocol", "application", "category", "client_packets", "server_packets", "client_bytes",
           "server_bytes",
           "client_wire_bytes", "server_wire_bytes", "flows")
    for table in rollups.FOLDED:
        first.query(f"DROP VIEW {rollups.view_name(table)}")
    for name in ("flows_1m", "flows_5m", "flows_1h"):
        first.query(f"CREATE TABLE old_{name} ENGINE = SummingMergeTree PARTITION BY stored_day ORDER BY (time, probe, capture_id, protocol, application, "
                    f"category, "
                    f"stored_day) AS SELECT {', '.join(old)} FROM {name}")
        first.query(f"DROP TABLE {name} SYNC")
        first.query(f"RENAME TABLE old_{name} TO {name}")
    for table in rollups.FOLDED:
        if not table.name.startswith("flows_"):
            first.query(f"DROP TABLE {table.name} SYNC")
    first.query("TRUNCATE TABLE fullspan_schema")
    first.query("INSERT INTO fullspan_schema (version, digest) VALUES (1, 'older')")
    # as a rebuild leaves it that was killed after it had begun to put rows back
    first.query("CREATE TABLE flows_1h_before ENGINE = MergeTree ORDER BY tuple() AS SELECT * FROM flows_1h")
    first.query("DROP TABLE flows_1h SYNC")
    first.close()
    second: Any
    with contextlib.closing(open_store(url, merging=True)) as second:
        survived(second)
    assert run(["grafana", "--fill", "--store", url]) == 0
    third: Any
    with contextlib.closing(open_store(url, merging=True)) as third:
        assert held(third) == want
        third.write(batch("flows", 10, 30))
        third.flush()
        assert third.query("SELECT sum(client_packets) FROM links_1m").value() == third.query("SELECT sum(client_packets) FROM flows").value()


def test_a_store_of_replays_has_what_they_write_until_it_is_asked_for_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is asked for, or that rows come for, is made then; a table that there is not is still an error; no row is missed by a rollup."""
    def names(store: Any) -> set[str]:
        return {str(name) for name, in store.query("SELECT name FROM system.tables WHERE database = 'default'").rows}

    def refused(*_: Any) -> str:
        raise UserError("disk full", "here")

    first: Any
    with contextlib.closing(open_store(f"chdb://{tmp_path}/whole")) as first:
        whole = names(first)
    few = tables.REPLAYED | {"flows_1m", "flows_5m", "flows_1h", "fullspan_schema", "pseudonym_key"}
    for way, does in enumerate((lambda store: store.query("SELECT count() FROM usage_1m"), lambda store: store.arrow("SELECT count() FROM names_1h"),
                                lambda store: (store.write(batch("sessions", 3)), store.flush()))):
        with contextlib.closing(open_store(f"chdb://{tmp_path}/{way}", replaying=True)) as first:
            first.write(batch("flows", 10))
            first.flush()
            assert names(first) == few < whole
            with monkeypatch.context() as full, pytest.raises(UserError, match="disk full"):
                full.setattr(tables, "_made_whole", refused)
                first.query("SELECT count() FROM sessions")
            does(first)
            assert names(first) == whole and first.query("SELECT count() FROM flows").value() == 10
            with pytest.raises(UserError, match="nonsense"):
                first.query("SELECT count() FROM nonsense")
    with contextlib.closing(open_store(f"chdb://{tmp_path}/live", merging=True)) as first:
        write(first)
        want = held(first)
    for older in (False, True):
        url = f"chdb://{tmp_path}/replayed-{older}"
        with contextlib.closing(open_store(url, replaying=True)) as first:
            write(first)
            if older:                       # of a Fullspan with another schema, which no table but those of replays was made by
                for name in names(first) - few - {"usage_1m", "usage_1h"}:
                    first.query(f"DROP TABLE {name} SYNC")
                first.query("TRUNCATE TABLE fullspan_schema")
                first.query("INSERT INTO fullspan_schema (version, digest) VALUES (1, 'older')")
            else:
                assert first.query("SELECT sum(client_packets), sum(flows) FROM flows_1h").rows \
                    == first.query("SELECT sum(client_packets), countIf(interval = 0) FROM flows").rows
        with contextlib.closing(open_store(url, merging=True)) as first:
            assert held(first) == want
    with contextlib.closing(open_store(f"chdb://{tmp_path}/kept", replaying=True)) as first:
        for table in rollups.FIRST:         # a Fullspan kept these in every store
            for statement in (f"DROP VIEW {table.name}", tables.create(table), rollups.view(table)):
                first.query(statement)
        write(first)
        for table, codec in (("flows", "LZ4"), ("flows_1m", "Delta, LZ4")):
            first.query(f"ALTER TABLE {table} MODIFY COLUMN client_bytes CODEC({codec})")
        first.query("TRUNCATE TABLE fullspan_schema")
        first.query("INSERT INTO fullspan_schema (version, digest) VALUES (1, 'older')")
    with pytest.MonkeyPatch.context() as full:              # cut short while it fills them
        full.setattr(rollups, "_filled", refused)
        with pytest.raises(UserError, match="disk full"):
            open_store(f"chdb://{tmp_path}/kept", replaying=True)
    for _ in range(2):
        with contextlib.closing(open_store(f"chdb://{tmp_path}/kept", replaying=True)) as first:
            assert held(first) == want
            assert first.query("SELECT table, compression_codec FROM system.columns WHERE name = 'client_bytes' AND table IN ('flows', 'flows_1m') "
                               "ORDER BY 1").rows == [("flows", "CODEC(T64)"), ("flows_1m", "CODEC(T64, LZ4)")]
            assert not first.query("SELECT name FROM system.tables WHERE name LIKE '%_before'").rows


@pytest.mark.parametrize("replaying", [True, False])
def test_each_store_has_a_key_of_its_own(tmp_path: Path, replaying: bool) -> None:
    """Those that are copies of a kept one, too; and it stays."""
    found: list[Any] = []
    for name in ("one", "two", "three", "one"):
        with contextlib.closing(open_store(f"chdb://{tmp_path}/{name}", replaying=replaying)) as opened:
            found.append(masked.secret(lambda sql: opened.query(sql).rows) if replaying else opened.query("SELECT k0, k1 FROM pseudonym_key").rows[0])
            assert opened.query("SELECT count() FROM pseudonym_key").value() == 1
    assert len(set(found)) == 3 and found[0] == found[3]
    with contextlib.closing(open_store(f"chdb://{tmp_path}/two", replaying=True)) as opened:
        opened.query("TRUNCATE TABLE pseudonym_key")        # as where it was killed between making its tables and making that
    with contextlib.closing(open_store(f"chdb://{tmp_path}/two")) as opened:
        assert opened.query("SELECT count() FROM pseudonym_key").value() == 1


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    opened = open_store(f"chdb://{tmp_path_factory.mktemp('rollups')}/store", merging=True)
    write(opened)
    yield opened
    opened.close()


def test_each_sums_up_what_it_folds(store: Any) -> None:
    def same(rollup: str, rows: str) -> None:
        assert store.query(f"SELECT {rollup}").rows == store.query(f"SELECT {rows}").rows

    tcp = "ip_protocol = 6 AND interval = 0 AND NOT midstream AND bitTest(client_tcp_flags, 1)"
    for name in ("flows_1m", "flows_5m", "flows_1h", "flows_8h", "links_1m"):
        same(f"interface, client_local, server_local, sum(client_wire_bytes), sum(flows), sum(server_tcp_packets), sum(client_retransmissions), "
             f"sum(tcp_opened), "
             f"sum(tcp_unanswered) FROM {name} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
             "interface, client_local, server_local, sum(client_wire_bytes), countIf(interval = 0), sumIf(server_packets, ip_protocol = 6), "
             f"sum(client_retransmissions), countIf({tcp}), countIf({tcp} AND NOT bitTest(server_tcp_flags, 1)) FROM flows GROUP BY 1, 2, 3 ORDER "
             f"BY 1, 2, 3")
    for name in ("delays_1h", "delays_8h", "delays_1d", "delays_5m"):
        for side, column in (("client", "client_rtt_us"), ("server", "server_rtt_us"), ("response", "server_response_us")):
            same(f"sum(measures), sum(sum_us) FROM {name} WHERE side = '{side}'", f"count({column}), sum({column}) FROM flows")
    # a bin's least delay is not above any delay in it, and the next bin's is above all of them
    bins = sorted(int(row[0]) for row in store.query("SELECT DISTINCT bin FROM delays_1h").rows)
    assert all(one & (one - 1) == 0 or one % 3 == 0 and one // 3 & one // 3 - 1 == 0 for one in bins) and len(bins) > 20
    for low in bins:
        step = max((1 << low.bit_length() - 1) >> 1, 1) if low else 1
        same(f"sum(measures) FROM delays_1h WHERE bin = {low} AND side = 'client'",
             f"countIf(client_rtt_us >= {low} AND client_rtt_us < {low + step}) FROM flows")
    same("sum(wire_bytes), sum(flows) FROM names_1d", "sum(client_wire_bytes + server_wire_bytes), countIf(interval = 0) FROM flows WHERE server_name != ''")
    same("sum(messages), sum(measures), sum(sum_us) FROM dns_5m", "count(), count(response_time_us), sum(response_time_us) FROM dns")
    same("sum(messages), sum(queries), sum(nxdomain), sum(failures) FROM dns_names_1d", "count(), countIf(NOT is_response), "
         "countIf(is_response AND response_code = 'NXDOMAIN'), countIf(is_response AND response_code = 'SERVFAIL') FROM dns")
    same("alpn, sum(hellos) FROM tls_1h GROUP BY 1 ORDER BY 1",
         "multiIf(alpn = 'made-up', 'other', startsWith(alpn, 'h2'), 'h2', '') AS a, count() FROM tls GROUP BY 1 ORDER BY 1")
    for name, text in (("tls_ja4_1h", "ja4"), ("tls_issuers_1h", "issuer")):
        same(f"name, sum(hellos), sum(obsolete) FROM {name} GROUP BY 1 ORDER BY 1",
             f"{text}, count(), countIf(version IN ('SSL 3.0', 'TLS 1.1')) FROM tls WHERE role = 'server' GROUP BY 1 ORDER BY 1")
    same("sum(hellos), sumIf(hellos, name = 'example.com') FROM tls_names_1h",
         "count(), countIf(endsWith(lower(server_name), '.example.com')) FROM tls WHERE role = 'server'")
    same("tags, sum(client_bytes), sum(tcp_opened) FROM tags_1h GROUP BY 1 ORDER BY 1",
         f"tags, sum(client_bytes), countIf({tcp}) FROM flows GROUP BY 1 ORDER BY 1")
    same("tags, sum(measures), sum(sum_us) FROM tag_delays_1h WHERE side = 'server' GROUP BY 1 ORDER BY 1",
         "tags, count(server_rtt_us), sum(server_rtt_us) FROM flows WHERE server_rtt_us IS NOT NULL GROUP BY 1 ORDER BY 1")
    same("protocol, category, sum(measures) FROM kind_delays_1h WHERE side = 'response' GROUP BY 1, 2 ORDER BY 1, 2",
         "protocol, category, count() FROM flows WHERE server_response_us IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2")
    for name, of in (("services_1h", "usage_1m"), ("services_5m", "usage_1m"), ("services_8h", "usage_1h"), ("services_1d", "usage_1h")):
        same(f"service_id, sum(up_bytes), sum(duplicate_bytes) FROM {name} GROUP BY 1 ORDER BY 1",
             f"service_id, sum(up_bytes), sum(duplicate_bytes) FROM {of} FINAL GROUP BY 1 ORDER BY 1")


def test_each_end_that_is_bound_counts_once(store: Any) -> None:
    """What an end sent is up, what it received down; what is metered elsewhere counts apart, with no delays."""
    ends = [f"SELECT {near}_service_id AS service, {near}_customer_id AS customer, NOT {near}_duplicate AS here, {near}_bytes AS up, {far}_bytes AS down, "
            f"client_bytes + server_bytes AS octets, ip_protocol = 6 AND interval = 0 AND NOT midstream AND bitTest(client_tcp_flags, 1) AS opened, "
            f"{near}_rtt_us AS near, {far}_rtt_us AS far FROM flows WHERE service != ''" for near, far in (("client", "server"), ("server", "client"))]
    every = f"({' UNION ALL '.join(ends)})"
    found = store.query("SELECT service_id, customer_id, sum(up_bytes), sum(down_bytes), sum(bytes), sum(tcp_opened), sum(duplicate_bytes) FROM bound_1h "
                        "GROUP BY 1, 2 ORDER BY 1, 2").rows
    plain = store.query("SELECT service, customer, sumIf(up, here), sumIf(down, here), sumIf(octets, here), countIf(here AND opened), sumIf(octets, NOT here) "
                        f"FROM {every} GROUP BY 1, 2 ORDER BY 1, 2").rows
    assert len(found) > 10 and found == plain
    for side in ("near", "far"):
        found = store.query(f"SELECT service_id, sum(measures), sum(sum_us) FROM bound_delays_8h WHERE side = '{side}' GROUP BY 1 ORDER BY 1").rows
        assert found == store.query(f"SELECT service_id, sum(measures), sum(sum_us) FROM bound_delays_1h WHERE side = '{side}' GROUP BY 1 ORDER BY 1").rows
        assert found == store.query(f"SELECT service, count(), sum({side}) FROM {every} WHERE here AND {side} IS NOT NULL GROUP BY 1 ORDER BY 1").rows


def test_names_are_cut_to_what_can_be_registered(store: Any) -> None:
    for name, of in (("names_1h", "server_name"), ("dns_names_1h", "query_name")):
        assert {row[0] for row in store.query(f"SELECT DISTINCT name FROM {name} WHERE probe != 'p'").rows} == DOMAINS, of
    wire, = store.query("SELECT sum(client_wire_bytes + server_wire_bytes) FROM flows WHERE lower(server_name) LIKE '%example.com'").rows[0]
    assert store.query("SELECT sum(wire_bytes) FROM names_1h WHERE name = 'example.com'").value() == wire


def test_filling_again_changes_nothing_and_keeps_what_expired(store: Any) -> None:
    before = held(store)
    days: list[str] = []
    for _ in range(2):
        days.clear()
        assert store.fill(lambda day, rows: days.append(day)) == 1 and held(store) == before
    store.query("SYSTEM START MERGES flows")
    store.query("ALTER TABLE flows DELETE WHERE interface != '' SETTINGS mutations_sync = 1")
    store.fill(lambda day, rows: None)
    assert held(store) == before


def test_a_flood_of_names_does_not_fill_the_store(store: Any) -> None:
    """Of a block only so many names keep their own; what the others carried is counted under none."""
    before = store.query("SELECT count() FROM dns_names_1h").value()
    store.write(batch("dns", 20_000, 9, query_name=Texts.of([f"n{k}.com" if k >= 600 else "popular.com" for k in range(20_000)]),
                      probe=Coded.of(["p"] * 20_000), capture_id=np.zeros(20_000, np.uint64), span=1000))
    store.flush()
    most = TABLES["dns_names_1h"].most
    assert 0 < store.query("SELECT count() FROM dns_names_1h").value() - before <= most + 1
    assert store.query("SELECT sum(messages) FROM dns_names_1h WHERE name = 'popular.com'").value() == 600
    assert store.query("SELECT sum(messages) FROM dns_names_1h WHERE probe = 'p'").value() >= 20_000 - 1
