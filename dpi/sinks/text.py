"""Columns as text, many rows at once: how each kind looks in JSON lines and CSV (`KINDS[...].words` in dpi/schema.py says it in words).

Everything is vectorised over Arrow or numpy buffers; a Python step per row is left only where a string needs escaping, an address is IPv6
or a list is not empty.
"""
from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import numpy as np

from dpi.arrow import strings
from dpi.batch import NULLS, Array, Coded, Lists, Texts, macs
from dpi.grouping import groups
from dpi.schema import KINDS, Column

if TYPE_CHECKING:
    import pyarrow as pa

_OCTETS = np.zeros((256, 4), np.uint8)
_WIDTHS = np.zeros(256, np.int64)
for _value in range(256):
    _word = f"{_value}.".encode()
    _OCTETS[_value, :len(_word)] = np.frombuffer(_word, np.uint8)
    _WIDTHS[_value] = len(_word)
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999        # years 1 to 9999, us
_MAPPED = np.frombuffer(bytes(10) + b"\xff\xff", np.uint8)


def addresses(values: Array) -> Texts:
    """Addresses uint8[n,16] as text, IPv4 plain."""
    count = len(values)
    mapped = (values[:, :12] == _MAPPED).all(axis=1)
    four = values[mapped, 12:]
    letters = _OCTETS[four]
    kept = np.arange(4) < _WIDTHS[four][:, :, None]
    kept[np.arange(len(four)), 3, _WIDTHS[four[:, 3]] - 1] = False      # no dot behind the last octet
    lengths = np.zeros(count, np.int64)
    lengths[mapped] = _WIDTHS[four].sum(axis=1) - 1
    offsets = np.zeros(count + 1, np.int64)
    if mapped.all():
        np.cumsum(lengths, out=offsets[1:])
        return Texts(letters[kept], offsets)
    six = np.ascontiguousarray(values[~mapped]).view("V16").ravel()
    first, places = groups(six)
    words = [socket.inet_ntop(socket.AF_INET6, one.tobytes()).encode() for one in six[first]]
    lengths[~mapped] = np.array([len(word) for word in words])[places]
    np.cumsum(lengths, out=offsets[1:])
    data = np.empty(int(offsets[-1]), np.uint8)
    is_four = np.repeat(mapped, lengths)
    data[is_four] = letters[kept]
    data[~is_four] = np.frombuffer(b"".join([words[place] for place in places.tolist()]), np.uint8)
    return Texts(data, offsets)


def times(values: Array) -> Texts:
    """Microseconds since the epoch as 2012-04-09T19:33:20.003401Z; what lies outside the years 1 to 9999 is shown as their ends."""
    import pyarrow as pa

    shown = pa.array(np.clip(values, _FIRST, _LAST)).view(pa.timestamp("us")).cast(pa.string())
    data = np.frombuffer(shown.buffers()[2], np.uint8, len(values) * 26) if len(values) else np.zeros(0, np.uint8)
    out = np.empty((len(values), 27), np.uint8)
    out[:, :26] = data.reshape(len(values), 26)
    out[:, 10], out[:, 26] = ord("T"), ord("Z")
    return Texts(out.reshape(-1), np.arange(len(values) + 1, dtype=np.int64) * 27)


def string_array(column: Column, values: Array | Texts | Coded) -> pa.Array:
    """A string, address, MAC, id or time column as Arrow utf8, not quoted; NULL is null."""
    import pyarrow as pa

    if column.kind == "mac" and isinstance(values, np.ndarray):
        values = macs(values)
    if isinstance(values, Texts):
        return strings(values).cast(pa.string())
    if isinstance(values, Coded):
        values = values.compact()
        return pa.array(list(values.words), pa.string()).take(pa.array(np.ascontiguousarray(values.codes)))
    if column.kind == "ip":
        return strings(addresses(np.ascontiguousarray(values, np.uint8)))
    if column.kind.startswith("time"):
        shown = strings(times(np.ascontiguousarray(values, np.int64)))
        if column.nullable:
            return pa.compute.if_else(pa.array(values == NULLS[column.kind]), pa.scalar(None, pa.string()), shown)
        return shown
    return pa.array(np.ascontiguousarray(values, KINDS[column.kind].numpy)).cast(pa.string())


def list_array(values: Lists) -> pa.Array:
    """Each list as JSON. Lists of none and one are looked up; longer ones are written out once for each distinct one."""
    import pyarrow as pa

    inner: Any = values.values
    if isinstance(inner, Coded):
        shown, codes = [json.dumps(word, ensure_ascii=False) for word in inner.words], np.asarray(inner.codes, np.int64)
    else:
        members = [str(one) for one in inner.tolist()] if isinstance(inner, np.ndarray) else [json.dumps(word, ensure_ascii=False) for word in inner]
        places: dict[str, int] = {}
        codes = np.array([places.setdefault(word, len(places)) for word in members], np.int64)
        shown = list(places)
    offsets = np.asarray(values.offsets, np.int64)
    lengths = np.diff(offsets)
    lines = ["[]", *(f"[{word}]" for word in shown)]
    chosen = np.zeros(len(values), np.int64)
    single = lengths == 1
    chosen[single] = 1 + codes[offsets[:-1][single]]
    known: dict[str, int] = {}
    for row in np.flatnonzero(lengths > 1).tolist():
        line = f"[{', '.join([shown[code] for code in codes[offsets[row]:offsets[row + 1]].tolist()])}]"
        chosen[row] = len(lines) + known.setdefault(line, len(known))
    return pa.array([*lines, *known], pa.string()).take(pa.array(chosen))


def _quoted(values: Texts) -> pa.Array:
    """Strings in JSON quotes; only those with characters to escape are looked at one by one."""
    import pyarrow as pa

    data = np.asarray(values.data)
    special = (data < 0x20) | (data == 0x22) | (data == 0x5C) | (data == 0x7F)
    plain = strings(values).cast(pa.string())
    quote = pa.scalar('"')
    whole = pa.compute.binary_join_element_wise(quote, plain, quote, "")
    if not special.any():
        return whole
    rows = np.searchsorted(np.asarray(values.offsets), np.flatnonzero(special), "right") - 1
    mask = np.zeros(len(values), bool)
    mask[rows[(rows >= 0) & (rows < len(values))]] = True
    rows = np.flatnonzero(mask)
    written = pa.array([json.dumps(values[row], ensure_ascii=False) for row in rows.tolist()], pa.string())
    return pa.compute.replace_with_mask(whole, pa.array(mask), written)


def json_column(column: Column, values: Array | Texts | Coded | Lists) -> pa.Array | str:
    """A column as JSON values: one text where all rows have the same, else Arrow utf8."""
    import pyarrow as pa

    if column.kind == "mac" and isinstance(values, np.ndarray):
        values = macs(values)
    if isinstance(values, Lists):
        return "[]" if int(values.offsets[-1]) == int(values.offsets[0]) else list_array(values)
    if isinstance(values, Coded):
        values = values.compact()
        words = [json.dumps(word, ensure_ascii=False) for word in values.words]
        codes = np.ascontiguousarray(values.codes)
        if len(codes) and (codes == codes[0]).all():
            return words[int(codes[0])]
        return pa.array(words, pa.string()).take(pa.array(codes))
    if isinstance(values, Texts):
        return _quoted(values) if len(values.data) else '""'
    if column.kind == "ip":
        whole = np.ascontiguousarray(values, np.uint8)
        if len(whole) and (whole == whole[0]).all():
            return f'"{addresses(whole[:1])[0]}"'
        return _quoted(addresses(whole))
    fit = np.ascontiguousarray(values, KINDS[column.kind].numpy)
    if len(fit) and (fit == fit[0]).all():
        return json_column_of_one(column, int(fit[0]))
    if column.kind == "flag":
        return pa.array(["false", "true"]).take(pa.array((fit != 0).astype(np.uint8)))
    if column.kind in ("time", "time?", "id"):
        quote = pa.scalar('"')
        shown = pa.compute.binary_join_element_wise(quote, string_array(Column(column.name, column.kind.rstrip("?"), ""), fit), quote, "")
    else:
        shown = pa.array(fit).cast(pa.string())
    if column.nullable:
        return pa.compute.if_else(pa.array(fit == NULLS[column.kind]), pa.scalar("null"), shown)
    return shown


def json_column_of_one(column: Column, value: int) -> str:
    """One number, flag, id or time as JSON."""
    if column.nullable and value == NULLS[column.kind]:
        return "null"
    if column.kind == "flag":
        return "true" if value else "false"
    if column.kind in ("time", "time?"):
        return json.dumps(times(np.array([value], np.int64))[0])
    return f'"{value}"' if column.kind == "id" else str(value)


def default_of(column: Column) -> str:
    """JSON of the default of a column."""
    if column.nullable:
        return "null"
    if column.kind in ("text", "code", "mac"):
        return '""'
    if column.kind in ("codes", "texts", "u64s"):
        return "[]"
    return '"::"' if column.kind == "ip" else json_column_of_one(column, 0)
