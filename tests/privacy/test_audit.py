"""Reasons and audit rows: on the embedded store as a command has it, and at the owner that answers others."""
from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner

from dpi.cli.main import cli
from dpi.errors import UserError
from dpi.store import Store, open_store
from dpi.store.access import personal_tables, without_form
from dpi.store.answering import Answering
from dpi.store.audit import Entry, Who, newest, record, rows_of, user_of, verify
from dpi.store.notice import read
from dpi.store.peer import user_at
from dpi.store.remote import RemoteStore
from tests.privacy.stores import flows

ME = Who("someone", 1000, "box")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with flows of S1 and S2."""
    with contextlib.closing(open_store(f"chdb://{tmp_path_factory.mktemp('privacy')}/store")) as opened:
        opened.write(flows(20, 1, ["S1", "", "S2"]))
        opened.flush()
        yield opened


@pytest.fixture(scope="module")
def plain(store: Store) -> Iterator[Store]:
    """Another database of the same path, in which no row is bound."""
    with contextlib.closing(open_store(f"{store.url}?database=plain")) as opened:
        opened.write(flows(20, 1, [""]))
        opened.flush()
        yield opened


def told(*arguments: str) -> tuple[int, str]:
    """Run a command as the command line does: exit code and all it printed."""
    from dpi.cli.main import run

    out = CliRunner(catch_exceptions=False)
    with out.isolation() as (stdout, _stderr, _both):
        code = run(list(arguments))
        return code, stdout.getvalue().decode() + _stderr.getvalue().decode()


def test_what_names_a_person_takes_a_reason_and_leaves_a_row(store: Store) -> None:
    flow = str((7 << 40) + 1000)
    before = len(rows_of(store))
    for arguments in (("query", "SELECT client_ip FROM flows LIMIT 3"), ("flow", flow, "--packets", "0"),
                      ("query", "SELECT 1 WHERE 1 IN (SELECT ttl FROM dns)")):
        code, said = told(*arguments, "--store", store.url)
        assert code == 2 and said.count("\n") == 1 and "--reason" in said and "::" not in said
        code, _ = told(*arguments, "--store", store.url, "--reason", "   ")
        assert code == 2
    assert len(rows_of(store)) == before
    code, said = told("query", "SELECT client_ip FROM flows LIMIT 3", "--store", store.url, "--reason", "spam, order of the desk", "--ticket", "T-7")
    assert code == 0 and len(said.splitlines()) == 4
    code, said = told("flow", flow, "--packets", "0", "--store", store.url, "--ticket", "T-8")
    assert code == 0 and "S1" in said
    first, second = rows_of(store)[-2:]
    for narrowed in (("--service", "S1"), ("--customer", "K1")):
        code, said = told("report", "applications", *narrowed, "--store", store.url)
        assert code == 2 and "--reason" in said and said.count("\n") == 1
    code, said = told("report", "applications", "--service", "S1", "--store", store.url, "--ticket", "T-9", "--format", "json")
    assert code == 0 and '"tables"' in said
    third = rows_of(store)[-1]
    assert (third["command"], third["ticket"], third["target_kind"], third["target"]) == ("report", "T-9", "service", "S1")
    assert told("report", "applications", "--application", "YouTube", "--store", store.url)[0] == 0 and len(rows_of(store)) == before + 3
    assert (first["command"], first["reason"], first["ticket"], first["target_kind"], first["target"], int(first["rows"])) == (
        "query", "spam, order of the desk", "T-7", "tables", "flows", 3)
    assert first["sql"] == "SELECT client_ip FROM flows LIMIT 3" and first["uid"] == os.getuid() and first["host"] == socket.gethostname()
    assert (second["command"], second["target_kind"], second["target"], int(second["rows"])) == ("flow", "flow", flow, 1)
    assert second["previous"] == [first["digest"]] and not verify(store)[1]


def test_what_names_nobody_takes_none(store: Store, plain: Store) -> None:
    before = len(rows_of(store))
    for sql in ("SELECT sum(flows) FROM flows_1m", "SELECT 'flows' AS x", "SHOW TABLES", "DESCRIBE flows", "SHOW CREATE TABLE flows", ""):
        code, said = told("query", *filter(None, [sql]), "--store", store.url)
        assert code == 0, (sql, said)
    assert told("query", "SELECT client_ip FROM flows", "--store", plain.url)[0] == 0         # of a store without bindings
    assert told("flow", str((7 << 40) + 1000), "--packets", "0", "--store", plain.url)[0] == 0
    assert len(rows_of(store)) == before and not rows_of(plain)


def test_bindings_in_the_settings_ask_as_well(plain: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpi.store.access.bindings_named", lambda: True)
    assert told("query", "SELECT client_ip FROM flows", "--store", plain.url)[0] == 2


def test_nothing_is_shown_where_the_row_can_not_be_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from dpi.store import Away
    from dpi.store.embedded import EmbeddedStore

    def full(*_: object, **__: object) -> None:
        raise Away("the disk is full", "store")

    monkeypatch.setattr(EmbeddedStore, "insert", full)
    code, said = told("query", "SELECT client_ip FROM flows LIMIT 3", "--store", store.url, "--reason", "r")
    assert code == 2 and "the disk is full" in said and said.count("\n") == 1


def test_what_a_statement_reads(store: Store) -> None:
    def touched(sql: str) -> list[str]:
        return personal_tables("\n".join(str(row[0]) for row in store.query(f"EXPLAIN AST {without_form(sql)}")), sql)

    for sql, tables in (("WITH q AS (SELECT * FROM flows) SELECT * FROM q", ["flows"]), ("SELECT (SELECT max(time) FROM `dns`), 1", ["dns"]),
                        ("SELECT 1 WHERE (1, 2) NOT IN default.http", ["http"]), ("SELECT sum(flows) FROM flows_1m", []), ("FROM flows SELECT 1", ["flows"]),
                        ("SELECT * FROM flows FORMAT JSON", ["flows"]), ("EXPLAIN SELECT * FROM flows", ["flows"]),
                        ("SELECT 'flows', flows FROM flows_5m AS f", []),
                        ("SELECT * FROM flows_1m JOIN usage_1m USING time UNION ALL SELECT * FROM tls", ["tls", "usage_1m"]),
                        ("SELECT * FROM view(SELECT * FROM flows)", ["flows"])):
        assert touched(sql) == tables, sql
    assert len(touched("SELECT * FROM merge('default', 'fl.*')")) > 5
    assert personal_tables("", "SELECT 'dns' FROM flows") == ["dns", "flows"]        # rather one too many


# ---- the chain

def test_a_row_that_is_changed_or_missing_is_found(store: Store) -> None:
    chain = f"{store.url}?database=chain"
    with contextlib.closing(open_store(chain)) as own:
        for number in range(6):
            record(own, Entry(ME, "query", f"reason {number} 网络 \\ ' \ud800", "", "flow", str(number), "SELECT 'x'\n\t" + "y" * 9000, number))
        rows, faults = verify(own)
        assert not faults and [int(row["number"]) for row in rows] == [1, 2, 3, 4, 5, 6]
        assert len(rows[0]["sql"]) <= 4096 and newest(rows) == [rows[-1]["digest"]]
        head = str(rows[-1]["digest"])
        # two writers that did not see each other: both are followed by the next row
        own.query("CREATE TABLE other AS audit")
        own.query("INSERT INTO other SELECT * FROM audit")
        record(own, Entry(ME, "flow"))
        late = rows_of(own)[-1]
        own.query(f"ALTER TABLE audit DELETE WHERE digest = '{late['digest']}' SETTINGS mutations_sync = 1")
        record(own, Entry(ME, "whois"))
        own.query("INSERT INTO other SELECT * FROM audit WHERE number > 6")
        own.query(f"ALTER TABLE audit DELETE WHERE digest = '{rows_of(own)[-1]['digest']}' SETTINGS mutations_sync = 1")
        assert verify(own)[1] == [] and [one.number for one in verify(own, ["0" * 64])[1]] == [0] and not verify(own, [head])[1]
        for spoil, where in (("UPDATE reason = 'another' WHERE number = 3", 3), ("UPDATE rows = 9 WHERE number = 2", 2), ("DELETE WHERE number = 4", 4),
                             ("DELETE WHERE number = 1", 1)):
            own.query(f"ALTER TABLE audit {spoil} SETTINGS mutations_sync = 1")
            assert [one.number for one in verify(own)[1]] == [where], spoil
            code, said = told("audit", "verify", "--store", chain)
            assert code == 1 and f"row {where}: " in said
            own.query("TRUNCATE TABLE audit")
            own.query("INSERT INTO audit SELECT * FROM other WHERE number <= 6")
        own.query("ALTER TABLE audit DELETE WHERE number = 6 SETTINGS mutations_sync = 1")
        assert not verify(own)[1] and verify(own, [head])[1]         # the newest row is found missing by the digest that was noted


def test_writers_that_did_not_see_each_other_are_both_followed(store: Store) -> None:
    with contextlib.closing(open_store(f"{store.url}?database=fork")) as own:
        record(own, Entry(ME, "a"))
        own.query("CREATE TABLE kept AS audit")
        record(own, Entry(ME, "b"))
        own.query("INSERT INTO kept SELECT * FROM audit WHERE number = 2")
        own.query("ALTER TABLE audit DELETE WHERE number = 2 SETTINGS mutations_sync = 1")
        record(own, Entry(ME, "c"))
        own.query("INSERT INTO audit SELECT * FROM kept")
        assert [int(row["number"]) for row in rows_of(own)] == [1, 2, 2] and len(newest(rows_of(own))) == 2 and not verify(own)[1]
        record(own, Entry(ME, "d"))
        rows, faults = verify(own)
        assert not faults and int(rows[-1]["number"]) == 3 and len(rows[-1]["previous"]) == 2 and len(newest(rows)) == 1
        own.query("ALTER TABLE audit DELETE WHERE command = 'b' SETTINGS mutations_sync = 1")
        assert [one.number for one in verify(own)[1]] == [2]


# ---- the owner

def ask(port: int, sql: str, headers: dict[str, str] | None = None, path: str = "/", parameters: str = "") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", path + parameters, sql.encode(), headers or {})
    answer = connection.getresponse()
    said = answer.read().decode()
    connection.close()
    return answer.status, said


def test_the_owner_notes_before_it_answers(store: Store) -> None:
    with Answering(store) as answering:         # type: ignore[arg-type]
        before = len(rows_of(store))
        status, said = ask(answering.port, "SELECT client_ip FROM flows LIMIT 2")
        assert status == 403 and "ACCESS_DENIED" in said and "X-Fullspan-Reason" in said and "::ffff" not in said
        for form in ("FORMAT JSON", "FORMAT Pretty", "SETTINGS max_threads = 1", ""):
            assert ask(answering.port, f"SELECT client_ip FROM flows LIMIT 2 {form}")[0] in (403, 500), form
        assert ask(answering.port, "SELECT sum(flows) FROM flows_1m")[0] == 200 and len(rows_of(store)) == before
        status, said = ask(answering.port, "SELECT client_ip FROM flows LIMIT 2 FORMAT JSON",
                           {"X-Fullspan-Reason": quote("\u62a5\u969c 7"), "X-Fullspan-Command": "other"})
        assert status == 200 and len(json.loads(said)["data"]) == 2
        row = rows_of(store)[-1]
        assert (row["reason"], row["command"], row["uid"], row["user"], int(row["rows"])) == ("\u62a5\u969c 7", "other", os.getuid(), user_of(os.getuid()), 2)
        assert ask(answering.port, "SELECT 1 FROM dns", parameters="/?fullspan_ticket=T-9".removeprefix("/"))[0] == 200
        assert (rows_of(store)[-1]["ticket"], rows_of(store)[-1]["command"]) == ("T-9", "http")
        # a command that sums is noted for each question, once; one that names a person by that name is not let through
        notice = read(store.where.path)         # type: ignore[attr-defined]
        assert notice is not None
        other = RemoteStore(store.url, store.where, notice)         # type: ignore[attr-defined]
        before, own = len(rows_of(store)), ["SELECT count() FROM flows", "SELECT count() FROM tls"]
        with pytest.MonkeyPatch.context() as given:
            given.setattr("dpi.store.remote.sys.argv", ["fullspan", "report"])
            assert [other.query(sql).value() for sql in own * 2] == [20, 0] * 2
        assert [(row["command"], row["sql"]) for row in rows_of(store)[before:]] == [("report", sql) for sql in own]
        from dpi.store.access import Access, permit
        permit(other, Access("flow", kind="flow", value="5"))
        with pytest.raises(UserError, match="takes a reason|--reason") as refused:
            other.query("SELECT count() FROM flows")
        assert "\n" not in str(refused.value)
        permit(other, Access("flow", "why not", kind="flow", value="5"))
        assert other.query("SELECT count() FROM flows").value() == 20
        assert (rows_of(store)[-1]["target"], rows_of(store)[-1]["reason"]) == ("5", "why not") and not verify(store)[1]


def test_the_owner_gives_nothing_away_that_it_can_not_note(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from dpi.store import Away
    from dpi.store.embedded import EmbeddedStore

    def full(*_: object, **__: object) -> None:
        raise Away("the disk is full", "store")

    with Answering(store) as answering:         # type: ignore[arg-type]
        monkeypatch.setattr(EmbeddedStore, "insert", full)
        status, said = ask(answering.port, "SELECT client_ip FROM flows LIMIT 2", {"X-Fullspan-Reason": "r"})
        assert status == 403 and "the disk is full" in said and "::ffff" not in said


def test_what_is_read_elsewhere_is_noted_as_well(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from dpi.cli.reasons import noted

    asked = ("whois", "", "T-5", "address", "192.0.2.7", 1)
    before = len(rows_of(store))
    monkeypatch.setenv("FULLSPAN_STORE_URL", store.url)
    noted(*asked)                               # no bindings are named: a laptop
    assert len(rows_of(store)) == before
    monkeypatch.setattr("dpi.store.access.bindings_named", lambda: True)
    with pytest.raises(UserError, match="takes a reason"):
        noted("whois", "", " ", "address", "192.0.2.7", 1)
    noted(*asked)
    with Answering(store) as answering:         # type: ignore[arg-type]
        said = {"command": "whois", "reason": "r", "ticket": "", "target_kind": "address", "target": "192.0.2.8", "rows": 1}
        assert ask(answering.port, json.dumps(said), path="/fullspan/audit")[0] == 200
        assert ask(answering.port, "{}", path="/fullspan/audit")[0] == 400 and ask(answering.port, "{}", path="/fullspan/other")[0] == 400
    assert [(row["command"], row["target"], row["ticket"]) for row in rows_of(store)[before:]] == [("whois", "192.0.2.7", "T-5"), ("whois", "192.0.2.8", "")]


def test_the_system_says_whose_a_connection_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as near:
        far, address = listener.accept()
        assert user_at(address, far.getsockname()) == os.getuid() and user_at(("127.0.0.1", 1), far.getsockname()) == -1
        far.close()
        assert near.fileno() > 0


def test_the_commands_print_what_there_is(store: Store, tmp_path: Path) -> None:
    code, said = told("audit", "show", "--store", store.url, "--last", "1")
    assert code == 0 and said.endswith("1 rows\n")
    found: Any = json.loads(CliRunner().invoke(cli, ["audit", "show", "--json", "--store", store.url]).output)
    assert [int(row["number"]) for row in found] == list(range(1, len(found) + 1))
    code, said = told("audit", "verify", "--store", store.url, "--head", found[0]["digest"])
    assert code == 0 and f"{len(found)} audit rows: whole; newest: {found[-1]['digest']}" in said
