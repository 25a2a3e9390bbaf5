"""How parsers write rows of the dns, tls, http and files tables (`TRANSACTION` in dpi/classify/inspection.py).

A row is opened, its numbers and texts are set, and it stays: `inspection.outbox` counts the rows used. Every kernel here is bounded by
the sizes of the record and takes -1 for a row, so that a parser need not ask whether there was room::

    row = open_row(outbox, inspection, DNS)         # -1 where the outbox is full
    number(outbox, row, 0, identifier)
    text(outbox, row, 0, data, start, stop)         # text fields in rising order; those skipped are empty

Text field k is `row.text[row.ends[k - 1]:row.ends[k]]` for k < `row.texts` (from 0 for k = 0), and empty beyond. It holds bytes as they came
from the wire: whoever exports a row makes them valid UTF-8.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.flow.facts import TEXT_BYTES as TEXT_BYTES
from dpi.jit import kernel

#: Numbers of the tables (dpi.schema.TRANSACTION_TABLES, from 1)
DNS, TLS, HTTP, FILES = 1, 2, 3, 4

NUMBERS = 12        # number fields of a row
TEXTS = 12          # text fields of a row

Array = np.ndarray[Any, Any]


@kernel
def open_row(outbox: Array, inspection: Array, table: int) -> int:
    """The index of a fresh row of `table` with the flow, time and direction of `inspection`, numbers 0 and no text; -1 where there is no room."""
    seen = inspection[0]
    index = np.int64(seen.outbox)
    if index >= outbox.size:
        return -1
    row = outbox[index]
    row.table = table
    row.direction = seen.direction
    row.texts = 0
    row.flow = seen.flow
    row.time = seen.time
    numbers = row.numbers
    ends = row.ends
    for i in range(12):
        numbers[i] = 0
        ends[i] = 0
    seen.outbox = index + 1
    return index


@kernel
def number(outbox: Array, row: int, k: int, value: int) -> None:
    """Set number field k (0..11) of a row; nothing happens where row is -1."""
    if 0 <= row < outbox.size and 0 <= k < 12:
        numbers = outbox[row].numbers
        numbers[k] = value


@kernel
def field(outbox: Array, row: int, k: int) -> int:
    """Make text field k the last one (fields between are empty). Returns where its next byte goes, or -1 where it cannot be written."""
    if row < 0 or row >= outbox.size or k < 0 or k >= 12:
        return -1
    one = outbox[row]
    ends = one.ends
    used = np.int64(one.texts)
    if used > k + 1 or used > 12:
        return -1
    end = np.int64(ends[used - 1]) if used > 0 else 0
    if used <= k:
        for i in range(used, k + 1):
            ends[i] = end
        one.texts = k + 1
    return end


@kernel
def text(outbox: Array, row: int, k: int, data: Array, start: int, stop: int) -> int:
    """Append data[start:stop] to text field k, cut to what fits in the row. Returns the bytes written.

    Fields are written in rising k; field k may be appended to until a later one is written. Bounds outside the data are brought inside.
    """
    at = field(outbox, row, k)
    if at < 0:
        return 0
    if start < 0:
        start = 0
    if stop > data.size:
        stop = data.size
    count = stop - start
    if count > TEXT_BYTES - at:
        count = TEXT_BYTES - at
    if count <= 0:
        return 0
    one = outbox[row]
    ends = one.ends
    kept = one.text
    to = np.uint64(at)
    begin = np.uint64(start)
    for i in range(np.uint64(count)):
        kept[to + np.uint64(i)] = data[begin + np.uint64(i)]
    ends[k] = at + count
    return count


@kernel
def byte(outbox: Array, row: int, k: int, value: int) -> int:
    """Append one byte to text field k. Returns 1, or 0 where it did not fit."""
    at = field(outbox, row, k)
    if at < 0 or at >= TEXT_BYTES:
        return 0
    one = outbox[row]
    ends = one.ends
    kept = one.text
    kept[at] = value
    ends[k] = at + 1
    return 1


def read(row: Any) -> tuple[int, list[int], list[bytes]]:
    """(table, numbers, texts) of one TRANSACTION record, in Python. Twelve numbers, twelve texts."""
    ends = [int(e) for e in row.ends]
    kept = row.text.tobytes()
    texts = [kept[ends[k - 1] if k else 0:ends[k]] if k < int(row.texts) else b"" for k in range(TEXTS)]
    return int(row.table), [int(v) for v in row.numbers], texts
