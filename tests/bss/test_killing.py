"""Nothing is half written and nothing acknowledged is lost when processes are killed; two workers on one job do it once."""
from __future__ import annotations

import time
from collections import Counter

import pytest

from bss import audit
from bss.office import Office
from bss.people.scope import SYSTEM
from bss.tables import AuditRow, Contact, Customer, Job, Outbox, Party, Transition
from bss.working import job
from tests.bss import deeds, killing

pytestmark = pytest.mark.both


def ask(office: Office, count: int) -> None:
    office.act(SYSTEM, lambda desk: [job.add(desk, "test.deed", f"deed {n}", {"n": n}) for n in range(count)])


def done_once(office: Office, count: int) -> Counter[str]:
    """By whom each was done."""
    with office.reading() as desk:
        rows = desk.session.query(Transition.entity_id, Transition.to_state, Transition.from_state).filter(Transition.entity == "deed").all()
    assert Counter((n, half) for n, half, _ in rows) == Counter((str(n), half) for n in range(count) for half in ("first", "second"))
    return Counter(pid for _, half, pid in rows if half == "first")


def test_acts_of_a_killed_process_are_there_whole_or_not_at_all(office: Office) -> None:
    acknowledged = killing.kills(office.settings, "tests.bss.deeds:customer", 20)
    with office.reading() as desk:
        session = desk.session
        numbers = {number: (key, party) for number, key, party in session.query(Customer.number, Customer.id, Customer.party_id)}
        assert set(acknowledged) <= set(numbers) and len(acknowledged) >= 10 and len(numbers) - len(acknowledged) <= 20
        keys, parties = {key for key, _ in numbers.values()}, {party for _, party in numbers.values()}
        assert {row.entity_id for row in session.query(AuditRow)} == keys == {row.subject for row in session.query(Outbox)}
        assert {key for key, in session.query(Party.id)} == parties
        assert Counter(key for key, in session.query(Contact.party_id)) == dict.fromkeys(parties, 2)
        assert audit.check(session) == len(numbers)


def test_jobs_of_killed_workers_are_done_once(office: Office) -> None:
    real = Office(office.settings)
    ask(real, 300)
    killing.kills(office.settings, "tests.bss.deeds:work", 20)
    with real.reading() as desk:
        left = desk.session.query(Job.id).filter(Job.done.is_(None)).count()
        orphaned = desk.session.query(Job.id).filter((Job.tries > 1) | Job.done.is_(None) & Job.claimed_by.isnot(None)).count()
        assert orphaned > 3 and left < 300
        for other in desk.session.query(Job).filter(Job.done.is_(None), Job.claimed_by.is_(None)).order_by(Job.id).offset(20):
            desk.session.delete(other)              # what nobody had touched says nothing
    time.sleep(deeds.LEASE.total_seconds())
    deeds.drain(real)
    with real.reading() as desk:
        wanted = {str(one.argument["n"]) for one in desk.session.query(Job)}
        rows = desk.session.query(Transition.entity_id, Transition.to_state).filter(Transition.entity == "deed").all()
    assert Counter(map(tuple, rows)) == Counter((n, half) for n in wanted for half in ("first", "second"))
    real.close()


def test_two_workers_do_each_of_200_jobs_once(office: Office) -> None:
    real = Office(office.settings)
    ask(real, 200)
    workers = [killing.start(office.settings, "tests.bss.deeds:share") for _ in range(2)]
    for one in workers:
        assert one.stdout and one.stdout.readline() == "ready\n"
    for one in workers:
        assert one.stdin
        one.stdin.write("go\n")
        one.stdin.flush()
    told = [int(one.communicate(timeout=60)[0]) for one in workers]
    shares = done_once(real, 200)
    assert sum(told) == 200 and len(shares) == 2 and all(one.returncode == 0 for one in workers)
    real.close()
