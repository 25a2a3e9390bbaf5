"""The table of counts against its slow twin, and what it does when it is full."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.jit import BUILD
from dpi.security import conversation
from dpi.security.conversation import facts, port_classes
from dpi.security.detector import Detector, Limits, Rule, Words
from dpi.security.gauge import CLIENT, CLIENTS, SERVER, SERVER_PORTS, SERVERS, SERVICES, measure
from dpi.security.ledger import NUMBER
from dpi.security.registry import Asked
from dpi.security.watchman import Watchman
from tests.oracle import gauge as oracle
from tests.security.made import BEGIN, SECOND, batch, row, words

PORTS = port_classes()
ROOMY = 1 << 16             # keys beside the thousand or so that an example counts: with a seed of each run, a bucket of fewer may be full by chance
HOSTS = ("10.0.0.1", "10.0.0.2", "172.32.1.2", "192.0.2.9", "2001:db8::1", "2001:db8:0:1::2", "224.0.0.5", "ff02::1", "fd00::9", "172.31.0.1", "fe90::1",
         "100.100.0.1", "192.168.7.7", "169.254.0.9", "127.0.0.1")
ROWS = st.lists(st.fixed_dictionaries({
    "client": st.sampled_from(HOSTS[:6]), "server": st.sampled_from(HOSTS), "port": st.sampled_from((22, 53, 80, 5353, 33440, 50000)),
    "at": st.integers(0, 200), "lasts": st.sampled_from((0, 1, 7, 29, 59, 4000)), "ip_protocol": st.sampled_from((1, 6, 17, 58)),
    "client_tcp_flags": st.integers(0, 31), "server_tcp_flags": st.integers(0, 31), "client_packets": st.sampled_from((0, 1, 3, 4, 1000)),
    "server_packets": st.sampled_from((0, 1, 2, 4)), "client_bytes": st.sampled_from((0, 40, 4000)), "server_bytes": st.sampled_from((0, 40, 5000)),
    "client_payload_bytes": st.sampled_from((0, 9, 1024, 4096, 16385)),
    "server_payload_bytes": st.sampled_from((0, 9, 1025, 8192, 16384)), "final": st.integers(0, 1), "age": st.sampled_from((0, 9, 10, 600)),
    "application": st.sampled_from((0, 0, 3)), "interval": st.sampled_from((0, 0, 3)),
    "midstream": st.integers(0, 1), "one_sided": st.sampled_from((0, 0, 1)), "fold": st.sampled_from((0, 0, 3, 33)), "folded": st.sampled_from((0, 50)),
    "icmp_type": st.sampled_from((0, 8, 128)), "client_port": st.sampled_from((53, 40000))}), max_size=40)


def rule(**given: Any) -> Rule:
    """A rule that never fires unless it is told to."""
    return Rule(**{"all": 0, "where": "1", "window": 10, "limits": Limits(packets=1 << 50), **given})


RULES = [rule(key=key, of=of, port=port, sent=sent, window=window)
         for key, of, port, sent, window in ((0, 2, 0, 0, 10), (1, 1, 0, 1, 60), (2, 3, 0, 2, 3600), (3, 4, 1, 2, 10), (4, 2, 2, 0, 60), (5, 1, 1, 2, 10),
                                              (1, 5, 1, 2, 60), (2, 6, 1, 2, 60))] + [
    rule(all=conversation.PROBE, key=CLIENT, of=SERVERS), rule(any=conversation.UNFINISHED | conversation.UDP, none=conversation.MANY_SERVERS, key=SERVER)]


def watchman(rules: list[Rule], keys: int = 1 << 12) -> Watchman:
    detector = Detector("test", Words("", ""), "low", "", "", Words("", ""), object, lambda _: rules)
    return Watchman([Asked(detector, None, tuple(rules))], [], keys=keys)


def entries(made: Watchman) -> Any:
    """The entries in use."""
    tags = made._counting.arrays["tags"]
    return made._counting.arrays["entries"].view(np.ndarray)[(tags[tags != 0] & NUMBER).astype(np.int64)]


def test_entries_fill_from_the_front_and_are_used_again() -> None:
    one = watchman([rule(key=CLIENT)], keys=ROOMY)
    for slot in range(3):
        one.write(batch([row(f"10.0.{host >> 8}.{host & 255}", HOSTS[3], at=10 * slot) for host in range(500)]))
        head = one._counting.head
        assert (int(head["used"]), int(head["high_entry"])) == (500, 500) and len({int(entry["low"]) for entry in entries(one)}) == 500
        for _ in one._counting.close(1 << 62):
            pass
        one._counting.begin()
        assert int(head["used"]) == 0


@settings(max_examples=40 if BUILD == "on" else 15, deadline=None)
@given(ROWS)
def test_the_facts_of_a_row_are_those_of_the_twin(rows: list[dict[str, Any]]) -> None:
    made = batch([row(**one) for one in rows])
    for one in made.records:
        bits = int(facts(one, PORTS))
        assert {name for name in conversation.words(bits) if " port " not in name} == oracle.facts(one)


@settings(max_examples=40 if BUILD == "on" else 15, deadline=None)
@given(ROWS, st.randoms())
def test_counts_are_those_of_the_twin_in_any_order(rows: list[dict[str, Any]], random: Any) -> None:
    made = [row(**one) for one in rows]
    random.shuffle(made)
    whole = batch(made)
    one = watchman(RULES, keys=ROOMY)
    one.write(whole)
    assert one.counters()["evicted"] == 0

    def matches(record: Any, asked: Rule) -> bool:
        bits = int(facts(record, PORTS))
        return bits & asked.all == asked.all and not bits & asked.none and (not asked.any or bool(bits & asked.any))

    expected = oracle.gauge(whole.records, RULES, matches)
    found = entries(one)
    assert len(found) == len(expected)
    names = ("rule", "port", "slot", "packets", "bytes", "flows", "distinct")
    assert sorted(tuple(int(e[name]) for name in names) for e in found) == sorted(
        (number, port, slot, counted.packets, counted.bytes, counted.flows, len(counted.values)) for (number, _, port, slot), counted in expected.items())


@pytest.mark.parametrize("count", [1, 4, 5, 63, 64, 65, 200, 1000])
def test_distinct_values_are_exact_up_to_64_and_near_beyond(count: int) -> None:
    if BUILD == "off" and count > 200:
        pytest.skip("slow as plain Python")
    rules = [rule(key=SERVER, of=CLIENTS), rule(key=SERVER, of=SERVER_PORTS), rule(key=SERVER, of=SERVICES)]
    one = watchman(rules)
    made = [row(f"10.{k >> 8 & 255}.{k & 255}.7", "192.0.2.1", 1 + k) for k in range(count)]
    one.write(batch(made))
    one.write(batch(made[::-1]))
    for entry in entries(one):
        assert int(entry["distinct"]) == count if count <= 64 else abs(int(entry["distinct"]) - count) < 0.3 * count


def test_distinct_values_do_not_depend_on_their_order() -> None:
    made = [row(f"2001:db8::{k:x}", "192.0.2.1") for k in range(300)]
    every = []
    for order in (1, -1):
        one = watchman([rule(key=SERVER, of=CLIENTS)])
        one.write(batch(made[::order]))
        every.append(int(entries(one)[0]["distinct"]))
    assert every[0] == every[1] > 200


def test_what_counts_most_stays_where_there_is_no_room() -> None:
    one = watchman([rule(key=CLIENT, of=SERVERS, window=3600)], keys=8)
    one.write(batch([row("10.9.9.9", f"192.0.2.{k}") for k in range(1, 200)]))
    one.write(batch([row(f"10.0.{k >> 8}.{k & 255}", "192.0.2.1", client_packets=2) for k in range(500)]))
    held = entries(one)
    assert len(held) == 8 and one.counters()["evicted"] == 493 and one.counters()["keys"] == 8
    kept = {(int(e["high"]), int(e["low"])): int(e["distinct"]) for e in held}
    assert kept[words("10.9.9.9")] > 150


def test_blocks_are_given_back() -> None:
    one = watchman([rule(key=CLIENT, of=SERVERS, window=60)], keys=64)
    blocks = len(one._counting.arrays["blocks"]) // 64 - 1
    for minute in range(4):
        one.write(batch([row(f"10.0.0.{k % 20}", f"192.0.2.{k}", at=60 * minute) for k in range(200)]))
        one.end()
    head = one._counting.arrays["head"][0]
    assert one.counters()["keys"] == 0 and 0 < int(head["high_block"]) <= min(20, blocks) and one.counters()["values_lost"] == 0


def test_more_values_than_blocks_are_counted_as_lost() -> None:
    one = watchman([rule(key=CLIENT, of=SERVERS, window=60)], keys=64)
    one._counting.arrays["head"]["high_block"] = len(one._counting.arrays["blocks"]) // 64 - 1          # none is left
    one.write(batch([row("10.0.0.1", f"192.0.2.{k}") for k in range(6)]))
    assert int(entries(one)[0]["distinct"]) == 4 and one.counters()["values_lost"] == 2


def test_rows_of_a_closed_slot_are_late_and_counted() -> None:
    one = watchman([rule(window=10)])
    one.write(batch([row("10.0.0.1", "192.0.2.1", at=1)]))
    one._close(BEGIN + 20 * SECOND)
    one.write(batch([row("10.0.0.1", "192.0.2.1", at=at) for at in (5, 15, 25)]))
    assert one.counters()["late"] == 2 and one.counters()["keys"] == 1


def test_hostile_rows_do_no_harm() -> None:
    rng = np.random.default_rng(1)
    one = watchman(RULES, keys=1 << 8)
    whole = batch([row("10.0.0.1", "192.0.2.1")] * (3000 if BUILD == "on" else 100))
    raw = whole.records.view(np.ndarray).view(np.uint8)
    raw[:] = rng.integers(0, 256, raw.size, np.uint8)
    plain = whole.records.view(np.ndarray)
    for name in ("interval_start", "interval_end"):
        plain[name] = rng.integers(-(1 << 61), 1 << 61, len(plain))
    one.write(whole)
    one.end()
    assert one.counters()["rows"] == len(plain)


@pytest.mark.compiled
def test_ten_million_sources_take_no_more_room() -> None:
    rules = [rule(key=CLIENT, of=SERVERS), rule(key=SERVER, of=CLIENTS, limits=Limits(packets=1000)), rule(key=CLIENT, of=SERVER_PORTS, window=3600)]
    one = watchman(rules, keys=1 << 14)
    room = sum(array.nbytes for array in one._counting.arrays.values())
    made = batch([row("10.0.0.1", "192.0.2.1")] * 20_000)
    plain = made.records.view(np.ndarray)
    for k in range(500):
        plain["client_ip"][:, 1] = 0xFFFF0000 | (np.arange(20_000, dtype=np.uint64) + np.uint64(20_000 * k + 1) << np.uint64(32))
        one.write(made)
    assert sum(array.nbytes for array in one._counting.arrays.values()) == room < 8 << 20
    target = [e for e in entries(one) if int(e["rule"]) == 1]
    assert [int(e["packets"]) for e in target] == [10_000_000] and abs(int(target[0]["distinct"]) - 10_000_000) < 3_000_000
    assert one.counters()["evicted"] > 5_000_000 and len(entries(one)) <= 1 << 14


def test_the_kernel_stops_where_there_is_no_room_to_tell() -> None:
    one = watchman([rule(limits=Limits(packets=1), key=CLIENT)])
    whole = batch([row(f"10.0.{k >> 8}.{k & 255}", "192.0.2.1") for k in range(1500)])
    room = 2 * len(one._counting.arrays["pending"])
    one._counting.arrays["found"].resize(room, refcheck=False)
    one._counting.world[0]["found_n"] = room
    stops = [measure(whole.records, 0, 1500, one._counting.world)]
    assert 0 < stops[0] < 1500


def test_a_row_of_a_minute_is_shared_out_over_all_of_its_short_slots() -> None:
    made = watchman([rule(window=5, key=SERVER)])
    made.write(batch([row("10.0.0.1", "10.0.0.2", at=1, lasts=59.9, client_packets=1198)]))
    held = entries(made)
    assert len(held) == 13 and int(held["packets"].max()) <= 101 and int(held["packets"].sum()) == 1198


def test_slots_before_1970_are_slots_like_others() -> None:
    made = watchman([rule(window=10, key=SERVER)])
    made.write(batch([row("10.0.0.1", "10.0.0.2", client_packets=100) | {"interval_start": -15_000_000, "interval_end": 4_999_999}]))
    held = entries(made)
    assert sorted(zip(held["slot"].tolist(), held["packets"].tolist(), strict=True)) == [(-2, 25), (-1, 50), (0, 25)]


def test_keys_that_fired_and_made_room_are_forgotten() -> None:
    sink: list[Any] = []
    one = rule(window=10, key=SERVER, limits=Limits(packets=1))
    detector = Detector("test", Words("", ""), "low", "", "", Words("", ""), object, lambda _: [one])
    made = Watchman([Asked(detector, None, (one,))], sink, keys=8, prompt=True, grace=45)
    made.write(batch([row("10.0.0.1", f"10.0.1.{k}") for k in range(100)]))
    assert made.counters()["evicted"] > 0 and made._known
    made.tick(BEGIN + 200 * SECOND)
    assert not made._known
