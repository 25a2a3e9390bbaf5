"""What processes that are killed do (killing.py)."""
from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from bss.desk import Desk
from bss.office import Office
from bss.people.scope import SYSTEM
from bss.tables import Contact, Customer, Job, Party, Transition
from bss.working import job, kinds, outbox, worker

LEASE = timedelta(seconds=1)
kinds.KINDS["test.deed"] = kinds.Kind("tests.bss.deeds:deed")


def customer(office: Office, n: int) -> str:
    """An act of some rows, on record and told of."""
    def make(desk: Desk) -> str:
        party = desk.add(Party(kind="individual", name=f"Customer {n}", created=desk.now))
        for medium in ("phone", "email"):
            desk.add(Contact(party_id=party.id, medium=medium, value=f"{medium} {n}"))
        made = desk.add(Customer(number=f"N{n}", party_id=party.id, class_="home", region="贵阳", created=desk.now))
        desk.record("customer.create", made, after={"number": made.number})
        desk.emit("customer.create", made.id, {"id": made.id})
        return made.number

    return office.act(SYSTEM, make)


def deed(desk: Desk, argument: Mapping[str, Any]) -> None:
    """A job of two halves."""
    for half in ("first", "second"):
        desk.add(Transition(entity="deed", entity_id=str(argument["n"]), from_state=str(os.getpid()), to_state=half, time=desk.now))
        time.sleep(0.004)


def work(office: Office, n: int) -> str:
    """A worker's step."""
    return str(worker.step(office, f"victim-{os.getpid()}", LEASE))


def share(office: Office) -> int:
    """Do jobs as workers do, who are not taken for dead where the machine is busy."""
    return drain(office, job.LEASE)


def drain(office: Office, lease: timedelta = LEASE) -> int:
    """Do jobs until all are done; how many."""
    done = 0
    while True:
        done += worker.step(office, f"worker-{os.getpid()}", lease)
        time.sleep(0.005)           # SQLite is not fair to who waits
        with office.reading() as desk:
            if not desk.session.query(Job.id).filter(Job.done.is_(None)).first():
                return done


def tell(office: Office, n: int) -> str:
    """An event that is written, and one receiver told of what is in its queue."""
    office.act(SYSTEM, lambda desk: desk.emit("test", f"S{n % 3}", {"n": n}))
    office.act(SYSTEM, outbox.spread)
    with outbox.client() as client:
        outbox.deliver(office, office.settings.events[0], f"victim-{os.getpid()}", client)
    return str(n)
