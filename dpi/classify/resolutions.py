"""What DNS answers said: address -> name, so that flows without a name of their own get the one their client asked for.

A set-associative table of fixed size: WAYS entries a bucket, the one that was not told for the longest makes room. Names lie in a ring of bytes; an
entry whose name has been overwritten no longer counts. An answer names only flows that start after it. Rows are settled when they leave,
and later answers may be known by then: so that these change nothing, an entry knows the last TIMES moments, at least SPACING apart, at which its name
was given, and since when it is.

A flow may ask for what a client was told in another shard: the table is one for all. Shards note answers in lists of their own, and whoever learns
or asks holds the table alone; where the result must not depend on threads, they are learned by the order of their packets (dpi/crew.py).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import NAMES_MAX
from dpi.jit import kernel, records

WAYS = 8
LIFETIME_US = 6 * 3600 * 1_000_000      # clients reuse addresses long after the TTL; past this the answer is no evidence
TIMES = 15
SPACING_US = 4_000_000                  # TIMES of it are a minute: rows of younger flows are named by exact moments

#: A bucket: WAYS names that were given to addresses. A tag of 0 is a free place; the tags of a bucket are one line of memory.
RESOLUTION = np.dtype((np.record, [
    ("tag", "u8", (WAYS,)), ("since", "i8", (WAYS,)), ("time", "i8", (WAYS,)), ("at", "i8", (WAYS,)),       # times us; at: of the name's last bytes in the ring
    ("length", "u4", (WAYS,)), ("count", "u4", (WAYS,)), ("times", "i8", (WAYS, TIMES)),        # `count` of `times`, the oldest first
]))

#: One answer as it was noted: `name` resolves to `name_count` addresses of 16 bytes each. number: of its packet, as in PACKET.
ANSWER = np.dtype((np.record, [
    ("time", "i8"), ("name_count", "u1"), ("pad", "u1"), ("name_length", "u2"), ("number", "u4"), ("name", "u1", (256,)),
    ("addresses", "u1", (16 * NAMES_MAX,)),
]))


class Resolutions:
    """`entries` (a power of two) answers and a ring of `text` bytes (a power of two)."""

    def __init__(self, entries: int = 1 << 16, text: int = 1 << 22) -> None:
        self.buckets = records(entries // WAYS, RESOLUTION)
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
    answer.number = x.number
    answer.name_count = x.name_count
    answer.name_length = x.name_length
    answer.name = x.name
    answer.addresses = x.addresses
    row.answers += 1
    return 0


@kernel
def learn(buckets: Any, text: Any, head: Any, seed: Any, answers: Any, count: Any) -> Any:
    """Remember the first `count` answers."""
    for k in range(count):
        learn_one(buckets, text, head, seed, answers[k])
    return 0


@kernel
def learn_one(buckets: Any, text: Any, head: Any, seed: Any, x: Any) -> Any:
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
    for k in range(count):
        tag = address_tag(x.addresses, k * 16, seed)
        bucket = buckets[np.int64((tag >> np.uint64(8)) & np.uint64(buckets.size - 1))]
        best = np.int64(0)
        known = False
        for i in range(WAYS):
            if bucket.tag[i] == tag and same_name(bucket, i, text, x, at, size):
                best = np.int64(i)
                known = x.time - bucket.time[i] < LIFETIME_US
                break
            if bucket.tag[i] == 0 or (bucket.tag[best] != 0 and bucket.at[i] < bucket.at[best]):
                best = np.int64(i)
        bucket.at[best] = at
        if known:
            bucket.since[best] = min(bucket.since[best], x.time)
            bucket.time[best] = max(bucket.time[best], x.time)
            give(bucket, best, x.time)
        else:
            bucket.tag[best] = tag
            bucket.since[best] = x.time
            bucket.time[best] = x.time
            bucket.length[best] = np.uint32(length)
            bucket.times[best, 0] = x.time
            bucket.count[best] = np.uint32(1)
    return 0


@kernel
def give(bucket: Any, i: Any, time: Any) -> Any:
    """The name was given again. Where workers share the table they learn answers of about the same time in any order: the moments kept are the same."""
    last = np.int64(bucket.count[i]) - 1
    if time < bucket.times[i, last]:
        if last == 0 or time - bucket.times[i, last - 1] >= SPACING_US:
            bucket.times[i, last] = time
    elif time - bucket.times[i, last] >= SPACING_US:
        if last + 1 == TIMES:
            for k in range(last):
                bucket.times[i, k] = bucket.times[i, k + 1]
        else:
            last += 1
            bucket.count[i] = np.uint32(last + 1)
        bucket.times[i, last] = time
    return 0


@kernel
def given(bucket: Any, i: Any, before: Any) -> Any:
    """The last moment kept that is not later than `before`; where that is older than all that are kept, `before`."""
    for k in range(np.int64(bucket.count[i]) - 1, -1, -1):
        if bucket.times[i, k] <= before:
            return bucket.times[i, k]
    return before


@kernel
def same_name(bucket: Any, i: Any, text: Any, x: Any, head: Any, size: Any) -> Any:
    """1 if the entry's name is the one in `x` and still there."""
    if np.int64(bucket.length[i]) != np.int64(x.name_length) or head - bucket.at[i] > size - 512:
        return 0
    at = bucket.at[i] & (size - 1)
    for k in range(np.int64(bucket.length[i])):
        if text[at + k] != x.name[k]:
            return 0
    return 1


@kernel
def resolve(buckets: Any, text: Any, head: Any, seed: Any, addresses: Any, at: Any, before: Any) -> Any:
    """The newest answer for the 16 address bytes that is not later than `before` (us): offset << 16 | length in `text`, 0 if none. Of names given at
    the same moment the younger one, else the last by its bytes: nothing depends on which was learned first."""
    tag = address_tag(addresses, at, seed)
    size = np.int64(text.size) - 256
    bucket = buckets[np.int64((tag >> np.uint64(8)) & np.uint64(buckets.size - 1))]
    best, newest = np.int64(-1), np.int64(0)
    for i in range(WAYS):
        if bucket.tag[i] == tag and bucket.since[i] <= before and before - bucket.time[i] < LIFETIME_US and head[0] - bucket.at[i] <= size - 512:
            when = given(bucket, i, before)
            if best < 0 or when > newest or (when == newest and follows(bucket, i, best, text, size)):
                best, newest = np.int64(i), when
    if best < 0:
        return np.int64(0)
    return ((bucket.at[best] & (size - 1)) << 16) | np.int64(bucket.length[best])


@kernel
def follows(bucket: Any, i: Any, other: Any, text: Any, size: Any) -> Any:
    """Whether an entry comes behind another: it is younger, or as old and its name is."""
    if bucket.since[i] != bucket.since[other]:
        return bucket.since[i] > bucket.since[other]
    one, two = bucket.at[i] & (size - 1), bucket.at[other] & (size - 1)
    for k in range(min(np.int64(bucket.length[i]), np.int64(bucket.length[other]))):
        if text[one + k] != text[two + k]:
            return text[one + k] > text[two + k]
    return bucket.length[i] > bucket.length[other]
