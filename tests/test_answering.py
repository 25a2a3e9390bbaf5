"""What an owner answers, how, and within which limits: a real engine, real clients."""
from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from dpi.batch import Batch, Texts
from dpi.errors import UserError
from dpi.store import Store, address, notice
from dpi.store.answering import Answering
from dpi.store.remote import RemoteStore
from tests.answered import LIMITS, filled
from tests.rows import batch

ROOT = Path(__file__).resolve().parents[1]
SLOW = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 7"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("answering")


@pytest.fixture(scope="module")
def store(place: Path) -> Iterator[Store]:
    with filled(place) as opened:
        yield opened


@pytest.fixture(scope="module")
def answering(store: Any, place: Path) -> Iterator[Answering]:
    with Answering(store, limits=LIMITS) as answers:
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
    ("WITH 3 AS n SELECT number FROM numbers(n) UNION ALL SELECT number FROM numbers(0);", None), ("SELECT 1 WHERE 0", None),
    ("FROM dns SELECT count() /* as they say */", None),
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


def test_limits_are_kept_and_told(store: Store, answering: Answering, remote: RemoteStore) -> None:
    for sql, code, words in ((SLOW, 159, "longer than"), ("SELECT number FROM numbers(6000)", 396, "larger than"),
                             ("SELECT repeat('x', 2000) FROM numbers(1000)", 396, "larger than"),
                             ("SELECT length(repeat(repeat('x', 1000), 400000))", 241, "memory"),          # asked for at once, before time is up
                             ("SELECT number, throwIf(number = 4999) FROM numbers(5000)", 395, "throwIf")):
        status, body, _ = ask(answering.port, sql)
        assert (status, body[:10]) == (500, f"Code: {code}."), body
        assert ask(answering.port, "SELECT 'clean'")[1] == "clean\n"        # nothing of a failed answer in the next one
        with pytest.raises(UserError, match=words):
            remote.query(sql)
        assert remote.query("SELECT 1").rows == [(1,)]
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


def test_what_can_not_be_answered_for_is_told(store: Any, answering: Answering, remote: RemoteStore) -> None:
    with pytest.raises(UserError, match="port can't be opened"):
        Answering(store, port=answering.port)
    with pytest.raises(UserError, match="this process owns"):
        Answering(remote)           # type: ignore[arg-type]
    assert remote.query("SELECT 1").rows == [(1,)]
