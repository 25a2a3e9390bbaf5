"""The kernel behind the summary: one pass over ROW records adds each to every figure."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.flow.figures import BINS, BOUNDS
from dpi.flow.row import ROW
from dpi.flow.tally import KEPT, UNMET, place, seen
from dpi.jit import I64, entry, kernel, pointed, world_dtype

LABELS = 1024                       # applications told apart; as many protocols again for flows without one
KEYS = 2 * LABELS * 8               # label * 8 + confidence
STRIDE = BINS + 2                   # numbers a label has in the grid: a bin for each, and where the last one ends
LARGE, SAMPLE, NAME, PART = 0, 1, 2, 3      # what a row was found to be
TOLD = 3                            # times a row may be found
SYN, RST = 2, 4
#: What is counted of TCP only: fields of dpi.flow.figures.Tcp.
TCP = ("flows", "packets", "client_retransmissions", "server_retransmissions", "client_out_of_order", "server_out_of_order", "zero_windows",
       "handshakes", "unanswered", "refused", "resets", "one_sided")

#: Sums over all rows, and what the kernel has to know.
SUMS = np.dtype((np.record, [
    ("rows", "i8"), ("flows", "i8"), ("packets", "i8"), ("wire", "i8"), ("ip", "i8"), ("payload", "i8"), ("up", "i8"), ("first", "i8"), ("last", "i8"),
    *((f"tcp_{name}", "i8") for name in TCP),
    ("found", "i8"),                # entries of `found` in use
    ("bar", "i8"),                  # bytes a flow must have to be among the largest
    ("lowest", "i8"), ("step", "i8"),   # first bin, microseconds a bin
]))
#: A flow of several rows: what a line needs of it.
OUTLINE = np.dtype((np.record, [("client", "u8", (2,)), ("server", "u8", (2,)), ("ports", "i8"), ("key", "i8")]))

U1, U2, U4, U8, I8, F8 = (np.dtype(kind) for kind in ("u1", "u2", "u4", "u8", "i8", "f8"))
TALLIES = ("clients", "servers", "ports", "parts")
ARRAYS = {
    "sums": SUMS, "labels": I8, "label_category": U2, "protocols": I8, "carriers": I8, "vlans": I8, "tunnels": I8, "endings": I8, "risks": I8,
    "delays": I8, "bounds": I8,
    "grid": F8, "best": I8, "found": I8, "outlines": OUTLINE, "client_bits": U1, "server_bits": U1, "seed": U8,
    "of_application": U2, "of_protocol": U2, "of_confidence": U2, "of_category": U2, "of_tunnel": U2, "of_end_reason": U2,
    **{f"{name}{part}": kind for name in TALLIES for part, kind in (("", KEPT), ("_slots", U4), ("_head", I8))},
}
WORLD = world_dtype(tuple(ARRAYS))
(sums_of, labels_of, label_category_of, protocols_of, carriers_of, vlans_of, tunnels_of, endings_of, risks_of, delays_of, bounds_of,
 grid_of, best_of, found_of, outlines_of, client_bits_of, server_bits_of, seed_of,
 of_application, of_protocol, of_confidence, of_category, of_tunnel, of_end_reason,
 clients_of, client_slots_of, client_head_of, servers_of, server_slots_of, server_head_of, ports_of, port_slots_of, port_head_of,
 parts_of, part_slots_of, part_head_of) = (pointed(name, kind) for name, kind in ARRAYS.items())


@entry(ROW, I64, I64, WORLD)
def fold_rows(rows: Any, begin: Any, end: Any, worlds: Any) -> Any:
    """Add rows [begin, end). Returns `end`, or the row before which Python has to do something: number a word that was not met yet, move the
    timeline, halve a full tally, look at what was found."""
    w = worlds[0]
    for k in range(begin, end):
        if fold_row(w, rows[k], k) == 0:
            return k
    return end


@kernel
def fold_row(w: Any, row: Any, k: Any) -> Any:
    """Add row k; 0 where there is no room: then nothing was added."""
    s = sums_of(w)[0]
    if s.found + TOLD > found_of(w).size:
        return 0
    application = np.int64(of_application(w)[row.application])
    protocol = np.int64(of_protocol(w)[row.protocol])
    confidence = np.int64(of_confidence(w)[row.confidence])
    category = np.int64(of_category(w)[row.category])
    tunnel = np.int64(of_tunnel(w)[row.tunnel])
    end_reason = np.int64(of_end_reason(w)[row.end_reason])
    if max(max(application, protocol), max(confidence, category)) == UNMET or max(tunnel, end_reason) == UNMET:
        return 0
    low = row.interval_start // s.step - s.lowest
    high = max(low, row.interval_end // s.step - s.lowest)
    if low < 0 or high >= BINS:
        return 0
    confidence = min(confidence, np.int64(7))
    label = application if application != 0 else LABELS + protocol
    key = label * 8 + confidence
    opened = np.int64(1) if row.interval == 0 else np.int64(0)
    whole = opened != 0 and row.final != 0
    client = place(clients_of(w), client_slots_of(w), client_head_of(w), seed_of(w), row.client_ip[0], row.client_ip[1], np.uint64(label))
    server = place(servers_of(w), server_slots_of(w), server_head_of(w), seed_of(w), row.server_ip[0], row.server_ip[1], np.uint64(label))
    port = np.int64(0)
    part = np.int64(0)
    if client == 0 or server == 0:
        return 0
    if label == LABELS:                                 # neither application nor protocol
        port = place(ports_of(w), port_slots_of(w), port_head_of(w), seed_of(w), np.uint64(row.ip_protocol), np.uint64(row.server_port), np.uint64(0))
        if port == 0:
            return 0
    if not whole:
        part = place(parts_of(w), part_slots_of(w), part_head_of(w), seed_of(w), row.flow_id, np.uint64(0), np.uint64(0))
        if part == 0:
            return 0
    up = np.int64(row.client_wire_bytes)
    wire = up + np.int64(row.server_wire_bytes)
    packets = np.int64(row.client_packets) + np.int64(row.server_packets)
    s.rows += 1
    s.flows += opened
    s.packets += packets
    s.wire += wire
    s.ip += np.int64(row.client_bytes) + np.int64(row.server_bytes)
    s.payload += np.int64(row.client_payload_bytes) + np.int64(row.server_payload_bytes)
    s.up += up
    s.first = min(s.first, row.interval_start)
    s.last = max(s.last, row.interval_end)
    add(labels_of(w), key, opened, packets, wire)
    label_category_of(w)[label] = np.uint16(category)
    add(protocols_of(w), protocol, opened, packets, wire)
    six = row.client_ip[0] != 0 or (row.client_ip[1] & np.uint64(0xFFFFFFFF)) != np.uint64(0xFFFF0000)
    add(carriers_of(w), np.int64(row.ip_protocol) * 2 + np.int64(six), opened, packets, wire)
    add(vlans_of(w), np.int64(row.vlan) & 4095, opened, packets, wire)
    add(tunnels_of(w), tunnel, opened, packets, wire)
    if row.final != 0:
        endings_of(w)[end_reason] += 1
        bits = row.risks
        while bits != 0:
            risks_of(w)[low_bit(bits)] += 1
            bits &= bits - np.uint64(1)
    if row.ip_protocol == 6:
        fold_tcp(s, row, opened, packets)
    delay(w, 0, row.client_rtt_us)
    delay(w, 1, row.server_rtt_us)
    delay(w, 2, row.server_response_us)
    # spread evenly over its bins: the grid holds where a rate begins and where it ends
    rate = np.float64(wire) / np.float64(high - low + 1)
    grid_of(w)[label * STRIDE + low] += rate
    grid_of(w)[label * STRIDE + high + 1] -= rate
    seen(client_bits_of(w), seed_of(w), row.client_ip[0], row.client_ip[1])
    seen(server_bits_of(w), seed_of(w), row.server_ip[0], row.server_ip[1])
    kept(clients_of(w)[client], opened, packets, wire, up)
    kept(servers_of(w)[server], opened, packets, wire, wire - up)
    if port != 0:
        kept(ports_of(w)[port], opened, packets, wire, 0)
    if part != 0:
        kept(parts_of(w)[part], opened, packets, wire, 0)
        outline = outlines_of(w)[part]
        for half in range(2):
            outline.client[half] = row.client_ip[half]
            outline.server[half] = row.server_ip[half]
        outline.ports = np.int64(row.ip_protocol) << 32 | np.int64(row.client_port) << 16 | np.int64(row.server_port)
        outline.key = key
    if part != 0:
        if parts_of(w)[part].bytes > s.bar:
            find(w, s, k, PART)
    elif wire > s.bar:
        find(w, s, k, LARGE)
    if confidence != 0 and (best_of(w)[key] == 0 or wire > 4 * best_of(w)[key]):
        best_of(w)[key] = max(wire, 1)
        find(w, s, k, SAMPLE)
    one = servers_of(w)[server]
    if row.named != 0 and one.named == 0 and one.bytes >= s.wire >> 12:      # small servers need no name: they will not be shown
        one.named = 1
        find(w, s, k, NAME)
    return 1


@kernel
def fold_tcp(s: Any, row: Any, opened: Any, packets: Any) -> Any:
    """What is counted of TCP only."""
    s.tcp_flows += opened
    s.tcp_packets += packets
    if row.one_sided != 0:
        s.tcp_one_sided += packets
    s.tcp_client_retransmissions += np.int64(row.client_retransmissions)
    s.tcp_server_retransmissions += np.int64(row.server_retransmissions)
    s.tcp_client_out_of_order += np.int64(row.client_out_of_order)
    s.tcp_server_out_of_order += np.int64(row.server_out_of_order)
    s.tcp_zero_windows += np.int64(row.client_zero_windows) + np.int64(row.server_zero_windows)
    if opened != 0 and row.midstream == 0 and row.client_tcp_flags & SYN:
        s.tcp_handshakes += 1
        if (row.server_tcp_flags & SYN) == 0:       # a probe's rows are half a minute: a flow that nobody answers outlives its first
            if row.server_tcp_flags & RST:
                s.tcp_refused += 1
            elif row.one_sided == 0:
                s.tcp_unanswered += 1
    if row.final != 0 and (row.client_tcp_flags | row.server_tcp_flags) & RST:
        s.tcp_resets += 1
    return 0


@kernel
def add(table: Any, key: Any, opened: Any, packets: Any, wire: Any) -> Any:
    """Flows, packets and bytes of a dense number."""
    table[3 * key] += opened
    table[3 * key + 1] += packets
    table[3 * key + 2] += wire
    return 0


@kernel
def kept(one: Any, opened: Any, packets: Any, wire: Any, sent: Any) -> Any:
    """The same of a key of a tally."""
    one.bytes += wire
    one.packets += packets
    one.flows += opened
    one.sent += sent
    return 0


@kernel
def delay(w: Any, which: Any, value: Any) -> Any:
    """Count a measured delay into its bin."""
    if value != 0xFFFFFFFF:
        delays_of(w)[which * len(BOUNDS) + bin_of(bounds_of(w), np.int64(value))] += 1
    return 0


@kernel
def bin_of(bounds: Any, value: Any) -> Any:
    """The last bound that is not above the value."""
    low = np.int64(0)
    high = bounds.size
    while high - low > 1:
        middle = (low + high) >> 1
        if bounds[middle] <= value:
            low = middle
        else:
            high = middle
    return low


@kernel
def low_bit(bits: Any) -> Any:
    """Number of the lowest bit that is set; there is one."""
    number = np.int64(0)
    while bits >> np.uint64(number) & np.uint64(1) == 0:
        number += 1
    return number


@kernel
def find(w: Any, s: Any, k: Any, what: Any) -> Any:
    """Tell Python of a row."""
    found_of(w)[s.found] = k * 4 + what
    s.found += 1
    return 0
