"""Lines of rated usage as they are kept: 24 bytes an hour and name (category, application, version of the rules), in order."""
from __future__ import annotations

import hashlib
import struct
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from bss.desk import Desk
from bss.office import Office
from bss.people.scope import SYSTEM
from bss.tables import UsageName

HOUR = 3600
_FORM = struct.Struct("<IIQQ")
LONGEST = 64            # characters of a name


class Kept(NamedTuple):
    """at: s, when the hour begins; name: number of UsageName; up, down: bytes."""
    at: int
    name: int
    up: int
    down: int


class Name(NamedTuple):
    """What a line is called."""
    category: str
    application: str
    rules: str


def pack(lines: Iterable[Kept]) -> bytes:
    """In order of hour and name. ValueError: an hour that is none."""
    made = bytearray()
    for one in sorted(lines):
        if one.at % HOUR:
            raise ValueError(f"{one.at} is no hour")
        made += _FORM.pack(one.at // HOUR, one.name, one.up, one.down)
    return bytes(made)


def unpack(data: bytes) -> list[Kept]:
    """What was packed."""
    return [Kept(hour * HOUR, name, up, down) for hour, name, up, down in _FORM.iter_unpack(data)]


def digest(data: bytes) -> bytes:
    """SHA-256 of packed lines."""
    return hashlib.sha256(data).digest()


class Names:
    """Numbers of names, both ways. They never change once they are given, so that they are remembered."""

    def __init__(self) -> None:
        self.numbers: dict[Name, int] = {}
        self.names: dict[int, Name] = {}

    def learn(self, office: Office, wanted: Collection[Name]) -> None:
        """Give numbers to those that have none, in an act of its own: what is written later may rely on them."""
        if missing := set(wanted) - self.numbers.keys():
            self._keep(office.act(SYSTEM, lambda desk: _numbered(desk, missing)))

    def load(self, desk: Desk) -> Names:
        """All there are."""
        self._keep([(one.id, Name(one.category, one.application, one.rules_version)) for one in desk.session.execute(select(UsageName)).scalars()])
        return self

    def pretend(self, wanted: Collection[Name]) -> None:
        """Give numbers to those that have none, here alone: of what is computed and not kept."""
        free = max(self.names, default=0) + 1
        self._keep(enumerate(sorted(set(wanted) - self.numbers.keys()), free))

    def _keep(self, rows: Iterable[tuple[int, Name]]) -> None:
        for number, name in rows:
            self.numbers[name], self.names[number] = number, name


def _numbered(desk: Desk, wanted: Collection[Name]) -> list[tuple[int, Name]]:
    insert: Any = (sqlite.insert if desk.office.database.lite else postgresql.insert)(UsageName)
    desk.session.execute(insert.on_conflict_do_nothing(index_elements=["category", "application", "rules_version"]),
                         [{"category": one.category, "application": one.application, "rules_version": one.rules} for one in sorted(wanted)])
    found = [(one.id, Name(one.category, one.application, one.rules_version)) for one in desk.session.execute(select(UsageName)).scalars()]
    return found
