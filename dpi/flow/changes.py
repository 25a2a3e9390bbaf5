"""Changes of identity, and the rows they cut: from a moment on, addresses belong to another line.

Bounds that are known ahead of time (from and until when a line of the bindings file holds) lie in a sorted array, `bounds`. What is learned on the wire
or told by Python (`note_change`) waits in a heap, `pending`, where its time has not come. Once the packet clock passes a change, it is in
`passed`, a ring of the last KEPT. Each slot of the clock (a minute, or a part of one: SHARD.span) and each change that passes begins another period of the
clock; a flow whose stamp is not the clock's period looks whether a change since its last packet concerns it, and if so its open interval leaves as a row
before the packet is counted. So no row is of two lines, though no row knows of lines here: it is stamped by its own time (dpi/identity).

What falls out of the ring leaves its time behind: that of one address where the address's hash says (`touched`), of anything else in `forgotten`. So a thousand
addresses that change hands within a second cut their own flows, and hardly any others. Where it is not known any longer what passed, a row is cut: that does no
harm, rows add up. A change that is told after packets that are younger was told too late for those: their rows are cut at the flow's next packet.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.key import fold
from dpi.flow.memory import addresses_of, bounds_of, details_of, flows_of, passed_of, pending_of, seed_of, shard_of, touched_of
from dpi.flow.table import ANY_VLAN, HASHED
from dpi.jit import kernel

KEPT = 64                   # changes passed that are remembered; a power of 2
AT_ONCE = 4096              # bounds that pass between two packets and are looked at one by one; more concern every flow
TOUCHED = 1 << 14           # hashes of addresses whose last change is remembered beyond; a power of 2
PENDING = 1 << 16           # that wait for their time at most; beyond, they are counted and cut nothing
MAPPED = 0xFFFF_0000_0000   # the low word of ::ffff:0.0.0.0


@kernel
def set_clock(w: Any, time: Any) -> Any:
    """The packet clock (dpi/capture/timeline.py) stands at `time`."""
    row = shard_of(w)[0]
    row.clock = time
    if row.clock >= row.due or row.clock < row.slot_end - row.span:
        turn(w)
    return 0


@kernel
def turn(w: Any) -> Any:
    """The clock has passed the end of a slot or a change, or went to another epoch: another period begins."""
    row = shard_of(w)[0]
    bounds = bounds_of(w)
    row.period = (row.period + 1) & 0xFFFFFFFF
    if row.clock >= row.slot_end or row.clock < row.slot_end - row.span:
        if row.clock < row.slot_end - row.span:
            row.passed = 0                  # flows of an epoch that is over are not looked at again
            row.forgotten = 0
            for i in range(touched_of(w).size):
                touched_of(w)[i] = 0
        row.slot = row.clock // row.span
        row.slot_end = (row.slot + 1) * row.span
        row.sweep_due = row.clock           # of the epoch the clock is in now
    first, last = np.int64(0), np.int64(bounds.size)
    if row.bound < last and bounds[row.bound].time > row.clock and (row.bound == 0 or bounds[row.bound - 1].time <= row.clock):
        last = row.bound
        first = last
    while first < last:                     # the first that is to come
        middle = (first + last) >> 1
        if bounds[middle].time <= row.clock:
            first = middle + 1
        else:
            last = middle
    if first - row.bound > AT_ONCE:
        passed_all(w)
    else:
        for i in range(row.bound, first):
            keep(w, bounds[i], bounds[i].time)
    row.bound = first
    while row.waiting != 0 and pending_of(w)[0].time <= row.clock:
        keep(w, pending_of(w)[0], pending_of(w)[0].time)
        take_first(w)
    row.due = row.slot_end
    if row.bound < bounds.size:
        row.due = min(row.due, bounds[row.bound].time)
    if row.waiting != 0:
        row.due = min(row.due, pending_of(w)[0].time)
    return 0


@kernel
def keep(w: Any, change: Any, time: Any) -> Any:
    """A change has passed."""
    row = shard_of(w)[0]
    forget(w)
    place = passed_of(w)[row.passed & (KEPT - 1)]
    put(place, change)
    place.time = time
    row.passed += 1
    return 0


@kernel
def forget(w: Any) -> Any:
    """The change whose place in the ring is wanted leaves its time behind."""
    row = shard_of(w)[0]
    if row.passed < KEPT:
        return 0
    change = passed_of(w)[row.passed & (KEPT - 1)]
    if change.low[0] == change.high[0] and change.low[1] == change.high[1]:
        at = hashed(w, change.low[0], change.low[1])
        touched_of(w)[at] = max(touched_of(w)[at], change.time)
    else:
        row.forgotten = max(row.forgotten, change.time)
    return 0


@kernel
def hashed(w: Any, high: Any, low: Any) -> Any:
    """The place of an address in `touched`."""
    seed = seed_of(w)
    return np.int64(fold(high ^ seed[0], low ^ seed[1]) & np.uint64(touched_of(w).size - 1))


@kernel
def put(place: Any, change: Any) -> Any:
    """Copy a change."""
    place.time = change.time
    for half in range(2):
        place.low[half] = change.low[half]
        place.high[half] = change.high[half]
    place.mac = change.mac
    place.vlan = change.vlan
    place.inner_vlan = change.inner_vlan
    return 0


@kernel
def passed_all(w: Any) -> Any:
    """More has passed at once than is kept: one change that concerns every flow."""
    row = shard_of(w)[0]
    forget(w)
    place = passed_of(w)[row.passed & (KEPT - 1)]
    place.time = row.clock
    for half in range(2):
        place.low[half] = np.uint64(0)
        place.high[half] = np.uint64(0xFFFFFFFFFFFFFFFF)
    place.mac = np.uint64(0)
    place.vlan = np.int32(ANY_VLAN)
    place.inner_vlan = np.int32(ANY_VLAN)
    row.passed += 1
    return 0


@kernel
def note_change(w: Any, change: Any) -> Any:
    """A change that was learned: it passes now, where its time has come, else when it comes. Counted where there is no room for it."""
    row = shard_of(w)[0]
    if change.time <= row.clock:
        keep(w, change, row.clock)
        row.period = (row.period + 1) & 0xFFFFFFFF
        return 0
    heap = pending_of(w)
    if row.waiting >= heap.size:
        row.changes_full += 1
        return 0
    at = row.waiting
    row.waiting += 1
    while at > 0 and heap[(at - 1) >> 1].time > change.time:
        put(heap[at], heap[(at - 1) >> 1])
        at = (at - 1) >> 1
    put(heap[at], change)
    row.due = min(row.due, change.time)
    return 0


@kernel
def take_first(w: Any) -> Any:
    """Take the earliest change out of the heap: the last one goes down from its place."""
    row = shard_of(w)[0]
    heap = pending_of(w)
    row.waiting -= 1
    time = heap[row.waiting].time
    at = np.int64(0)
    while 2 * at + 1 < row.waiting:
        least = 2 * at + 1
        if least + 1 < row.waiting and heap[least + 1].time < heap[least].time:
            least += 1
        if heap[least].time >= time:
            break
        put(heap[at], heap[least])
        at = least
    put(heap[at], heap[row.waiting])
    return 0


@kernel
def crossed(w: Any, number: Any) -> Any:
    """Whether what a flow counts now belongs into another row than its open interval: the slot is over, or a change since its last packet concerns it."""
    row = shard_of(w)[0]
    flow = flows_of(w)[number]
    if slot_of(flow, row) != row.slot:
        return True
    passed = passed_of(w)
    at = row.passed
    while at > 0 and at > row.passed - KEPT:
        at -= 1
        change = passed[at & (KEPT - 1)]
        if change.time < flow.last:
            return False
        if change.time > flow.start and concerns(w, change, number):
            return True
    if at == 0:
        return False
    since = max(flow.start + 1, flow.last)      # more has passed than is kept
    if row.forgotten >= since:
        return True
    client_high, client_low, server_high, server_low = ends_of(w, number)
    touched = touched_of(w)
    return touched[hashed(w, client_high, client_low)] >= since or touched[hashed(w, server_high, server_low)] >= since


@kernel
def parted(w: Any, number: Any, first: Any, last: Any) -> Any:
    """Whether a change that concerns a flow lies in (first, last], us; of those that are not kept any longer the last."""
    row = shard_of(w)[0]
    passed = passed_of(w)
    at = row.passed
    while at > 0 and at > row.passed - KEPT:
        at -= 1
        change = passed[at & (KEPT - 1)]
        if change.time <= first:
            return False
        if change.time <= last and concerns(w, change, number):
            return True
    if at == 0:
        return False
    client_high, client_low, server_high, server_low = ends_of(w, number)
    touched = max(touched_of(w)[hashed(w, client_high, client_low)], touched_of(w)[hashed(w, server_high, server_low)])
    return (row.forgotten > first and row.forgotten <= last) or (touched > first and touched <= last)


@kernel
def slot_of(flow: Any, row: Any) -> Any:
    """The slot of the clock that a flow's open interval is in: a minute, or a part of one (SHARD.span)."""
    return np.int64(flow.start) // row.span


@kernel
def words(address: Any) -> Any:
    """An address uint8[16] as two words, the first octet the highest."""
    high = np.uint64(0)
    low = np.uint64(0)
    for i in range(8):
        high = (high << np.uint64(8)) | np.uint64(address[i])
        low = (low << np.uint64(8)) | np.uint64(address[8 + i])
    return high, low


@kernel
def within(change: Any, high: Any, low: Any) -> Any:
    """Whether the address (its high word, its low word) is in the range of a change."""
    if high < change.low[0] or (high == change.low[0] and low < change.low[1]):
        return False
    return not (high > change.high[0] or (high == change.high[0] and low > change.high[1]))


@kernel
def mac_of(octets: Any) -> Any:
    """Six octets as 48 bits, the first one the highest."""
    value = np.uint64(0)
    for i in range(6):
        value = (value << np.uint64(8)) | np.uint64(octets[i])
    return value


@kernel
def concerns(w: Any, change: Any, number: Any) -> Any:
    """Whether a change is about either end of a flow."""
    detail = details_of(w)[number]
    if change.vlan != ANY_VLAN and change.vlan != np.int32(detail.vlan):
        return False
    if change.inner_vlan != ANY_VLAN and change.inner_vlan != np.int32(detail.inner_vlan):
        return False
    if change.mac != np.uint64(0) and mac_of(detail.client_mac) != change.mac and mac_of(detail.server_mac) != change.mac:
        return False
    client_high, client_low, server_high, server_low = ends_of(w, number)
    return within(change, client_high, client_low) or within(change, server_high, server_low)


@kernel
def ends_of(w: Any, number: Any) -> Any:
    """Both addresses of a flow as words, IPv4 mapped; which of the two is the client's only a key that is hashed says."""
    flow = flows_of(w)[number]
    if flow.key1 & np.uint64(HASHED):
        ends = addresses_of(w)[number]
        client_high, client_low = words(ends.client)
        server_high, server_low = words(ends.server)
        return client_high, client_low, server_high, server_low
    zero = np.uint64(0)
    return zero, np.uint64(MAPPED) | (flow.key0 >> np.uint64(32)), zero, np.uint64(MAPPED) | (flow.key0 & np.uint64(0xFFFFFFFF))
