"""Who listens to the tap: of each batch of decoded packets, those that tell who has which address (RADIUS, DHCP, PPPoE) are read."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.frame import PACKET, REFUSALS, TUNNELS
from dpi.capture.octets import be64, octet
from dpi.capture.tap import LISTENER, taps_of
from dpi.capture.transport import UDP
from dpi.capture.tunnel import IP_TUNNELS
from dpi.identity.dhcp_options import read_dhcp, read_dhcpv6
from dpi.identity.event import DHCP, PPPOE, RADIUS, START, events_of, trusted_of
from dpi.identity.ppp import peer_of, read_pppoe
from dpi.identity.radius_attributes import read_accounting
from dpi.jit import I64, entry, kernel

NOT_IP = REFUSALS.index("not_ip")
BIT_PPPOE = 1 << TUNNELS.index("pppoe")


@entry(np.dtype("u1"), PACKET, I64, LISTENER)
def listen(data: Any, packets: Any, many: Any, listener: Any) -> Any:
    """Read what packets[:many] say; events are noted. How many wait."""
    w = listener[0]
    tap = taps_of(w)[0]
    kinds = np.int64(tap.kinds)
    if kinds == 0:
        return 0
    for i in range(many):
        p = packets[i]
        if p.status != 0:
            if p.status == NOT_IP and p.has_mac and kinds & PPPOE:
                count_pppoe(tap, read_pppoe(w, data, p))
        elif p.ip_protocol == UDP and p.fragment == 0:
            port = np.int64(p.target_port)
            if port == 67 or port == 68 or port == 546 or port == 547:
                if kinds & DHCP:
                    hear_dhcp(w, tap, data, p, port)
            elif port == 1813 or port == 1646:
                if kinds & RADIUS:
                    hear_accounting(w, tap, data, p)
    return np.int64(tap.heard)


@kernel
def count_pppoe(tap: Any, answer: Any) -> Any:
    """Count a frame that was read, or could not be."""
    if answer > 0:
        tap.pppoe += 1
    elif answer < 0:
        tap.pppoe_bad += 1
    return 0


@kernel
def payload(p: Any) -> Any:
    """The end of what is captured of a datagram's payload, minus its begin."""
    return min(np.int64(p.payload_captured), np.int64(p.payload_bytes))


@kernel
def hear_dhcp(w: Any, tap: Any, data: Any, p: Any, port: Any) -> Any:
    """DHCP of either version; inside of PPPoE it is the session's."""
    begin = np.int64(p.offset) + np.int64(p.payload_at)
    before = np.int64(tap.heard)
    if port < 100:
        answer = read_dhcp(w, data, p, begin, begin + payload(p))
    else:
        answer = read_dhcpv6(w, data, p, begin, begin + payload(p))
    if answer < 0:
        tap.dhcp_bad += 1
        tap.heard = before          # half a message is none
    elif answer > 0 and given(w, before) and not believed(w, data, p, DHCP):
        tap.untrusted += 1
        tap.heard = before
    elif answer > 0:
        tap.dhcp += 1
        if np.int64(p.tunnel) & BIT_PPPOE and p.has_mac and tap.heard > before:
            peer = peer_of(w, data, p, np.int64(p.tunnel_id) & 0xFFFF)
            for i in range(before, np.int64(tap.heard)):
                events_of(w)[i].peer = peer
    return 0


@kernel
def hear_accounting(w: Any, tap: Any, data: Any, p: Any) -> Any:
    """RADIUS accounting, from where it is believed."""
    if not believed(w, data, p, RADIUS):
        tap.untrusted += 1
        return 0
    begin = np.int64(p.offset) + np.int64(p.payload_at)
    before = np.int64(tap.heard)
    answer = read_accounting(w, data, p, begin, begin + payload(p))
    if answer < 0:
        tap.radius_bad += 1
        tap.heard = before
    elif answer > 0:
        tap.radius += 1
    return 0


@kernel
def given(w: Any, before: Any) -> Any:
    """Whether one of the events noted since gives an address: what a server says."""
    found = False
    for i in range(before, np.int64(taps_of(w)[0].heard)):
        found = found or events_of(w)[i].action == START
    return found


@kernel
def believed(w: Any, data: Any, p: Any, kind: Any) -> Any:
    """Whether the sender is in one of the networks whose RADIUS or DHCP is believed; all are where none is named. Inside of a tunnel anybody can write any
    sender: the tunnel's own is to be in one of them as well."""
    networks = trusted_of(w)
    named = False
    for i in range(networks.size):
        named = named or networks[i].kind == kind
    if not named:
        return True
    if kind == RADIUS and np.int64(p.tunnel) & BIT_PPPOE:       # a subscriber's
        return False
    if np.int64(p.tunnel) & IP_TUNNELS and not within(networks, kind, data, np.int64(p.offset) + np.int64(p.outer_at)):
        return False
    return within(networks, kind, data, np.int64(p.offset) + np.int64(p.ip_at))


@kernel
def within(networks: Any, kind: Any, data: Any, at: Any) -> Any:
    """Whether the sender that the IP header at `at` names is in one of the networks of a kind."""
    high, low = np.uint64(0), np.uint64(0)
    if octet(data, at) >> 4 == 4:
        low = np.uint64(0xFFFF00000000) | (be64(data, at + 12) >> np.uint64(32))
    else:
        high, low = be64(data, at + 8), be64(data, at + 16)
    found = False
    for i in range(networks.size):
        one = networks[i]
        found = found or (one.kind == kind and high & one.mask_high == one.high and low & one.mask_low == one.low)
    return found
