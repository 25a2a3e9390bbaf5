"""One decoded packet meets its flow: found or born, counted, cut at the minute, its TCP facts kept.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.key import hash_of
from dpi.flow.export import export, reopen
from dpi.flow.facts import release
from dpi.flow.memory import (
    details_of,
    facts_of,
    flows_of,
    out_details_of,
    out_extra_of,
    out_facts_of,
    out_flows_of,
    out_tunnels_of,
    seed_of,
    shard_of,
    slots_of,
    streams_of,
    tunnels_of,
)
from dpi.flow.stream import close_slot
from dpi.flow.table import (
    CLIENT_LOW,
    CLOSED,
    END_ACTIVE,
    END_CLOSED,
    END_FORCED,
    END_IDLE,
    END_RESOURCES,
    ESTABLISHED,
    FIN_CLIENT,
    FIN_SERVER,
    MIDSTREAM,
    NOT_MEASURED,
    REQUEST,
    RESET,
    RESPONDED,
    SEQ_CLIENT,
    SYN,
    SYN_ACK,
    SYN_TWICE,
    find,
    give,
    grow,
    place,
    remove,
    take,
)
from dpi.jit import kernel

TCP, UDP, ICMP, ICMPV6, SCTP = 6, 17, 1, 58, 132
F_FIN, F_SYN, F_RST, F_ACK = 1, 2, 4, 16
REORDERING_US = 3000        # older data within this time of the last advance is out of order, later it is a retransmission
FOLD = 0x4000               # bit of key1 that no packet's key has: the fold of a server's half-open flows
EVICTION_SCAN = 64          # records looked at for the best one to evict
SWEEP_STEP = 4096           # records swept per batch at most
SWEEP_EVERY = 10_000_000    # us between the starts of two sweeps


@kernel
def emit(w: Any, number: Any, end: Any, final: Any) -> Any:
    """Export the open interval of a flow."""
    export(number, end, final, flows_of(w), details_of(w), tunnels_of(w), facts_of(w), shard_of(w), out_flows_of(w), out_details_of(w), out_extra_of(w),
           out_facts_of(w), out_tunnels_of(w))
    return 0


@kernel
def advance_clock(shard: Any, time: Any) -> Any:
    """The packet clock is the running maximum. A jump over an hour, either way, starts a new epoch and is counted."""
    row = shard[0]
    if time > row.clock:
        if time - row.clock > 3_600_000_000 and row.clock != 0:
            row.epochs += 1
        row.clock = time
    elif row.clock - time > 3_600_000_000:
        row.epochs += 1
        row.clock = time
    else:
        return 0
    if row.clock >= row.minute_end or row.clock < row.minute_end - 60_000_000:
        row.minute = row.clock // 60_000_000
        row.minute_end = (row.minute + 1) * 60_000_000
        row.sweep_due = row.clock        # flows that fell silent are cut soon after the minute
    return 0


@kernel
def limit_of(flow: Any, ip_protocol: Any, shard: Any) -> Any:
    """The idle timeout that holds for a flow now, us."""
    row = shard[0]
    if ip_protocol == TCP:
        if flow.state & CLOSED:
            return row.idle_closed
        if (flow.state & SYN) and not (flow.state & SYN_ACK):
            return row.idle_half_open
        return row.idle_tcp
    if ip_protocol == UDP:
        return row.idle_udp
    return row.idle_other


@kernel
def protocol_of(flow: Any) -> Any:
    """The IP protocol number, which the key holds in its low byte for either IP version."""
    return np.int64(flow.key1 & np.uint64(0xFF))


@kernel
def drop(w: Any, number: Any, end: Any) -> Any:
    """End a flow: export what its interval counted, free its slots and its record."""
    flow = flows_of(w)[number]
    if flow.packets[0] != 0 or flow.packets[1] != 0:
        emit(w, number, end, 1)
    release_inspection(w, number)
    if flow.facts != 0:
        release(facts_of(w), shard_of(w), flow.facts)
        flow.facts = 0
    detail = details_of(w)[number]
    if detail.tunnel != 0:
        tunnels_of(w)[detail.tunnel].next = np.uint32(shard_of(w)[0].tunnels_free)
        shard_of(w)[0].tunnels_free = np.int64(detail.tunnel)
        detail.tunnel = 0
    remove(slots_of(w), shard_of(w)[0].mask, tag_of(flow.key0, flow.key1, seed_of(w)), np.uint64(number))
    give(flows_of(w), shard_of(w), number)
    return 0


@kernel
def release_inspection(w: Any, number: Any) -> Any:
    """Give the flow's first bytes back."""
    flow = flows_of(w)[number]
    if flow.stream != 0:
        close_slot(streams_of(w), shard_of(w), flow.stream)
        flow.stream = 0
    return 0


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
    row.serial += np.uint64(1)
    row.flows += 1
    client = opened_by_sender(data, p)
    flow.marks = 0
    if (client == 1) == (p.low == 1):
        flow.marks = CLIENT_LOW
    if p.ip_protocol == TCP and not (p.tcp_flags & F_SYN):
        flow.marks |= MIDSTREAM
    detail.serial = row.serial
    detail.flow_start = row.clock
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
    if client == 1:
        put_addresses(detail.client_ip, detail.server_ip, data, ip, p.version)
    else:
        put_addresses(detail.server_ip, detail.client_ip, data, ip, p.version)
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
    for i in range(10):
        source[i] = 0
        target[i] = 0
    for i in range(10, 12):
        source[i] = 255
        target[i] = 255
    for i in range(4):
        source[12 + i] = data[ip + 12 + i]
        target[12 + i] = data[ip + 16 + i]
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
def evict(w: Any) -> Any:
    """Make room: among a few records prefer a half-open or one-packet flow, then the one that is silent the longest.

    A half-open flow of a flood is folded: what it counted goes to one flow per server (client ::, ports 0) instead of a row of its own.
    """
    row = shard_of(w)[0]
    best = np.int64(0)
    best_score = np.int64(-1)
    for _ in range(EVICTION_SCAN):
        row.hand += 1
        if row.hand >= row.high:
            row.hand = 1
        flow = flows_of(w)[row.hand]
        if flow.start == -1:
            continue
        score = min(max(row.clock - flow.last, 0), 1 << 50)
        if (flow.state & SYN) and not (flow.state & SYN_ACK):
            score += 1 << 52
        elif flow.state & CLOSED:
            score += 1 << 51
        if score > best_score:
            best_score = score
            best = row.hand
    flow = flows_of(w)[best]
    row.evicted += 1
    if (flow.state & SYN) and not (flow.state & SYN_ACK) and flow.interval == 0:
        fold(w, best)
    else:
        drop(w, best, END_RESOURCES)
    return 0


@kernel
def fold(w: Any, number: Any) -> Any:
    """Turn a half-open flow into the fold of its server, or add it to the fold that is there."""
    row = shard_of(w)[0]
    row.folded += 1
    flow = flows_of(w)[number]
    detail = details_of(w)[number]
    high = np.uint64(0)
    low = np.uint64(0)
    for i in range(8):
        high = (high << np.uint64(8)) | np.uint64(detail.server_ip[i])
        low = (low << np.uint64(8)) | np.uint64(detail.server_ip[8 + i])
    key0 = high ^ (low >> np.uint64(48))
    key1 = (low << np.uint64(16)) | np.uint64(FOLD | TCP)
    tag = tag_of(key0, key1, seed_of(w))
    other = np.int64(find(slots_of(w), flows_of(w), row.mask, tag, key0, key1))
    if other != 0:
        whole = flows_of(w)[other]
        for d in range(2):
            whole.ip_bytes[d] += flow.ip_bytes[d]
            whole.overhead[d] += flow.overhead[d]
            whole.headers[d] += flow.headers[d]
            whole.packets[d] += flow.packets[d]
            whole.tcp_flags[d] |= flow.tcp_flags[d]
        whole.last = row.clock
        for d in range(2):
            flow.packets[d] = 0
        drop(w, number, END_RESOURCES)
        return 0
    # the record stays in use under its new key; another one has to make room
    remove(slots_of(w), row.mask, tag_of(flow.key0, flow.key1, seed_of(w)), np.uint64(number))
    flow.key0 = key0
    flow.key1 = key1
    flow.state = 0
    flow.last = row.clock
    flow.phase = 0x80
    for i in range(16):
        detail.client_ip[i] = 0
    detail.client_port = 0
    detail.server_port = 0
    place(slots_of(w), row.mask, tag, np.uint64(number))
    evict_plain(w)
    return 0


@kernel
def evict_plain(w: Any) -> Any:
    """Make room without folding: end the flow under the hand that is silent the longest."""
    row = shard_of(w)[0]
    best = np.int64(0)
    oldest = np.int64(-1)
    for _ in range(EVICTION_SCAN):
        row.hand += 1
        if row.hand >= row.high:
            row.hand = 1
        flow = flows_of(w)[row.hand]
        if flow.start != -1 and not (flow.key1 & np.uint64(FOLD)) and row.clock - flow.last > oldest:
            oldest = row.clock - flow.last
            best = row.hand
    if best == 0:
        best = 1 if row.hand != 1 else 2
    drop(w, best, END_RESOURCES)
    return 0


@kernel
def sweep(w: Any, room: Any) -> Any:
    """A bounded step of the sweep: end what is idle, cut what has a row of an earlier minute. `room`: rows that still fit."""
    row = shard_of(w)[0]
    if row.sweep == 0:
        if row.clock < row.sweep_due:
            return 0
        row.sweep = 1
        row.sweep_due = row.clock + SWEEP_EVERY
    stop = min(row.sweep + SWEEP_STEP, row.high)
    at = row.sweep
    while at < stop and room > 0:
        flow = flows_of(w)[at]
        if flow.start != -1:
            silent = row.clock - flow.last
            if silent < 0 or silent > limit_of(flow, protocol_of(flow), shard_of(w)):
                drop(w, at, END_CLOSED if flow.state & CLOSED else END_IDLE)
                room -= 1
            elif np.int64(flow.minute) != row.minute and (flow.packets[0] != 0 or flow.packets[1] != 0):
                if flow.state & CLOSED:
                    drop(w, at, END_CLOSED)
                else:
                    emit(w, at, END_ACTIVE, 0)
                room -= 1
        at += 1
    row.sweep = at
    if at >= row.high:
        row.sweep = 0
    return 0


@kernel
def flush(w: Any, room: Any) -> Any:
    """End every flow (end of capture). Returns 1 when none is left, 0 when the export buffers are full."""
    row = shard_of(w)[0]
    at = np.int64(1)
    if row.sweep < 0:
        at = -row.sweep
    while at < row.high:
        if room <= 0:
            row.sweep = -at
            return 0
        flow = flows_of(w)[at]
        if flow.start != -1:
            drop(w, at, END_CLOSED if flow.state & CLOSED else END_FORCED)
            room -= 1
        at += 1
    row.sweep = 0
    return 1


@kernel
def count(w: Any, number: Any, p: Any) -> Any:
    """Count a packet into its flow. Returns what inspection needs: bits 0-31 the distance of the segment from the expected sequence number
    (two's complement), bit 32 the direction, bit 33 set if the expected number was known."""
    row = shard_of(w)[0]
    flow = flows_of(w)[number]
    if np.int64(flow.minute) != row.minute:
        if flow.packets[0] != 0 or flow.packets[1] != 0:
            emit(w, number, END_ACTIVE, 0)
        else:
            flow.start = row.clock
            flow.minute = np.uint32(row.minute)
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
    if p.ip_protocol == TCP and p.fragment != 2 and p.mangled == 0:
        distance = tcp(w, number, flow, p, d)
    if p.payload_bytes != 0 and not (flow.marks & RESPONDED):
        response(w, number, flow, d)
    if flow.packets[d] >= 4_000_000 or flow.retransmissions[d] >= 65_000 or flow.out_of_order[d] >= 65_000 or flow.zero_windows[d] >= 65_000:
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


@kernel
def tcp(w: Any, number: Any, flow: Any, p: Any, d: Any) -> Any:
    """TCP of one segment (RFC 9293): handshake times, close and reset, sequence progress. Returns as `count`, without the direction."""
    flags = np.int64(p.tcp_flags)
    flow.tcp_flags[d] |= p.tcp_flags
    clock = shard_of(w)[0].clock
    if flags & (F_SYN | F_FIN | F_RST):
        ends(w, number, flow, p, d)
    elif (flow.state & (SYN_ACK | ESTABLISHED)) == SYN_ACK and d == 0 and flags & F_ACK:
        flow.state |= ESTABLISHED
        detail = details_of(w)[number]
        if detail.client_rtt != NOT_MEASURED:       # held the time of the SYN-ACK until now
            detail.client_rtt = np.uint32(min(clock - detail.flow_start - np.int64(detail.client_rtt), NOT_MEASURED - 1))
    if p.window == 0 and not (flags & (F_SYN | F_FIN | F_RST)):
        flow.zero_windows[d] += np.uint16(1)
    length = np.int64(p.payload_bytes)
    seq = np.int64(p.seq)
    stop = (seq + length + ((flags >> 1) & 1) + (flags & 1)) & 0xFFFFFFFF
    known = SEQ_CLIENT << d
    if not (flow.marks & known):
        if flags & F_RST:
            return np.int64(0)
        flow.marks |= known
        flow.next_seq[d] = np.uint32(stop)
        flow.advanced[d] = np.uint32(clock & 0xFFFFFFFF)
        return np.int64(0)
    if stop == seq:
        return np.int64(1) << 33            # nothing that takes sequence space
    expected = np.int64(flow.next_seq[d])
    distance = (seq - expected) & 0xFFFFFFFF
    if distance < 0x80000000:
        flow.next_seq[d] = np.uint32(stop)
        flow.advanced[d] = np.uint32(clock & 0xFFFFFFFF)
    else:
        ahead = (stop - expected) & 0xFFFFFFFF
        if length <= 1 and distance == 0xFFFFFFFF and not (flags & (F_SYN | F_FIN)):
            pass                            # keep-alive (RFC 9293 section 3.8.4)
        elif ((clock - np.int64(flow.advanced[d])) & 0xFFFFFFFF) <= REORDERING_US and not (flags & F_SYN):
            flow.out_of_order[d] += np.uint16(1)
        else:
            flow.retransmissions[d] += np.uint16(1)
        if 0 < ahead < 0x80000000:
            flow.next_seq[d] = np.uint32(stop)
            flow.advanced[d] = np.uint32(clock & 0xFFFFFFFF)
    return distance | (np.int64(1) << 33)


@kernel
def ends(w: Any, number: Any, flow: Any, p: Any, d: Any) -> Any:
    """SYN, FIN and RST of one segment."""
    flags = np.int64(p.tcp_flags)
    detail = details_of(w)[number]
    since = min(shard_of(w)[0].clock - detail.flow_start, NOT_MEASURED - 1)
    if flags & F_RST:
        flow.state |= RESET | CLOSED
    elif flags & F_SYN:
        if d == 0 and not (flags & F_ACK):
            if flow.state & SYN:
                flow.state |= SYN_TWICE
            flow.state |= SYN
            if detail.mss == 0:
                detail.mss = p.mss
        elif d == 1 and flags & F_ACK and not (flow.state & SYN_ACK):
            flow.state |= SYN_ACK
            if (flow.state & (SYN | SYN_TWICE)) == SYN:     # a SYN sent twice cannot be timed (Karn)
                detail.server_rtt = np.uint32(since)
                detail.client_rtt = np.uint32(since)
            elif not (flow.state & SYN):
                detail.client_rtt = np.uint32(since)
    if flags & F_FIN:
        flow.state |= FIN_CLIENT << d
        if (flow.state & (FIN_CLIENT | FIN_SERVER)) == (FIN_CLIENT | FIN_SERVER):
            flow.state |= CLOSED
    return 0


@kernel
def tag_of(key0: Any, key1: Any, seed: Any) -> Any:
    """The 32-bit tag of a key: the low half of its seeded hash."""
    return hash_of(key0, key1, seed) & np.uint64(0xFFFFFFFF)


@kernel
def expired(flow: Any, p: Any, shard: Any) -> Any:
    """1 if the flow found for this packet has ended already: idle for too long, of another epoch, or closed and opened anew."""
    row = shard[0]
    silent = row.clock - flow.last
    if silent < 0:
        return 1
    if silent > 5_000_000 and silent > limit_of(flow, np.int64(p.ip_protocol), shard):
        return 1
    if flow.state & CLOSED and p.ip_protocol == TCP and (p.tcp_flags & (F_SYN | F_ACK | F_RST)) == F_SYN:
        return 1
    return 0
