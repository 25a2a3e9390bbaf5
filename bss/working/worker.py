"""The worker: does what is due, tells others what happened, again and again. Any number of them may run, here or elsewhere; each job is done by one.

It is stopped between two jobs. Killed, it leaves nothing half written: what it had claimed is taken over when the claim has run out.
"""
from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from bss.desk import Desk
from bss.office import Office
from bss.people.scope import SYSTEM
from bss.refusal import Refusal
from bss.tables import Job, Worker
from bss.working import job, outbox
from bss.working.job import LEASE, Claim
from bss.working.kinds import KINDS, function_of

IDLE = 1.0              # s between two looks where there is nothing to do
BEAT = 10.0             # s between two signs of life
log = logging.getLogger("fullspan.bss.worker")


def run(office: Office, stop: threading.Event, *, lease: timedelta = LEASE, idle: float = IDLE) -> int:
    """Work until it is stopped; how many jobs were done."""
    me = f"{socket.gethostname()[:30]}-{os.getpid()}-{secrets.token_hex(4)}"
    begun, done = office.clock(), [0]

    def beat() -> None:
        office.act(SYSTEM, lambda desk: _seen(desk, me, begun, done[0]))

    loops = [_loop(beat, stop, BEAT, "heartbeat")]
    client = outbox.client()
    if office.settings.events:
        loops.append(_loop(lambda: office.act(SYSTEM, outbox.spread), stop, idle, "events"))
    for receiver in office.settings.events:
        loops.append(_loop(lambda receiver=receiver: outbox.deliver(office, receiver, me, client), stop, idle, f"events to {receiver.called}"))     # type: ignore[misc]
    planned: set[str] = set()

    def work() -> int:
        plan(office, planned)
        found = step(office, me, lease)
        done[0] += found
        return found

    try:
        _again(work, stop, idle, "jobs")
    finally:
        stop.set()
        for one in loops:
            one.join()
        client.close()
        with contextlib.suppress(Refusal):
            office.act(SYSTEM, lambda desk: _gone(desk, me))
    return done[0]


def once(office: Office) -> int:
    """Do everything that is due, tell all who can be reached, and end; how many jobs were done."""
    me, done = f"once-{os.getpid()}-{secrets.token_hex(4)}", 0
    plan(office, set())
    while step(office, me, LEASE):
        done += 1
    while office.act(SYSTEM, outbox.spread):
        pass
    with outbox.client() as client:
        for receiver in office.settings.events:
            outbox.deliver(office, receiver, me, client)
    return done


def plan(office: Office, planned: set[str]) -> None:
    """Ask for the duties of this time. planned: those that were asked for before; it forgets earlier slots."""
    now = office.clock().timestamp()
    slots = {f"{name} {int(now // kind.every * kind.every)}": name for name, kind in KINDS.items() if kind.every}
    for key in slots.keys() - planned:
        slot = datetime.fromtimestamp(int(key.rpartition(" ")[2]), UTC)
        office.act(SYSTEM, lambda desk, key=key, slot=slot: _plan(desk, slots[key], key, slot))      # type: ignore[misc]
    planned.clear()
    planned.update(slots)


def step(office: Office, me: str, lease: timedelta) -> int:
    """Do one job; 0 where none is due."""
    found = office.act(SYSTEM, lambda desk: job.claim(desk, me, lease))
    if found is None:
        return 0
    if not found.kind:
        log.error("job %s was given up: its worker ended each time", found.id)
        return 1
    try:
        if _do(office, found, me, lease):
            log.info("job %s (%s) is done", found.id, found.kind)
        else:
            log.warning("job %s (%s) was taken over by another worker: what was done of it here is undone", found.id, found.kind)
    except Exception as error:
        log.warning("job %s (%s), try %d: %s", found.id, found.kind, found.tries, error, exc_info=not isinstance(error, Refusal))
        office.act(SYSTEM, lambda desk, error=error: job.fail(desk, found, me, error))        # type: ignore[misc]
    return 1


def _do(office: Office, found: Claim, me: str, lease: timedelta) -> bool:
    kind = KINDS.get(found.kind)
    if kind is None:
        raise Refusal("away", f"this program knows no job {found.kind!r}", mend="run the version that asked for it")
    function = function_of(kind)
    if kind.outside:
        with _keeping(office, found, me, lease):
            function(office, found.argument)
        return office.act(SYSTEM, lambda desk: job.finish(desk, found, me))

    def inside(desk: Desk) -> bool:
        # the row is locked from here to the end of the transaction: what the job writes and that it is done are one
        if job.held(desk, found, me) is None:
            return False
        function(desk, found.argument)
        return job.finish(desk, found, me)

    return office.act(SYSTEM, inside)


@contextlib.contextmanager
def _keeping(office: Office, found: Claim, me: str, lease: timedelta) -> Iterator[None]:
    """Renew a claim while something lasts."""
    stop = threading.Event()
    loop = _loop(lambda: office.act(SYSTEM, lambda desk: job.renew(desk, found, me, lease)), stop, lease.total_seconds() / 3, "claim", at_once=False)
    try:
        yield
    finally:
        stop.set()
        loop.join()


def _loop(what: Callable[[], object], stop: threading.Event, idle: float, name: str, at_once: bool = True) -> threading.Thread:
    def run_it() -> None:
        if not at_once:
            stop.wait(idle)
        _again(what, stop, idle, name, busy=name not in ("heartbeat", "claim"))

    thread = threading.Thread(target=run_it, name=name, daemon=True)
    thread.start()
    return thread


def _again(what: Callable[[], object], stop: threading.Event, idle: float, name: str, busy: bool = True) -> None:
    """Do something until it is stopped: at once again where there was something to do. A database that is away is waited for."""
    while not stop.is_set():
        try:
            if what() and busy:
                continue
        except Refusal as error:
            log.warning("%s: %s", name, error)
        except Exception:
            log.exception("%s", name)
        stop.wait(idle)


def _plan(desk: Desk, kind: str, key: str, slot: datetime) -> None:
    waiting = desk.session.query(Job.id).filter(Job.kind == kind, Job.done.is_(None), Job.key.like(f"{kind} %")).first()
    if waiting is None:             # one that waits for its next try does for this slot too
        job.add(desk, kind, key, {"slot": slot.isoformat()})


def _seen(desk: Desk, me: str, begun: datetime, done: int) -> None:
    row = desk.session.get(Worker, me)
    if row is None:
        desk.session.add(Worker(name=me, since=begun, seen=desk.now, done=done))
    else:
        row.seen, row.done = desk.now, done


def _gone(desk: Desk, me: str) -> None:
    row = desk.session.get(Worker, me)
    if row is not None:
        desk.session.delete(row)
