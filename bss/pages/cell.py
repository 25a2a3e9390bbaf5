"""Cells of tables of pages."""
from __future__ import annotations

from typing import NamedTuple


class Cell(NamedTuple):
    """text; href: where it leads; tag: a state that is shown as one; n: a number, which stands to the right."""
    text: str = ""
    href: str = ""
    tag: str = ""
    n: bool = False


def text(words: object) -> Cell:
    """Words."""
    return Cell("" if words is None else str(words))


def link(words: object, href: str) -> Cell:
    """Words that lead on."""
    return Cell(str(words), href)


def tag(state: str) -> Cell:
    """A state."""
    return Cell(tag=state)


def number(value: object) -> Cell:
    """A number."""
    return Cell("" if value is None else str(value), n=True)
