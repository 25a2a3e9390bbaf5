"""How leases follow one another: what a start, a stop and a restart of a NAS change. See dpi/identity/leases.py."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.identity.event import ANYWHERE, DHCP, FOR_EVER, IPV4, NO_ADDRESS, RADIUS, RESTART
from dpi.identity.lease import (
    EXPIRED,
    HISTORY,
    HOLD,
    NEVER,
    REPLACED,
    RESTARTED,
    RESTARTS,
    SHORTEST,
    STOPPED,
    WALK,
    at_address,
    begin_lease,
    close,
    is_open,
    leases_of,
    place_of,
    places_of,
    refresh,
    same_client,
    session_place,
    session_places_of,
    state_of,
    told_of,
    unlink,
)
from dpi.jit import kernel


@kernel
def start(w: Any, e: Any) -> Any:
    """Somebody has an address now, or still."""
    state = state_of(w)[0]
    leases = leases_of(w)
    time = np.int64(e.time)
    if e.which != IPV4 and (e.high == np.uint64(0) or e.length < SHORTEST):     # it would hold IPv4 (mapped into ::/64), or half of the world
        state.refused += 1
        return 0
    lifetime = np.int64(e.lifetime) if e.lifetime > 0 else np.int64(state.lasting)
    expires = min(time + lifetime, np.int64(FOR_EVER))
    scope = np.int64(e.scope)
    if e.source == DHCP and scope != ANYWHERE:      # a renewal goes past the relay: the lease is the one that was made through it
        number = np.int64(places_of(w)[place_of(w, e.high, e.low, e.length, ANYWHERE)])
        for _ in range(WALK):
            if number == 0:
                break
            x = leases[number]
            if at_address(x, e, np.int64(ANYWHERE)) and x.source == DHCP and is_open(x, time) and same_client(x, e):
                refresh(w, number, e, expires)
                return 0
            number = np.int64(x.next)
    if e.source == RADIUS and ended_before(w, e, scope):
        state.stale += 1
        return 0
    kept, last = np.int64(0), np.int64(0)
    number = np.int64(places_of(w)[place_of(w, e.high, e.low, e.length, scope)])
    for _ in range(WALK):
        if number == 0:
            break
        x = leases[number]
        following = np.int64(x.next)
        if at_address(x, e, scope) and x.source == e.source:
            kept += 1
            last = number
            if is_open(x, time):
                if same_client(x, e):
                    refresh(w, number, e, expires)
                    move_on(w, e)
                    return 0
                if e.stamp != 0 and x.stamp != 0 and e.stamp < x.stamp:
                    state.stale += 1
                    return 0
                close(w, number, time, REPLACED)
            elif x.end == NEVER:
                close(w, number, time, EXPIRED)
        number = following
    if kept >= HISTORY:
        unlink(w, last)
        leases[last].length = 0
    move_on(w, e)
    return begin_lease(w, e, expires)


@kernel
def ended_before(w: Any, e: Any, scope: Any) -> Any:
    """Whether the event's session has given this address back not long ago: a message behind its own Stop, which must not end the lease of who came next."""
    leases = leases_of(w)
    time = np.int64(e.time)
    found = False
    number = np.int64(places_of(w)[place_of(w, e.high, e.low, e.length, scope)])
    for _ in range(WALK):
        if number == 0:
            break
        x = leases[number]
        if at_address(x, e, scope) and x.source == e.source and x.session == e.session:
            if is_open(x, time):
                return False
            found = found or (x.ended == STOPPED and time - x.end < HOLD)
        number = np.int64(x.next)
    return found


@kernel
def move_on(w: Any, e: Any) -> Any:
    """A session that has this address has no other of its kind any longer, but for what the same message gave it."""
    leases = leases_of(w)
    number = np.int64(session_places_of(w)[session_place(w, e.session)])
    for _ in range(WALK):
        if number == 0:
            break
        x = leases[number]
        if (x.session == e.session and x.source == e.source and x.which == e.which and x.scope == e.scope and x.number != e.number
                and not (x.high == e.high and x.low == e.low and x.length == e.length)):
            close(w, number, np.int64(e.time), REPLACED)
        number = np.int64(x.session_next)
    return 0


@kernel
def stop(w: Any, e: Any) -> Any:
    """A session ended, or gave an address back."""
    leases = leases_of(w)
    if e.length == NO_ADDRESS:
        number = np.int64(session_places_of(w)[session_place(w, e.session)])
        for _ in range(WALK):
            if number == 0:
                break
            x = leases[number]
            if x.session == e.session and x.source == e.source:
                close(w, number, np.int64(e.time), STOPPED)
            number = np.int64(x.session_next)
        return 0
    for turn in range(2):
        scope = np.int64(e.scope) if turn == 0 else np.int64(ANYWHERE)
        if turn == 1 and np.int64(e.scope) == ANYWHERE:
            break
        number = np.int64(places_of(w)[place_of(w, e.high, e.low, e.length, scope)])
        for _ in range(WALK):
            if number == 0:
                break
            x = leases[number]
            if at_address(x, e, scope) and x.source == e.source and same_client(x, e):
                close(w, number, np.int64(e.time), STOPPED)
            number = np.int64(x.next)
    return 0


@kernel
def restart(w: Any, e: Any) -> Any:
    """A NAS began anew, or is about to: all its sessions are over."""
    state = state_of(w)[0]
    leases = leases_of(w)
    time = np.int64(e.time)
    if time // 1_000_000 != state.second:
        state.second = time // 1_000_000
        state.restarts = 0
    if state.restarts >= RESTARTS:
        state.refused += 1
        return 0
    state.restarts += 1
    ended = np.int64(0)
    for number in range(1, leases.size):
        x = leases[number]
        if x.length != 0 and x.end == NEVER and x.source == RADIUS and x.nas == e.nas:
            close(w, number, time, RESTARTED)
            ended += 1
    if ended:
        state.restarted += ended
        told = told_of(w)
        if state.told < told.size:
            t = told[np.int64(state.told)]
            state.told += 1
            t.time = time
            t.begin = time
            t.high = 0
            t.low = 0
            t.scope = ANYWHERE
            t.length = NO_ADDRESS
            t.source = RADIUS
            t.action = RESTART
            t.reason = RESTARTED
            t.user = 0
            t.circuit = 0
            t.remote = 0
            t.mac = 0
            t.session = 0
            t.nas = e.nas
    return 0
