"""Blocks of the format Native as newer clients want them over HTTP (`client_protocol_version`): Go's, and so Grafana's.

The engine writes them as of revision 0. From CUSTOM on, a block begins with its information, and a byte stands between a column's type and its data. To
put them there one must know where a column ends, so its data is walked through. https://clickhouse.com/docs/interfaces/formats/Native
"""
from __future__ import annotations

import re

CUSTOM = 54454          # revision from which a byte says whether a column is written in a way of its own; between 1 and there we answer as at 0
_INFORMATION = b"\x01\x00\x02\xff\xff\xff\xff\x00"     # field 1: no overflow row; field 2: bucket -1; end
_PLAIN = b"\x00"        # not in a way of its own
_PREFIX = 8             # bytes before the data of a column for each LowCardinality in its type: the version of its dictionary
_OWN_KEYS = 1 << 9      # in what precedes a LowCardinality: its keys follow
#: Bytes of a value. Intervals are 8, decimals follow their precision.
_SIZES = {"UInt8": 1, "UInt16": 2, "UInt32": 4, "UInt64": 8, "UInt128": 16, "UInt256": 32, "Int8": 1, "Int16": 2, "Int32": 4, "Int64": 8, "Int128": 16,
          "Int256": 32, "Float32": 4, "Float64": 8, "BFloat16": 2, "Bool": 1, "Date": 2, "Date32": 4, "DateTime": 4, "DateTime64": 8, "Time": 4, "Time64": 8,
          "Enum8": 1, "Enum16": 2, "UUID": 16, "IPv4": 4, "IPv6": 16, "Nothing": 1, "Decimal32": 4, "Decimal64": 8, "Decimal128": 16, "Decimal256": 32}
_NAME = re.compile(r"(?:`(?:[^`\\]|\\.)*`|[A-Za-z_]\w*) (?=[A-Za-z])")     # of a tuple's element


def revised(data: bytes, revision: int) -> bytes:
    """The same blocks as of that revision. ValueError where they hold a type that is not walked through (AggregateFunction, Variant, JSON) or are damaged."""
    if revision < CUSTOM:
        return data
    pieces: list[bytes] = []
    at = 0
    try:
        while at < len(data):
            pieces.append(_INFORMATION)
            begun = at
            columns, at = _number(data, at)
            rows, at = _number(data, at)
            for _ in range(columns):
                _, at = _text(data, at)
                kind, at = _text(data, at)
                pieces += [data[begun:at], _PLAIN]
                begun, at = at, _end(kind.decode(), data, at + _PREFIX * kind.count(b"LowCardinality(") * bool(rows), rows)
            pieces.append(data[begun:at])
    except IndexError:
        raise ValueError("a block is cut off") from None
    if at != len(data):
        raise ValueError("a block is cut off")
    return b"".join(pieces)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _word(data: bytes, at: int) -> tuple[int, int]:
    """A number of eight bytes, and where it ends."""
    return int.from_bytes(data[at:at + 8], "little"), at + 8


def _text(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = _number(data, at)
    return data[at:at + size], at + size


def _end(kind: str, data: bytes, at: int, rows: int) -> int:
    """Where so many values of a type end that begin at `at`."""
    name, _, inner = kind.partition("(")
    inner = inner[:-1]
    if not rows:
        return at
    if name == "String":
        for _ in range(rows):
            size = data[at]
            if size < 128:
                at += size + 1
            else:
                size, at = _number(data, at)
                at += size
        return at
    if name in _SIZES or name.startswith("Interval"):
        return at + _SIZES.get(name, 8) * rows
    if name == "Nullable":
        return _end(inner, data, at + rows, rows)
    if name == "LowCardinality":
        how, at = _word(data, at)
        if how & _OWN_KEYS:
            keys, at = _word(data, at)
            at = _end(inner[9:-1] if inner.startswith("Nullable(") else inner, data, at, keys)
        many, at = _word(data, at)
        return at + (many << (how & 255))
    if name in ("Array", "Map", "Nested"):
        many, ends = _word(data, at + 8 * (rows - 1))
        return _end(inner if name == "Array" else f"Tuple({inner})", data, ends, many)
    if name == "Tuple":
        for one in _parts(inner):
            at = _end(_NAME.sub("", one, count=1) if _NAME.match(one) else one, data, at, rows)
        return at if inner else at + rows
    if name == "FixedString":
        return at + int(inner) * rows
    if name == "Decimal":
        precision = int(inner.split(",")[0])
        return at + rows * next(size for digits, size in ((9, 4), (18, 8), (38, 16), (76, 32)) if precision <= digits)
    if name == "SimpleAggregateFunction":
        return _end(_parts(inner)[-1], data, at, rows)
    raise ValueError(f"{name} is not written at this protocol version")


def _parts(inner: str) -> list[str]:
    """Types between commas, but those in brackets or in quotes."""
    parts, begun, depth = [], 0, 0
    for found in re.finditer(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|[(),]", inner):
        sign = found.group()
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "," and not depth:
            parts.append(inner[begun:found.start()].strip())
            begun = found.end()
    return [*parts, inner[begun:].strip()] if inner.strip() else []
