"""Who has an address when: leases learned from events (dpi/identity/event.py), a bounded table, looked up by a row's own time.

A lease is an interval [begin, end) of an address or a prefix, in the scope of a VLAN or anywhere. A new one at the same address ends the former of its source;
a stop ends it; what is not heard of again ends by itself (`expires`). Leases that ended stay until their place is wanted, so that rows which leave
later find who had the address then. Of each address and source the last HISTORY are kept. Restarts of a NAS look through the table RESTARTS times a second
at most.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.identity.event import ANYWHERE, EVENT, PPP_CIRCUIT, RESTART, STOP, mask_high, mask_low
from dpi.identity.lease import LEASES, ROOM, WALK, leases_of, place_of, places_of, state_of, told_of
from dpi.identity.peer import hear_ppp, of_peer
from dpi.identity.succession import restart, start, stop
from dpi.jit import I64, entry, kernel


@entry(LEASES, EVENT, I64, I64)
def learn_events(worlds: Any, events: Any, first: Any, count: Any) -> Any:
    """Learn events[first:count]; where `told` is nearly full it stops. The number of the next event: `count` once all are learned."""
    w = worlds[0]
    for i in range(first, count):
        if state_of(w)[0].told + ROOM > told_of(w).size:
            return np.int64(i)
        e = events[i]
        if e.action >= PPP_CIRCUIT:
            hear_ppp(w, e)
        elif e.action == RESTART:
            restart(w, e)
        else:
            if e.peer != np.uint64(0):
                of_peer(w, e)
            if e.action == STOP:
                stop(w, e)
            else:
                start(w, e)
    return np.int64(count)


@kernel
def lease_at(w: Any, high: Any, low: Any, scope: Any, time: Any, after: Any) -> Any:
    """The number of the next lease that covers an address at `time`, us, 0 where there is none: longest prefixes first, of a prefix those of the scope
    before those of anywhere, of these the newest first. after: 0, or the lease that was found last and was of no use."""
    state = state_of(w)[0]
    leases = leases_of(w)
    passed = np.int64(after) == 0
    for i in range(state.lengths):
        length = np.int64(state.length[i])
        if not passed and length > np.int64(leases[after].length):
            continue
        upper, lower = np.uint64(high) & mask_high(length), np.uint64(low) & mask_low(length)
        for turn in range(2):
            where = np.int64(scope) if turn == 0 else np.int64(ANYWHERE)
            if turn == 1 and np.int64(scope) == ANYWHERE:
                break
            number = np.int64(places_of(w)[place_of(w, upper, lower, length, where)])
            for _ in range(WALK):
                if number == 0:
                    break
                x = leases[number]
                if not passed:
                    passed = number == np.int64(after)
                elif (x.high == upper and x.low == lower and np.int64(x.length) == length and np.int64(x.scope) == where
                      and x.begin <= time and time < x.end and time < x.expires):
                    return number
                number = np.int64(x.next)
    return np.int64(0)


@entry(LEASES, np.dtype("u8"), I64, I64, I64)
def find_lease(worlds: Any, address: Any, scope: Any, time: Any, after: Any) -> Any:
    """`lease_at` for Python: address, its high and its low word."""
    return lease_at(worlds[0], address[0], address[1], scope, time, after)
