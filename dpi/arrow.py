"""Batches as Arrow: the numpy buffers are handed over as they are, nothing is copied where dtype and layout already fit."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dpi.batch import NULLS, Array, Batch, Coded, Lists, Texts, macs
from dpi.schema import KINDS, TABLES, Column

if TYPE_CHECKING:
    import pyarrow as pa


def strings(column: Texts) -> pa.Array:
    """Arrow utf8 (int32 offsets), large_utf8 beyond 2 GB."""
    import pyarrow as pa

    offsets = np.ascontiguousarray(column.offsets, np.int64)
    data = pa.py_buffer(np.ascontiguousarray(column.data))
    if int(offsets[-1]) < 2**31:
        return pa.StringArray.from_buffers(len(column), pa.py_buffer(offsets.astype(np.int32)), data)
    return pa.LargeStringArray.from_buffers(len(column), pa.py_buffer(offsets), data)


def coded(column: Coded) -> pa.Array:
    """Arrow dictionary array."""
    import pyarrow as pa

    column = column.compact()
    return pa.DictionaryArray.from_arrays(pa.array(np.ascontiguousarray(column.codes)), pa.array(list(column.words), pa.string()), safe=False)


def _lists(column: Lists) -> pa.Array:
    import pyarrow as pa

    values = column.values
    inner = strings(values) if isinstance(values, Texts) else coded(values) if isinstance(values, Coded) else pa.array(np.ascontiguousarray(values))
    return pa.ListArray.from_arrays(pa.array(np.asarray(column.offsets).astype(np.int32)), inner)


def _numbers(column: Column, values: Array) -> pa.Array:
    """A number, time or flag column; the NULL value becomes an Arrow null."""
    import pyarrow as pa

    fit = np.ascontiguousarray(values, KINDS[column.kind].numpy)
    mask = fit == NULLS[column.kind] if column.nullable else None
    if column.kind in ("time", "time?"):
        return pa.array(fit, mask=mask).view(pa.timestamp("us", "UTC"))
    return pa.array(fit, mask=mask)


def arrow_column(column: Column, values: Array | Texts | Coded | Lists) -> pa.Array:
    """One column: utf8 or dictionary for strings, fixed_size_binary(16) for addresses, timestamp[us, UTC] for times, else the number."""
    import pyarrow as pa

    if isinstance(values, Texts):
        return strings(values)
    if isinstance(values, Coded):
        return coded(values)
    if isinstance(values, Lists):
        return _lists(values)
    if column.kind == "ip":
        fit = np.ascontiguousarray(values, np.uint8)
        return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(fit), [None, pa.py_buffer(fit)])
    if column.kind == "mac":
        return coded(macs(values))
    return _numbers(column, values)


def arrow_batch(batch: Batch) -> pa.RecordBatch:
    """The columns the batch has, in the table's order. ValueError where it has a column the table has not."""
    import pyarrow as pa

    table = TABLES[batch.table]
    unknown = set(batch.columns) - set(table.names)
    if unknown:
        raise ValueError(f"{batch.table} has no column {', '.join(sorted(unknown))}")
    present = [column for column in table.columns if column.name in batch.columns]
    arrays: list[Any] = [arrow_column(column, batch.columns[column.name]) for column in present]
    return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in present])
