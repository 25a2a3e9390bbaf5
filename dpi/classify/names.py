"""Names: which rule covers a server name, a certificate name or an ALPN value, and which one knows a user agent.

A table of names is a hash table (open addressing, at most half full) of suffixes. A name is hashed once, from its end to its beginning, and
looked up at each label boundary; the longest rule wins. The hash is two seeded 32-bit lanes, 64 bits together; the text is not compared.
"""
from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from dpi.jit import I64, entry, kernel, records

#: One slot, 16 bytes. Slot 0 is the head: `low`, `high` the seeds, `suffix` the length of the longest rule; the table follows (a power of two).
NAME = np.dtype((np.record, [
    ("low", "u4"), ("high", "u4"),      # the hash
    ("suffix", "u4"),                   # reason for a name equal to the rule or under it; 0 none
    ("exact", "u4"),                    # reason for a name equal to the rule; 0 none
]))

#: One pattern, 16 bytes. The first 256 records are the lists of patterns by first byte (`at` first record, `length` how many).
AGENT = np.dtype((np.record, [
    ("at", "u4"),               # in agent_bytes
    ("length", "u4"),
    ("reason", "u4"),
    ("pad", "u4"),
]))

_P, _Q = 0x5BD1E995, 0x7FEB352D     # multipliers under 2**31, so that a product of a lane fits 63 bits
_M = 0xFFFFFFFF


@kernel
def _find_slot(names: Any, low: Any, high: Any) -> Any:
    """Index of the slot with this hash, 0 where there is none."""
    mask = np.int64(names.size) - 2
    at = (low ^ (high >> 5)) & mask
    for _ in range(mask + 1):
        slot = names[at + 1]
        if slot.suffix == 0 and slot.exact == 0:
            return np.int64(0)
        if np.int64(slot.low) == low and np.int64(slot.high) == high:
            return at + 1
        at = (at + 1) & mask
    return np.int64(0)


@kernel
def find_name(text: Any, start: Any, stop: Any, names: Any) -> Any:
    """The reason of the longest rule that covers the name text[start:stop] (ASCII, any case, a final dot is ignored), else 0.

    text: uint8[]; names: NAME[] from `table()`. A rule for the whole name only ('=' in the rules) goes before a suffix.
    """
    longest = np.int64(names[0].suffix)
    if longest == 0 or start < 0 or stop > text.size:
        return np.int64(0)
    end = stop
    if end > start and text[end - 1] == 46:
        end -= 1
    if end <= start:
        return np.int64(0)
    low = np.int64(names[0].low)
    high = np.int64(names[0].high)
    found = np.int64(0)
    i = end - 1
    while i >= start:
        byte = np.int64(text[i])
        if byte == 46:
            at = _find_slot(names, low, high)
            if at != 0 and names[at].suffix != 0:
                found = np.int64(names[at].suffix)
        if end - i > longest:
            return found
        if byte >= 65 and byte <= 90:
            byte += 32
        product = (low ^ byte) * 0x5BD1E995
        low = (product ^ (product >> 32)) & 0xFFFFFFFF
        product = (high ^ byte) * 0x7FEB352D
        high = (product ^ (product >> 31)) & 0xFFFFFFFF
        i -= 1
    at = _find_slot(names, low, high)
    if at != 0:
        if names[at].exact != 0:
            return np.int64(names[at].exact)
        if names[at].suffix != 0:
            return np.int64(names[at].suffix)
    return found


@kernel
def find_agent(text: Any, start: Any, stop: Any, agents: Any, agent_bytes: Any) -> Any:
    """The reason of the longest pattern that occurs in text[start:stop] (case matters; of equals the first in the table), else 0.

    text: uint8[]; agents: AGENT[], agent_bytes: uint8[], from `agent_table()`.
    """
    found = np.int64(0)
    longest = np.int64(0)
    if start < 0 or stop > text.size:
        return found
    for i in range(start, stop):
        head = agents[np.int64(text[i])]
        for j in range(np.int64(head.at), np.int64(head.at) + np.int64(head.length)):
            length = np.int64(agents[j].length)
            if length <= longest or i + length > stop:
                continue
            at = np.int64(agents[j].at)
            k = 1
            while k < length and text[i + k] == agent_bytes[at + k]:
                k += 1
            if k == length:
                longest = length
                found = np.int64(agents[j].reason)
    return found


_U1 = np.dtype("u1")


@entry(_U1, I64, I64, NAME)
def name_reason(text: Any, start: Any, stop: Any, names: Any) -> Any:
    """`find_name` for Python callers."""
    return find_name(text, start, stop, names)


@entry(_U1, I64, I64, AGENT, _U1)
def agent_reason(text: Any, start: Any, stop: Any, agents: Any, agent_bytes: Any) -> Any:
    """`find_agent` for Python callers."""
    return find_agent(text, start, stop, agents, agent_bytes)


# ---------------------------------------------------------------- building the tables

def _hash(name: bytes, low: int, high: int) -> tuple[int, int]:
    for byte in reversed(name):
        product = (low ^ byte) * _P
        low = (product ^ (product >> 32)) & _M
        product = (high ^ byte) * _Q
        high = (product ^ (product >> 31)) & _M
    return low, high


def table(suffixes: Mapping[str, int], exact: Mapping[str, int] | None = None) -> Any:
    """NAME[] of lower-case ASCII rules -> reason. A new seed is drawn until all hashes differ."""
    rules = {name.encode(): [reason, 0] for name, reason in suffixes.items()}
    for name, reason in (exact or {}).items():
        rules.setdefault(name.encode(), [0, 0])[1] = reason
    slots = 1 << max(1, (2 * len(rules) - 1).bit_length())
    while True:
        low, high = (int.from_bytes(os.urandom(4), "little") for _ in range(2))
        hashed = {_hash(name, low, high): reasons for name, reasons in rules.items()}
        if len(hashed) == len(rules):
            break
    names = records(slots + 1, NAME)
    used = bytearray(slots)
    rows = np.zeros((slots + 1, 4), np.uint32)
    rows[0] = (low, high, max(map(len, rules), default=0), 0)
    for (a, b), (suffix, whole) in hashed.items():
        at = (a ^ (b >> 5)) & (slots - 1)
        while used[at]:
            at = (at + 1) & (slots - 1)
        used[at] = 1
        rows[at + 1] = (a, b, suffix, whole)
    names.view(np.ndarray).view(np.uint32)[:] = rows.ravel()
    return names


def agent_table(patterns: Mapping[str, int]) -> tuple[Any, Any]:
    """(AGENT[], uint8[]) of patterns -> reason."""
    coded = sorted(((pattern.encode(), reason) for pattern, reason in patterns.items()), key=lambda pair: (pair[0][0], -len(pair[0])))
    agents = records(256 + len(coded), AGENT)
    data = bytearray()
    for number, (pattern, reason) in enumerate(coded):
        head = agents[pattern[0]]
        if head.length == 0:
            head.at = 256 + number
        head.length += 1
        one = agents[256 + number]
        one.at, one.length, one.reason = len(data), len(pattern), reason
        data += pattern
    return agents, np.frombuffer(bytes(data) or b"\0", np.uint8).copy()
