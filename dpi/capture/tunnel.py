"""The way of any frame: through every layer to the innermost conversation.

`walk` goes from the link header down. An IP packet whose inside is a tunnel that is read (GRE, IP-in-IP, 6in4, MPLS-in-IP, VXLAN, GTP-U,
EoIP) is entered; one whose inside turns out not to be decodable is the flow itself. Fragments are never entered: only the first could be,
and the datagram would fall into two flows. IP quoted inside ICMP errors is not looked into.

Limits: MAX_LAYERS headers of any kind, MAX_TUNNELS IP packets around the innermost one; beyond them the frame is refused as too deep.

Sources: VLAN IEEE 802.1Q and 802.1ad; MPLS RFC 3032 and RFC 4385; PPPoE RFC 2516; GRE RFC 2784, RFC 2890 and RFC 2637; IP-in-IP RFC 2003
and RFC 2473; 6in4 RFC 4213; VXLAN RFC 7348; GTP-U 3GPP TS 29.281; EoIP as MikroTik sends it; ERSPAN draft-foschiano-erspan.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.frame import REFUSALS, TUNNELS
from dpi.capture.internet import TOO_DEEP, WHOLE, read_v4, read_v6
from dpi.capture.link import (
    IPV4,
    IPV6,
    LAYER_ETHERNET,
    LAYER_IP,
    LAYER_LLC,
    LAYER_PPP,
    MPLS,
    MPLS_UPSTREAM,
    NOT_IP,
    PPP_IN_GRE,
    PPPOE,
    TRANSPARENT_ETHERNET,
    TRUNCATED_LINK,
    follows,
    link_layer,
    llc,
    ppp,
)
from dpi.capture.octets import be16, be32, octet
from dpi.jit import kernel

#: Options, counters and the scratch space of one decoder. One record per shard.
DECODER = np.dtype((np.record, [
    # ---- options
    ("key_vlan", "u1"),                     # 1: the outer VLAN id is part of the flow key
    ("max_layers", "u1"), ("max_tunnels", "u1"),
    ("any_way", "u8"),                      # address of `decode_any`
    # ---- the layer read last (private)
    ("version", "u1"), ("ip_protocol", "u1"), ("fragment_protocol", "u1"), ("fragment", "u1"), ("ttl", "u1"), ("dscp", "u1"), ("extensions", "u1"),
    ("cut", "u1"),
    ("inner_tunnel", "u2"),
    ("inner_id", "u4"), ("fragment_id", "u4"),
    ("ip_at", "i8"), ("l4_at", "i8"), ("end", "i8"), ("addresses_at", "i8"),
    # ---- the batch decoded last
    ("telling", "i8"),                      # its packets that may tell who has an address or who serves (`is_telling`), and those that were refused
    # ---- counters
    ("refused", "u8", (len(REFUSALS),)),    # by reason; [0] counts the decoded
    ("tunnels", "u8", (len(TUNNELS),)),     # frames whose packet has TUNNELS[i] around it
    ("snapped", "u8"),                      # frames cut by the snap length
    ("overlong", "u8"),                     # packets longer, by their header, than the frame was on the link
    ("mangled", "u8"),                      # packets of whose transport header only the ports could be used
    ("fragments_first", "u8"), ("fragments_later", "u8"),
    ("fragments_matched", "u8"),            # later fragments that got the ports of their first one
]))

BIT_VLAN, BIT_MPLS, BIT_PPPOE = 1 << TUNNELS.index("vlan"), 1 << TUNNELS.index("mpls"), 1 << TUNNELS.index("pppoe")
BIT_GRE, BIT_IPIP, BIT_6IN4 = 1 << TUNNELS.index("gre"), 1 << TUNNELS.index("ipip"), 1 << TUNNELS.index("6in4")
BIT_VXLAN, BIT_GTP, BIT_EOIP = 1 << TUNNELS.index("vxlan"), 1 << TUNNELS.index("gtp-u"), 1 << TUNNELS.index("eoip")
#: PACKET.tunnel has one of these: there is an outer IP header, and PACKET.outer_at is its offset
IP_TUNNELS = BIT_GRE | BIT_IPIP | BIT_6IN4 | BIT_VXLAN | BIT_GTP | BIT_EOIP
PORT_VXLAN, PORT_GTP = 4789, 2152


@kernel
def plausible(data: Any, base: int, captured: int, at: int) -> Any:
    """Is there an Ethernet header at `at` with IP, or a VLAN tag and IP, behind it?"""
    if at + 15 > captured:
        return False
    ethertype = be16(data, base + at + 12)
    if ethertype == 0x8100 or ethertype == 0x88A8:
        at += 4
        if at + 15 > captured:
            return False
        ethertype = be16(data, base + at + 12)
    first = octet(data, base + at + 14)
    return (ethertype == IPV4 and first >> 4 == 4 and first & 15 >= 5) or (ethertype == IPV6 and first >> 4 == 6)


@kernel
def below_mpls(data: Any, base: int, captured: int, at: int) -> Any:
    """What follows the last label: nothing says it, so IP by its version, or Ethernet (with or without a control word) where that is plain."""
    if at >= captured:
        return -TRUNCATED_LINK
    version = octet(data, base + at) >> 4
    if version == 4 or version == 6:
        # a pseudowire's MAC address may begin with 4 or 6 as well
        if plausible(data, base, captured, at) and not plausible_ip(data, base, captured, at):
            return follows(LAYER_ETHERNET, at)
        return follows(LAYER_IP, at)
    if version == 0 and plausible(data, base, captured, at + 4):
        return follows(LAYER_ETHERNET, at + 4)
    if plausible(data, base, captured, at):
        return follows(LAYER_ETHERNET, at)
    return -NOT_IP


@kernel
def plausible_ip(data: Any, base: int, captured: int, at: int) -> Any:
    """Could an IP header be at `at`, by the fields with little freedom?"""
    first = octet(data, base + at)
    if first >> 4 == 6:
        return at + 40 <= captured and be16(data, base + at + 4) <= captured + 65535
    return at + 20 <= captured and first & 15 >= 5 and be16(data, base + at + 2) >= 20 and octet(data, base + at + 8) != 0


@kernel
def gre(data: Any, base: int, captured: int, at: int, decoder: Any) -> Any:
    """What a GRE header at `at` carries, or 0 where it carries nothing that is read."""
    if at + 8 > captured:
        return 0
    flags = be16(data, base + at)
    protocol = be16(data, base + at + 2)
    decoder.inner_tunnel = BIT_GRE
    decoder.inner_id = 0
    if flags & 7 == 1:
        if flags == 0x2001 and protocol == 0x6400:          # EoIP: frame length, then the tunnel id in little-endian order
            decoder.inner_tunnel = BIT_EOIP
            decoder.inner_id = octet(data, base + at + 6) | (octet(data, base + at + 7) << 8)
            return follows(LAYER_ETHERNET, at + 8)
        if protocol != PPP_IN_GRE or flags & 0x3000 != 0x3000:      # without a sequence number it only acknowledges
            return 0
        decoder.inner_id = be16(data, base + at + 6)
        return follows(LAYER_PPP, at + (16 if flags & 0x80 else 12))
    if flags & 0x4007:                                      # routing field (deprecated), or another version
        return 0
    size = 4
    if flags & 0x8000:
        size += 4
    if flags & 0x2000:
        if at + size + 4 > captured:
            return 0
        decoder.inner_id = be32(data, base + at + size)
        size += 4
    if flags & 0x1000:
        size += 4
    if protocol == TRANSPARENT_ETHERNET:
        return follows(LAYER_ETHERNET, at + size)
    if protocol == 0x88BE:                                  # ERSPAN type I has no sequence number and no header, type II has 8 bytes
        return follows(LAYER_ETHERNET, at + size + (8 if flags & 0x1000 else 0))
    if protocol == PPP_IN_GRE:
        return follows(LAYER_PPP, at + size)
    return follows(protocol, at + size)


@kernel
def gtp(data: Any, base: int, captured: int, at: int, decoder: Any) -> Any:
    """What a GTP-U header at `at` carries: version 1, message G-PDU, extension headers skipped; else 0."""
    if at + 8 > captured:
        return 0
    flags = octet(data, base + at)
    if flags >> 4 != 3 or octet(data, base + at + 1) != 255:
        return 0
    decoder.inner_tunnel = BIT_GTP
    decoder.inner_id = be32(data, base + at + 4)
    at += 8
    if flags & 7:
        if at + 4 > captured:
            return 0
        following = octet(data, base + at + 3) if flags & 4 else 0
        at += 4
        steps = 0
        while following:
            steps += 1
            if at >= captured or steps > decoder.max_layers:
                return 0
            size = octet(data, base + at) << 2
            if size == 0 or at + size > captured:
                return 0
            following = octet(data, base + at + size - 1)
            at += size
    return follows(LAYER_IP, at)


@kernel
def inside(data: Any, base: int, captured: int, decoder: Any) -> Any:
    """What the IP packet read last carries if it is a tunnel; 0 if it is a conversation of its own. Sets inner_tunnel and inner_id."""
    at = np.int64(decoder.l4_at)
    protocol = np.int64(decoder.ip_protocol)
    if protocol == 17:
        if at + 16 > captured or at + 16 > decoder.end:
            return 0
        target = be16(data, base + at + 2)
        if target == PORT_VXLAN:
            # flags 08 (valid id) or 88 (with group policy); the last reserved byte is 0
            if octet(data, base + at + 8) & 0x77 or not octet(data, base + at + 8) & 8 or octet(data, base + at + 15):
                return 0
            decoder.inner_tunnel = BIT_VXLAN
            decoder.inner_id = be32(data, base + at + 12) >> 8
            return follows(LAYER_ETHERNET, at + 16)
        if target == PORT_GTP or be16(data, base + at) == PORT_GTP:
            return gtp(data, base, captured, at + 8, decoder)
        return 0
    decoder.inner_id = 0
    if protocol == 4 or protocol == 41:
        decoder.inner_tunnel = BIT_6IN4 if protocol == 41 and decoder.version == 4 else BIT_IPIP
        return follows(IPV4 if protocol == 4 else IPV6, at)
    if protocol == 47:
        return gre(data, base, captured, at, decoder)
    if protocol == 137:
        decoder.inner_tunnel = BIT_IPIP
        return follows(MPLS, at)
    return 0


@kernel
def walk(data: Any, base: int, captured: int, wire: int, link: int, allowed: int, packet: Any, decoder: Any) -> Any:
    """Find the innermost IP packet of a frame, entering at most `allowed` - 1 tunnels.

    Leaves it in the decoder's layer fields, and VLAN, tunnel and outer fields in `packet`. Answers the reason of a refusal (0: none) +
    256 * the number of IP headers that stand (that were read without a flaw, outermost first).
    """
    step = link_layer(data, base, captured, link)
    end: Any = wire
    layers = np.int64(0)
    depth = np.int64(0)
    tunnel = np.int64(0)
    tags = np.int64(0)
    outer = np.int64(0)
    packet.tunnel_id = 0
    packet.outer_at = 0
    packet.vlan = 0
    packet.inner_vlan = 0
    while step > 0:
        layer = step >> 32
        at = step & 0xFFFFFFFF
        layers += 1
        if layers > decoder.max_layers:
            return TOO_DEEP
        if layer == LAYER_IP:
            layer = IPV6 if at < captured and octet(data, base + at) >> 4 == 6 else IPV4
        if layer == IPV4 or layer == IPV6:
            loose = depth == 0 or decoder.cut == 1
            if layer == IPV4:
                status = read_v4(data, base, captured, end, at, loose, decoder)
            else:
                status = read_v6(data, base, captured, end, at, loose, decoder)
            if status:
                return TOO_DEEP if status == TOO_DEEP else status + (depth << 8)
            layers += np.int64(decoder.extensions)
            depth += 1
            if depth == 1:
                outer = at
            else:
                packet.outer_at = outer
            step = np.int64(0)
            if decoder.fragment == WHOLE and depth < allowed:
                step = inside(data, base, captured, decoder)
            if step == 0:
                break
            if depth > decoder.max_tunnels:
                return TOO_DEEP
            tunnel |= np.int64(decoder.inner_tunnel)
            packet.tunnel_id = decoder.inner_id
            end = np.int64(decoder.end)
        elif layer == LAYER_ETHERNET:
            step = ethernet(data, base, captured, at)
        elif layer == 0x8100 or layer == 0x88A8 or layer == 0x9100 or layer == 0x9200:
            if at + 4 > captured:
                return TRUNCATED_LINK + (depth << 8)
            tags += 1
            tunnel |= BIT_VLAN
            if tags == 1:
                packet.vlan = be16(data, base + at) & 0xFFF
            elif tags == 2:
                packet.inner_vlan = be16(data, base + at) & 0xFFF
            step = ethertype(be16(data, base + at + 2), at + 4)
        elif layer == MPLS or layer == MPLS_UPSTREAM:
            if at + 4 > captured:
                return TRUNCATED_LINK + (depth << 8)
            word = be32(data, base + at)
            tunnel |= BIT_MPLS
            packet.tunnel_id = word >> 12
            step = below_mpls(data, base, captured, at + 4) if word & 0x100 else follows(MPLS, at + 4)
        elif layer == PPPOE:
            if at + 6 > captured:
                return TRUNCATED_LINK + (depth << 8)
            if be16(data, base + at) != 0x1100:
                return NOT_IP + (depth << 8)
            tunnel |= BIT_PPPOE
            packet.tunnel_id = be16(data, base + at + 2)
            step = follows(LAYER_PPP, at + 6)
        elif layer == LAYER_PPP:
            step = ppp(data, base, captured, at)
        elif layer == LAYER_LLC:
            step = llc(data, base, captured, at)
        else:
            step = -np.int64(NOT_IP)
    packet.tunnel = tunnel
    if step < 0:
        return -step + (depth << 8)
    return depth << 8


@kernel
def ethernet(data: Any, base: int, captured: int, at: int) -> Any:
    """An Ethernet header: by EtherType, or IEEE 802.3 with 802.2 behind it."""
    if at + 14 > captured:
        return -TRUNCATED_LINK
    return ethertype(be16(data, base + at + 12), at + 14)


@kernel
def ethertype(number: int, at: int) -> Any:
    """What an EtherType names; below 0x0600 it is the length of an 802.2 frame."""
    return follows(LAYER_LLC, at) if number < 0x600 else follows(number, at)

