"""Networks: which rule's prefix holds an address. Prefixes are cut into sorted ranges that do not overlap (the longest prefix is on top),
so a look-up is one binary search."""
from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

import numpy as np

from dpi.jit import I64, entry, kernel, records

NET4 = np.dtype((np.record, [("first", "u4"), ("last", "u4"), ("reason", "u4")]))
NET6 = np.dtype((np.record, [("first", "u1", (16,)), ("last", "u1", (16,)), ("reason", "u4")]))
assert NET4.itemsize == 12 and NET6.itemsize == 36

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@kernel
def _before(addresses: Any, at: Any, bound: Any) -> Any:
    """1 where the 16 bytes at `at` are a smaller number than the 16 bytes of `bound`."""
    for i in range(16):
        left = np.int64(addresses[at + i])
        right = np.int64(bound[i])
        if left != right:
            return 1 if left < right else 0
    return 0


@kernel
def _after(addresses: Any, at: Any, bound: Any) -> Any:
    """1 where the 16 bytes at `at` are a greater number than the 16 bytes of `bound`."""
    for i in range(16):
        left = np.int64(addresses[at + i])
        right = np.int64(bound[i])
        if left != right:
            return 1 if left > right else 0
    return 0


@kernel
def find_network(addresses: Any, at: Any, table4: Any, table6: Any) -> Any:
    """The reason of the longest prefix that holds the address in addresses[at:at+16] (IPv4 as ::ffff:a.b.c.d), else 0.

    addresses: uint8[]; table4: NET4[], table6: NET6[], from `tables()`.
    """
    if at < 0 or at + 16 > addresses.size:
        return np.int64(0)
    mapped = addresses[at + 10] == 255 and addresses[at + 11] == 255
    for i in range(10):
        if addresses[at + i] != 0:
            mapped = False
            break
    low = np.int64(0)
    if mapped:
        address = (np.int64(addresses[at + 12]) << 24 | np.int64(addresses[at + 13]) << 16
                   | np.int64(addresses[at + 14]) << 8 | np.int64(addresses[at + 15]))
        high = np.int64(table4.size)
        while low < high:
            middle = (low + high) // 2
            row4 = table4[middle]
            if address < np.int64(row4.first):
                high = middle
            elif address > np.int64(row4.last):
                low = middle + 1
            else:
                return np.int64(row4.reason)
        return np.int64(0)
    high = np.int64(table6.size)
    while low < high:
        middle = (low + high) // 2
        row6 = table6[middle]
        if _before(addresses, at, row6.first):
            high = middle
        elif _after(addresses, at, row6.last):
            low = middle + 1
        else:
            return np.int64(row6.reason)
    return np.int64(0)


@entry(np.dtype("u1"), I64, NET4, NET6)
def network_reason(addresses: Any, at: Any, table4: Any, table6: Any) -> Any:
    """`find_network` for Python callers."""
    return find_network(addresses, at, table4, table6)


# ---------------------------------------------------------------- building the tables

def _flatten(prefixes: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """(first, last, reason) prefixes, which nest or are apart -> ranges that are apart, the innermost prefix on top."""
    ranges: list[tuple[int, int, int]] = []
    open_: list[tuple[int, int]] = []       # (last, reason) of the prefixes around the current place
    place = 0

    def cover(until: int, reason: int) -> None:
        if place <= until:
            if ranges and ranges[-1][2] == reason and ranges[-1][1] == place - 1:
                ranges[-1] = (ranges[-1][0], until, reason)
            else:
                ranges.append((place, until, reason))

    for first, last, reason in sorted(prefixes, key=lambda one: (one[0], -one[1])):
        while open_ and open_[-1][0] < first:
            cover(*open_[-1])
            place = max(place, open_.pop()[0] + 1)
        if open_:
            cover(first - 1, open_[-1][1])
        place = first
        open_.append((last, reason))
    while open_:
        cover(*open_[-1])
        place = max(place, open_.pop()[0] + 1)
    return ranges


def tables(prefixes: Mapping[Network, int]) -> tuple[Any, Any]:
    """(NET4[], NET6[]) of prefixes -> reason. IPv4-mapped IPv6 prefixes must have been given as IPv4."""
    spans: dict[int, list[tuple[int, int, int]]] = {4: [], 6: []}
    for network, reason in prefixes.items():
        spans[network.version].append((int(network.network_address), int(network.broadcast_address), reason))
    ranges4, ranges6 = _flatten(spans[4]), _flatten(spans[6])
    table4, table6 = records(len(ranges4), NET4), records(len(ranges6), NET6)
    for i, (first, last, reason) in enumerate(ranges4):
        table4[i] = (first, last, reason)
    for i, (first, last, reason) in enumerate(ranges6):
        table6[i] = (np.frombuffer(first.to_bytes(16, "big"), np.uint8), np.frombuffer(last.to_bytes(16, "big"), np.uint8), reason)
    return table4, table6
