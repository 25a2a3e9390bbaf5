"""How a name is spelled for finding: its letters, the pinyin of each character, and the initials of that.

A family name that is read otherwise than the character is elsewhere (曾 zeng, not ceng) is known in both readings. What is not Chinese stays as it is
written, word by word, so that `Li Ming` is found as `liming` and as `lm`.
"""
from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import islice

from pypinyin import lazy_pinyin

from bss.sealing import plain

LONGEST = 200           # letters of a name that are looked at
#: Characters that are read otherwise as a family name.
FAMILY = {"曾": "zeng", "单": "shan", "解": "xie", "任": "ren", "仇": "qiu", "查": "zha", "朴": "piao", "区": "ou", "盖": "ge", "尉": "wei", "覃": "qin",
          "华": "hua", "缪": "miao", "乐": "yue", "员": "yun", "黑": "he", "秘": "bi", "冼": "xian", "宁": "ning", "翟": "zhai", "葛": "ge"}


@lru_cache(maxsize=1 << 14)
def _run(text: str) -> tuple[str, ...]:
    """Syllables of a run of letters without a mark in it."""
    return tuple(one.casefold() for one in lazy_pinyin(text, v_to_u=False))


def readings(name: str) -> list[tuple[str, ...]]:
    """The syllables of a name, once for each way its first character is read."""
    text = unicodedata.normalize("NFKC", name)[:LONGEST]
    found = tuple(syllable for word in re.split(r"[\W_]+", text) if word for syllable in _run(word))
    if not found:
        return []
    family = FAMILY.get(plain(text)[:1])
    return [found, (family, *found[1:])] if family and family != found[0] else [found]


def pinyin(name: str) -> list[str]:
    """A name in pinyin without blanks, in each of its readings."""
    return ["".join(one) for one in readings(name)]


def initials(name: str) -> list[str]:
    """The first letters of its syllables, in each of its readings."""
    return ["".join(syllable[0] for syllable in one) for one in readings(name)]


def parts(text: str, length: int) -> set[str]:
    """All runs of `length` letters; the text itself where it is shorter."""
    if len(text) <= length:
        return {text} if text else set()
    return {text[k:k + length] for k in islice(range(len(text) - length + 1), LONGEST)}
