"""Delivery from the spool: at least once, in order, bounded, and nobody waits for anybody else. Real servers, real files."""
from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dpi.errors import UserError
from dpi.sinks.announcer import Announcer
from dpi.sinks.courier import Courier, Pace
from dpi.sinks.receiver import Receiver
from dpi.sinks.web import retry_after
from tests.sinks.alerts import outage
from tests.sinks.alerts.servers import Posted, Taker, alert, private, receiver, taking
from tests.watch.processes import free_port, until

QUICK = Pace(0.02, 0.1)


@contextmanager
def announcing(chosen: list[Receiver], folder: Path, pace: Pace = QUICK) -> Iterator[Announcer]:
    one = Announcer(chosen, folder, pace)
    one.start()
    try:
        yield one
    finally:
        one.close()


def hook(folder: Path, port: int, **given: Any) -> Receiver:
    return receiver(**{"type": "webhook", "url": f"http://127.0.0.1:{port}/in", "secret_file": private(folder / "secret", "s3cret"), "timeout": 2, **given})


def ids(server: Taker) -> list[str]:
    return [json.loads(one.body)["id"] for one in server.posts]


def test_a_receiver_that_fails_and_goes_away_gets_every_alert_once_by_its_id(tmp_path: Path) -> None:
    """The short form of `python -m benchmarks.proof webhooks`: with a process killed in the outage."""
    found = outage.run(tmp_path, 1.0, 2.0, Pace(0.02, 0.2), 0.02)
    assert found["settled"] and found["in order"] and found["announced"] == found["taken by id"] > 15
    assert not found["missing"] and not found["foreign"]
    assert found["doubles dropped by id"] and found["calls"]["503"] and found["calls"]["429"] and found["calls"]["no answer"]
    assert 0 < found["taken before the outage"] < found["announced"] and found["waiting at its end"] and found["failed attempts of the second process by then"]


def test_states_of_one_alert_keep_their_order_and_one_that_is_choked_on_does_not_hold_the_others(tmp_path: Path) -> None:
    open_ = threading.Event()

    def reply(posted: Posted) -> tuple[int, dict[str, str], bytes]:
        return (500 if b'"bad"' in posted.body and not open_.is_set() else 200), {}, b""

    with taking(reply) as server, announcing([hook(tmp_path, server.port)], tmp_path) as one:
        for state in range(1, 4):
            for name in ("bad", "x", "y"):
                one(alert(alert_id=name, revision=state, state=("raised", "updated", "cleared")[state - 1]))
        until(lambda: one.health()[0].sent == 6 and one.health()[0].trouble == "status 500", 10, "the others, and another attempt")
        assert one.health()[0].waiting == 3 and {"x.3", "y.3"} <= set(ids(server)) and "bad.2" not in ids(server)
        open_.set()
        assert one.settled(10)
        health = one.health()[0]
    assert (health.sent, health.waiting, health.refused, health.dropped, health.trouble, health.spool_bytes) == (9, 0, 0, 0, "", 0)
    for name in ("bad", "x", "y"):
        assert list(dict.fromkeys(found for found in ids(server) if found.startswith(name))) == [f"{name}.1", f"{name}.2", f"{name}.3"]


def test_what_is_refused_is_counted_and_set_aside_and_what_is_busy_is_not(tmp_path: Path) -> None:
    answers = {"a.1": [400], "b.1": [408, 425, 429, 503, 200], "c.1": [404], "d.1": [301, 204]}

    def reply(posted: Posted) -> tuple[int, dict[str, str], bytes]:
        left = answers[json.loads(posted.body)["id"]]
        return (left.pop(0) if len(left) > 1 else left[0]), {"Location": "http://127.0.0.1:1/elsewhere"}, b""

    with taking(reply) as server, announcing([hook(tmp_path, server.port)], tmp_path) as one:
        for name in "abcd":
            one(alert(alert_id=name))
        assert one.settled(10)
        health = one.health()[0]
    assert (health.sent, health.refused, health.failed, health.waiting) == (2, 2, 5, 0)
    assert len(list((tmp_path / "one").glob("*.refused"))) == 2 and {one.path for one in server.posts} == {"/in"}
    # what was refused can be put back by its name, and is sent at the next start
    for path in (tmp_path / "one").glob("*.refused"):
        path.rename(path.with_suffix(".parcel"))
    with taking() as server, announcing([hook(tmp_path, server.port)], tmp_path) as one:
        assert one.settled(10)
        assert sorted(ids(server)) == ["a.1", "c.1"]


def test_it_waits_as_long_as_it_is_asked_to(tmp_path: Path) -> None:
    times: list[float] = []

    def reply(posted: Posted) -> tuple[int, dict[str, str], bytes]:
        times.append(time.monotonic())
        return (503, {"Retry-After": "1"}, b"") if len(times) == 1 else (200, {}, b"")

    with taking(reply) as server, announcing([hook(tmp_path, server.port)], tmp_path) as one:
        one(alert())
        assert one.settled(10)
    assert len(times) == 2 and times[1] - times[0] >= 1.0


@pytest.mark.parametrize(("text", "seconds"), [("7", 7), ("0", 0), ("", 0), ("soon", 0), ("-5", 0), ("999999", 3600), ("1" * 400, 0),
                                               ("Thu, 01 Jan 1970 00:01:40 GMT", 90), ("Thu, 01 Jan 1970 00:00:01 GMT", 0), ("\u0661", 0)])
def test_retry_after(text: str, seconds: float) -> None:
    assert retry_after(text, 10.0) == seconds


def test_pauses_grow_to_a_minute_and_are_not_quite_the_same() -> None:
    pace = Pace()
    for failures in (1, 2, 3, 6, 7, 50, 10_000):
        whole = min(60.0, 2.0 ** (min(failures, 50) - 1))
        drawn = [pace.pause(failures) for _ in range(50)]
        assert all(whole / 2 <= one <= whole for one in drawn) and len(set(drawn)) > 1


def test_a_slow_receiver_holds_nobody(tmp_path: Path) -> None:
    let_go = threading.Event()

    def slow(posted: Posted) -> tuple[int, dict[str, str], bytes]:
        let_go.wait(20)
        return 200, {}, b""

    with taking(slow) as hanging, taking() as quick:
        two = [hook(tmp_path, hanging.port, timeout=30), replace(hook(tmp_path, quick.port), name="two")]
        with announcing(two, tmp_path) as one:
            for number in range(50):
                one(alert(alert_id=str(number)))
            until(lambda: [health.sent for health in one.health()] == [0, 50], 10, "the quick one has all")
            assert len(quick.posts) == 50
            let_go.set()
            assert one.settled(10)


def test_an_endless_outage_keeps_to_the_bound_and_what_is_kept_is_sent(tmp_path: Path) -> None:
    port = free_port()
    bound = replace(hook(tmp_path, port), spool_bytes=20_000)
    with announcing([bound], tmp_path) as one:
        for number in range(100):
            one(alert(alert_id=f"{number:03d}"))
        assert one.kept(20)
        health = one.health()[0]
        assert health.dropped > 0 and health.waiting + health.dropped == 100 and health.spool_bytes <= 20_000
        assert sum(path.stat().st_size for path in (tmp_path / "one").iterdir()) == health.spool_bytes
        until(lambda: one.health()[0].failed, 10, "an attempt")
        assert one.health()[0].trouble == "no connection: Connection refused"
        with taking(port=port) as server:
            assert one.settled(20)
            assert sorted(ids(server)) == [f"{number:03d}.1" for number in range(health.waiting)]       # the newest were dropped


def test_a_receiver_that_refuses_everything_keeps_to_the_bound_too_and_has_room_for_what_comes(tmp_path: Path) -> None:
    with taking(lambda posted: (410, {}, b"")) as server, announcing([replace(hook(tmp_path, server.port), spool_bytes=40_000)], tmp_path) as one:
        for number in range(120):
            one(alert(alert_id=str(number)))
            if number % 10 == 0:
                assert one.settled(10)
        assert one.settled(10)
        health = one.health()[0]
    assert (health.refused, health.dropped, health.trouble) == (120, 0, "status 410") and 0 < health.spool_bytes < 20_000


def test_a_damaged_file_and_one_of_another_version_are_counted(tmp_path: Path) -> None:
    port = free_port()
    with announcing([hook(tmp_path, port)], tmp_path) as one:
        for name in "ab":
            one(alert(alert_id=name))
        assert one.kept(10)
    first = min((tmp_path / "one").glob("*.parcel"))
    first.write_bytes(first.read_bytes()[:-1])
    with taking(port=port) as server, announcing([hook(tmp_path, port)], tmp_path) as one:
        assert one.settled(10)
        assert ids(server) == ["b.1"] and one.health()[0].dropped == 1


def test_chats_hear_of_the_beginning_the_end_and_of_what_gets_worse(tmp_path: Path) -> None:
    def wanted(life: list[tuple[str, str]], **given: Any) -> list[tuple[str, str]]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        one = Courier(receiver(type="slack", url="http://127.0.0.1:1/x", **given), folder)
        try:
            return [(state, severity) for state, severity in life if one._wanted(alert(state=state, severity=severity))]
        finally:
            one.close()

    life = [("raised", "low"), ("updated", "low"), ("updated", "high"), ("updated", "high"), ("cleared", "high"), ("updated", "high")]
    assert wanted(life) == [life[0], life[2], life[4], life[5]]             # the last one opens it anew
    assert wanted(life, severity="high") == [life[2], life[4], life[5]]
    assert wanted(life, severity="critical") == []
    assert wanted(life, states="raised,updated,cleared") == life
    assert wanted(life, kinds="dns_*, *_scan") == [] and wanted(life, kinds="syn_*") == [life[0], life[2], life[4], life[5]]


def test_what_waits_for_a_receiver_that_is_no_more_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    with announcing([hook(tmp_path, port)], tmp_path / "spool") as one:
        one(alert())
        assert one.kept(10)
    with announcing([replace(hook(tmp_path, port), name="two")], tmp_path / "spool"):
        pass
    assert [(record.receiver, record.waiting) for record in caplog.records if "any more" in record.message] == [("one", 1)]      # type: ignore[attr-defined]


def test_only_one_process_has_a_spool(tmp_path: Path) -> None:
    with announcing([hook(tmp_path, 1)], tmp_path), pytest.raises(UserError, match="in use by another process"):
        Announcer([hook(tmp_path, 1)], tmp_path)
    Announcer([hook(tmp_path, 1)], tmp_path).close()


def test_announcing_never_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that does not answer: what does not fit in memory is counted."""
    held, put = threading.Event(), Courier.put

    def stuck(self: Courier, one: Any) -> None:
        held.wait(30)
        put(self, one)

    monkeypatch.setattr("dpi.sinks.announcer._IN_MEMORY", 10)
    monkeypatch.setattr(Courier, "put", stuck)
    with taking() as server, announcing([hook(tmp_path, server.port)], tmp_path) as one:
        for number in range(50):
            one(alert(alert_id=str(number)))
        lost = one.health()[0].dropped
        assert 39 <= lost <= 40         # one may be in the writer's hand
        held.set()
        assert one.settled(10) and len(server.posts) == 50 - lost


