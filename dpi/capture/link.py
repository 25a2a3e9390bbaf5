"""Link headers: from the first byte of a frame to the name of what follows.

Link types are those of https://www.tcpdump.org/linktypes.html, written there as LINKTYPE_*. What follows is named by its EtherType
(IEEE 802 numbers, 0x0600 and up), or by one of the LAYER_* codes above 0xFFFF where no EtherType says it.

A step answers with one integer: what follows << 32 | offset of it from the start of the frame; or, where the frame is refused,
minus the number of the reason in REFUSALS.
"""
from __future__ import annotations

from typing import Any

from dpi.capture.frame import REFUSALS
from dpi.capture.octets import be16, be32, octet
from dpi.jit import kernel

TRUNCATED_LINK = REFUSALS.index("truncated_link")
NOT_IP = REFUSALS.index("not_ip")
UNKNOWN_LINK = REFUSALS.index("unknown_link")
NOT_DATA = REFUSALS.index("not_data")

IPV4, IPV6, PPPOE = 0x0800, 0x86DD, 0x8864
MPLS, MPLS_UPSTREAM = 0x8847, 0x8848
TRANSPARENT_ETHERNET, PPP_IN_GRE = 0x6558, 0x880B
LAYER_ETHERNET = 0x10000    # an Ethernet header
LAYER_LLC = 0x10001         # an IEEE 802.2 header
LAYER_PPP = 0x10002         # a PPP protocol field, perhaps behind FF 03
LAYER_IP = 0x10003          # IPv4 or IPv6 by the version nibble

ETHERNET, NULL, PPP, PPP_HDLC, PPP_ETHER, RAW, LOOP = 1, 0, 9, 50, 51, 101, 108
C_HDLC, IEEE802_11, SLL, RADIOTAP, LINK_IPV4, LINK_IPV6, SLL2 = 104, 105, 113, 127, 228, 229, 276
RAW_BSD, RAW_OPENBSD = 12, 14
#: Every link type that is read
LINK_TYPES = (NULL, ETHERNET, PPP, RAW_BSD, RAW_OPENBSD, PPP_HDLC, PPP_ETHER, RAW, C_HDLC, IEEE802_11, LOOP, SLL, RADIOTAP,
              LINK_IPV4, LINK_IPV6, SLL2)


@kernel
def follows(layer: int, at: int) -> Any:
    """A step's answer."""
    return (layer << 32) | at


@kernel
def link_layer(data: Any, base: int, captured: int, link: int) -> Any:
    """What follows the link header of the frame at data[base : base + captured]; `link` is its LINKTYPE number."""
    if link == ETHERNET:
        return follows(LAYER_ETHERNET, 0)
    if link == RAW or link == RAW_BSD or link == RAW_OPENBSD:
        return follows(LAYER_IP, 0)
    if link == LINK_IPV4:
        return follows(IPV4, 0)
    if link == LINK_IPV6:
        return follows(IPV6, 0)
    if link == PPP_ETHER:
        return follows(PPPOE, 0)
    if link == SLL:
        if captured < 16:
            return -TRUNCATED_LINK
        return sll_protocol(be16(data, base + 14), 16)
    if link == SLL2:
        if captured < 20:
            return -TRUNCATED_LINK
        return sll_protocol(be16(data, base), 20)
    if link == NULL or link == LOOP:
        if captured < 4:
            return -TRUNCATED_LINK
        family = be32(data, base)       # in the byte order of the machine that captured, for LOOP in network order: take either
        if family > 0xFFFF:
            family = (family >> 24) | ((family >> 8) & 0xFF00) | ((family & 0xFF00) << 8) | ((family & 0xFF) << 24)
        # AF_INET is 2 everywhere, AF_INET6 24 (NetBSD, OpenBSD), 28 (FreeBSD), 30 (Darwin), 10 (Linux), 23 (Windows)
        if family == 2 or family == 24 or family == 28 or family == 30 or family == 10 or family == 23:
            return follows(LAYER_IP, 4)
        return -NOT_IP
    if link == PPP or link == PPP_HDLC or link == C_HDLC:
        if captured < 4:
            return -TRUNCATED_LINK
        # Cisco HDLC under the name of PPP and the reverse: the address byte tells (0F unicast, 8F broadcast; PPP has FF or none)
        first = octet(data, base)
        if first == 0x0F or first == 0x8F or (link == C_HDLC and be16(data, base) != 0xFF03):
            return follows(be16(data, base + 2), 4)
        return follows(LAYER_PPP, 0)
    if link == IEEE802_11:
        return wireless(data, base, captured, 0, 0)
    if link == RADIOTAP:
        return radiotap(data, base, captured)
    return -UNKNOWN_LINK


@kernel
def sll_protocol(protocol: int, at: int) -> Any:
    """Linux cooked capture: an EtherType, or 1 and 4 for frames that begin with an 802.3 or 802.2 header (LINKTYPE_LINUX_SLL)."""
    if protocol == 4:
        return follows(LAYER_LLC, at)
    if protocol == 3:                   # ETH_P_ALL: the whole frame
        return follows(LAYER_ETHERNET, at)
    if protocol < 0x600:
        return -NOT_IP
    return follows(protocol, at)


@kernel
def radiotap(data: Any, base: int, captured: int) -> Any:
    """A radiotap header (radiotap.org), then IEEE 802.11."""
    if captured < 8:
        return -TRUNCATED_LINK
    length = octet(data, base + 2) | (octet(data, base + 3) << 8)
    if length < 8 or length > captured:
        return -TRUNCATED_LINK
    padded = 0
    present = octet(data, base + 4)
    at = 8
    words = 0
    while at <= length and octet(data, base + at - 1) & 0x80 and words < 16:    # bit 31: another presence word follows
        at += 4
        words += 1
    if present & 2:                     # flags field, behind an 8-byte aligned time stamp if there is one
        if present & 1:
            at = ((at + 7) & ~7) + 8
        if at < length:
            padded = octet(data, base + at) & 0x20
    return wireless(data, base, captured, length, padded)


@kernel
def wireless(data: Any, base: int, captured: int, at: int, padded: int) -> Any:
    """An IEEE 802.11 header at `at`; `padded`: it is followed by filling to a multiple of four (radiotap flag 0x20)."""
    if at + 2 > captured:
        return -TRUNCATED_LINK
    control = octet(data, base + at)
    more = octet(data, base + at + 1)
    # version 0, type data, not a null frame; not encrypted
    if control & 0x0F != 0x08 or control & 0x40 or more & 0x40:
        return -NOT_DATA
    length = 24
    if more & 3 == 3:                   # between access points: a fourth address
        length += 6
    if control & 0x80:                  # QoS
        if at + length + 2 > captured:
            return -TRUNCATED_LINK
        if octet(data, base + at + length) & 0x80:      # several packets in one frame (A-MSDU)
            return -NOT_DATA
        length += 2
        if more & 0x80:                 # HT control
            length += 4
    if at + length > captured:
        return -TRUNCATED_LINK
    if octet(data, base + at + 22) & 0x0F:              # a later fragment of a frame begins in the middle of a packet
        return -NOT_DATA
    if padded:
        length = (length + 3) & ~3
    return follows(LAYER_LLC, at + length)


@kernel
def llc(data: Any, base: int, captured: int, at: int) -> Any:
    """IEEE 802.2 with SNAP (RFC 1042), or IP by its own SAP."""
    if at + 3 > captured:
        return -TRUNCATED_LINK
    sap = be16(data, base + at)
    if sap == 0x0606:
        return follows(IPV4, at + 3)
    if sap != 0xAAAA:
        return -NOT_IP
    if at + 8 > captured:
        return -TRUNCATED_LINK
    organisation = be32(data, base + at + 2) & 0xFFFFFF
    ethertype = be16(data, base + at + 6)
    if (organisation != 0 and organisation != 0xF8) or ethertype < 0x600:
        return -NOT_IP
    return follows(ethertype, at + 8)


@kernel
def ppp(data: Any, base: int, captured: int, at: int) -> Any:
    """A PPP protocol field (RFC 1661 section 2), with or without address and control, whole or compressed to one byte."""
    if at + 1 > captured:
        return -TRUNCATED_LINK
    if at + 2 <= captured and be16(data, base + at) == 0xFF03:
        at += 2
        if at + 1 > captured:
            return -TRUNCATED_LINK
    protocol = octet(data, base + at)
    if protocol & 1:
        at += 1
    else:
        if at + 2 > captured:
            return -TRUNCATED_LINK
        protocol = be16(data, base + at)
        at += 2
    if protocol == 0x21:
        return follows(IPV4, at)
    if protocol == 0x57:
        return follows(IPV6, at)
    if protocol == 0x281:
        return follows(MPLS, at)
    if protocol == 0x283:
        return follows(MPLS_UPSTREAM, at)
    return -NOT_IP
