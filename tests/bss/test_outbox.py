"""Events told to others, as a worker does it."""
from __future__ import annotations

import hashlib
import hmac
import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from bss.office import Office
from bss.people.scope import SYSTEM
from bss.settings import Events
from bss.tables import Delivery, Outbox, Receiver
from bss.working import outbox
from bss.working.tidy import tidy
from tests.bss import killing
from tests.bss.conftest import Clock

pytestmark = pytest.mark.both


class Hook(ThreadingHTTPServer):
    """A receiver of events. got: what it took; answers: by subject, other statuses than 204."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.answers: dict[str, int] = {}
        self.asked = 0
        super().__init__(("127.0.0.1", 0), HookHandler)
        self.url = f"http://127.0.0.1:{self.server_port}/hook"


class HookHandler(BaseHTTPRequestHandler):
    server: Hook
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        found = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", self.headers["X-Fullspan-Signature"])
        assert found and hmac.new(b"shared", f"{found[1]}.".encode() + body, hashlib.sha256).hexdigest() == found[2]
        assert self.headers["Content-Type"] == "application/cloudevents+json; charset=utf-8"
        event = json.loads(body)
        self.server.asked += 1
        status = self.server.answers.get(event["subject"], self.server.answers.get("*", 204))
        if status == 204:
            self.server.got.append(event)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def hooked() -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


hook = pytest.fixture(hooked)
second = pytest.fixture(hooked)


def listening(office: Office, folder: Path, *urls: str) -> None:
    file = folder / "event.secret"
    file.write_text("shared\n")
    file.chmod(0o600)
    office.settings = office.settings.model_copy(update={"events": [Events(url=one, secret_file=str(file)) for one in urls]})


def emit(office: Office, *subjects: str) -> None:
    office.act(SYSTEM, lambda desk: [desk.emit("order.stateChange", one, {"n": n}) for n, one in enumerate(subjects)])


def tell(office: Office, me: str = "w") -> None:
    while office.act(SYSTEM, outbox.spread):
        pass
    with outbox.client() as client:
        for one in office.settings.events:
            outbox.deliver(office, one, me, client)


def left(office: Office) -> int:
    with office.reading() as desk:
        return desk.session.query(Delivery).count()


def test_events_are_cloud_events_in_order(office: Office, tmp_path: Path, hook: Hook) -> None:
    listening(office, tmp_path, hook.url)
    emit(office, "O1", "O2", "O1", "O1")
    tell(office)
    first = hook.got[0]
    assert first | {"id": ""} == {"specversion": "1.0", "id": "", "source": "/fullspan/bss", "type": "fullspan.order.stateChange", "subject": "O1",
                                  "time": "2026-12-01T01:00:00Z", "datacontenttype": "application/json", "data": {"n": 0}}
    assert [one["data"]["n"] for one in hook.got] == [0, 1, 2, 3] and len({one["id"] for one in hook.got}) == 4 and not left(office)
    tell(office)
    assert hook.asked == 4


def test_a_receiver_that_was_away_gets_everything_and_holds_up_nobody(office: Office, tmp_path: Path, hook: Hook, second: Hook, clock: Clock) -> None:
    listening(office, tmp_path, hook.url, second.url)
    hook.answers["*"] = 503
    for k in range(5):
        emit(office, *[f"O{n % 7}" for n in range(30 * k, 30 * k + 30)])
        tell(office)
        clock.forward(days=2)
    assert len(second.got) == 150 and not hook.got and hook.asked <= 5 and left(office) == 150
    office.act(SYSTEM, lambda desk: tidy(desk, {}))
    hook.answers.clear()
    tell(office)
    assert [one["id"] for one in hook.got] == [one["id"] for one in second.got] and not left(office)


def test_an_address_where_nobody_is_waits_longer_each_time(office: Office, tmp_path: Path, clock: Clock) -> None:
    listening(office, tmp_path, "http://127.0.0.1:9/")
    emit(office, "O1")
    waits = []
    for _ in range(9):
        tell(office)
        with office.reading() as desk:
            row = desk.session.query(Receiver).one()
        assert row.trouble and row.claimed_by is None and row.next_try
        waits.append((row.next_try - clock.now).total_seconds())
        clock.now = row.next_try
    assert waits[3] > 2 * waits[1] and max(waits) <= outbox.LAST and left(office) == 1


@pytest.mark.parametrize("status", [400, 500])
def test_what_is_refused_holds_up_its_subject_alone(office: Office, tmp_path: Path, hook: Hook, clock: Clock, status: int) -> None:
    listening(office, tmp_path, hook.url)
    hook.answers["O1"] = status
    emit(office, "O1", "O2", "O1", "O3", "O1", "O2")
    tell(office)
    assert [one["data"]["n"] for one in hook.got] == [1, 3, 5] and left(office) == 3 and hook.asked == 4
    tell(office)
    assert hook.asked == 4
    hook.answers.clear()
    clock.forward(minutes=6)
    tell(office)
    assert [one["data"]["n"] for one in hook.got] == [1, 3, 5, 0, 2, 4] and not left(office)


def test_events_wait_for_the_first_receiver(office: Office, tmp_path: Path, hook: Hook, clock: Clock) -> None:
    emit(office, "O1")
    tell(office)
    clock.forward(days=100)
    office.act(SYSTEM, lambda desk: tidy(desk, {}))
    listening(office, tmp_path, hook.url)
    tell(office)
    assert len(hook.got) == 1


def test_one_worker_at_a_time_tells_a_receiver(office: Office, tmp_path: Path, hook: Hook, clock: Clock) -> None:
    listening(office, tmp_path, hook.url)
    emit(office, "O1")
    office.act(SYSTEM, outbox.spread)
    assert office.act(SYSTEM, lambda desk: outbox._claim(desk, hook.url, "other"))
    tell(office)
    assert not hook.got
    clock.forward(seconds=61)               # the other one is not heard of any more
    tell(office)
    assert len(hook.got) == 1


def test_a_secret_that_others_can_read_is_not_used(office: Office, tmp_path: Path, hook: Hook) -> None:
    listening(office, tmp_path, hook.url)
    (tmp_path / "event.secret").chmod(0o644)
    emit(office, "O1")
    tell(office)
    with office.reading() as desk:
        assert "can be read by others" in desk.session.query(Receiver).one().trouble
    assert not hook.asked and left(office) == 1


def test_no_event_is_lost_when_workers_are_killed(office: Office, tmp_path: Path, hook: Hook) -> None:
    listening(office, tmp_path, hook.url)
    told = killing.kills(office.settings, "tests.bss.deeds:tell", 10)
    real = Office(office.settings)
    real.clock = lambda: datetime.now(UTC) + timedelta(minutes=2)       # claims of the killed have run out
    tell(real)
    with real.reading() as desk:
        wanted = {one.id: one.data["n"] for one in desk.session.query(Outbox)}
    assert {one["id"] for one in hook.got} == set(wanted) and set(map(int, told)) <= set(wanted.values()) and not left(real)
    order: dict[str, list[int]] = defaultdict(list)
    for one in {one["id"]: one for one in reversed(hook.got)}.values():     # each as it came first
        order[one["subject"]].append(one["data"]["n"])
    assert all(sorted(numbers, reverse=True) == numbers for numbers in order.values())
    real.close()


def test_random_outages_lose_nothing_and_keep_the_order(office: Office, tmp_path: Path, hook: Hook, clock: Clock) -> None:
    listening(office, tmp_path, hook.url)

    @settings(max_examples=5, deadline=None, database=None)
    @given(some.lists(some.tuples(some.sampled_from(["A", "B", "C"]), some.sampled_from([{}, {"A": 500}, {"B": 422}, {"*": 503}, {"A": 500, "B": 500}])),
                      min_size=1, max_size=12))
    def run(course: list[tuple[str, dict[str, int]]]) -> None:
        hook.got.clear()
        for n, (subject, answers) in enumerate(course):
            office.act(SYSTEM, lambda desk, n=n, subject=subject: desk.emit("t", subject, {"n": n}))       # type: ignore[misc]
            hook.answers = answers
            tell(office)
            clock.forward(seconds=7)
        hook.answers = {}
        for _ in range(3):
            clock.forward(minutes=6)
            tell(office)
        for subject in "ABC":
            assert [one["data"]["n"] for one in hook.got if one["subject"] == subject] == [n for n, (of, _) in enumerate(course) if of == subject]

    run()
