"""Jobs: asked for with what needs them, in one transaction; done once, by whichever worker comes first.

A claim is a transaction of its own, that counts the try: a job whose worker dies is taken over when its claim has run out, and one that kills every worker is
given up in the end. Two workers never claim one: PostgreSQL skips rows that another one holds, SQLite has one writer at a time.
"""
from __future__ import annotations

import json
import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Select, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from bss import identifier
from bss.desk import Desk
from bss.refusal import Refusal
from bss.tables import Job
from bss.working.kinds import KINDS

LEASE = timedelta(seconds=60)           # after which a job is taken over from a worker that is not heard of
MOST = 50                               # tries, about two days
FIRST, LAST = 5.0, 3600.0               # s between tries


class Claim(NamedTuple):
    """A job that is ours until the claim runs out. tries: with this one, which is also what tells this claim from a later one of the same worker."""
    id: str
    kind: str
    argument: dict[str, Any]
    tries: int


def add(desk: Desk, kind: str, key: str, argument: Mapping[str, Any] | None = None, *, due: datetime | None = None,
        personal: Mapping[str, Any] | None = None) -> bool:
    """Ask for a job; whether it is new. key: asked for twice, a job is done once, for as long as done jobs are kept (30 days). due: not before. personal:
    what of the argument is of a person, kept sealed: the function gets it with the rest."""
    if kind not in KINDS:
        raise KeyError(kind)
    if len(key) > 200:
        raise ValueError(f"a key of {len(key)} characters")
    insert: Any = (sqlite.insert if desk.office.database.lite else postgresql.insert)(Job)
    made = desk.session.execute(insert.on_conflict_do_nothing(index_elements=["key"]).returning(Job.id), {
        "id": identifier.fresh("J"), "kind": kind, "key": key, "argument": json.loads(json.dumps(dict(argument or {}), default=str)),
        "personal": json.dumps(dict(personal), ensure_ascii=False, default=str) if personal else None, "due": due or desk.now, "tries": 0, "trouble": ""})
    return made.first() is not None


def claim(desk: Desk, worker: str, lease: timedelta = LEASE) -> Claim | None:
    """The job that is due the longest, which is ours now; None: none is due."""
    free = or_(Job.claimed_until.is_(None), Job.claimed_until <= desk.now)
    query = select(Job).where(Job.done.is_(None), Job.due <= desk.now, free).order_by(Job.due, Job.id).limit(1).with_for_update(skip_locked=True)
    job = desk.session.scalars(query).first()
    if job is None:
        return None
    if job.tries >= MOST:               # each of its workers died
        job.done, job.trouble = desk.now, job.trouble or "its worker ended each time"
        return Claim(job.id, "", {}, job.tries)
    job.tries += 1
    job.claimed_by, job.claimed_until = worker, desk.now + lease
    return Claim(job.id, job.kind, {**job.argument, **(json.loads(job.personal) if job.personal else {})}, job.tries)


def held(desk: Desk, claim: Claim, worker: str) -> Job | None:
    """The row of a job that is still ours, locked; None: it was taken over, or is done."""
    job = desk.session.scalars(select(Job).where(Job.id == claim.id).with_for_update().execution_options(populate_existing=True)).first()
    return job if job is not None and job.done is None and job.claimed_by == worker and job.tries == claim.tries else None


def finish(desk: Desk, claim: Claim, worker: str) -> bool:
    """Mark a job as done, if it is still ours."""
    job = held(desk, claim, worker)
    if job is None:
        return False
    job.done, job.claimed_by, job.claimed_until, job.trouble, job.personal = desk.now, None, None, "", None
    return True


def fail(desk: Desk, claim: Claim, worker: str, error: BaseException) -> None:
    """A try has failed: again later, each time after longer, until it is given up. A refusal `invalid` is final."""
    job = held(desk, claim, worker)
    if job is None:
        return
    job.trouble = (str(error) if isinstance(error, Refusal) else f"{type(error).__name__}: {error}").replace("\0", "")[:400]
    job.claimed_by = job.claimed_until = None
    if job.tries >= MOST or isinstance(error, Refusal) and error.kind == "invalid":
        job.done = desk.now
    else:
        job.due = desk.now + timedelta(seconds=pause(job.tries))


def renew(desk: Desk, claim: Claim, worker: str, lease: timedelta = LEASE) -> bool:
    """Keep a job that takes long."""
    job = held(desk, claim, worker)
    if job is not None:
        job.claimed_until = desk.now + lease
    return job is not None


def pause(tries: int) -> float:
    """Seconds before the next try."""
    return min(LAST, FIRST * 2.0 ** min(tries - 1, 20)) * random.uniform(0.8, 1.2)


def search(desk: Desk, waiting: bool = False, trouble: bool = False, kind: str = "") -> Select[tuple[Job]]:
    """Jobs, what is due first. waiting: not done; trouble: those that failed, or were given up."""
    desk.demand("system.run")
    query = desk.select(Job).order_by(Job.due, Job.id)
    if waiting:
        query = query.where(Job.done.is_(None))
    if trouble:
        query = query.where(Job.trouble != "")
    return query.where(Job.kind == kind) if kind else query


def again(desk: Desk, job_id: str) -> Job:
    """Try a job once more that was given up or waits for its next try."""
    desk.demand("system.run")
    job = desk.find(Job, job_id, lock=True)
    if job.done is not None and not job.trouble:
        raise Refusal("conflict", f"job {job_id} is done", "id", "look at those with trouble")
    if job.claimed_until is not None and job.claimed_until > desk.now:
        raise Refusal("conflict", f"job {job_id} is being done", "id", "wait")
    job.done, job.due, job.tries = None, desk.now, 0
    desk.record("job.again", job, after={"kind": job.kind})
    return job
