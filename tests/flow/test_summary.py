"""The summary against its slow twin, and its bounds."""
from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.batch import Batch, Coded, Texts
from dpi.flow.figures import BOUNDS, TOP, Delays, Figures
from dpi.flow.summary import Summary
from dpi.flow.tally import Distinct, Registry, Tally, TextTally, grouped, mix, text_keys
from tests.oracle import summary as twin
from tests.reports import rows


def folded(*batches: Batch) -> Figures:
    summary = Summary()
    for batch in batches:
        summary.write(batch)
    return summary.figures()


def check_against_twin(batches: list[Batch]) -> None:
    figures, want = folded(*batches), twin.summary(batches)
    for name in ("flows", "packets", "bytes", "ip_bytes", "payload_bytes", "client_bytes", "rows", "first", "last"):
        assert getattr(figures, name) == want[name], name
    for name in ("protocols", "categories", "confidences", "transports", "versions", "tunnels", "vlans", "unknown_ports"):
        got = {share.name: [share.flows, share.packets, share.bytes] for share in getattr(figures, name)}
        assert got == want[name], name
    assert {(share.name, share.named): [share.flows, share.packets, share.bytes] for share in figures.applications} == want["applications"]
    for share in figures.applications:
        assert sum(share.confidence.values()) == share.bytes
    for name in ("clients", "servers"):
        hosts = getattr(figures, name)
        best = sorted(want[name].items(), key=lambda item: (-item[1][2], item[0]))[:TOP]
        assert [(host.address, [host.flows, host.packets, host.bytes]) for host in hosts] == best
        assert figures.distinct[name] == len(want[name])
    assert {share.name: share.flows for share in figures.endings} == want["endings"]
    assert {share.name: share.flows for share in figures.risks} == want["risks"]
    for name, counts in want["delays"].items():
        assert getattr(figures, name).counts == counts
    assert {name: value for name, value in asdict(figures.tcp).items() if value} == {name: value for name, value in want["tcp"].items() if value}
    assert [line.bytes for line in figures.largest] == [count for _, count in want["largest"].most_common(TOP)]
    assert sum(figures.timeline.total) == pytest.approx(figures.bytes)
    assert np.sum(figures.timeline.series) == pytest.approx(figures.bytes)


@pytest.mark.parametrize("size", [1, 2, 300])
def test_twin(size: int) -> None:
    check_against_twin([rows.flows(size, seed, first_id=1 + seed * 1000) for seed in range(4)])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 1000), st.integers(1, 4), st.integers(2, 30)), min_size=1, max_size=4))
def test_twin_of_any_batches(shapes: list[tuple[int, int, int, int]]) -> None:
    check_against_twin([rows.flows(count, seed, first_id=1 + 100 * k, minutes=minutes, hosts=hosts) for k, (count, seed, minutes, hosts) in enumerate(shapes)])


def test_nothing() -> None:
    figures = folded(Batch("flows", 0, {}))
    assert figures.rows == 0 and figures.applications == [] and figures.mean_bits == 0
    assert figures.json()["timeline"]["total"] == []


def test_columns_may_be_missing() -> None:
    full = rows.flows(20)
    kept = ("interval_start", "interval_end", "client_ip", "server_ip", "client_wire_bytes")
    figures = folded(Batch("flows", 20, {name: full.columns[name] for name in kept}))
    assert figures.bytes == int(np.sum(full.columns["client_wire_bytes"])) and figures.flows == 20     # type: ignore[arg-type]


def test_years_apart() -> None:
    """A capture with a broken clock: the timeline widens, nothing is lost."""
    early, late = rows.flows(50, 1), rows.flows(50, 2)
    for name in ("interval_start", "interval_end"):
        late.columns[name] = late.columns[name] + 30 * 365 * 86_400_000_000       # type: ignore[operator]
    figures = folded(early, late)
    assert sum(figures.timeline.total) == pytest.approx(figures.bytes) and len(figures.timeline.total) <= 600
    assert figures.timeline.start % (figures.timeline.width * 1_000_000) == 0


def test_transactions() -> None:
    batches = [rows.dns(400), rows.tls(400), rows.http(400), rows.dns(100, 9)]
    figures = folded(*batches)
    dns = [row for batch in batches if batch.table == "dns" for row in twin.rows(batch)]
    names = Counter(row["query_name"] for row in dns if not row["is_response"])
    assert [(share.name, share.flows) for share in figures.dns.names] == sorted(names.items(), key=lambda item: (-item[1], item[0]))[:TOP]
    assert figures.distinct["dns_names"] == len(names)
    bad = Counter(row["query_name"] for row in dns if row["is_response"] and row["response_code"] == "NXDOMAIN")
    assert {share.name: share.flows for share in figures.dns.failing} == dict(sorted(bad.items(), key=lambda item: (-item[1], item[0]))[:TOP])
    assert figures.dns.queries == figures.dns.responses == 250 and figures.dns.delays.count == 250
    hellos = [row for row in twin.rows(batches[1]) if row["role"] == "client"]
    assert figures.tls.hellos == len(hellos) and figures.tls.unnamed == sum(row["server_name"] == "" for row in hellos)
    assert {share.name: share.flows for share in figures.tls.offered} == Counter(row["version"] for row in hellos)
    assert {share.name for share in figures.tls.ja4} <= {row["ja4"] for row in hellos}
    status = Counter(str(row["status"]) for row in twin.rows(batches[2]) if row["status"] != 0xFFFF)
    assert {share.name: share.flows for share in figures.http.codes} == status
    assert {share.name for share in figures.http.status} == {"2xx", "3xx", "4xx", "5xx"} and figures.http.requests == 400


def test_outcome_is_taken() -> None:
    summary = Summary()
    summary.write(rows.flows(30))
    capture = SimpleNamespace(name="a.pcap", path="/x/a.pcap", size=10, sha256="00", link_types=["Ethernet"], first_time=1, last_time=2, packets=1000,
                              refused={"not_ip": 3, "bad_ip": 0}, damage="cut")
    outcome = SimpleNamespace(captures=[capture, capture], counters={"evicted": 2, "folded": 0}, per_second=np.array([[5, 10, 100], [6, 7, 900]]),
                              interrupted=True,
                              skipped=["x: no capture"])
    figures = summary.figures(outcome)
    assert figures.refused == {"not_ip": 6} and figures.counters == {"evicted": 2} and figures.read_packets == 2000
    assert (figures.peak_bits, figures.peak_time, figures.peak_packets, figures.peak_width) == (7200.0, 6_000_000, 10.0, 1)
    assert figures.json()["interrupted"] is True


# ------------------------------------------------------------ what it stands on

@given(st.lists(st.text(max_size=8), min_size=1, max_size=40))
def test_text_keys_tell_strings_apart(words: list[str]) -> None:
    keys = text_keys(Texts.of(words)).tolist()
    assert len(set(keys)) == len(set(words))
    assert dict(zip(words, keys, strict=True)) == {word: int(text_keys(Texts.of([word]))[0]) for word in words}


@given(st.lists(st.integers(0, 20), min_size=1, max_size=200))
def test_grouped(values: list[int]) -> None:
    keys = np.array(values, np.uint64) << np.uint64(16)
    order, starts = grouped(keys)
    assert sorted(order.tolist()) == list(range(len(values)))
    assert keys[order][starts].tolist() == sorted(set(keys.tolist()))


def test_tally_is_bounded_and_counts_what_it_drops() -> None:
    tally = Tally(1, 2, cap=100)
    keys = np.arange(1, 1001, dtype=np.uint64) << np.uint64(16)
    weight = np.arange(1000, dtype=np.int64)
    for part in range(0, 1000, 50):
        tally.add(keys[part:part + 50], (keys[part:part + 50],), (weight[part:part + 50], weight[part:part + 50]))
    assert len(tally) <= 100 and tally.dropped == 1000 - len(tally.keys)
    assert int(tally.summed[0].sum()) + int(tally.lost[0]) == int(weight.sum())
    assert int(tally.summed[0].max()) == 999


@pytest.mark.parametrize("count", [0, 10, 100_000])
def test_distinct_is_close(count: int) -> None:
    distinct = Distinct()
    keys = mix(np.arange(count, dtype=np.uint64), np.ones(count, np.uint64))
    for _ in range(2):
        distinct.add(keys)
    assert distinct.count() == pytest.approx(count, rel=0.01, abs=1)


def test_text_tally_takes_coded_and_texts() -> None:
    tally, ones = TextTally(), np.ones(3, np.int64)
    tally.add(Coded.of(["a", "b", "a"]), ones)
    tally.add(Texts.of(["a", "", "c"]), ones)
    tally.add(None, ones)
    assert tally.top(5) == [("a", [3]), ("b", [1]), ("c", [1])] and tally.distinct() == 3


def test_registry_is_bounded() -> None:
    registry = Registry(4)
    codes = registry.codes(Coded.of([f"w{k}" for k in range(10)]), 10)
    assert codes.max() == 3 and registry.words == ["", "w0", "w1", "(other)"]
    big = Coded(np.array([500, 501, 500], np.uint32), [f"v{k}" for k in range(1000)])
    assert Registry(1024).codes(big, 3).tolist() == [1, 2, 1]


@given(st.lists(st.integers(0, 0xFFFFFFFE), min_size=1, max_size=60), st.floats(0, 1))
def test_percentiles_lie_in_their_bin(values: list[int], share: float) -> None:
    counts = [0] * len(BOUNDS)
    for value in values:
        counts[max(k for k, bound in enumerate(BOUNDS) if bound <= value)] += 1
    exact = sorted(values)[max(0, min(len(values) - 1, int(np.ceil(share * len(values))) - 1))]
    low = max(bound for bound in BOUNDS if bound <= exact)
    high = min((bound for bound in BOUNDS if bound > exact), default=low)
    assert low <= Delays(counts).percentile(share) <= high
