"""What a flow holds while its first bytes are looked at: its stream record, buffers and a parser's memory, lent out of bounded pools.

When a pool is empty the inspection of another flow ends: of a few under the hand, one that is named already and only waits for further
transactions, else one that has been silent for a while. Where none is found the flow goes without (counted).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import GOING, MORE, PACKETS
from dpi.classify.memory import inspection_of, parser_memory_of
from dpi.flow.arena import BUFFER, LARGE_MEMORY, SMALL, SMALL_MEMORY, SPAN, take_piece
from dpi.flow.memory import arena_of, flows_of, pools_of, shard_of, streams_of
from dpi.flow.stream import add_segment, close_slot, drop_front, open_memory, open_slot, release_buffers, release_memory
from dpi.flow.table import PHASE_CANDIDATE, PHASE_DONE, PHASE_GOING, PHASE_SINGLE
from dpi.flow.tcp import TCP
from dpi.jit import kernel

PATIENCE = 12           # payload packets looked at before a flow without any verdict is left unknown
LONGEST = 31            # payload packets (the counter's end) after which a parser that wants the stream is not fed any more
RECLAIM_SCAN = 32       # records looked at for one that can be taken from its flow
SILENT_US = 2_000_000   # a flow that is not named keeps what it holds at least so long
RECORD = 3              # beside the numbers of the pools: what `reclaim` is asked for


@kernel
def finish(w: Any, number: Any) -> Any:
    """No more inspection for this flow."""
    flow = flows_of(w)[number]
    if (flow.phase & PHASE_SINGLE) == PHASE_CANDIDATE:
        flow.reason = 0
    flow.phase = PHASE_DONE
    flow.parser = 0
    release_inspection(w, number)
    return 0


@kernel
def release_inspection(w: Any, number: Any) -> Any:
    """Give back what the flow holds."""
    flow = flows_of(w)[number]
    if flow.stream != 0:
        close_slot(streams_of(w), pools_of(w), arena_of(w), shard_of(w), flow.stream)
        flow.stream = 0
    return 0


@kernel
def reclaim(w: Any, number: Any, what: Any) -> Any:
    """End the inspection of another flow that holds a record, or a piece of pool `what`. Returns 1 where one was found."""
    row = shard_of(w)[0]
    flows, streams = flows_of(w), streams_of(w)
    best = np.int64(0)
    silence = np.int64(SILENT_US)
    for _ in range(RECLAIM_SCAN):
        row.stream_hand += 1
        if row.stream_hand >= streams.size:
            row.stream_hand = 1
        stream = streams[row.stream_hand]
        owner = np.int64(stream.owner)
        if owner == 0 or owner == number:
            continue
        if what == BUFFER and stream.buffer[0] == 0 and stream.buffer[1] == 0:
            continue
        if what == SMALL_MEMORY and (stream.memory == 0 or stream.memory_size > SMALL):
            continue
        if what == LARGE_MEMORY and (stream.memory == 0 or stream.memory_size <= SMALL):
            continue
        silent = row.clock - flows[owner].last
        if flows[owner].phase & PHASE_GOING:
            silent += 60_000_000
        if silent > silence:
            silence = silent
            best = owner
    if best == 0:
        row.streams_full += 1
        return 0
    row.streams_reclaimed += 1
    finish(w, best)
    return 1


@kernel
def slot_for(w: Any, number: Any) -> Any:
    """The flow's stream record, opened if need be; 0 when none can be had."""
    flow = flows_of(w)[number]
    slot = np.int64(flow.stream)
    if slot != 0:
        return slot
    slot = open_slot(streams_of(w), shard_of(w), number)
    if slot == 0 and reclaim(w, number, RECORD) == 1:
        slot = open_slot(streams_of(w), shard_of(w), number)
    flow.stream = np.uint32(slot)
    return np.int64(slot)


@kernel
def buffer_for(w: Any, number: Any, slot: Any, d: Any) -> Any:
    """The direction's buffer, lent if need be; 0 when none can be had."""
    stream = streams_of(w)[slot]
    place = np.int64(stream.buffer[d])
    if place == 0:
        place = np.int64(take_piece(pools_of(w), arena_of(w), BUFFER))
        if place == 0 and reclaim(w, number, BUFFER) == 1:
            place = np.int64(take_piece(pools_of(w), arena_of(w), BUFFER))
        stream.buffer[d] = np.uint32(place)
    return place


@kernel
def memory_for(w: Any, number: Any, slot: Any, parser: Any) -> Any:
    """The parser's private memory, zeroed when it is lent; 0 when none can be had. What another parser left there is given back first."""
    stream = streams_of(w)[slot]
    size = np.int64(parser_memory_of(w)[parser])
    if stream.memory != 0 and stream.fed == parser:
        return np.int64(stream.memory)
    release_memory(streams_of(w), pools_of(w), arena_of(w), slot)
    place = np.int64(open_memory(streams_of(w), pools_of(w), arena_of(w), slot, size))
    if place == 0 and reclaim(w, number, SMALL_MEMORY if size <= SMALL else LARGE_MEMORY) == 1:
        place = np.int64(open_memory(streams_of(w), pools_of(w), arena_of(w), slot, size))
    stream.fed = np.uint8(parser)
    return place


@kernel
def hold(w: Any, data: Any, number: Any, slot: Any, d: Any, seq: Any, begin: Any) -> Any:
    """Keep data[begin:], whose first byte has the number `seq`, in the direction's buffer. Returns what `add_segment` says."""
    if buffer_for(w, number, slot, d) == 0:
        return np.int64(-1)
    return np.int64(add_segment(streams_of(w), arena_of(w), slot, d, seq, data, begin, data.size - begin))


@kernel
def follow(w: Any, data: Any, number: Any, d: Any, seq: Any, parser: Any, answer: Any) -> Any:
    """The parser wants to go on: keep what it has not done with, its state, and the record for them, or let go."""
    flow = flows_of(w)[number]
    x = inspection_of(w)[0]
    flow.parser = np.uint8(parser)
    stateful = False
    for i in range(8):
        stateful = stateful or x.state[i] != 0
    stream_wanted = x.ip_protocol == TCP and answer != PACKETS and x.start == 1
    if x.ip_protocol != TCP or answer == PACKETS:
        if answer == MORE and x.packets >= PATIENCE:
            finish(w, number)
            return 0
        if answer == GOING and x.ip_protocol == TCP and x.packets >= LONGEST:
            finish(w, number)
            return 0
    elif x.packets >= LONGEST or (x.start == 0 and answer == MORE and x.packets >= PATIENCE):
        finish(w, number)
        return 0
    if flow.stream == 0 and (stateful or stream_wanted):
        if slot_for(w, number) == 0:
            if not (flow.phase & PHASE_GOING):
                flow.parser = 0
            return 0
    slot = np.int64(flow.stream)
    if slot == 0:
        return 0
    stream = streams_of(w)[slot]
    for i in range(8):
        stream.state[i] = x.state[i]
    if stream_wanted:
        keep_rest(w, data, number, slot, d, seq)
    elif answer == PACKETS:
        if x.ip_protocol == TCP:
            flow.phase |= PHASE_SINGLE
        release_buffers(streams_of(w), pools_of(w), arena_of(w), slot)
        stream.open[0] = 2
        stream.open[1] = 2
        if not stateful and stream.memory == 0:
            release_inspection(w, number)
    return 0


@kernel
def keep_rest(w: Any, data: Any, number: Any, slot: Any, d: Any, seq: Any) -> Any:
    """Of the bytes just shown, keep those the parser is not done with. They lie in the direction's buffer, or else in the packet."""
    x = inspection_of(w)[0]
    stream = streams_of(w)[slot]
    done = min(np.int64(x.done), np.int64(data.size)) if flows_of(w)[number].phase & PHASE_GOING else np.int64(0)
    if stream.open[d] == 0:
        stream.open[d] = 1
    full = x.final == 1
    if stream.buffer[d] != 0:
        if done != 0:
            drop_front(streams_of(w), pools_of(w), arena_of(w), slot, d, done)
    else:
        stream.origin[d] = np.uint32((np.int64(seq) + done) & 0xFFFFFFFF)
        stream.taken[d] = np.uint32(np.int64(stream.taken[d]) + done)
        if done < np.int64(data.size):
            full = hold(w, data, number, slot, d, stream.origin[d], done) < 0
    if full or np.int64(stream.taken[d]) + np.int64(stream.have[d]) >= SPAN:
        stream.open[d] = 2
    return 0
