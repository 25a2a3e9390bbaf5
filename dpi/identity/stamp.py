"""The stamp of a row: which lines of the bindings its two ends are at the time it began, which end is local, and what is metered elsewhere. A row, not a
packet, is looked up; that a row is of one line is the flow table's work (dpi/flow/changes.py).

Precedence, for each end (docs/identity.md): the lease of its address (leases.py), a prefix within the row's VLAN and inner VLAN, one within its VLAN,
a prefix anywhere, its MAC address, its VLANs, its VLAN. A lease says which user or circuit has the address then; where a line binds that
user or circuit it is taken, else the search goes on.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.prefetch import prefetch, prefetch_fourth, prefetch_second, prefetch_third
from dpi.flow.row import ROW
from dpi.flow.table import ANY_CLIENT, ANY_SERVER, PREFIX_24, PREFIX_48
from dpi.identity import index
from dpi.identity.holders import HELD, line_of_holder
from dpi.identity.index import is_local, line_at, line_of_address, lines_of, macs_of, node_of_key, nodes_of, scope_of, scopes_of
from dpi.jit import I64, entry, kernel, world_dtype

U4 = np.dtype("u4")
ANY_INNER = 0xFFFF
AHEAD = 8                   # rows that are asked for ahead
#: Of a row: its lines (places in BINDING[], 0 none) and flags.
STAMP = np.dtype((np.record, [("client", "u4"), ("server", "u4"), ("client_local", "u1"), ("server_local", "u1"),
                              ("client_duplicate", "u1"), ("server_duplicate", "u1")]))
ARRAYS = index.ARRAYS
WORLD = world_dtype(tuple(ARRAYS))


@kernel
def turned(word: Any) -> Any:
    """Eight octets in the order of the wire as a number."""
    word = (word & np.uint64(0x00FF00FF00FF00FF)) << np.uint64(8) | (word >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF)
    word = (word & np.uint64(0x0000FFFF0000FFFF)) << np.uint64(16) | (word >> np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF)
    return word << np.uint64(32) | word >> np.uint64(32)


@kernel
def of_end(w: Any, high: Any, low: Any, mac: Any, time: Any, both: Any, one: Any, most: Any) -> Any:
    """The line of an end but those of its VLANs alone; 0: none. both, one: scopes of the row's VLANs and of its outer VLAN, 0 none; most: bits of its address
    that are known, which a prefix may not exceed."""
    if both != 0:
        line = np.int64(line_of_address(w, both, high, low, time, most))
        if line != 0:
            return line
    if one != 0:
        line = np.int64(line_of_address(w, one, high, low, time, most))
        if line != 0:
            return line
    line = np.int64(line_of_address(w, np.int64(0), high, low, time, most))
    if line != 0:
        return line
    if macs_of(w).size != 0 and mac != np.uint64(0):
        node = np.int64(node_of_key(macs_of(w), mac))
        if node != 0:
            return np.int64(line_at(w, node, time))
    return np.int64(0)


@kernel
def of_vlan(w: Any, both: Any, one: Any, time: Any) -> Any:
    """The line that binds the row's VLANs, else that of its outer VLAN; 0: none."""
    if both != 0 and scopes_of(w)[both].node != 0:
        line = np.int64(line_at(w, np.int64(scopes_of(w)[both].node), time))
        if line != 0:
            return line
    if one != 0 and scopes_of(w)[one].node != 0:
        return np.int64(line_at(w, np.int64(scopes_of(w)[one].node), time))
    return np.int64(0)


@kernel
def elsewhere(w: Any, line: Any, probe: Any, interface: Any) -> Any:
    """1 where a line names another metering point. probe, interface: numbers as in BINDING; interface 0: not known, so it is not compared."""
    if line == 0:
        return 0
    its = lines_of(w)[line]
    if its.probe != 0 and np.int64(its.probe) != probe:
        return 1
    return 1 if its.interface != 0 and interface != 0 and np.int64(its.interface) != interface else 0


@kernel
def known_bits(fold: Any, server: Any) -> Any:
    """How many bits of an end's address a row knows: all, but of a fold (dpi/flow/eviction.py) those of its clients' network, or none."""
    if server:
        return 0 if fold & ANY_SERVER else 128
    if fold & ANY_CLIENT:
        return 0
    return 24 if fold & PREFIX_24 else 48 if fold & PREFIX_48 else 128


@entry(ROW, STAMP, U4, WORLD, HELD, I64, I64)
def stamp(rows: Any, stamps: Any, interfaces: Any, worlds: Any, held: Any, count: Any, probe: Any) -> Any:
    """Stamp rows[:count]. interfaces uint32[]: numbers (as in BINDING) of the rows' interfaces; held: HELD[1] of the leases (holders.py), or none; probe: that
    of the probe."""
    w = worlds[0]
    learned = held.size != 0
    bound = nodes_of(w).size > 1
    scoped = scopes_of(w).size > 1
    for k in range(count):
        prefetch(rows, k + AHEAD)
        prefetch_second(rows, k + AHEAD)
        prefetch_third(rows, k + AHEAD)
        prefetch_fourth(rows, k + AHEAD)
        row = rows[k]
        out = stamps[k]
        client_high, client_low = turned(row.client_ip[0]), turned(row.client_ip[1])
        server_high, server_low = turned(row.server_ip[0]), turned(row.server_ip[1])
        out.client_local = is_local(w, client_high, client_low)
        out.server_local = is_local(w, server_high, server_low)
        client, server = np.int64(0), np.int64(0)
        if bound:
            time = np.int64(row.interval_start)
            vlan, inner = np.int64(row.vlan), np.int64(row.inner_vlan)
            both, one = np.int64(0), np.int64(0)
            if scoped and vlan != 0:
                both = np.int64(scope_of(w, vlan, inner))
                one = np.int64(scope_of(w, vlan, np.int64(ANY_INNER)))
            if learned:
                if row.folded == 0:         # else the client is a network
                    client = np.int64(line_of_holder(held[0], w, client_high, client_low, vlan, inner, time, False))
                server = np.int64(line_of_holder(held[0], w, server_high, server_low, vlan, inner, time, False))
            if client == 0:
                client = np.int64(of_end(w, client_high, client_low, row.client_mac, time, both, one, np.int64(known_bits(row.fold, False))))
            if server == 0:
                server = np.int64(of_end(w, server_high, server_low, row.server_mac, time, both, one, np.int64(known_bits(row.fold, True))))
            if learned:
                if client == 0 and row.folded == 0:
                    client = np.int64(line_of_holder(held[0], w, client_high, client_low, vlan, inner, time, True))
                if server == 0:
                    server = np.int64(line_of_holder(held[0], w, server_high, server_low, vlan, inner, time, True))
            if (both != 0 or one != 0) and (client == 0 or server == 0):
                line = np.int64(of_vlan(w, both, one, time))
                if line != 0:
                    # the local end; where both or none are, the one that nothing nearer binds, and of two such the client
                    if out.client_local != out.server_local:
                        if out.client_local != 0 and client == 0:
                            client = line
                        elif out.server_local != 0 and server == 0:
                            server = line
                    elif client == 0:
                        client = line
                    else:
                        server = line
            interface = np.int64(interfaces[row.interface])
            out.client_duplicate = elsewhere(w, client, probe, interface)
            out.server_duplicate = elsewhere(w, server, probe, interface)
        else:
            out.client_duplicate = 0
            out.server_duplicate = 0
        out.client = np.uint32(client)
        out.server = np.uint32(server)
    return 0
