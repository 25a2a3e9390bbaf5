"""Events told to others: CloudEvents 1.0 (structured JSON) by HTTP POST, signed, at least once, those of one subject in order.

An event is written with what it tells of (Desk.emit). A worker lays it into the queue of each receiver of the settings, once; from there it goes when the
receiver has said 2xx. One that is away gets all of it later, and does not hold up the others; what one receiver refuses holds up that subject alone. A receiver
that gets an event twice knows it by its `id`. X-Fullspan-Signature is `t=SECONDS,v1=HEX`: HMAC-SHA256 with the secret over SECONDS, a dot and the body.
"""
from __future__ import annotations

import functools
import hashlib
import hmac
import json
import ssl
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import httpx
from sqlalchemy import delete, exists, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import aliased

from bss.desk import Desk
from bss.moment import iso
from bss.office import Office
from bss.people.scope import SYSTEM
from bss.refusal import Refusal
from bss.settings import Events, secret
from bss.tables import Delivery, Outbox, Receiver
from bss.working.job import LEASE, pause

LOT = 200               # events laid out, or read, at a time
TIMEOUT = 10.0          # s for a receiver to answer
PATIENCE = 3            # events in a row that are refused before the receiver is taken to be away
LAST = 300.0            # s at most before it is tried again
SOURCE = "/fullspan/bss"


class Told(NamedTuple):
    """An event that is to be told."""
    number: int
    body: bytes


def spread(desk: Desk) -> int:
    """Lay new events into the queue of every receiver; how many. Without receivers events wait. One worker at a time does it, so that none passes another."""
    names = [one.called for one in desk.office.settings.events]
    if not names:
        return 0
    query = select(Outbox.number, Outbox.subject).where(Outbox.sent.is_(None)).order_by(Outbox.number).limit(LOT).with_for_update()
    found = desk.session.execute(query).all()
    if found:
        rows = [{"receiver": name, "number": number, "subject": subject, "tries": 0} for name in names for number, subject in found]
        desk.session.execute(insert(Delivery), rows)
        desk.session.execute(update(Outbox).where(Outbox.number.in_([number for number, _ in found])).values(sent=desk.now))
    return len(found)


def deliver(office: Office, receiver: Events, worker: str, client: httpx.Client) -> int:
    """Tell one receiver what it is to be told now; how many it took. Another worker that tells it has precedence while its claim lasts."""
    name = receiver.called
    if not office.act(SYSTEM, lambda desk: _claim(desk, name, worker)):
        return 0
    told = failed = 0
    trouble = ""
    try:
        key = secret(receiver.secret_file, f"events {name}: secret_file")
        while failed < PATIENCE and (lot := office.act(SYSTEM, lambda desk: _due(desk, name))):
            for one in lot:
                wrong, away = _post(client, receiver.url, key, one.body, office.clock())
                failed = 0 if wrong is None else PATIENCE if away else failed + 1
                trouble = wrong if wrong and failed >= PATIENCE else ""
                if not office.act(SYSTEM, partial(_mark, name=name, worker=worker, number=one.number, wrong=wrong, away=away)):
                    return told
                told += wrong is None
                if wrong is not None:
                    break               # what comes next may be of the same subject: ask anew what is due
    except Refusal as error:
        trouble = str(error)
    finally:
        office.act(SYSTEM, lambda desk: _release(desk, name, worker, trouble))
    return told


def client() -> httpx.Client:
    """What receivers are told with: it follows no redirects, and believes whom this machine trusts."""
    return httpx.Client(timeout=TIMEOUT, follow_redirects=False, verify=_trust())


@functools.cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


def event(row: Outbox) -> dict[str, Any]:
    """The CloudEvent."""
    return {"specversion": "1.0", "id": row.id, "source": SOURCE, "type": row.type, "subject": row.subject, "time": iso(row.time),
            "datacontenttype": "application/json", "data": row.data}


def signature(key: str, now: int, body: bytes) -> str:
    """The header's value, as the probe signs its alerts."""
    return f"t={now},v1={hmac.new(key.encode(), f'{now}.'.encode() + body, hashlib.sha256).hexdigest()}"


def _post(client: httpx.Client, url: str, key: str, body: bytes, now: datetime) -> tuple[str | None, bool]:
    """What went wrong, None nothing; and whether the receiver is away altogether, or has refused this one."""
    headers = {"Content-Type": "application/cloudevents+json; charset=utf-8", "X-Fullspan-Signature": signature(key, int(now.timestamp()), body)}
    try:
        with client.stream("POST", url, content=body, headers=headers) as answer:       # the body of the answer is not read
            status = answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return f"{type(error).__name__}: {error}"[:400], True
    if 200 <= status < 300:
        return None, False
    return f"it answers {status}", status in (401, 403, 404, 429, 503) or status < 400


def _claim(desk: Desk, name: str, worker: str) -> bool:
    make: Any = (sqlite.insert if desk.office.database.lite else postgresql.insert)(Receiver)
    desk.session.execute(make.on_conflict_do_nothing(), {"name": name, "tries": 0, "trouble": ""})
    row = desk.session.scalars(select(Receiver).where(Receiver.name == name).with_for_update()).one()
    if row.next_try is not None and row.next_try > desk.now:
        return False
    if row.claimed_by not in (None, worker) and row.claimed_until is not None and row.claimed_until > desk.now:
        return False
    if not desk.session.scalar(select(exists().where(Delivery.receiver == name))):
        return False
    row.claimed_by, row.claimed_until = worker, desk.now + LEASE
    return True


def _due(desk: Desk, name: str) -> list[Told]:
    """The first event of each subject that waits for none before it, and those after it that may follow at once."""
    earlier = aliased(Delivery)
    held = exists().where(earlier.receiver == name, earlier.subject == Delivery.subject, earlier.number <= Delivery.number, earlier.next_try > desk.now)
    query = (select(Outbox).join(Delivery, Delivery.number == Outbox.number).where(Delivery.receiver == name, ~held).order_by(Outbox.number).limit(LOT))
    return [Told(row.number, json.dumps(event(row), ensure_ascii=False).encode()) for row in desk.session.scalars(query)]


def _mark(desk: Desk, name: str, worker: str, number: int, wrong: str | None, away: bool) -> bool:
    """Take an event from the queue that was told, or put off one that was refused; keep the claim. Whether it is still ours."""
    row = desk.session.scalars(select(Receiver).where(Receiver.name == name).with_for_update().execution_options(populate_existing=True)).one()
    if wrong is None:
        desk.session.execute(delete(Delivery).where(Delivery.receiver == name, Delivery.number == number))
        row.told, row.tries = desk.now, 0
    elif not away and (one := desk.session.get(Delivery, (name, number))) is not None:
        one.tries += 1
        one.next_try = desk.now + timedelta(seconds=min(pause(one.tries), LAST))
    if row.claimed_by != worker:
        return False
    row.claimed_until = desk.now + LEASE
    return True


def _release(desk: Desk, name: str, worker: str, trouble: str) -> None:
    row = desk.session.scalars(select(Receiver).where(Receiver.name == name).with_for_update().execution_options(populate_existing=True)).one()
    if row.claimed_by != worker:
        return
    row.claimed_by = row.claimed_until = None
    row.trouble = trouble[:400]
    if not trouble:
        row.tries, row.next_try = 0, None
    else:
        row.tries += 1
        row.next_try = desk.now + timedelta(seconds=min(pause(row.tries), LAST))
