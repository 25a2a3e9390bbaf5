"""Documents that work in the field goes by, kept in versions: calendars, checklists, scorecards. The highest version of a key holds; where nobody has written
one, the standard document of that key does. Files of them are TOML, a table of each kind."""
from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, Field
from sqlalchemy import func, select

from bss.catalogue.document import Written
from bss.catalogue.reading import checked
from bss.desk import Desk
from bss.refusal import Refusal
from bss.sla.scorecard import STANDARD as CARDS
from bss.sla.scorecard import Card
from bss.tables import Template
from bss.tickets import calendar, checklist, timetable
from bss.tickets.calendar import Document
from bss.tickets.checklist import Checklist

LARGEST = 1 << 20           # bytes of a file


class Kind(NamedTuple):
    """form: of its documents; standard: those that are there anyway; permission: to write one."""
    form: type[BaseModel]
    standard: Mapping[str, Any]
    permission: str


KINDS: dict[str, Kind] = {"calendar": Kind(Document, calendar.STANDARD, "calendar.write"), "checklist": Kind(Checklist, checklist.STANDARD, "dispatch.write"),
                          "scorecard": Kind(Card, CARDS, "calendar.write")}


class Kept(Written):
    """A file of them."""
    calendar: Annotated[tuple[Document, ...], Field(max_length=100)] = ()
    checklist: Annotated[tuple[Checklist, ...], Field(max_length=100)] = ()
    scorecard: Annotated[tuple[Card, ...], Field(max_length=10)] = ()


class One(NamedTuple):
    """A document that holds. version 0: the standard one."""
    kind: str
    key: str
    version: int
    document: Any


def of_text(text: str, name: str) -> Kept:
    """The documents of a TOML text. name: what it is called where something is wrong."""
    try:
        told = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        raise Refusal("invalid", str(error), f"{name}:{line[1]}" if line else name, "write it as TOML") from None
    return checked(Kept, told, name)


def read(path: Path) -> Kept:
    """The documents of a file. Refusal: it is not there, or something in it is wrong."""
    try:
        if path.stat().st_size > LARGEST:
            raise Refusal("large", f"the file is larger than {LARGEST >> 20} MB", str(path), "split it")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal("invalid", f"the file can't be read: {error}", str(path)) from None
    return of_text(text, str(path))


def put(desk: Desk, kind: str, document: Mapping[str, Any] | BaseModel) -> One:
    """Write a document: a new version, unless it says what the last one does. What goes by it (calendars: when things are due) is computed anew by a job."""
    known = _kind(kind)
    desk.demand(known.permission)
    if desk.actor.regions:
        raise Refusal("forbidden", f"a {kind} holds in all regions, and yours are {', '.join(desk.actor.regions)}", "region",
                      "ask a colleague of all regions")
    form: Any = document if isinstance(document, known.form) else checked(known.form, document, kind)
    told = form.model_dump(mode="json", by_alias=True)
    last = _last(desk, kind, form.key)
    if last is not None and last.document == told:
        return One(kind, form.key, last.version, form)
    version = 1 if last is None else last.version + 1
    desk.add(Template(kind=kind, key=form.key, version=version, document=told, written=desk.now, user_id=desk.actor.id or None))
    desk.record(f"{kind}.write", (kind, form.key), None if last is None else last.document, told)
    desk.emit(f"{kind}.change", form.key, {"id": form.key, "version": version})
    if kind == "calendar":
        from bss.working import job

        timetable.forget(desk)
        job.add(desk, "calendar.follow", f"calendar.follow of {form.key} {version}", {"key": form.key})
    return One(kind, form.key, version, form)


def put_all(desk: Desk, kept: Kept) -> list[One]:
    """Write all of a file, or nothing of it."""
    return [put(desk, kind, one) for kind in KINDS for one in getattr(kept, kind)]


def current(desk: Desk, kind: str, key: str) -> One:
    """The document that holds. Refusal `missing`: there is none of that key."""
    known = _kind(kind)
    last = _last(desk, kind, key)
    if last is not None:
        return One(kind, key, last.version, known.form.model_validate(last.document))
    if key not in known.standard:
        raise Refusal("missing", f"there is no {kind} {key!r}", kind, f"there are {', '.join(one.key for one in listed(desk, kind))}")
    return One(kind, key, 0, known.standard[key])


def version_of(desk: Desk, kind: str, key: str, version: int) -> Any:
    """A document as it was in a version, 0 the standard one. Refusal `missing`."""
    known = _kind(kind)
    row = desk.session.get(Template, (kind, key, version)) if version else None
    if row is not None:
        return known.form.model_validate(row.document)
    if version or key not in known.standard:
        raise Refusal("missing", f"there is no version {version} of the {kind} {key!r}", kind)
    return known.standard[key]


def listed(desk: Desk, kind: str) -> list[One]:
    """All documents of a kind that hold, by key."""
    known = _kind(kind)
    highest = select(Template.key, func.max(Template.version).label("version")).where(Template.kind == kind).group_by(Template.key).subquery()
    query = select(Template).join(highest, (Template.key == highest.c.key) & (Template.version == highest.c.version)).where(Template.kind == kind)
    written = {row.key: One(kind, row.key, row.version, known.form.model_validate(row.document)) for row in desk.session.execute(query).scalars()}
    return sorted({**{key: One(kind, key, 0, one) for key, one in known.standard.items()}, **written}.values(), key=lambda one: one.key)


def versions(desk: Desk, kind: str, key: str) -> Iterator[Template]:
    """What was written under a key, the newest first."""
    yield from desk.session.execute(select(Template).where(Template.kind == kind, Template.key == key).order_by(Template.version.desc())).scalars()


def _last(desk: Desk, kind: str, key: str) -> Template | None:
    query = select(Template).where(Template.kind == kind, Template.key == key).order_by(Template.version.desc()).limit(1)
    return desk.session.execute(query).scalar_one_or_none()


def _kind(kind: str) -> Kind:
    if kind not in KINDS:
        raise Refusal("invalid", f"{kind!r} is no kind of document", "kind", f"kinds are {', '.join(KINDS)}")
    return KINDS[kind]
