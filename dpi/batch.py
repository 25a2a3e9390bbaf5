"""Columns on their way out of the pipeline: what export hands to the sinks.

All are thin covers over numpy arrays; making one copies nothing.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import cached_property, lru_cache
from typing import Any, Protocol

import numpy as np

from dpi.dataclass import dataclass
from dpi.grouping import groups

Array = np.ndarray[Any, Any]

#: The value that stands for NULL in a Batch column of a nullable kind.
NULLS: dict[str, int] = {"u16?": 0xFFFF, "u32?": 0xFFFFFFFF, "u64?": 0xFFFFFFFFFFFFFFFF, "time?": -(1 << 63)}


@dataclass(frozen=True)
class Texts:
    """n strings: `data` uint8[] valid UTF-8, `offsets` int64[n+1] rising."""
    data: Array
    offsets: Array

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> Array:
        """int64[n]: bytes of each."""
        return np.diff(self.offsets)

    def __getitem__(self, row: int) -> str:
        return bytes(self.data[self.offsets[row]:self.offsets[row + 1]]).decode("utf-8", "replace")

    def __iter__(self) -> Iterator[str]:
        return (self[row] for row in range(len(self)))

    @staticmethod
    def of(words: Iterable[str]) -> Texts:
        """From Python strings (tests and small tables)."""
        given = list(words)
        joined = "".join(given)
        if joined.isascii():
            encoded: list[Any] = given              # as many octets as characters
            data = joined.encode()
        else:
            encoded = [word.encode("utf-8", "replace") for word in given]
            data = b"".join(encoded)
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum(list(map(len, encoded)), out=offsets[1:])
        return Texts(np.frombuffer(data, np.uint8), offsets)


@dataclass(frozen=True)
class Coded:
    """n strings of a small set: `codes` uint8|uint16|uint32[n] index `words`."""
    codes: Array
    words: Sequence[str]

    def __len__(self) -> int:
        return len(self.lookup[1])

    def __getitem__(self, row: int) -> str:
        words, codes = self.lookup
        return words[int(codes[row])]

    def __iter__(self) -> Iterator[str]:
        words, codes = self.lookup
        return (words[code] for code in codes.tolist())

    @staticmethod
    def of(words: Iterable[str]) -> Coded:
        """From Python strings (tests and small tables)."""
        numbers: dict[str, int] = {}
        codes = [numbers.setdefault(word, len(numbers)) for word in words]
        return Coded(np.array(codes, np.uint32), list(numbers) or [""])

    @property
    def lookup(self) -> tuple[Sequence[str], Array]:
        """Words, and which of them each row has: for who looks at few rows, or at the same words with every batch. Whoever goes through all words asks for
        `words`, which may be fewer."""
        return self.words, self.codes

    def compact(self) -> Coded:
        """The same with the words in use alone, where there are more words than rows: for who goes through all of them."""
        if len(self.words) <= max(len(self.codes), 256):
            return self
        used = np.flatnonzero(np.bincount(self.codes))
        places = np.zeros(int(used[-1]) + 1 if len(used) else 1, np.uint32)
        places[used] = np.arange(len(used))
        return Coded(places[self.codes], [self.words[code] for code in used.tolist()] or [""])

    @staticmethod
    def same(word: str, count: int) -> Coded:
        """The same string in every row."""
        return Coded(np.zeros(count, np.uint16), [word])


class Named(Coded):
    """n strings out of a vocabulary that many batches share: `numbers` uint32[n] index `vocabulary`, a list that is never changed.

    As Coded it has the words in use alone, made when they are first asked for: whoever puts batches together looks at each word of each, and a vocabulary has
    a hundred thousand. Who keeps something by number, for as long as the list is the same object, goes by these and looks at no word."""

    numbers: Array
    vocabulary: Sequence[str]

    def __init__(self, numbers: Array, vocabulary: Sequence[str]) -> None:
        vars(self).update(numbers=numbers, vocabulary=vocabulary)

    @property
    def lookup(self) -> tuple[Sequence[str], Array]:
        """The vocabulary, and numbers in it."""
        return self.vocabulary, self.numbers

    @cached_property
    def codes(self) -> Array:       # type: ignore[override]
        """uint32[n]: which of `words` rows have."""
        return self._used[0]

    @cached_property
    def words(self) -> Sequence[str]:       # type: ignore[override]
        """Those that rows have, in the order of their numbers."""
        return self._used[1]

    @cached_property
    def _used(self) -> tuple[Array, list[str]]:
        numbers, words = self.numbers, self.vocabulary
        if 0 < len(numbers) < len(words) // 8:      # a small batch does not pay for the whole vocabulary
            ordered = np.sort(numbers)
            found = ordered[np.append(True, ordered[1:] != ordered[:-1])]
            return np.searchsorted(found, numbers).astype(np.uint32), [words[number] for number in found.tolist()]
        places = np.zeros(len(words), np.uint32)
        places[numbers] = 1
        used = np.flatnonzero(places)
        places[used] = np.arange(len(used))
        return places[numbers], [words[number] for number in used.tolist()] or [""]


def coded(column: Any) -> Coded:
    """A column of strings as Coded."""
    return column if isinstance(column, Coded) else Coded.of(column)


@dataclass(frozen=True)
class Lists:
    """n lists: row i is values[offsets[i]:offsets[i+1]]; `offsets` int64[n+1]."""
    offsets: Array
    values: Texts | Coded | Array

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> list[Any]:
        return [self.values[i] for i in range(int(self.offsets[row]), int(self.offsets[row + 1]))]

    def __iter__(self) -> Iterator[list[Any]]:
        return (self[row] for row in range(len(self)))

    @staticmethod
    def of(rows: Sequence[Sequence[str]]) -> Lists:
        """From lists of Python strings (tests and small tables)."""
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        return Lists(offsets, Coded.of(word for row in rows for word in row))


AnyColumn = Array | Texts | Coded | Lists


class Made(Mapping[str, AnyColumn]):
    """Columns that are made when they are first asked for: what no sink reads costs nothing."""

    def __init__(self, makers: Mapping[str, Callable[[], AnyColumn]], all_wanted: Callable[[], None] = lambda: None) -> None:
        """all_wanted: called by who will ask for every column, before the first: what is cheaper for all together is made then."""
        self._makers, self.all_wanted = makers, all_wanted
        self._made: dict[str, AnyColumn] = {}

    def __getitem__(self, name: str) -> AnyColumn:
        found = self._made.get(name)
        if found is None:
            found = self._made[name] = self._makers[name]()
        return found

    def and_these(self, makers: Mapping[str, Callable[[], AnyColumn]]) -> Made:
        """These columns and others."""
        more = Made({**self._makers, **makers}, self.all_wanted)
        more._made.update(self._made)
        return more

    def __contains__(self, name: object) -> bool:
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


@dataclass(frozen=True)
class Batch:
    """Rows of one table. A column of the table that is not here gets its default.

    Shapes: numbers ndarray[n]; times int64[n] us; addresses uint8[n,16]; MACs uint64[n] (48 bits, 0 none), Texts or Coded;
    strings Texts or Coded; lists Lists. NULL is the value in NULLS. Arrays need not be contiguous.

    A batch from the pipeline is good until `Sink.write` returns, for its buffers are filled again: a sink that keeps rows asks for `whole()`.
    """
    table: str
    count: int
    columns: Mapping[str, AnyColumn] = field(default_factory=dict)
    records: Any = None                 # the rows as kernels hold them, where they came that way: ROW (dpi.flow.row) or TRANSACTION (dpi.flow.facts)
    places: Array | None = None         # int64[n]: which of the records the rows are; None: all, in their order
    whose: Callable[[Array], Mapping[str, AnyColumn]] | None = None     # of records int64[n]: columns of the client's owner, where the table has none

    def __post_init__(self) -> None:
        if self.records is not None and len(self.records if self.places is None else self.places) != self.count:
            raise ValueError(f"{self.table}: records of other rows than {self.count}")
        if isinstance(self.columns, Made):
            return
        for name, column in self.columns.items():
            if len(column) != self.count:
                raise ValueError(f"{self.table}.{name}: {len(column)} rows, {self.count} expected")

    def whole(self) -> Batch:
        """The same rows with every column made and nothing shared with a buffer."""
        return Batch(self.table, self.count, {name: _own(column) for name, column in self.columns.items()})


def _own(column: AnyColumn) -> AnyColumn:
    if isinstance(column, Coded):
        return Coded(column.codes.copy(), column.words)
    if isinstance(column, Texts):
        return Texts(column.data, column.offsets)               # made anew, here or before
    if isinstance(column, Lists):                               # likewise
        return Lists(column.offsets, Texts(column.values.data, column.values.offsets)) if isinstance(column.values, Texts) else column
    return column.copy()


class Sink(Protocol):
    """Takes batches until closed. Both may raise UserError. A sink with `kernels` has them compiled before the first packet. One that is `apart` may be
    written to by another thread than the others, and after them, which have then gone on."""

    def write(self, batch: Batch) -> None: ...
    def close(self) -> None: ...


def macs(values: Array) -> Coded:
    """MAC addresses uint64[n] (the first byte of the wire is the highest of 48 bits; 0 none) as text."""
    whole = np.ascontiguousarray(values)
    first, codes = groups(whole)
    return Coded(codes.astype(np.uint32), [mac(value) for value in whole[first].tolist()] or [""])


@lru_cache(1 << 14)
def mac(value: int) -> str:
    """A MAC address as text, '' for 0."""
    return value.to_bytes(6, "big").hex(":") if value else ""


def packed(rows: Array, lengths: Array) -> Texts:
    """Fixed-width rows uint8[n,w] with the length of each as Texts."""
    count, width = rows.shape
    kept = np.minimum(np.asarray(lengths, np.int64), width)
    offsets = np.zeros(count + 1, np.int64)
    np.cumsum(kept, out=offsets[1:])
    return Texts(rows[np.arange(width) < kept[:, None]], offsets)
