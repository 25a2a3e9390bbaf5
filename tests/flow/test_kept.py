"""The packet ring behind the pipeline: what is on disk of a capture is what the twin keeps, and each flow's packets are cut from it to the packet."""
from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from dpi.capture.block import Block
from dpi.capture.excerpt import Conversation, excerpt
from dpi.capture.ring import Ring
from dpi.capture.segments import Segments, listed
from dpi.capture.trace import open_trace
from dpi.jit import BUILD
from dpi.output import Limits, Origin
from dpi.shard import Shard
from tests.flow.test_flows import PCAPS, RULES, SMALL, Kept
from tests.oracle.ring import Kept as Twin

CAPTURES = ["dns.pcap", "ssh.pcap"] if BUILD == "off" else ["dns.pcap", "nfs.pcap", "sip-rtp.pcap", "ssh.pcap", "web-users.pcap"]
BOOT = 0xABCDEF


def micro(text: str) -> int:
    """us since the epoch of a row's time."""
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize("name", CAPTURES)
def test_every_flow_is_cut_from_the_ring_to_the_packet(tmp_path: Path, name: str) -> None:
    ring = Ring(Segments(tmp_path / "ring", budget=64 << 20, seconds=1 << 32, boot=BOOT, series=1), 256)
    keeper = ring.keeper("span0", 0, 1)
    ring.start()
    kept = Kept()
    shard = Shard(RULES, Limits(**SMALL, cut=1), [kept], keeper=keeper)
    shard.number_flows(0, 1)
    shard.begin(Origin("span0", probe="box", boot=BOOT, interfaces=["span0"]))
    twin, clock = Twin([int(word) for word in shard.intake.seed], 256, 1 << 40), 0
    with open_trace(PCAPS / name) as trace:
        for turn, block in enumerate(trace.blocks(97)):
            for one in block.frames[:block.count]:
                clock = max(clock, int(one.time))
                frame = block.data[int(one.offset):int(one.offset) + int(one.captured)].tobytes()
                twin.give(frame, int(one.wire), int(one.link), clock)
            shard.process(Block(block.data, block.frames, block.count, block.first_number))
            keeper.hand_over()
            if turn == 2:
                shard.adopt(RULES)          # what is read anew keeps on keeping
        shard.finish()
    ring.close()
    assert b"".join((tmp_path / "ring" / one.name).read_bytes()[24:] for one in listed(tmp_path / "ring")) == twin.bytes
    assert keeper.kept == twin.packets > 0 and keeper.lost == 0
    sums: Counter[str] = Counter()
    for row in kept.rows:
        sums[row["flow_id"]] += int(row["client_packets"]) + int(row["server_packets"])
    firsts = {row["flow_id"]: row for row in reversed(kept.rows)}
    assert sum(sums.values()) == keeper.kept
    for number, row in list(firsts.items())[:60]:
        spans = [(micro(one["interval_start"]), micro(one["interval_end"])) for one in kept.rows if one["flow_id"] == number]
        client, server = (ip_address(row[end]) for end in ("client_ip", "server_ip"))
        sought = Conversation(int(number) >> 40, row["interface"], client, server, row["client_port"], row["server_port"], row["ip_protocol"], row["vlan"],
                              min(one[0] for one in spans), max(one[1] for one in spans))
        assert excerpt(tmp_path / "ring", sought, tmp_path / "out.pcap").packets == sums[number], row
