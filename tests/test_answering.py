"""A store that is owned and read at once: real owners, real engines, real clients; what must not be answered is not."""
from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dpi.batch import Batch, Texts
from dpi.errors import UserError
from dpi.schema import TABLES
from dpi.store import Store, address, notice, open_store
from dpi.store.answering import Answering, Limits, Question
from dpi.store.remote import RemoteStore
from dpi.store.statement import Refusal
from tests.rows import batch

ROOT = Path(__file__).resolve().parents[1]
HIDDEN = "hidden-4711"
SLOW = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 7"


# ---- owner and reader in one process: what is answered, and how

@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("answering")
    (folder / "hidden.csv").write_text(f"a,b\n{HIDDEN},1\n")
    return folder


@pytest.fixture(scope="module")
def store(place: Path) -> Iterator[Store]:
    opened = open_store(f"chdb://{place}/store")
    for table in ("flows", "dns", "captures"):
        opened.write(batch(table, 200, **({"capture_id": np.arange(200, dtype=np.uint64)} if table == "captures" else {})))
    opened.flush()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def answering(store: Any, place: Path) -> Iterator[Answering]:
    limits = Limits(seconds=1, rows=5000, bytes=1 << 20, memory=200 << 20, body=20_000, patience=1, waiting=3, connections=6)
    with Answering(store, limits=limits) as answers:
        yield answers


@pytest.fixture
def remote(store: Store, answering: Answering, place: Path) -> RemoteStore:
    found = notice.standing(place / "store")
    assert found is not None and found.process == os.getpid()
    return RemoteStore(store.url, address(store.url), found)


def ask(port: int, sql: str = "", method: str = "POST", path: str = "/", headers: dict[str, str] | None = None, **given: str) -> tuple[int, str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, f"{path}?{urlencode(given)}" if given else path, sql.encode(), headers or {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body.decode(errors="replace"), answer


@pytest.mark.parametrize("sql, params", [
    *((f"SELECT * FROM {table} ORDER BY ALL", None) for table in ("flows", "dns", "captures")),
    ("SELECT {n:UInt64} AS number, 'it''s -- no comment' AS word", {"n": 1 << 63}),
    ("SELECT {a:String}, {b:String}, {c:Array(Int8)}, {d:Bool}, {e:Float64}",
     {"a": "back\\\\slash \\t", "b": "网络 ' \" & = ?", "c": [1, -2], "d": True, "e": 0.5}),
    ("SELECT [toIPv6('::ffff:1.2.3.4'), toIPv6('2001:db8::1')] AS a, toUInt64(18446744073709551615), NULL, now() > 0, (1, 'x') AS t, map('a', 1)", None),
    ("SELECT 1 + 1, count() OVER (), if(1, 2, 3), CAST(1 AS Int8), arrayMap(x -> x + 1, [1]) FROM numbers(2)", None),
    ("SHOW TABLES", None), ("DESCRIBE flows", None), ("EXISTS TABLE dns", None), ("SHOW CREATE TABLE dns", None), ("EXPLAIN SELECT 1", None),
    ("WITH 3 AS n SELECT number FROM numbers(n) UNION ALL SELECT 7;", None), ("SELECT 1 WHERE 0", None), ("FROM dns SELECT count() /* as they say */", None),
    ("SELECT 1 AS file_size, 'file(1)' AS url, 'INTO OUTFILE' AS x", None),
])
def test_the_answers_are_those_of_the_embedded_store(store: Store, remote: RemoteStore, sql: str, params: dict[str, Any] | None) -> None:
    want = store.query(sql, params)
    got = remote.query(sql, params)
    assert (got.columns, got.types, got.rows) == (want.columns, want.types, want.rows)


def test_every_way_to_read_a_store(store: Store, remote: RemoteStore) -> None:
    assert remote.arrow("SELECT * FROM flows ORDER BY ALL").equals(store.arrow("SELECT * FROM flows ORDER BY ALL"))
    size = store.query("SELECT size FROM captures ORDER BY size LIMIT 1").value()
    assert sorted(remote.captures(size), key=str) == sorted(store.captures(size), key=str) != []
    with pytest.raises(UserError, match="only read"):
        remote.write(batch("dns", 1))
    with pytest.raises(UserError, match="only read"):
        remote.replace([1])
    for wrong in ("SELEC 1", "SELECT nothing FROM flows", "SELECT 1 FROM absent"):
        with pytest.raises(UserError) as there:
            remote.query(wrong)
        with pytest.raises(UserError) as here:
            store.query(wrong)
        assert "\n" not in str(there.value) and "DB::Exception" not in str(there.value)
        assert here.value.what[:20] == there.value.what[:20] or wrong.startswith("SELEC ")


def test_the_interface_speaks_as_clickhouse_does(answering: Answering) -> None:
    port = answering.port
    for path in ("/ping", "/replicas_status", "/"):
        assert ask(port, method="GET", path=path)[:2] == (200, "Ok.\n")
    assert ask(port, method="GET", path="/play")[0] == 404
    assert ask(port, method="GET", query="SELECT 1, 'a'")[:2] == (200, "1\ta\n")
    assert ask(port, ", 2", query="SELECT 1")[:2] == (200, "1\t2\n")
    assert ask(port, "SELECT {n:UInt8} + 1, {s:String}", param_n="4", param_s="x", max_threads="9", readonly="0", session_id="s")[1] == "5\tx\n"
    assert ask(port, "SELECT count() FROM one", database="system")[1] == "1\n"
    assert ask(port, "SELECT count() FROM flows")[1] == "200\n"             # and back in the store's own
    status, body, answer = ask(port, "SELECT 1 AS x", default_format="JSONCompact")
    assert json.loads(body)["data"] == [[1]] and answer.getheader("X-ClickHouse-Format") == "JSONCompact"
    assert "json" in answer.getheader("Content-Type") and json.loads(answer.getheader("X-ClickHouse-Summary"))["read_rows"] == "1"
    assert ask(port, "SELECT 1 FORMAT CSVWithNames", default_format="JSON")[1] == '"1"\n1\n'
    for sql, want, code in (("SELECT 1 +", 400, 62), ("SELECT 1 FROM absent", 404, 60), ("SELECT absent", 404, 47), ("SELECT 1 FORMAT Absent", 404, 73),
                            ("SELECT {n:UInt8}", 400, 456), ("SELECT throwIf(1)", 500, 395), ("DROP TABLE flows", 500, 164)):
        status, body, answer = ask(port, sql)
        assert (status, answer.getheader("X-ClickHouse-Exception-Code")) == (want, str(code)), (sql, body)
        assert re.match(rf"Code: {code}\. DB::Exception: .+\([A-Z_]+\)\n$", body), body
    assert ask(port, "SELECT 1", database="absent")[0] == ask(port, "SELECT 1", database="a`b")[0] == 404
    packed = http.client.HTTPConnection("127.0.0.1", port)
    packed.request("POST", "/?enable_http_compression=1", gzip.compress(b"SELECT 42"), {"Accept-Encoding": "gzip", "Content-Encoding": "gzip"})
    assert gzip.decompress(packed.getresponse().read()) == b"42\n"
    packed.request("POST", "/", iter([b"SELECT", b" 43"]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})   # the same connection
    assert packed.getresponse().read() == b"43\n"
    packed.close()
    assert ask(port, "SELECT 1", compress="1")[0] == 501


def test_only_names_of_this_machine_are_answered(answering: Answering) -> None:
    for name in ("evil.example", "evil.example:8123", "127.0.0.1.evil.example", "", "localhost@evil"):
        assert ask(answering.port, "SELECT 1", headers={"Host": name})[0] == 403, name
    assert ask(answering.port, "SELECT 1", headers={"Origin": "http://evil.example"})[0] == 403
    for name in ("localhost", "127.0.0.1:1", "LOCALHOST:8123"):
        assert ask(answering.port, "SELECT 1", headers={"Host": name})[:2] == (200, "1\n")
    assert answering._server.server_address[0] == "127.0.0.1"


#: {f} is a file whose text must never come out. Each of them must be refused.
HOSTILE = [
    "INSERT INTO flows (flow_id) VALUES (1)", "INSERT INTO flows SELECT * FROM flows", "DROP TABLE flows", "TRUNCATE TABLE flows",
    "ALTER TABLE flows DELETE WHERE 1", "DELETE FROM flows WHERE 1", "UPDATE flows SET flow_id = 1 WHERE 1", "OPTIMIZE TABLE flows FINAL",
    "RENAME TABLE flows TO gone", "CREATE TABLE x (a Int8) ENGINE = Memory", "CREATE TEMPORARY TABLE x (a Int8) ENGINE = Memory",
    "CREATE FUNCTION f AS x -> x", "CREATE USER u", "GRANT ALL ON *.* TO default", "SET readonly = 0", "SYSTEM SHUTDOWN", "SYSTEM STOP MERGES",
    "KILL QUERY WHERE 1", "USE system", "BACKUP TABLE flows TO File('{f}.bak')", "ATTACH TABLE x", "DETACH TABLE flows", "EXCHANGE TABLES flows AND dns",
    "CHECK TABLE flows", "WATCH flows", "BEGIN TRANSACTION", "SELECT 1; DROP TABLE flows", "SELECT 1;; INSERT INTO flows (flow_id) VALUES (1)",
    "/* SELECT */ DROP TABLE flows", "-- SELECT\nDROP TABLE flows", "WITH 1 AS x INSERT INTO flows SELECT x", "SELECT 1 -- \n; DROP TABLE flows",
    "(SELECT 1) PARALLEL WITH (DROP TABLE flows)", "SELECT 1 SETTINGS readonly = 0", "SELECT 1 SETTINGS max_execution_time = 0",
    "SELECT 1 FORMAT CSV SETTINGS max_result_rows = 0", "SELECT 1 INTO OUTFILE '{f}.out'", "SELECT 1 INTO/**/OUTFILE '{f}.out' APPEND",
    "SELECT 1 INTO OUTFILE '{f}.out' TRUNCATE FORMAT CSV", "SHOW TABLES INTO OUTFILE '{f}.out'", "EXPLAIN SELECT 1 INTO OUTFILE '{f}.out'",
    "EXPLAIN AST SELECT 1 INTO OUTFILE '{f}.out'", "EXPLAIN AST INSERT INTO flows VALUES (1)", "EXPLAIN SYNTAX DROP TABLE flows",
    "EXPLAIN AST ast = 1 DROP TABLE flows", "SELECT * FROM file('{f}')", "SELECT * FROM `file`('{f}')", 'SELECT * FROM "file"(\'{f}\')',
    "SELECT * FROM FILE('{f}')", "SELECT file('{f}')", "SELECT `file`('{f}')", "SELECT file /* ( */ ('{f}')", "WITH file('{f}') AS x SELECT x",
    "SELECT * APPLY(file) FROM (SELECT '{f}')", "SELECT * APPLY file FROM (SELECT '{f}')", "SELECT arrayMap(file, ['{f}'])",
    "SELECT arrayMap(x -> file(x), ['{f}'])", "SELECT '{f}' AS x, file(x)", "SELECT (SELECT file('{f}'))", "SELECT 1 FROM dns WHERE file('{f}') != ''",
    "SELECT 1 ORDER BY file('{f}')", "SELECT * FROM view(SELECT file('{f}'))", "SELECT * FROM '{f}'", "SELECT * FROM `{f}`", 'SELECT * FROM "{f}"',
    "SELECT * FROM default.`{f}`", "FROM '{f}'", "SELECT 1 IN `{f}`", "SELECT * FROM dns JOIN `{f}` AS f ON 1", "SELECT * FROM merge('default', '.*csv')",
    "DESCRIBE file('{f}')", "DESCRIBE `{f}`", "DESCRIBE TABLE '{f}'", "DESCRIBE (SELECT * FROM '{f}')", "EXISTS `{f}`", "EXISTS TABLE '{f}'",
    "SHOW CREATE TABLE `{f}`", "EXPLAIN SELECT * FROM file('{f}')", "EXPLAIN SELECT file('{f}')", "EXPLAIN QUERY TREE SELECT * FROM '{f}'",
    "SELECT * FROM url('http://127.0.0.1:1/')", "SELECT * FROM s3('http://127.0.0.1:1/a')", "SELECT * FROM remote('127.0.0.1:1', 'default.flows')",
    "SELECT * FROM eval('SELECT 1')", "SELECT * FROM remoteSecure('127.0.0.1:1', 'default.flows')", "SELECT * FROM cluster('default', 'default.flows')",
    "SELECT * FROM executable('id', 'TSV', 'a String')", "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
    "SELECT * FROM postgresql('127.0.0.1:1', 'a', 'b', 'c', 'd')", "SELECT * FROM sqlite('{f}', 'a')",
    "SELECT * FROM mongodb('127.0.0.1:1', 'a', 'b', 'c', 'd', 'e')", "SELECT * FROM hdfs('hdfs://127.0.0.1:1/a')", "SELECT * FROM odbc('a', 'b', 'c')",
    "SELECT * FROM filesystem('/')", "SELECT * FROM Python(HOSTILE)", "SELECT * FROM python(HOSTILE)", "SELECT * FROM loop('default', 'dns')",
    "SELECT * FROM fileCluster('a', '{f}')", "SELECT aiGenerate('a', 'b')", "SELECT * FROM deltaLakeLocal('/')", "SELECT * FROM icebergLocal('/')",
    "SELECT * FROM input('a Int8')", "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT 1))", "SELECT 1 FORMAT dataframe", "", ";", "--", "/*", "'", "SELECT",
    "\0", "SELECT 1 \0; DROP TABLE flows", "SELECT '\\'; DROP TABLE flows",
]


def fingerprint(store: Store, place: Path) -> Any:
    return ([store.query(f"SELECT count() FROM {table}").value() for table in TABLES],
            store.query("SELECT database, name FROM system.tables ORDER BY ALL").rows,
            store.query("SELECT name FROM system.functions WHERE origin != 'System'").rows, sorted(path.name for path in place.iterdir()))


@pytest.mark.parametrize("sql", HOSTILE)
def test_what_does_not_only_read_is_refused(store: Store, answering: Answering, place: Path, sql: str) -> None:
    before = fingerprint(store, place)
    sql = sql.replace("{f}", str(place / "hidden.csv"))
    status, body, answer = ask(answering.port, sql + " ")
    assert status >= 400 and body.startswith("Code: ") and HIDDEN not in body, body
    assert fingerprint(store, place) == before
    assert ask(answering.port, "SELECT 'well'")[1] == "well\n"


def test_what_the_store_holds_of_the_engine_is_refused_by_name_in_a_parameter(answering: Answering, place: Path) -> None:
    for sql in ("SELECT arrayMap({f:Identifier}, [{p:String}])", "SELECT * FROM {p:Identifier}", "SELECT * APPLY({f:Identifier}) FROM (SELECT {p:String})"):
        status, body, _ = ask(answering.port, sql, param_f="file", param_p=str(place / "hidden.csv"))
        assert status >= 400 and HIDDEN not in body
    assert ask(answering.port, "SELECT count() FROM {t:Identifier}", param_t="dns")[1] == "200\n"


_GAPS = st.sampled_from([" ", "\n", "\t", "/**/", "/* ' */", "-- \n", "# x\n", "/* ; */", " \n /* `` */ "])


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_dress_makes_a_hostile_statement_pass(store: Store, answering: Answering, place: Path, data: st.DataObject) -> None:
    """Other case, comments in every gap, wrapped in a query of another kind."""
    wanted = [sql for sql in HOSTILE if len(sql) > 20 and "'\\'" not in sql and "\0" not in sql and "dataframe" not in sql]
    sql = data.draw(st.sampled_from(wanted)).replace("{f}", str(place / "hidden.csv"))
    parts = re.findall(r"'[^']*'|`[^`]*`|\"[^\"]*\"|--[^\n]*\n|/\*.*?\*/|\w+|\S", sql)
    dressed = "".join(part + (data.draw(_GAPS) if not part.startswith("--") else "\n") for part in parts)
    if data.draw(st.booleans()):
        dressed = data.draw(st.sampled_from(["SELECT * FROM ({})", "WITH x AS ({}) SELECT * FROM x", "({})", "SELECT 1 UNION ALL {}", "EXPLAIN {}",
                                             "SELECT 1; {}",
                                             "SELECT (SELECT 1), ({})", "DESCRIBE ({})", "SELECT '\\'' /* ' */; {}"])).replace("{}", dressed)
    before = fingerprint(store, place)
    with pytest.raises(Refusal) as caught:
        answering.answer(Question(dressed, "TSV"))
    assert HIDDEN not in str(caught.value)
    assert fingerprint(store, place) == before


def test_limits_are_kept_and_told(store: Store, answering: Answering, remote: RemoteStore) -> None:
    begun = time.monotonic()
    for sql, code, words in ((SLOW, 159, "longer than"), ("SELECT number FROM numbers(6000)", 396, "larger than"),
                             ("SELECT repeat('x', 2000) FROM numbers(1000)", 396, "larger than"),
                             ("SELECT groupArray(number) FROM numbers(1000000000)", 241, "memory"),
                             ("SELECT number, throwIf(number = 4999) FROM numbers(5000)", 395, "throwIf")):
        status, body, _ = ask(answering.port, sql)
        assert (status, body[:10]) == (500, f"Code: {code}."), body
        assert ask(answering.port, "SELECT 'clean'")[1] == "clean\n"        # nothing of a failed answer in the next one
        with pytest.raises(UserError, match=words):
            remote.query(sql)
        assert remote.query("SELECT 1").rows == [(1,)]
    assert time.monotonic() - begun < 12
    with pytest.raises(UserError, match="leave out SETTINGS"):
        remote.query("SELECT 1 SETTINGS max_threads = 7")
    with pytest.raises(UserError, match="throwIf"):
        store.query("SELECT number, throwIf(number = 2900000) FROM numbers(3000000)")
    assert store.query("SELECT 1").rows == [(1,)]                           # the owner's own connection neither
    assert ask(answering.port, "SELECT 1 -- " + "x" * 30_000)[0] == 413
    assert ask(answering.port, method="GET", query="SELECT 1", headers={"Content-Length": "9" * 40})[0] == 400
    connection = http.client.HTTPConnection("127.0.0.1", answering.port)
    connection.request("POST", "/", gzip.compress(b"SELECT 1 --" + b" " * 5_000_000), {"Content-Encoding": "gzip"})
    assert connection.getresponse().status == 413
    connection.close()


def test_a_slow_or_numerous_client_is_bounded(answering: Answering) -> None:
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", answering.port)) as drip:
        drip.settimeout(5)
        for _ in range(40):
            try:
                drip.sendall(b"G")
                time.sleep(0.1)
            except OSError:
                break
        with contextlib.suppress(ConnectionResetError):
            assert drip.recv(100) == b""
        assert 0.8 < time.monotonic() - begun < 5
    held = [socket.create_connection(("127.0.0.1", answering.port)) for _ in range(6)]
    time.sleep(0.2)
    try:
        with socket.create_connection(("127.0.0.1", answering.port)) as more:
            more.settimeout(5)
            assert more.recv(100).startswith(b"HTTP/1.1 503")
    finally:
        for one in held:
            one.close()
    time.sleep(0.3)
    assert ask(answering.port, "SELECT 1")[1] == "1\n"


def test_inserts_do_not_wait_for_questions(store: Store, answering: Answering) -> None:
    asked = threading.Thread(target=ask, args=(answering.port, SLOW))
    asked.start()
    time.sleep(0.2)
    try:
        store.write(Batch("http", 1, {"host": Texts.of(["beside"])}))
        store.flush()
        assert asked.is_alive()                     # the question, which takes all of its second, has not ended
    finally:
        asked.join()
    assert ask(answering.port, "SELECT host FROM http")[1] == "beside\n"


def test_questions_at_once_take_turns(answering: Answering) -> None:
    answers: list[str] = []
    threads = [threading.Thread(target=lambda n=n: answers.append(ask(answering.port, f"SELECT {n} + sleep(0.1)")[1])) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [f"{n}\n" for n in range(5)]


def test_clickhouse_connect_is_a_client(store: Store, answering: Answering) -> None:
    import clickhouse_connect
    from clickhouse_connect.driver.exceptions import DatabaseError

    client = clickhouse_connect.get_client(host="127.0.0.1", port=answering.port)
    try:
        got = client.query("SELECT flow_id, application, interval_start, client_ip FROM flows ORDER BY flow_id LIMIT 50")
        want = store.query("SELECT flow_id, application, interval_start, client_ip FROM flows ORDER BY flow_id LIMIT 50")
        assert [(row[0], row[1]) for row in got.result_rows] == [(row[0], row[1]) for row in want.rows]
        assert [row[2].strftime("%Y-%m-%d %H:%M:%S.%f") for row in got.result_rows] == [row[2] for row in want.rows]
        assert client.query("SELECT {n:UInt64} + 1, {w:String}, {l:Array(String)}", parameters={"n": 4, "w": "tab\t'\n\\", "l": ["a", "b'"]}).result_rows == [
            (5, "tab\t'\n\\", ["a", "b'"])]
        assert len(client.query_df("SELECT application, count() AS flows FROM flows GROUP BY 1")) > 1
        assert client.query_arrow("SELECT number FROM numbers(5)").num_rows == 5
        assert client.query("SELECT 1 WHERE 0").result_rows == [] and client.ping()
        with pytest.raises(DatabaseError, match="only reads"):
            client.command("INSERT INTO flows (flow_id) VALUES (1)")
        with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
            client.query("SELECT 1 FROM absent")
    finally:
        client.close()


@pytest.mark.parametrize("sql", [
    *(f"SELECT * FROM {table} ORDER BY ALL" for table in ("flows", "dns", "captures")), "SELECT displayName(), version(), revision(), timezone()",
    "SELECT repeat('x', number * 50) AS s, [[number], []] AS a, map('k', number) AS m, (1, [s]) AS t, CAST((number, s), 'Tuple(a UInt8, `b c` String)') AS n, "
    "toDecimal64(1, 3) AS d, CAST(1, 'Decimal(30, 2)') AS e, NULL AS z, toFixedString('a', 3) AS f, CAST('a, (', 'Enum8(\\'a, (\\' = 1)') AS g, "
    "[toNullable(1), NULL] AS h, toIntervalDay(1) AS i, toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0') AS u, true AS b, "
    "toLowCardinality(toNullable(if(number % 2 = 0, 'even', NULL))) AS l, if(number > 3, [toLowCardinality(s), 'y'], []) AS la, "
    "CAST([('x', 1)], 'Nested(p String, q Int8)') AS ne "
    "FROM numbers(9)", "SELECT number FROM numbers(4000)", "SELECT 1 WHERE 0"])
def test_blocks_of_newer_clients_read_back(answering: Answering, remote: RemoteStore, sql: str) -> None:
    """As Go's client, and with it Grafana, asks for them: another reader of that revision finds the same values and the end in its place."""
    from clickhouse_driver.bufferedreader import BufferedSocketReader
    from clickhouse_driver.connection import ServerInfo
    from clickhouse_driver.context import Context
    from clickhouse_driver.streams.native import BlockInputStream

    connection = http.client.HTTPConnection("127.0.0.1", answering.port)
    connection.request("POST", "/?default_format=Native&client_protocol_version=54460&enable_http_compression=1", sql.encode(), {"Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    assert answer.status == 200, data
    data = gzip.decompress(data)
    context = Context()
    context.server_info = ServerInfo("", 26, 9, 0, 54460, "UTC", "", 54460)
    context.settings = {}
    context.client_settings = {"strings_as_bytes": False, "strings_encoding": "utf-8", "use_numpy": False, "namedtuple_as_json": False}
    here, there = socket.socketpair()
    sending = threading.Thread(target=lambda: (there.sendall(data), there.close()))
    sending.start()
    rows: list[Any] = []
    stream = BlockInputStream(BufferedSocketReader(here, 1 << 16), context)
    with contextlib.suppress(EOFError):
        while True:
            rows += stream.read().get_rows()
    sending.join()
    here.close()
    plain = remote.query(sql)
    assert len(rows) == len(plain)
    for got, want in zip(rows, plain, strict=True):
        for value, wanted, kind in zip(got, want, plain.types, strict=True):
            if re.fullmatch(r"(Nullable\(|LowCardinality\()?(U?Int\d+|String|Bool)\)?|Array\((String|U?Int\d+)\)|Enum.*", kind):
                assert value == wanted, kind


# ---- an owner of its own process

_OWNER = """
import os, sys, threading, time
from dpi.store import open_ahead, open_store
url, how = sys.argv[1:]
ahead = None
if "beside" in how:
    os.sched_getaffinity = lambda _: {0, 1}
    ahead = open_ahead(url)
    assert ahead is not None
from dpi.store.answering import Answering
from tests.rows import batch
store = open_store(url, ahead=ahead)
if "silent" in how:
    store.flush()
    print("ready", flush=True)
    sys.stdin.read()
    store.close()
    sys.exit()
answering = Answering(store)
written, going = 0, True
def insert():
    global written
    while going:
        store.write(batch("dns", 10, written + 1))
        store.flush()
        written += 10
        time.sleep(0.02)
thread = threading.Thread(target=insert)
thread.start()
print("ready", answering.port, flush=True)
sys.stdin.read()
going = False
thread.join()
answering.close()
print(written, store.query("SELECT count() FROM dns").value(), flush=True)
store.close()
"""


class Owner:
    """A process that owns a store and writes to it."""

    def __init__(self, folder: Path, how: str = "") -> None:
        self.path = folder / "store"
        self.url = f"chdb://{self.path}"
        self.process = subprocess.Popen([sys.executable, "-c", _OWNER, self.url, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith("ready")

    def end(self) -> str:
        said, _ = self.process.communicate(timeout=30)
        assert self.process.returncode == 0
        return said.strip()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=30)


def fullspan(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from dpi.cli.main import run; import sys; sys.exit(run(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, cwd=ROOT)


@pytest.mark.parametrize("how", ["here", "beside"])
def test_commands_read_what_another_process_owns(tmp_path: Path, how: str) -> None:
    url = f"chdb://{tmp_path}/store"
    assert fullspan("replay", str(ROOT / "pcaps" / "dns.pcap"), "--store", url).returncode == 0
    number = json.loads(fullspan("query", "SELECT flow_id FROM flows ORDER BY flow_id LIMIT 1", "--store", url, "--json").stdout)[0]["flow_id"]
    asked = [("query", "SELECT * FROM flows ORDER BY ALL", "--store", url, "--json"), ("flow", number, "--store", url, "--packets", "0", "--json"),
             ("report", "--store", url, "--json", "--capture", "dns.pcap", "--out", str(tmp_path / "report.html"))]
    alone = [fullspan(*one) for one in asked] if how == "here" else None
    owner = Owner(tmp_path, how)
    try:
        beside = [fullspan(*one) for one in asked]
        for one in beside:
            assert one.returncode == 0 and one.stdout, one.stderr
        assert (tmp_path / "report.html").stat().st_size > 10_000
        if alone is not None:
            assert [one.stdout for one in beside] == [one.stdout for one in alone]
        overview = json.loads(fullspan("query", "--store", url, "--json").stdout)
        assert {row["table"] for row in overview} == set(TABLES) and next(row["rows"] for row in overview if row["table"] == "dns") > 10
        assert stat.S_IMODE((owner.path / notice.NAME).stat().st_mode) == 0o600
        refused = fullspan("replay", str(ROOT / "pcaps" / "dns.pcap"), "--store", url)
        assert refused.returncode == 2 and "in use by another process" in refused.stderr and len(refused.stderr.strip().splitlines()) == 1
        assert isinstance(open_store(url, readonly=True), RemoteStore)
    finally:
        written, stored = owner.end().split()
    assert int(stored) >= int(written) > 0                      # not a row was lost to reading
    assert not (owner.path / notice.NAME).exists()


def test_an_owner_that_ends_in_a_question_is_told(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    code = "from dpi.cli.main import run; import sys; sys.exit(run(sys.argv[1:]))"
    asking = subprocess.Popen([sys.executable, "-c", code, "query", SLOW, "--store", owner.url], stderr=subprocess.PIPE, text=True, cwd=ROOT)
    time.sleep(1.5)
    assert asking.poll() is None
    owner.kill()
    _, said = asking.communicate(timeout=10)
    assert asking.returncode == 2 and "ended before it answered" in said and len(said.strip().splitlines()) == 1, said
    # what it left behind says that it answers, and nobody is misled
    assert (owner.path / notice.NAME).exists() and notice.standing(owner.path) is None
    again = fullspan("query", "SELECT count() > 0 AS there FROM dns", "--store", owner.url, "--json")
    assert json.loads(again.stdout)[0]["there"] == 1, again.stderr


def test_a_notice_that_does_not_stand_is_not_followed(tmp_path: Path, answering: Answering) -> None:
    """Of an owner that is gone, of another's port, of nonsense: the store is held by a process that does not answer."""
    owner = Owner(tmp_path, "silent")
    try:
        for left in ("", "{}", "[1]", '{"port": 0, "process": 1, "mark": "x"}', '{"port": 99999999, "process": 1, "mark": "x"}',
                     '{"port": 1, "process": 1, "mark": "x"}',
                     json.dumps({"port": answering.port, "process": os.getpid(), "mark": "another's"})):
            (owner.path / notice.NAME).write_text(left)
            with pytest.raises(UserError, match="in use by another process"):
                open_store(owner.url, create=False, readonly=True)
    finally:
        owner.end()


def test_what_can_not_be_answered_for_is_told(store: Any, answering: Answering, remote: RemoteStore) -> None:
    with pytest.raises(UserError, match="port can't be opened"):
        Answering(store, port=answering.port)
    with pytest.raises(UserError, match="this process owns"):
        Answering(remote)           # type: ignore[arg-type]
    assert remote.query("SELECT 1").rows == [(1,)]
