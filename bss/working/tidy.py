"""What is of no use any more goes: done jobs, told events, ended log-ins, answers to old requests, ids of old alarms. Nothing that people look for is
among it."""
from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, exists, or_, select

from bss.desk import Desk
from bss.tables import AlarmEvent, Delivery, Idempotency, Job, Login, Outbox, Worker

JOBS = timedelta(days=30)
ANSWERS = timedelta(days=7)
WORKERS = timedelta(days=1)
TOLD = timedelta(days=180)
LOT = 5000              # rows of one table at a time: the rest goes with the next round


def tidy(desk: Desk, argument: Mapping[str, Any]) -> dict[str, int]:
    """One round; how many rows of each table went."""
    now, limits, session = desk.now, desk.office.settings, desk.session
    ended = or_(Login.seen < now - timedelta(minutes=limits.session_minutes), Login.since < now - timedelta(hours=limits.session_hours))
    told = (Outbox.sent < now - timedelta(days=limits.events_days), ~exists().where(Delivery.number == Outbox.number))
    gone: dict[str, int] = {}
    for column, condition in ((Job.id, (Job.done < now - JOBS, Job.trouble == "")), (Outbox.number, told), (Login.id, (ended,)),
                              (Worker.name, (Worker.seen < now - WORKERS,))):
        keys = session.scalars(select(column).where(*condition).limit(LOT)).all()       # type: ignore[arg-type]
        table = column.class_
        for k in range(0, len(keys), 500):
            session.execute(delete(table).where(column.in_(keys[k:k + 500])))       # type: ignore[attr-defined]
        gone[table.__tablename__] = len(keys)
    old = session.execute(select(Idempotency.user_id, Idempotency.key).where(Idempotency.time < now - ANSWERS).limit(LOT)).all()
    for user_id, key in old:
        session.execute(delete(Idempotency).where(Idempotency.user_id == user_id, Idempotency.key == key))
    gone["idempotency"] = len(old)
    # told again so late, an event is older than what its alarm says by then, and changes nothing
    known = session.execute(select(AlarmEvent.source, AlarmEvent.event_id).where(AlarmEvent.taken < now - TOLD).limit(LOT)).all()
    for source, event_id in known:
        session.execute(delete(AlarmEvent).where(AlarmEvent.source == source, AlarmEvent.event_id == event_id))
    gone["alarm_event"] = len(known)
    return gone
