"""The flow table as a whole against its slow twin, row by row: captures of real programs, and conversations nobody would hold."""
from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dpi.batch import Batch
from dpi.capture.block import Block
from dpi.capture.frame import FRAME
from dpi.jit import BUILD, records
from dpi.output import Limits, Origin
from dpi.rules import load
from dpi.schema import TABLES
from dpi.shard import Shard
from tests.hostile.samples import ether, ip4, ip6, samples, udp
from tests.oracle import columns, flows, reader

PCAPS = Path(__file__).resolve().parents[2] / "pcaps"
SLOW = BUILD == "off"
CAPTURES = [one for one in sorted(PCAPS.glob("*.pcap")) if not SLOW or one.stat().st_size < 9000 and "http3" not in one.name]
RULES = load()
KINDS = {column.name: column for column in TABLES["flows"].columns}
#: What a row of the twin holds beside columns.
OPEN = {"ends", "slot"}
SMALL: dict[str, Any] = {"facts": 16, "streams": 8, "exports": 4096, "transactions": 8192, "seconds": 4096}


@dataclass
class Frame:
    """A frame as captured. `time` in us."""
    time: int
    data: bytes
    wire: int
    link: int = 1


class Kept:
    """A sink that keeps the rows of `flows` as plain values."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def write(self, batch: Batch) -> None:
        if batch.table == "flows":
            self.rows += columns.rows(batch)

    def close(self) -> None:
        pass


def engine(frames: list[Frame], sizes: list[int], prepare: Callable[[Shard], None] | None = None, **limits: Any) -> tuple[list[dict[str, Any]], Shard]:
    """The rows of the engine, which gets the frames in blocks of `sizes` (the last one repeats). prepare: before the first one."""
    kept = Kept()
    shard = Shard(RULES, Limits(**{**SMALL, **limits}), [kept])
    shard.begin(Origin("made"))
    if prepare:
        prepare(shard)
    data = np.frombuffer(b"".join(one.data for one in frames) or b"\0", np.uint8)
    starts = np.cumsum([0, *(len(one.data) for one in frames)])
    done = 0
    while done < len(frames):
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        part = frames[done:done + size]
        rows = records(len(part), FRAME)
        for k, one in enumerate(part):
            row = rows[k]
            row.offset, row.time, row.captured, row.wire, row.link, row.number = starts[done + k], one.time, len(one.data), one.wire, one.link, done + k + 1
        shard.process(Block(data, rows, len(part), done + 1))
        done += size
    shard.finish()
    return kept.rows, shard


def twin(frames: list[Frame], limits: flows.Limits | None = None, changes: Sequence[flows.Change] = ()) -> flows.Flows:
    """The twin, after the last frame."""
    slow = flows.Flows(limits, changes=changes)
    for number, one in enumerate(frames, 1):
        slow.packet(one.data, one.wire, one.link, one.time, number)
    slow.finish()
    return slow


def shown(row: flows.Row) -> dict[str, Any]:
    """A row of the twin as the columns of the engine read."""
    return {name: columns.moment(value) if KINDS[name].kind == "time" else value for name, value in row.items() if name not in OPEN}


def same(mine: list[dict[str, Any]], slow: flows.Flows) -> None:
    """Row by row: every column the twin knows, why the row ended, and one number for each flow."""
    def place(row: dict[str, Any]) -> tuple[int, int]:
        return row["first_packet"], row["interval"]

    mine, theirs = sorted(mine, key=place), sorted(slow.rows, key=place)
    assert [place(row) for row in mine] == [place(row) for row in theirs]
    lasts = {row["first_packet"]: row["interval"] for row in mine}
    for row, other in zip(mine, theirs, strict=True):
        assert row["final"] == (row["interval"] == lasts[row["first_packet"]])
        expected = shown(other)
        assert {name: row[name] for name in expected} == expected
        assert (row["end_reason"], row["final"]) in other["ends"], (place(row), row["end_reason"], row["final"], other["ends"])
    numbers = {row["first_packet"]: row["flow_id"] for row in mine}
    assert len(set(numbers.values())) == len(numbers) and all(numbers[row["first_packet"]] == row["flow_id"] for row in mine)


def check(frames: list[Frame], sizes: list[int], limits: flows.Limits | None = None) -> None:
    """Engine and twin over the same frames."""
    limits = limits or flows.Limits()
    slow = twin(frames, limits)
    mine, shard = engine(frames, sizes, flows=1024, idle_tcp=limits.tcp, idle_half_open=limits.half_open, idle_closed=limits.closed,
                         idle_udp=limits.udp, idle_other=limits.other, span=limits.span)
    same(mine, slow)
    seen = shard.intake.timeline.row
    assert shard.intake.refusals() == slow.refused and int(seen.packets) == slow.packets
    assert int(seen.epochs) == slow.epochs and int(shard.counters.evicted) == 0


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda one: one.stem)
def test_captures_of_real_programs(capture: Path) -> None:
    frames = [Frame(one.time, one.data, one.wire, one.link) for one in reader.read(capture.read_bytes()).packets]
    check(frames, [4096])
    if not SLOW:
        check(frames, [1, 7, 300])


def test_frames_of_every_kind() -> None:
    """Tunnels, fragments, cut headers, every link: twice, so that most meet a flow that lives."""
    frames = [Frame(10**12 + k * 300_000, one.frame, one.wire or len(one.frame), one.link) for k, one in enumerate(samples() * 2)]
    check(frames, [64])


FIN, SYN, RST, ACK = 1, 2, 4, 16
ENDS4 = (bytes((10, 0, 0, 1)), bytes((198, 51, 100, 7)))
ENDS6 = (bytes.fromhex("20010db8000000000000000000000001"), bytes.fromhex("20010db80000000000000000000000ff"))
SERVER_MAC, CLIENT_MAC = bytes.fromhex("020000000002"), bytes.fromhex("0a0000000001")
#: (IP protocol, IP version, client port, server port, VLAN): few, so that they meet again; some differ in one thing only.
TALKS = ((6, 4, 40000, 443, 0), (6, 4, 40000, 443, 0), (6, 4, 443, 40000, 0), (6, 6, 40000, 443, 0), (6, 4, 40000, 443, 5), (6, 4, 80, 80, 0),
         (17, 4, 40000, 53, 0), (17, 6, 53, 53, 0), (1, 4, 0, 0, 0), (58, 6, 0, 0, 0), (132, 4, 40000, 38412, 0), (47, 4, 0, 0, 0))
#: us between packets: within and beyond each timeout, around what counts as reordering, over minutes.
STEPS = (0, 0, 1, 40, 2_999, 3_000, 3_001, 200_000, 1_000_000, 4_999_999, 5_000_001, 9_000_000, 29_000_000, 30_000_001, 59_000_000, 60_000_000,
         61_000_000, 119_000_000, 121_000_000, 299_000_000, 301_000_000, 3_000_000_000, -1, -3_000, -40_000_000, -3_000_000_000)
JUMPS = (3_700_000_000, -3_700_000_000, 90_000_000_000, -90_000_000_000)
FLAGS = (ACK, ACK, ACK, ACK | 8, SYN, SYN, SYN | ACK, FIN | ACK, FIN | ACK, RST, RST | ACK, 0, SYN | FIN, SYN | RST)
SHIFTS = (0, 0, 0, 0, 0, -1, -2, -500, -1460, -3000, 1, 1460, 1 << 31, (1 << 31) - 1)


@dataclass
class Move:
    """One packet of a conversation."""
    talk: int
    back: bool              # from the server
    flags: int
    size: int               # of the payload
    shift: int              # of the sequence number from where it should be
    window: int
    step: int               # us since the packet before


#: What conversations are made of: (from the server, flags, size) of each packet.
PHRASES = {
    "open": ((False, SYN, 0), (True, SYN | ACK, 0), (False, ACK, 0)), "ask": ((False, ACK, 500), (True, ACK, 1460), (True, ACK, 2), (False, ACK, 0)),
    "close": ((False, FIN | ACK, 0), (True, FIN | ACK, 0), (False, ACK, 0)), "knock": ((False, SYN, 0), (False, SYN, 0), (True, SYN | ACK, 0)),
    "hear": ((True, ACK, 1460), (True, ACK, 1460)), "download": ((False, SYN, 0), (False, ACK, 500), (False, ACK, 0)),
    "refuse": ((False, SYN, 0), (True, RST | ACK, 0)),
}


@st.composite
def moves(draw: Any, steps: tuple[int, ...]) -> list[Move]:
    """Phrases of a few conversations and single packets, some of them out of place."""
    talks = st.sampled_from(draw(st.lists(st.integers(0, len(TALKS) - 1), min_size=1, max_size=3)))
    script: list[Move] = []
    for phrase in draw(st.lists(st.sampled_from(("", "", *PHRASES)), max_size=14)):
        talk = draw(talks)
        if phrase:
            script += [Move(talk, back, flags, size, 0, 500, draw(st.sampled_from(steps))) for back, flags, size in PHRASES[phrase]]
        else:
            script.append(Move(talk, draw(st.booleans()), draw(st.sampled_from(FLAGS)), draw(st.sampled_from((0, 0, 0, 1, 2, 500, 1460))),
                               draw(st.sampled_from(SHIFTS)), draw(st.sampled_from((0, 500, 500, 500))), draw(st.sampled_from(steps))))
    return script


def played(script: list[Move], start: int = 28_333_334 * flows.MINUTE - 3_000_000) -> list[Frame]:
    """The frames of a script. It begins shortly before a minute ends."""
    following: dict[tuple[int, bool], int] = {}
    frames, time = [], start
    for one in script:
        protocol, version, client, server, vlan = TALKS[one.talk]
        source, target = (server, client) if one.back else (client, server)
        time = max(0, time + one.step)
        body = bytes(one.size)
        if protocol == 6:
            seq = following.setdefault((one.talk, one.back), (1 << 32) - 2000)      # wraps soon
            at = (seq + one.shift) % (1 << 32)
            following[one.talk, one.back] = (at + one.size + bool(one.flags & SYN) + bool(one.flags & FIN)) % (1 << 32) if one.shift >= 0 else seq
            options = b"\x02\x04\x05\xb4" if one.flags & SYN else b""
            ack = following.get((one.talk, not one.back), 0 if one.shift >= 0 else 77)
            layer = struct.pack(">HHIIBBHHH", source, target, at, ack, (20 + len(options)) // 4 << 4, one.flags, one.window, 0, 0) + options + body
        elif protocol == 17:
            layer = udp(source, target, body)
        elif protocol == 132:
            layer = struct.pack(">HHII", source, target, 1, 0) + body
        else:
            layer = bytes((0 if one.back else 8, 0) if protocol == 1 else (129 if one.back else 128, 0)) + bytes(6) + body
        ends = ENDS4 if version == 4 else ENDS6
        pair = (ends[1], ends[0]) if one.back else ends
        packet = ip4(protocol, layer, pair) if version == 4 else ip6(protocol, layer, pair)
        kind = 0x0800 if version == 4 else 0x86DD
        data = ether(0x8100, struct.pack(">HH", vlan, kind) + packet) if vlan else ether(kind, packet)
        macs = CLIENT_MAC + SERVER_MAC if one.back else SERVER_MAC + CLIENT_MAC
        frames.append(Frame(time, macs + data[12:], len(data)))
    return frames


EXAMPLES = settings(max_examples=15 if SLOW else 200, deadline=None, report_multiple_bugs=False,
                    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
TIMES = st.sampled_from((flows.Limits(), flows.Limits(tcp=60, half_open=2, closed=0, udp=1, other=3, span=15)))


@EXAMPLES
@given(moves(STEPS), st.lists(st.integers(1, 9), min_size=1, max_size=4), TIMES)
def test_interleaved_conversations(script: list[Move], sizes: list[int], limits: flows.Limits) -> None:
    check(played(script), sizes, limits)


@EXAMPLES
@given(moves(STEPS + JUMPS), TIMES)
def test_clocks_that_jump(script: list[Move], limits: flows.Limits) -> None:
    """Over an hour, either way. A frame at a time: when the flows of an epoch that is over are ended depends on when they are looked for."""
    check(played(script), [1], limits)


def test_a_late_segment_belongs_to_the_flow_that_closed() -> None:
    """Though the minute ends in between, and the flows that are silent are cut."""
    script = [Move(0, back, flags, 0, 0, 500, 900_000) for back, flags in ((False, FIN | ACK), (True, FIN | ACK))]
    script += [Move(6, False, 0, 500, 0, 0, 1_300_000), Move(0, False, ACK, 0, 0, 500, 200_000)]
    check(played(script), [1])
    rows, _ = engine(played(script), [1], flows=64)
    assert [(row["interval"], row["end_reason"], row["final"]) for row in rows if row["ip_protocol"] == 6] == [(0, "active", False), (1, "fin", True)]


def test_single_frames_that_are_easily_counted_wrong() -> None:
    """A later fragment of ICMP alone, whose type is not in it; both ends the same, where direction cannot be told by address."""
    ends = (ENDS4[0], ENDS4[0])
    made = [ether(0x0800, ip4(1, bytes(40), ENDS4, fragment=13)), ether(0x0800, ip4(17, udp(7, 7), ends)), ether(0x0800, ip4(1, bytes(8), ends))]
    check([Frame(10**15 + k, data, len(data)) for k, data in enumerate(made * 3)], [1])


def total(rows: list[dict[str, Any]], what: str) -> int:
    return sum(row[f"{side}_{what}"] for row in rows for side in flows.SIDES)


@pytest.mark.parametrize("wire, size, bytes_counted", [(3_000_000_000, 43, 43), (300_000_000, 43, 43), (900_000_000, 0, 900_000_000 - 14)])
def test_frames_that_lie_about_their_length(wire: int, size: int, bytes_counted: int) -> None:
    """Lengths that would overflow what is kept for a minute: rows are cut before. An IP length of 0 leaves the length to the frame."""
    data = ether(0x0800, ip4(6, b"\0\x50\0\x51" + bytes(19), ENDS4))
    data = data[:16] + struct.pack(">H", size) + data[18:]
    frames = [Frame(10**15 + k, data, wire) for k in range(12)]
    rows, shard = engine(frames, [5], flows=64)
    counted = min(wire, (1 << 30) - 1)
    assert total(rows, "packets") == 12 and total(rows, "wire_bytes") == 12 * counted == int(shard.intake.timeline.row.wire_bytes)
    assert total(rows, "bytes") == 12 * bytes_counted and 0 <= total(rows, "payload_bytes") < total(rows, "bytes")
