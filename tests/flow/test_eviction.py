"""A table that is full: floods of half-open connections and more flows than fit. What holds whatever is evicted: nothing is lost, nothing moves
to another minute, what is folded is in the fold of its server, port and client prefix or in a coarser one, and what lost its place is counted."""
from __future__ import annotations

import ipaddress
import struct
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.flow import table
from dpi.jit import BUILD
from tests.flow.test_flows import ACK, SYN, Frame, engine
from tests.hostile.samples import ether, ip4, ip6, udp
from tests.oracle.flows import MINUTE, SIDES

START = 28_333_334 * MINUTE - 3_000_000
SERVERS4 = [bytes((198, 51, 100, k)) for k in range(3)]
SERVERS6 = [bytes.fromhex("20010db8000000000000000000000001"), bytes.fromhex("20010db8000000010001000000000001")]
PORTS = (443, 80)


@dataclass
class Attempt:
    """One packet of one of many clients."""
    client: int             # its address within a network, which the lowest bits choose
    server: int             # of SERVERS4, then SERVERS6
    port: int               # of PORTS
    kind: str               # syn, answer, data, udp
    step: int


def framed(one: Attempt, time: int) -> Frame:
    six = one.server >= len(SERVERS4)
    server = SERVERS6[one.server - len(SERVERS4)] if six else SERVERS4[one.server]
    network, host = one.client & 3, one.client >> 2
    client = bytes((0x20, 1, 0xD, 0xB8, 0xFF, network)) + bytes(8) + struct.pack(">H", host) if six else bytes((10, 0, network, host))
    flags = {"syn": SYN, "answer": SYN | ACK, "data": ACK}.get(one.kind, 0)
    back, port = one.kind == "answer", PORTS[one.port]
    ports = (port, 40000) if back else (40000, port)
    layer = udp(40000, 53) if one.kind == "udp" else struct.pack(">HHIIBBHHH", *ports, 1000, 0, 0x50, flags, 500, 0, 0) + (b"x" if one.kind == "data" else b"")
    pair = (server, client) if back else (client, server)
    packet = (ip6 if six else ip4)(17 if one.kind == "udp" else 6, layer, pair)
    data = ether(0x86DD if six else 0x0800, packet)
    return Frame(time, data, len(data))


ATTEMPTS = st.lists(st.builds(Attempt, st.integers(0, 200), st.integers(0, 4), st.integers(0, 1),
                              st.sampled_from(("syn", "syn", "syn", "syn", "answer", "data", "udp")),
                              st.sampled_from((0, 0, 10, 1000, 200_000, 1_500_000, 20_000_000, 70_000_000))), min_size=1, max_size=250)


COUNTS = ("packets", "wire_bytes", "bytes", "payload_bytes", "retransmissions", "out_of_order", "zero_windows")
Sums = Counter[tuple[str, str]]
#: Tags of a fold by how coarse it is.
COARSE = ("", "any_client", "any_port", "any_server")


def network(address: str) -> str:
    """The /24 or /48 of an address."""
    return str(ipaddress.ip_network(f"{address}/{48 if ':' in address else 24}", strict=False).network_address)


def level(row: dict[str, Any]) -> int:
    """How coarse a fold's row is; -1: a flow's own."""
    return max(k for k, tag in enumerate(COARSE) if not tag or tag in row["tags"]) if "folded" in row["tags"] else -1


def key(row: dict[str, Any], coarse: int) -> tuple[Any, ...]:
    """What a row is folded by at a level."""
    any_one = "::" if ":" in row["client_ip"] else "0.0.0.0"
    client = network(row["client_ip"]) if not coarse else any_one
    return (row["interval_start"][:16], client, any_one if coarse == 3 else row["server_ip"], 0 if coarse > 1 else row["server_port"], row["ip_protocol"])


def added(rows: list[dict[str, Any]], coarse: int) -> dict[tuple[Any, ...], Sums]:
    """Counts by the key of a level."""
    found: dict[tuple[Any, ...], Sums] = defaultdict(Counter)
    for row in rows:
        found[key(row, coarse)] += Counter({(side, what): row[f"{side}_{what}"] for side in SIDES for what in COUNTS})
    return found


@settings(max_examples=15 if BUILD == "off" else 200, deadline=None, report_multiple_bugs=False)
@given(ATTEMPTS, st.sampled_from((4, 8, 24)), st.sampled_from(([1], [3, 50], [256])), st.sampled_from((0, 1)))
def test_a_full_table_loses_nothing(attempts: list[Attempt], room: int, sizes: list[int], cut: int) -> None:
    time, frames = START, []
    for one in attempts:
        time += one.step
        frames.append(framed(one, time))
    rows, shard = engine(frames, list(sizes), flows=room, cut=cut)
    wide, _ = engine(frames, [1], flows=4096)
    count = shard.counters
    assert sum(row[f"{side}_packets"] for row in rows for side in SIDES) == len(frames) and int(shard.intake.timeline.row.refused) == 0
    # at each level no more is there than was sent, and all of it where nothing is folded more coarsely
    for coarse in range(4):
        upto, coarsest = [row for row in rows if level(row) <= coarse], max(level(row) for row in rows)
        mine, theirs = added(upto, coarse), added(wide, coarse)
        for what, sums in mine.items():
            assert all(number <= theirs[what][name] for name, number in sums.items() if name[1] in COUNTS[:4]), (what, sums, theirs[what])
        if coarsest <= coarse:
            assert {what: {name: sums[name] for name in sums if name[1] in COUNTS[:4]} for what, sums in mine.items() if sums} == {
                what: {name: sums[name] for name in sums if name[1] in COUNTS[:4]} for what, sums in theirs.items() if sums}
    flows: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        assert row["interval_start"][:16] == row["interval_end"][:16] and row["flow_start_time"] <= row["interval_start"] <= row["interval_end"]
        assert row["client_packets"] or row["server_packets"] or (row["final"] and row["interval"])
        assert bool(row["folded"]) == ("folded" in row["tags"]) and (not row["folded"] or folded_well(row))
        flows.setdefault(row["flow_id"], []).append(row)
    for found in flows.values():
        found.sort(key=lambda row: row["interval"])
        assert [row["interval"] for row in found] == list(range(len(found)))
        assert [row["final"] for row in found] == [False] * (len(found) - 1) + [True]
    own = [row for row in rows if not row["folded"]]
    assert sum(row["folded"] for row in rows) == int(count.folded)
    assert sum(row["folded"] for row in rows if level(row) > 0) == int(count.folded_coarser)
    assert sum(row["end_reason"] == "evicted" for row in own) + int(count.folded) == int(count.evicted)
    assert len({row["flow_id"] for row in own}) + int(count.folded) == int(count.flows)
    assert int(count.evicted) == 0 or int(count.flows) > room
    assert not count.folds.any() and int(count.live) == 0


def folded_well(row: dict[str, Any]) -> bool:
    """Whether a fold's row says what it is: prefix, any client, any port, any server, and nothing of a single flow."""
    any_one, coarse = "::" if ":" in row["client_ip"] else "0.0.0.0", level(row)
    tags = [f"client_prefix_{48 if ':' in row['client_ip'] else 24}"] if not coarse else [tag for k, tag in enumerate(COARSE) if k and k <= coarse]
    return (row["tags"] == ["folded", *tags] and row["client_ip"] == (any_one if coarse else network(row["client_ip"])) and row["client_port"] == 0
            and (row["server_port"] in PORTS) == (coarse < 2) and (row["server_ip"] == any_one) == (coarse == 3) and row["ip_protocol"] == 6
            and row["end_reason"] == "evicted" and row["interval"] == 0 and row["final"] and not row["community_id"] and not row["client_mac"]
            and not row["client_ttl"] and row["client_mss"] is None and row["server_rtt_us"] is None)


Folds = dict[tuple[Any, ...], list[Any]]


def twin_of_folds(opened: list[tuple[dict[str, Any], bool]]) -> Folds:
    """The slow twin: flows that were folded as dicts, by minute and by server, port and prefix: how many, counts, first and last packet, flags."""
    folds: Folds = {}
    for row, folded in opened:
        if folded:
            one = folds.setdefault(key(row, 0), [0, Counter(), "~", "", 0, 0])
            one[0] += 1
            one[1] += Counter({(side, what): row[f"{side}_{what}"] for side in SIDES for what in COUNTS})
            one[2], one[3] = min(one[2], row["interval_start"]), max(one[3], row["interval_end"])
            one[4] |= row["client_tcp_flags"]
            one[5] |= row["server_tcp_flags"]
    return folds


@settings(max_examples=10 if BUILD == "off" else 100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3), st.integers(0, 4), st.sampled_from((0, 3, 500, 40_000, 25_000_000)), st.integers(1, 3)),
                min_size=1, max_size=150), st.integers(1, 40))
def test_folds_are_those_of_the_twin(syns: list[tuple[int, int, int, int, int]], room: int) -> None:
    """Connections of one to three SYNs, each from another client: which were folded is seen from the rows that are not there."""
    time, frames = START, []
    for k, (port, near, server, step, times) in enumerate(syns):
        time += step
        frames += [framed(Attempt(near | k << 2, server, port, "syn", step), time + again) for again in range(times)]
    with patch.object(table, "folds_of", lambda cap: 4096):
        rows, shard = engine(frames, [1], flows=room)
    wide, _ = engine(frames, [1], flows=4096)
    there = {(row["first_packet"]) for row in rows if not row["folded"]}
    want = twin_of_folds([(row, row["first_packet"] not in there) for row in wide if row["interval"] == 0])
    mine: Folds = {}
    for row in rows:
        if row["folded"]:
            assert level(row) == 0
            one = mine.setdefault(key(row, 0), [0, Counter(), "~", "", 0, 0])
            one[0] += row["folded"]
            one[1] += Counter({(side, what): row[f"{side}_{what}"] for side in SIDES for what in COUNTS})
            one[2], one[3] = min(one[2], row["interval_start"]), max(one[3], row["interval_end"])
            one[4] |= row["client_tcp_flags"]
            one[5] |= row["server_tcp_flags"]
    assert mine == want and sum(one[0] for one in mine.values()) == int(shard.counters.folded)


def conversation(number: int, steps: int, time: int) -> list[Frame]:
    """An established connection of `steps` exchanges, a second apart."""
    client, server = bytes((192, 0, 2, number)), SERVERS4[0]
    frames = []

    def one(back: bool, flags: int, sequence: int, payload: bytes, at: int) -> None:
        layer = struct.pack(">HHIIBBHHH", *((443, 50000) if back else (50000, 443)), sequence, 7, 0x50, flags, 500, 0, 0) + payload
        data = ether(0x0800, ip4(6, layer, (server, client) if back else (client, server)))
        frames.append(Frame(at, data, len(data)))
    one(False, SYN, 999, b"", time)
    one(True, SYN | ACK, 4999, b"", time + 100)
    one(False, ACK, 1000, b"", time + 200)
    for k in range(steps):
        one(False, ACK, 1000 + 10 * k, b"0123456789", time + 1_000_000 * (k + 1))
        one(True, ACK, 5000 + 20 * k, b"x" * 20, time + 1_000_000 * (k + 1) + 500)
    return frames


@pytest.mark.skipif(BUILD == "off", reason="slow as plain Python")
def test_established_flows_keep_their_place_and_their_counters() -> None:
    """A table of 256 under twenty times as many half-open connections, answered ones and one-packet flows among them: no conversation is touched,
    though they lie side by side and take most of it."""
    talks, steps = 200, 70
    frames = [frame for number in range(talks) for frame in conversation(number, steps, START + 4 * number)]
    first, last = START + 1000, max(frame.time for frame in frames)
    for k in range(5000):
        at = first + (last - first) * k // 5000
        one = Attempt(k & 1023, k % 3, k & 1, "syn", 0)
        frames.append(framed(one, at))
        if k % 3 == 0:
            frames.append(framed(Attempt(k & 1023, k % 3, k & 1, "answer", 0), at))     # an answer that the flood's client never acknowledges
        if k % 7 == 0:
            frames.append(framed(Attempt(k & 1023, k % 3, k & 1, "udp", 0), at))
    frames.sort(key=lambda frame: frame.time)
    rows, shard = engine(frames, [256], flows=256)
    alone, _ = engine(sorted((frame for number in range(talks) for frame in conversation(number, steps, START + 4 * number)), key=lambda one: one.time), [256])

    def talk(some: list[dict[str, Any]]) -> list[dict[str, Any]]:
        told = [{name: value for name, value in row.items() if name not in ("flow_id", "first_packet", "stored_time", "end_reason")}
                for row in some if row["client_ip"].startswith("192.0.2.") and not row["folded"]]
        return sorted(told, key=lambda row: (row["client_ip"], row["interval"]))
    assert talk(rows) == talk(alone) and len(talk(alone)) >= 2 * talks
    assert int(shard.counters.folded) > 4000 and int(shard.counters.evicted) < 7000
    assert sum(row[f"{side}_packets"] for row in rows for side in SIDES) == len(frames)


def test_folds_have_a_cap_and_then_are_coarser() -> None:
    """Clients of as many networks as there are connections: few folds by prefix, then by server and port."""
    frames = [framed(Attempt(0, 0, k & 1, "syn", 0), START + k) for k in range(600)]
    for k, frame in enumerate(frames):
        data = bytearray(frame.data)
        data[26:30] = struct.pack(">I", 0x0B000000 + (k << 8) + 1)
        frames[k] = Frame(frame.time, bytes(data), len(data))
    rows, shard = engine(frames, [256], flows=64)
    by_level = Counter({k: sum(row["folded"] for row in rows if level(row) == k) for k in range(4)})
    caps = table.folds_of(64)
    assert by_level[0] == caps and by_level[1] == 600 - 64 - caps and not by_level[2] and not by_level[3], by_level
    assert sum(level(row) == 0 for row in rows) == caps and sum(level(row) == 1 for row in rows) == 2
    assert int(shard.counters.folded) == 600 - 64 and int(shard.counters.folded_coarser) == 600 - 64 - caps


def test_folds_of_a_minute_that_is_over_make_room_for_those_of_the_next() -> None:
    """What is in the table when a minute turns is folded after it, and takes the room of every fold by prefix: it is given back at once, not in the next
    sweep."""
    room, turn = 64, START + 3_000_000
    frames: list[Frame] = []
    caps = table.folds_of(room)

    def one(network: int, host: int, at: int) -> None:
        whole = framed(Attempt(0, 0, 0, "syn", 0), at)
        data = bytearray(whole.data)
        data[26:30] = bytes((11, 0, network, host))
        frames.append(Frame(at, bytes(data), len(data)))
    for k in range(room):
        one(k % caps, 1 + k, turn - 1000 + k)
    for k in range(600):
        one(100 + k % caps, 1 + k // caps, turn + 1000 * k)
    rows, shard = engine(frames, [16], flows=room)
    assert sum(row["client_packets"] for row in rows) == len(frames)
    assert int(shard.counters.folded) == 600 and int(shard.counters.folded_coarser) <= 32, shard.counters.folded_coarser
    late = [row for row in rows if level(row) == 0 and int(row["client_ip"].split(".")[2]) < caps]
    assert sum(row["folded"] for row in late) == room and len(late) <= 2 * caps


@pytest.mark.skipif(BUILD == "off", reason="slow as plain Python")
def test_a_sweep_that_fills_the_rows_goes_on_under_a_flood() -> None:
    """More folds end with a minute than rows have room at once, and a flood that is folded makes no row: the sweep must go on all the same."""
    room, turn = 16384, START + 3_000_000
    frames: list[Frame] = []
    caps = table.folds_of(room)

    def one(network: int, at: int) -> None:
        data = bytearray(framed(Attempt(0, 0, 0, "syn", 0), at).data)
        data[26:30] = struct.pack(">I", 0x0B000001 + (network << 8))
        frames.append(Frame(at, bytes(data), len(data)))
    for k in range(room + caps):
        one(k, turn - 100_000 + k)
    for k in range(room + 4000):
        one(100_000 + k % 8, turn + 10 * k)
        frames[-1] = Frame(frames[-1].time, frames[-1].data[:34] + struct.pack(">H", 1024 + k // 8) + frames[-1].data[36:], len(frames[-1].data))
    rows, shard = engine(frames, [4096], flows=room, exports=1024 + 64)
    assert sum(row["client_packets"] for row in rows) == len(frames) and int(shard.counters.folded) == caps + room + 4000
    late = sum(row["folded"] for row in rows if level(row) == 0 and row["interval_start"][:16] == max(row["interval_start"] for row in rows)[:16])
    assert late > 3000, late


def test_where_no_fold_has_room_a_flow_has_its_own_row() -> None:
    """Each VLAN has folds of its own: there are more of them than folds of every level together, of both versions of IP."""
    frames, sent = [], Counter()
    for k in range(400):
        whole = framed(Attempt(k & 255, (0, 3)[k & 1], 0, "syn", 0), START + k)
        data = whole.data[:12] + struct.pack(">HH", 0x8100, 1 + k // 4) + whole.data[12:]
        frames.append(Frame(whole.time, data, len(data)))
        sent[1 + k // 4] += 1
    rows, shard = engine(frames, [256], flows=64)
    levels = Counter(level(row) for row in rows)
    caps = table.folds_of(64)
    assert (levels[0], levels[1], levels[2], levels[3]) == (caps, caps, caps, table.LAST_FOLDS) and levels[-1] > 64, levels
    found: Counter[int] = Counter()
    for row in rows:
        found[row["vlan"]] += row["client_packets"]
        if not row["folded"]:
            six = ":" in row["client_ip"]
            assert row["client_ip"].startswith("2001:db8:ff" if six else "10.0.") and row["server_ip"] in ("2001:db8::1", "198.51.100.0"), row
    assert found == sent and sum(row["folded"] for row in rows) == int(shard.counters.folded) < int(shard.counters.evicted) == 400 - 64
