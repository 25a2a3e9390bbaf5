"""Bindings as kernels look them up: whose an address, a MAC address or a VLAN is at a time.

A *key* (a prefix in its VLANs, a MAC address, a VLAN) has a NODE: its lines in the order of time. Prefixes of one scope (a VLAN, or anywhere) nest or are
apart; their ends cut the addresses into SEGMENTs, each with the node of its innermost prefix, from which the way leads outwards (`parent`) until a line
holds at the time. For IPv4 outside of VLANs `starts` says where the segments of each /16 begin, and of one that has many
(`dense`) those of each /24; of a /24 that has many (`direct`) the node of each address lies in `hosts`, which is one place in memory to look at and not five.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from dpi.flow.changes import KEPT
from dpi.flow.table import ANY_VLAN, CHANGE
from dpi.identity.bindings import ALWAYS, BINDING, CIRCUIT, MAC, NEVER, PREFIX, USER, VLAN, Bindings
from dpi.jit import kernel, pointed, records

U4 = np.dtype("u4")
_WORD = (1 << 64) - 1
_MANY = 32                      # segments of a /16 beyond which it is dense
_CROWDED = 8                    # segments of a /24 from which on it is direct: its 256 hosts take a kilobyte
_BLOCKS = (1 << 16) + 1         # places in `starts` of the /16; those of each /24 come behind
_ANY_INNER = 0xFFFF             # in a scope's key: whatever the inner VLAN is

#: Lines of one key: lines[first:stop]; parent: the node of the next larger prefix, 0 none.
NODE = np.dtype((np.record, [("first", "u4"), ("stop", "u4"), ("parent", "u4")]))
#: Addresses from (high, low) on, until the next segment of the scope begins, belong to this node, 0 to none.
SEGMENT = np.dtype((np.record, [("high", "u8"), ("low", "u8"), ("node", "u4"), ("pad", "u4")]))
#: A VLAN (key: VLAN << 16 | inner VLAN or _ANY_INNER) or anywhere (record 0): its segments, and the node of the lines that bind the VLAN itself.
SCOPE = np.dtype((np.record, [("key", "u4"), ("first", "u4"), ("stop", "u4"), ("node", "u4")]))
#: A number that is looked up exactly, in order.
KEYED = np.dtype((np.record, [("key", "u8"), ("node", "u4"), ("pad", "u4")]))
#: Addresses from `low` to `high`, each (high word, low word).
RANGE = np.dtype((np.record, [("low", "u8", (2,)), ("high", "u8", (2,))]))

ARRAYS = {"lines": BINDING, "nodes": NODE, "segments": SEGMENT, "scopes": SCOPE, "macs": KEYED, "starts": U4, "dense": U4, "direct": U4,
          "hosts": U4, "locals": RANGE}
lines_of = pointed("lines", BINDING)
nodes_of = pointed("nodes", NODE)
segments_of = pointed("segments", SEGMENT)
scopes_of = pointed("scopes", SCOPE)
macs_of = pointed("macs", KEYED)
starts_of = pointed("starts", U4)
dense_of = pointed("dense", U4)
direct_of = pointed("direct", U4)
hosts_of = pointed("hosts", U4)
locals_of = pointed("locals", RANGE)


# ---------------------------------------------------------------- looking up

@kernel
def line_at(w: Any, node: Any, time: Any) -> Any:
    """The line of a node that holds at `time`, us; 0: none."""
    lines = lines_of(w)
    low, high = np.int64(nodes_of(w)[node].first), np.int64(nodes_of(w)[node].stop)
    while high - low > 1:               # the last that began by then
        middle = (low + high) >> 1
        if lines[middle].valid_from <= time:
            low = middle
        else:
            high = middle
    return low if lines[low].valid_from <= time and time < lines[low].valid_to else np.int64(0)


@kernel
def line_of_address(w: Any, scope: Any, high: Any, low: Any, time: Any, most: Any) -> Any:
    """The line of the longest prefix of a scope, of `most` bits at most, that holds the address (its high and its low word) at `time`; 0: none."""
    node = np.int64(node_of_address(w, scope, high, low))
    while node != 0:
        line = np.int64(line_at(w, node, time))
        if line != 0 and np.int64(lines_of(w)[line].length) <= most:
            return line
        node = np.int64(nodes_of(w)[node].parent)
    return np.int64(0)


@kernel
def node_of_address(w: Any, scope: Any, high: Any, low: Any) -> Any:
    """The node of the longest prefix of a scope that holds the address; 0: none."""
    segments = segments_of(w)
    first, stop = np.int64(scopes_of(w)[scope].first), np.int64(scopes_of(w)[scope].stop)
    if first == stop:
        return np.int64(0)
    if scope == 0 and high == np.uint64(0) and low >> np.uint64(32) == np.uint64(0xFFFF):
        block = np.int64((low >> np.uint64(16)) & np.uint64(0xFFFF))
        if dense_of(w)[block] != 0:
            block = np.int64(dense_of(w)[block]) + np.int64((low >> np.uint64(8)) & np.uint64(0xFF))
            place = np.int64(direct_of(w)[block - _BLOCKS])
            if place != 0:
                return np.int64(hosts_of(w)[(place - 1) << 8 | np.int64(low & np.uint64(0xFF))])
        first, size = np.int64(starts_of(w)[block]), np.int64(starts_of(w)[block + 1]) + 1
        size -= first
        while size > 1:                 # as below; the high words are all 0, and there is no branch to be guessed
            half = size >> 1
            first += half if segments[first + half].low <= low else np.int64(0)
            size -= half
        stop = first
    while stop - first > 1:             # the last that begins at the address or before it
        middle = (first + stop) >> 1
        segment = segments[middle]
        if segment.high < high or (segment.high == high and segment.low <= low):
            first = middle
        else:
            stop = middle
    return np.int64(segments[first].node)


@kernel
def scope_of(w: Any, vlan: Any, inner: Any) -> Any:
    """The scope of these VLANs; 0: none of its own."""
    key = vlan << 16 | inner
    scopes = scopes_of(w)
    low, high = np.int64(0), np.int64(scopes.size)
    while high - low > 1:
        middle = (low + high) >> 1
        if np.int64(scopes[middle].key) <= key:
            low = middle
        else:
            high = middle
    return low if np.int64(scopes[low].key) == key else np.int64(0)


@kernel
def node_of_key(keyed: Any, key: Any) -> Any:
    """The node of a key in KEYED[]; 0: none."""
    first, size = np.int64(0), np.int64(keyed.size)
    if size == 0:
        return np.int64(0)
    while size > 1:                     # the last that is not greater; there is no branch to be guessed
        half = size >> 1
        first += half if keyed[first + half].key <= key else np.int64(0)
        size -= half
    return np.int64(keyed[first].node) if keyed[first].key == key else np.int64(0)


@kernel
def is_local(w: Any, high: Any, low: Any) -> Any:
    """1 where the address is in one of `locals`, which are apart and in order; else 0."""
    ranges = locals_of(w)
    first, stop = np.int64(0), np.int64(ranges.size)
    while first < stop:
        middle = (first + stop) >> 1
        one = ranges[middle]
        if high < one.low[0] or (high == one.low[0] and low < one.low[1]):
            stop = middle
        elif high > one.high[0] or (high == one.high[0] and low > one.high[1]):
            first = middle + 1
        else:
            return 1
    return 0


# ---------------------------------------------------------------- building

def build(bindings: Bindings, local: Iterable[tuple[int, int]]) -> dict[str, Any]:
    """The arrays by their names in ARRAYS. local: (first, last address of 128 bits) of the local networks."""
    lines = bindings.lines
    firsts = bindings.groups()
    nodes = records(len(firsts) + 1, NODE)
    nodes["first"][1:], nodes["stop"][1:] = firsts, np.append(firsts[1:], len(lines))
    head = lines.view(np.ndarray)[firsts]          # a line of each key
    return {"lines": lines, "nodes": nodes, "macs": _macs(head), "locals": _ranges(local), **_prefixes(head, nodes)}


def _macs(head: Any) -> Any:
    places = np.flatnonzero(head["kind"] == MAC)
    return keyed(head["mac"][places], places + 1)


def keyed(keys: Any, nodes: Any) -> Any:
    """KEYED[] of distinct keys and their nodes."""
    order = np.argsort(keys, kind="stable")
    out = records(len(order), KEYED)
    out["key"], out["node"] = keys[order], nodes[order]
    return out


def _prefixes(head: Any, nodes: Any) -> dict[str, Any]:
    """`segments`, `scopes` and what finds those of IPv4; the parents of nodes are set."""
    inner = np.where(head["inner_vlan"] == ANY_VLAN, _ANY_INNER, head["inner_vlan"])
    keys = np.where(head["vlan"] == ANY_VLAN, 0, head["vlan"].astype(np.int64) << 16 | inner)
    distinct = sorted({0, *keys[head["kind"] == PREFIX].tolist(), *keys[head["kind"] == VLAN].tolist()})
    scopes = records(len(distinct), SCOPE)
    scopes["key"] = distinct
    parts, begin = [], 0
    of_prefixes = np.flatnonzero(head["kind"] == PREFIX)
    order = of_prefixes[np.argsort(keys[of_prefixes], kind="stable")]      # of one scope as they are: in order, the larger first
    bounds = np.searchsorted(keys[order], np.array([*distinct, distinct[-1] + 1]))
    for k in range(len(distinct)):
        some = order[bounds[k]:bounds[k + 1]]
        scopes[k].first = begin
        if len(some):
            parts.append(_segments(head[some], some + 1, nodes))
            begin += len(parts[-1])
        scopes[k].stop = begin
    for place in np.flatnonzero(head["kind"] == VLAN).tolist():
        scopes[int(np.searchsorted(scopes["key"], keys[place]))].node = place + 1
    segments = records(begin, SEGMENT)
    segments[:] = np.concatenate(parts) if parts else np.zeros(0, segments.dtype)
    starts, dense = np.zeros(_BLOCKS, np.uint32), np.zeros(1 << 16, np.uint32)
    direct, hosts = np.zeros(0, np.uint32), np.zeros(0, np.uint32)
    mine = segments[:int(scopes[0].stop)].view(np.ndarray)
    if len(mine):
        mapped = (mine["high"] == 0) & (mine["low"] >> np.uint64(32) == 0xFFFF)
        before = int(np.count_nonzero((mine["high"] == 0) & (mine["low"] < np.uint64(0xFFFF << 32))))
        lows = mine["low"][mapped]

        def within(first: Any) -> Any:
            """Of addresses the segment that each is in."""
            return (before + np.searchsorted(lows, np.uint64(0xFFFF << 32) + first, "right") - 1).astype(np.uint32)

        starts = within(np.arange(_BLOCKS, dtype=np.uint64) << np.uint64(16))
        many = np.flatnonzero(np.diff(starts.astype(np.int64)) > _MANY)
        dense[many] = len(starts) + 257 * np.arange(len(many))
        fine = (many.astype(np.uint64)[:, None] << np.uint64(16)) + (np.arange(257, dtype=np.uint64) << np.uint64(8))
        finer = within(fine.ravel())
        crowded = np.diff(finer.astype(np.int64), append=0) >= _CROWDED
        crowded[256::257] = False               # the ends of the /16
        direct = np.where(crowded, np.cumsum(crowded), 0).astype(np.uint32)
        hosts = mine["node"][within((fine.ravel()[crowded][:, None] + np.arange(256, dtype=np.uint64)).ravel())]
        starts = np.concatenate([starts, finer])
    return {"segments": segments, "scopes": scopes, "starts": starts, "dense": dense, "direct": direct, "hosts": hosts}


def _segments(head: Any, numbers: Any, nodes: Any) -> Any:
    """SEGMENT[] of the prefixes of one scope, in order and the larger first; `numbers` are their nodes."""
    lows = [high << 64 | low for high, low in head["low"].tolist()]
    highs = [high << 64 | low for high, low in head["high"].tolist()]
    begins, holders = [0], [0]
    around: list[tuple[int, int]] = []          # (last address, node) of the prefixes around the current place
    parents = []

    def begin(address: int, node: int) -> None:
        if begins[-1] == address:
            holders[-1] = node
        else:
            begins.append(address)
            holders.append(node)

    for first, last, node in zip(lows, highs, numbers.tolist(), strict=True):
        while around and around[-1][0] < first:
            until = around.pop()[0]
            begin(until + 1, around[-1][1] if around else 0)
        parents.append(around[-1][1] if around else 0)
        begin(first, node)
        around.append((last, node))
    while around:
        until = around.pop()[0]
        if until < (1 << 128) - 1:
            begin(until + 1, around[-1][1] if around else 0)
    nodes["parent"][numbers] = parents
    out = np.zeros(len(begins), SEGMENT)
    out["high"] = np.array([address >> 64 for address in begins], np.uint64)
    out["low"] = np.array([address & _WORD for address in begins], np.uint64)
    out["node"] = holders
    return out


def _ranges(spans: Iterable[tuple[int, int]]) -> Any:
    """RANGE[] in order, those that touch or overlap as one."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    out = records(len(merged), RANGE)
    for k, ends in enumerate(merged):
        for name, address in zip(("low", "high"), ends, strict=True):
            out[k][name][0], out[k][name][1] = address >> 64, address & _WORD
    return out


def changes_at(lines: Any, times: Any) -> Any:
    """CHANGE[] for BINDING[] that begin or end at `times`, in order of time."""
    order = np.argsort(times, kind="stable")
    out = records(len(order), CHANGE)
    plain = lines.view(np.ndarray)[order]
    out["time"] = times[order]
    for name in ("low", "high", "mac", "vlan", "inner_vlan"):
        out[name] = plain[name]
    return out


def bounds(bindings: Bindings) -> Any:
    """Every moment at which a line begins or ends, CHANGE[] in order of time. Those of users and circuits are where their leases are (leases.py)."""
    plain = bindings.lines.view(np.ndarray)[1:]
    plain = plain[plain["kind"] <= VLAN]
    since, until = plain[plain["valid_from"] != ALWAYS], plain[plain["valid_to"] != NEVER]
    return changes_at(np.concatenate([since, until]), np.concatenate([since["valid_from"], until["valid_to"]]))


def differing(old: Bindings, new: Bindings, time: int) -> Any:
    """What must be cut at `time` because a file was replaced: CHANGE[] for the lines that hold then in one of them only; one for all where they are many."""
    one, two = (some.lines.view(np.ndarray)[1:] for some in (old, new))
    fresh, gone = two[~np.isin(two["digest"], one["digest"])], one[~np.isin(one["digest"], two["digest"])]
    both = np.concatenate([fresh, gone])
    both = both[(both["valid_from"] <= time) & (time < both["valid_to"])]
    if len(both) > KEPT // 2 or np.isin(both["kind"], (MAC, USER, CIRCUIT)).any():        # those have addresses that only sessions know
        both = np.zeros(1, BINDING)
        both["high"], both["vlan"], both["inner_vlan"] = _WORD, ANY_VLAN, ANY_VLAN
    return changes_at(both, np.full(len(both), time))
