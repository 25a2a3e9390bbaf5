"""The table that most detectors count in: an entry for each key and slot of time, in bounded memory.

A key is the number of a rule, an address or network, and what the rule puts beside it; with the slot (time // window of the rule) it has an entry: packets,
bytes, flows, how many distinct values of what the rule asks for, and the row with the lowest flow_id, as an example. An entry is found through one of the WAYS
places of its bucket, a cache line: 40 bits of a seeded hash and the entry's number. Where a bucket is full, the entry that counts least makes room, one of a
closed slot first, which is counted (`evicted`): what was counted most stays, however many sources there are. Entries fill from the front, so that memory is
touched for those that there are.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.key import hash_of
from dpi.capture.prefetch import prefetch, prefetch_second
from dpi.jit import I64, entry, kernel, pointed, world_dtype
from dpi.security.crossing import floored, outweighed
from dpi.security.distinct import INLINE, SKETCH, WORDS, estimate, join, spread_out

WAYS = 8
NUMBER_BITS = 24            # of a place: the number of its entry; the others are of the tag
NUMBER = np.uint64((1 << NUMBER_BITS) - 1)
MEASURES = ("distinct", "packets", "bytes", "flows")
#: A rule as the kernel knows it. Limits and floors: 0 none.
RULE = np.dtype((np.record, [
    ("all", "u8"), ("any", "u8"), ("none", "u8"), ("window", "i8"),
    ("closed", "i8"),                               # slots below it are closed
    *((f"limit_{name}", "i8") for name in MEASURES), *((f"floor_{name}", "i8") for name in MEASURES),       # floor: a slot is told of when it closes
    ("key", "u1"), ("distinct_of", "u1"), ("port", "u1"), ("sent", "u1"), ("every", "u1"), ("table", "u1"),
    ("outweigh", "u1"),                             # 1: nothing fires unless there are more packets than bytes
    ("pad", "u1"),
]))
#: 128 bytes. flow_id, peer, peer_port: of the example; few: the first marks.
ENTRY = np.dtype((np.record, [
    ("high", "u8"), ("low", "u8"), ("beside", "u8"), ("slot", "i8"), ("packets", "i8"), ("bytes", "i8"), ("flows", "i8"), ("first", "i8"), ("last", "i8"),
    ("flow_id", "u8"), ("peer", "u8", (2,)), ("distinct", "u4"), ("block", "u4"), ("few", "u4", (INLINE,)),
    ("port", "u2"), ("peer_port", "u2"), ("rule", "u1"), ("fired", "u1"), ("sketch", "u1"), ("told", "u1"),
]))
assert ENTRY.itemsize == 128, ENTRY.itemsize
HEAD = np.dtype((np.record, [
    ("clock", "i8"), ("first", "i8"), ("grace", "i8"),      # greatest interval_end, least interval_start; how late rows may come, us
    ("rows", "i8"), ("used", "i8"), ("evicted", "i8"), ("late", "i8"), ("blocks_full", "i8"), ("found", "i8"), ("free_block", "i8"), ("high_block", "i8"),
    ("free_entry", "i8"), ("high_entry", "i8"),             # number + 1 of an entry that was given back, 0 none; of those ever in use
]))
#: What a row adds to an entry that is yet to be found; tag: of the entry, its bucket in `tags` follows from it.
PENDING = np.dtype((np.record, [
    ("row", "i8"), ("number", "i8"), ("slot", "i8"), ("packets", "i8"), ("bytes", "i8"), ("flows", "i8"), ("high", "u8"), ("low", "u8"), ("beside", "u8"),
    ("tag", "u8"), ("port", "i8"), ("pad", "u8"),
]))
#: Rules that rows of the same bits are counted by, a cache line. table: that of the rows + 1, 0 none yet; count: of numbers, MANY more than those.
MATCHES, MANY, NUMBERS = 512, 255, 54
MATCH = np.dtype((np.record, [("bits", "u8"), ("table", "u1"), ("count", "u1"), ("numbers", "u1", (NUMBERS,))]))
assert MATCH.itemsize == 64, MATCH.itemsize
U1, U2, U4, U8, I8, F8 = (np.dtype(kind) for kind in ("u1", "u2", "u4", "u8", "i8", "f8"))
#: found int64[]: pairs of an entry's place and a row, or of a place and -1 (closed). protocols, applications, categories uint16[]: sorts by a row's codes, a
#: bit each; services uint16[65536]: by its server port; beside uint32[]: of each row of a batch 1 its client is local, 2 its server is, from 4 on how often it
#: was denied; empty where nothing is known.
ARRAYS = {"head": HEAD, "rules": RULE, "tags": U8, "entries": ENTRY, "blocks": U4, "found": I8, "pending": PENDING, "seed": U8, "ports": U1,
          "protocols": U2, "linear": F8, "applications": U2, "categories": U2, "services": U2, "beside": U4, "matches": MATCH}
WORLD = world_dtype(tuple(ARRAYS))
(head_of, rules_of, tags_of, entries_of, blocks_of, found_of, pending_of, seed_of, ports_of, protocols_of, linear_of, applications_of,
 categories_of, services_of, beside_of, matches_of) = (pointed(name, kind) for name, kind in ARRAYS.items())


@kernel
def tell(w: Any, place: Any, k: Any) -> Any:
    """Tell Python of the entry that a place stands for."""
    head = head_of(w)[0]
    found_of(w)[head.found] = place
    found_of(w)[head.found + 1] = k
    head.found += 2
    return 0


@kernel
def tag_of(w: Any, asked: Any) -> Any:
    """The tag of a key and slot, with room for an entry's number."""
    seed = seed_of(w)
    about = np.uint64(asked.number) << np.uint64(56) | np.uint64(asked.port) << np.uint64(40) | np.uint64(asked.slot & 0xFFFFFFFFFF)
    mixed = hash_of(hash_of(asked.high, asked.low, seed) ^ about, asked.beside, seed)
    return (mixed & ~NUMBER) | np.uint64(1) << np.uint64(63)        # 0 is an empty place


@kernel
def bucket_of(tags: Any, tag: Any) -> Any:
    """The first place of a tag's bucket."""
    return np.int64((tag >> np.uint64(NUMBER_BITS) & np.uint64(tags.size // WAYS - 1)) * np.uint64(WAYS))


@kernel
def number_at(w: Any, place: Any) -> Any:
    """The number of the entry that a place stands for."""
    return np.int64(tags_of(w)[place] & NUMBER)


@kernel
def ask_for(w: Any, tag: Any) -> Any:
    """Prefetch the entry that has a tag. A new one lies where the last one was made, or was given back."""
    tags = tags_of(w)
    bucket = bucket_of(tags, tag)
    number = head_of(w)[0].high_entry
    for k in range(WAYS):
        number = np.int64(tags[bucket + k] & NUMBER) if tags[bucket + k] & ~NUMBER == tag else number
    prefetch(entries_of(w), number)
    prefetch_second(entries_of(w), number)
    return 0


@kernel
def place_of(w: Any, asked: Any) -> Any:
    """The place that stands for a key's entry, which is made where there is none."""
    tags = tags_of(w)
    tag = asked.tag
    high = asked.high
    low = asked.low
    beside = asked.beside
    slot = asked.slot
    number = asked.number
    port = asked.port
    bucket = bucket_of(tags, tag)
    free = np.int64(-1)
    for k in range(WAYS):
        place = bucket + k
        if tags[place] & ~NUMBER == tag:
            one = entries_of(w)[number_at(w, place)]
            if one.high == high and one.low == low and one.beside == beside and one.slot == slot and one.rule == number and one.port == port:
                return place
        elif tags[place] == 0 and free < 0:
            free = place
    if free < 0:
        free = least(w, bucket)
        empty = number_at(w, free)
        give_back(w, empty)
        head_of(w)[0].evicted += 1
    else:
        empty = take_entry(w)
        head_of(w)[0].used += 1
    tags[free] = tag | np.uint64(empty)
    fresh = entries_of(w)[empty]
    fresh.high = high
    fresh.low = low
    fresh.beside = beside
    fresh.slot = slot
    fresh.rule = np.uint8(number)
    fresh.port = np.uint16(port)
    fresh.packets = 0
    fresh.bytes = 0
    fresh.flows = 0
    fresh.first = np.int64(1) << 62
    fresh.last = -(np.int64(1) << 62)
    fresh.flow_id = np.uint64(0xFFFFFFFFFFFFFFFF)
    fresh.distinct = 0
    fresh.block = 0
    fresh.sketch = 0
    fresh.fired = 0
    fresh.told = 0
    return free


@kernel
def take_entry(w: Any) -> Any:
    """The number of a free entry: there are as many as places."""
    head = head_of(w)[0]
    number = head.free_entry - 1
    if number >= 0:
        head.free_entry = np.int64(entries_of(w)[number].high)
        return np.int64(number)
    number = head.high_entry
    head.high_entry += 1
    return np.int64(number)


@kernel
def least(w: Any, bucket: Any) -> Any:
    """The place of a full bucket that counts least: of a slot whose time is over, then one that has not fired, with fewest distinct values and packets."""
    best = bucket
    lowest = np.int64(1) << 62
    over = head_of(w)[0].clock - head_of(w)[0].grace
    for k in range(WAYS):
        one = entries_of(w)[number_at(w, bucket + k)]
        weight = np.int64(one.distinct) * 1024 + min(one.packets, np.int64(1) << 20)
        if one.fired != 0:
            weight += np.int64(1) << 50
        elif (one.slot + 1) * rules_of(w)[one.rule].window < over:
            weight -= np.int64(1) << 50
        if weight < lowest:
            lowest = weight
            best = bucket + k
    return best


@kernel
def give_back(w: Any, number: Any) -> Any:
    """Take an entry's block."""
    one = entries_of(w)[number]
    if one.block != 0:
        head = head_of(w)[0]
        blocks_of(w)[np.int64(one.block) * WORDS] = np.uint32(head.free_block)
        head.free_block = np.int64(one.block)
        one.block = 0
    return 0


@kernel
def distinct(w: Any, one: Any, mark: Any, keep: Any) -> Any:
    """Count a mark into an entry unless it was counted. keep: the WORDS smallest stay marks. Where no block is free, more than INLINE are not told apart, which
    is counted."""
    blocks = blocks_of(w)
    if one.sketch & SKETCH:
        at = np.int64(one.block) * WORDS
        if join(blocks, at, mark):
            one.distinct = np.uint32(max(np.int64(WORDS + 1), estimate(blocks, at, linear_of(w))))
        return 0
    held = np.int64(one.distinct)
    if one.block == 0:
        for k in range(held):
            if np.int64(one.few[k]) == mark:
                return 0
        if held < INLINE:
            one.few[held] = np.uint32(mark)
            one.distinct += np.uint32(1)
            return 0
        block = take_block(w)
        if block == 0:
            head_of(w)[0].blocks_full += 1
            return 0
        one.block = np.uint32(block)
        for k in range(INLINE):
            blocks[block * WORDS + k] = one.few[k]
    at = np.int64(one.block) * WORDS
    largest = at
    for k in range(held):
        if np.int64(blocks[at + k]) == mark:
            return 0
        if blocks[at + k] > blocks[largest]:
            largest = at + k
    if held < WORDS:
        blocks[at + held] = np.uint32(mark)
        one.distinct += np.uint32(1)
        return 0
    if keep:
        if mark < np.int64(blocks[largest]):
            blocks[largest] = np.uint32(mark)
        return 0
    spread_out(blocks, at)
    join(blocks, at, mark)
    one.sketch |= np.uint8(SKETCH)
    one.distinct = np.uint32(max(np.int64(WORDS + 1), estimate(blocks, at, linear_of(w))))
    return 0


@kernel
def take_block(w: Any) -> Any:
    """A free block, zeroed; 0 where there is none."""
    head = head_of(w)[0]
    blocks = blocks_of(w)
    block = head.free_block
    if block != 0:
        head.free_block = np.int64(blocks[block * WORDS])
    elif (head.high_block + 1) * WORDS < blocks.size:
        head.high_block += 1
        block = head.high_block
    else:
        return np.int64(0)
    for k in range(WORDS):
        blocks[block * WORDS + k] = np.uint32(0)
    return np.int64(block)


@entry(I64, I64, WORLD)
def close_slots(place: Any, moment: Any, worlds: Any) -> Any:
    """Close, from `place` on, the entries whose slot ended before `moment`: those that fired or passed a floor are told, all are given back once told.

    Entries that were told stay until Python calls `forget`. Returns the place to go on from, or the number of places at the end."""
    w = worlds[0]
    head = head_of(w)[0]
    rules = rules_of(w)
    tags = tags_of(w)
    at = np.int64(place)
    while at < tags.size:
        if tags[at] != 0:
            one = entries_of(w)[number_at(w, at)]
            rule = rules[one.rule]
            if (one.slot + 1) * rule.window <= moment:
                if (one.fired != 0 and not outweighed(rule, one)) or floored(rule, one):
                    if head.found + 2 > found_of(w).size:
                        return at
                    tell(w, at, np.int64(-1))
                else:
                    forget_one(w, at)
        at += 1
    for number in range(rules.size):
        rules[number].closed = max(rules[number].closed, moment // rules[number].window)
    return at


@kernel
def forget_one(w: Any, place: Any) -> Any:
    """Empty a place, and give its entry back."""
    if tags_of(w)[place] == 0:
        return 0
    head = head_of(w)[0]
    number = number_at(w, place)
    give_back(w, number)
    entries_of(w)[number].high = np.uint64(head.free_entry)
    head.free_entry = number + 1
    tags_of(w)[place] = np.uint64(0)
    head.used -= 1
    return 0


@entry(I64, WORLD)
def forget(count: Any, worlds: Any) -> Any:
    """Empty the places of the first `count` pairs of `found`, and `found` itself."""
    w = worlds[0]
    for k in range(count):
        forget_one(w, found_of(w)[2 * k])
    head_of(w)[0].found = 0
    return 0
