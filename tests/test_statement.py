"""What an owner of a store refuses to answer: whatever does not only read, in whatever dress. On a real engine; store and files stay as they are."""
from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dpi.store import Store
from dpi.store.answering import Answering, Question
from dpi.store.statement import Refusal
from tests.answered import LIMITS, filled

HIDDEN = "hidden-4711"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("answering")
    (folder / "hidden.csv").write_text(f"a,b\n{HIDDEN},1\n")
    return folder


@pytest.fixture(scope="module")
def store(place: Path) -> Iterator[Store]:
    with filled(place) as opened:
        yield opened


@pytest.fixture(scope="module")
def answering(store: Any, place: Path) -> Iterator[Answering]:
    with Answering(store, limits=LIMITS) as answers:
        yield answers


def refusal(answering: Answering, sql: str, **params: str) -> str:
    """Why a question has no answer."""
    with pytest.raises(Refusal) as caught:
        answering.answer(Question(sql, "TSV", "", params))
    return str(caught.value)


#: {f} is a file whose text must never come out. Each of them must be refused.
HOSTILE = [
    "INSERT INTO flows (flow_id) VALUES (1)", "INSERT INTO flows SELECT * FROM flows", "DROP TABLE flows", "TRUNCATE TABLE flows",
    "ALTER TABLE flows DELETE WHERE 1", "DELETE FROM flows WHERE 1", "UPDATE flows SET flow_id = 1 WHERE 1", "OPTIMIZE TABLE flows FINAL",
    "RENAME TABLE flows TO gone", "CREATE TABLE x (a Int8) ENGINE = Memory", "CREATE TEMPORARY TABLE x (a Int8) ENGINE = Memory",
    "CREATE FUNCTION f AS x -> x", "CREATE USER u", "GRANT ALL ON *.* TO default", "SET readonly = 0", "SYSTEM SHUTDOWN", "SYSTEM STOP MERGES",
    "KILL QUERY WHERE 1", "USE system", "BACKUP TABLE flows TO File('{f}.bak')", "ATTACH TABLE x", "DETACH TABLE flows", "EXCHANGE TABLES flows AND dns",
    "CHECK TABLE flows", "WATCH flows", "BEGIN TRANSACTION", "SELECT 1; DROP TABLE flows", "SELECT 1;; INSERT INTO flows (flow_id) VALUES (1)",
    "/* SELECT */ DROP TABLE flows", "-- SELECT\nDROP TABLE flows", "WITH 1 AS x INSERT INTO flows SELECT x", "SELECT 1 -- \n; DROP TABLE flows",
    "(SELECT 1) PARALLEL WITH (DROP TABLE flows)", "SELECT 1 SETTINGS readonly = 0", "SELECT * FROM (SELECT 1 SETTINGS readonly = 0)",
    "SELECT 1 SETTINGS max_execution_time = 0",
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
    return (store.query("SELECT database, name, if(database = 'default', total_rows, 0) FROM system.tables ORDER BY ALL").rows,
            store.query("SELECT name FROM system.functions WHERE origin != 'System'").rows, sorted(path.name for path in place.iterdir()))


@pytest.mark.parametrize("sql", HOSTILE)
def test_what_does_not_only_read_is_refused(store: Store, answering: Answering, place: Path, sql: str) -> None:
    before = fingerprint(store, place)
    sql = sql.replace("{f}", str(place / "hidden.csv"))
    said = refusal(answering, sql)
    assert said.startswith("Code: ") and HIDDEN not in said
    assert fingerprint(store, place) == before
    assert answering.answer(Question("SELECT 'well'")).answer.data == b"well\n"


def test_a_name_given_as_a_parameter_is_refused_like_one_in_the_text(answering: Answering, place: Path) -> None:
    for sql in ("SELECT arrayMap({f:Identifier}, [{p:String}])", "SELECT * FROM {p:Identifier}", "SELECT * APPLY({f:Identifier}) FROM (SELECT {p:String})"):
        assert HIDDEN not in refusal(answering, sql, f="file", p=str(place / "hidden.csv"))
    assert answering.answer(Question("SELECT count() FROM {t:Identifier}", params={"t": "dns"})).answer.data == b"200\n"


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
    assert HIDDEN not in refusal(answering, dressed)
    assert fingerprint(store, place) == before
