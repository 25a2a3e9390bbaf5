"""How flows end: idle timeouts, the last row. What makes room is in `eviction.py`, what looks for flows that are over in `sweep.py`."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.key import hash_of
from dpi.flow.call import call_ending
from dpi.flow.export import export
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
    CLOSED,
    SYN,
    SYN_ACK,
    give,
    remove,
)
from dpi.flow.tcp import F_ACK, F_RST, F_SYN, TCP, UDP
from dpi.jit import kernel


@kernel
def emit(w: Any, number: Any, end: Any, final: Any) -> Any:
    """Export the open interval of a flow."""
    export(number, end, final, flows_of(w), details_of(w), addresses_of(w), tunnels_of(w), facts_of(w), shard_of(w), out_flows_of(w), out_details_of(w),
           out_addresses_of(w), out_extra_of(w), out_facts_of(w), out_tunnels_of(w))
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
