"""What a tag rule's expression is once it is read: a tree of typed nodes. `sort` says what a node gives."""
from __future__ import annotations

from typing import TypeAlias

from dpi.dataclass import dataclass


@dataclass(frozen=True)
class Column:
    """A column of `flows`. sort: number, flag, time, address, text or list."""
    name: str
    sort: str
    unit: str = ""


@dataclass(frozen=True)
class Number:
    """A number; of a duration or a time, in us."""
    value: int | float
    unit: str = ""
    sort: str = "number"


@dataclass(frozen=True)
class Text:
    value: str
    sort: str = "text"


@dataclass(frozen=True)
class Sum:
    """left op right with op +, - or *, in float64; not known where one of them is not."""
    op: str
    left: Value
    right: Value
    unit: str
    sort: str = "number"


@dataclass(frozen=True)
class Compare:
    """Two numbers or times. What is not known compares with nothing: also != is false."""
    op: str
    left: Value
    right: Value
    sort: str = "test"


@dataclass(frozen=True)
class Among:
    """A number in one of the closed ranges."""
    of: Value
    ranges: tuple[tuple[int | float, int | float], ...]
    sort: str = "test"


@dataclass(frozen=True)
class Match:
    """Text against words; how: '==' (one of them), or one of TEXT_WORDS."""
    of: Column
    how: str
    words: tuple[str, ...]
    sort: str = "test"


@dataclass(frozen=True)
class Inside:
    """An address in one of the networks: 16 bytes (IPv4 mapped) and how many of their bits count."""
    of: Column
    networks: tuple[tuple[bytes, int], ...]
    sort: str = "test"


@dataclass(frozen=True)
class Holds:
    """A list that holds the word."""
    of: Column
    word: str
    sort: str = "test"


@dataclass(frozen=True)
class Flag:
    of: Column
    sort: str = "test"


@dataclass(frozen=True)
class Not:
    of: Node
    sort: str = "test"


@dataclass(frozen=True)
class Join:
    """All of them (op 'and'), or any (op 'or')."""
    op: str
    of: tuple[Node, ...]
    sort: str = "test"


Value: TypeAlias = Column | Number | Text | Sum
Node: TypeAlias = Compare | Among | Match | Inside | Holds | Flag | Not | Join
