"""The audit log: every change and every read of what is one person's, in a chain that an edited or missing row breaks.

hash = SHA-256(hash before, number, time, actor, action, entity, entity_id, reason, detail). The detail is sealed, so that the log itself gives nobody away;
the hash is of the sealed bytes, and the chain can be checked without the ring. What a transaction adds is written at its end, all at once, with the head
locked: the order of the chain is that of commits, and nobody waits for the head while another one still looks things up. Whoever asked is answered after the
commit. Rows can't be changed or removed by the database's own triggers (migrations/).
"""
from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, bindparam, event, insert, select, update
from sqlalchemy.orm import Session

from bss.asking import concluded, driven
from bss.database import ENDINGS
from bss.refusal import Refusal
from bss.sealing import ring
from bss.tables import AuditHead, AuditRow

if TYPE_CHECKING:
    from bss.desk import Desk

FIRST = bytes(32)
WAITING = "audit.waiting"       # of a session: rows that are not written yet
_END = AuditHead.__table__
_HEAD = select(_END.c.number, _END.c.hash).where(_END.c.id == 1).with_for_update()
_INSERT = insert(AuditRow)
_MOVE = update(AuditHead).where(_END.c.id == 1).values(number=bindparam("last"), hash=bindparam("end"), before=bindparam("prior"))
#: The same as _hash, by the database itself.
_CHAIN = """WITH head AS (UPDATE audit_head SET number = number + 1, before = hash, hash = sha256(hash ||
 int4send(length((number + 1)::text)) || convert_to((number + 1)::text, 'UTF8') || CAST(%(rest)s AS bytea)) WHERE id = 1 RETURNING number, before, hash)
INSERT INTO audit (number, time, actor, action, entity, entity_id, reason, detail, before, hash) SELECT number,
CAST(%(time)s AS timestamptz), CAST(%(actor)s AS text), CAST(%(action)s AS text), CAST(%(entity)s AS text), CAST(%(entity_id)s AS text),
CAST(%(reason)s AS text), CAST(%(detail)s AS bytea), before, hash FROM head RETURNING number"""


def add(session: Session, time: datetime, actor: str, action: str, entity: str, entity_id: str, reason: str = "",
        detail: dict[str, Any] | None = None) -> None:
    """Have a row added to the chain when the transaction ends. detail: what was before and after; None: nothing beside that it was done."""
    sealed = None if detail is None else ring().seal(json.dumps(detail, ensure_ascii=False, sort_keys=True, default=str).encode())
    session.info.setdefault(WAITING, []).append({"time": time.astimezone(UTC), "actor": actor, "action": action, "entity": entity, "entity_id": entity_id,
                                                 "reason": reason[:400], "detail": sealed})


@event.listens_for(Session, "before_commit")
def conclude(session: Session) -> None:
    """Write what waits, at the end of the chain: the last thing of each transaction, which ends with it."""
    write(session, last=True)


def write(session: Session, last: bool = False) -> None:
    """Write what waits, at the end of the chain. last: the transaction is to be committed with it."""
    waiting: list[dict[str, Any]] | None = session.info.pop(WAITING, None)
    if not waiting:
        return
    session.flush()
    if session.get_bind().dialect.name == "postgresql":
        given = [{**row, "rest": _rest(**row)} for row in waiting]
        # one exchange together with the commit, so that nobody waits for the head while we wait for a processor
        found = concluded(session, _CHAIN, given) if last else [driven(session, _CHAIN, one).fetchone() for one in given]
        if not all(found):
            raise Refusal("away", "the audit log has no head", "audit_head", "restore a backup")
        return
    connection = session.connection()
    number, before = connection.execute(_HEAD).one()
    for row in waiting:
        number, head = number + 1, before
        before = _hash(head, number, _rest(**row))
        row.update(number=number, before=head, hash=before)
    connection.execute(_INSERT, waiting)
    connection.execute(_MOVE, {"last": number, "end": before, "prior": head})


ENDINGS.append(write)


@event.listens_for(Session, "after_rollback")
def forget(session: Session) -> None:
    """What was undone is not on record."""
    session.info.pop(WAITING, None)


def link(row: AuditRow) -> bytes:
    """The hash of a row."""
    return _hash(row.before, row.number, _rest(row.time, row.actor, row.action, row.entity, row.entity_id, row.reason, row.detail))


def _hash(before: bytes, number: int, rest: bytes) -> bytes:
    return hashlib.sha256(before + _part(str(number)) + rest).digest()


def _rest(time: datetime, actor: str, action: str, entity: str, entity_id: str, reason: str, detail: bytes | None) -> bytes:
    """What is hashed of a row after its number."""
    said = b"".join(map(_part, (time.isoformat(), actor, action, entity, entity_id, reason)))
    return said + (b"\0" if detail is None else b"\1" + bytes(detail))


def _part(text: str) -> bytes:
    written = text.encode()
    return len(written).to_bytes(4, "big") + written


def check(session: Session) -> int:
    """Walk the whole chain; how many rows it has. Refusal: the first row that is not as it was written, or is missing."""
    before, count = FIRST, 0
    for row in session.execute(select(AuditRow).order_by(AuditRow.number).execution_options(yield_per=1000)).scalars():
        count += 1
        if row.number != count:
            raise Refusal("conflict", f"row {count} of the audit log is missing", "audit", "compare with a backup")
        if bytes(row.before) != before or link(row) != bytes(row.hash):
            raise Refusal("conflict", f"row {row.number} of the audit log is not as it was written", "audit", "compare with a backup")
        before = bytes(row.hash)
    head = session.get_one(AuditHead, 1)
    if head.number != count or bytes(head.hash) != before:
        raise Refusal("conflict", f"rows {count + 1} to {head.number} of the audit log are missing", "audit", "compare with a backup")
    return count


def search(desk: Desk, entity: str = "", entity_id: str = "", actor: str = "", action: str = "", since: datetime | None = None,
           until: datetime | None = None) -> Select[tuple[AuditRow]]:
    """Rows, the newest first, of a half-open time. Refusal: a time without a zone."""
    desk.demand("audit.read")
    query = desk.select(AuditRow).order_by(AuditRow.number.desc())
    for column, wanted in ((AuditRow.entity, entity), (AuditRow.entity_id, entity_id), (AuditRow.actor, actor), (AuditRow.action, action)):
        if wanted:
            query = query.where(column == wanted)
    for moment in (since, until):
        if moment is not None and moment.tzinfo is None:
            raise Refusal("invalid", f"{moment.isoformat()} has no offset from UTC", "since, until", "write it as 2026-12-01T08:00:00+08:00")
    if since is not None:
        query = query.where(AuditRow.time >= since)
    return query if until is None else query.where(AuditRow.time < until)


def open_detail(desk: Desk, reason: str, asked: dict[str, Any]) -> None:
    """Put on record that somebody reads details, which may hold what is of a person. Refusal: he does not say why."""
    desk.demand("audit.read")
    if not reason.strip():
        raise Refusal("invalid", "a reason is needed to see details", "reason", "give a ticket's number or a sentence")
    desk.record("audit.read", ("audit", ""), after=asked, reason=reason)


def detail(row: AuditRow) -> dict[str, Any] | None:
    """What was before and after; None: nothing beside that it was done."""
    if row.detail is None:
        return None
    told: dict[str, Any] = json.loads(ring().open(bytes(row.detail)))
    return told
