"""dpi.classify.networks and ports against slow twins."""
from __future__ import annotations

import ipaddress

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.classify.networks import network_reason, tables
from dpi.classify.ports import port_reason, table
from tests.oracle import networks as twin

# few distinct bits, so that prefixes nest and touch
FOUR = st.tuples(st.sampled_from((0, 0x0A000000, 0x0A010000, 0x0A010203, 0xFFFFFFFF, 0x0AFFFFFF)), st.integers(0, 32)).map(
    lambda pair: ipaddress.ip_network(pair, strict=False))
SIX = st.tuples(st.sampled_from((0, 1, 0x20010DB8 << 96, (0x20010DB8 << 96) + 7, (1 << 128) - 1)), st.integers(0, 128)).map(
    lambda pair: ipaddress.IPv6Network(pair, strict=False))
PREFIXES = st.dictionaries(st.one_of(FOUR, SIX), st.integers(1, 1000), max_size=16)


def find(address: ipaddress.IPv4Address | ipaddress.IPv6Address, both: tuple[np.ndarray, np.ndarray]) -> int:
    packed = bytes(10) + b"\xff\xff" + address.packed if address.version == 4 else address.packed
    return network_reason(np.frombuffer(b"\1\2" + packed, np.uint8).copy(), 2, *both)


@settings(max_examples=200, deadline=None)
@given(PREFIXES, st.lists(st.integers(0, 2**32 - 1), max_size=4))
def test_the_longest_prefix_wins(prefixes, others):
    both = tables(prefixes)
    asked = [ipaddress.IPv4Address(number) for number in others]
    for network in prefixes:
        first, last = int(network.network_address), int(network.broadcast_address)
        for number in (first - 1, first, last, last + 1):
            if 0 <= number < 2 ** network.max_prefixlen:
                asked.append(type(network.network_address)(number))
    for address in asked:
        if getattr(address, "ipv4_mapped", None) is None:
            assert find(address, both) == twin.find_network(address, prefixes), address


@settings(max_examples=100, deadline=None)
@given(PREFIXES)
def test_ranges_are_sorted_and_apart(prefixes):
    four, six = tables(prefixes)
    assert all(int(a.first) <= int(a.last) for a in four)
    assert all(int(a.last) < int(b.first) for a, b in zip(four[:-1], four[1:], strict=True))
    assert all(bytes(a.last) < bytes(b.first) for a, b in zip(six[:-1], six[1:], strict=True))


def test_an_address_outside_the_array_is_refused():
    both = tables({ipaddress.ip_network("0.0.0.0/0"): 1})
    assert network_reason(np.zeros(16, np.uint8), 1, *both) == 0
    assert network_reason(np.zeros(16, np.uint8), -1, *both) == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from((6, 17, 132)), st.integers(1, 40), st.integers(0, 9), st.integers(1, 1000)), max_size=8))
def test_later_ports_lie_over_earlier_ones(ranges):
    spans = [(transport, low, low + width, reason) for transport, low, width, reason in ranges]
    ports = table(spans)
    for transport in (6, 17, 132, 33):
        for port in range(52):
            expected = [reason for one, low, high, reason in spans if one == transport and low <= port <= high]
            assert port_reason(transport, port, ports) == (expected[-1] if expected else 0)
    assert port_reason(6, -1, ports) == port_reason(6, 65536, ports) == 0
