"""What a table and its columns are: names, kinds, meaning. The tables themselves are in dpi/schema.py and dpi/rollups.py."""
from __future__ import annotations

from dpi.dataclass import dataclass


@dataclass(frozen=True)
class Kind:
    """How one kind of column is held by each party."""
    numpy: str              # dtype of a Batch column: '' where it is Texts or Coded; 'ip' uint8[n,16]; '[]' Lists
    modern: str             # ClickHouse 24 and later, chDB
    legacy: str             # ClickHouse 18.16: no IPv6, DateTime64, Bool
    codec: str = ""         # of ClickHouse; '' its own
    words: str = ""         # how it looks in JSON and CSV
    raw: str = ""           # codec in tables that are no rollups, where it is another: of numbers that differ from row to row


KINDS = {
    "flag": Kind("u1", "Bool", "UInt8", "", "true or false"),
    "u8": Kind("u1", "UInt8", "UInt8", "", "number"),
    "u16": Kind("u2", "UInt16", "UInt16", "", "number"),
    "u32": Kind("u4", "UInt32", "UInt32", "", "number"),
    "u64": Kind("u8", "UInt64", "UInt64", "T64, LZ4", "number", "T64"),
    "u16?": Kind("u2", "Nullable(UInt16)", "Nullable(UInt16)", "", "number or null"),
    "u32?": Kind("u4", "Nullable(UInt32)", "Nullable(UInt32)", "", "number or null"),
    "u64?": Kind("u8", "Nullable(UInt64)", "Nullable(UInt64)", "", "number or null"),
    "id": Kind("u8", "UInt64", "UInt64", "T64, LZ4", "decimal digits in a string (beyond 2^53, so no JSON number)"),
    "time": Kind("i8", "DateTime64(6, 'UTC')", "Int64", "T64", "ISO 8601, microseconds, Z"),
    "time?": Kind("i8", "Nullable(DateTime64(6, 'UTC'))", "Nullable(Int64)", "", "ISO 8601, microseconds, Z; or null"),
    "minute": Kind("i8", "DateTime64(0, 'UTC')", "DateTime", "Delta, LZ4", "ISO 8601, Z"),
    "day": Kind("u2", "Date", "Date", "", "YYYY-MM-DD"),
    "ip": Kind("ip", "IPv6", "FixedString(16)", "", "text; IPv4 plain"),
    "mac": Kind("u8", "LowCardinality(String)", "String", "", "aa:bb:cc:dd:ee:ff, or empty"),
    "text": Kind("", "String", "String", "", "text"),
    "code": Kind("", "LowCardinality(String)", "String", "", "text from a small set"),
    "codes": Kind("[]", "Array(LowCardinality(String))", "Array(String)", "", "list of text"),
    "texts": Kind("[]", "Array(String)", "Array(String)", "", "list of text"),
    "u64s": Kind("[]", "Array(UInt64)", "Array(UInt64)", "", "list of numbers"),
}


@dataclass(frozen=True)
class Column:
    """One column. A Batch without it gives the default: 0, '', [] or, where the kind ends with '?', NULL."""
    name: str
    kind: str
    words: str              # what it means, one line
    unit: str = ""
    source: str = ""        # IPFIX element, RFC
    slot: str = ""          # transaction tables: 'number 3' or 'text 0' of the TRANSACTION record
    fold: str = ""          # rollups: SQL over a row {src} of `folds` of which this is the sum or the key; '': the column of the same name

    @property
    def nullable(self) -> bool:
        return self.kind.endswith("?")

    def type(self, dialect: str = "modern") -> str:
        """The ClickHouse type in that dialect: 'modern' or 'legacy'."""
        return str(getattr(KINDS[self.kind], dialect))


@dataclass(frozen=True)
class Table:
    """One exported table. `order` is its sort key; without one, rows stay as they came, and of `span`, a time by which they come almost in order,
    each granule's least and greatest are kept. `folds` is the table a rollup is computed from, `step` the rollup's width in seconds, `picked` what stands
    behind its FROM. `most`, where it is not 0, is the number of values of its column `name` that an inserted block adds, those with the highest first sum;
    the others count under ''; `named` is the column of `folds` that `name` is made of."""
    name: str
    words: str
    columns: tuple[Column, ...]
    order: tuple[str, ...]
    engine: str = "MergeTree"
    folds: str = ""
    step: int = 0
    span: str = ""
    picked: str = ""
    named: str = ""
    most: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)
