"""Rows in files: the same values as the slow twin's, and the file whole or not there."""
from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.batch import Batch, Texts, macs, packed
from dpi.errors import UserError
from dpi.schema import TABLES
from dpi.sinks.files import FileSink, json_lines, piece
from dpi.sinks.text import addresses, times
from tests.oracle import columns as twin
from tests.rows import batch


@pytest.mark.parametrize("table", [name for name in TABLES if not TABLES[name].folds])
def test_json_lines_are_the_twins(table: str) -> None:
    rows = batch(table, 200)
    got = [json.loads(line) for line in json_lines(rows).decode().splitlines()]
    for line in got:
        assert line.pop("stored_time").endswith("Z")
        assert [*line, "stored_time"] == list(TABLES[table].names)
    assert got == twin.rows(rows)


def test_missing_columns_are_defaults() -> None:
    rows = Batch("flows", 3, {"flow_id": np.arange(3, dtype=np.uint64)})
    got = [json.loads(line) for line in json_lines(rows).decode().splitlines()]
    for line in got:
        line.pop("stored_time")
    assert got == twin.rows(rows)
    assert got[2]["flow_id"] == "2" and got[2]["client_rtt_us"] is None and got[2]["risks"] == [] and got[2]["client_ip"] == "::"


@given(st.lists(st.text(max_size=8), max_size=30))
@settings(max_examples=60, deadline=None)
def test_any_text_survives_json(words: list[str]) -> None:
    words = [word.encode("utf-8", "replace").decode() for word in words]
    rows = Batch("flows", len(words), {"server_name": Texts.of(words), "user_agent": Texts.of(words)})
    lines = json_lines(rows).decode().split("\n")[:-1] if words else []
    assert [json.loads(line)["server_name"] for line in lines] == words
    assert [json.loads(line)["user_agent"] for line in lines] == words


@given(st.lists(st.binary(min_size=16, max_size=16) | st.binary(min_size=4, max_size=4).map(lambda b: bytes(10) + b"\xff\xff" + b), max_size=40))
@settings(max_examples=60, deadline=None)
def test_addresses(raw: list[bytes]) -> None:
    array = np.frombuffer(b"".join(raw), np.uint8).reshape(-1, 16)
    assert list(addresses(array)) == [twin.address(one) for one in raw]


@given(st.lists(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999), max_size=20))
@settings(max_examples=60, deadline=None)
def test_times(us: list[int]) -> None:
    assert list(times(np.array(us, np.int64))) == [twin.moment(one) for one in us]


def test_times_out_of_range_do_not_raise() -> None:
    assert times(np.array([-1 << 63, (1 << 63) - 1], np.int64))[1].startswith("9999-12-31")


def test_encoders() -> None:
    assert list(macs(np.array([0, 0x0A0B0C0D0E0F, 1], np.uint64))) == ["", "0a:0b:0c:0d:0e:0f", "00:00:00:00:00:01"]
    assert list(packed(np.frombuffer(b"abcdef", np.uint8).reshape(2, 3), np.array([2, 9]))) == ["ab", "def"]


def test_pieces_are_the_rows() -> None:
    rows = batch("flows", 50)
    assert twin.rows(piece(rows, 7, 31)) == twin.rows(rows)[7:31]


def test_jsonl_csv_and_parquet_hold_all_rows(tmp_path: Path) -> None:
    first, second = batch("flows", 40, 1), batch("flows", 20, 2)
    for suffix in ("jsonl", "csv", "parquet"):
        sink = FileSink(tmp_path / f"flows.{suffix}")
        for one in (first, batch("dns", 5), second):
            sink.write(one)
        assert not (tmp_path / f"flows.{suffix}").exists()      # not before it is whole
        sink.close()
        assert sink.rows == 60
    want = twin.rows(first) + twin.rows(second)
    assert [json.loads(line)["flow_id"] for line in (tmp_path / "flows.jsonl").read_text().splitlines()] == [row["flow_id"] for row in want]
    with (tmp_path / "flows.csv").open(newline="") as opened:
        lines = list(csv.DictReader(opened))
    assert [line["server_name"] for line in lines] == [row["server_name"] for row in want]
    assert [line["client_ip"] for line in lines] == [row["client_ip"] for row in want]
    assert [json.loads(line["risks"]) for line in lines] == [row["risks"] for row in want]
    assert [line["client_rtt_us"] for line in lines] == ["" if row["client_rtt_us"] is None else str(row["client_rtt_us"]) for row in want]
    table = pyarrow.parquet.read_table(tmp_path / "flows.parquet")
    assert table.column_names == list(TABLES["flows"].names)
    for name in ("server_name", "client_ip", "risks", "client_rtt_us", "application", "client_mac", "final"):
        assert table[name].to_pylist() == [row[name] for row in want], name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flows.csv", "flows.jsonl", "flows.parquet"]


def test_an_empty_file_has_its_columns(tmp_path: Path) -> None:
    for suffix in ("jsonl", "csv", "parquet"):
        FileSink(tmp_path / f"none.{suffix}").close()
    assert (tmp_path / "none.jsonl").read_bytes() == b""
    assert (tmp_path / "none.csv").read_text().startswith('"flow_id"')
    assert pyarrow.parquet.read_table(tmp_path / "none.parquet").num_rows == 0


def test_discard_leaves_nothing(tmp_path: Path) -> None:
    for suffix in ("jsonl", "csv", "parquet"):
        sink = FileSink(tmp_path / f"flows.{suffix}")
        sink.write(batch("flows", 10))
        sink.discard()
    assert list(tmp_path.iterdir()) == []


def test_wrong_names_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="suffix"):
        FileSink(tmp_path / "flows.txt")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UserError, match="directory"):
        FileSink(tmp_path / "folder.csv")
    with pytest.raises(UserError, match="cannot be written"):
        FileSink(tmp_path / "absent" / "flows.csv")


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "flows.jsonl")
    assert sink._file is not None
    sink._file.close()
    sink._file = open("/dev/full", "wb", buffering=0)       # noqa: SIM115  the sink closes it
    with pytest.raises(UserError, match="No space left"):
        sink.write(batch("flows", 10))
    assert list(tmp_path.iterdir()) == []
