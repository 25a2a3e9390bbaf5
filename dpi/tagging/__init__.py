"""Tags of rules: labels that an operator's own conditions add to rows of `flows`. docs/tags.md describes the files and the language.

A rule sees a row as it goes to the sinks, with its names, services and countries; of the column `tags` it sees what rows have without rules.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from dpi.batch import AnyColumn, Array, Batch, Coded, Lists, Made
from dpi.dataclass import dataclass
from dpi.tagging.grammar import BUILT_IN
from dpi.tagging.masks import Mask, mask_of
from dpi.tagging.tree import Node


@dataclass(frozen=True)
class Rule:
    """One [[tag]]. Several of a name: any of them adds it."""
    name: str
    node: Node
    note: str
    file: str               # as shown to people
    line: int


class Tagging:
    """All tag rules in force; true where there are any."""

    def __init__(self, rules: list[Rule]) -> None:
        self.rules = rules
        self.names = sorted({rule.name for rule in rules})
        self._words = [*BUILT_IN, *self.names]              # always the same list: sinks know it again
        place = {name: number for number, name in enumerate(self._words)}
        self._masks: list[tuple[int, Mask]] = sorted(((place[rule.name], mask_of(rule.node)) for rule in rules), key=lambda one: one[0])

    def __bool__(self) -> bool:
        return bool(self.rules)

    def tagged(self, batch: Batch) -> Batch:
        """The batch with these tags beside those it has; they are made when a sink asks for them. Of another table than flows: as it is."""
        if batch.table != "flows" or not self.rules:
            return batch
        columns = batch.columns
        return replace(batch, columns=over(columns, "tags", lambda: self.tags(columns, batch.count)))

    def tags(self, columns: Mapping[str, AnyColumn], count: int) -> Lists:
        """The column `tags` of these rows: what they have, then the names of the rules that are true."""
        had = columns.get("tags")
        offsets = np.zeros(count + 1, np.int64)
        hits: dict[int, Array] = {}
        for place, mask in self._masks:
            found = mask(columns, count)
            if found.any():
                hits[place] = hits[place] | found if place in hits else found
        owners, codes = [], []
        words = self._words
        if isinstance(had, Lists) and len(had.values):
            values = had.values if isinstance(had.values, Coded) else Coded.of(map(str, had.values))
            first, last = int(had.offsets[0]), int(had.offsets[-1])
            own = {word: number for number, word in enumerate(words)}
            if any(word not in own for word in values.words):           # rows that came otherwise than from the pipeline
                words = [*words, *(word for word in values.words if word not in own)]
                own = {word: number for number, word in enumerate(words)}
            table = np.array([own[word] for word in values.words], np.uint16)
            owners.append(np.repeat(np.arange(count), np.diff(had.offsets)))
            codes.append(table[values.codes[first:last]])
        for place, found in hits.items():
            rows = np.flatnonzero(found)
            owners.append(rows)
            codes.append(np.full(len(rows), place, np.uint16))
        if not owners:
            return Lists(offsets, Coded(np.zeros(0, np.uint16), words))
        owner, code = np.concatenate(owners), np.concatenate(codes)
        order = np.argsort(owner, kind="stable")
        np.cumsum(np.bincount(owner, minlength=count), out=offsets[1:])
        return Lists(offsets, Coded(code[order], words))


def over(columns: Mapping[str, AnyColumn], name: str, make: Callable[[], AnyColumn]) -> Made:
    """The columns, and one more or another one of that name, made when asked for."""
    makers: dict[str, Callable[[], AnyColumn]] = {one: _asking(columns, one) for one in columns}
    return Made({**makers, name: make}, columns.all_wanted if isinstance(columns, Made) else lambda: None)


def _asking(columns: Mapping[str, AnyColumn], name: str) -> Callable[[], AnyColumn]:
    return lambda: columns[name]
