"""Ids of rows: a letter for the kind and fifteen of base 32, of which the first nine are the time: rows made one after the other lie side by side in indexes.
They say nothing of a person, and are what the probe and its store know."""
from __future__ import annotations

import secrets
import time

#: Crockford's: without I, L, O and U.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
TIMES, CHANCES = 9, 6       # letters: 2^45 ms are 1,100 years, 2^30 of chance in each


def fresh(letter: str) -> str:
    """A new id of a kind, such as `C` for customers."""
    return letter + _text(time.time_ns() // 1_000_000, TIMES) + _text(secrets.randbits(5 * CHANCES), CHANCES)


def _text(number: int, letters: int) -> str:
    return "".join(ALPHABET[number >> 5 * k & 31] for k in range(letters - 1, -1, -1))
