"""Texts out of records: whatever bytes lie there, what comes out is valid, as long as before, and the same in each of its forms."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.batch import Batch, Lists, Made, Texts
from dpi.schema import Column
from dpi.store.gathering import Gathering, _Lists, _Texts
from dpi.store.native import _texts, block, plain, varint
from dpi.texts import LENGTH, Laid, Strings, gather, lay, put, put_strings, room
from tests.rows import batch

_PIECES = st.one_of(st.binary(max_size=20), st.text(max_size=9).map(str.encode), st.text("abc ~", max_size=40).map(str.encode),
                    st.sampled_from([b"", b"\x7f", b"\x1f", b"\x80", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", "网络".encode(), b"x" * 127,
                                     b"y" * 128, b"z" * 300, b"plain te\xff", b"8 bytes!"]))


def _mended(text: bytes) -> bytes:
    """The slow twin: bytes that are no part of printable UTF-8 become '?', one by one."""
    out, i = b"", 0
    while i < len(text):
        for size in (1, 2, 3, 4):
            piece = text[i:i + size]
            try:
                word = piece.decode()
            except UnicodeDecodeError:
                continue
            if len(piece) == size and len(word) == 1 and (size > 1 or " " <= word <= "~"):
                out += piece
                i += size
                break
        else:
            out += b"?"
            i += 1
    return out


def _laid(pieces: list[bytes], before: int, after: int) -> Laid:
    """Texts one behind the other in an array of their own."""
    lengths = np.array([len(piece) for piece in pieces], np.int64)
    begins = before + np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])[:len(pieces)]
    return Laid(np.frombuffer(b"\xaa" * before + b"".join(pieces) + b"\x55" * after, np.uint8), begins, lengths)


@settings(deadline=None)         # the first example loads the kernels
@given(st.lists(_PIECES, max_size=12), st.integers(0, 9), st.integers(0, 20))
def test_each_form_says_the_same(pieces: list[bytes], before: int, after: int) -> None:
    want = [_mended(piece) for piece in pieces]
    laid = _laid(pieces, before, after)
    assert [len(one) for one in want] == [len(piece) for piece in pieces]
    assert list(laid) == [one.decode() for one in want] and len(laid) == len(pieces) and laid.lengths.tolist() == np.diff(laid.offsets).tolist()
    encoded = b"".join(varint(len(one)) + one for one in want)
    for column in (_laid(pieces, before, after), Texts(laid.data, laid.offsets), Strings(np.frombuffer(encoded, np.uint8), len(pieces))):
        out = np.full(room(column) + 3, 0xEE, np.uint8)
        assert bytes(out[:put(column, out[:-3])]) == encoded and set(out[-3:].tolist()) == {0xEE}
        assert bytes(_texts(column)) == encoded
    strings = Strings(np.frombuffer(encoded, np.uint8), len(pieces))
    assert list(strings) == list(laid) and strings.offsets.tolist() == laid.offsets.tolist()


@settings(deadline=None)
@given(st.lists(_PIECES, min_size=1, max_size=6))
def test_nothing_is_written_beyond_the_room_that_texts_need(pieces: list[bytes]) -> None:
    """Arrays that end with the last text, so that eight bytes at once would be too many."""
    laid = _laid(pieces, 0, 0)
    size = int(laid.lengths.sum())
    out, offsets = np.full(size + 8, 0xEE, np.uint8), np.zeros(len(pieces) + 1, np.int64)
    assert gather(laid.source, offsets, laid.begins, laid.lengths, out[:size], len(pieces)) == size
    assert bytes(out) == b"".join(map(_mended, pieces)) + b"\xee" * 8
    exact = np.full(size + sum(len(varint(len(piece))) for piece in pieces) + 8, 0xEE, np.uint8)
    for written in (lay(laid.source, laid.begins, laid.lengths, exact[:-8], len(pieces)),
                    put_strings(laid.data, laid.offsets, exact[:-8], len(pieces))):
        assert written == len(exact) - 8 and bytes(exact[-8:]) == b"\xee" * 8


@pytest.mark.parametrize("cut", [(0, 4), (1, 3), (2, 2)])
def test_lists_of_texts_go_into_a_parcel_as_they_lie(cut: tuple[int, int]) -> None:
    """Rows of lists that are cut out of more, before and after they were gathered."""
    first, last = cut
    words = [b"one", b"", b"\xfftwo", b"three", b"four"]
    lists = Lists(np.array([0, 1, 1, 3, 5])[first:last + 1], _laid(words, 3, 0))
    want = [[_mended(word).decode() for word in some] for some in ([words[:1], [], words[1:3], words[3:]][first:last])]
    gathered = _Lists(lists, 1)
    for _ in range(2):
        gathered.add(lists)
    assert list(lists) == want and list(gathered.column()) == want * 2
    column = Column("risks", "codes", "")
    ends, strings = plain(column, lists)
    assert np.frombuffer(ends, np.uint64).tolist() == np.cumsum([len(some) for some in want]).tolist()
    assert bytes(strings) == b"".join(varint(len(word.encode())) + word.encode() for some in want for word in some)


def test_strings_in_other_forms_are_gathered_behind_their_lengths() -> None:
    gathered = _Texts(1)
    gathered.add(Texts.of(["a", "bb"]))
    gathered.add(np.array([0, 0x001122334455], np.uint64))
    gathered.add(_laid([b"", b""], 0, 0))
    gathered.add(gathered.column())
    assert list(gathered.column()) == ["a", "bb", "", "00:11:22:33:44:55", "", ""] * 2
    assert len(gathered.column().encoded) == 2 * (2 + 3 + 1 + 18 + 2) and LENGTH == 10
    gathered.clear()
    assert not list(gathered.column())


def test_a_batch_is_gathered_whole_or_not_at_all() -> None:
    """Interrupted between two columns, whichever, what was gathered before is what it was."""
    whole = batch("flows", 20, 1)
    names = list(whole.columns)
    both = Gathering(whole, 16)
    both.add(whole)
    both.add(whole)
    twice = b"".join(block(both.batch()))
    for at in (1, len(names) // 2, len(names) - 1):
        def interrupted() -> Texts:
            raise KeyboardInterrupt

        gathering = Gathering(whole, 16)
        gathering.add(whole)
        before = b"".join(block(gathering.batch()))
        broken = Batch("flows", 20, Made({name: interrupted if name == names[at] else (lambda name=name: whole.columns[name]) for name in names}))
        with pytest.raises(KeyboardInterrupt):
            gathering.add(broken)
        assert gathering.rows == 20 and b"".join(block(gathering.batch())) == before
        gathering.add(whole)
        assert gathering.rows == 40 and b"".join(block(gathering.batch())) == twice
