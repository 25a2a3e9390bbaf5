"""Community IDs: published values, the slow twin, and the column of whole replays."""
from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.flow.community import community_ids
from dpi.flow.row import ROW
from dpi.jit import BUILD, records
from tests.golden.rows import replayed
from tests.oracle.community import community_id

PCAPS = Path(__file__).resolve().parents[2] / "pcaps"
#: github.com/corelight/community-id-spec, baseline: IP protocol, source, target, port or type, port or code, ID.
PUBLISHED = (
    (6, "128.232.110.120", "66.35.250.204", 34855, 80, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
    (6, "66.35.250.204", "128.232.110.120", 80, 34855, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
    (6, "2001:470:e5bf:dead:4957:2174:e82c:4887", "2607:f8b0:400c:c03::1a", 63943, 25, "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="),
    (17, "192.168.1.52", "8.8.8.8", 54585, 53, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
    (132, "192.168.170.8", "192.168.170.56", 7, 7, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="),
    (46, "10.1.12.1", "10.1.12.2", 0, 0, "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="),
    (46, "10.1.12.2", "10.1.12.1", 9, 1, "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="),
    (1, "192.168.0.89", "192.168.0.1", 8, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
    (1, "192.168.0.1", "192.168.0.89", 0, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="),
    (1, "192.168.0.89", "192.168.0.1", 20, 0, "1:3o2RFccXzUgjl7zDpqmY7yJi8rI="),
    (1, "192.168.0.89", "192.168.0.1", 20, 1, "1:tz/fHIDUHs19NkixVVoOZywde+I="),
    (1, "10.0.0.1", "10.0.0.2", 11, 0, "1:YHxtAirCG//0OzkcVAukqKQN9xM="),
    (58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 135, 0, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="),
    (58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 136, 0, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="),
    (58, "3ffe:501:1800:2345::2", "3ffe:507:0:1:200:86ff:fe05:80da", 3, 0, "1:2ObVBgIn28oZvibYZhZMBgh7WdQ="),
    (58, "3ffe:501:0:1001::2", "3ffe:507:0:1:200:86ff:fe05:80da", 129, 0, "1:+TW+HtLHvV1xnGhV1lv7XoJrqQg="),
    (58, "fe80::260:97ff:fe07:69ea", "ff02::1", 134, 0, "1:pkvHqCL88/tg1k4cPigmZXUtL00="),
)
Sent = tuple[int, str, str, int, int]


def identified(packets: list[Sent]) -> list[str]:
    """The kernel's IDs for flows that begin with these packets: the sender of an echo reply is the server, other senders are the client."""
    def raw(address: str) -> bytes:
        packed = ipaddress.ip_address(address).packed
        return packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed

    rows = records(len(packets), ROW)
    for row, (protocol, source, target, one, other) in zip(rows, packets, strict=True):
        ends = ("server", "client") if (protocol, one) in ((1, 0), (58, 129)) else ("client", "server")
        for side, address in zip(ends, (source, target), strict=True):
            row[f"{side}_ip"] = np.frombuffer(raw(address), np.uint64)
        row["ip_protocol"] = protocol
        ports = ("icmp_type", "icmp_code") if protocol in (1, 58) else ("client_port", "server_port")
        row[ports[0]], row[ports[1]] = one, other
        row["fold"] = protocol == 6 and one == other == 0
    return list(community_ids(rows))


def test_published_values() -> None:
    assert identified([one[:5] for one in PUBLISHED]) == [one[5] for one in PUBLISHED]
    assert [community_id(*one[:5]) for one in PUBLISHED] == [one[5] for one in PUBLISHED]


def near(size: int) -> Any:
    """Addresses of few values, so that ends are often alike."""
    return st.one_of(st.binary(min_size=size, max_size=size), st.integers(0, 2).map(lambda k: bytes([1] * (size - 1) + [k]))).map(
        lambda raw: str(ipaddress.ip_address(raw)))


PORTS = st.one_of(st.integers(0, 65535), st.integers(0, 2))
SENT = st.one_of(*(st.one_of(
    st.tuples(st.sampled_from((6, 17, 132, 33, 47, 136, 255)), near(size), near(size), PORTS, PORTS),
    st.tuples(st.sampled_from((1, 58)), near(size), near(size), st.integers(0, 255), st.integers(0, 255))) for size in (4, 16)))


@settings(max_examples=10 if BUILD == "off" else 200, deadline=None)
@given(st.lists(SENT.filter(lambda one: one[0] != 6 or one[3] != 0 or one[4] != 0), min_size=1, max_size=20))
def test_twin(packets: list[Sent]) -> None:
    assert identified(packets) == [community_id(*one) for one in packets]


@pytest.mark.parametrize("name", ["dns"] if BUILD == "off" else ["dns", "tls13-h2", "openvpn-udp"])     # plain Python is slow
def test_the_column_of_a_replay(name: str) -> None:
    rows = replayed(PCAPS / f"{name}.pcap")[0].rows("flows")
    for row in rows:
        ends = [row["client_ip"], row["server_ip"]]
        ports = (row["client_port"], row["server_port"])
        if row["ip_protocol"] in (1, 58):
            ports = (row["icmp_type"], row["icmp_code"])
            ends = ends[::-1] if (row["ip_protocol"], ports[0]) in ((1, 0), (58, 129)) else ends
        assert row["community_id"] == community_id(row["ip_protocol"], *ends, *ports)
    assert rows


def test_a_fold_is_no_conversation() -> None:
    fold, whole = identified([(6, "::", "2001:db8::1", 0, 0), (6, "::", "2001:db8::1", 1, 0)])
    assert fold == "" and whole == community_id(6, "::", "2001:db8::1", 1, 0)
