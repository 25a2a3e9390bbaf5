"""Publishing: a document becomes a version of an offering or of the promises of a class. What was published never changes; what is new begins later."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import func, or_, select

from bss.catalogue.document import Catalogue, Sla, written
from bss.catalogue.document import Offering as Document
from bss.desk import Desk
from bss.refusal import Refusal
from bss.tables import Offering, SlaTerms


class Published(NamedTuple):
    """What became of one document. new: it was not there before as it is."""
    code: str
    version: int
    new: bool


def publish(desk: Desk, catalogue: Catalogue) -> list[Published]:
    """Publish all of a catalogue. Refusal: nothing of it is published, and the first thing that is wrong is said."""
    desk.demand("catalogue.write")
    named = {one.code for one in catalogue.offering}
    made = [_terms(desk, one) for one in catalogue.sla]
    for one in catalogue.offering:
        if one.sla and not desk.session.execute(select(SlaTerms.key).where(SlaTerms.key == one.sla).limit(1)).first():
            raise Refusal("invalid", f"there are no promises {one.sla!r}", f"offering {one.code}: sla", "publish them with it, or before it")
        for part in one.bundled:
            if part.code not in named and not desk.session.execute(select(Offering.code).where(Offering.code == part.code).limit(1)).first():
                raise Refusal("invalid", f"the bundle holds {part.code!r}, which is not sold", f"offering {one.code}: bundled", "publish that first")
        made.append(_offering(desk, one))
    for one in catalogue.offering:
        for part in one.bundled:
            if holding(desk, part.code, one.valid_from).kind == "bundle":
                raise Refusal("invalid", f"the bundle holds {part.code!r}, which is a bundle", f"offering {one.code}: bundled", "name what that holds")
    return made


def _offering(desk: Desk, document: Document) -> Published:
    kept = written(document)
    known = desk.session.execute(select(Offering).where(Offering.code == document.code).order_by(Offering.version)).scalars().all()
    last = known[-1] if known else None
    if last is not None:
        for one in known:
            if document_of(one) == document:          # what a later program adds to a document does not make it another one
                return Published(one.code, one.version, False)
        _later(last.valid_from, document.valid_from, f"offering {document.code}", last.version)
        if last.kind != document.kind:
            raise Refusal("conflict", f"it is a {last.kind}, and can't become a {document.kind}", f"offering {document.code}: kind", "give it another code")
        last.valid_to = document.valid_from if last.valid_to is None else min(last.valid_to, document.valid_from)
    version = 1 if last is None else last.version + 1
    row = Offering(code=document.code, version=version, kind=document.kind, class_=document.class_, valid_from=document.valid_from,
                   valid_to=document.valid_to, document=kept, created=desk.now)
    desk.add(row)
    desk.record("catalogue.publish", ("offering", document.code), after={"version": version, "valid_from": document.valid_from})
    desk.emit("productOffering.create", document.code, {"id": document.code, "version": version})
    return Published(document.code, version, True)


def _terms(desk: Desk, document: Sla) -> Published:
    kept = written(document)
    known = desk.session.execute(select(SlaTerms).where(SlaTerms.key == document.key).order_by(SlaTerms.version)).scalars().all()
    last = known[-1] if known else None
    if last is not None:
        for one in known:
            if Sla.model_validate(one.document) == document:
                return Published(one.key, one.version, False)
        _later(last.valid_from, document.valid_from, f"sla {document.key}", last.version)
        last.valid_to = document.valid_from if last.valid_to is None else min(last.valid_to, document.valid_from)
    version = 1 if last is None else last.version + 1
    desk.add(SlaTerms(key=document.key, version=version, valid_from=document.valid_from, valid_to=document.valid_to, document=kept))
    desk.record("catalogue.publish", ("sla_terms", document.key), after={"version": version, "valid_from": document.valid_from})
    return Published(document.key, version, True)


def _later(before: datetime, begin: datetime, where: str, version: int) -> None:
    if begin <= before:
        raise Refusal("conflict", f"version {version} holds since {before.isoformat()}, and what was published does not change", f"{where}: valid_from",
                      "give the new version a valid_from that is later")


def retire(desk: Desk, code: str, at: datetime, reason: str = "") -> Offering:
    """Sell an offering no longer, from a time on. Orders and services that have it keep it."""
    desk.demand("catalogue.write")
    if at < desk.now:
        raise Refusal("invalid", "an offering can't be retired in the past", "valid_to", "name a time to come, or now")
    row = holding(desk, code, at)
    row.valid_to = at
    if at <= row.valid_from:
        raise Refusal("conflict", f"version {row.version} begins then", "valid_to", "name a later time")
    desk.record("catalogue.retire", ("offering", code), after={"version": row.version, "valid_to": at}, reason=reason)
    desk.emit("productOffering.stateChange", code, {"id": code, "version": row.version, "valid_to": at})
    return row


def holding(desk: Desk, code: str, at: datetime) -> Offering:
    """The version of an offering that is sold at a time. Refusal `missing`: none is."""
    query = select(Offering).where(Offering.code == code, Offering.valid_from <= at, or_(Offering.valid_to.is_(None), Offering.valid_to > at))
    found = desk.session.execute(query.order_by(Offering.version.desc()).limit(1)).scalar_one_or_none()
    if found is None:
        raise Refusal("missing", f"no version of {code!r} is sold then", "productOffering", "fullspan bss catalogue list")
    return found


def version_of(desk: Desk, code: str, version: int) -> Offering:
    """A version of an offering, whether it is sold or not. Refusal `missing`."""
    found = desk.session.get(Offering, (code, version))
    if found is None:
        raise Refusal("missing", f"there is no version {version} of the offering {code!r}", "productOffering", "fullspan bss catalogue list")
    return found


def document_of(row: Offering) -> Document:
    """What a version says."""
    return Document.model_validate(row.document)


def newest(kinds: Iterable[str] = (), at: datetime | None = None, code: str = "") -> Any:
    """A query of offerings: of these kinds, sold at a time; without a time the newest version of each."""
    query = select(Offering)
    if kinds := tuple(kinds):
        query = query.where(Offering.kind.in_(kinds))
    if code:
        query = query.where(Offering.code == code)
    if at is not None:
        query = query.where(Offering.valid_from <= at, or_(Offering.valid_to.is_(None), Offering.valid_to > at))
    elif not code:
        last = select(Offering.code, func.max(Offering.version).label("version")).group_by(Offering.code).subquery()
        query = query.join(last, (Offering.code == last.c.code) & (Offering.version == last.c.version))
    return query.order_by(Offering.code, Offering.version)


def summary(row: Offering) -> Mapping[str, Any]:
    """A line of a list."""
    names = row.document["name"]
    return {"code": row.code, "version": row.version, "kind": row.kind, "class": row.class_, "name": names["en"], "name_zh": names["zh"],
            "valid_from": row.valid_from, "valid_to": row.valid_to}
