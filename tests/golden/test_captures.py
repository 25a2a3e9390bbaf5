"""Captures of real programs through the whole pipeline: golden rows, and nothing lost against a reference decoder."""
from __future__ import annotations

import collections
import ipaddress
from pathlib import Path

import dpkt
import pytest

from dpi import jit
from tests.golden.rows import GOLDEN, PCAPS, golden, place, replayed

CAPTURES = sorted(PCAPS.glob("*.pcap"))
#: Plain Python takes a millisecond a packet, and seconds for QUIC's ciphers.
SLOW = jit.BUILD == "off"
CHOSEN = [one for one in CAPTURES if not SLOW or (one.stat().st_size < 9000 and "http3" not in one.name)]


@pytest.mark.parametrize("capture", CHOSEN, ids=lambda one: one.stem)
def test_golden_rows(capture: Path) -> None:
    kept, _ = replayed(capture)
    assert golden(kept) == place(capture).read_text().splitlines()


def test_every_capture_has_its_rows() -> None:
    assert {one.stem for one in CAPTURES} == {one.stem for one in GOLDEN.glob("*.txt")}


def reference(path: Path) -> dict[tuple[object, ...], list[int]]:
    """Packets and wire bytes by undirected 5-tuple, decoded by dpkt."""
    sums: dict[tuple[object, ...], list[int]] = collections.defaultdict(lambda: [0, 0])
    with path.open("rb") as file:
        for _, frame in dpkt.pcap.Reader(file):
            packet = dpkt.ethernet.Ethernet(frame).data
            if isinstance(packet, dpkt.ip.IP):
                protocol = packet.p
            elif isinstance(packet, dpkt.ip6.IP6):
                protocol = packet.p
            else:
                sums["refused",][0] += 1
                continue
            transport = packet.data
            ports = (transport.sport, transport.dport) if isinstance(transport, (dpkt.tcp.TCP, dpkt.udp.UDP)) else (0, 0)
            ends = sorted([(str(ipaddress.ip_address(packet.src)), ports[0]), (str(ipaddress.ip_address(packet.dst)), ports[1])])
            entry = sums[protocol, *ends[0], *ends[1]]
            entry[0] += 1
            entry[1] += len(frame)
    return sums


@pytest.mark.parametrize("capture", CHOSEN, ids=lambda one: one.stem)
def test_every_packet_is_in_a_flow_or_refused(capture: Path) -> None:
    """Packets in = packets in flows + refused; and per 5-tuple as a reference decoder counts them."""
    kept, outcome = replayed(capture)
    read = outcome.captures[0]
    rows = kept.rows("flows")
    assert read.packets == sum(row["client_packets"] + row["server_packets"] for row in rows) + sum(read.refused.values())
    ours: dict[tuple[object, ...], list[int]] = collections.defaultdict(lambda: [0, 0])
    for row in rows:
        ends = sorted([(row["client_ip"], row["client_port"]), (row["server_ip"], row["server_port"])])
        entry = ours[row["ip_protocol"], *ends[0], *ends[1]]
        entry[0] += row["client_packets"] + row["server_packets"]
        entry[1] += row["client_wire_bytes"] + row["server_wire_bytes"]
    theirs = reference(capture)
    assert theirs.pop(("refused",), [0, 0])[0] == sum(read.refused.values())
    if not any(row.get("tunnel") or row.get("client_port") == row.get("server_port") == 0 and row["ip_protocol"] in (6, 17) for row in rows):
        assert ours == theirs


@pytest.mark.parametrize("capture", CHOSEN[:12], ids=lambda one: one.stem)
def test_no_row_crosses_a_minute(capture: Path) -> None:
    for row in replayed(capture)[0].rows("flows"):
        assert row["interval_start"][:16] == row["interval_end"][:16]
        assert row["flow_start_time"] <= row["interval_start"] <= row["interval_end"]
