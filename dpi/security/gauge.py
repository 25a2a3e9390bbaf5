"""The table that most detectors count in: sums and distinct values by key and slot of time, in bounded memory, filled by one kernel for all rules.

A key is the number of a rule, an address or network, and what the rule puts beside it; with the slot (time // window of the rule) it has an entry: packets,
bytes, flows, how many distinct values of what the rule asks for, and the row with the lowest flow_id, as an example. Sums only grow, so that whether a limit
is crossed in a slot does not depend on the order of rows. An entry lies in one of the WAYS places of its bucket, found by 64 bits of a seeded hash in a cache
line of its own. Where a bucket is full, the entry that counts least makes room, one of a closed slot first, which is counted (`evicted`): what was counted most
stays, however many sources there are.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.key import fold, hash_of
from dpi.flow.row import ROW
from dpi.jit import I64, entry, kernel, pointed, world_dtype
from dpi.security.conversation import ANY_SERVER, facts, mapped
from dpi.security.crossing import crossed, floored, outweighed
from dpi.security.distinct import INLINE, WORDS, estimate, join, mark_of, spread_out

WAYS = 8
SLOTS = 8                   # slots that one row is spread over at most
MOST = 1 << 44              # packets or bytes of a row
TOLD = 128                  # rows of an entry from half its limit on that Python is shown: whose they are
#: What a key is an address of, and what is distinct.
CLIENT, SERVER, PAIR, CLIENT_NET, SERVER_NET, EVERYBODY = range(6)
NOTHING, CLIENTS, SERVERS, SERVER_PORTS, SERVICES, NAMES = range(6)
NO_PORT, SERVER_PORT, CLIENT_PORT = range(3)
CLIENTS_OWN, SERVERS_OWN, BOTH = range(3)
#: What rows are of, ROW.named >> 1: flows, or what was made of messages of DNS (names.py) and of frames of the segment (segment.py). The latter two bring
#: their bits in `risks`.
TABLES = ("flows", "dns", "segment")
OF_FLOWS, OF_DNS, OF_SEGMENT = range(len(TABLES))

MEASURES = ("distinct", "packets", "bytes", "flows")
#: A rule as the kernel knows it. Limits and floors: 0 none.
RULE = np.dtype((np.record, [
    ("all", "u8"), ("any", "u8"), ("none", "u8"), ("window", "i8"),
    ("closed", "i8"),                               # slots below it are closed
    *((f"limit_{name}", "i8") for name in MEASURES), *((f"floor_{name}", "i8") for name in MEASURES),       # floor: a slot is told of when it closes
    ("key", "u1"), ("distinct_of", "u1"), ("port", "u1"), ("sent", "u1"), ("every", "u1"),
    ("table", "u1"),
    ("outweigh", "u1"),                             # 1: nothing fires unless there are more packets than bytes
    ("pad", "u1"),
]))
#: 128 bytes. flow_id, peer, peer_port: of the example; few: the first marks.
ENTRY = np.dtype((np.record, [
    ("high", "u8"), ("low", "u8"), ("beside", "u8"), ("slot", "i8"), ("packets", "i8"), ("bytes", "i8"), ("flows", "i8"), ("first", "i8"), ("last", "i8"),
    ("flow_id", "u8"), ("peer", "u8", (2,)), ("distinct", "u4"), ("block", "u4"), ("few", "u4", (INLINE,)),
    ("port", "u2"), ("peer_port", "u2"), ("rule", "u1"), ("fired", "u1"), ("sketch", "u1"), ("told", "u1"),
]))
assert ENTRY.itemsize == 128, ENTRY.itemsize
HEAD = np.dtype((np.record, [
    ("clock", "i8"), ("first", "i8"), ("grace", "i8"),      # greatest interval_end, least interval_start; how late rows may come, us
    ("rows", "i8"), ("used", "i8"), ("evicted", "i8"), ("late", "i8"), ("blocks_full", "i8"), ("found", "i8"), ("free_block", "i8"), ("high_block", "i8"),
]))
U1, U4, U8, I8, F8 = (np.dtype(kind) for kind in ("u1", "u4", "u8", "i8", "f8"))
#: found int64[]: pairs of an entry's place and a row, or of a place and -1 (closed).
ARRAYS = {"head": HEAD, "rules": RULE, "tags": U8, "entries": ENTRY, "blocks": U4, "found": I8, "seed": U8, "ports": U1, "protocols": U8, "linear": F8}
WORLD = world_dtype(tuple(ARRAYS))
(head_of, rules_of, tags_of, entries_of, blocks_of, found_of, seed_of, ports_of, protocols_of, linear_of) = (
    pointed(name, kind) for name, kind in ARRAYS.items())


@entry(ROW, I64, I64, WORLD)
def measure(rows: Any, begin: Any, end: Any, worlds: Any) -> Any:
    """Count rows [begin, end) for every rule. Returns `end`, or the row before which Python must take what was found."""
    w = worlds[0]
    head = head_of(w)[0]
    rules = rules_of(w)
    for k in range(begin, end):
        if head.found + 2 * SLOTS * rules.size > found_of(w).size:
            return k
        row = rows[k]
        head.rows += 1
        table = np.int64(row.named) >> 1
        if table != OF_SEGMENT:         # frames are told where they are decoded, ahead of rows
            head.clock = max(head.clock, row.interval_end)
            head.first = min(head.first, row.interval_start)
        bits = facts(row, ports_of(w), protocols_of(w)) if table == OF_FLOWS else np.uint64(row.risks)
        for number in range(rules.size):
            rule = rules[number]
            if rule.table == table and bits & rule.all == rule.all and bits & rule.none == 0 and (rule.any == 0 or bits & rule.any != 0):
                meter(w, row, k, number, bits)
    return end


@kernel
def meter(w: Any, row: Any, k: Any, number: Any, bits: Any) -> Any:
    """Count a row for a rule, spread over the slots it lies in."""
    rule = rules_of(w)[number]
    if rule.key == SERVER or rule.key == SERVER_NET or rule.key == PAIR:
        if bits & np.uint64(ANY_SERVER):
            return 0
    packets = np.int64(0)
    octets = np.int64(0)
    if rule.sent != SERVERS_OWN:
        packets += bounded(row.client_packets)
        octets += bounded(row.client_bytes)
    if rule.sent != CLIENTS_OWN:
        packets += bounded(row.server_packets)
        octets += bounded(row.server_bytes)
    flows = np.int64(row.folded) if row.folded != 0 else np.int64(1) if row.interval == 0 else np.int64(0)
    start = row.interval_start
    slot = start // rule.window
    last = min(max(row.interval_end // rule.window, slot), slot + SLOTS - 1)
    if slot == last:
        count(w, row, k, number, slot, packets, octets, flows)
        return 0
    span = max(min(row.interval_end, (slot + SLOTS) * rule.window) - start, np.int64(1))
    done_packets = np.int64(0)
    done_octets = np.int64(0)
    while slot <= last:
        passed = span if slot == last else (slot + 1) * rule.window - start
        upto_packets = share(packets, passed, span)
        upto_octets = share(octets, passed, span)
        count(w, row, k, number, slot, upto_packets - done_packets, upto_octets - done_octets, flows)
        done_packets = upto_packets
        done_octets = upto_octets
        flows = np.int64(0)
        slot += 1
    return 0


@kernel
def bounded(value: Any) -> Any:
    """A counter of a row, as far as a row can have counted: sums of them do not overflow."""
    return np.int64(value) if value < np.uint64(MOST) else np.int64(MOST)


@kernel
def share(total: Any, passed: Any, span: Any) -> Any:
    """total * passed // span in doubles, which hold it; all of it at the end."""
    return total if passed >= span else min(total, np.int64(np.float64(total) * (np.float64(passed) / np.float64(span))))


@kernel
def count(w: Any, row: Any, k: Any, number: Any, slot: Any, packets: Any, octets: Any, flows: Any) -> Any:
    """Add to the entry of the row's key in a slot, and tell where a limit is crossed."""
    rule = rules_of(w)[number]
    head = head_of(w)[0]
    if slot < rule.closed:
        head.late += 1
        return 0
    high = row.server_ip[0]
    low = row.server_ip[1]
    peer_high = row.client_ip[0]
    peer_low = row.client_ip[1]
    if rule.key == CLIENT or rule.key == CLIENT_NET or rule.key == PAIR:
        high, peer_high = peer_high, high
        low, peer_low = peer_low, low
    beside = np.uint64(0)
    if rule.key == PAIR:
        beside = fold(peer_high ^ np.uint64(0x9E3779B97F4A7C15), peer_low ^ np.uint64(0xD6E8FEB86659FD93))
    elif rule.key == EVERYBODY:
        high = np.uint64(0)
        low = np.uint64(0)
    elif rule.key == CLIENT_NET or rule.key == SERVER_NET:
        if mapped(high, low):
            low &= np.uint64(0x00FFFFFFFFFFFFFF)            # /24: the last octet lies highest
        else:
            high &= np.uint64(0x0000FFFFFFFFFFFF)           # /48
            low = np.uint64(0)
    port = np.int64(0)
    if rule.port == SERVER_PORT:
        port = np.int64(row.server_port)
    elif rule.port == CLIENT_PORT:
        port = np.int64(row.client_port)
    place = place_of(w, number, slot, high, low, beside, port)
    one = entries_of(w)[place]
    one.packets += packets
    one.bytes += octets
    one.flows += flows
    one.first = min(one.first, max(row.interval_start, slot * rule.window))
    one.last = max(one.last, min(row.interval_end, (slot + 1) * rule.window - 1))
    if row.flow_id <= one.flow_id:
        one.flow_id = row.flow_id
        one.peer[0] = peer_high
        one.peer[1] = peer_low
        one.peer_port = row.server_port
    if rule.distinct_of != NOTHING:
        distinct(w, one, value_of(row, rule.distinct_of))
    fires = one.fired == 0 and crossed(rule, one, 0)
    if fires:
        one.fired = 1
    if fires or (one.told < TOLD and (one.fired != 0 or crossed(rule, one, 1))):
        one.told = min(one.told + 1, TOLD)
        tell(w, place, k)
    return 0


@kernel
def tell(w: Any, place: Any, k: Any) -> Any:
    """Tell Python of an entry."""
    head = head_of(w)[0]
    found_of(w)[head.found] = place
    found_of(w)[head.found + 1] = k
    head.found += 2
    return 0


@kernel
def value_of(row: Any, what: Any) -> Any:
    """The mark of what is distinct in a row; never 0."""
    if what == NAMES:
        return mark_of(row.first_packet, np.uint64(0), np.uint64(0))
    if what == SERVER_PORTS:
        return np.int64(row.server_port) + (np.int64(1) << 16)
    high = row.server_ip[0]
    low = row.server_ip[1]
    if what == CLIENTS:
        high = row.client_ip[0]
        low = row.client_ip[1]
    if what == SERVICES:
        return mark_of(high, low, np.uint64(row.server_port) + np.uint64(1))
    if mapped(high, low) and low >> np.uint64(32) != 0:
        return np.int64(low >> np.uint64(32))
    return mark_of(high, low, np.uint64(0))


@kernel
def place_of(w: Any, number: Any, slot: Any, high: Any, low: Any, beside: Any, port: Any) -> Any:
    """The place of a key's entry, made where there is none."""
    seed = seed_of(w)
    tags = tags_of(w)
    about = np.uint64(number) << np.uint64(56) | np.uint64(port) << np.uint64(40) | np.uint64(slot & 0xFFFFFFFFFF)
    tag = hash_of(hash_of(high, low, seed) ^ about, beside, seed)
    bucket = np.int64((tag & np.uint64(tags.size // WAYS - 1)) * np.uint64(WAYS))
    tag |= np.uint64(1) << np.uint64(63)                    # 0 is an empty place
    free = np.int64(-1)
    for k in range(WAYS):
        place = bucket + k
        if tags[place] == tag:
            one = entries_of(w)[place]
            if one.high == high and one.low == low and one.beside == beside and one.slot == slot and one.rule == number and one.port == port:
                return place
        elif tags[place] == 0 and free < 0:
            free = place
    if free < 0:
        free = least(w, bucket)
        give_back(w, free)
        head_of(w)[0].evicted += 1
    else:
        head_of(w)[0].used += 1
    tags[free] = tag
    fresh = entries_of(w)[free]
    fresh.high = high
    fresh.low = low
    fresh.beside = beside
    fresh.slot = slot
    fresh.rule = np.uint8(number)
    fresh.port = np.uint16(port)
    fresh.packets = 0
    fresh.bytes = 0
    fresh.flows = 0
    fresh.first = np.int64(1) << 62
    fresh.last = -(np.int64(1) << 62)
    fresh.flow_id = np.uint64(0xFFFFFFFFFFFFFFFF)
    fresh.distinct = 0
    fresh.block = 0
    fresh.sketch = 0
    fresh.fired = 0
    fresh.told = 0
    return free


@kernel
def least(w: Any, bucket: Any) -> Any:
    """The place of a full bucket that counts least: of a slot whose time is over, then one that has not fired, with fewest distinct values and packets."""
    best = bucket
    lowest = np.int64(1) << 62
    over = head_of(w)[0].clock - head_of(w)[0].grace
    for k in range(WAYS):
        one = entries_of(w)[bucket + k]
        weight = np.int64(one.distinct) * 1024 + min(one.packets, np.int64(1) << 20)
        if one.fired != 0:
            weight += np.int64(1) << 50
        elif (one.slot + 1) * rules_of(w)[one.rule].window < over:
            weight -= np.int64(1) << 50
        if weight < lowest:
            lowest = weight
            best = bucket + k
    return best


@kernel
def give_back(w: Any, place: Any) -> Any:
    """Take an entry's block."""
    one = entries_of(w)[place]
    if one.block != 0:
        head = head_of(w)[0]
        blocks_of(w)[np.int64(one.block) * WORDS] = np.uint32(head.free_block)
        head.free_block = np.int64(one.block)
        one.block = 0
    return 0


@kernel
def distinct(w: Any, one: Any, mark: Any) -> Any:
    """Count a mark into an entry unless it was counted. Where no block is free, more than INLINE are not told apart, which is counted."""
    blocks = blocks_of(w)
    if one.sketch != 0:
        at = np.int64(one.block) * WORDS
        if join(blocks, at, mark):
            one.distinct = np.uint32(max(np.int64(WORDS + 1), estimate(blocks, at, linear_of(w))))
        return 0
    held = np.int64(one.distinct)
    if one.block == 0:
        for k in range(held):
            if np.int64(one.few[k]) == mark:
                return 0
        if held < INLINE:
            one.few[held] = np.uint32(mark)
            one.distinct += np.uint32(1)
            return 0
        block = take_block(w)
        if block == 0:
            head_of(w)[0].blocks_full += 1
            return 0
        one.block = np.uint32(block)
        for k in range(INLINE):
            blocks[block * WORDS + k] = one.few[k]
    at = np.int64(one.block) * WORDS
    for k in range(held):
        if np.int64(blocks[at + k]) == mark:
            return 0
    if held < WORDS:
        blocks[at + held] = np.uint32(mark)
        one.distinct += np.uint32(1)
        return 0
    spread_out(blocks, at)
    join(blocks, at, mark)
    one.sketch = 1
    one.distinct = np.uint32(max(np.int64(WORDS + 1), estimate(blocks, at, linear_of(w))))
    return 0


@kernel
def take_block(w: Any) -> Any:
    """A free block, zeroed; 0 where there is none."""
    head = head_of(w)[0]
    blocks = blocks_of(w)
    block = head.free_block
    if block != 0:
        head.free_block = np.int64(blocks[block * WORDS])
    elif (head.high_block + 1) * WORDS < blocks.size:
        head.high_block += 1
        block = head.high_block
    else:
        return np.int64(0)
    for k in range(WORDS):
        blocks[block * WORDS + k] = np.uint32(0)
    return np.int64(block)


@entry(I64, I64, WORLD)
def close_slots(place: Any, moment: Any, worlds: Any) -> Any:
    """Close, from `place` on, the entries whose slot ended before `moment`: those that fired or passed a floor are told, all are given back once told.

    Entries that were told stay until Python calls `forget`. Returns the place to go on from, or the number of places at the end."""
    w = worlds[0]
    head = head_of(w)[0]
    rules = rules_of(w)
    tags = tags_of(w)
    at = np.int64(place)
    while at < tags.size:
        if tags[at] != 0:
            one = entries_of(w)[at]
            rule = rules[one.rule]
            if (one.slot + 1) * rule.window <= moment:
                if (one.fired != 0 and not outweighed(rule, one)) or floored(rule, one):
                    if head.found + 2 > found_of(w).size:
                        return at
                    tell(w, at, np.int64(-1))
                else:
                    forget_one(w, at)
        at += 1
    for number in range(rules.size):
        rules[number].closed = max(rules[number].closed, moment // rules[number].window)
    return at


@kernel
def forget_one(w: Any, place: Any) -> Any:
    """Empty a place."""
    give_back(w, place)
    tags_of(w)[place] = np.uint64(0)
    head_of(w)[0].used -= 1
    return 0


@entry(I64, WORLD)
def forget(count: Any, worlds: Any) -> Any:
    """Empty the places of the first `count` pairs of `found`, and `found` itself."""
    w = worlds[0]
    for k in range(count):
        forget_one(w, found_of(w)[2 * k])
    head_of(w)[0].found = 0
    return 0
