"""A table that is full: floods of half-open connections and more flows than fit. What holds whatever is evicted: nothing is lost, nothing moves
to another minute, and what lost its place is counted."""
from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.jit import BUILD
from tests.flow.test_flows import ACK, SYN, Frame, engine
from tests.hostile.samples import ether, ip4, ip6, udp
from tests.oracle.flows import MINUTE, SIDES, text

START = 28_333_334 * MINUTE - 3_000_000
SERVERS4 = [bytes((198, 51, 100, k)) for k in range(3)]
#: The last two fold into one (dpi/flow/expiry.py keeps 112 bits of an address), which may merge rows and must lose nothing.
SERVERS6 = [bytes.fromhex("20010db8000000000000000000000001"), bytes.fromhex("20010db8000000010001000000000001")]


@dataclass
class Attempt:
    """One packet of one of many clients."""
    client: int
    server: int             # of SERVERS4, then SERVERS6
    kind: str               # syn, answer, data, udp
    step: int


def framed(one: Attempt, time: int) -> Frame:
    six = one.server >= len(SERVERS4)
    server = SERVERS6[one.server - len(SERVERS4)] if six else SERVERS4[one.server]
    client = (b"\x20\x01\x0d\xb8\xff" + bytes(9) if six else b"\x0a\x00") + struct.pack(">H", one.client)
    flags = {"syn": SYN, "answer": SYN | ACK, "data": ACK}.get(one.kind, 0)
    back = one.kind == "answer"
    ports = (443, 40000) if back else (40000, 443)
    layer = udp(40000, 53) if one.kind == "udp" else struct.pack(">HHIIBBHHH", *ports, 1000, 0, 0x50, flags, 500, 0, 0) + (b"x" if one.kind == "data" else b"")
    pair = (server, client) if back else (client, server)
    packet = (ip6 if six else ip4)(17 if one.kind == "udp" else 6, layer, pair)
    data = ether(0x86DD if six else 0x0800, packet)
    return Frame(time, data, len(data))


ATTEMPTS = st.lists(st.builds(Attempt, st.integers(0, 60), st.integers(0, 4), st.sampled_from(("syn", "syn", "syn", "syn", "answer", "data", "udp")),
                              st.sampled_from((0, 0, 10, 1000, 200_000, 1_500_000, 20_000_000, 70_000_000))), min_size=1, max_size=150)


def by_minute(rows: list[dict[str, Any]]) -> Counter[tuple[str, str, int]]:
    """Packets and bytes of each server and minute."""
    found: Counter[tuple[str, str, int]] = Counter()
    for row in rows:
        for what in ("packets", "wire_bytes", "bytes", "payload_bytes"):
            found[row["interval_start"][:16], row["server_ip"], what] += sum(row[f"{side}_{what}"] for side in SIDES)
    return found


@settings(max_examples=15 if BUILD == "off" else 200, deadline=None, report_multiple_bugs=False)
@given(ATTEMPTS, st.sampled_from((4, 8, 24)), st.sampled_from(([1], [3, 50], [256])))
def test_a_full_table_loses_nothing(attempts: list[Attempt], room: int, sizes: list[int]) -> None:
    time, frames = START, []
    for one in attempts:
        time += one.step
        frames.append(framed(one, time))
    rows, shard = engine(frames, list(sizes), flows=room)
    wide, _ = engine(frames, [1], flows=4096)
    count = shard.counters
    assert sum(row[f"{side}_packets"] for row in rows for side in SIDES) == len(frames) and int(shard.intake.timeline.row.refused) == 0
    merge = {text(SERVERS6[1]): text(SERVERS6[0])}
    for row in [*rows, *wide]:
        row["server_ip"] = merge.get(row["server_ip"], row["server_ip"])
    assert by_minute(rows) == by_minute(wide)
    flows: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        assert row["interval_start"][:16] == row["interval_end"][:16] and row["flow_start_time"] <= row["interval_start"] <= row["interval_end"]
        assert row["client_packets"] or row["server_packets"] or (row["final"] and row["interval"])
        assert (row["tags"] == ["folded"]) == (row["client_ip"] == "::")
        assert row["client_ip"] != "::" or row["client_port"] == row["server_port"] == 0
        flows.setdefault(row["flow_id"], []).append(row)
    for found in flows.values():
        found.sort(key=lambda row: row["interval"])
        assert [row["interval"] for row in found] == list(range(len(found)))
        assert [row["final"] for row in found] == [False] * (len(found) - 1) + [True]
    evicted = sum(row["end_reason"] == "evicted" for row in rows)
    # what became a fold is counted when it loses its own place, and once more when the fold does
    assert evicted + int(count.folded) <= int(count.evicted) <= int(count.flows) + int(count.folded)
    # a fold that is there takes in a flow, which then has no row of its own
    assert len(flows) <= int(count.flows) <= len(flows) + int(count.folded)
    assert int(count.evicted) == 0 or int(count.flows) > room
