"""The course that things of one kind take: their states, as data, and why one may not follow another, in a sentence."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple


class Course(NamedTuple):
    """called: the kind, with its article; ways: what may follow each state; meaning: of each, where a refusal has to say it; ended: what is said beside that of
    one that nothing follows."""
    called: str
    ways: Mapping[str, tuple[str, ...]]
    meaning: Mapping[str, str] = {}
    ended: str = ""

    @property
    def terminal(self) -> frozenset[str]:
        """What nothing follows."""
        return frozenset(state for state, ways in self.ways.items() if not ways)

    def refusal(self, before: str, to: str, special: Callable[[], str] = str) -> str:
        """Why one state may not follow another: one sentence; '' where it may. special: says more of some pairs, '' of the rest."""
        if to not in self.ways:
            return f"{to!r} is no state of {self.called}"
        if to in self.ways[before]:
            return ""
        if to == before:
            return f"it is {before} already"
        meaning = self.meaning.get(before, "")
        if before in self.terminal:
            return f"{self.called} that is {before} stays so{': ' if meaning else ''}{meaning}{self.ended}"
        return special() or (f"{self.called} that is {before}{f' ({meaning})' if meaning else ''} can't become {to}; "
                             f"it can become {', '.join(self.ways[before])}")
