"""What DNS answers said: address -> name, so that flows without a name of their own get the one their client asked for.

A set-associative table of fixed size: WAYS entries a bucket, the oldest makes room. Names lie in a ring of bytes; an entry whose name has been
overwritten no longer counts. An answer names only flows that start after it. Rows are settled when they leave, and later answers may be known by
then: so that these change nothing, an entry knows the last TIMES moments, at least SPACING apart, at which its name was given, and since when it is.

A flow may ask for what a client was told in another shard: the table is one for all. Shards note answers in lists of their own; these are
learned between blocks, and whoever learns or asks holds the table alone (dpi/crew.py).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import NAMES_MAX
from dpi.jit import kernel, records

WAYS = 4
LIFETIME_US = 6 * 3600 * 1_000_000      # clients reuse addresses long after the TTL; past this the answer is no evidence
TIMES = 15
SPACING_US = 4_000_000                  # TIMES of it are a minute: rows of younger flows are named by exact moments

RESOLUTION = np.dtype((np.record, [
    ("tag", "u8"), ("since", "i8"), ("time", "i8"), ("at", "i8"), ("length", "u4"), ("count", "u4"),      # times us; `count` of `times`, the oldest first
    ("times", "i8", (TIMES,)),
]))

#: One answer as it was noted: `name` resolves to `name_count` addresses of 16 bytes each.
ANSWER = np.dtype((np.record, [
    ("time", "i8"), ("name_count", "u1"), ("pad", "u1"), ("name_length", "u2"), ("pad2", "u4"), ("name", "u1", (256,)), ("addresses", "u1", (16 * NAMES_MAX,)),
]))


class Resolutions:
    """`entries` (a power of two) answers and a ring of `text` bytes (a power of two)."""

    def __init__(self, entries: int = 1 << 16, text: int = 1 << 22) -> None:
        self.entries = records(entries, RESOLUTION)
        self.text: np.ndarray[Any, Any] = np.zeros(text + 256, np.uint8)
        self.head: np.ndarray[Any, Any] = np.zeros(1, np.int64)


@kernel
def address_tag(addresses: Any, at: Any, seed: Any) -> Any:
    """A seeded 64-bit hash of 16 address bytes, never 0."""
    h = seed[2]
    for half in range(2):
        word = np.uint64(0)
        for i in range(8):
            word = (word << np.uint64(8)) | np.uint64(addresses[at + half * 8 + i])
        h = (h ^ word) * (seed[3] | np.uint64(1))
        h ^= h >> np.uint64(29)
        h = h * np.uint64(0xBF58476D1CE4E5B9)
        h ^= h >> np.uint64(32)
    return h | np.uint64(1)


@kernel
def note(answers: Any, shard: Any, inspection: Any) -> Any:
    """Keep the answer in `inspection` (name, addresses) until it is learned; what does not fit is counted."""
    row = shard[0]
    if row.answers >= answers.size:
        row.answers_full += 1
        return 0
    x = inspection[0]
    answer = answers[row.answers]
    answer.time = x.time
    answer.name_count = x.name_count
    answer.name_length = x.name_length
    answer.name = x.name
    answer.addresses = x.addresses
    row.answers += 1
    return 0


@kernel
def learn(entries: Any, text: Any, head: Any, seed: Any, answers: Any, count: Any) -> Any:
    """Remember the first `count` answers."""
    for k in range(count):
        learn_one(entries, text, head, seed, answers[k])
    return 0


@kernel
def learn_one(entries: Any, text: Any, head: Any, seed: Any, x: Any) -> Any:
    """Remember one answer, ANSWER."""
    length = np.int64(x.name_length)
    if length == 0 or length > 255:
        return 0
    size = np.int64(text.size) - 256
    at = head[0]
    for i in range(length):
        text[(at & (size - 1)) + i] = x.name[i]      # the last 256 bytes are slack, so that a name is never split
    head[0] = at + length
    count = min(np.int64(x.name_count), x.addresses.size // 16)
    buckets = entries.size // WAYS
    for k in range(count):
        tag = address_tag(x.addresses, k * 16, seed)
        first = np.int64((tag >> np.uint64(8)) & np.uint64(buckets - 1)) * WAYS
        best = first
        known = False
        for i in range(first, first + WAYS):
            if entries[i].tag == tag and same_name(entries[i], text, x, at, size):
                best = i
                known = x.time - entries[i].time < LIFETIME_US
                break
            if entries[i].tag == 0 or entries[i].time < entries[best].time:
                best = i
        entry = entries[best]
        entry.at = at
        if known:
            entry.since = min(entry.since, x.time)
            entry.time = max(entry.time, x.time)
            give(entry, x.time)
        else:
            entry.tag = tag
            entry.since = x.time
            entry.time = x.time
            entry.length = np.uint32(length)
            entry.times[0] = x.time
            entry.count = np.uint32(1)
    return 0


@kernel
def give(entry: Any, time: Any) -> Any:
    """The name was given again. Shards learn answers of about the same time in any order, and the moments kept must be the same."""
    last = np.int64(entry.count) - 1
    if time < entry.times[last]:
        if last == 0 or time - entry.times[last - 1] >= SPACING_US:
            entry.times[last] = time
    elif time - entry.times[last] >= SPACING_US:
        if last + 1 == TIMES:
            for i in range(last):
                entry.times[i] = entry.times[i + 1]
        else:
            last += 1
            entry.count = np.uint32(last + 1)
        entry.times[last] = time
    return 0


@kernel
def given(entry: Any, before: Any) -> Any:
    """The last moment kept that is not later than `before`; where that is older than all that are kept, `before`."""
    for i in range(np.int64(entry.count)):
        k = np.int64(entry.count) - 1 - i
        if entry.times[k] <= before:
            return entry.times[k]
    return before


@kernel
def same_name(entry: Any, text: Any, x: Any, head: Any, size: Any) -> Any:
    """1 if the entry's name is the one in `x` and still there."""
    if np.int64(entry.length) != np.int64(x.name_length) or head - entry.at > size - 512:
        return 0
    at = entry.at & (size - 1)
    for i in range(np.int64(entry.length)):
        if text[at + i] != x.name[i]:
            return 0
    return 1


@kernel
def resolve(entries: Any, text: Any, head: Any, seed: Any, addresses: Any, at: Any, before: Any) -> Any:
    """The newest answer for the 16 address bytes that is not later than `before` (us): offset << 16 | length in `text`, 0 if none. Of names given at
    the same moment the younger one, else the last by its bytes: nothing depends on which was learned first."""
    tag = address_tag(addresses, at, seed)
    size = np.int64(text.size) - 256
    buckets = entries.size // WAYS
    first = np.int64((tag >> np.uint64(8)) & np.uint64(buckets - 1)) * WAYS
    best, newest = np.int64(-1), np.int64(0)
    for i in range(first, first + WAYS):
        entry = entries[i]
        if entry.tag == tag and entry.since <= before and before - entry.time < LIFETIME_US and head[0] - entry.at <= size - 512:
            when = given(entry, before)
            if best < 0 or when > newest or (when == newest and follows(entry, entries[best], text, size)):
                best, newest = np.int64(i), when
    if best < 0:
        return np.int64(0)
    return ((entries[best].at & (size - 1)) << 16) | np.int64(entries[best].length)


@kernel
def follows(entry: Any, other: Any, text: Any, size: Any) -> Any:
    """Whether an entry comes behind another: it is younger, or as old and its name is."""
    if entry.since != other.since:
        return entry.since > other.since
    one, two = entry.at & (size - 1), other.at & (size - 1)
    for i in range(min(np.int64(entry.length), np.int64(other.length))):
        if text[one + i] != text[two + i]:
            return text[one + i] > text[two + i]
    return entry.length > other.length
