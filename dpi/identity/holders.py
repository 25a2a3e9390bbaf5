"""From a lease to a line of the bindings: the user or line that has an address at a time, looked up by its digest.

The bindings' users, circuits and MAC addresses are digested with the key of the leases (dpi/identity/digest.py), once for each file that is read; rows are
resolved at their own time, so a file that is read anew, or a line that ends, holds for leases that are open.
"""
from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from dpi.batch import Batch, Coded
from dpi.flow.table import ANY_VLAN, CHANGE
from dpi.identity import lease
from dpi.identity.bindings import ALWAYS, CIRCUIT, MAC, NEVER, USER, Bindings
from dpi.identity.digest import CIRCUIT as CIRCUIT_NAME
from dpi.identity.digest import MAC as MAC_NAME
from dpi.identity.digest import USER as USER_NAME
from dpi.identity.digest import digest
from dpi.identity.index import ARRAYS as INDEX
from dpi.identity.index import KEYED, keyed, line_at, node_of_key
from dpi.identity.lease import TOLD, leases_of, state_of
from dpi.identity.leases import learn_events, lease_at
from dpi.identity.listener import listen
from dpi.identity.sessions import Sessions, rows_of
from dpi.jit import U64, entry, kernel, pointed, records, world, world_dtype

if TYPE_CHECKING:
    from dpi.identity.stamper import Identity

TRIES = 8                       # leases of an address that are asked, one behind the other
_U1, _U4, _U8, _I8 = (np.dtype(name) for name in ("u1", "u4", "u8", "i8"))
OWN = {**lease.OWN, "named": KEYED}
HELD = world_dtype(tuple(OWN))
named_of = pointed("named", KEYED)
LINES = world_dtype(tuple(INDEX))


@kernel
def line_of_name(h: Any, w: Any, name: Any, time: Any) -> Any:
    """The line that binds a name (a digest) at `time`; 0: none."""
    if name == np.uint64(0):
        return np.int64(0)
    node = np.int64(node_of_key(named_of(h), name))
    return np.int64(line_at(w, node, time)) if node != 0 else np.int64(0)


@kernel
def line_of_lease(x: Any, h: Any, w: Any, time: Any, by_mac: Any) -> Any:
    """The line that binds whoever has a lease: by user, circuit id or remote id; by_mac: by MAC address instead."""
    if by_mac:
        return line_of_name(h, w, x.mac, time)
    line = np.int64(line_of_name(h, w, x.user, time))
    if line == 0:
        line = np.int64(line_of_name(h, w, x.circuit, time))
    if line == 0:
        line = np.int64(line_of_name(h, w, x.remote, time))
    return line


@kernel
def line_of_holder(h: Any, w: Any, high: Any, low: Any, vlan: Any, inner: Any, time: Any, by_mac: Any) -> Any:
    """The line of who has the address (its high and its low word) at `time`; 0: none. h: HELD, w: a world with the arrays of index.py."""
    if state_of(h)[0].lengths == 0 or named_of(h).size == 0:
        return np.int64(0)
    scope = (vlan << 12) | inner
    number = np.int64(lease_at(h, high, low, scope, time, np.int64(0)))
    for _ in range(TRIES):
        if number == 0:
            break
        line = np.int64(line_of_lease(leases_of(h)[number], h, w, time, by_mac))
        if line != 0:
            return line
        number = np.int64(lease_at(h, high, low, scope, time, number))
    return np.int64(0)


@entry(TOLD, HELD, LINES, _U4)
def lines_of_told(told: Any, held: Any, worlds: Any, out: Any) -> Any:
    """The line of each of told[:out.size], into `out`."""
    for k in range(out.size):
        x = told[k]
        line = np.int64(line_of_lease(x, held[0], worlds[0], np.int64(x.time), False))
        if line == 0:
            line = np.int64(line_of_lease(x, held[0], worlds[0], np.int64(x.time), True))
        out[k] = line
    return 0


@entry(_U1, _I8, U64, U64, U64, _U8)
def digest_names(data: Any, ends: Any, kind: Any, key0: Any, key1: Any, out: Any) -> Any:
    """The digests of names that lie one behind the other in `data`, each up to its end."""
    begin = np.int64(0)
    for k in range(out.size):
        end = np.int64(ends[k])
        out[k] = digest(data, begin, end - begin, np.uint64(kind), np.uint64(key0), np.uint64(key1))
        begin = end
    return 0


class Holders:
    """Who has an address, by the bindings in force; for all shards."""
    kernels = (listen, learn_events, digest_names, lines_of_told)

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self._made: list[tuple[Bindings, Any, Any]] = []        # of the bindings in force, and of those before
        self._making = threading.Lock()

    def held(self, bindings: Bindings) -> Any:
        """HELD[1] for these bindings; whoever uses it holds the lock of the sessions. Made once: a tenth of a second for a hundred thousand users."""
        with self._making:
            for known, _, held in self._made:
                if known is bindings:
                    return held
            names = named(bindings, self.sessions.key)
            held = world(HELD, {**self.sessions.arrays, "named": names})
            self._made = [(bindings, names, held), *self._made[:1]]
            return held

    @staticmethod
    def bounds(identity: Identity) -> Any:
        """CHANGE[]: where lines begin and end, those of users, circuits and MAC addresses too."""
        return bounds_with_names(identity.bindings, identity.bounds)

    def rows(self, told: Any, identity: Identity | None, **origin: Any) -> Batch:
        """A batch of the table `sessions` of TOLD[n], with the services that are bound; origin: as `sessions.rows_of` wants."""
        nobody = Coded.same("", len(told))
        if identity is None or not len(identity.bindings):
            return rows_of(told, services=nobody, customers=nobody, **origin)
        lines, held = np.zeros(len(told), np.uint32), self.held(identity.bindings)
        with self.sessions.lock:
            lines_of_told(told, held, identity.world, lines)
        return rows_of(told, services=Coded(identity.services[lines], identity.bindings.services),
                       customers=Coded(identity.customers[lines], identity.bindings.customers), **origin)


def octets_of(text: str) -> bytes:
    """A circuit id as it is on the wire: '0x000401' for octets that are no text."""
    try:
        return bytes.fromhex(text[2:]) if text.startswith(("0x", "0X")) and len(text) > 2 else text.encode()
    except ValueError:
        return text.encode()


def named(bindings: Bindings, key: tuple[int, int]) -> Any:
    """KEYED[]: digests of all users, circuits and MAC addresses of the bindings, and their nodes (index.py)."""
    head = bindings.lines.view(np.ndarray)[bindings.groups()]       # a line of each key
    digests, nodes = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for kind, word in ((USER, USER_NAME), (CIRCUIT, CIRCUIT_NAME), (MAC, MAC_NAME)):
        places = np.flatnonzero(head["kind"] == kind)
        if kind == MAC:
            names = [number.to_bytes(6, "big") for number in head["mac"][places].tolist()]
        elif kind == USER:
            names = [bindings.users[number].encode() for number in head["user"][places].tolist()]
        else:
            names = [octets_of(bindings.circuits[number]) for number in head["circuit"][places].tolist()]
        out = np.zeros(len(names), np.uint64)
        if names:
            digest_names(np.frombuffer(b"".join(names), np.uint8), np.cumsum([len(name) for name in names]), word, *key, out)
        digests.append(out)
        nodes.append(places + 1)
    return keyed(np.concatenate(digests), np.concatenate(nodes))


def wants_sessions(bindings: Bindings) -> bool:
    """Whether a line is found by what is learned on the wire."""
    return bool(np.isin(bindings.lines.view(np.ndarray)[1:]["kind"], (USER, CIRCUIT, MAC)).any())


def bounds_with_names(bindings: Bindings, bounds: Any) -> Any:
    """`bounds`, CHANGE[] in order of time, and a change for every flow where a line of a user, circuit or MAC address begins or ends: which addresses are its
    is not known ahead."""
    plain = bindings.lines.view(np.ndarray)[1:]
    plain = plain[np.isin(plain["kind"], (USER, CIRCUIT, MAC))]
    times = np.unique(np.concatenate([plain["valid_from"], plain["valid_to"]]))
    times = times[(times != ALWAYS) & (times != NEVER)]
    every = records(len(times), CHANGE)
    every["time"], every["high"], every["vlan"], every["inner_vlan"] = times, np.uint64(0xFFFFFFFFFFFFFFFF), ANY_VLAN, ANY_VLAN
    both = np.concatenate([bounds, every])
    out = records(len(both), CHANGE)
    out[:] = both[np.argsort(both["time"], kind="stable")]
    return out
