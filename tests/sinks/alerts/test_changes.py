"""Receivers that are exchanged while alerts come, what is silent, and what stands after a restart. Real servers, real files."""
from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dpi.announcing import Announcing
from dpi.cli.main import run
from dpi.errors import UserError
from dpi.health import ReceiverHealth
from dpi.security.exemption import exemption
from dpi.settings import AlertReceiver, Settings
from dpi.sinks.announcer import Announcer
from dpi.sinks.courier import Pace
from dpi.sinks.receiver import Receiver
from dpi.sinks.silence import Silence
from tests.sinks.alerts.servers import Posted, alert, private, receiver, taking
from tests.watch.processes import free_port, until

QUICK = Pace(0.02, 0.1)


def hook(folder: Path, port: int, **given: Any) -> Receiver:
    return receiver(**{"type": "webhook", "url": f"http://127.0.0.1:{port}/in", "secret_file": private(folder / "secret", "s3cret"), "timeout": 2, **given})


def ids(posts: list[Posted]) -> list[str]:
    return [json.loads(one.body)["id"] for one in posts]


def test_receivers_are_exchanged_and_nothing_is_lost(tmp_path: Path) -> None:
    """While alerts come: one goes on, one gets another address, one is new, one goes and comes again."""
    gone = free_port()
    with taking() as same, taking() as other, taking() as late:
        one = Announcer([replace(hook(tmp_path, port), name=name) for name, port in (("same", same.port), ("moved", gone), ("left", gone))], tmp_path, QUICK)
        one.start()
        feeding, over = threading.Event(), threading.Event()
        count = 0

        def feed() -> None:
            nonlocal count
            while not over.is_set():
                count += 1
                one(alert(alert_id=f"a{count}"))
                feeding.set()
                time.sleep(0.005)

        feeder = threading.Thread(target=feed)
        feeder.start()
        feeding.wait(5)
        until(lambda: min(each.waiting for each in one.health()[1:]) > 3, 10, "some wait")
        one.adopt([replace(hook(tmp_path, same.port), name="same"), replace(hook(tmp_path, other.port), name="moved"),
                   replace(hook(tmp_path, late.port), name="new")])
        assert [each.name for each in one.health()] == ["same", "moved", "new"] and one.health()[1].failed > 0
        time.sleep(0.1)
        over.set()
        feeder.join()
        assert one.settled(10) and {each.dropped for each in one.health()} == {0}
        assert len(ids(same.posts)) == len(set(ids(same.posts))) == count and set(ids(same.posts)) == set(ids(other.posts)) and 0 < len(late.posts) < count
        one.adopt([replace(hook(tmp_path, late.port), name="left")])
        assert one.settled(10)
        one.close()
    assert len(set(ids(late.posts))) > 3


def test_one_that_can_not_be_had_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with taking() as server:
        one = Announcer([], tmp_path, QUICK)
        one.start()
        one.adopt([replace(hook(tmp_path, server.port, ca_file=str(tmp_path / "secret")), name="bad"), replace(hook(tmp_path, server.port), name="well")])
        one(alert())
        assert one.settled(10) and [each.name for each in one.health()] == ["well"] and "receiver left out" in caplog.text
        one.close()
    assert len(server.posts) == 1


def test_what_is_muted_is_told_to_nobody_and_opened_anew_behind_it(tmp_path: Path) -> None:
    with taking() as server:
        silence = Silence()
        one = Announcer([hook(tmp_path, server.port, states="raised,cleared")], tmp_path, QUICK, silence)
        one.start()
        known, other = {"alert_id": "known", "dedup_key": "k"}, {"alert_id": "other", "dedup_key": "o"}
        one(alert(**known))
        assert one.settled(5)
        silence.muted["k"] = 0
        one(alert(**known, state="updated", revision=2))
        one(alert(**known, state="cleared", revision=3))
        one(alert(**known, state="raised", revision=4))
        one(alert(**other))
        assert one.settled(5) and ids(server.posts) == ["known.1", "other.1"]
        silence.muted["k"] = time.time_ns() // 1000 - 1         # its end
        one(alert(**known, state="updated", revision=5))
        one(alert(**known, state="updated", revision=6))
        one(alert(**known, state="cleared", revision=7))
        assert one.settled(5) and ids(server.posts)[2:] == ["known.5", "known.7"]
        assert one.health()[0].silenced == 3
        one.close()


def test_a_mute_holds_for_what_waits_already(tmp_path: Path) -> None:
    port = free_port()
    silence = Silence()
    one = Announcer([hook(tmp_path, port)], tmp_path, QUICK, silence)
    one.start()
    one(alert(alert_id="a", dedup_key="k"))
    one(alert(alert_id="b", dedup_key="l"))
    assert one.kept(5)
    silence.muted["k"] = time.time_ns() // 1000 + 60_000_000
    until(lambda: one.health()[0].silenced == 1, 5, "it is silent")
    with taking(port=port) as server:
        assert one.settled(10)
        assert ids(server.posts) == ["b.1"]
    one.close()


def test_maintenance_is_silent_for_its_network_and_its_time() -> None:
    now = datetime.now(UTC)
    silence = Silence()
    window = f"{(now - timedelta(hours=1)).isoformat()}/{(now + timedelta(hours=1)).isoformat()}=203.0.113.0/24"
    silence.exemption = exemption("", "", "", window, frozenset(), "")
    assert silence(alert()) and not silence(alert(target="192.0.2.1")) and not silence(alert(source="", target=""))
    silence.exemption = exemption("", "", "", f"{(now - timedelta(hours=2)).isoformat()}/{(now - timedelta(hours=1)).isoformat()}", frozenset(), "")
    assert not silence(alert())


def test_mutes_are_asked_for_and_hold_while_the_store_is_away(caplog: pytest.LogCaptureFixture) -> None:
    answers: list[Any] = [{"k": 0, "l": 5}, UserError("away", "store"), UserError("away", "store"), {"l": 5}]

    def ask() -> dict[str, int]:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return dict(found)

    remembered: dict[str, int] = {"old": 0}
    silence = Silence(ask, remembered)
    for expected in ({"k": 0, "l": 5},) * 3 + ({"l": 5},):
        silence.look()
        assert silence.muted == expected and remembered is silence.muted
    assert caplog.text.count("what is muted can't be read") == 1


def test_what_stood_before_a_restart_stands_and_is_not_raised_again(tmp_path: Path) -> None:
    """An Alertmanager is told again at once that it does; a chat is told only that it is over."""
    with taking() as manager, taking() as chat:
        chosen = [replace(receiver(type="alertmanager", url=f"http://127.0.0.1:{manager.port}", timeout=2), name="am"), replace(hook(tmp_path, chat.port,
                  states="raised,cleared"), name="chat")]
        one = Announcer(chosen, tmp_path, QUICK)
        for courier in one._couriers:
            courier._sender.every = 0.2 if courier.receiver.name == "am" else 0.0
        one.know([alert(alert_id="a", state="updated", revision=4), alert(alert_id="b", state="cleared", revision=2)])
        one.start()
        until(lambda: len(manager.posts) > 1, 5, "it stands")
        one(alert(alert_id="a", state="updated", revision=5))
        one(alert(alert_id="a", state="cleared", revision=6))
        assert one.settled(5) and ids(chat.posts) == ["a.6"]
        assert [each["labels"]["alert_id"] for each in json.loads(manager.posts[0].body)] == ["a"]
        one.close()


def test_settings_are_taken_by_what_announces(tmp_path: Path) -> None:
    secret = str(private(tmp_path / "secret", "s3cret"))
    with taking() as server:
        asked = AlertReceiver(type="webhook", url=f"http://127.0.0.1:{server.port}/", secret_file=secret, timeout=2)
        one = Announcing(Settings(), tmp_path / "alerts")
        one.start(None)
        assert one.health() == () and not (tmp_path / "alerts").exists()
        one.adopt(Settings(alert={"soc": asked}), None)
        until(lambda: [each.name for each in one.health()] == ["soc"], 5, "the receiver")
        one.announcer(alert())
        assert one.settled(5) == 0 and one.health() == (ReceiverHealth("soc", "webhook", sent=1),)
        one.close()


def test_the_command_sends_a_sample_and_doctor_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    secret = private(tmp_path / "secret", "s3cret")
    with taking() as server:
        (tmp_path / "fullspan.toml").write_text(f'[alert.soc]\ntype = "webhook"\nurl = "http://127.0.0.1:{server.port}/"\nsecret_file = "{secret}"\n'
                                                '[alert.bad]\ntype = "webhook"\nurl = "http://127.0.0.1:1/hidden-token"\nsecret_file = "nowhere"\n')
        assert run(["alerts", "test", "soc"]) == 0 and "soc took" in capsys.readouterr().out
        assert [json.loads(one.body)["type"] for one in server.posts] == ["fullspan.alert.raised", "fullspan.alert.cleared"]
        assert run(["alerts", "test", "soc", "--json"]) == 0 and json.loads(capsys.readouterr().out)["taken"] == ["raised", "cleared"]
        assert run(["alerts", "test", "nobody"]) == 2 and "no receiver is called 'nobody'" in capsys.readouterr().err
        assert run(["doctor", "--store", "none", "--json"]) == 1
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)["findings"]}
    assert found["alert.soc"]["state"] == "ok" and found["alert.bad"]["state"] == "bad" and "secret_file can't be read" in found["alert.bad"]["detail"]
    assert "hidden-token" not in json.dumps(found) and len(server.posts) == 4


@pytest.mark.compiled
def test_a_replay_tells_nobody_but_where_it_is_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.security.test_replays import scan, write

    monkeypatch.chdir(tmp_path)
    secret, capture = private(tmp_path / "secret", "s3cret"), str(write(tmp_path / "scan.pcap", scan(5, 60)))
    asked = ["replay", capture, "--store", f"chdb://{tmp_path}/store"]
    assert run([*asked, "--announce"]) == 2 and "no receiver" in capsys.readouterr().err
    with taking() as server:
        (tmp_path / "fullspan.toml").write_text(f'[alert.soc]\ntype = "webhook"\nurl = "http://127.0.0.1:{server.port}/"\nsecret_file = "{secret}"\n')
        assert run(asked) == 0 and server.posts == [] and not (tmp_path / "store.spool").exists()
        assert run([*asked, "--announce"]) == 0 and "soc: 1 states of alerts sent" in capsys.readouterr().err
        data = json.loads(server.posts[0].body)["data"]
        assert (data["kind"], data["source"], data["probe"]) == ("port_scan", "203.0.113.0/24", "replay") and len(server.posts) == 1
        assert run(["alerts", "list", "--store", f"chdb://{tmp_path}/store", "--json"]) == 0
        assert [one["alert_id"] for one in json.loads(capsys.readouterr().out)] == [data["alert_id"]]       # of one store: the same every time
        assert run(["alerts", "mute", data["alert_id"], "--store", f"chdb://{tmp_path}/store", "--reason", "ours"]) == 0
        assert run([*asked, "--announce"]) == 0 and "soc: 0 states of alerts sent" in capsys.readouterr().err and len(server.posts) == 1
