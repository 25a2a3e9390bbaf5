"""The office: one installation of the business layer. Opens database and ring, and gives desks to whoever acts."""
from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError

from bss import sealing
from bss.database import Database
from bss.desk import Desk
from bss.evidence import Evidence
from bss.migrations import current, upgrade
from bss.people.scope import SYSTEM, Actor
from bss.refusal import Refusal
from bss.settings import Settings

R = TypeVar("R")
TRIES = 5               # of an act that met another one


class Office:
    """settings; clock: the time of acts, which tests set."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Refusal: no database, no ring, or a database of another version."""
        self.settings, self.clock = settings, clock
        self.aside: Callable[[], AbstractContextManager[None]] = nullcontext         # around what waits long for others; who serves sets it
        self.known: dict[str, Any] = {}             # who came in a moment ago (people/entry.py)
        sealing.follow(Path(settings.keys))
        self.database = Database(settings.database)
        self.database.reach()
        found, wanted = current(self.database.engine)
        if found != wanted:
            self.database.close()
            raise Refusal("away", f"the database is of version {found or 'none'}, this program of {wanted}", settings.database.split("@")[-1],
                          "run `fullspan bss upgrade`" if found else "run `fullspan bss init`")

    @staticmethod
    def found(settings: Settings) -> None:
        """Make database and ring where there are none. Refusal: there is one already."""
        keys = Path(settings.keys)
        if keys.exists():
            raise Refusal("conflict", "there is a key file already", str(keys),
                          "a new one would make what is sealed unreadable: remove it by hand if that is meant")
        database = Database(settings.database)
        database.reach()
        if current(database.engine)[0]:
            raise Refusal("conflict", "the database is in use already", settings.database.split("@")[-1], "name another one")
        keys.parent.mkdir(parents=True, exist_ok=True)
        sealing.Ring.fresh().write(keys)
        upgrade(database.engine)
        database.close()

    @property
    def ring(self) -> sealing.Ring:
        """The keys, as their file is now."""
        return sealing.ring()

    @contextmanager
    def reading(self, actor: Actor = SYSTEM) -> Iterator[Desk]:
        """A desk for looking. What must be recorded of a read is written all the same, in this transaction."""
        with self.database.session() as session:
            yield Desk(session, actor, self)

    @contextmanager
    def writing(self, actor: Actor = SYSTEM) -> Iterator[Desk]:
        """A desk for acting. Where it is refused, what is to be on record of that (`Desk.deny`) is written by itself: the act is undone."""
        desk: Desk | None = None
        try:
            with self.database.session(writing=True) as session:
                desk = Desk(session, actor, self)
                yield desk
            if session.info.get("people"):
                self.known.clear()
        except Refusal:
            self._deny(desk)
            raise
        for one in desk.after.values():
            one()

    @contextmanager
    def looking(self, actor: Actor = SYSTEM) -> Iterator[Desk]:
        """A desk for looking alone, without a transaction (`Database.looking`). What is put on record of it is, before anybody is told."""
        desk: Desk | None = None
        try:
            with self.database.looking() as session:
                desk = Desk(session, actor, self)
                yield desk
        except Refusal:
            self._deny(desk)
            raise

    def _deny(self, desk: Desk | None) -> None:
        if desk is not None and desk.denied:
            with self.database.session(writing=True) as session:
                for action, row, why, tried in desk.denied:
                    Desk(session, desk.actor, self).record(action, row, after=tried, reason=why)

    @cached_property
    def evidence(self) -> Evidence:
        """What traffic says."""
        return Evidence(self.settings.store, lambda: self.aside())

    def act(self, actor: Actor, what: Callable[[Desk], R]) -> R:
        """Do something as one transaction, again where it met another one (a deadlock, a database that was locked)."""
        return self._tried(self.writing, actor, what)

    def look(self, actor: Actor, what: Callable[[Desk], R], recorded: bool = False) -> R:
        """Look at something, again where the database was gone for a moment. recorded: it is put on record."""
        if self.database.lite:
            return self._tried(self.writing if recorded else self.reading, actor, what)
        return self._tried(self.looking, actor, what)

    def _tried(self, way: Callable[[Actor], AbstractContextManager[Desk]], actor: Actor, what: Callable[[Desk], R]) -> R:
        for attempt in range(TRIES):
            try:
                with way(actor) as desk:
                    return what(desk)
            except IntegrityError as error:
                raise Refusal("conflict", f"the database refuses it: {str(error.orig).splitlines()[0]}", mend="look whether it is there already") from error
            except DataError as error:
                raise Refusal("invalid", f"the database can't keep it: {str(error.orig).splitlines()[0]}", mend="write less, or a smaller number") from error
            except (OperationalError, DBAPIError) as error:
                if attempt == TRIES - 1 or not _passing(error):
                    raise Refusal("away", f"the database does not answer: {str(error.orig).splitlines()[0]}", mend="try again") from error
                time.sleep(random.uniform(0, 0.05 * 2 ** attempt))
        raise AssertionError

    def close(self) -> None:
        """Let go of the database and of the store."""
        if "evidence" in self.__dict__:
            self.evidence.close()
        self.database.close()


def _passing(error: DBAPIError) -> bool:
    """Whether trying again may help: SQLite's lock, PostgreSQL's 40001 (serialization) and 40P01 (deadlock)."""
    return "locked" in str(error.orig) or getattr(error.orig, "sqlstate", "") in ("40001", "40P01") or error.connection_invalidated
