"""A lease: who has an address or a prefix, from when until when; where leases lie, and how one begins and ends.

Two chains go through each lease: those of an address (newest first), and those of a session. One that is evicted leaves both. Nothing here is a loop
that a sender can make long: chains are walked WALK steps, LOOK places are looked at for one that is free.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.identity.digest import mix
from dpi.identity.event import DHCP, START, STOP, UPDATE
from dpi.jit import kernel, pointed, world_dtype

NEVER = 1 << 62
HISTORY = 8
WALK = 128
LENGTHS = 16                    # of prefixes that are told apart
SHORTEST = 24                   # bits of a prefix of IPv6 that a subscriber is given; shorter ones are not believed
RESTARTS = 8
HOLD = 300_000_000              # us that a lease which ended is kept where others can make room; late messages of its session are not believed meanwhile
LOOK = 64                       # places looked at for one that is free
ROOM = 2 * WALK + 4             # of TOLD, that an event can fill
WAYS = 4
STOPPED, REPLACED, RESTARTED, EXPIRED, EVICTED = 1, 2, 3, 4, 5      # LEASE.ended
REASONS = ("", "stop", "replaced", "restart", "expired", "evicted")

#: One lease, 128 bytes; number 0 is none. Times us; words and digests as in EVENT.
LEASE = np.dtype((np.record, [
    ("high", "u8"), ("low", "u8"), ("scope", "u4"), ("length", "u1"), ("source", "u1"), ("which", "u1"), ("ended", "u1"),
    ("begin", "i8"), ("end", "i8"), ("expires", "i8"), ("seen", "i8"),
    ("user", "u8"), ("circuit", "u8"), ("remote", "u8"), ("mac", "u8"), ("session", "u8"), ("nas", "u8"),
    ("stamp", "u4"), ("number", "u4"), ("next", "u4"), ("prev", "u4"), ("session_next", "u4"), ("session_prev", "u4"),
]))
assert LEASE.itemsize == 128, LEASE.itemsize

#: What is known of a PPPoE session. asked: protocol and identifier of the last message that named its user; passed: 1 once the other end has let one in.
PEER = np.dtype((np.record, [("key", "u8"), ("client", "u8"), ("user", "u8"), ("circuit", "u8"), ("remote", "u8"), ("time", "i8"), ("asked", "u4"),
                             ("passed", "u4"), ("pad", "u8")]))

#: What has become known: `action` START, UPDATE (more of who it is), STOP or RESTART; of a stop `reason`.
TOLD = np.dtype((np.record, [
    ("time", "i8"), ("begin", "i8"), ("high", "u8"), ("low", "u8"), ("scope", "u4"), ("length", "u1"), ("source", "u1"), ("action", "u1"), ("reason", "u1"),
    ("user", "u8"), ("circuit", "u8"), ("remote", "u8"), ("mac", "u8"), ("session", "u8"), ("nas", "u8"),
]))

#: Scalars of the table: options, key, what is next, counters.
STATE = np.dtype((np.record, [
    ("lasting", "i8"),          # us that a lease without a lifetime is believed after it was last heard of
    ("key0", "u8"), ("key1", "u8"),
    ("hand", "i8"), ("told", "i8"), ("second", "i8"), ("restarts", "i8"),
    ("lengths", "i8"), ("length", "u1", (LENGTHS,)), ("pad", "u1", (8,)),       # of the prefixes there are, the longest first
    ("open", "i8"),             # leases that have not ended
    ("started", "i8"), ("stopped", "i8"), ("replaced", "i8"), ("expired", "i8"), ("evicted", "i8"), ("restarted", "i8"),
    ("stale", "i8"),            # messages older than what is known
    ("unknown", "i8"),          # addresses of PPPoE sessions of which nobody knows whose they are
    ("refused", "i8"),          # prefixes that nobody is given, or of one length too many; restarts beyond RESTARTS
]))

OWN = {"lease_state": STATE, "leases": LEASE, "lease_places": np.dtype("u4"), "session_places": np.dtype("u4"), "peers": PEER, "told": TOLD}
LEASES = world_dtype(tuple(OWN))
state_of, leases_of, places_of, session_places_of, peers_of, told_of = (pointed(name, kind) for name, kind in OWN.items())


# ---- chains

@kernel
def place_of(w: Any, high: Any, low: Any, length: Any, scope: Any) -> Any:
    """Where the chain of an address begins."""
    state = state_of(w)[0]
    h = mix(mix(np.uint64(high) ^ state.key0, np.uint64(low) ^ state.key1), (np.uint64(length) << np.uint64(32)) | np.uint64(scope))
    return np.int64(h & np.uint64(places_of(w).size - 1))


@kernel
def session_place(w: Any, session: Any) -> Any:
    """Where the chain of a session begins."""
    return np.int64(mix(np.uint64(session), state_of(w)[0].key0) & np.uint64(session_places_of(w).size - 1))


@kernel
def link(w: Any, number: Any) -> Any:
    """Put a lease at the head of both its chains."""
    leases = leases_of(w)
    x = leases[number]
    at = place_of(w, x.high, x.low, x.length, x.scope)
    first = np.int64(places_of(w)[at])
    x.next = first
    x.prev = 0
    if first:
        leases[first].prev = number
    places_of(w)[at] = number
    at = session_place(w, x.session)
    first = np.int64(session_places_of(w)[at])
    x.session_next = first
    x.session_prev = 0
    if first:
        leases[first].session_prev = number
    session_places_of(w)[at] = number
    return 0


@kernel
def unlink(w: Any, number: Any) -> Any:
    """Take a lease out of both."""
    leases = leases_of(w)
    x = leases[number]
    if x.next:
        leases[np.int64(x.next)].prev = x.prev
    if x.prev:
        leases[np.int64(x.prev)].next = x.next
    else:
        places_of(w)[place_of(w, x.high, x.low, x.length, x.scope)] = x.next
    if x.session_next:
        leases[np.int64(x.session_next)].session_prev = x.session_prev
    if x.session_prev:
        leases[np.int64(x.session_prev)].session_next = x.session_next
    else:
        session_places_of(w)[session_place(w, x.session)] = x.session_next
    return 0


@kernel
def at_address(x: Any, e: Any, scope: Any) -> Any:
    """Whether a lease is of the event's address, in that scope."""
    return x.high == e.high and x.low == e.low and x.length == e.length and np.int64(x.scope) == scope


@kernel
def same_client(x: Any, e: Any) -> Any:
    """Whether a lease is of the one that the event tells of. A DHCP client is known by its MAC address as well: through a relay its session differs."""
    if x.user != np.uint64(0) and e.user != np.uint64(0) and x.user != e.user:
        return False
    return x.session == e.session or (e.source == DHCP and x.mac == e.mac and e.mac != np.uint64(0))


# ---- changes

@kernel
def tell(w: Any, x: Any, action: Any, reason: Any, time: Any) -> Any:
    """Say what became of a lease."""
    state = state_of(w)[0]
    told = told_of(w)
    if state.told >= told.size:
        return 0
    t = told[np.int64(state.told)]
    state.told += 1
    t.time = time
    t.begin = x.begin
    t.action = action
    t.reason = reason
    carry(t, x)
    return 0


@kernel
def carry(to: Any, x: Any) -> Any:
    """Copy what an event, a lease and what is told of it have in common: the address, where it holds, who has it, and what says so."""
    to.high = x.high
    to.low = x.low
    to.scope = x.scope
    to.length = x.length
    to.source = x.source
    to.user = x.user
    to.circuit = x.circuit
    to.remote = x.remote
    to.mac = x.mac
    to.session = x.session
    to.nas = x.nas
    return 0


@kernel
def is_open(x: Any, time: Any) -> Any:
    """Whether a lease holds now."""
    return x.end == NEVER and x.expires > time


@kernel
def close(w: Any, number: Any, time: Any, reason: Any) -> Any:
    """End an open lease; one that was not heard of for too long has ended then."""
    state = state_of(w)[0]
    x = leases_of(w)[number]
    if x.end != NEVER:
        return 0
    if x.expires <= time:
        reason = EXPIRED
        time = x.expires
    x.end = max(np.int64(time), np.int64(x.begin))
    x.ended = reason
    state.open -= 1
    if reason == STOPPED:
        state.stopped += 1
    elif reason == REPLACED:
        state.replaced += 1
    elif reason == EXPIRED:
        state.expired += 1
    elif reason == EVICTED:
        state.evicted += 1
    if reason != RESTARTED:
        tell(w, x, STOP, reason, x.end)
    return 0


@kernel
def take_place(w: Any, time: Any) -> Any:
    """The number of a lease that may be written: one that ended long enough ago, else the one of LOOK that was not heard of the longest, which is counted."""
    state = state_of(w)[0]
    leases = leases_of(w)
    worst, oldest = np.int64(0), np.int64(NEVER)
    found = np.int64(0)
    for _ in range(LOOK):
        state.hand += 1
        if state.hand >= leases.size:
            state.hand = 1
        number = np.int64(state.hand)
        x = leases[number]
        if x.length == 0:
            return number
        if min(np.int64(x.end), np.int64(x.expires)) + HOLD <= time:
            found = number
            break
        known = np.int64(x.seen)
        if known < oldest:
            worst, oldest = number, known
    if found == 0:
        found = worst
    close(w, found, time, EVICTED)
    unlink(w, found)
    return found


@kernel
def begin_lease(w: Any, e: Any, expires: Any) -> Any:
    """A lease of the event."""
    state = state_of(w)[0]
    if not know_length(state, e.length):
        state.refused += 1
        return 0
    number = take_place(w, np.int64(e.time))
    x = leases_of(w)[number]
    carry(x, e)
    x.which = e.which
    x.ended = 0
    x.begin = e.time
    x.end = NEVER
    x.expires = expires
    x.seen = e.time
    x.stamp = e.stamp
    x.number = e.number
    link(w, number)
    state.open += 1
    state.started += 1
    tell(w, x, START, 0, e.time)
    return 0


@kernel
def know_length(state: Any, length: Any) -> Any:
    """Remember that there are prefixes of this length; False where there are too many kinds."""
    size = np.int64(length)
    for i in range(state.lengths):
        if np.int64(state.length[i]) == size:
            return True
    room = LENGTHS if size == 128 or np.int64(state.length[0]) == 128 else LENGTHS - 1      # addresses have their place, whatever is forged
    if state.lengths >= room:
        return False
    at = np.int64(state.lengths)
    while at > 0 and np.int64(state.length[at - 1]) < size:
        state.length[at] = state.length[at - 1]
        at -= 1
    state.length[at] = size
    state.lengths += 1
    return True


@kernel
def refresh(w: Any, number: Any, e: Any, expires: Any) -> Any:
    """The lease was heard of again, and perhaps more of whose it is."""
    x = leases_of(w)[number]
    x.seen = max(np.int64(x.seen), np.int64(e.time))
    x.expires = expires
    x.number = e.number
    if e.stamp > x.stamp:
        x.stamp = e.stamp
    more = False
    if x.user == np.uint64(0) and e.user != np.uint64(0):
        x.user = e.user
        more = True
    if x.circuit == np.uint64(0) and e.circuit != np.uint64(0):
        x.circuit = e.circuit
        more = True
    if x.remote == np.uint64(0) and e.remote != np.uint64(0):
        x.remote = e.remote
        more = True
    if x.mac == np.uint64(0) and e.mac != np.uint64(0):
        x.mac = e.mac
        more = True
    if more:
        tell(w, x, UPDATE, 0, e.time)
    return 0
