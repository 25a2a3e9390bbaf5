"""One decoded packet meets its flow: born if need be, counted, cut at the minute and where its ends change hands."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.octets import be32
from dpi.flow.changes import crossed
from dpi.flow.eviction import evict, note_birth
from dpi.flow.expiry import emit
from dpi.flow.export import put_v4, reopen
from dpi.flow.memory import addresses_of, births_of, details_of, flows_of, shard_of, slots_of, tunnels_of
from dpi.flow.table import CLIENT_LOW, END_ACTIVE, HASHED, HEARD, MIDSTREAM, NOT_MEASURED, REQUEST, RESPONDED, SEQ_CLIENT, UNSEEN, grow, place, take
from dpi.flow.tcp import F_ACK, F_SYN, ICMP, ICMPV6, TCP, UDP, tcp
from dpi.jit import kernel


@kernel
def born(w: Any, data: Any, p: Any, tag: Any) -> Any:
    """A new flow for this packet. Evicts when the table is full. Returns its number."""
    row = shard_of(w)[0]
    number = take(flows_of(w), shard_of(w))
    if number == 0:
        evict(w)
        number = take(flows_of(w), shard_of(w))
    if (row.live * 2) > np.int64(row.mask):
        grow(slots_of(w), shard_of(w))
    place(slots_of(w), row.mask, tag, np.uint64(number))
    flow = flows_of(w)[number]
    detail = details_of(w)[number]
    flow.key0 = p.key0
    flow.key1 = p.key1
    reopen(flow, shard_of(w))
    flow.last = row.clock
    flow.interval = 0
    flow.state = 0
    flow.parser = 0
    flow.phase = 0
    flow.stream = 0
    flow.facts = 0
    flow.protocol = 0
    flow.application = 0
    flow.reason = 0
    row.flows += 1
    client = opened_by_sender(data, p)
    flow.marks = 0
    if (client == 1) == (p.low == 1):
        flow.marks = CLIENT_LOW
    if p.ip_protocol == TCP and not (p.tcp_flags & F_SYN):
        flow.marks |= MIDSTREAM
    if row.step != 0:
        row.serial += row.step
        detail.serial = np.uint64(row.serial)
    else:
        detail.serial = np.uint64(row.before + np.int64(p.number))
    detail.flow_start = row.clock
    note_birth(births_of(w), row, number)
    detail.first_packet = p.number
    detail.vlan = p.vlan
    detail.inner_vlan = p.inner_vlan
    detail.interface = np.uint8(min(np.int64(p.interface), 255))
    detail.client_rtt = NOT_MEASURED
    detail.server_rtt = NOT_MEASURED
    detail.response = NOT_MEASURED
    detail.mss = 0
    detail.icmp = 0
    for d in range(2):
        flow.advanced[d] = UNSEEN
        detail.ttl[d] = 0
        detail.dscp[d] = 0
    if p.ip_protocol == ICMP or p.ip_protocol == ICMPV6:
        detail.icmp = 1
        detail.client_port = p.icmp_type
        detail.server_port = p.icmp_code
    elif client == 1:
        detail.client_port = p.source_port
        detail.server_port = p.target_port
    else:
        detail.client_port = p.target_port
        detail.server_port = p.source_port
    frame = np.int64(p.offset)
    ip = frame + np.int64(p.ip_at)
    if flow.key1 & np.uint64(HASHED):
        ends = addresses_of(w)[number]
        if client == 1:
            put_addresses(ends.client, ends.server, data, ip, p.version)
        else:
            put_addresses(ends.server, ends.client, data, ip, p.version)
    for i in range(6):
        detail.client_mac[i] = 0
        detail.server_mac[i] = 0
    if p.has_mac:
        target, source = frame, frame + 6
        if client == 0:
            target, source = source, target
        for i in range(6):
            detail.client_mac[i] = data[source + i]
            detail.server_mac[i] = data[target + i]
    detail.tunnel = 0
    if p.tunnel > 1:            # bit 0 is a plain VLAN, which has columns of its own
        detail.tunnel = keep_tunnel(w, data, p, client)
    return number


@kernel
def opened_by_sender(data: Any, p: Any) -> Any:
    """1 if the sender of a flow's first packet seen is its client, else 0."""
    if p.ip_protocol == TCP:
        if p.tcp_flags & F_SYN:
            return 0 if p.tcp_flags & F_ACK else 1
        return 0 if p.source_port < p.target_port else 1
    if p.ip_protocol == UDP:
        if p.source_port < 1024 and p.target_port >= 1024:
            first = np.int64(data[np.int64(p.offset) + np.int64(p.ip_at) + (16 if p.version == 4 else 24)])
            if (p.version == 4 and first < 224) or (p.version == 6 and first != 255):
                return 0
        return 1
    if p.fragment == 2:         # its ICMP type was in another packet
        return 1
    if p.ip_protocol == ICMP:
        return 0 if p.icmp_type == 0 else 1
    if p.ip_protocol == ICMPV6:
        return 0 if p.icmp_type == 129 else 1
    return 1


@kernel
def put_addresses(source: Any, target: Any, data: Any, ip: Any, version: Any) -> Any:
    """Write both addresses of the header at `ip` as 16 bytes each (IPv4 mapped, RFC 4291 section 2.5.5.2)."""
    if version == 6:
        for i in range(16):
            source[i] = data[ip + 8 + i]
            target[i] = data[ip + 24 + i]
        return 0
    put_v4(source, be32(data, ip + 12))
    put_v4(target, be32(data, ip + 16))
    return 0


@kernel
def keep_tunnel(w: Any, data: Any, p: Any, client: Any) -> Any:
    """A record of the outer layers, 0 when there is no room (counted)."""
    row = shard_of(w)[0]
    number = row.tunnels_free
    if number != 0:
        row.tunnels_free = np.int64(tunnels_of(w)[number].next)
    elif row.tunnels_high < tunnels_of(w).size:
        number = row.tunnels_high
        row.tunnels_high += 1
    else:
        row.tunnels_full += 1
        return 0
    tunnel = tunnels_of(w)[number]
    tunnel.id = p.tunnel_id
    tunnel.kinds = p.tunnel
    for i in range(16):
        tunnel.outer_client[i] = 0
        tunnel.outer_server[i] = 0
    if p.outer_at != 0:
        ip = np.int64(p.offset) + np.int64(p.outer_at)
        version = np.int64(data[ip]) >> 4
        if client == 1:
            put_addresses(tunnel.outer_client, tunnel.outer_server, data, ip, version)
        else:
            put_addresses(tunnel.outer_server, tunnel.outer_client, data, ip, version)
    return np.int64(number)


@kernel
def count(w: Any, number: Any, p: Any) -> Any:
    """Count a packet into its flow. Returns what inspection needs: bits 0-31 the distance of the segment from the expected sequence number
    (two's complement), bit 32 the direction, bit 33 set if the expected number was known."""
    row = shard_of(w)[0]
    flow = flows_of(w)[number]
    if np.int64(flow.period) != row.period:
        if flow.packets[0] == 0 and flow.packets[1] == 0:
            flow.start = row.clock
        elif crossed(w, number):
            emit(w, number, END_ACTIVE, 0)
        flow.period = np.uint32(row.period)
    d = 0
    if (p.low == 1) != ((flow.marks & CLIENT_LOW) != 0):
        d = 1
    flow.last = row.clock
    if flow.packets[0] == 0 and flow.packets[1] == 0:
        flow.start = row.clock
    flow.packets[d] += np.uint32(1)
    flow.ip_bytes[d] += np.uint64(p.ip_bytes)
    flow.overhead[d] += np.int32(np.int64(p.wire) - np.int64(p.ip_bytes))
    flow.headers[d] += np.uint32(np.int64(p.ip_bytes) - np.int64(p.payload_bytes))
    distance = np.int64(0)
    if flow.packets[d] == 1:
        detail = details_of(w)[number]
        detail.ttl[d] = p.ttl
        detail.dscp[d] = p.dscp
    if p.ip_protocol == TCP:
        if p.fragment != 2 and p.mangled == 0:
            distance = tcp(w, number, flow, p, d)
        elif not (flow.marks & (SEQ_CLIENT << d)):
            flow.advanced[d] = HEARD
    if p.payload_bytes != 0 and not (flow.marks & RESPONDED):
        response(w, number, flow, d)
    if (flow.packets[d] >= 4_000_000 or flow.retransmissions[d] >= 65_000 or flow.out_of_order[d] >= 65_000 or flow.zero_windows[d] >= 65_000
            or flow.overhead[d] >= 1 << 30 or flow.headers[d] >= 1 << 31):
        emit(w, number, END_ACTIVE, 0)      # before a counter of the interval could overflow
    return distance | (np.int64(d) << 32)


@kernel
def response(w: Any, number: Any, flow: Any, d: Any) -> Any:
    """Server response time: from the client's last request byte to the server's first answer byte, once per flow."""
    detail = details_of(w)[number]
    since = shard_of(w)[0].clock - detail.flow_start
    if since >= NOT_MEASURED:
        return 0
    if d == 0:
        flow.marks |= REQUEST
        detail.response = np.uint32(since)
    elif flow.marks & REQUEST:
        detail.response = np.uint32(since - np.int64(detail.response))
        flow.marks |= RESPONDED
    return 0
