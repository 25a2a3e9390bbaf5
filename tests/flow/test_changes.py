"""Rows are cut where an address changes hands, to the packet, and nowhere else: the flow table against its slow twin, with changes."""
from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpi.flow.changes import KEPT, PENDING
from dpi.flow.table import ANY_VLAN, CHANGE
from dpi.jit import BUILD, records
from dpi.shard import Shard
from tests.flow.test_eviction import Attempt, framed
from tests.flow.test_flows import EXAMPLES, STEPS, Frame, Move, engine, moves, played, same, twin
from tests.hostile.samples import ether, ip4, udp
from tests.oracle.columns import moment
from tests.oracle.flows import Change, number

ACK = 16
START = 28_333_334 * 60_000_000 - 3_000_000
#: The ends of conversations of `played`, one of them only, none, a VLAN, a MAC address.
CHANGES = (("10.0.0.1", "10.0.0.1", None, None), ("198.51.100.0", "198.51.100.255", None, None), ("2001:db8::1", "2001:db8::1", None, None),
           ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None), ("192.0.2.0", "192.0.2.255", None, None), ("10.0.0.2", "198.51.100.6", None, None),
           ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 5, None), ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, "0a:00:00:00:00:01"),
           ("10.0.0.1", "10.0.0.1", 5, "02:00:00:00:00:99"))
times = st.one_of(st.integers(-2_000_000, 10_000_000), st.integers(0, 400_000_000), st.sampled_from([2_999_999, 3_000_000, 3_000_001]))
some = st.lists(st.builds(lambda time, what: Change(START + time, what[0], what[1], what[2], None, what[3]), times, st.sampled_from(CHANGES)), max_size=12)


def made(changes: list[Change]) -> Any:
    """CHANGE[], in order of time."""
    out = records(len(changes), CHANGE)
    for row, one in zip(out, sorted(changes, key=lambda one: one.time), strict=True):
        row.time = one.time
        for half in range(2):
            row.low[half] = number(one.first) >> (0 if half else 64) & 0xFFFFFFFFFFFFFFFF
            row.high[half] = number(one.last) >> (0 if half else 64) & 0xFFFFFFFFFFFFFFFF
        row.mac = int((one.mac or "0").replace(":", ""), 16)
        row.vlan = ANY_VLAN if one.vlan is None else one.vlan
        row.inner_vlan = ANY_VLAN if one.inner_vlan is None else one.inner_vlan
    return out


@EXAMPLES
@given(moves(STEPS), st.lists(st.integers(1, 9), min_size=1, max_size=4), some, some)
def test_interleaved_conversations_whose_ends_change_hands(script: list[Move], sizes: list[int], bounds: list[Change], told: list[Change]) -> None:
    def prepare(shard: Shard) -> None:
        shard.bound(made(bounds))
        for one in told:
            shard.change(made([one]))
    frames = played(script)
    mine, shard = engine(frames, sizes, prepare, flows=1024)
    same(mine, twin(frames, changes=[*bounds, *told]))
    assert int(shard.counters.changes_full) == 0


def talk(client: str, server: str, port: int, vlan: int = 0) -> bytes:
    """A frame of a conversation over UDP."""
    ends = (bytes(map(int, client.split("."))), bytes(map(int, server.split("."))))
    packet = ip4(17, udp(port, 53, b"x" * 20), ends)
    return ether(0x8100, vlan.to_bytes(2, "big") + b"\x08\0" + packet) if vlan else ether(0x0800, packet)


def test_a_change_while_packets_come_cuts_its_own_flows_only() -> None:
    """At the very microsecond; and again, once more has passed between two packets than is kept, whoever it concerns."""
    frames = [Frame(START + k * 10, talk(client, "198.51.100.7", 4000), 62) for k in range(100) for client in ("10.0.0.1", "10.0.0.2")]
    changes = [Change(START + 500, "10.0.0.1", "10.0.0.1")]
    mine, _ = engine(frames, [7], lambda shard: shard.bound(made(changes)))
    assert [(row["client_ip"], row["client_packets"], row["interval"]) for row in sorted(mine, key=lambda row: (row["client_ip"], row["interval"]))] == \
        [("10.0.0.1", 50, 0), ("10.0.0.1", 50, 1), ("10.0.0.2", 100, 0)]
    many = [Change(START + 501 + k % 5, "192.0.2.0", "192.0.2.1") for k in range(KEPT + 1)]
    for prepare in (lambda shard: shard.bound(made(many)), lambda shard: shard.change(made(many))):
        mine, _ = engine(frames, [7], prepare)
        assert Counter((row["client_ip"], row["interval"], row["client_packets"]) for row in mine) == \
            Counter((f"10.0.0.{end}", interval, packets) for end in (1, 2) for interval, packets in ((0, 51), (1, 49)))


def test_many_addresses_that_change_hands_cut_their_own_flows_only() -> None:
    """A thousand a second, as when a region comes back: whose address is not among them has one row, whose is the first of them is cut all the same."""
    frames = [Frame(START + k * 100_000, talk(f"10.0.0.{end}", "198.51.100.7", 4000), 62) for k in range(20) for end in range(1, 9)]
    changes = [Change(START + 50_000 + k * 1000, f"192.0.{2 + k // 250}.{k % 250}", f"192.0.{2 + k // 250}.{k % 250}") for k in range(1900)]
    changes[0] = Change(START + 50_000, "10.0.0.1", "10.0.0.1")
    changes[940] = Change(START + 990_000, "198.51.100.8", "198.51.100.8")
    for prepare in (lambda shard: shard.bound(made(changes)), lambda shard: shard.change(made(changes))):
        mine, _ = engine(frames, [7], prepare)
        found = Counter(row["client_ip"] for row in mine)
        assert found["10.0.0.1"] >= 2 and sum(found.values()) <= 60, found          # not 160; a hash that two addresses share cuts both
        assert sum(row["client_packets"] for row in mine) == len(frames)
        assert min(row["client_packets"] for row in mine if row["client_ip"] == "10.0.0.1") == 1


def test_what_is_learned_late_cuts_at_the_next_packet() -> None:
    """In the middle of a capture, from Python: flows that it concerns, once."""
    frames = [Frame(START + k * 10, talk("10.0.0.1", "198.51.100.7", 4000), 62) for k in range(20)]
    late = made([Change(START + 35, "10.0.0.1", "10.0.0.1")])
    taken: list[int] = []

    class Telling:
        """Tells the shard after its second block of five."""

        def __init__(self, shard: Shard) -> None:
            self.process = shard.process
            self.shard = shard

        def __call__(self, block: Any) -> None:
            if len(taken) == 2:
                self.shard.change(late)
            taken.append(block.count)
            self.process(block)

    mine, _ = engine(frames, [5], lambda shard: setattr(shard, "process", Telling(shard)))
    assert [(row["interval"], row["client_packets"]) for row in mine] == [(0, 10), (1, 10)]


def test_a_clock_that_goes_back_passes_the_same_bound_again() -> None:
    day = 86_400_000_000
    frames = [Frame(START + shift + k * 100, talk("10.0.0.1", "198.51.100.7", 4000), 62) for shift in (day, 0, day) for k in range(10)]
    bounds = [Change(START + shift + 450, "10.0.0.1", "10.0.0.1") for shift in (0, day)]
    mine, _ = engine(frames, [4], lambda shard: shard.bound(made(bounds)))
    assert sorted((row["first_packet"], row["interval"], row["client_packets"]) for row in mine) == \
        [(first, interval, 5) for first in (1, 11, 21) for interval in (0, 1)]


@pytest.mark.skipif(BUILD == "off", reason="sixty thousand changes take long in plain Python")
def test_what_finds_no_room_is_counted() -> None:
    mine, shard = engine([Frame(START, talk("10.0.0.1", "198.51.100.7", 4000), 62)], [1], lambda shard: shard.change(many()))
    assert len(mine) == 1 and int(shard.counters.changes_full) == 3 and int(shard.counters.waiting) == PENDING


def many() -> Any:
    """More than may wait."""
    out = records(PENDING + 3, CHANGE)
    out["time"] = START + 10**12 + np.arange(len(out))
    return out


@pytest.mark.parametrize("vlan, rows", [(7, 2), (8, 1)])
def test_a_vlan_changes_hands(vlan: int, rows: int) -> None:
    frames = [Frame(START + k * 10, talk("10.0.0.1", "198.51.100.7", 4000, 7), 66) for k in range(10)]
    change = Change(START + 45, "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", vlan)
    assert len(engine(frames, [3], lambda shard: shard.bound(made([change])))[0]) == rows


def test_folds_of_a_flood_are_cut_as_well() -> None:
    """A server changes hands under a flood: what is folded of before and of after is in rows of their own, and all of it is there."""
    frames = [framed(Attempt(k << 2, 0, 0, "syn", 0), START + k * 1000) for k in range(60)]
    change = Change(START + 30_500, "198.51.100.0", "198.51.100.0")
    mine, shard = engine(frames, [4], lambda shard: shard.bound(made([change])), flows=8)
    when = moment(change.time)
    assert sum(row["client_packets"] for row in mine) == 60 and int(shard.counters.folded) == 52
    assert all(row["interval_end"] < when or row["interval_start"] >= when for row in mine)
    assert [row["folded"] for row in mine if row["folded"]] == [31, 21]
