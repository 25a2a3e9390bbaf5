"""Ways around the reason: statements that hide what they read, and clients of the owner that say what they are not."""
from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from dpi.cli.main import run
from dpi.store import Store, holds, open_store
from dpi.store.answering import Answering
from dpi.store.audit import rows_of, verify
from dpi.store.notice import Notice, read
from dpi.store.peer import user_at
from dpi.store.remote import RemoteStore
from tests.privacy.stores import flows

#: None of these may be answered without a reason, wherever it is asked.
HIDING = [
    "SELECT 1 AS \"a'\", client_ip FROM flows WHERE server_name != 'b FORMAT x'", "SELECT 1 AS `a'`, client_ip FROM flows WHERE server_name != 'b FORMAT x'",
    'SELECT client_ip FROM flows AS "a\nb"', "SELECT client_ip FROM flows AS `a\\nb`", 'SELECT client_ip FROM flows AS "a\u2028b"',
    'SELECT client_ip FROM flows AS "a)\x0b"', "\ufeffSELECT client_ip FROM flows", "\u200bSELECT client_ip FROM flows", "SELECT client_ip FROM `fl\\x6fws`",
    "SELECT 1, FORMAT FROM(SELECT/**/client_ip/**/AS/**/FORMAT/**/FROM/**/flows)", "SELECT client_ip FROM remote('127.0.0.1', default, flows)",
    "SELECT client_ip FROM remote('127.0.0.1', 'default.flows')", "SELECT client_ip FROM merge('flows$')", "SELECT * FROM eval('SELECT client_ip FROM flows')",
    "SELECT client_ip FROM somebodys", "SELECT * FROM somebodys AS flows_1m", "SELECT 1 WHERE 1 IN somebodys", "SELECT k0, k1 FROM pseudonym_key",
    "SHOW TABLES WHERE name IN (SELECT 'flows' FROM flows WHERE client_service_id = 'S1')",
    "DESCRIBE (SELECT CAST(1, (SELECT concat('Enum8(''', client_service_id, '''=1)') FROM flows LIMIT 1)))",
    "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT (SELECT toString(client_ip) FROM flows LIMIT 1)))",
    "EXPLAIN QUERY TREE SELECT (SELECT toString(client_ip) FROM flows LIMIT 1)", "SELECT 1 AS x, (SELECT any(client_ip) FROM flows) FORMAT Null",
    "SELECT 1; SELECT client_ip FROM flows", "SELECT 1 FORMAT Null; SELECT 'Select ' || toString(client_ip) FROM flows",
    "SET max_threads = 1; SELECT client_ip FROM flows", "SELECT client_ip FROM flows INTO OUTFILE '/dev/stderr'",
]
#: These name nobody.
NAMELESS = ["SELECT sum(flows) FROM flows_1m", "WITH q AS (SELECT 1 AS a) SELECT a FROM q", "SELECT 'flows FORMAT x' AS \"a b\"",
            "SELECT count() FROM grafana_flows",
            "SELECT name FROM system.tables WHERE name LIKE 'f\\\\_%'", "SELECT number FROM numbers(3) FORMAT JSON", "SELECT flows AS x FROM flows_5m AS f"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with flows of S1 and S2, and somebody's view of them."""
    with contextlib.closing(open_store(f"chdb://{tmp_path_factory.mktemp('tricks')}/store")) as opened:
        opened.write(flows(20, 1, ["S1", "", "S2"]))
        opened.flush()
        opened.query("CREATE VIEW somebodys AS SELECT client_ip, client_service_id FROM flows")
        yield opened


@pytest.fixture(scope="module")
def port(store: Store) -> Iterator[int]:
    with Answering(store) as answering:         # type: ignore[arg-type]
        yield answering.port


def ask(port: int, sql: str, headers: dict[str, str] | None = None, path: str = "/") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", path, sql.encode(), headers or {})
    answer = connection.getresponse()
    said = answer.read().decode()
    connection.close()
    return answer.status, said


@pytest.mark.parametrize("sql", HIDING)
def test_what_hides_what_it_reads_takes_a_reason(store: Store, port: int, sql: str, capfd: pytest.CaptureFixture[str]) -> None:
    before = len(rows_of(store))
    assert run(["query", sql, "--store", store.url]) == 2
    said = capfd.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and ("--reason" in said.err or "INTO OUTFILE" in said.err or "several statements" in said.err)
    status, answered = ask(port, sql)
    assert status != 200 and "S1" not in answered and "::ffff" not in answered
    assert len(rows_of(store)) == before


@pytest.mark.parametrize("sql", NAMELESS)
def test_what_names_nobody_takes_none(store: Store, port: int, sql: str) -> None:
    before = len(rows_of(store))
    assert run(["query", sql, "--store", store.url]) == 0 and ask(port, sql)[0] == 200 and len(rows_of(store)) == before


def test_a_name_given_as_a_parameter_is_seen(port: int) -> None:
    assert ask(port, "SELECT client_ip FROM {t:Identifier}", path="/?param_t=flows")[0] == 403
    assert ask(port, "SELECT count() FROM {t:Identifier}", path="/?param_t=flows_1m")[0] == 200


def test_each_question_leaves_a_row_whatever_it_is_called(store: Store, port: int) -> None:
    before = len(rows_of(store))
    summing = {"X-Fullspan-Command": "report", "X-Fullspan-Read": "abc"}
    for sql in ("SELECT count() FROM flows", "SELECT client_ip FROM flows", "SELECT count() FROM flows"):       # the same again is noted already
        assert ask(port, sql, summing)[0] == 200
    assert [row["sql"] for row in rows_of(store)[before:]] == ["SELECT count() FROM flows", "SELECT client_ip FROM flows"]
    for _ in range(2):
        assert ask(port, "SELECT client_ip FROM flows", {"X-Fullspan-Reason": "r", "X-Fullspan-Read": "abc"})[0] == 200
    assert len(rows_of(store)) == before + 4


def test_an_error_that_tells_what_a_row_holds_is_noted(store: Store, port: int, capfd: pytest.CaptureFixture[str]) -> None:
    sql, before = "SELECT CAST(client_service_id, 'UInt8') FROM flows WHERE client_service_id = 'S2'", len(rows_of(store))
    assert run(["query", sql, "--store", store.url, "--reason", "r"]) == 2 and "S2" in capfd.readouterr().err
    status, said = ask(port, sql, {"X-Fullspan-Reason": "r"})
    assert status != 200 and "S2" in said
    assert [(row["reason"], int(row["rows"])) for row in rows_of(store)[before:]] == [("r", 0)] * 2


def test_figures_of_one_customer_take_a_reason(store: Store, port: int, capfd: pytest.CaptureFixture[str]) -> None:
    del port                                    # in this process the store is its own
    span = ("2026-09-01", "2026-10-01")
    before = len(rows_of(store))
    for words in (("usage", "show", *span, "--service", "S1"), ("usage", "show", *span, "--customer", "C1"), ("report", "customers", "--customer", "C1")):
        assert run([*words, "--store", store.url]) == 2
        refused = capfd.readouterr()
        assert refused.out == "" and "--reason" in refused.err and refused.err.count("\n") == 1, words
        assert run([*words, "--store", store.url, "--ticket", "T-3"]) == 0
        capfd.readouterr()
    assert run(["usage", "show", *span, "--store", store.url]) == 0             # of everybody
    assert [(row["command"], row["target_kind"], row["target"], row["ticket"]) for row in rows_of(store)[before:]] == [
        ("usage", "service", "S1", "T-3"), ("usage", "customer", "C1", "T-3"), ("report", "customer", "C1", "T-3")]


def test_who_had_an_address_takes_a_reason_of_the_store_as_well(store: Store, port: int, monkeypatch: pytest.MonkeyPatch,
                                                                   capfd: pytest.CaptureFixture[str]) -> None:
    words = ["whois", "192.0.2.7", "--local-networks", "10.0.0.0/8", "--store", store.url]
    notice = Notice(port, os.getpid(), str(read(store.where.path).mark))           # type: ignore[attr-defined, union-attr]
    for beside in (False, True):
        if beside:                              # another process has it
            monkeypatch.setattr("dpi.store.open_store", lambda *_, **__: RemoteStore(store.url, store.where, notice))        # type: ignore[attr-defined]
        before = len(rows_of(store))
        assert run(words) == 2 and "--reason" in capfd.readouterr().err and len(rows_of(store)) == before
        assert run([*words, "--ticket", "T-5"]) == 0 and capfd.readouterr().out.startswith("192.0.2.7 at")
        assert {(row["command"], row["target"], row["ticket"]) for row in rows_of(store)[before:]} == {("whois", "192.0.2.7", "T-5")}


def test_nobody_notes_what_this_program_notes_by_itself(store: Store, port: int) -> None:
    before = len(rows_of(store))
    claim = {"command": "retention", "reason": "", "ticket": "", "target_kind": "audit", "target": "999999", "rows": 0}
    assert ask(port, json.dumps(claim), path="/fullspan/audit")[0] == 200
    assert ask(port, json.dumps({**claim, "rows": -1}), path="/fullspan/audit")[0] == 400
    assert ask(port, json.dumps({**claim, "rows": 1 << 64}), path="/fullspan/audit")[0] == 400
    for said in ({"Command": "retention", "Kind": "audit", "Target": "x"}, {"Command": quote("hold end"), "Kind": "y" * 900}):
        assert ask(port, "SELECT 1 FROM flows", {f"X-Fullspan-{name}": value for name, value in {**said, "Reason": "r"}.items()})[0] == 200
    told = rows_of(store)[before:]
    assert [row["command"] for row in told] == ["http: retention", "http: retention", "http: hold end"] and len(told[-1]["target_kind"]) <= 40
    assert not verify(store)[1]


def test_a_connection_that_was_closed_there_is_nobodys() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, address = listener.accept()
        near.sendall(b"x")
        near.close()
        until = time.monotonic() + 5            # the system says 0 of it from the moment on in which it knows that the other end has heard
        while time.monotonic() < until and user_at(address, far.getsockname()) != -1:
            time.sleep(0.02)
        assert user_at(address, far.getsockname()) == -1
        far.close()


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user")
def test_another_user_who_is_gone_when_it_is_looked_at_ends_no_hold(store: Store, port: int) -> None:
    """A socket that was closed has no user, and the system says 0 of it."""
    from dpi.store.audit import Who

    begun = {"do": "add", "service_id": "S1", "customer_id": "", "from_time": 1, "to_time": 2, "reason": "r", "ticket": ""}
    hold: Any = holds.change(store, begun, Who("a", 0, "h"))
    body = json.dumps({"do": "end", "hold_id": hold.hold_id, "reason": "r", "ticket": ""}).encode()
    request = b"POST /fullspan/hold HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", (
        "import os, socket\n'a'.encode('idna')\nos.setuid(65534)\n"
        f"for _ in range(20):\n    s = socket.create_connection(('127.0.0.1', {port}))\n    s.sendall({request!r})\n    s.close()\n")], os.environ)
    assert os.waitpid(child, 0)[1] == 0
    for _ in range(20):                         # those that came before are answered by then
        with socket.create_connection(("127.0.0.1", port)) as near:
            near.sendall(b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert near.recv(100)
    assert [one.hold_id for one in holds.every(store)] == [hold.hold_id]


def test_flows_of_another_database_are_somebodys_as_well(store: Store, capfd: pytest.CaptureFixture[str]) -> None:
    plain = f"{store.url}?database=plain"
    hiding = ("SELECT client_ip FROM default.flows", "SELECT client_ip FROM remote('127.0.0.1', default, flows)",
              "SELECT client_ip FROM merge(REGEXP('d.*'), 'flows$')")
    with contextlib.closing(open_store(plain)) as other:
        for sql in hiding:
            assert run(["query", sql, "--store", plain]) == 2 and "--reason" in capfd.readouterr().err, sql
        assert run(["query", "SELECT client_ip FROM flows", "--store", plain]) == 0
        with Answering(other) as answering:         # type: ignore[arg-type]
            for path in ("/", "/?database=system", "/?database=default", "/?param_d=default"):
                assert ask(answering.port, "SELECT client_ip FROM {d:Identifier}.flows" if "_d=" in path else hiding[0], path=path)[0] == 403, path
            assert ask(answering.port, "SELECT client_ip FROM flows", path="/?database=default")[0] == 403
            assert ask(answering.port, hiding[2])[0] == 403
            assert ask(answering.port, "SELECT client_ip FROM flows")[0] == 200
