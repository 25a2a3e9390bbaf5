"""Looking for flows that are over: in steps while packets come, and all at once when a capture ends."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.flow.changes import slot_of
from dpi.flow.eviction import end_fold, fold_away, half_open
from dpi.flow.expiry import drop, emit, idle, settle_up
from dpi.flow.memory import flows_of, shard_of, slots_of
from dpi.flow.table import CLOSED, END_ACTIVE, END_CLOSED, END_FORCED, END_IDLE
from dpi.jit import kernel

SWEEP_STEP = 4096           # records swept per batch at most
SWEEP_EVERY = 10_000_000    # us between the starts of two sweeps


@kernel
def record_at(row: Any, place: Any) -> Any:
    """The record at a place of the sweep, which goes on from flows to folds."""
    return place if place < row.high else row.cap + 1 + place - row.high


@kernel
def places(row: Any) -> Any:
    """Where the sweep ends."""
    return row.high + row.fold_high - row.cap - 1


@kernel
def sweep(w: Any, room: Any) -> Any:
    """A bounded step of the sweep: end what is idle, and folds whose minute is over (between two sweeps these alone, where they hold the room of
    others). `room`: rows that still fit.

    In a replay what is silent only keeps its row: were it cut at the minute, three flows in four of a mixed capture would need one more to say how
    they ended. A probe's rows leave with their minute (`cut`); under a flood half-open flows are folded then, not given a row each.
    """
    row = shard_of(w)[0]
    if row.sweep == 0:
        if row.clock >= row.sweep_due:
            row.sweep = 1
            row.sweep_due = row.clock + SWEEP_EVERY
            row.flooded = 1 if row.live >= row.cap and row.evicted != row.evicted_before else 0
        elif row.folds_look != 0:
            row.sweep = row.high            # folds only: those of a minute that is over hold the room of others
            row.folds_over = 0
            row.folds_look = 2
        else:
            return 0
    end = places(row)
    stop = min(row.sweep + SWEEP_STEP, end)
    at = row.sweep
    while at < stop and room > 0 and row.outbox <= row.outbox_limit:
        number = record_at(row, at)
        flow = flows_of(w)[number]
        if flow.start != -1:
            over = np.int64(flow.period) != row.period and slot_of(flow, row) != row.slot
            if number > row.cap:
                if over:
                    end_fold(w, number)
                    room -= 1
            elif idle(flow, shard_of(w)):
                drop(w, number, END_CLOSED if flow.state & CLOSED else END_IDLE)
                room -= 1
            elif row.cut != 0 and over and (flow.packets[0] != 0 or flow.packets[1] != 0):
                if row.flooded != 0 and half_open(flow):
                    row.evicted += 1
                    fold_away(w, number)
                else:
                    emit(w, number, END_ACTIVE, 0)
                room -= 1
        at += 1
    row.sweep = at
    if at >= end:
        row.sweep = 0
        if row.folds_look == 2:
            row.folds_look = 0
        else:
            row.evicted_before = row.evicted
    return 0


@kernel
def flush(w: Any, room: Any) -> Any:
    """End every flow (end of capture). Returns 1 when none is left, 0 when an output buffer is full.

    The index is emptied at the end, in one go: nothing is looked up in between.
    """
    row = shard_of(w)[0]
    at = np.int64(1)
    if row.sweep < 0:
        at = -row.sweep
    end = places(row)
    while at < end:
        if room <= 0 or row.outbox > row.outbox_limit:
            row.sweep = -at
            return 0
        number = record_at(row, at)
        flow = flows_of(w)[number]
        if flow.start != -1:
            if number > row.cap:
                end_fold(w, number)
            else:
                settle_up(w, number, END_CLOSED if flow.state & CLOSED else END_IDLE if idle(flow, shard_of(w)) else END_FORCED)
                flow.start = np.int64(-1)
            room -= 1
        at += 1
    slots = slots_of(w)
    for i in range(np.int64(row.mask) + 1):
        slots[i] = np.uint64(0)
    row.sweep = 0
    row.folds_over = 0
    row.folds_look = 0
    row.free = 0
    row.high = 1
    row.live = 0
    row.births_head = 0
    row.births_tail = 0
    row.fold_free = 0
    row.fold_high = row.cap + 1
    return 1
