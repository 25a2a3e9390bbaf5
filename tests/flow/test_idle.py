"""A probe's clock goes on without packets: rows leave with their minute, flows end, and what is counted is what a replay counts."""
from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from dpi.capture.block import Block
from dpi.capture.frame import FRAME
from dpi.capture.inputs import find
from dpi.capture.trace import open_trace
from dpi.flow.summary import Summary
from dpi.jit import BUILD, records
from dpi.output import Limits, Origin
from dpi.shard import Shard
from tests.flow.test_flows import PCAPS, RULES, SMALL, Kept
from tests.hostile.samples import ether, ip4, tcp

CAPTURES = ["dns.pcap", "ssh.pcap"] if BUILD == "off" else ["demo.pcap", "dns.pcap", "ssh.pcap", "web-users.pcap"]
MINUTE = 60_000_000


def rows(name: str, probe: bool) -> tuple[list[dict[str, Any]], list[tuple[int, int]]]:
    """Rows of a capture, as a replay gives them or as a probe does whose clock follows ten seconds behind each packet; and (rows so far, us) at each look."""
    kept = Kept()
    shard = Shard(RULES, Limits(**SMALL, cut=int(probe)), [kept])
    if probe:
        shard.number_flows(0, 1)
    trace = open_trace(find([str(PCAPS / name)])[0])
    shard.begin(Origin(name))
    looked = []
    for block in trace.blocks(1):
        time = int(block.frames[0].time)
        if probe and time % 7 == 0:
            shard.idle(time - 10_000_000)
            shard.drain()
            looked.append((len(kept.rows), time))
        shard.process(Block(block.data, block.frames, block.count, block.first_number))
    if probe:
        last = int(shard.counters.clock)
        for later in (MINUTE, 10 * MINUTE):
            shard.idle(last + later)
            shard.drain()
        assert int(shard.counters.live) == 0        # all have ended of silence
    shard.finish()
    trace.close()
    return kept.rows, looked


def by_minute(some: list[dict[str, Any]]) -> Counter[tuple[Any, ...]]:
    """Packets and bytes of each conversation and minute."""
    found: Counter[tuple[Any, ...]] = Counter()
    for row in some:
        ends = (row["ip_protocol"], row["client_ip"], row["client_port"], row["server_ip"], row["server_port"], row["interval_start"][:16])
        for what in ("client_packets", "server_packets", "client_wire_bytes", "server_wire_bytes"):
            found[(*ends, what)] += row[what]
    return +found


@pytest.mark.parametrize("name", CAPTURES)
def test_a_probe_counts_what_a_replay_counts(name: str) -> None:
    replayed, _ = rows(name, False)
    probed, _ = rows(name, True)
    assert by_minute(probed) == by_minute(replayed)
    flows = {row["flow_id"] for row in probed}
    assert len(flows) == len({row["flow_id"] for row in replayed}) and flows == {str(number) for number in range(1, len(flows) + 1)}
    assert sorted(row["flow_id"] for row in probed if row["final"]) == sorted(flows)
    assert Counter((row["protocol"], row["application"]) for row in probed if row["interval"] == 0).keys() <= \
        Counter((row["protocol"], row["application"]) for row in replayed).keys() | {("", "")}


def test_rows_leave_with_their_minute_whatever_sweep_is_under_way() -> None:
    """Their coverage is told after `idle`: a sweep that had passed a flow before the minute turned must be followed by one that has not."""
    kept = Kept()
    shard = Shard(RULES, Limits(**SMALL, cut=1), [kept])
    trace = open_trace(find([str(PCAPS / "ssh.pcap")])[0])
    shard.begin(Origin("ssh.pcap"))
    for block in trace.blocks(1):
        shard.process(Block(block.data, block.frames, block.count, block.first_number))
        if int(shard.intake.timeline.row.packets) == 3:
            break
    trace.close()
    before = int(shard.counters.clock) // MINUTE
    assert int(shard.counters.live) == 1 and not kept.rows, (int(shard.counters.live), len(kept.rows))
    shard.counters.sweep = shard.counters.high
    shard.idle((before + 1) * MINUTE)
    shard.drain()
    assert [row["client_packets"] + row["server_packets"] for row in kept.rows] == [3 - int(shard.intake.timeline.row.refused)]
    shard.finish()


@pytest.mark.skipif(BUILD == "off", reason="a minute of frames takes long in plain Python")
def test_rows_leave_with_their_minute() -> None:
    probed, looked = rows("demo.pcap", True)
    minutes = {row["interval_start"][:16] for row in probed}
    assert len(minutes) >= 2 and looked
    first = min(minutes)
    # rows that count nothing come later: they say how a flow ended that was silent then
    in_first = sum(row["interval_start"][:16] == first and row["client_packets"] + row["server_packets"] > 0 for row in probed)
    ended = [many for many, time in looked if (time - 10_000_000) // MINUTE > looked[0][1] // MINUTE]
    assert ended and ended[0] >= in_first


@pytest.mark.parametrize("span", [60, 30])
def test_who_was_never_answered_is_counted_however_often_rows_leave(span: int) -> None:
    """A handshake without an answer outlives a row of half a minute: its last one says nothing of its beginning."""
    kept, summary = Kept(), Summary()
    shard = Shard(RULES, Limits(**SMALL, cut=1, span=span), [kept, summary])
    shard.begin(Origin("made"))
    start = 28_333_334 * MINUTE + 10_000_000
    data = np.frombuffer(ether(0x0800, ip4(6, tcp(40_000, 443, 2, b""))), np.uint8)
    taken = records(1, FRAME)
    taken[0].time, taken[0].captured, taken[0].wire, taken[0].link, taken[0].number = start, len(data), len(data), 1, 1
    shard.process(Block(data, taken, 1, 1))
    for later in range(2, 130, 2):
        shard.idle(start + later * 1_000_000)
        shard.drain()
    assert [(row["interval"], row["final"], row["client_packets"]) for row in kept.rows] == (
        [(0, True, 1)] if span == 60 else [(0, False, 1), (1, True, 0)])
    told = summary.figures().tcp
    assert (told.handshakes, told.unanswered, told.refused) == (1, 1, 0)
