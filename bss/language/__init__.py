"""The words of pages and documents, English and Simplified Chinese: TOML files a language (`en.toml`, and `en.AREA.toml` for what is said of one area), both
languages with the same keys."""
from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path

LANGUAGES = ("en", "zh")
Words = Callable[..., str]


@cache
def catalogue(language: str) -> dict[str, str]:
    """Every sentence of a language under its dotted key."""
    found: dict[str, str] = {}
    for file in sorted(Path(__file__).parent.glob(f"{language}*.toml")):
        for section, entries in tomllib.loads(file.read_text(encoding="utf-8")).items():
            found |= {f"{section}.{key}": words for key, words in entries.items()}
    return found


def words(language: str) -> Words:
    """What gives a sentence by its key, with what stands in braces filled in. KeyError: there is none."""
    held = catalogue(language)
    return lambda key, **given: held[key].format(**given) if given else held[key]


def state(language: str, name: str) -> str:
    """A state, class, kind or role as people call it; as it is where nobody has named it."""
    return catalogue(language).get(f"state.{name}", name)
