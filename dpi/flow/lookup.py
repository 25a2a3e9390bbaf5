"""Finding the flows of a batch of packets, asking for memory ahead of whoever will read it."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.prefetch import prefetch, prefetch_second
from dpi.flow.memory import details_of, flows_of, shard_of, slots_of, streams_of
from dpi.flow.table import PHASE_DONE, find
from dpi.jit import kernel

READ_AHEAD = 512        # bytes of payload asked for before they are inspected


@kernel
def look_up(w: Any, data: Any, packets: Any, first: Any, stop: Any, dealt: Any) -> Any:
    """Find the flows of packets[first:stop], asking for memory in steps: the index, then the records it names, then what inspection will read. Where
    another core decoded the packets that is the payload as well.

    What is found is a hint (`packet.flow`): an earlier packet of the batch may open a flow or end it.
    """
    slots, flows, details, streams = slots_of(w), flows_of(w), details_of(w), streams_of(w)
    row = shard_of(w)[0]
    mask = row.mask
    if dealt != 0:
        for i in range(first, stop):
            prefetch(packets, i)
    for i in range(first, stop):
        prefetch(slots, packets[i].hash & np.uint64(0xFFFFFFFF) & mask)
    fresh = np.int64(row.high)
    for i in range(first, stop):
        slot = slots[packets[i].hash & np.uint64(0xFFFFFFFF) & mask]
        if slot != np.uint64(0):
            number = np.int64((slot & np.uint64(0xFFFFFFFF)) - np.uint64(1))
            prefetch(flows, number)
            prefetch_second(flows, number)
        elif packets[i].status == 0:
            prefetch(flows, fresh)
            prefetch_second(flows, fresh)
            prefetch(details, fresh)
            fresh += 1
    for i in range(first, stop):
        p = packets[i]
        number = np.int64(0)
        if p.status == 0:
            number = np.int64(find(slots, flows, mask, p.hash & np.uint64(0xFFFFFFFF), p.key0, p.key1))
        p.flow = np.uint32(number)
        if number != 0 and not (flows[number].phase & PHASE_DONE):
            prefetch(details, number)
            if flows[number].stream != 0:
                prefetch(streams, flows[number].stream)
                prefetch_second(streams, flows[number].stream)
            prefetch_second(packets, i)
    if dealt == 0 or row.inspect == 0:
        return 0            # the decoder has just been there
    for i in range(first, stop):
        p = packets[i]
        if p.flow != 0 and p.payload_bytes != 0 and not (flows[p.flow].phase & PHASE_DONE):
            at = np.int64(p.offset) + np.int64(p.payload_at)
            for line in range(at, at + min(np.int64(p.payload_captured), np.int64(READ_AHEAD)), 64):
                prefetch(data, line)
    return 0
