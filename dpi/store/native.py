"""Batches as ClickHouse Native blocks: the bytes an engine takes with the least work, made from the numpy buffers without Arrow or pandas.

Format: https://clickhouse.com/docs/en/interfaces/formats/Native. One block is: varint columns, varint rows, then for each column its name, its
type and its data. Fixed-width columns are their buffers; strings are varint length and bytes; Nullable is a byte map and the data;
LowCardinality is a dictionary and its indexes; Array is running ends and the values.
"""
from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

import numpy as np

from dpi.batch import NULLS, Array, Batch, Coded, Lists, Texts, macs
from dpi.schema import KINDS, TABLES, Column

Buffer = bytes | memoryview
_DICTIONARY_VERSION = struct.pack("<Q", 1)          # SharedDictionariesWithAdditionalKeys
_ADDITIONAL_KEYS = 1 << 9


def varint(value: int) -> bytes:
    """LEB128."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _string(text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    return varint(len(data)) + data


def _raw(values: Array) -> memoryview:
    return np.ascontiguousarray(values).data.cast("B") if values.size else memoryview(b"")


def _texts(column: Texts) -> memoryview:
    """Each string behind its length."""
    offsets = np.asarray(column.offsets, np.int64)
    lengths = np.diff(offsets)
    widths = 1 + (lengths > 0x7F) + (lengths > 0x3FFF) + (lengths > 0x1FFFFF) + (lengths > 0xFFFFFFF)
    ends = np.cumsum(lengths + widths)
    heads = ends - lengths - widths
    out = np.empty(int(ends[-1]) if len(ends) else 0, np.uint8)
    data = np.asarray(column.data)[int(offsets[0]):int(offsets[-1])]
    body = np.ones(len(out), bool)
    for byte in range(int(widths.max(initial=0))):
        rows = np.flatnonzero(widths > byte) if byte else slice(None)
        places = heads[rows] + byte
        more = widths[rows] > byte + 1
        out[places] = (lengths[rows] >> (7 * byte) & 0x7F) | (more * 0x80)
        body[places] = False
    out[body] = data
    return _raw(out)


def _dictionary(column: Coded) -> list[Buffer]:
    """Only the words in use travel; the first key of a LowCardinality dictionary is ''. Codes beyond the words count as the last word."""
    words = list(column.words) or [""]
    codes = np.minimum(np.asarray(column.codes), len(words) - 1) if len(column) else np.asarray(column.codes)
    used = np.flatnonzero(np.bincount(codes.astype(np.int64, copy=False), minlength=1)) if len(codes) else np.zeros(0, np.int64)
    keys: dict[str, int] = {"": 0}
    places = np.zeros(len(words), np.uint32)
    for code in used.tolist():
        places[code] = keys.setdefault(words[code], len(keys))
    kind, dtype = (0, np.uint8) if len(keys) <= 0xFF else (1, np.uint16) if len(keys) <= 0xFFFF else (2, np.uint32)
    if not len(codes):
        return []
    indexes = places.astype(dtype)[codes]
    return [struct.pack("<QQ", kind | _ADDITIONAL_KEYS, len(keys)), b"".join(map(_string, keys)), struct.pack("<Q", len(indexes)), _raw(indexes)]


def _strings(values: Texts | Coded) -> tuple[str, list[Buffer]]:
    """Strings travel in the form they have; the engine turns one into the other faster than Python could."""
    if isinstance(values, Texts):
        return "String", [_texts(values)]
    return "LowCardinality(String)", _dictionary(values)


def _data(column: Column, values: Array | Texts | Coded | Lists) -> tuple[str, list[Buffer]]:
    """The type as sent, and the data."""
    if isinstance(values, Lists):
        ends = np.asarray(values.offsets, np.int64)
        head: list[Buffer] = [_raw((ends[1:] - ends[0]).astype(np.uint64))]
        inner = values.values
        if isinstance(inner, np.ndarray):
            return "Array(UInt64)", [*head, _raw(inner.astype(np.uint64, copy=False))]
        kind, data = _strings(inner)
        prefix: list[Buffer] = [_DICTIONARY_VERSION] if isinstance(inner, Coded) else []
        return f"Array({kind})", [*prefix, *head, *data]
    if column.kind == "ip":
        return column.type(), [_raw(np.asarray(values, np.uint8))]
    if column.kind == "mac" and isinstance(values, np.ndarray):
        values = macs(values)
    if isinstance(values, Texts | Coded):
        kind, data = _strings(values)
        return kind, [_DICTIONARY_VERSION, *data] if isinstance(values, Coded) else data
    fit = np.asarray(values).astype(KINDS[column.kind].numpy, copy=False)
    if column.nullable:
        null = fit == NULLS[column.kind]
        return column.type(), [_raw(null.view(np.uint8)), _raw(fit)]
    return column.type(), [_raw(fit)]


def block(batch: Batch) -> list[Buffer]:
    """One Native block with the columns the batch has, as buffers to be written one after the other. The buffers may be those of the batch."""
    table = TABLES[batch.table]
    present = columns_of(batch)
    by_name = {column.name: column for column in table.columns}
    out: list[Buffer] = [varint(len(present)) + varint(batch.count)]
    for name in present:
        kind, data = _data(by_name[name], batch.columns[name])
        out.append(_string(name) + _string(kind))
        if batch.count:
            out += data
    return out


def columns_of(batch: Batch) -> list[str]:
    """Names of the batch's columns in the table's order; ValueError for one the table has not."""
    names = TABLES[batch.table].names
    unknown = sorted(set(batch.columns) - set(names))
    if unknown:
        raise ValueError(f"{batch.table} has no column {', '.join(unknown)}")
    return [name for name in names if name in batch.columns]


def joined(blocks: Iterable[Sequence[Buffer]]) -> bytes:
    """The blocks as one string of bytes."""
    return b"".join(buffer for one in blocks for buffer in one)
