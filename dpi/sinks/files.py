"""Rows of one table into a file: JSON lines, CSV or Parquet, by its suffix. `-` is JSON lines on standard output.

The file appears whole or not at all: rows go to NAME.part, which `close` renames and `discard` removes.
"""
from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from dpi.batch import Batch, Lists
from dpi.errors import UserError
from dpi.schema import TABLES, Column
from dpi.sinks import text

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".jsonl", ".csv", ".parquet")
_PIECE = 16_384         # rows turned into text at once: what is made stays near the processor


class FileSink:
    """Takes batches; keeps those of `table`. Raises UserError: wrong suffix, no permission, disk full."""

    def __init__(self, path: str | Path, table: str = "flows") -> None:
        self.path = Path(path)
        self.table = table
        self.rows = 0
        self._lock = threading.Lock()       # shards write from threads of their own
        self._columns = TABLES[table].columns
        self._writer: Any = None
        self._file: BinaryIO | None = None
        self._part: Path | None = None
        suffix = ".jsonl" if str(path) == "-" else self.path.suffix.lower()
        if suffix not in SUFFIXES:
            raise UserError("the suffix says no format", str(path), f"end the name with {', '.join(SUFFIXES)}")
        self._write = {".jsonl": self._jsonl, ".csv": self._csv, ".parquet": self._parquet}[suffix]
        if str(path) == "-":
            self._file = sys.stdout.buffer
            return
        if self.path.is_dir():
            raise UserError("this is a directory, a file is needed", str(path))
        self._part = self.path.with_name(self.path.name + ".part")
        try:
            self._file = self._part.open("wb")
        except OSError as error:
            raise UserError(f"the file cannot be written: {error.strerror}", str(path), "name another place with --out") from None

    def write(self, batch: Batch) -> None:
        """Append the rows of a batch of this table; batches of others are passed over."""
        if batch.table != self.table or not batch.count:
            return
        with self._lock:
            if self._file is None:          # discarded after an error
                return
            try:
                self._write(batch)
            except OSError as error:
                self.discard()
                raise self._told(error) from None
            self.rows += batch.count

    def close(self) -> None:
        """Complete the file and give it its name."""
        if self._file is None:
            return
        try:
            if self._writer is None and self.path.suffix.lower() in (".csv", ".parquet"):
                self._begin_arrow(self._table_of(Batch(self.table, 0, {})).schema)
            if self._writer is not None:
                self._writer.close()
            self._file.flush()
            if self._part is not None:
                self._file.close()
                os.replace(self._part, self.path)
        except OSError as error:
            self.discard()
            raise self._told(error) from None
        self._file = self._writer = None

    def discard(self) -> None:
        """Leave nothing."""
        writer, file, self._writer, self._file = self._writer, self._file, None, None
        try:
            if writer is not None:
                writer.close()
            if file is not None and self._part is not None:
                file.close()
        except OSError:
            pass
        if self._part is not None:
            self._part.unlink(missing_ok=True)

    def _told(self, error: OSError) -> UserError:
        what = f"the file could not be written: {error.strerror or error}"
        return UserError(what, str(self.path), "free some space, or name another place with --out")

    # ---- JSON lines

    def _jsonl(self, batch: Batch) -> None:
        assert self._file is not None
        for begin in range(0, batch.count, _PIECE):
            self._file.write(json_lines(piece(batch, begin, min(batch.count, begin + _PIECE))))

    # ---- CSV and Parquet

    def _csv(self, batch: Batch) -> None:
        rows = self._table_of(batch)
        if self._writer is None:
            self._begin_arrow(rows.schema)
        self._writer.write(rows)

    _parquet = _csv

    def _begin_arrow(self, schema: pa.Schema) -> None:
        if self.path.suffix.lower() == ".csv":
            from pyarrow import csv
            self._writer = csv.CSVWriter(self._file, schema)
        else:
            from pyarrow import parquet
            self._writer = parquet.ParquetWriter(self._file, schema, compression="zstd")

    def _table_of(self, batch: Batch) -> pa.Table:
        """Every column of the table, strings and addresses as text; lists are JSON in CSV."""
        import pyarrow as pa

        as_text = self.path.suffix.lower() == ".csv"
        arrays = [_arrow(column, batch, as_text) for column in self._columns]
        return pa.Table.from_arrays(arrays, names=[column.name for column in self._columns])


def _arrow(column: Column, batch: Batch, as_text: bool) -> pa.Array:
    import pyarrow as pa

    from dpi.arrow import arrow_column

    values = batch.columns.get(column.name)
    kind = column.kind
    stringy = kind in ("text", "code", "mac", "ip") or (as_text and kind in ("time", "time?"))
    if kind in ("codes", "texts", "u64s"):
        inner = pa.uint64() if kind == "u64s" else pa.string()
        lists = values if isinstance(values, Lists) else None
        if as_text:
            return text.list_array(lists) if lists else pa.array(["[]"] * batch.count, pa.string())
        return arrow_column(column, lists).cast(pa.list_(inner)) if lists else pa.array([[]] * batch.count, pa.list_(inner))
    if values is None:
        if kind == "ip":
            return pa.array(["::"] * batch.count, pa.string())
        if stringy and not kind.startswith("time"):
            return pa.array([""] * batch.count, pa.string())
        values = _missing(column, batch.count)
    if stringy:
        return text.string_array(column, values)        # type: ignore[arg-type]
    if kind == "flag":
        return pa.array(np.asarray(values) != 0)
    return arrow_column(column, values)


def _missing(column: Column, count: int) -> np.ndarray[Any, Any]:
    """The default of a number or time column the batch has not; stored_time is now."""
    from dpi.batch import NULLS
    from dpi.schema import KINDS

    value = time.time_ns() // 1000 if column.name == "stored_time" else NULLS[column.kind] if column.nullable else 0
    return np.full(count, value, KINDS[column.kind].numpy)


def piece(batch: Batch, begin: int, end: int) -> Batch:
    """Rows begin to end of a batch; nothing is copied."""
    from dpi.batch import Coded, Texts

    if begin == 0 and end == batch.count:
        return batch
    cut: dict[str, Any] = {}
    for name, column in batch.columns.items():
        if isinstance(column, Coded):
            cut[name] = Coded(column.codes[begin:end], column.words)
        elif isinstance(column, Texts | Lists):
            first, last = int(column.offsets[begin]), int(column.offsets[end])
            offsets = np.asarray(column.offsets[begin:end + 1]) - first
            if isinstance(column, Texts):
                cut[name] = Texts(column.data[first:last], offsets)
            else:
                inner = column.values
                cut[name] = Lists(offsets, piece(Batch("", len(inner), {"": inner}), first, last).columns[""])      # type: ignore[arg-type]
        else:
            cut[name] = column[begin:end]
    return Batch(batch.table, end - begin, cut)


def json_lines(batch: Batch) -> bytes:
    """The rows as JSON, a line each, every column of the table in its order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts: list[Any] = []
    literal = "{"
    for place, column in enumerate(TABLES[batch.table].columns):
        literal += f'{", " if place else ""}"{column.name}": '
        values = batch.columns.get(column.name)
        if values is None and column.name == "stored_time":
            values = _missing(column, batch.count)
        shown = text.default_of(column) if values is None else text.json_column(column, values)
        if isinstance(shown, str):
            literal += shown
        else:
            parts += [pa.scalar(literal), shown]
            literal = ""
    parts.append(pa.scalar(literal + "}\n"))
    if len(parts) == 1:
        return (literal + "}\n").encode() * batch.count
    joined = pc.binary_join_element_wise(*parts, "")
    offsets = np.frombuffer(joined.buffers()[1], np.int32, batch.count + 1, joined.offset * 4)
    return memoryview(joined.buffers()[2])[int(offsets[0]):int(offsets[-1])].tobytes()
