"""The kernel that counts rows for all rules of detection, in the table of dpi/security/ledger.py.

Sums only grow, so that whether a limit is crossed in a slot does not depend on the order of rows. Some dozens of rows at a time: what they add and to which
keys, then where those are, then the adding: each pass asks for the memory of the next.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.key import fold
from dpi.capture.prefetch import prefetch, prefetch_fourth, prefetch_second, prefetch_third
from dpi.flow.row import ROW
from dpi.jit import I64, entry, kernel
from dpi.security.conversation import ANY_SERVER, DENIED, FROM_INSIDE, SORT_AT, TO_INSIDE, facts, mapped
from dpi.security.crossing import crossed
from dpi.security.distinct import SEVERAL, mark_of
from dpi.security.ledger import (
    MANY,
    MATCHES,
    NUMBERS,
    WORLD,
    applications_of,
    ask_for,
    beside_of,
    bucket_of,
    categories_of,
    distinct,
    entries_of,
    found_of,
    head_of,
    matches_of,
    number_at,
    pending_of,
    place_of,
    ports_of,
    protocols_of,
    rules_of,
    services_of,
    tag_of,
    tags_of,
    tell,
)

SLOTS = 13                  # slots that one row is spread over at most: those of a minute in windows of 5 s, the shortest there are
AHEAD = 8                   # rows, which others wrote and lie in memory
PENDINGS = 512              # what is looked up at once, beside what one row may add
MOST = 1 << 44              # packets or bytes of a row
TOLD = 128                  # rows of an entry from half its limit on that Python is shown: whose they are
#: What a key is an address of, and what is distinct.
CLIENT, SERVER, PAIR, CLIENT_NET, SERVER_NET, EVERYBODY = range(6)
NOTHING, CLIENTS, SERVERS, SERVER_PORTS, SERVICES, CONNECTIONS, STARTS, NAMES = range(8)      # STARTS: ms of flows' beginnings in the slot, the first 64
NO_PORT, SERVER_PORT, CLIENT_PORT = range(3)
CLIENTS_OWN, SERVERS_OWN, BOTH = range(3)
#: What rows are of, ROW.named >> 1: flows, or what was made of messages of DNS (names.py) and of frames of the segment (segment.py). The latter two bring
#: their bits in `risks`.
TABLES = ("flows", "dns", "segment")
OF_FLOWS, OF_DNS, OF_SEGMENT = range(len(TABLES))


@entry(ROW, I64, I64, WORLD)
def measure(rows: Any, begin: Any, end: Any, worlds: Any) -> Any:
    """Count rows [begin, end) for every rule. Returns `end`, or the row before which Python must take what was found."""
    w = worlds[0]
    head = head_of(w)[0]
    room = pending_of(w).size - SLOTS * rules_of(w).size
    k = np.int64(begin)
    while k < end:
        if head.found + 2 * pending_of(w).size > found_of(w).size:
            return k
        count = np.int64(0)
        while k < end and count <= room:
            prefetch(rows, k + AHEAD)
            prefetch_second(rows, k + AHEAD)
            prefetch_third(rows, k + AHEAD)
            prefetch_fourth(rows, k + AHEAD)
            count = match(w, rows[k], k, count)
            k += 1
        for place in range(count):
            ask_for(w, pending_of(w)[place].tag)
        for place in range(count):
            add(w, rows, pending_of(w)[place])
    return end


@kernel
def match(w: Any, row: Any, k: Any, count: Any) -> Any:
    """Put what a row adds for each rule behind the first `count` of `pending`; how many there are then."""
    head = head_of(w)[0]
    head.rows += 1
    table = np.int64(row.named) >> 1
    if table != OF_SEGMENT:             # frames are told where they are decoded, ahead of rows
        head.clock = max(head.clock, row.interval_end)
        head.first = min(head.first, row.interval_start)
    bits = facts(row, ports_of(w)) | around(w, row, k) if table == OF_FLOWS else np.uint64(row.risks)
    known = matches_of(w)[matching(w, bits, table)]
    if known.count != MANY:
        for place in range(np.int64(known.count)):
            count = meter(w, row, k, np.int64(known.numbers[place]), bits, count)
        return count
    for number in range(rules_of(w).size):
        if fits(rules_of(w)[number], bits, table):
            count = meter(w, row, k, number, bits, count)
    return count


@kernel
def matching(w: Any, bits: Any, table: Any) -> Any:
    """The place in `matches` that has the rules for rows of these bits; rows have some hundreds of different ones."""
    mixed = (bits ^ np.uint64(table)) * np.uint64(0x9E3779B97F4A7C15)
    place = np.int64(mixed >> np.uint64(32)) & (MATCHES - 1)
    one = matches_of(w)[place]
    if one.bits == bits and one.table == table + 1:
        return place
    one.bits = bits
    one.table = np.uint8(table + 1)
    count = np.int64(0)
    for number in range(rules_of(w).size):
        if fits(rules_of(w)[number], bits, table):
            if count < NUMBERS:
                one.numbers[count] = np.uint8(number)
            count += 1
    one.count = np.uint8(count if count <= NUMBERS else MANY)
    return place


@kernel
def fits(rule: Any, bits: Any, table: Any) -> Any:
    """Whether a rule counts rows of these bits."""
    return rule.table == table and bits & rule.all == rule.all and bits & rule.none == 0 and (rule.any == 0 or bits & rule.any != 0)


@kernel
def around(w: Any, row: Any, k: Any) -> Any:
    """Bits of what a row does not say by itself: sorts, who is local, what was denied."""
    sorts = np.uint64(services_of(w)[row.server_port])
    if np.int64(row.protocol) < protocols_of(w).size:
        sorts |= np.uint64(protocols_of(w)[row.protocol])
    if np.int64(row.application) < applications_of(w).size:
        sorts |= np.uint64(applications_of(w)[row.application])
    if np.int64(row.category) < categories_of(w).size:
        sorts |= np.uint64(categories_of(w)[row.category])
    known = np.int64(0)
    if beside_of(w).size > k:
        beside = np.int64(beside_of(w)[k])
        known |= FROM_INSIDE if beside & 1 else 0
        known |= TO_INSIDE if beside & 2 else 0
        known |= DENIED if beside > 3 else 0
    return sorts << np.uint64(SORT_AT) | np.uint64(known)


@kernel
def meter(w: Any, row: Any, k: Any, number: Any, bits: Any, count: Any) -> Any:
    """What a row adds for a rule, spread over the slots it lies in."""
    rule = rules_of(w)[number]
    if rule.key == SERVER or rule.key == SERVER_NET or rule.key == PAIR:
        if bits & np.uint64(ANY_SERVER):
            return count
    packets = np.int64(0)
    octets = np.int64(0)
    if rule.sent != SERVERS_OWN:
        packets += bounded(row.client_packets)
        octets += bounded(row.client_bytes)
    if rule.sent != CLIENTS_OWN:
        packets += bounded(row.server_packets)
        octets += bounded(row.server_bytes)
    flows = np.int64(row.folded) if row.folded != 0 else np.int64(1) if row.interval == 0 else np.int64(0)
    if rule.table == OF_FLOWS and rule.all & np.uint64(DENIED):
        flows = np.int64(beside_of(w)[k]) >> 2
    start = row.interval_start
    slot = start // rule.window
    last = min(max(row.interval_end // rule.window, slot), slot + SLOTS - 1)
    if slot == last:
        return put(w, row, k, number, slot, packets, octets, flows, count)
    span = max(min(row.interval_end, (slot + SLOTS) * rule.window) - start, np.int64(1))
    done_packets = np.int64(0)
    done_octets = np.int64(0)
    while slot <= last:
        passed = span if slot == last else (slot + 1) * rule.window - start
        upto_packets = share(packets, passed, span)
        upto_octets = share(octets, passed, span)
        count = put(w, row, k, number, slot, upto_packets - done_packets, upto_octets - done_octets, flows, count)
        done_packets = upto_packets
        done_octets = upto_octets
        flows = np.int64(0)
        slot += 1
    return count


@kernel
def put(w: Any, row: Any, k: Any, number: Any, slot: Any, packets: Any, octets: Any, flows: Any, count: Any) -> Any:
    """What a row adds in a slot, as number `count` of `pending`; how many there are then."""
    rule = rules_of(w)[number]
    if slot < rule.closed:
        head_of(w)[0].late += 1
        return count
    of_client = rule.key == CLIENT or rule.key == CLIENT_NET or rule.key == PAIR
    high = row.client_ip[0] if of_client else row.server_ip[0]
    low = row.client_ip[1] if of_client else row.server_ip[1]
    beside = np.uint64(0)
    if rule.key == PAIR:
        beside = fold(row.server_ip[0] ^ np.uint64(0x9E3779B97F4A7C15), row.server_ip[1] ^ np.uint64(0xD6E8FEB86659FD93))
    elif rule.key == EVERYBODY:
        high = np.uint64(0)
        low = np.uint64(0)
    elif rule.key == CLIENT_NET or rule.key == SERVER_NET:
        if mapped(high, low):
            low &= np.uint64(0x00FFFFFFFFFFFFFF)            # /24: the last octet lies highest
        else:
            high &= np.uint64(0x0000FFFFFFFFFFFF)           # /48
            low = np.uint64(0)
    asked = pending_of(w)[count]
    asked.row = k
    asked.number = number
    asked.slot = slot
    asked.packets = packets
    asked.bytes = octets
    asked.flows = flows
    asked.high = high
    asked.low = low
    asked.beside = beside
    asked.port = np.int64(row.server_port) if rule.port == SERVER_PORT else np.int64(row.client_port) if rule.port == CLIENT_PORT else np.int64(0)
    asked.tag = tag_of(w, asked)
    prefetch(tags_of(w), bucket_of(tags_of(w), asked.tag))
    return count + 1


@kernel
def add(w: Any, rows: Any, asked: Any) -> Any:
    """Add to an entry, and tell where a limit is crossed."""
    rule = rules_of(w)[asked.number]
    row = rows[asked.row]
    place = place_of(w, asked)
    one = entries_of(w)[number_at(w, place)]
    one.packets += asked.packets
    one.bytes += asked.bytes
    one.flows += asked.flows
    one.first = min(one.first, max(row.interval_start, asked.slot * rule.window))
    one.last = max(one.last, min(row.interval_end, (asked.slot + 1) * rule.window - 1))
    of_client = rule.key == CLIENT or rule.key == CLIENT_NET or rule.key == PAIR
    peer_high = row.server_ip[0] if of_client else row.client_ip[0]
    peer_low = row.server_ip[1] if of_client else row.client_ip[1]
    if one.flow_id != np.uint64(0xFFFFFFFFFFFFFFFF) and (one.peer[0] != peer_high or one.peer[1] != peer_low):
        one.sketch |= np.uint8(SEVERAL)
    if row.flow_id <= one.flow_id:
        one.flow_id = row.flow_id
        one.peer[0] = peer_high
        one.peer[1] = peer_low
        one.peer_port = row.server_port
    if rule.distinct_of == STARTS:
        if row.interval_start >= asked.slot * rule.window:
            distinct(w, one, (row.interval_start - asked.slot * rule.window) // 1000 + 1, True)
    elif rule.distinct_of != NOTHING:
        distinct(w, one, value_of(row, rule.distinct_of), False)
    fires = one.fired == 0 and crossed(rule, one, 0)
    if fires:
        one.fired = 1
    if fires or (one.told < TOLD and (one.fired != 0 or crossed(rule, one, 1))):
        one.told = min(one.told + 1, TOLD)
        tell(w, place, asked.row)
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
def value_of(row: Any, what: Any) -> Any:
    """The mark of what is distinct in a row; never 0."""
    if what == NAMES:
        return mark_of(row.first_packet, np.uint64(0), np.uint64(0))
    if what == SERVER_PORTS:
        return np.int64(row.server_port) + (np.int64(1) << 16)
    high = row.server_ip[0]
    low = row.server_ip[1]
    if what == CONNECTIONS:
        return mark_of(row.client_ip[0], row.client_ip[1], np.uint64(row.client_port) + np.uint64(1))
    if what == CLIENTS:
        high = row.client_ip[0]
        low = row.client_ip[1]
    if what == SERVICES:
        return mark_of(high, low, np.uint64(row.server_port) + np.uint64(1))
    if mapped(high, low) and low >> np.uint64(32) != 0:
        return np.int64(low >> np.uint64(32))
    return mark_of(high, low, np.uint64(0))
