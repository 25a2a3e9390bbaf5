"""PPPoE tells a session bit by bit: the line in discovery, the user at authentication, the address at the end. What is known of each is put together here."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.identity.event import FOR_EVER, NO_ADDRESS, PPP_ADDRESS, PPP_ALIVE, PPP_CIRCUIT, PPP_CLOSE, PPP_OPEN, PPP_PASSED, PPP_USER, PPPOE
from dpi.identity.lease import WALK, WAYS, is_open, leases_of, peers_of, session_place, session_places_of, state_of
from dpi.identity.succession import start, stop
from dpi.jit import kernel


@kernel
def peer_at(w: Any, key: Any, make: Any, time: Any) -> Any:
    """The place of a session in `peers`; -1 where it is not there and not to be made. The one that was not heard of the longest makes room."""
    peers = peers_of(w)
    first = np.int64((np.uint64(key) >> np.uint64(7)) & np.uint64(peers.size // WAYS - 1)) * WAYS
    best: Any = first
    for i in range(first, first + WAYS):
        if peers[i].key == key:
            return i
        if peers[i].key == np.uint64(0) or (peers[best].key != np.uint64(0) and peers[i].time < peers[best].time):
            best = i
    if not make:
        return np.int64(-1)
    x = peers[best]
    x.key = key
    x.client = 0
    x.user = 0
    x.circuit = 0
    x.remote = 0
    x.asked = 0
    x.passed = 0
    x.time = time
    return best


@kernel
def hear_ppp(w: Any, e: Any) -> Any:
    """An event of a PPPoE session."""
    state = state_of(w)[0]
    peers = peers_of(w)
    time = np.int64(e.time)
    if e.action == PPP_CIRCUIT:
        x = peers[peer_at(w, e.peer, True, time)]
        x.client = e.mac
        x.circuit = e.circuit
        x.remote = e.remote
        x.time = time
    elif e.action == PPP_OPEN:
        line = peer_at(w, e.session, False, time)
        circuit, remote = np.uint64(0), np.uint64(0)
        if line >= 0 and peers[line].client == e.mac:
            circuit, remote = peers[line].circuit, peers[line].remote
        x = peers[peer_at(w, e.peer, True, time)]
        x.client = e.mac
        x.user = 0
        x.asked = 0
        x.passed = 0
        x.circuit = circuit
        x.remote = remote
        x.time = time
    elif e.action == PPP_USER:
        x = peers[peer_at(w, e.peer, True, time)]
        if x.client == np.uint64(0):
            x.client = e.mac
        if x.client == e.mac and x.passed == 0:         # the other end may have to name itself, too; who was let in has no other name any longer
            x.user = e.user
            x.asked = e.stamp
            x.time = time
    elif e.action == PPP_PASSED:
        known = peer_at(w, e.peer, False, time)
        if known >= 0:
            x = peers[known]
            if x.passed == 0 and x.asked != 0 and x.client != e.mac:
                x.passed = 1
                if x.asked != e.stamp:                  # another name was sent meanwhile: nobody knows who was let in
                    x.user = 0
    elif e.action == PPP_ADDRESS:
        known = peer_at(w, e.peer, False, time)
        if known < 0 or peers[known].client == np.uint64(0):
            state.unknown += 1
            return 0
        x = peers[known]
        x.time = time
        if x.client == e.mac:
            e.user = x.user
            e.circuit = x.circuit
            e.remote = x.remote
            e.session = e.peer
            e.nas = 0
            start(w, e)
    elif e.action == PPP_CLOSE:
        e.session = e.peer
        e.length = NO_ADDRESS
        stop(w, e)
        known = peer_at(w, e.peer, False, time)
        if known >= 0:
            peers[known].key = 0
    elif e.action == PPP_ALIVE:
        leases = leases_of(w)
        number = np.int64(session_places_of(w)[session_place(w, e.peer)])
        for _ in range(WALK):
            if number == 0:
                break
            lease = leases[number]
            if lease.session == e.peer and lease.source == PPPOE and is_open(lease, time):
                lease.seen = max(np.int64(lease.seen), time)
                lease.expires = min(time + np.int64(state.lasting), np.int64(FOR_EVER))
            number = np.int64(lease.session_next)
    return 0


@kernel
def of_peer(w: Any, e: Any) -> Any:
    """What came inside of a PPPoE session is of its user."""
    known = peer_at(w, e.peer, False, np.int64(e.time))
    if known >= 0:
        x = peers_of(w)[known]
        if e.user == np.uint64(0):
            e.user = x.user
        if e.circuit == np.uint64(0):
            e.circuit = x.circuit
        if e.remote == np.uint64(0):
            e.remote = x.remote
        if e.mac == np.uint64(0):
            e.mac = x.client
    return 0
