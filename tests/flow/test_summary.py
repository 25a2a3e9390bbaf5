"""The summary against its slow twin, and its bounds."""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.batch import Batch, Coded, Texts
from dpi.capture.key import fresh_seed
from dpi.classify.transactions import transactions
from dpi.flow.facts import TRANSACTION
from dpi.flow.figures import BOUNDS, TOP, Delays, Figures
from dpi.flow.messages import fold_messages
from dpi.flow.summary import Summary
from dpi.flow.tally import KEPT, Distinct, Registry, Tally, place, seen
from dpi.flow.transactions import Transactions
from dpi.flow.words import LONGEST, WORLD, Words, count_word, room_in
from dpi.jit import BUILD, I64, entry, records
from dpi.replaying import run
from tests.golden.rows import PCAPS, Kept
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


# ------------------------------------------------------------ dns, tls and http

#: Plain Python takes a millisecond a packet, and seconds for QUIC's ciphers.
CAPTURES = [one for one in sorted(PCAPS.glob("*.pcap")) if BUILD != "off" or (one.stat().st_size < 9000 and "http3" not in one.name)]


def check_transactions(figures: Figures, batches: Sequence[Batch]) -> None:
    """Figures against plain counting over the columns of the same rows."""
    want = twin.transactions(batches)
    for name in ("dns", "tls", "http"):
        assert asdict(getattr(figures, name)) == asdict(getattr(want, name)), name
    assert {name: figures.distinct[name] for name in want.distinct} == want.distinct


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda one: one.stem)
def test_transactions_of_captures(capture: Path) -> None:
    summary, kept = Summary(), Kept()
    run([str(capture)], sinks=[summary, kept])
    check_transactions(summary.figures(), kept.batches)


def test_made_up_records_are_those_of_their_columns() -> None:
    for batch in (rows.dns(60), rows.tls(60), rows.http(60)):
        assert batch.records is not None
        again, = transactions(batch.records, batch.count, source="", capture_id=1, probe="", boot=0, stored_time=0)
        assert again.places is None
        for name, column in batch.columns.items():
            assert list(again.columns[name]) == list(column), name
        check_transactions(folded(batch), [batch])


def outboxed(made: Sequence[tuple[int, int, Sequence[int], Sequence[int], bytes]]) -> Any:
    """TRANSACTION records of (table, texts, numbers, ends, text)."""
    out = records(len(made), TRANSACTION)
    plain = out.view(np.ndarray)
    for k, (table, texts, numbers, ends, text) in enumerate(made):
        plain[k]["table"], plain[k]["texts"], plain[k]["numbers"], plain[k]["ends"] = table, texts, numbers, ends
        plain[k]["text"][:len(text)] = np.frombuffer(text, np.uint8)
    return out


def batches_of(outbox: Any) -> list[Batch]:
    return transactions(outbox, len(outbox), source="", capture_id=1, probe="", boot=0, stored_time=0)


PIECES = (b"", b"a", b"www.example.com", "网络".encode(), b"\xc3", b"\xed\xa0\x80 \xf0\x9f\x98\x80", b"\0\x1b\x7f\x80\xff")
NUMBERS = st.one_of(st.integers(-1, 3), st.sampled_from([200, 404, 999, 1000, 0x0303, 0x1301, 65534, 65535, 65536, (1 << 32) - 2, (1 << 32) - 1]),
                    st.integers(-(1 << 63), (1 << 63) - 1))
ENDS = st.one_of(st.lists(st.integers(0, 40), min_size=12, max_size=12).map(sorted), st.lists(st.integers(0, 0xFFFF), min_size=12, max_size=12))
TEXT = st.one_of(st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join), st.binary(max_size=60),
                 st.integers(0, 1 << 32).map(lambda seed: np.random.default_rng(seed).bytes(880)))
RECORD = st.tuples(st.integers(0, 4), st.one_of(st.just(12), st.integers(0, 255)), st.lists(NUMBERS, min_size=12, max_size=12), ENDS, TEXT)


@settings(max_examples=10 if BUILD == "off" else 150, deadline=None)
@given(st.lists(st.tuples(RECORD, st.integers(1, 3)), min_size=1, max_size=12))
def test_hostile_records(made: list[tuple[tuple[int, int, list[int], list[int], bytes], int]]) -> None:
    """Whatever a record holds, its figures are those of its columns."""
    batches = batches_of(outboxed([one for one, times in made for _ in range(times)]))
    check_transactions(folded(*batches), batches)


@pytest.mark.parametrize("seed", range(3))
def test_random_records(seed: int) -> None:
    """Nothing but noise, with the table as it should be or not."""
    random = np.random.default_rng(seed)
    outbox = records(20 if BUILD == "off" else 400, TRANSACTION)
    outbox.view(np.uint8)[:] = random.integers(0, 256, outbox.nbytes, np.uint8)
    outbox.view(np.ndarray)["table"] = random.integers(0, 6, len(outbox))
    batches = batches_of(outbox)
    check_transactions(folded(*batches), batches)


def test_records_of_other_tables_are_passed_over() -> None:
    outbox = outboxed([(table, 0, [0] * 12, [0] * 12, b"") for table in (1, 2, 3, 4, 0, 255)])
    figures = folded(Batch("dns", 6, {}, outbox), Batch("tls", 2, {}, outbox, np.array([1, 1])))
    assert (figures.dns.queries, figures.tls.hellos, figures.tls.unnamed, figures.http.requests) == (1, 3, 3, 1)


def test_columns_alone_are_refused() -> None:
    """Miscounting them would not be seen."""
    for batch in (rows.dns(5), rows.tls(5), rows.http(5)):
        with pytest.raises(ValueError, match="columns only"):
            folded(batch.whole())
    with pytest.raises(ValueError, match="records of other rows"):
        Batch("dns", 4, {}, rows.dns(5).records)
    assert folded(Batch("dns", 0, {}), Batch("files", 5, {})).dns.queries == 0


def test_a_row_without_room_is_not_added(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel stops, all rows before are counted and none after."""
    monkeypatch.setattr("dpi.flow.transactions.Words", lambda cap: Words(min(cap, 10), 3 * LONGEST))
    for batch in (rows.dns(80), rows.tls(80), rows.http(80)):
        figures, fold = Figures(), Transactions()
        stopped = fold_messages(batch.records, np.zeros(0, np.int64), 0, batch.count, fold._world)
        assert 0 < stopped < batch.count
        assert fold_messages(batch.records, np.zeros(0, np.int64), stopped, batch.count, fold._world) == stopped
        fold.into(figures)
        check_transactions(figures, batches_of(batch.records[:stopped]))


@pytest.mark.parametrize(("cap", "arena"), [(1, LONGEST), (2, 4 * LONGEST), (40, 2 * LONGEST)])
def test_texts_beyond_their_room(monkeypatch: pytest.MonkeyPatch, cap: int, arena: int) -> None:
    """Every row is counted, however little room there is; what is frequent stays where there is room for two."""
    monkeypatch.setattr("dpi.flow.transactions.Words", lambda _: Words(cap, arena))
    names = [name for k in range(100) for name in ("often", "often", f"rare{k}" + "x" * (k % 5 * 200))]
    batch = batches_of(outboxed([(1, 1, [0] * 12, [len(name)] * 12, name.encode()) for name in names]))[0]
    figures = folded(batch)
    assert figures.dns.queries == sum(share.flows for share in figures.dns.types) == 300
    assert figures.distinct["dns_names"] >= 101
    assert cap == 1 or (figures.dns.names[0].name, figures.dns.names[0].flows) == ("often", 200)


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

U4, U8, I8 = np.dtype("u4"), np.dtype("u8"), np.dtype("i8")


@entry(KEPT, U4, I8, U8, U8)
def place_key(kept, slots, head, seed, key):
    return place(kept, slots, head, seed, key[0], key[1], key[2])


@entry(np.dtype("u1"), U8, U8)
def see_key(bits, seed, key):
    return seen(bits, seed, key[0], key[1])


def placed(tally: Tally, high: int, low: int, third: int = 0) -> int:
    return place_key(tally.kept, tally.slots, tally.head, tally.seed, np.array([high, low, third], np.uint64))


def test_tally_is_bounded_and_counts_what_it_drops() -> None:
    tally = Tally(100, np.dtype((np.record, [("own", "i8")])))
    for k in range(1000):
        number = placed(tally, k // 10, k % 10, k % 2)
        if not number:
            tally.halve()
            number = placed(tally, k // 10, k % 10, k % 2)
        tally.kept[number].bytes += k
        tally.beside[number].own = k
    assert len(tally) <= 100 and tally.dropped == 1000 - len(tally)
    assert int(tally.rows["bytes"].sum()) + tally.lost == sum(range(1000))
    assert int(tally.rows["bytes"].max()) == 999
    for number, row in enumerate(tally.rows, 1):           # each is found again where it is, with what lies beside it
        assert placed(tally, *(int(row[name]) for name in ("high", "low", "third"))) == number
        assert int(tally.beside[number].own) == int(row["bytes"])


@pytest.mark.parametrize("count", [0, 10, 20_000])
def test_distinct_is_close(count: int) -> None:
    distinct, seed = Distinct(), fresh_seed()
    for _ in range(2):
        for k in range(count if BUILD == "on" else min(count, 200)):
            see_key(distinct.bits, seed, np.array([k, 1], np.uint64))
    assert distinct.count() == pytest.approx(count if BUILD == "on" else min(count, 200), rel=0.01, abs=1)


@entry(np.dtype("u1"), I8, I64, WORLD)
def count_texts(data, offsets, first, worlds):
    """Count texts from number `first`; returns the one that finds no room, else how many there are."""
    for k in range(first, offsets.size - 1):
        if room_in(worlds[0]) < 1:
            return k
        count_word(worlds[0], data, offsets[k], offsets[k + 1] - offsets[k])
    return offsets.size - 1


def count(words: Words, texts: Sequence[str]) -> None:
    column, k = Texts.of(texts), 0
    while (k := count_texts(column.data, column.offsets, k, words.world)) < len(texts):
        words.make_room()


@settings(deadline=None)        # the first call may compile
@given(st.lists(st.text(max_size=12), min_size=1, max_size=60), st.integers(1, 60))
def test_words_are_counted(texts: list[str], turns: int) -> None:
    words, want = Words(), Counter(texts[:turns] + texts)
    count(words, texts[:turns])
    count(words, texts)
    assert words.distinct() == len(words) == len(want)
    assert words.top(5) == sorted(want.items(), key=lambda item: (-item[1], item[0]))[:5]


def test_words_are_bounded() -> None:
    """By number and by bytes; what is frequent stays, whole."""
    words = Words(64, 2000)
    for turn in range(20):
        count(words, ["often"] * 5 + ["网络"] * 4 + [f"rare{turn}-{k}" + "x" * 30 for k in range(20)])
    assert words.top(2) == [("often", 100), ("网络", 80)]
    assert len(words) <= 64 and words.distinct() == 402
    count(words, ["y" * LONGEST, "z", "y" * LONGEST])
    assert ("y" * LONGEST, 2) in words.top(100)
    for cap, arena in ((0, 2000), (64, LONGEST - 1)):
        with pytest.raises(ValueError, match="no room"):
            Words(cap, arena)


def test_many_hosts_are_dropped_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """More hosts than a tally holds: the largest stay exact, the rest are counted."""
    monkeypatch.setattr("dpi.flow.summary.HOSTS", 256)
    batch = rows.flows(2000, 5)
    number = np.arange(2000)
    many = np.zeros((2000, 16), np.uint8)
    many[:, 10:12], many[:, 12], many[:, 13], many[:, 14], many[:, 15] = 255, 10, 0, number >> 8, number & 255
    wire = np.where(number % 100 == 0, 10_000_000 + number, 100).astype(np.uint64)
    figures = folded(Batch("flows", 2000, {**batch.columns, "client_ip": many, "client_wire_bytes": wire, "server_wire_bytes": np.zeros(2000, np.uint64)}))
    assert [host.bytes for host in figures.clients] == [10_000_000 + k for k in range(1900, -1, -100)]
    assert figures.capped["clients"] >= 2000 - 256 - 1 and figures.distinct["clients"] == pytest.approx(2000, rel=0.02)
    assert figures.bytes == int(wire.sum()) and figures.rows == 2000


def test_rows_of_the_pipeline_and_their_columns_give_the_same() -> None:
    """The kernel's records and the columns made of them say the same of every capture's flows."""
    for name in ("demo.pcap",):
        one, other = Summary(), Summary()
        run([str(PCAPS / name)], sinks=[one, Columns(other)])
        left, right = asdict(one.figures()), asdict(other.figures())
        assert left.pop("rows") == right.pop("rows") > 0
        for figures in (left, right):
            for series in figures["timeline"]["series"]:
                series[:] = [round(value, 1) for value in series]
        assert left == right


class Columns:
    """Hands flows on without their records."""

    def __init__(self, sink: Summary) -> None:
        self.sink = sink

    def write(self, batch: Batch) -> None:
        self.sink.write(batch.whole() if batch.table == "flows" else batch)

    def close(self) -> None:
        """Nothing to end."""


def test_registry_is_bounded() -> None:
    registry = Registry(4)
    codes = registry.codes(Coded.of([f"w{k}" for k in range(10)]))
    assert codes.max() == 3 and registry.words == ["", "w0", "w1", "(other)"]
    big = Coded(np.array([500, 501, 500], np.uint32), [f"v{k}" for k in range(1000)])
    assert Registry(1024).codes(big).tolist() == [1, 2, 1]


@given(st.lists(st.integers(0, 0xFFFFFFFE), min_size=1, max_size=60), st.floats(0, 1))
def test_percentiles_lie_in_their_bin(values: list[int], share: float) -> None:
    counts = [0] * len(BOUNDS)
    for value in values:
        counts[max(k for k, bound in enumerate(BOUNDS) if bound <= value)] += 1
    exact = sorted(values)[max(0, min(len(values) - 1, int(np.ceil(share * len(values))) - 1))]
    low = max(bound for bound in BOUNDS if bound <= exact)
    high = min((bound for bound in BOUNDS if bound > exact), default=low)
    assert low <= Delays(counts).percentile(share) <= high
