"""A table that is full: which flow makes room, and how the half-open flows of a flood become few rows.

A flood opens more connections than there is room for, and none is ever established. Evicted one by one each would have a row of its own, a million a second.
They are folded instead: what they counted goes to one row for each slot (a minute, or half of one), server, port and client prefix (/24 of IPv4, /48 of
IPv6), with VLAN and interface. Folds have records of their own behind those of flows, so that a flood of folds evicts nobody. Where there is no room for one
more fold, as with clients made up at random, a flow goes to the fold of its server and port, of its server, or of all; beyond that it has its own row. What
is folded coarser than by prefix is counted (`folded_coarser`). A fold is a flow of one slot: it ends with the sweep after it, or once what was still in the
table of that slot is folded and the folds of the next one want its room.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.key import VERSION_6, fold
from dpi.flow.changes import parted, slot_of, words
from dpi.flow.expiry import drop, emit, protocol_of, tag_of
from dpi.flow.export import empty, put_v4
from dpi.flow.memory import addresses_of, births_of, details_of, flows_of, seed_of, shard_of, slots_of
from dpi.flow.table import (
    ANY_CLIENT,
    ANY_PORT,
    ANY_SERVER,
    CLIENT_LOW,
    CLOSED,
    END_ACTIVE,
    END_RESOURCES,
    ESTABLISHED,
    FOLD,
    FOLDED,
    HASHED,
    LAST_FOLDS,
    LEVELS,
    NOT_MEASURED,
    PHASE_DONE,
    PREFIX_24,
    PREFIX_48,
    SYN,
    SYN_ACK,
    find,
    place,
    remove,
)
from dpi.flow.tcp import F_ACK, TCP
from dpi.jit import kernel

EVICTION_SCAN = 64          # records looked at for the best one to evict, where no flow is half-open or cheap


@kernel
def half_open(flow: Any) -> Any:
    """Whether a flow of one row is a TCP connection that was asked for and that nothing says was established.

    The client acknowledged nothing and the server sent no data: with one direction seen only, either would have shown.
    """
    if protocol_of(flow) != TCP or flow.interval != 0 or flow.state & ESTABLISHED or flow.tcp_flags[0] & F_ACK:
        return False
    if np.int64(flow.ip_bytes[1]) != np.int64(flow.headers[1]):
        return False
    return (flow.state & SYN) != 0 or ((flow.state & SYN_ACK) != 0 and flow.packets[1] == 1)


@kernel
def cheap(flow: Any) -> Any:
    """Whether little is lost with a flow's place: it is closed, or no packet followed its first one."""
    return (flow.state & CLOSED) != 0 or (flow.interval == 0 and np.int64(flow.packets[0]) + np.int64(flow.packets[1]) == 1)


@kernel
def note_birth(births: Any, row: Any, number: Any) -> Any:
    """Keep a new flow's place in the order of births; the oldest one goes where there is no room."""
    if row.births_tail - row.births_head == births.size:
        row.births_head += 1
    births[row.births_tail & (births.size - 1)] = np.uint64(row.clock & 0xFFFFFFFF) << np.uint64(32) | np.uint64(number)
    row.births_tail += 1
    return 0


@kernel
def evict(w: Any) -> Any:
    """Make room: end the oldest flow that is half-open or cheap, else of a few records the one that is silent the longest.

    Whatever else was born before is not asked again: each birth is looked at once, so that a flood pays for its own flows only.
    """
    row = shard_of(w)[0]
    births = births_of(w)
    row.evicted += 1
    while row.births_head != row.births_tail:
        birth = births[row.births_head & (births.size - 1)]
        row.births_head += 1
        number = np.int64(birth & np.uint64(0xFFFFFFFF))
        flow = flows_of(w)[number]
        if flow.start == -1 or details_of(w)[number].flow_start & 0xFFFFFFFF != np.int64(birth >> np.uint64(32)):
            continue                    # it ended, and its record may be another's
        if half_open(flow):
            fold_away(w, number)
            return 0
        if cheap(flow):
            drop(w, number, END_RESOURCES)
            return 0
    best = np.int64(0)
    best_silent = np.int64(-1)
    for _ in range(EVICTION_SCAN):
        row.hand += 1
        if row.hand >= row.high:
            row.hand = 1
        flow = flows_of(w)[row.hand]
        if flow.start == -1:
            continue
        silent = max(row.clock - flow.last, 0)
        if cheap(flow):
            silent += 1 << 52
        if silent > best_silent:
            best_silent = silent
            best = row.hand
    drop(w, best, END_RESOURCES)
    return 0


@kernel
def fold_away(w: Any, number: Any) -> Any:
    """End a half-open flow: what it counted goes to its fold, or where no level has room for one to a row of its own. One row leaves at most."""
    row = shard_of(w)[0]
    flow = flows_of(w)[number]
    ends = addresses_of(w)[number]
    six = (flow.key1 & np.uint64(VERSION_6)) != np.uint64(0)
    if not (flow.key1 & np.uint64(HASHED)):
        first, second = np.int64(flow.key0 >> np.uint64(32)), np.int64(flow.key0 & np.uint64(0xFFFFFFFF))
        put_v4(ends.client, first if flow.marks & CLIENT_LOW else second)
        put_v4(ends.server, second if flow.marks & CLIENT_LOW else first)
    client_high, client_low = words(ends.client)
    server_high, server_low = words(ends.server)
    port = np.int64(details_of(w)[number].server_port)
    tags = np.int64(0)
    whole = np.int64(0)
    level = np.int64(0)
    while level < LEVELS:
        tags, port = coarser(ends, six, level, tags, port)
        whole = np.int64(fold_of(w, number, ends, tags, port, level))
        if whole != 0:
            break
        level += 1
    if whole != 0:
        row.folded += 1
        row.folded_coarser += 1 if level != 0 else 0
        add(w, whole, flow, details_of(w)[number])
        for d in range(2):
            flow.packets[d] = 0
    else:                               # its own row has its own addresses
        put_words(ends.client, client_high, client_low)
        put_words(ends.server, server_high, server_low)
    drop(w, number, END_RESOURCES)
    return 0


@kernel
def put_words(address: Any, high: Any, low: Any) -> Any:
    """The inverse of `words`."""
    for i in range(8):
        address[i] = np.uint8(high >> np.uint64(56 - 8 * i) & np.uint64(255))
        address[8 + i] = np.uint8(low >> np.uint64(56 - 8 * i) & np.uint64(255))
    return 0


@kernel
def coarser(ends: Any, six: Any, level: Any, tags: Any, port: Any) -> Any:
    """Make the addresses those of a fold of this level. Returns (its tags, its server port)."""
    prefix = 6 if six else 15           # octets of the mapped address that stay
    if level == 0:
        for i in range(prefix, 16):
            ends.client[i] = 0
        return np.int64(FOLDED | (PREFIX_48 if six else PREFIX_24)), port
    if level == 1:
        for i in range(0 if six else 12, prefix):
            ends.client[i] = 0
        return np.int64(FOLDED | ANY_CLIENT), port
    if level == 2:
        return tags | ANY_PORT, np.int64(0)
    for i in range(0 if six else 12, 16):
        ends.server[i] = 0
    return tags | ANY_SERVER, np.int64(0)


@kernel
def fold_of(w: Any, number: Any, ends: Any, tags: Any, port: Any, level: Any) -> Any:
    """The fold of these ends for a flow, made if need be; 0 where its level has no room."""
    row = shard_of(w)[0]
    seed = seed_of(w)
    flow = flows_of(w)[number]
    detail = details_of(w)[number]
    client_high, client_low = words(ends.client)
    server_high, server_low = words(ends.server)
    about = np.uint64(port) << np.uint64(48) | np.uint64(level << 44 | np.int64(detail.interface) << 32 | slot_of(flow, row) & 0xFFFFFFFF)
    vlans = np.uint64(np.int64(detail.vlan) << 16 | np.int64(detail.inner_vlan))
    # seeded as an IPv6 key is, each half with its own pair of products: nobody can choose addresses whose folds are one
    key0 = fold(fold(client_high ^ seed[0], client_low ^ seed[1]) ^ about, fold(server_high ^ seed[2], server_low ^ seed[3]) ^ seed[1] ^ vlans)
    key1 = fold(fold(client_high ^ seed[2], client_low ^ seed[0]) ^ seed[3] ^ vlans, fold(server_high ^ seed[3], server_low ^ seed[1]) ^ about ^ seed[2])
    key1 = (key1 & ~np.uint64(0xFFFF)) | np.uint64(FOLD | TCP)
    tag = tag_of(key0, key1, seed)
    found = np.int64(find(slots_of(w), flows_of(w), row.mask, tag, key0, key1))
    if found != 0:
        return found
    late = slot_of(flow, row) != row.slot
    if row.folds[level] >= (LAST_FOLDS if level == LEVELS - 1 else row.fold_cap):
        if row.folds_over != 0 and row.folds_look == 0 and not late:
            row.folds_look = 1
        return np.int64(0)
    if late:
        row.folds_over = 1
    fresh = row.fold_free
    if fresh != 0:
        row.fold_free = np.int64(flows_of(w)[fresh].stream)
    else:
        fresh = row.fold_high
        row.fold_high += 1
    row.folds[level] += 1
    flows_of(w)[fresh] = flows_of(w)[number]
    details_of(w)[fresh] = details_of(w)[number]
    addresses_of(w)[fresh] = addresses_of(w)[number]
    whole = flows_of(w)[fresh]
    its = details_of(w)[fresh]
    whole.key0 = key0
    whole.key1 = key1
    whole.state = 0
    whole.marks = 0
    whole.phase = PHASE_DONE
    whole.parser = np.uint8(tags)
    whole.stream = 0
    whole.facts = 0
    whole.protocol = 0
    whole.application = 0
    whole.reason = 0
    whole.next_seq[0] = 0               # of a fold: the flows it stands for
    its.client_port = 0
    its.server_port = np.uint16(port)
    its.tunnel = 0
    its.mss = 0
    its.client_rtt = NOT_MEASURED
    its.server_rtt = NOT_MEASURED
    its.response = NOT_MEASURED
    for i in range(6):
        its.client_mac[i] = 0
        its.server_mac[i] = 0
    for d in range(2):
        its.ttl[d] = 0
        its.dscp[d] = 0
    empty(whole)
    place(slots_of(w), row.mask, tag, np.uint64(fresh))
    return np.int64(fresh)


@kernel
def add(w: Any, number: Any, flow: Any, detail: Any) -> Any:
    """Add what a flow counted to a fold of its minute; the fold's row leaves before a counter of it could overflow, or before what an end changed hands at."""
    whole = flows_of(w)[number]
    counted = whole.packets[0] != 0 or whole.packets[1] != 0
    full = counted and parted(w, number, min(whole.start, flow.start), max(whole.last, flow.last))
    for d in range(2):
        full = full or (np.int64(whole.packets[d]) + np.int64(flow.packets[d]) >= 1 << 31
                        or np.int64(whole.headers[d]) + np.int64(flow.headers[d]) >= 1 << 32
                        or np.int64(whole.overhead[d]) + np.int64(flow.overhead[d]) >= 1 << 31
                        or np.int64(whole.retransmissions[d]) + np.int64(flow.retransmissions[d]) >= 1 << 16
                        or np.int64(whole.out_of_order[d]) + np.int64(flow.out_of_order[d]) >= 1 << 16
                        or np.int64(whole.zero_windows[d]) + np.int64(flow.zero_windows[d]) >= 1 << 16)
    if full:
        emit(w, number, END_ACTIVE, 0)
    if whole.packets[0] == 0 and whole.packets[1] == 0:
        whole.period = flow.period
        whole.start = flow.start
        whole.last = flow.last
    whole.start = min(whole.start, flow.start)
    whole.last = max(whole.last, flow.last)
    about = details_of(w)[number]
    about.flow_start = min(about.flow_start, detail.flow_start)
    whole.next_seq[0] += np.uint32(1)
    for d in range(2):
        whole.ip_bytes[d] += flow.ip_bytes[d]
        whole.overhead[d] += flow.overhead[d]
        whole.headers[d] += flow.headers[d]
        whole.packets[d] += flow.packets[d]
        whole.retransmissions[d] += flow.retransmissions[d]
        whole.out_of_order[d] += flow.out_of_order[d]
        whole.zero_windows[d] += flow.zero_windows[d]
        whole.tcp_flags[d] |= flow.tcp_flags[d]
    return 0


@kernel
def end_fold(w: Any, number: Any) -> Any:
    """Export a fold's last row and give its record back."""
    row = shard_of(w)[0]
    whole = flows_of(w)[number]
    if whole.packets[0] == 0 and whole.packets[1] == 0:
        whole.start = whole.last        # its last row left because a counter was full: one that counts nothing ends it
    emit(w, number, END_RESOURCES, 1)
    remove(slots_of(w), row.mask, tag_of(whole.key0, whole.key1, seed_of(w)), np.uint64(number))
    level = np.int64(0)
    if whole.parser & ANY_SERVER:
        level = np.int64(3)
    elif whole.parser & ANY_PORT:
        level = np.int64(2)
    elif whole.parser & ANY_CLIENT:
        level = np.int64(1)
    row.folds[level] -= 1
    whole.start = np.int64(-1)
    whole.stream = np.uint32(row.fold_free)
    row.fold_free = np.int64(number)
    return 0
