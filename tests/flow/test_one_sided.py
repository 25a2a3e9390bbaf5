"""TCP of which one direction was never seen: what proves it, what does not, and what of it is counted."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Dot1Q, Ether

from dpi.jit import BUILD
from tests.flow.test_flows import Frame, engine
from tests.oracle import reader

PCAPS = Path(__file__).resolve().parents[2] / "pcaps"
CLIENT, SERVER = IP(src="10.0.0.1", dst="198.51.100.7"), IP(src="198.51.100.7", dst="10.0.0.1")
START = 28_333_334 * 60_000_000


def up(flags: str, seq: int = 100, ack: int = 0, size: int = 0) -> Any:
    return CLIENT / TCP(sport=40000, dport=443, flags=flags, seq=seq, ack=ack) / bytes(size)


def down(flags: str, seq: int = 900, ack: int = 0, size: int = 0) -> Any:
    return SERVER / TCP(sport=443, dport=40000, flags=flags, seq=seq, ack=ack) / bytes(size)


def tags(packets: list[Any], *times: int) -> list[list[str]]:
    """The tags of each row, by time. times: us of each packet, else a millisecond apart."""
    frames = [Frame(START + (times[k] if times else 1000 * k), bytes(Ether() / one), 14 + len(one)) for k, one in enumerate(packets)]
    rows, shard = engine(frames, [7])
    marked = [row for row in rows if row["tags"] == ["one_sided"]]
    count = shard.counters
    assert int(count.tcp_packets) == len(packets)
    assert int(count.one_sided_packets) == sum(row["client_packets"] + row["server_packets"] for row in marked)
    assert int(count.one_sided_flows) == sum(row["final"] for row in marked)
    return [row["tags"] for row in sorted(rows, key=lambda row: row["interval_start"])]


@pytest.mark.parametrize("packets", [
    [up("S"), up("A", 101, 901)], [up("S"), up("PA", 101, 901, 300), up("FA", 401, 901)], [down("SA", ack=101), down("A", 901, 401)],
    [up("A", 101, 901), up("A", 101, 2361)], [up("A", 101, 0xFFFFFF00), up("A", 101, 100)], [down("PA", 900, 101, 1460), down("PA", 2360, 102, 1460)],
    [up("S"), up("A", 101, 901), up("R", 101)]],
    ids=["handshake", "request", "answer", "growing", "growing over the end", "server", "reset by the same side"])
def test_what_proves_that_the_other_side_was_there(packets: list[Any]) -> None:
    assert tags(packets) == [["one_sided"]]


@pytest.mark.parametrize("packets", [
    [up("S")], [up("S"), up("S"), up("R", 101)], [down("SA", ack=101)] * 3, [up("A", 101, 901)], [up("A", 101, 901)] * 5,
    [up("A", 101, 901), up("A", 101, 800)], [up("R", 101)], [up("RA", 101, 901), up("RA", 101, 1901)],
    [up("PA", 101 + 1460 * k, 901, 1460) for k in range(40)], [up("F", 1), up("", 2, 0, 30)]],
    ids=["knock", "scan", "forged SYN", "ACK scan", "keep-alive", "older", "reset", "resets", "a dead peer", "no ACK"])
def test_what_does_not(packets: list[Any]) -> None:
    assert tags(packets) == [[]]


@pytest.mark.parametrize("other", [down("SA", ack=101), down("R", 901), down("A", 901, 101, 20)], ids=["SYN-ACK", "reset", "data"])
def test_one_packet_of_the_other_side_is_enough(other: Any) -> None:
    begun = [up("S"), up("A", 101, 901), up("PA", 101, 901, 50)]
    assert tags([*begun, other]) == [[]]
    if not other[TCP].flags.R:          # after a reset the SYN opens another flow
        assert tags([other, *begun]) == [[]]


def test_a_fragment_of_the_other_side_counts_too() -> None:
    late = down("A", 901, 101, 20)
    late.frag = 3
    whole = IP(src="198.51.100.7", dst="10.0.0.1", proto=6, frag=0, flags="MF") / (b"\x01\xbb\x9c\x40" + bytes(4))     # ports and no more
    assert tags([up("S"), up("A", 101, 901), whole]) == [[]]


def test_an_upload_beyond_any_window() -> None:
    packets = [up("PA", 101 + 60_000 * k, 901, 60_000) for k in range(142)]
    assert tags(packets[:139]) == [[]] and tags(packets) == [["one_sided"]]


def test_a_row_says_what_was_known_when_it_left() -> None:
    """The other direction is mirrored from the second minute on."""
    packets = [up("S"), up("A", 101, 901), down("A", 901, 101, 20), up("A", 101, 921)]
    assert tags(packets, 0, 1000, 61_000_000, 121_000_000) == [["one_sided"], [], []]


def halves(capture: Path) -> tuple[list[Frame], list[Frame]]:
    """A capture, and what of it goes one way: to the end of the higher port, or of the lower where the addresses differ by it."""
    whole = [Frame(one.time, one.data, one.wire, one.link) for one in reader.read(capture.read_bytes()).packets]
    half = []
    for one in whole:
        layers = Ether(one.data)
        if TCP in layers and layers[TCP].sport < layers[TCP].dport:
            half.append(one)
    return whole, half


@pytest.mark.skipif(BUILD == "off", reason="slow")
def test_real_programs_seen_from_both_sides_and_from_one() -> None:
    whole, half = halves(PCAPS / "demo.pcap")
    rows, _ = engine(whole, [256], flows=4096, exports=1 << 14)
    assert len(rows) > 50 and not [row for row in rows if "one_sided" in row["tags"]]
    rows, shard = engine(half, [256], flows=4096, exports=1 << 14)
    talked = [row for row in rows if row["server_packets"] > 3]
    assert len(talked) > 10 and all(row["tags"] == ["one_sided"] for row in talked)
    assert int(shard.counters.one_sided_packets) > 0.9 * int(shard.counters.tcp_packets)


@pytest.mark.parametrize("key_vlan", [True, False])
def test_directions_with_a_vlan_each(key_vlan: bool) -> None:
    """key_vlan = 0 makes one flow of what are two one-sided ones."""
    packets = [Dot1Q(vlan=10) / up("S"), Dot1Q(vlan=20) / down("SA", ack=101), Dot1Q(vlan=10) / up("A", 101, 901),
               Dot1Q(vlan=10) / up("PA", 101, 901, 50), Dot1Q(vlan=20) / down("PA", 901, 151, 500)]
    frames = [Frame(START + k, bytes(Ether() / one), 14 + len(one)) for k, one in enumerate(packets)]
    rows, _ = engine(frames, [2], key_vlan=key_vlan)
    seen = sorted((row["vlan"], row["client_packets"], row["server_packets"], row["tags"]) for row in rows)
    assert seen == ([(10, 3, 0, ["one_sided"]), (20, 0, 2, ["one_sided"])] if key_vlan else [(10, 3, 2, [])])


