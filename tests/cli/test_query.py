"""`fullspan query` on a real store."""
from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from dpi.batch import Coded
from dpi.cli.main import run
from dpi.cli.query import show
from dpi.schema import TABLES
from dpi.store import Result, open_store
from tests.rows import batch


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with a few rows."""
    where = f"chdb://{tmp_path}/store"
    store = open_store(where)
    unbound = {f"{side}_{what}_id": Coded.same("", 20) for side in ("client", "server") for what in ("service", "customer")}
    store.write(batch("flows", 20, flow_id=np.arange(20, dtype=np.uint64) + (1 << 60), interval_start=1_334_000_000_000_000 + np.arange(20), **unbound))
    store.close()
    return where


def test_without_a_question_it_says_what_there_is(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["query", "--store", url, "--json"]) == 0
    rows = {row["table"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(rows) == set(TABLES)
    assert rows["flows"]["rows"] == 20 and rows["flows"]["first_time"].startswith("2012-04-09") and rows["flows"]["bytes"] > 0
    assert rows["dns"]["rows"] == 0 and rows["dns"]["first_time"] == ""


def test_a_question_is_answered_in_each_form(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    sql = "SELECT flow_id, client_ip, risks, client_rtt_us, final FROM flows ORDER BY flow_id LIMIT 2;"
    assert run(["query", sql, "--store", url, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["flow_id"] for row in rows] == [str(1 << 60), str((1 << 60) + 1)]       # a string: no JSON number is that exact
    assert isinstance(rows[0]["risks"], list) and isinstance(rows[0]["final"], bool)
    assert run(["query", sql, "--store", url, "--csv"]) == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [line["client_ip"] for line in lines] == [row["client_ip"] for row in rows]
    assert run(["query", sql, "--store", url]) == 0        # a pipe: tabs
    assert capsys.readouterr().out.splitlines()[0] == "flow_id\tclient_ip\trisks\tclient_rtt_us\tfinal"


def test_only_reading(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["query", "TRUNCATE TABLE flows", "--store", url]) == 2
    assert "only reading" in capsys.readouterr().err
    assert run(["query", "SELECT count() FROM flows", "--store", url, "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)[0].values()) == [20]


def test_an_absent_store_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["query", "--store", f"chdb://{tmp_path}/absent"]) == 2
    assert "there is no store here" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    show(Result(["name", "packets"], ["String", "UInt64"], [("[b]not markup[/b]", 5), (None, 6)]), None)
    out = capsys.readouterr().out
    assert "[b]not markup[/b]" in out and "packets" in out
    show(Result([f"c{number}" for number in range(30)], ["String"] * 30, [tuple("x" * 30)] * 201), None)
    captured = capsys.readouterr()
    assert "row 200" in captured.out and "1 more of 201 rows" in captured.err
