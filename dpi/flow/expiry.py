"""How flows end: the packet clock, idle timeouts, the sweep, eviction and folding, the end of a capture."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.key import hash_of
from dpi.flow.call import call_ending
from dpi.flow.export import export, put_v4
from dpi.flow.facts import release
from dpi.flow.memory import (
    addresses_of,
    arena_of,
    details_of,
    facts_of,
    flows_of,
    out_addresses_of,
    out_details_of,
    out_extra_of,
    out_facts_of,
    out_flows_of,
    out_tunnels_of,
    pools_of,
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
    FOLD,
    HASHED,
    SYN,
    SYN_ACK,
    find,
    give,
    place,
    remove,
)
from dpi.flow.tcp import F_ACK, F_RST, F_SYN, TCP, UDP
from dpi.jit import kernel

EVICTION_SCAN = 64          # records looked at for the best one to evict
SWEEP_STEP = 4096           # records swept per batch at most
SWEEP_EVERY = 10_000_000    # us between the starts of two sweeps


@kernel
def emit(w: Any, number: Any, end: Any, final: Any) -> Any:
    """Export the open interval of a flow."""
    export(number, end, final, flows_of(w), details_of(w), addresses_of(w), tunnels_of(w), facts_of(w), shard_of(w), out_flows_of(w), out_details_of(w),
           out_addresses_of(w), out_extra_of(w), out_facts_of(w), out_tunnels_of(w))
    return 0


@kernel
def set_clock(shard: Any, time: Any) -> Any:
    """The packet clock (dpi/capture/timeline.py) stands at `time`."""
    row = shard[0]
    row.clock = time
    if row.clock >= row.minute_end or row.clock < row.minute_end - 60_000_000:
        row.minute = row.clock // 60_000_000
        row.minute_end = (row.minute + 1) * 60_000_000
        row.sweep_due = row.clock        # of the epoch the clock is in now
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
def idle(flow: Any, shard: Any) -> Any:
    """Whether the flow has been silent for longer than it may, or is of another epoch."""
    silent = shard[0].clock - flow.last
    return silent < 0 or silent > limit_of(flow, protocol_of(flow), shard)


@kernel
def tag_of(key0: Any, key1: Any, seed: Any) -> Any:
    """The 32-bit tag of a key: the low half of its seeded hash."""
    return hash_of(key0, key1, seed) & np.uint64(0xFFFFFFFF)


@kernel
def drop(w: Any, number: Any, end: Any) -> Any:
    """End a flow: export what its interval counted, free its slots and its record."""
    settle_up(w, number, end)
    flow = flows_of(w)[number]
    remove(slots_of(w), shard_of(w)[0].mask, tag_of(flow.key0, flow.key1, seed_of(w)), np.uint64(number))
    give(flows_of(w), shard_of(w), number)
    return 0


@kernel
def settle_up(w: Any, number: Any, end: Any) -> Any:
    """Export the flow's last row, and give back what it holds outside the table."""
    flow = flows_of(w)[number]
    if flow.stream != 0 and shard_of(w)[0].ending != 0:
        call_ending(shard_of(w)[0].ending, w, np.int64(number))
    if flow.packets[0] != 0 or flow.packets[1] != 0:
        emit(w, number, end, 1)
    elif flow.interval != 0:            # silent since a counter's end cut its last row: one that counts nothing says how it ended
        flow.start = flow.last
        emit(w, number, end, 1)
    if flow.stream != 0:
        close_slot(streams_of(w), pools_of(w), arena_of(w), shard_of(w), flow.stream)
        flow.stream = 0
    if flow.facts != 0:
        release(facts_of(w), shard_of(w), flow.facts)
        flow.facts = 0
    detail = details_of(w)[number]
    if detail.tunnel != 0:
        tunnels_of(w)[detail.tunnel].next = np.uint32(shard_of(w)[0].tunnels_free)
        shard_of(w)[0].tunnels_free = np.int64(detail.tunnel)
        detail.tunnel = 0
    return 0


@kernel
def expired(flow: Any, p: Any, shard: Any) -> Any:
    """1 if the flow found for this packet has ended already: idle for too long, of another epoch, or closed and opened anew."""
    row = shard[0]
    silent = row.clock - flow.last
    if silent < 0:
        return 1
    if silent > row.idle_least and silent > limit_of(flow, np.int64(p.ip_protocol), shard):
        return 1
    if flow.state & CLOSED and p.ip_protocol == TCP and (p.tcp_flags & (F_SYN | F_ACK | F_RST)) == F_SYN:
        return 1
    return 0


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
    if (flow.state & SYN) and not (flow.state & SYN_ACK) and flow.interval == 0 and np.int64(flow.minute) == row.minute:
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
    ends = addresses_of(w)[number]
    if not (flow.key1 & np.uint64(HASHED)):
        put_v4(ends.server, np.int64(flow.key0 & np.uint64(0xFFFFFFFF)) if flow.marks & CLIENT_LOW else np.int64(flow.key0 >> np.uint64(32)))
    for i in range(16):
        ends.client[i] = 0
    high = np.uint64(0)
    low = np.uint64(0)
    for i in range(8):
        high = (high << np.uint64(8)) | np.uint64(ends.server[i])
        low = (low << np.uint64(8)) | np.uint64(ends.server[8 + i])
    key0 = high ^ (low >> np.uint64(48))
    key1 = (low << np.uint64(16)) | np.uint64(FOLD | TCP)
    tag = tag_of(key0, key1, seed_of(w))
    other = np.int64(find(slots_of(w), flows_of(w), row.mask, tag, key0, key1))
    if other != 0:
        whole = flows_of(w)[other]
        if np.int64(whole.minute) != row.minute and (whole.packets[0] != 0 or whole.packets[1] != 0):
            emit(w, other, END_ACTIVE, 0)
        if whole.packets[0] == 0 and whole.packets[1] == 0:
            whole.minute = flow.minute
            whole.start = flow.start
        whole.start = min(whole.start, flow.start)
        whole.last = max(whole.last, flow.last)
        details_of(w)[other].flow_start = min(details_of(w)[other].flow_start, detail.flow_start)
        for d in range(2):
            whole.ip_bytes[d] += flow.ip_bytes[d]
            whole.overhead[d] += flow.overhead[d]
            whole.headers[d] += flow.headers[d]
            whole.packets[d] += flow.packets[d]
            whole.tcp_flags[d] |= flow.tcp_flags[d]
        for d in range(2):
            flow.packets[d] = 0
        drop(w, number, END_RESOURCES)
        return 0
    # the record stays in use under its new key; another one has to make room
    remove(slots_of(w), row.mask, tag_of(flow.key0, flow.key1, seed_of(w)), np.uint64(number))
    flow.key0 = key0
    flow.key1 = key1
    flow.state = 0
    flow.phase = 0x80
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
    row.evicted += 1
    drop(w, best, END_RESOURCES)
    return 0


@kernel
def sweep(w: Any, room: Any) -> Any:
    """A bounded step of the sweep: end what is idle. `room`: rows that still fit.

    In a replay what is silent only keeps its row: were it cut at the minute, three flows in four of a mixed capture would need one more to say how
    they ended. A probe's rows leave with their minute (`cut`).
    """
    row = shard_of(w)[0]
    if row.sweep == 0:
        if row.clock < row.sweep_due:
            return 0
        row.sweep = 1
        row.sweep_due = row.clock + SWEEP_EVERY
    stop = min(row.sweep + SWEEP_STEP, row.high)
    at = row.sweep
    while at < stop and room > 0 and row.outbox <= row.outbox_limit:
        flow = flows_of(w)[at]
        if flow.start != -1:
            if idle(flow, shard_of(w)):
                drop(w, at, END_CLOSED if flow.state & CLOSED else END_IDLE)
                room -= 1
            elif row.cut != 0 and np.int64(flow.minute) != row.minute and (flow.packets[0] != 0 or flow.packets[1] != 0):
                emit(w, at, END_ACTIVE, 0)
                room -= 1
        at += 1
    row.sweep = at
    if at >= row.high:
        row.sweep = 0
    return 0


@kernel
def flush(w: Any, room: Any) -> Any:
    """End every flow (end of capture). Returns 1 when none is left, 0 when an output buffer is full.

    The index is emptied at the end, in one go: nothing is looked up in between.
    """
    row = shard_of(w)[0]
    at = np.int64(1)
    if row.sweep < 0:
        at = -row.sweep
    while at < row.high:
        if room <= 0 or row.outbox > row.outbox_limit:
            row.sweep = -at
            return 0
        flow = flows_of(w)[at]
        if flow.start != -1:
            settle_up(w, at, END_CLOSED if flow.state & CLOSED else END_IDLE if idle(flow, shard_of(w)) else END_FORCED)
            flow.start = np.int64(-1)
            room -= 1
        at += 1
    slots = slots_of(w)
    for i in range(np.int64(row.mask) + 1):
        slots[i] = np.uint64(0)
    row.sweep = 0
    row.free = 0
    row.high = 1
    row.live = 0
    return 1
