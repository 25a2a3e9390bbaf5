"""Alerts that outlive a restart of the probe, ids that nobody can turn back into addresses, and detectors that are exchanged while it runs."""
from __future__ import annotations

import hashlib
import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dpi.security.alert import Alert
from dpi.security.exemption import Exemption
from dpi.security.folding import Folding
from dpi.security.registry import configured
from dpi.security.standing import Standing
from dpi.security.watchman import Watchman
from tests.security.made import BEGIN, SECOND, Sink, batch, row, watch


def flood(at: float, server: str = "192.0.2.10", packets: int = 6000) -> dict[str, Any]:
    return row("203.0.113.5", server, at=at, client_packets=packets)


def begun(path: Path, quiet: int = 300) -> tuple[Watchman, list[Alert], Sink]:
    """A probe's watchman as a start makes it."""
    standing = Standing(path)
    watchman, sink, heard = watch(folding=Folding(quiet, 900, lambda: standing.secret), prompt=True, grace=45, standing=standing)
    return watchman, heard, sink


def states(heard: list[Alert]) -> list[tuple[str, str, int]]:
    return [(one.alert_id, one.state, one.revision) for one in heard]


@pytest.mark.parametrize("killed", [False, True])
def test_an_alert_that_is_open_is_neither_raised_twice_nor_left_open(tmp_path: Path, killed: bool) -> None:
    first, before, _ = begun(tmp_path / "alerts.state")
    first.write(batch([flood(1), flood(2, "2001:db8::7")]))
    if not killed:
        first.stop()
    assert [one.state for one in before] == ["raised"] * 2 + ["updated"] * (0 if killed else 2)
    told = 1 if killed else 2
    second, after, sink = begun(tmp_path / "alerts.state")
    second.tick(BEGIN + 60 * SECOND)
    again = {one["alert_id"]: (one["state"], one["revision"]) for one in sink.rows["alerts"]}       # its rows, which may not have been stored
    assert again == {one.alert_id: (one.state, told) for one in before[-2:]} and not after
    second.write(batch([flood(65)]))                # of one the flood goes on
    second.tick(BEGIN + 150 * SECOND)
    known = {one.target: one.alert_id for one in before}
    assert states(after) == [(known["192.0.2.10"], "updated", told + 1)] and after[0].count == 2 and after[0].first_time == before[0].first_time
    second.tick(BEGIN + 1000 * SECOND)
    assert sorted(states(after)[1:]) == sorted([(known["192.0.2.10"], "cleared", told + 2), (known["2001:db8::7"], "cleared", told + 1)])
    assert {one["alert_id"] for one in sink.rows["alerts"]} == set(known.values())
    third, nothing, _ = begun(tmp_path / "alerts.state")
    third.tick(BEGIN + 5000 * SECOND)
    assert nothing == [] and third.folding.open == 0


def test_what_was_cleared_a_short_time_ago_is_opened_again_after_a_restart(tmp_path: Path) -> None:
    first, before, _ = begun(tmp_path / "alerts.state", quiet=60)
    first.write(batch([flood(1)]))
    first.tick(BEGIN + 200 * SECOND)
    first.stop()
    second, after, _ = begun(tmp_path / "alerts.state", quiet=60)
    second.write(batch([flood(400)]))
    assert [one.state for one in before] == ["raised", "cleared"] and states(after) == [(before[0].alert_id, "raised", 3)]


def test_a_file_that_is_not_whole_is_left_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "alerts.state"
    first, _, _ = begun(path)
    first.write(batch([flood(1)]))
    whole = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for wrong in (whole[:-9], "", "{}", whole.replace('"raised"', '"risen"'), whole.replace(f'"first": {BEGIN + SECOND}', '"first": "x"'), "[1]", "\xff",
                  whole.replace('"alerts": [{', '"alerts": [{"more": 1, ')):
        assert wrong != whole
        path.write_text(wrong, encoding="latin-1")
        caplog.clear()
        made = Standing(path)
        assert made.held == [] and "not whole" in caplog.text and path.read_text(encoding="latin-1") == wrong
    path.write_text(whole)
    assert len(Standing(path).held) == 1


def test_one_that_can_not_be_written_holds_nothing_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    watchman, heard, _ = begun(tmp_path / "nowhere" / "alerts.state")
    watchman.write(batch([flood(1), flood(2, "192.0.2.11")]))
    watchman.stop()
    assert len(heard) == 4 and caplog.text.count("can't be written") == 1


def test_ids_are_those_of_a_secret_and_stay() -> None:
    def told(secret: bytes) -> list[Alert]:
        watchman, _, heard = watch(folding=Folding(secret=lambda: secret))
        watchman.write(batch([flood(0), flood(0, "192.0.2.11")]))
        watchman.end()
        return heard

    one, again, other = (told(secret) for secret in (b"1" * 32, b"1" * 32, b"2" * 32))
    assert [alert.alert_id for alert in one] == [alert.alert_id for alert in again]
    assert not {alert.alert_id for alert in one} & {alert.alert_id for alert in other}
    assert [alert.dedup_key for alert in one] == [alert.dedup_key for alert in other]
    # whoever has an id and tries all addresses of the network finds none
    keys = [f"{alert.dedup_key.replace(alert.target, f'192.0.2.{k}')}@{BEGIN}".encode() for alert in one for k in range(256)]
    tried = {hashlib.new(name, key).hexdigest()[:16] for key in keys for name in ("sha256", "blake2b")} | {
        hashlib.blake2b(key, digest_size=8).hexdigest() for key in keys}
    assert all(len(alert.alert_id) == 16 and alert.alert_id not in tried for alert in one)


def test_a_clock_that_goes_back_leaves_nothing_open(tmp_path: Path) -> None:
    watchman, heard, _ = begun(tmp_path / "alerts.state")
    watchman.write(batch([flood(50_000)]))
    watchman.write(batch([flood(1)]))
    assert [(one.state, one.revision) for one in heard] == [("raised", 1), ("cleared", 2), ("raised", 1)] and watchman.folding.open == 1


def test_detectors_are_exchanged_and_what_is_open_goes_on(tmp_path: Path) -> None:
    watchman, heard, sink = begun(tmp_path / "alerts.state")
    watchman.write(batch([flood(1), flood(1, "192.0.2.11", packets=3000)]))
    before = watchman.counters()["rows"]
    stricter = configured({"syn_flood": {"packets": 200}, "udp_flood": {"enabled": 0}})
    watchman.rearm(stricter, Exemption(), 30, 60, watchman._keys)
    assert sink.rows["detections"] and watchman.counters()["rows"] == before == 2
    watchman.write(batch([flood(21), flood(21, "192.0.2.11", packets=3000)]))       # the second is too much now
    assert [(one.target, one.state) for one in heard] == [("192.0.2.10", "raised"), ("192.0.2.11", "raised")]
    assert watchman.counters()["rows"] == 4 and watchman.seen.detectors == len(stricter)
    watchman.rearm(stricter, replace(Exemption(), kinds=frozenset({"syn_flood"})), 30, 60, watchman._keys)
    watchman.write(batch([flood(41, "192.0.2.12")]))
    watchman.tick(BEGIN + 130 * SECOND)
    assert [one.state for one in heard[2:]] == ["cleared"] * 2 and watchman.seen.ignored == 3


def test_the_state_says_no_more_than_it_needs(tmp_path: Path) -> None:
    watchman, _, _ = begun(tmp_path / "alerts.state")
    watchman.write(batch([flood(1)]))
    found = json.loads((tmp_path / "alerts.state").read_text())
    assert set(found) == {"form", "secret", "muted", "alerts"} and len(found["alerts"]) == 1 and found["alerts"][0]["slots"] == []


def test_a_slot_of_an_hour_that_is_closed_early_clears_nothing(tmp_path: Path) -> None:
    """Else a stop would clear what is open, and the next start raise it anew."""
    probes = [row("203.0.113.9", f"192.0.2.{k}", port=22, at=k * 13) for k in range(230)]        # an hour's, of which ten minutes are left
    for early in (lambda one: one.stop(), lambda one: one.rearm(configured({"syn_flood": {"packets": 200}}), Exemption(), 300, 900, one._keys)):
        (tmp_path / "alerts.state").unlink(missing_ok=True)
        watchman, heard, _ = begun(tmp_path / "alerts.state")
        watchman.write(batch([flood(2980), *probes]))
        early(watchman)
        assert {"slow_scan", "syn_flood"} <= {one.kind for one in heard} and "cleared" not in {one.state for one in heard}
