"""Frames into packets: the decoder.

Most frames are Ethernet, at most one VLAN tag, IP without options or extensions, TCP or UDP: these take the short way in `decode_batch`.
All others go through `walk` (dpi/capture/tunnel.py) layer by layer. Both leave the same record for the same frame.

What holds in a PACKET:
  * always: offset, time, captured, wire, number, interface, status;
  * where status is 0: every other field but those below;
  * where fragment is 0: fragment_id is undefined;
  * where it is 2, transport fields but the ports are 0, and payload is all behind the IP header;
  * where the transport header was cut or impossible (mangled is 1), TCP's fields are 0 and there is no payload;
  * outer_at holds where tunnel has a bit of IP_TUNNELS; tunnel_id is 0 where nothing gave one.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.call import call_any
from dpi.capture.fragments import FRAGMENT, fragment_tag, recall, remember
from dpi.capture.frame import FRAME, MAX_LAYERS, MAX_TUNNELS, PACKET, TUNNELS
from dpi.capture.internet import FIRST, LATER, WHOLE
from dpi.capture.key import key_inner, key_v4, key_v6
from dpi.capture.octets import be16, be32, octet
from dpi.capture.prefetch import prefetch, prefetch_second
from dpi.capture.transport import ICMPV6, TCP, UDP, no_transport, payload, tcp, transport, udp
from dpi.capture.tunnel import BIT_VLAN, DECODER, PORT_GTP, PORT_VXLAN, walk
from dpi.jit import I64, entry, kernel, records

AHEAD = 16                      # frames between asking for a header and reading it
MANY = 255                      # more IP headers than any frame may have
LONGEST = (1 << 30) - 1         # a frame that says it was longer on the wire is counted as so long: sums stay within their fields


@entry(np.dtype("u1"), FRAME, I64, PACKET, I64, FRAGMENT, np.dtype("u8"), DECODER)
def decode_any(data: Any, frames: Any, number: int, packets: Any, place: int, fragments: Any, seed: Any, decoder: Any) -> Any:
    """Decode frames[number], of any kind, into packets[place]; returns its status.

    An entry of its own, called through its address (`DECODER.any_way`): the many layers are compiled once, and not again within everything
    that calls the decoder.
    """
    frame = frames[number]
    packet = packets[place]
    state = decoder[0]
    base = np.int64(frame.offset)
    captured = np.int64(frame.captured)
    wire = max(min(np.int64(frame.wire), LONGEST), captured)
    allowed = np.int64(MANY)
    status = np.int64(0)
    while True:
        answer = walk(data, base, captured, wire, np.int64(frame.link), allowed, packet, state)
        status = answer & 255
        stand = answer >> 8
        if status == 0:
            status = settle(data, base, captured, np.int64(frame.time), packet, fragments, seed, state)
            stand -= 1
        if status == 0 or stand == 0:
            break
        # the inside of a tunnel cannot be read: what carries it is the flow
        allowed = stand
    if status == 0 and packet.tunnel:
        for kind in range(len(TUNNELS)):
            if (np.int64(packet.tunnel) >> kind) & 1:
                state.tunnels[kind] += 1
    return status


@kernel
def settle(data: Any, base: int, captured: int, time: int, packet: Any, fragments: Any, seed: Any, decoder: Any) -> Any:
    """Write the packet of the IP header the decoder read last: transport, fragment and key."""
    at = np.int64(decoder.l4_at)
    end = np.int64(decoder.end)
    addresses = base + np.int64(decoder.addresses_at)
    ip_protocol = np.int64(decoder.ip_protocol)
    fragment = np.int64(decoder.fragment)
    vlan = np.int64(packet.vlan) if decoder.key_vlan else np.int64(0)
    packet.mangled = 0
    tag = np.uint64(0)
    if fragment != WHOLE:
        tag = fragment_tag(data, addresses, np.int64(decoder.version), np.int64(decoder.fragment_id), np.int64(decoder.fragment_protocol), vlan, seed)
    if fragment == LATER:
        decoder.fragments_later += 1
        no_transport(packet)
        payload(captured, end, at, packet)
        known = recall(fragments, tag, time)
        if known >= 0:
            decoder.fragments_matched += 1
            packet.source_port = known >> 32
            packet.target_port = (known >> 16) & 0xFFFF
            ip_protocol = known & 255
    else:
        status = transport(data, base, captured, end, at, ip_protocol, fragment == WHOLE, packet)
        if status > 0:
            return status
        if status < 0:
            decoder.mangled += 1
            packet.mangled = 1
        if fragment == FIRST:
            decoder.fragments_first += 1
            remember(fragments, tag, time, packet.source_port, packet.target_port, ip_protocol)
    decoder.overlong += np.uint64(decoder.cut)
    packet.ip_at = decoder.ip_at
    packet.l4_at = at
    packet.ip_bytes = end - np.int64(decoder.ip_at)
    packet.version = decoder.version
    packet.ip_protocol = ip_protocol
    packet.ttl = decoder.ttl
    packet.dscp = decoder.dscp
    packet.fragment = fragment
    packet.fragment_id = decoder.fragment_id
    if decoder.version == 4:
        key_v4(data, addresses, np.int64(packet.source_port), np.int64(packet.target_port), vlan, ip_protocol, packet, seed)
    else:
        key_v6(data, addresses, np.int64(packet.source_port), np.int64(packet.target_port), vlan, ip_protocol, packet, seed)
    if packet.inner_vlan != 0 and decoder.key_vlan != 0:
        key_inner(np.int64(packet.inner_vlan), packet, seed)
    return 0


@kernel
def decode_plain(data: Any, base: int, captured: int, wire: int, packet: Any, seed: Any, decoder: Any) -> Any:
    """The short way, for Ethernet frames: False where the frame is not of the plain kind (nothing is counted then)."""
    if captured < 42:
        return False
    kind = be16(data, base + 12)
    at = np.int64(14)
    vlan = np.int64(0)
    if kind == 0x8100:
        vlan = be16(data, base + 14) & 0xFFF
        kind = be16(data, base + 16)
        at = np.int64(18)
    if kind == 0x0800:
        if at + 28 > captured or octet(data, base + at) != 0x45 or be16(data, base + at + 6) & 0x3FFF:
            return False
        size = be16(data, base + at + 2)
        ip_protocol = octet(data, base + at + 9)
        l4 = at + 20
        packet.version = 4
        packet.ttl = octet(data, base + at + 8)
        packet.dscp = octet(data, base + at + 1) >> 2
    elif kind == 0x86DD:
        if at + 48 > captured:
            return False
        word = be32(data, base + at)
        size = be16(data, base + at + 4)
        if word >> 28 != 6 or size == 0:
            return False
        size += 40
        ip_protocol = octet(data, base + at + 6)
        l4 = at + 40
        packet.version = 6
        packet.ttl = octet(data, base + at + 7)
        packet.dscp = (word >> 22) & 63
    else:
        return False
    end = at + size
    if end > wire:
        return False
    if ip_protocol == TCP:
        if tcp(data, base, captured, end, l4, True, packet):
            return False
    elif ip_protocol == UDP:
        source, target = be16(data, base + l4), be16(data, base + l4 + 2)
        if target == PORT_VXLAN or target == PORT_GTP or source == PORT_GTP or udp(data, base, captured, end, l4, True, packet):
            return False
    else:
        return False
    packet.ip_bytes = size
    packet.ip_at = at
    packet.l4_at = l4
    packet.outer_at = 0
    packet.tunnel_id = 0
    packet.vlan = vlan
    packet.inner_vlan = 0
    packet.tunnel = 0
    packet.ip_protocol = ip_protocol
    packet.fragment = 0
    packet.mangled = 0
    if at != 14:
        packet.tunnel = BIT_VLAN
        decoder.tunnels[0] += 1
        if decoder.key_vlan == 0:
            vlan = np.int64(0)
    source = np.int64(packet.source_port)
    target = np.int64(packet.target_port)
    if kind == 0x0800:
        key_v4(data, base + at + 12, source, target, vlan, ip_protocol, packet, seed)
    else:
        key_v6(data, base + at + 8, source, target, vlan, ip_protocol, packet, seed)
    return True


@kernel
def decode_batch(data: Any, frames: Any, start: int, count: int, packets: Any, fragments: Any, seed: Any, decoder: Any) -> Any:
    """Decode frames[start : start + count] into packets[0 : count]; returns how many have status 0.

    data        uint8[n]; the frames' offsets count from data[0], and each frame lies within it
    frames      FRAME[m], start + count <= m
    packets     PACKET[p], count <= p
    fragments   FRAGMENT[a power of two], seed uint64[4] (dpi.capture.key.fresh_seed), decoder DECODER[1]
    """
    state = decoder[0]
    decoded = np.int64(0)
    telling = np.int64(0)
    last = frames.size - 1
    for index in range(count):
        frame = frames[np.uint64(start + index)]
        packet = packets[np.uint64(index)]
        coming = np.int64(frames[np.uint64(min(start + index + AHEAD, last))].offset)
        prefetch(data, coming)
        prefetch_second(data, coming)       # headers rarely end in the line they begin in
        base = np.int64(frame.offset)
        captured = np.int64(frame.captured)
        wire: Any = max(min(np.int64(frame.wire), LONGEST), captured)
        link = np.int64(frame.link)
        packet.offset = frame.offset
        packet.time = frame.time
        packet.captured = frame.captured
        packet.wire = min(np.int64(frame.wire), LONGEST)
        packet.number = frame.number
        packet.interface = frame.interface
        packet.has_mac = 1 if link == 1 and captured >= 12 else 0
        if captured < wire:
            state.snapped += 1
        status = np.int64(0)
        if link != 1 or not decode_plain(data, base, captured, wire, packet, seed, state):
            status = call_any(state.any_way, data, frames, start + index, packets, np.int64(index), fragments, seed, decoder)
            if status:
                state.refused[status] += 1
        packet.status = status
        if status == 0:
            decoded += 1
            telling += 1 if is_telling(packet) else 0
    state.refused[0] += decoded
    state.telling = telling + count - decoded
    return decoded


@kernel
def is_telling(packet: Any) -> Any:
    """Whether a packet may tell who has an address or who serves: DHCP, RADIUS accounting, ICMPv6. Who listens for such is shown a batch only where there is
    one, which saves looking at each packet once more."""
    if packet.ip_protocol != UDP:
        return packet.ip_protocol == ICMPV6
    source = np.int64(packet.source_port)
    target = np.int64(packet.target_port)
    return 67 <= target <= 68 or 546 <= target <= 547 or 67 <= source <= 68 or 546 <= source <= 547 or target == 1813 or target == 1646


def new_decoder(key_vlan: bool = True, max_layers: int = MAX_LAYERS, max_tunnels: int = MAX_TUNNELS) -> np.ndarray[Any, Any]:
    """A decoder's state, DECODER[1], with its counters at 0. Compiles or loads `decode_any`."""
    decoder = records(1, DECODER)
    row = decoder[0]
    row.key_vlan, row.max_layers, row.max_tunnels, row.any_way = key_vlan, max_layers, max_tunnels, decode_any.address()
    return decoder
