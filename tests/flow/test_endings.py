"""What waits when a flow ends is written: a request whose answer never came."""
from __future__ import annotations

from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

import dpi
from tests.capture.crafted import pcap


def frames(port: int, *, closed: bool) -> list[bytes]:
    """A handshake and a request; where `closed`, the end of both sides as well."""
    there = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src="10.0.0.1", dst="192.0.2.80")
    back = Ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:01") / IP(src="192.0.2.80", dst="10.0.0.1")
    request = b"GET /news HTTP/1.1\r\nHost: unanswered.example\r\nUser-Agent: probe/1\r\n\r\n"
    end = 101 + len(request)
    made = [there / TCP(sport=port, dport=80, flags="S", seq=100), back / TCP(sport=80, dport=port, flags="SA", seq=500, ack=101),
            there / TCP(sport=port, dport=80, flags="A", seq=101, ack=501), there / TCP(sport=port, dport=80, flags="PA", seq=101, ack=501) / request]
    if closed:
        made += [there / TCP(sport=port, dport=80, flags="FA", seq=end, ack=501), back / TCP(sport=80, dport=port, flags="FA", seq=501, ack=end + 1)]
    return [bytes(packet) for packet in made]


@pytest.mark.parametrize("closed", [False, True])
def test_a_request_without_an_answer_has_a_row(tmp_path: Path, closed: bool) -> None:
    sent = [frame for port in (40001, 40002) for frame in frames(port, closed=closed)]
    # with an hour of another flow behind them, so that the first ones end while the capture goes on
    later = [(1_700_000_000 + 60 * minute, 0, frame, len(frame)) for minute in range(1, 12) for frame in frames(50000 + minute, closed=True)]
    path = tmp_path / "unanswered.pcap"
    path.write_bytes(pcap([(1_700_000_000, i, frame, len(frame)) for i, frame in enumerate(sent)] + later))
    replayed = dpi.replay(path)
    rows = replayed.http.to_pylist()
    assert len(rows) == 2 + 11
    for row in rows:
        assert (row["method"], row["host"], row["path"], row["status"]) == ("GET", "unanswered.example", "/news", None)
    assert {row["flow_id"] for row in rows} == set(replayed.flows.column("flow_id").to_pylist())
    assert min(row["time"] for row in rows).timestamp() == 1_700_000_000.000003
