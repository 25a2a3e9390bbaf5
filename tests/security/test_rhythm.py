"""Even intervals, first meetings, denials, sorts, what is usual: against plain twins and at their bounds."""
from __future__ import annotations

import statistics
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.batch import Batch, Coded
from dpi.jit import BUILD
from dpi.security.acquaintance import Acquaintance
from dpi.security.conversation import SORT_AT
from dpi.security.denials import Denials
from dpi.security.detector import Sort
from dpi.security.registry import configured
from dpi.security.rhythm import Rhythm
from dpi.security.sorts import Sorts
from tests.security.made import SECOND, batch, row, watch
from tests.security.test_detectors import INSIDE, VICTIM, calls, kinds, logins, session, upload


def plain(starts: list[int], rhythm: Rhythm) -> bool:
    """The slow twin of Rhythm.heard."""
    if len(starts) < rhythm.calls:
        return False
    mean = (starts[-1] - starts[0]) / max(len(starts) - 1, 1)
    apart = starts[:1] + [b for a, b in zip(starts, starts[1:]) if (b - a) * 8 > mean]
    if len(apart) < rhythm.calls:
        return False
    gaps = [b - a for a, b in zip(apart, apart[1:])]
    return statistics.mean(gaps) >= 1000 * rhythm.least and statistics.pstdev(gaps) * 100 <= rhythm.percent * statistics.mean(gaps) + 1e-6


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 90_000), min_size=2, max_size=40), st.integers(2, 12), st.integers(1, 80), st.integers(1, 20))
def test_a_rhythm_is_that_of_the_twin(gaps: list[int], count: int, percent: int, least: int) -> None:
    starts = np.cumsum(gaps)
    assert (Rhythm(count, percent, least).heard(starts) is not None) == plain(starts.tolist(), Rhythm(count, percent, least))


def test_calls_made_twice_and_calls_at_random() -> None:
    even = np.arange(12) * 60_000
    twice = np.sort(np.concatenate((even, even + 700)))
    heard = Rhythm(12, 25, 4).heard(twice)
    assert heard is not None and heard[0] == 60 and heard[1] < 0.01
    rng = np.random.default_rng(3)
    told = sum(Rhythm(12, 25, 4).heard(np.cumsum(rng.exponential(60_000, 30)).astype(np.int64)) is not None for _ in range(2000))
    assert told == 0
    told = sum(Rhythm(12, 25, 4).heard(np.cumsum(60_000 * rng.uniform(0.8, 1.2, 15)).astype(np.int64)) is not None for _ in range(500))
    assert told == 500


def test_only_the_first_64_calls_of_a_slot_are_kept_whatever_their_order() -> None:
    quick = [one | {"client_port": k} for k, one in enumerate(row(INSIDE, VICTIM, 443, at=20 * k, client_tcp_flags=18, server_tcp_flags=18, server_packets=3)
                                                             for k in range(150))]
    evidence = []
    for order in (1, -1):
        watchman, sink, _ = watch([one for one in configured({}) if one.detector.kind == "beacon"], keys=1 << 8)
        watchman.write(batch(quick[::order]))
        watchman.end()
        evidence.append([one["evidence"] for one in sink.rows["detections"]])
    assert evidence[0] == evidence[1] and len(evidence[0]) == 1 and "a call every 20.0 s with a deviation of 0 %" in evidence[0][0]
    assert evidence[0][0].startswith("distinct 64 (limit 12)")


def test_what_is_no_beacon() -> None:
    assert kinds(calls(30, application="Microsoft"), "beacon") == [] and kinds(calls(30, port=993), "beacon") == []
    assert kinds(calls(30, client="203.0.113.9"), "beacon") == []                                   # from outside
    assert kinds([one | {"interval": 1} for one in calls(30)], "beacon") == [] and kinds(calls(30, server="10.0.0."), "beacon") == []
    assert kinds([one | {"server_tcp_flags": 20, "server_payload_bytes": 0} for one in calls(30)], "beacon") == []         # refused


def test_local_networks_say_who_is_inside() -> None:
    rows = upload(100, client="198.51.100.7")
    for here, found in ((1, ["exfiltration"]), (0, [])):
        watchman, sink, _ = watch()
        watchman.write(batch(rows, client_local=np.full(1, here, np.uint8), server_local=np.zeros(1, np.uint8)))
        watchman.end()
        assert [one["kind"] for one in sink.rows["detections"]] == found
    watchman, sink, _ = watch()
    watchman.write(batch(rows, client_local=np.ones(1, np.uint8), server_local=np.ones(1, np.uint8)))
    watchman.write(batch(rows))
    watchman.end()
    assert sink.rows["detections"] == []


def later(rows: list[dict[str, Any]], seconds: int) -> list[dict[str, Any]]:
    return [one | {name: one[name] + seconds * SECOND for name in ("interval_start", "interval_end", "flow_start_time")} for one in rows]


def test_what_is_usual_is_no_exfiltration_and_no_guessing() -> None:
    watchman, sink, _ = watch([one for one in configured({}) if one.detector.kind == "exfiltration"], prompt=True, keys=1 << 8)
    for k in range(60):
        watchman.write(batch(later(upload(40 if k < 50 else 200 if k == 55 else 50), 300 * k)))
    watchman.end()
    slots = [(one["slot_begin"] - sink.rows["detections"][0]["slot_begin"]) // (300 * SECOND) for one in sink.rows["detections"]]
    assert slots == [*range(30), 55]            # until it is known, and what is far beyond it
    watchman, sink, _ = watch([one for one in configured({}) if one.detector.kind == "brute_force"], keys=1 << 10)
    watchman.write(batch([one for k in range(45) for one in later(logins(25, 3306, 200, 300), 60 * k)]))
    watchman.end()
    assert len([one for one in sink.rows["detections"] if one["flows"] == 25]) == 30


@pytest.mark.parametrize("prompt", [False, True])
def test_a_pair_that_meets_is_told_once(prompt: bool) -> None:
    watchman, sink, heard = watch([one for one in configured({}) if one.detector.kind == "new_admin_pair"], prompt=prompt, keys=1 << 8)
    for at in (0, 4000, 4030, 8000, 12000):
        watchman.write(batch(session(at, "203.0.113.6" if at == 0 else "203.0.113.5")))
    watchman.end()
    assert len(sink.rows["detections"]) == 1 and [one.kind for one in heard if one.state == "raised"] == ["new_admin_pair"]
    assert heard[0].source == "203.0.113.5" and heard[0].target == "192.0.2.10" and heard[0].dedup_key == "new_admin_pair:203.0.113.5:22:test"


def test_acquaintances_are_bounded() -> None:
    one = Acquaintance(100)
    assert one.meets((1, 2), 5) and one.meets((1, 2), 5) and not one.meets((1, 2), 6)
    assert all(one.meets((k,), 0) for k in range(1000)) and len(one) == 100 and one.given_up == 901 and one.meets((1, 2), 7)


def denied(flows: list[int], status: int = 401) -> Batch:
    return Batch("http", len(flows), {"flow_id": np.array(flows, np.uint64), "status": np.full(len(flows), status, np.uint16)})


def test_denials_are_those_of_their_flows() -> None:
    one = Denials(3)
    assert one.of(np.arange(5, dtype=np.uint64)) is None
    one.take(denied([1, 1, 1, 70_000], 404))
    one.take(denied([1, 1, 1, 1 + (1 << 40)]))
    assert one.of(np.array([65_537, 2], np.uint64)) is None
    assert one.of(np.array([1, 2, 1, 1 + (1 << 40)], np.uint64)).tolist() == [3, 0, 0, 1] and one.of(np.array([1], np.uint64)) is None
    one.take(denied([1, 2, 3, 4, 5]))
    assert one.given_up == 2 and one.of(np.arange(8, dtype=np.uint64)).tolist() == [0, 0, 0, 1, 1, 1, 0, 0]


@pytest.mark.parametrize(("count", "found"), [(29, []), (30, ["brute_force"])])
def test_answers_of_401_are_guesses(count: int, found: list[str]) -> None:
    watchman, sink, _ = watch()
    rows = [one | {"interval": 3} for one in logins(3, 80, 9000, 90000)]           # few connections, none brief
    watchman.write(denied([1, 2, 3] * (count // 3) + [2] * (count % 3)))
    watchman.write(batch(rows))
    watchman.end()
    assert [one["kind"] for one in sink.rows["detections"]] == found
    told = [(one["flows"], one["source"], one["target"], one["port"]) for one in sink.rows["detections"]]
    assert told == [(count, "203.0.113.5", "192.0.2.10", 80)] * len(found)


def test_sorts_are_bits_by_name_and_port() -> None:
    one, names, port = Sorts(), Sort(protocols=("SSH",), applications=("Tor",)), Sort(categories=("vpn",), ports=(22,))
    assert one.bit(Sort()) == 0 and one.bit(names) == 1 << SORT_AT and one.bit(port) == 2 << SORT_AT == one.bit(Sort(categories=("vpn",), ports=(22,)))
    one.learn(batch([row(INSIDE, VICTIM, protocol="SSH", application="Tor", category="vpn")]))
    assert [one.arrays[name][:3].tolist() for name in ("protocols", "applications", "categories")] == [[0, 1, 0], [0, 1, 0], [0, 2, 0]]
    assert int(one.arrays["services"][22]) == 2
    one.learn(Batch("flows", 1, {"protocol": Coded(np.zeros(1, np.uint16), ["SSH"])}))              # other rules, other codes
    assert one.arrays["protocols"][:3].tolist() == [1, 0, 0]
    with pytest.raises(ValueError, match="16 sorts"):
        for number in range(17):
            one.bit(Sort(ports=(number + 1,)))


@pytest.mark.parametrize("prompt", [False, True])
def test_hostile_rows_harm_no_detector(prompt: bool) -> None:
    rng = np.random.default_rng(2)
    watchman, _, _ = watch(prompt=prompt, keys=1 << 8)
    whole = batch([row("10.0.0.1", "192.0.2.1")] * (2000 if BUILD == "on" else 60))
    plain_rows = whole.records.view(np.ndarray)
    for _ in range(2):
        plain_rows.view(np.uint8)[:] = rng.integers(0, 256, plain_rows.nbytes, np.uint8)
        for name in ("interval_start", "interval_end"):
            plain_rows[name] = rng.integers(-(1 << 61), 1 << 61, len(plain_rows))
        watchman.write(denied(rng.choice(plain_rows["flow_id"], 50).tolist()))
        watchman.write(whole)
    watchman.end()
    assert watchman.counters()["rows"] >= len(plain_rows)
