"""Jobs and duties, as a worker does them."""
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from bss.desk import Desk
from bss.office import Office
from bss.people.scope import SYSTEM
from bss.refusal import Refusal
from bss.tables import Idempotency, Job, Login, Outbox, Transition, Worker
from bss.working import job, kinds, worker
from bss.working.tidy import tidy
from tests.bss import killing
from tests.bss.conftest import Clock

pytestmark = pytest.mark.both

LEASE = timedelta(seconds=60)
DONE: list[Any] = []
FAILING: list[BaseException] = []


def deed(desk: Desk, argument: Mapping[str, Any]) -> None:
    desk.add(Transition(entity="deed", entity_id=str(argument.get("n", "")), from_state="", to_state="", time=desk.now))
    DONE.append(dict(argument))
    if FAILING:
        raise FAILING.pop()


def talk(office: Office, argument: Mapping[str, Any]) -> None:
    DONE.append(dict(argument))
    if FAILING:
        raise FAILING.pop()


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "KINDS", kinds.KINDS)
    for name, kind in {"test.deed": kinds.Kind(f"{__name__}:deed"), "test.talk": kinds.Kind(f"{__name__}:talk", outside=True)}.items():
        monkeypatch.setitem(kinds.KINDS, name, kind)
    monkeypatch.setitem(sys.modules, __name__, sys.modules[deed.__module__])
    DONE.clear()
    FAILING.clear()


def jobs(office: Office) -> list[Job]:
    with office.reading() as desk:
        return desk.session.query(Job).order_by(Job.key).all()


def ask(office: Office, kind: str, key: str, argument: Mapping[str, Any] | None = None, **given: Any) -> bool:
    return office.act(SYSTEM, lambda desk: job.add(desk, kind, key, argument, **given))


def test_a_job_is_done_once_when_it_is_due(office: Office, clock: Clock) -> None:
    assert ask(office, "test.deed", "a", {"n": 1}, due=clock.now + timedelta(minutes=1)) and not ask(office, "test.deed", "a", {"n": 2})
    assert worker.step(office, "w", LEASE) == 0
    clock.forward(minutes=1)
    assert worker.step(office, "w", LEASE) == 1 and worker.step(office, "w", LEASE) == 0 and DONE == [{"n": 1}]
    assert not ask(office, "test.deed", "a") and jobs(office)[0].done == clock.now


def test_a_job_that_was_not_asked_for_in_the_end_is_none(office: Office) -> None:
    with pytest.raises(RuntimeError), office.writing() as desk:
        job.add(desk, "test.deed", "a")
        raise RuntimeError
    assert not jobs(office)


@pytest.mark.parametrize("kind", ["test.deed", "test.talk"])
def test_a_failed_try_leaves_nothing_and_is_made_again_later(office: Office, clock: Clock, kind: str) -> None:
    ask(office, kind, "a", {"n": 1})
    waited = []
    for tries in range(1, 6):
        FAILING.append(RuntimeError("the printer is on fire"))
        assert worker.step(office, "w", LEASE) == 1
        found = jobs(office)[0]
        assert found.tries == tries and "on fire" in found.trouble and found.done is None and worker.step(office, "w", LEASE) == 0
        waited.append((found.due - clock.now).total_seconds())
        clock.now = found.due
    assert all(b > 1.3 * a for a, b in zip(waited, waited[1:], strict=False))
    assert worker.step(office, "w", LEASE) == 1 and jobs(office)[0].trouble == "" and jobs(office)[0].done
    with office.reading() as desk:
        assert desk.session.query(Transition).count() == (kind == "test.deed")


def test_what_can_never_be_done_is_given_up_and_may_be_tried_again(office: Office, clock: Clock) -> None:
    ask(office, "test.deed", "a")
    FAILING.append(Refusal("invalid", "no such address"))
    worker.step(office, "w", LEASE)
    found = jobs(office)[0]
    assert found.done and found.trouble == "no such address"
    with office.reading() as desk:
        assert desk.session.execute(job.search(desk, trouble=True)).scalars().all()
    office.act(SYSTEM, lambda desk: job.again(desk, found.id))
    worker.step(office, "w", LEASE)
    assert jobs(office)[0].trouble == "" and len(DONE) == 2


def test_a_job_that_kills_every_worker_is_given_up(office: Office, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "MOST", 3)
    ask(office, "test.deed", "a")
    for _ in range(3):
        assert office.act(SYSTEM, lambda desk: job.claim(desk, "w", LEASE))
        assert office.act(SYSTEM, lambda desk: job.claim(desk, "v", LEASE)) is None
        clock.forward(seconds=61)
    assert worker.step(office, "w", LEASE) == 1 and jobs(office)[0].trouble and not DONE and worker.step(office, "w", LEASE) == 0


def test_who_was_too_slow_does_not_do_it_too(office: Office, clock: Clock) -> None:
    ask(office, "test.deed", "a")
    slow = office.act(SYSTEM, lambda desk: job.claim(desk, "slow", LEASE))
    assert slow
    clock.forward(seconds=61)
    assert worker.step(office, "quick", LEASE) == 1
    assert not worker._do(office, slow, "slow", LEASE) and not office.act(SYSTEM, lambda desk: job.finish(desk, slow, "slow")) and len(DONE) == 1


def test_who_takes_long_outside_keeps_its_claim(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Office(office.settings)
    ask(real, "test.talk", "a")
    seen = []

    def long(office: Office, argument: Mapping[str, Any]) -> None:
        for _ in range(6):
            time.sleep(0.1)
            seen.append(office.act(SYSTEM, lambda desk: job.claim(desk, "other", LEASE)))

    monkeypatch.setattr(sys.modules[__name__], "talk", long)
    worker.step(real, "w", timedelta(seconds=0.3))
    assert seen == [None] * 6 and jobs(real)[0].done and jobs(real)[0].tries == 1
    real.close()


def test_what_a_job_knows_of_a_person_is_sealed_and_goes_with_it(office: Office) -> None:
    ask(office, "test.deed", "a", {"n": 1}, personal={"to": "unmistakable@example.cn"})
    with office.reading() as desk:
        row = desk.session.execute(text("SELECT personal, argument FROM job")).one()
        assert not any(b"unmistakable" in one for one in (bytes(row[0]), str(row[1]).encode()))
    worker.step(office, "w", LEASE)
    assert DONE == [{"n": 1, "to": "unmistakable@example.cn"}]
    assert jobs(office)[0].personal is None


def test_a_duty_is_done_once_a_slot(office: Office, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name, kind in kinds.KINDS.items() if kind.every]:
        monkeypatch.delitem(kinds.KINDS, name)
    monkeypatch.setitem(kinds.KINDS, "test.deed", kinds.Kind(f"{__name__}:deed", every=300))
    for _ in range(3):
        planned: tuple[set[str], set[str]] = (set(), set())
        for _ in range(4):
            for one in planned:             # two workers
                worker.plan(office, one)
                while worker.step(office, "w", LEASE):
                    pass
            clock.forward(seconds=60)
        clock.forward(seconds=60)
    assert list(DONE) == [{"slot": (datetime(2026, 12, 1, 1, 0, tzinfo=UTC) + timedelta(seconds=300 * k)).isoformat()} for k in range(3)]
    FAILING.append(RuntimeError())
    for _ in range(3):                      # one that fails is not heaped up
        worker.plan(office, set())
        worker.step(office, "w", LEASE)
        clock.forward(seconds=300)
    assert sum(one.done is None for one in jobs(office)) <= 1


def test_a_worker_process_works_and_stops(office: Office, tmp_path: Path) -> None:
    real = Office(office.settings)
    ask(real, "mail.send", "a", {"key": "a"})           # no server is named: it fails, and waits
    file = tmp_path / "bss.toml"
    file.write_text(f'database = "{office.settings.database}"\nkeys = "bss.keys"\n')
    running = subprocess.Popen([sys.executable, "-c", "from bss.cli import command; command()", "--config", file, "worker", "--json"],
                               env={**os.environ, "PYTHONPATH": str(killing.ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(200):
        if any("no mail server" in one.trouble for one in jobs(real)) and any(one.kind == "tidy" and one.done for one in jobs(real)):
            break
        time.sleep(0.05)
    with real.reading() as desk:
        assert desk.session.query(Worker).count() == 1
    running.send_signal(signal.SIGTERM)
    out, error = running.communicate(timeout=20)
    assert running.returncode == 0 and json.loads(out)["jobs"] >= 2, error
    with real.reading() as desk:
        assert desk.session.query(Worker).count() == 0
    real.close()


def test_what_is_of_no_use_goes_and_the_rest_stays(office: Office, clock: Clock) -> None:
    def fill(desk: Desk) -> None:
        from bss.people import user
        made = user.make(desk, "wang", "Wang", None, [])
        desk.session.add(Login(id="x" * 64, user_id=made.id, csrf="", since=desk.now, seen=desk.now))
        desk.session.add(Idempotency(user_id=made.id, key="k", digest="", status=200, time=desk.now))
        desk.emit("test", "S", {})
        job.add(desk, "test.deed", "a")

    office.act(SYSTEM, fill)
    worker.step(office, "w", LEASE)
    with office.writing() as desk:
        desk.session.query(Outbox).one().sent = desk.now
    assert not any(office.act(SYSTEM, lambda desk: tidy(desk, {})).values())
    clock.forward(days=31)
    office.act(SYSTEM, lambda desk: [desk.emit("test", "S", {}), job.add(desk, "test.deed", "b")])
    assert office.act(SYSTEM, lambda desk: tidy(desk, {})) == {"job": 1, "outbox": 1, "login": 1, "worker": 0, "idempotency": 1,
                                                                      "alarm_event": 0}
    with office.reading() as desk:
        assert desk.session.query(Outbox).count() == desk.session.query(Job).count() == 1
