"""Alerts through their life: raised, updated no more than once a minute, cleared, opened again; the listeners' door; exceptions."""
from __future__ import annotations

import random
from typing import Any

import pytest

from dpi.errors import UserError
from dpi.security.exemption import exemption
from dpi.security.folding import Folding
from dpi.security.registry import configured
from tests.security.made import BEGIN, SECOND, batch, row, watch

KNOWN = frozenset({"syn_flood", "udp_flood"})


def flood(at: float, server: str = "192.0.2.10", packets: int = 5000) -> dict[str, Any]:
    return row("203.0.113.5", server, at=at, client_packets=packets)


def told(slots: list[float], quiet: int = 300, cooldown: int = 900, until: float = 0, **options: Any) -> list[tuple[str, int, int]]:
    """(state, count, revision) of what is told of one target flooded in these slots; the capture goes on until then."""
    watchman, _, heard = watch(folding=Folding(quiet, cooldown), **options)
    rows = [flood(at) for at in slots] + ([row("10.0.0.1", "10.0.0.2", at=until)] if until else [])
    watchman.write(batch(rows))
    watchman.end()
    assert len({one.alert_id for one in heard}) == 1 and len({one.dedup_key for one in heard}) == 1
    return [(one.state, one.count, one.revision) for one in heard]


def test_it_is_raised_updated_once_a_minute_and_cleared() -> None:
    assert told([0]) == [("raised", 1, 1)]
    assert told([0, 10, 20, 30]) == [("raised", 1, 1), ("updated", 4, 2)]
    assert told([10 * k for k in range(13)]) == [("raised", 1, 1), ("updated", 6, 2), ("updated", 12, 3), ("updated", 13, 4)]
    assert told([0, 10], until=1000) == [("raised", 1, 1), ("cleared", 2, 2)]


def test_within_the_cooldown_the_same_alert_is_opened_again() -> None:
    states = told([0, 700])
    assert [state for state, _, _ in states] == ["raised", "cleared", "raised"] and states[-1][1:] == (2, 3)
    watchman, _, heard = watch(folding=Folding(300, 900))
    watchman.write(batch([flood(0), flood(4000)]))
    watchman.end()
    assert len({one.alert_id for one in heard}) == 2


def test_ids_are_the_same_every_time() -> None:
    def ids() -> list[str]:
        watchman, _, heard = watch()
        watchman.write(batch([flood(0), flood(0, "192.0.2.11")]))
        watchman.end()
        return [one.alert_id for one in heard]
    assert ids() == ids() and len(set(ids())) == 2


def test_a_probe_is_told_when_the_limit_is_crossed_and_once_more_when_the_slot_is_closed() -> None:
    watchman, sink, heard = watch(prompt=True, grace=45)
    watchman.write(batch([flood(1, packets=4000)]))
    assert [(one.state, one.count) for one in heard] == [("raised", 1)] and sink.rows["detections"] == []
    watchman.write(batch([flood(2, packets=2000)]))
    watchman.tick(BEGIN + 100 * SECOND)
    assert [(one["packets"], one["alert_id"]) for one in sink.rows["detections"]] == [(6000, heard[0].alert_id)]
    watchman.tick(BEGIN + 170 * SECOND)
    assert [one.state for one in heard] == ["raised", "updated"] and heard[-1].count == 1 and "6,000" in heard[-1].summary
    watchman.tick(BEGIN + 1000 * SECOND)
    assert heard[-1].state == "cleared" and [one["state"] for one in sink.rows["alerts"]] == ["raised", "updated", "cleared"]


def test_alerts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpi.security.folding.OPEN", 10)
    watchman, _, heard = watch()
    watchman.write(batch([flood(0, f"192.0.{k}.2") for k in range(1, 31)]))
    assert not heard
    watchman.end()
    assert watchman.folding.given_up == 20 and sum(one.state == "cleared" for one in heard) == 20


def test_the_alert_not_heard_of_the_longest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpi.security.folding.OPEN", 3)
    watchman, _, heard = watch()
    watchman.write(batch([flood(at, f"192.0.2.{k}") for at, k in ((0, 1), (10, 2), (20, 3), (30, 1), (40, 4))]))
    watchman.end()
    assert [one.target for one in heard if one.state == "cleared"] == ["192.0.2.2"]


class _Walking(Folding):
    """Looks at every alert whenever time has passed: what looking only when something is due must come to."""

    def advance(self, now: int) -> None:
        self._due = -(1 << 62)
        super().advance(now)


@pytest.mark.parametrize("seed", range(5))
def test_looking_only_when_something_is_due_tells_the_same(seed: int) -> None:
    rng = random.Random(seed)
    rows = [flood(rng.randrange(600) * 10, f"192.0.2.{rng.randrange(6)}") for _ in range(200)]

    def states(folding: Folding) -> list[Any]:
        watchman, _, heard = watch(folding=folding)
        watchman.write(batch(rows))
        watchman.end()
        return heard
    assert states(Folding(60, 200)) == states(_Walking(60, 200)) and len(states(Folding(60, 200))) > 30


@pytest.mark.parametrize("words", [{"networks": "192.0.2.0/24"}, {"networks": "203.0.113.5"}, {"kinds": "syn_flood"},
                                   {"maintenance": "2023-11-14T00:00/2023-11-15"}, {"maintenance": "2023-11-14T00:00/2023-11-15=192.0.2.0/28"}])
def test_what_is_excepted_is_not_told_but_counted(words: dict[str, str]) -> None:
    given = {"networks": "", "ports": "", "kinds": "", "maintenance": "", **words}
    watchman, sink, heard = watch(exemption=exemption(**given, known=KNOWN, where="[detect]"))
    watchman.write(batch([flood(0)]))
    watchman.end()
    assert heard == [] and sink.rows["detections"] == [] and watchman.seen.ignored == 1


def test_a_window_of_maintenance_is_of_its_time_and_network() -> None:
    for words in ("2023-11-14T00:00/2023-11-14T01:00", "2023-11-14T00:00/2023-11-15=198.51.100.0/24"):
        watchman, _, heard = watch(exemption=exemption("", "", "", words, KNOWN, "[detect]"))
        watchman.write(batch([flood(0)]))
        watchman.end()
        assert [one.kind for one in heard] == ["syn_flood"]


@pytest.mark.parametrize(("words", "said"), [({"networks": "10.0.0.0/99"}, "no network"), ({"ports": "http"}, "no port"),
                                             ({"kinds": "sin_flood"}, "no detector"), ({"maintenance": "today"}, "no window"),
    ({"maintenance": "2026-01-02/2026-01-01"}, "before it begins")])
def test_wrong_exceptions_say_where(words: dict[str, str], said: str) -> None:
    given = {"networks": "", "ports": "", "kinds": "", "maintenance": "", **words}
    with pytest.raises(UserError) as error:
        exemption(**given, known=KNOWN, where="x.toml: [detect]")
    assert said in str(error.value) and "x.toml: [detect]" in str(error.value)


@pytest.mark.parametrize(("text", "line", "said"), [
    ("[detect.port_scan]\nports = 20\nprots = 3\n", 3, "no option 'prots'"), ("# one\n[detect.port_scam]\nports = 20\n", 2, "no detector 'port_scam'"),
    ("[port_scan]\nports = 1\n", 2, "5 to 65536"), ("[syn_flood]\npackets = 9\n\n[port_scan]\nseconds = 60\nports = 'many'\n", 6, "whole number"),
    ("[syn_flood]\nseverity = 'dire'\n", 2, "low or medium"), ("[syn_flood]\nenabled = 2\n", 2, "0 or 1"),
    ("syn_flood = 3\n", 1, "no table"), ("[syn_flood\n", 0, "not TOML")])
def test_a_wrong_file_of_options_names_file_and_line(tmp_path: Any, text: str, line: int, said: str) -> None:
    from dpi.security.registry import read

    file = tmp_path / "options.toml"
    file.write_text(text)
    with pytest.raises(UserError) as error:
        configured(read(str(file)), str(file))
    assert said in str(error.value) and (f"{file}:{line}" if line else str(file)) in str(error.value)


def test_options_are_taken(tmp_path: Any) -> None:
    from dpi.security.registry import read

    file = tmp_path / "options.toml"
    file.write_text("[detect.syn_flood]\npackets = 10\nseverity = 'critical'\n[detect.port_scan]\nenabled = 0\n")
    asked = {one.detector.kind: one for one in configured(read(str(file)), str(file))}
    assert asked["syn_flood"].rules[0].limits.packets == 100 and asked["syn_flood"].detector.severity == "critical" and "port_scan" not in asked
