"""The pipeline of one shard, in order: decode -> track -> classify -> export. Read this first.

A shard owns every array it writes while a kernel runs. `pipeline` below is the whole way of a packet on one screen; `dpi/shard.py` holds the memory and
turns full buffers into Batches for the sinks.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture import intake as intakes
from dpi.capture import ring as packet_ring
from dpi.capture.decode import decode_any, decode_batch
from dpi.capture.frame import FRAME, PACKET
from dpi.capture.intake import BATCH, deal, decoder_of, fragments_of
from dpi.capture.ring import keep, ring_of
from dpi.capture.sighting import sight, sightings_of
from dpi.capture.tap import listener_of, tell
from dpi.capture.timeline import pass_time, seconds_of, timeline_of
from dpi.classify import memory as classify_memory
from dpi.classify.dispatch import inspect, last_words
from dpi.classify.memory import answers_of, outbox_of, resolution_head_of, resolution_text_of, resolutions_of
from dpi.classify.renumber import renumber
from dpi.classify.resolutions import ANSWER, learn
from dpi.classify.settle import settle
from dpi.classify.transactions import pick
from dpi.flow import memory as flow_memory
from dpi.flow.changes import note_change, set_clock
from dpi.flow.community import identify
from dpi.flow.expiry import drop, expired
from dpi.flow.fields import spread
from dpi.flow.lookup import look_up
from dpi.flow.memory import flows_of, out_flows_of, seed_of, shard_of, slots_of
from dpi.flow.rows import unpack
from dpi.flow.sweep import flush, sweep
from dpi.flow.table import CHANGE, CLOSED, END_CLOSED, END_IDLE, PHASE_DONE, find
from dpi.flow.tcp import TCP, UDP
from dpi.flow.track import born, count
from dpi.jit import I64, Entry, entry, kernel, pointed, world_dtype
from dpi.rules import RuleSet
from dpi.texts import gather, spell

ANSWERS = 4 * BATCH         # that are noted before they are learned; a packet rarely holds one
LEAST_EXPORTS, LEAST_TRANSACTIONS = 4 * BATCH, 4096      # rows and transactions for which there must be room before a batch of packets
U1, I8 = np.dtype("u1"), np.dtype("i8")
ARRAYS = {**intakes.ARRAYS, **packet_ring.ARRAYS, **flow_memory.ARRAYS, **classify_memory.ARRAYS, "cursor": I8}
WORLD = world_dtype(tuple(ARRAYS))
cursor_of = pointed("cursor", I8)
AT, END, DEALT, TOLD = range(4)         # of the cursor: the next packet, their number, 1 if they were dealt, 1 if the listener had the batch of AT
DONE, DRAIN, HEARD = range(3)           # what `pipeline` returns


@entry(U1, FRAME, PACKET, WORLD)
def pipeline(data: Any, frames: Any, packets: Any, worlds: Any) -> Any:
    """Take packets [AT, END) of a block through the shard. Returns DONE, DRAIN when an output buffer is nearly full, or HEARD when a batch is decoded in which
    the listener noted something: that is learned before its packets are counted.

    packets: dealt, or PACKET[BATCH] to decode frames into.
    """
    w = worlds[0]
    row = shard_of(w)[0]
    cursor = cursor_of(w)
    total = cursor[END]
    dealt = cursor[DEALT]
    while cursor[AT] < total:
        room = out_flows_of(w).size - row.exports - LEAST_EXPORTS       # a packet can export two rows, an eviction one more
        if room < 0 or row.outbox + LEAST_TRANSACTIONS > outbox_of(w).size or row.answers + 2 * BATCH > answers_of(w).size:
            return DRAIN
        if row.sweep > 0 and ((room == 0 and row.exports != 0) or row.outbox > max(row.outbox_limit, 0)):
            return DRAIN        # the sweep has filled the room: under a flood that is folded nothing else would have it emptied
        start = cursor[AT]
        many = min(total - start, BATCH)
        first = start
        if dealt == 0:
            first = 0
            if cursor[TOLD] == 0:
                decode_batch(data, frames, start, many, packets, fragments_of(w), seed_of(w), decoder_of(w))
                pass_time(timeline_of(w), seconds_of(w), packets, many)
                if ring_of(w).size != 0:
                    keep(data, packets, many, ring_of(w))
                telling = decoder_of(w)[0].telling != 0
                if sightings_of(w).size != 0 and telling:
                    sight(w, data, packets, many)
                if listener_of(w).size != 0 and telling and tell(data, packets, np.int64(many), listener_of(w)) != 0:
                    cursor[TOLD] = 1
                    return HEARD
            cursor[TOLD] = 0
        look_up(w, data, packets, first, first + many, dealt)
        for i in range(first, first + many):
            one_packet(w, data, packets[i])
        cursor[AT] = start + many
        if dealt == 0 and row.answers != 0 and row.shared == 0:
            learn_noted(w)
        sweep(w, room)
    return DONE


@kernel
def one_packet(w: Any, data: Any, p: Any) -> Any:
    """Clock, flow, counters, and inspection where the flow is not settled."""
    row = shard_of(w)[0]
    if p.time != row.clock:
        set_clock(w, p.time)
    if p.status != 0:
        return 0
    tag = p.hash & np.uint64(0xFFFFFFFF)
    number = np.int64(p.flow)
    if number == 0 or flows_of(w)[number].key0 != p.key0 or flows_of(w)[number].key1 != p.key1 or flows_of(w)[number].start == -1:
        number = np.int64(find(slots_of(w), flows_of(w), row.mask, tag, p.key0, p.key1))
    if number != 0 and expired(flows_of(w)[number], p, shard_of(w)):
        drop(w, number, END_CLOSED if flows_of(w)[number].state & CLOSED else END_IDLE)
        number = np.int64(0)
    if number == 0:
        number = np.int64(born(w, data, p, tag))
    told = count(w, number, p)
    if flows_of(w)[number].phase & PHASE_DONE or p.fragment == 2:
        return 0
    if row.inspect and (p.payload_captured != 0 or (p.ip_protocol != TCP and p.ip_protocol != UDP)):
        inspect(w, data, p, number, told)
    return 0


@kernel
def learn_noted(w: Any) -> Any:
    """Learn the answers that were noted."""
    row = shard_of(w)[0]
    learn(resolutions_of(w), resolution_text_of(w), resolution_head_of(w), seed_of(w), answers_of(w), row.answers)
    row.answers = 0
    return 0


@entry(WORLD)
def learn_all(worlds: Any) -> Any:
    """`learn_noted` for Python."""
    return learn_noted(worlds[0])


@entry(WORLD, ANSWER)
def learn_given(worlds: Any, answers: Any) -> Any:
    """Learn these answers, in their order."""
    w = worlds[0]
    return learn(resolutions_of(w), resolution_text_of(w), resolution_head_of(w), seed_of(w), answers, answers.size)


@entry(WORLD, I64)
def clock_at(worlds: Any, time: Any) -> Any:
    """Set the shard's clock, us."""
    return set_clock(worlds[0], time)


@entry(WORLD, CHANGE)
def change_all(worlds: Any, changes: Any) -> Any:
    """Note changes of identity (dpi/flow/changes.py)."""
    for i in range(changes.size):
        note_change(worlds[0], changes[i])
    return 0


@entry(WORLD)
def flush_all(worlds: Any) -> Any:
    """End every flow. Returns DONE, or DRAIN when the export buffers are full."""
    w = worlds[0]
    return DONE if flush(w, out_flows_of(w).size - shard_of(w)[0].exports) == 1 else DRAIN


@entry(WORLD, I64)
def flow_ends(worlds: Any, number: Any) -> Any:
    """Called by the flow layer for each flow that ends with first bytes or parser memory (SHARD.ending)."""
    return last_words(worlds[0], number)


@entry(WORLD)
def settle_rows(worlds: Any) -> Any:
    """Complete the verdicts of the exported rows."""
    return settle(worlds[0])


@entry(WORLD, I64)
def pass_idle(worlds: Any, time: Any) -> Any:
    """No packet came until `time`, us: go on with the clock and sweep all flows. Returns DONE, or DRAIN when an output buffer is nearly full."""
    w = worlds[0]
    row = shard_of(w)[0]
    if time > row.clock:
        set_clock(w, time)
        row.sweep_due = row.clock
    while row.sweep != 0 or row.clock >= row.sweep_due:         # a sweep under way may have passed flows before the clock went on: one more follows it
        room = out_flows_of(w).size - row.exports - LEAST_EXPORTS
        if room < 0 or row.outbox > row.outbox_limit:
            return DRAIN
        before = row.sweep
        sweep(w, room)
        if row.sweep != 0 and row.sweep == before:
            return DRAIN
    return DONE


def entries(rules: RuleSet) -> list[Entry | str]:
    """Every kernel a replay calls, for `dpi.native.warm`."""
    from dpi.capture import pcap, pcapng

    found: list[Entry | str] = [pipeline, keep, flush_all, flow_ends, settle_rows, learn_all, learn_given, clock_at, change_all, pass_idle, renumber, deal,
                                unpack, spread, identify, gather, spell, pick, decode_any, *rules.parser_labels]
    for module in (pcap, pcapng):
        found += [value for value in vars(module).values() if isinstance(value, Entry)]
    return found
