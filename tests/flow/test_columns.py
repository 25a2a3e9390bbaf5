"""Records become columns: in one pass what their slow twins read record by record, whatever a parser left in them."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.batch import NULLS
from dpi.classify.transactions import form, transactions
from dpi.flow.facts import TRANSACTION
from dpi.flow.fields import Fields, Spread
from dpi.flow.row import ROW
from dpi.flow.vocabulary import BEYOND, WORDS
from dpi.jit import records
from dpi.schema import KINDS, TABLES, TRANSACTION_TABLES

ODD = np.dtype([("a", "u1"), ("b", "u1"), ("c", "u2"), ("d", "i4"), ("e", "i8", (2,)), ("f", "u8"), ("g", "u1"), ("h", "u1"), ("i", "u2"), ("j", "u4")])


@pytest.mark.parametrize("kind", [ROW, ODD], ids=["rows", "odd"])
@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1000])
def test_fields_are_where_they_were(kind: np.dtype[Any], count: int) -> None:
    rows = records(count, kind)
    rows.view(np.ndarray).view(np.uint8)[:] = np.random.default_rng(count).integers(0, 256, count * kind.itemsize, np.uint8)
    plain = rows.view(np.ndarray)
    for room in (0, 2000):
        fields = Fields(kind, room)
        for part in (plain, plain[count // 2:], plain):
            spread = Spread(part, fields)
            before = [np.array(spread[name]) for name in kind.names or ()]
            spread.all_wanted()
            for name, was in zip(kind.names or (), before, strict=True):
                now = spread[name]
                assert now.dtype == was.dtype and now.shape == was.shape and np.array_equal(now, was) and (not len(part) or now.flags.c_contiguous)


def _number(table: str, column: Any, value: int) -> Any:
    """The slow twin of a number."""
    words = WORDS.get((table, column.name))
    if words is not None:
        return words(value if 0 <= value <= BEYOND else BEYOND)
    if column.name in ("not_before", "not_after"):
        return min(max(value, -9_000_000_000), 9_000_000_000) * 1_000_000 if value else NULLS["time?"]
    kind = np.dtype(KINDS[column.kind].numpy)
    if not column.nullable:
        return min(max(value, 0), np.iinfo(kind).max)
    if value < 0 or value == 0 and (column.name == "status" or column.kind.startswith("time")):
        return NULLS[column.kind]
    return value if kind.kind == "i" else min(value, NULLS[column.kind] - 1)


def _text(record: Any, place: int) -> bytes:
    """The slow twin of a text."""
    room = record["text"].tobytes()
    begin = min(int(record["ends"][place - 1]), len(room)) if place else 0
    return room[begin:min(int(record["ends"][place]), len(room))] if record["texts"] > place else b""


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 32), count=st.integers(1, 90), table=st.integers(1, len(TRANSACTION_TABLES) - 1), tame=st.booleans())
def test_transactions_are_what_their_records_say(seed: int, count: int, table: int, tame: bool) -> None:
    """Numbers of any size and sign, ends out of order and beyond the room, texts that a parser did not get to."""
    rng = np.random.default_rng(seed)
    given_ = records(count, TRANSACTION)
    plain = given_.view(np.ndarray)
    plain.view(np.uint8)[:] = rng.integers(0, 256, plain.nbytes, np.uint8)
    plain["numbers"] = rng.choice([-(1 << 63), -1, 0, 1, 2, 200, 0xFFFE, 0xFFFF, 0x10000, (1 << 32) - 2, (1 << 32) - 1, 1 << 32, (1 << 63) - 1], (count, 12))
    plain["text"] = rng.integers(32, 127, plain["text"].shape)
    plain["texts"] = rng.integers(0, 13, count)
    if tame:
        plain["ends"] = np.sort(rng.integers(0, 60, (count, 12)), axis=1)
    plain["table"] = rng.choice([table, 1, 2, 0], count)
    flow = plain["flow"].copy()
    for made in transactions(given_, count, source="s", capture_id=1, probe="p", boot=3, stored_time=4):
        mine = np.flatnonzero(plain["table"] == TRANSACTION_TABLES.index(made.table))
        assert made.count == len(mine)
        known = form(made.table)
        assert known.bounds.shape == (known.numbers, 3)
        columns = {name: list(made.columns[name]) for name in made.columns}
        for k, at in enumerate(mine):
            assert int(columns["flow_id"][k]) == (int(flow[at]) + (3 << 40)) % (1 << 64) and int(columns["time"][k]) == int(plain["time"][at])
            assert columns["direction"][k] == ("server" if plain["direction"][at] else "client")
            for column in (column for column in TABLES[made.table].columns if column.slot):
                kind, place = column.slot.split()
                want = _number(made.table, column, int(plain["numbers"][at][int(place)])) if kind == "number" else _text(plain[at], int(place)).decode()
                got = columns[column.name][k]
                assert (got if isinstance(got, str) else int(got)) == want, (made.table, column.name)
