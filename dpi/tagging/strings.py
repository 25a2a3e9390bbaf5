"""Text columns against words, many rows at once: of a small set each word is asked once, other texts are compared as bytes where they lie.

Bytes of valid UTF-8 begin, end and are found only where characters do, so all but `like` can be asked of them.
"""
from __future__ import annotations

import re
from typing import Any

import numpy as np

from dpi.batch import AnyColumn, Array, Coded, Texts, mac
from dpi.grouping import groups

_LOWER = np.array([byte + 32 if 65 <= byte <= 90 else byte for byte in range(256)], np.uint8)
_ASCII = {upper: upper + 32 for upper in range(65, 91)}


class Words:
    """One question of one text column, asked of every batch. how: '==' or a word of dpi.tagging.grammar.TEXT_WORDS; true where one of the words fits."""

    def __init__(self, how: str, words: tuple[str, ...]) -> None:
        self.how, self.words = how, words
        self._globs = [(_glob(word), max(re.split(r"[*?]", word), key=len).encode()) for word in words] if how == "like" else []
        self._seen: tuple[Any, int, Array] = None, 0, np.zeros(0, np.bool_)         # of the words that batches share

    def fits(self, text: str) -> bool:
        """Of one text."""
        if self.how == "==":
            return text in self.words
        if self.how == "like":
            return any(glob.fullmatch(text) is not None for glob, _ in self._globs)
        if self.how == "under":
            name = text.translate(_ASCII)
            return any(name == (domain := word.translate(_ASCII)) or name.endswith(f".{domain}") for word in self.words)
        return any({"contains": word in text, "startswith": text.startswith(word), "endswith": text.endswith(word)}[self.how] for word in self.words)

    def mask(self, column: AnyColumn) -> Array:
        """bool[n]"""
        if isinstance(column, Coded):
            answers = self.answers(column.words)
            return answers.take(column.codes, mode="clip")      # a code beyond the words counts as the last
        if isinstance(column, Texts):
            found = np.zeros(len(column), np.bool_)
            for number, word in enumerate(self.words):
                self._ask(column, number, word.encode(), found)
            return found
        whole = np.ascontiguousarray(column)        # MAC addresses
        first, codes = groups(whole)
        return self.answers([mac(value) for value in whole[first].tolist()]).take(codes, mode="clip")

    def answers(self, words: Any) -> Array:
        """bool[] by word; kept while batches come with the same list."""
        seen, length, answers = self._seen
        if seen is not words or length != len(words):
            answers = np.array([self.fits(word) for word in words] or [self.fits("")], np.bool_)
            self._seen = words, len(words), answers
        return answers

    def _ask(self, column: Texts, number: int, word: bytes, found: Array) -> None:
        """Set `found` where the word fits."""
        starts, ends = column.offsets[:-1], column.offsets[1:]
        lengths = ends - starts
        if self.how == "==":
            rows = np.flatnonzero(lengths == len(word))
            found[rows[_equal(column.data, starts[rows], word)]] = True
        elif self.how == "startswith":
            rows = np.flatnonzero(lengths >= len(word))
            found[rows[_equal(column.data, starts[rows], word)]] = True
        elif self.how in ("endswith", "under"):
            folded = self.how == "under"
            rows = np.flatnonzero(lengths >= len(word))
            rows = rows[_equal(column.data, ends[rows] - len(word), word, folded)]
            if folded:
                longer = rows[lengths[rows] > len(word)]
                found[longer[column.data[ends[longer] - len(word) - 1] == ord(".")]] = True
                rows = rows[lengths[rows] == len(word)]
            found[rows] = True
        elif self.how == "contains":
            found[_holding(column, word)] = True
        else:
            glob, literal = self._globs[number]
            for row in _holding(column, literal).tolist():
                found[row] = found[row] or glob.fullmatch(column[row]) is not None


def _equal(data: Array, at: Array, word: bytes, folded: bool = False) -> Array:
    """bool[k]: whether the word lies at these places."""
    same = np.ones(len(at), np.bool_)
    places = np.arange(len(at))
    for offset in range(len(word) - 1, -1, -1):             # most differ in the first byte looked at
        if not len(places):
            break
        byte = data[at[places] + offset]
        right = (_LOWER[byte] == _LOWER[word[offset]]) if folded else byte == word[offset]
        same[places[~right]] = False
        places = places[right]
    return same


def _holding(column: Texts, word: bytes) -> Array:
    """int64[k]: rows whose text holds the word."""
    starts, ends = column.offsets[:-1], column.offsets[1:]
    if not word:
        return np.arange(len(column))
    text, rows = column.data.tobytes(), []
    at = text.find(word, int(starts[0]) if len(starts) else 0)
    while at >= 0:
        row = int(np.searchsorted(ends, at, "right"))       # the first that ends behind it
        if row >= len(ends):
            break
        if at >= starts[row] and at + len(word) <= ends[row]:
            rows.append(row)
            at = text.find(word, int(ends[row]))
        else:
            at = text.find(word, at + 1)
    return np.array(rows, np.int64)


def _glob(pattern: str) -> re.Pattern[str]:
    """* any characters, ? one. What lies between two * is taken where it comes first and never tried again (an atomic group): texts are others', and one of
    many beginnings must not take long."""
    first, *others = ["".join("." if sign == "?" else re.escape(sign) for sign in part) for part in re.split(r"\*+", pattern)]
    between = "".join(f"(?>.*?{part})" for part in others[:-1])
    return re.compile(first + (f"{between}.*{others[-1]}" if others else ""), re.DOTALL)
