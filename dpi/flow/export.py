"""The only place where working state becomes a row: a flow's open interval is copied out, then starts anew.

Kernels copy into fixed buffers (`Exports`); `dpi/flow/rows.py` turns full buffers into a columnar Batch.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.flow.facts import FACTS
from dpi.flow.table import (
    ADDRESSES,
    CLIENT_LOW,
    DETAIL,
    ESTABLISHED,
    FLOW,
    FOLD,
    HASHED,
    NOT_MEASURED,
    PHASE_CANDIDATE,
    PHASE_SINGLE,
    RESPONDED,
    TUNNEL,
    one_sided,
)
from dpi.jit import kernel, records

#: What a row has besides its flow and detail. `reason`, `protocol`, `application`, `confidence`: the verdict as settled at export.
EXTRA = np.dtype((np.record, [
    ("facts", "u4"), ("tunnel", "u4"),          # index in the export buffers, 0 none
    ("reason", "u4"),
    ("protocol", "u2"), ("application", "u2"),
    ("response", "u4"), ("client_rtt", "u4"), ("server_rtt", "u4"),
    ("end", "u1"), ("final", "u1"), ("confidence", "u1"), ("fold", "u1"),      # fold: FOLD_TAGS, 0 for a flow of its own
    ("folded", "u4"),                           # flows that a fold stands for
]))


class Exports:
    """Buffers for `rows` exported rows."""

    def __init__(self, rows: int) -> None:
        self.flows = records(rows, FLOW)
        self.details = records(rows, DETAIL)
        self.addresses = records(rows, ADDRESSES)
        self.extra = records(rows, EXTRA)
        self.facts = records(rows + 1, FACTS)
        self.tunnels = records(rows + 1, TUNNEL)


@kernel
def export(number: Any, end: Any, final: Any, flows: Any, details: Any, addresses: Any, tunnels: Any, facts: Any, shard: Any,
           out_flows: Any, out_details: Any, out_addresses: Any, out_extra: Any, out_facts: Any, out_tunnels: Any) -> Any:
    """Copy the open interval of a flow out. The caller has made sure that there is room."""
    row = shard[0]
    k = row.exports
    flow = flows[number]
    detail = details[number]
    extra = out_extra[k]
    out_flows[k] = flows[number]
    out_details[k] = details[number]
    if flow.key1 & np.uint64(HASHED):
        out_addresses[k] = addresses[number]
    elif flow.marks & CLIENT_LOW:
        put_v4(out_addresses[k].client, np.int64(flow.key0 >> np.uint64(32)))
        put_v4(out_addresses[k].server, np.int64(flow.key0 & np.uint64(0xFFFFFFFF)))
    else:
        put_v4(out_addresses[k].client, np.int64(flow.key0 & np.uint64(0xFFFFFFFF)))
        put_v4(out_addresses[k].server, np.int64(flow.key0 >> np.uint64(32)))
    if flow.key1 & np.uint64(0xFF) == np.uint64(6):
        counted = np.int64(flow.packets[0]) + np.int64(flow.packets[1])
        row.tcp_packets += counted
        if one_sided(flow) != 0:
            row.one_sided_packets += counted
            row.one_sided_flows += final
    extra.end = np.uint8(end)
    extra.final = np.uint8(final)
    extra.fold = 0
    extra.folded = 0
    if flow.key1 & np.uint64(FOLD):
        extra.fold = flow.parser
        extra.folded = flow.next_seq[0]
        flow.next_seq[0] = 0
    extra.protocol = flow.protocol
    extra.application = flow.application
    extra.reason = np.uint32(0) if (flow.phase & PHASE_SINGLE) == PHASE_CANDIDATE else flow.reason
    extra.confidence = 0
    extra.client_rtt = NOT_MEASURED
    extra.server_rtt = detail.server_rtt
    detail.server_rtt = NOT_MEASURED
    if flow.state & ESTABLISHED:
        extra.client_rtt = detail.client_rtt
        detail.client_rtt = NOT_MEASURED
    extra.response = NOT_MEASURED
    if flow.marks & RESPONDED:
        extra.response = detail.response
        detail.response = NOT_MEASURED
    detail.mss = 0
    extra.facts = 0
    if flow.facts != 0:
        row.export_facts += 1
        out_facts[row.export_facts] = facts[flow.facts]
        extra.facts = np.uint32(row.export_facts)
    extra.tunnel = 0
    if detail.tunnel != 0:
        row.export_tunnels += 1
        out_tunnels[row.export_tunnels] = tunnels[detail.tunnel]
        extra.tunnel = np.uint32(row.export_tunnels)
    row.exports = k + 1
    reopen(flow, shard)
    flow.interval = np.uint16((np.int64(flow.interval) + 1) & 0xFFFF)
    return 0


@kernel
def put_v4(place: Any, address: Any) -> Any:
    """Write an IPv4 address as 16 bytes, mapped (RFC 4291 section 2.5.5.2)."""
    for i in range(10):
        place[i] = 0
    place[10] = 255
    place[11] = 255
    for i in range(4):
        place[12 + i] = (address >> (24 - 8 * i)) & 255
    return 0


@kernel
def reopen(flow: Any, shard: Any) -> Any:
    """Start an interval at the packet clock with nothing counted."""
    flow.start = shard[0].clock
    flow.period = np.uint32(shard[0].period)
    return empty(flow)


@kernel
def empty(flow: Any) -> Any:
    """Nothing counted."""
    for d in range(2):
        flow.ip_bytes[d] = 0
        flow.overhead[d] = 0
        flow.headers[d] = 0
        flow.packets[d] = 0
        flow.retransmissions[d] = 0
        flow.out_of_order[d] = 0
        flow.zero_windows[d] = 0
        flow.tcp_flags[d] = 0
    return 0
