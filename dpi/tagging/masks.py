"""Trees become functions over columns: which rows of a batch of `flows` a test is true for."""
from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dpi.batch import NULLS, AnyColumn, Array, Coded, Lists
from dpi.schema import TABLES
from dpi.tagging.strings import Words
from dpi.tagging.tree import Among, Column, Compare, Flag, Holds, Inside, Join, Match, Node, Not, Number, Sum

#: bool[n] of n rows' columns; a column that is not there has its default in every row.
Mask = Callable[[Mapping[str, AnyColumn], int], Array]
_Value = Callable[[Mapping[str, AnyColumn], int], tuple[Any, Any]]         # numbers, and where they are not known (None: all are)
_SIGNS: dict[str, Callable[[Any, Any], Any]] = {"==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
                                                ">=": operator.ge, "+": operator.add, "-": operator.sub, "*": operator.mul}
_KINDS = {column.name: column.kind for column in TABLES["flows"].columns}


def mask_of(node: Node) -> Mask:
    """The function of a tree."""
    if isinstance(node, Not):
        inner = mask_of(node.of)
        return lambda columns, count: ~inner(columns, count)
    if isinstance(node, Join):
        return _joined(node.op, [mask_of(one) for one in node.of])
    if isinstance(node, Flag):
        name = node.of.name
        return lambda columns, count: columns[name] != 0 if name in columns else np.zeros(count, np.bool_)     # type: ignore[return-value]
    if isinstance(node, Compare):
        return _compared(_SIGNS[node.op], _value(node.left), _value(node.right))
    if isinstance(node, Among):
        return _among(_value(node.of), node.ranges)
    if isinstance(node, Match):
        return _matched(node.of.name, Words(node.how, node.words))
    if isinstance(node, Inside):
        return _inside(node.of.name, node.networks)
    assert isinstance(node, Holds)
    return _holds(node.of.name, Words("==", (node.word,)))


def _joined(op: str, parts: list[Mask]) -> Mask:
    every = op == "and"

    def mask(columns: Mapping[str, AnyColumn], count: int) -> Array:
        found = parts[0](columns, count)
        for part in parts[1:]:
            if found.all() if not every else not found.any():
                break                   # what is left changes nothing
            found = found & part(columns, count) if every else found | part(columns, count)
        return found
    return mask


def _value(node: Any) -> _Value:
    if isinstance(node, Number):
        return lambda columns, count: (node.value, None)
    if isinstance(node, Column):
        return _column(node)
    assert isinstance(node, Sum)
    left, right, sign = _value(node.left), _value(node.right), _SIGNS[node.op]

    def value(columns: Mapping[str, AnyColumn], count: int) -> tuple[Any, Any]:
        (first, lost), (second, missing) = left(columns, count), right(columns, count)
        return sign(_float(first), _float(second)), lost if missing is None else missing if lost is None else lost | missing
    return value


def _float(value: Any) -> Any:
    return value.astype(np.float64) if isinstance(value, np.ndarray) else float(value)


def _column(column: Column) -> _Value:
    name, null = column.name, NULLS.get(_KINDS[column.name])

    def value(columns: Mapping[str, AnyColumn], count: int) -> tuple[Any, Any]:
        if name not in columns:
            return np.zeros(count, np.int64), None if null is None else np.ones(count, np.bool_)
        found: Any = columns[name]
        return found, None if null is None else found == null
    return value


def _compared(sign: Callable[[Any, Any], Any], left: _Value, right: _Value) -> Mask:
    def mask(columns: Mapping[str, AnyColumn], count: int) -> Array:
        (first, lost), (second, missing) = left(columns, count), right(columns, count)
        found = np.broadcast_to(sign(first, second), count)
        for unknown in (lost, missing):
            if unknown is not None:
                found = found & ~unknown
        return found
    return mask


def _among(of: _Value, ranges: tuple[tuple[int | float, int | float], ...]) -> Mask:
    def mask(columns: Mapping[str, AnyColumn], count: int) -> Array:
        values, unknown = of(columns, count)
        found = np.zeros(count, np.bool_)
        for least, most in ranges:
            found |= values == least if least == most else (values >= least) & (values <= most)
        return found if unknown is None else found & ~unknown
    return mask


def _matched(name: str, words: Words) -> Mask:
    default = words.fits("")
    return lambda columns, count: words.mask(columns[name]) if name in columns else np.full(count, default)


def _inside(name: str, networks: tuple[tuple[bytes, int], ...]) -> Mask:
    """An address is two words of the machine's order; whole bytes of a prefix and what is left of a byte are bits of a mask over them."""
    tests = []
    for network, bits in networks:
        octets = (((1 << bits) - 1) << (128 - bits)).to_bytes(16, "big")
        keep, wanted = np.frombuffer(octets, np.uint64), np.frombuffer(network, np.uint64) & np.frombuffer(octets, np.uint64)
        tests.append([(half, keep[half], wanted[half]) for half in (1, 0) if keep[half]])

    def mask(columns: Mapping[str, AnyColumn], count: int) -> Array:
        address: Any = columns.get(name)
        halves = np.zeros((count, 2), np.uint64) if address is None else _halves(address)
        found = np.zeros(count, np.bool_)
        for test in tests:
            one = np.ones(count, np.bool_)
            for half, keep, wanted in test:
                one &= (halves[:, half] & keep) == wanted
            found |= one
        return found
    return mask


def _halves(address: Any) -> Any:
    return (address if address.strides[-1] == 1 else np.ascontiguousarray(address)).view(np.uint64)


def _holds(name: str, word: Words) -> Mask:
    def mask(columns: Mapping[str, AnyColumn], count: int) -> Array:
        lists = columns.get(name)
        found = np.zeros(count, np.bool_)
        if not isinstance(lists, Lists) or lists.offsets[-1] == lists.offsets[0]:
            return found
        values = lists.values
        if isinstance(values, Coded) and not word.answers(values.words).any():
            return found
        hits = np.flatnonzero(word.mask(values))
        found[np.searchsorted(lists.offsets, hits, "right") - 1] = True
        return found
    return mask
