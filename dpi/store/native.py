"""Batches as ClickHouse Native blocks: the bytes an engine takes with the least work, made from the numpy buffers without Arrow or pandas.

Format: https://clickhouse.com/docs/en/interfaces/formats/Native. One block is: varint columns, varint rows, then for each column its name, its
type and its data. Fixed-width columns are their buffers; strings are varint length and bytes; Nullable is a byte map and the data;
LowCardinality is a dictionary and its indexes; Array is running ends and the values.
"""
from __future__ import annotations

import struct
from functools import lru_cache

import numpy as np

from dpi.batch import NULLS, Array, Batch, Coded, Lists, Texts, mac
from dpi.capture.key import fresh_seed
from dpi.schema import KINDS, TABLES, Column
from dpi.store.encoding import number_values
from dpi.texts import Strings, lay, put, put_strings, room

Buffer = bytes | memoryview
_DICTIONARY_VERSION = struct.pack("<Q", 1)          # SharedDictionariesWithAdditionalKeys
_ADDITIONAL_KEYS = 1 << 9
_SEED = fresh_seed()
KERNELS = (put_strings, lay, number_values)


def varint(value: int) -> bytes:
    """LEB128."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@lru_cache(1 << 14)
def _string(text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    return varint(len(data)) + data


def _raw(values: Array) -> memoryview:
    return np.ascontiguousarray(values).data.cast("B") if values.size else memoryview(b"")


def _texts(column: Texts) -> memoryview:
    """Each string behind its length."""
    if isinstance(column, Strings):
        return _raw(column.encoded)
    out = np.empty(room(column), np.uint8)
    return _raw(out[:put(column, out)])


def _dictionary(column: Coded) -> list[Buffer]:
    """Only the words in use travel; the first key of a LowCardinality dictionary is ''. Codes beyond the words count as the last word."""
    words, count = column.words or [""], len(column)
    if not count:
        return []
    codes = np.asarray(column.codes)
    if len(words) == 1:
        used, codes = [0], np.zeros(count, np.uint8)
    else:
        seen = np.bincount(codes)
        if len(seen) > len(words):
            codes = np.minimum(codes, len(words) - 1)
            seen = np.bincount(codes)
        used = np.flatnonzero(seen).tolist()
    keys: dict[str, int] = {"": 0}
    numbers = [keys.setdefault(words[code], len(keys)) for code in used]
    kind, dtype = (0, np.uint8) if len(keys) <= 0xFF else (1, np.uint16) if len(keys) <= 0xFFFF else (2, np.uint32)
    if len(used) == 1:
        indexes: Array = np.full(count, numbers[0], dtype)
    else:
        places = np.zeros(used[-1] + 1, dtype)
        places[used] = numbers
        indexes = places[codes]
    return [struct.pack("<QQ", kind | _ADDITIONAL_KEYS, len(keys)), b"".join(map(_string, keys)), struct.pack("<Q", count), _raw(indexes)]


def _macs(values: Array) -> Coded:
    """MAC addresses as text, numbered without sorting them."""
    count = len(values)
    codes, distinct = np.empty(count, np.uint32), np.empty(count, np.uint64)
    slots = np.zeros(1 << (2 * count).bit_length(), np.uint32)
    used = number_values(np.ascontiguousarray(values, np.uint64), distinct, codes, _SEED, slots, count)
    return Coded(codes, [mac(value) for value in distinct[:used].tolist()])


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
        values = _macs(values)
    if isinstance(values, Texts | Coded):
        kind, data = _strings(values)
        return kind, [_DICTIONARY_VERSION, *data] if isinstance(values, Coded) else data
    fit = np.asarray(values).astype(KINDS[column.kind].numpy, copy=False)
    if column.nullable:
        null = fit == NULLS[column.kind]
        return column.type(), [_raw(null.view(np.uint8)), _raw(fit)]
    return column.type(), [_raw(fit)]


def _plain_strings(values: Texts | Coded) -> Buffer:
    """Each string behind its length, whatever form they have."""
    if isinstance(values, Texts):
        return _texts(values)
    values = values.compact()
    words = [_string(word) for word in values.words] or [b"\0"]
    if len(words) == 1:
        return words[0] * len(values)
    codes = np.minimum(values.codes, len(words) - 1)
    return b"".join(map(words.__getitem__, codes.tolist()))


def plain(column: Column, values: Array | Texts | Coded | Lists) -> list[Buffer]:
    """The data of a column without dictionaries: bytes that every server takes, under the name its type has there without LowCardinality."""
    if isinstance(values, Lists) and not isinstance(values.values, np.ndarray):
        first, last = int(values.offsets[0]), int(values.offsets[-1])
        inner = values.values
        if isinstance(inner, Coded):
            inner = Coded(inner.codes[first:last], inner.words)
        else:
            inner = inner if last - first == len(inner) else Texts(inner.data, inner.offsets[first:last + 1])
        return [_raw((np.asarray(values.offsets, np.int64)[1:] - first).astype(np.uint64)), _plain_strings(inner)]
    if column.kind == "mac" and isinstance(values, np.ndarray):
        values = _macs(values)
    if isinstance(values, Texts | Coded):
        return [_plain_strings(values)]
    return _data(column, values)[1]


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
