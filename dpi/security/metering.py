"""What is measured of a line (a link, a VLAN, a service's access) in a slot of time, out of rows of `flows`: packets, bytes, losses, round trips, who spoke.

The near side of a service is the service's; of a link or a VLAN it is the local one, else the client's. Lost: retransmissions and what came out of order, by
who sent it. Round trips are summed as logarithms: their mean is that of the geometric kind, which one slow peer does not move. A row that lies in several
slots is shared out evenly; what is measured once counts in the slot in which the row begins. All are sums of whole numbers: the order of rows does not matter.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from dpi.flow.row import ROW
from dpi.flow.table import NOT_MEASURED
from dpi.jit import I64, entry, kernel, pointed, world_dtype
from dpi.security.gauge import bounded, share

SLOT = 30_000_000           # us; of a minute of rows two, of a probe's usual row one
PLACES = 24                 # slots that are open at once
SPAN = 4                    # slots that a row is shared out over at most
UNIT = 1024                 # of a logarithm to the base of 2

#: Of a line in a slot, 136 bytes. near, far: what that side sent; tcp and lost: of flows with payload, so that floods and calls of who is gone are no loss.
#: untold: octets of which nobody can tell the direction. *_rtt, response: sums of UNIT * log2(us). address, flow_id: the lowest of the near side, as words,
#: and of the flows. asked: flows that the near side was asked to open and did not answer. link: number of the line's link + 1. spoke: the near side sent
#: something; of a link or VLAN, anybody.
METER = np.dtype((np.record, [
    ("near_packets", "i8"), ("far_packets", "i8"), ("near_octets", "i8"), ("far_octets", "i8"), ("near_tcp", "i8"), ("far_tcp", "i8"), ("untold", "i8"),
    ("near_rtt", "i8"), ("far_rtt", "i8"), ("response", "i8"), ("address", "u8", (2,)), ("flow_id", "u8"),
    ("near_lost", "u4"), ("far_lost", "u4"), ("near_rtts", "u4"), ("far_rtts", "u4"), ("responses", "u4"), ("asked", "u4"), ("link", "u4"), ("spoke", "u4"),
]))
assert METER.itemsize == 136, METER.itemsize
#: closed: the newest slot that is closed. lines: a place has so many. wanted: the slot that has no place. late: shares of rows whose slot was closed.
#: free: so many meters are nobody's.
HEAD = np.dtype((np.record, [("closed", "i8"), ("lines", "i8"), ("wanted", "i8"), ("late", "i8"), ("clock", "i8"), ("free", "i8")]))
FREE = -(1 << 62)
NEEDED = 5 * SPAN           # meters that a row may take: of five lines in each of its slots
U1, U4, I8 = (np.dtype(kind) for kind in ("u1", "u4", "i8"))
#: slots int64[PLACES], FREE: nobody's; own uint32[PLACES * lines]: number of a line's meter in the slot of that place, 0 it has none yet; meters METER[]: the
#: first is nobody's ever; free uint32[]: HEAD.free numbers of meters, the last is taken first.
ARRAYS = {"head": HEAD, "slots": I8, "own": U4, "meters": METER, "free": U4}
WORLD = world_dtype(tuple(ARRAYS))
head_of, slots_of, own_of, meters_of, free_of = (pointed(name, kind) for name, kind in ARRAYS.items())


@entry(ROW, U4, U4, U4, U4, U1, I64, I64, I64, WORLD)
def gather(rows: Any, clients: Any, servers: Any, vlans: Any, nets: Any, local: Any, link: Any, begin: Any, end: Any, worlds: Any) -> Any:
    """Add rows [begin, end) to their lines. clients, servers, vlans, nets uint32[n]: number of the line + 1 of each, 0 none; link: likewise.

    local uint8[n]: bit 0 the client is local, bit 1 the server. Returns `end`, or the row that more meters (HEAD.free < NEEDED) or a place (of the slot
    HEAD.wanted) are needed for."""
    w = worlds[0]
    head = head_of(w)[0]
    for k in range(begin, end):
        if head.free < NEEDED:
            return k
        row = rows[k]
        slot = row.interval_start // SLOT
        last = min(max(row.interval_end // SLOT, slot), slot + SPAN - 1)
        for one in range(slot, last + 1):
            if one > head.closed and place_of(w, one) < 0:
                head.wanted = one
                return k
        head.clock = max(head.clock, row.interval_end)
        start = np.int64(row.interval_start)
        span = max(min(np.int64(row.interval_end), (slot + SPAN) * SLOT) - start, np.int64(1))
        before = np.int64(0)
        for one in range(slot, last + 1):
            upto = span if one == last else (one + 1) * SLOT - start
            if one <= head.closed:
                head.late += 1
            else:
                at = place_of(w, one) * head.lines - 1
                once = one == slot
                near_server = local[k] == 2
                told = local[k] == 1 or local[k] == 2
                if link != 0:
                    add(meters_of(w)[meter_of(w, at + link)], row, near_server, told, True, once, before, upto, span, link)
                if vlans[k] != 0:
                    add(meters_of(w)[meter_of(w, at + np.int64(vlans[k]))], row, near_server, told, True, once, before, upto, span, link)
                if nets[k] != 0:
                    add(meters_of(w)[meter_of(w, at + np.int64(nets[k]))], row, near_server, told, False, once, before, upto, span, link)
                if clients[k] != 0:
                    add(meters_of(w)[meter_of(w, at + np.int64(clients[k]))], row, False, True, False, once, before, upto, span, link)
                if servers[k] != 0 and servers[k] != clients[k]:
                    add(meters_of(w)[meter_of(w, at + np.int64(servers[k]))], row, True, True, False, once, before, upto, span, link)
            before = upto
    return end


@kernel
def place_of(w: Any, slot: Any) -> Any:
    """The place of a slot, given one where it has none; -1 where none is free."""
    slots = slots_of(w)
    free = np.int64(-1)
    for k in range(PLACES):
        if slots[k] == slot:
            return np.int64(k)
        if slots[k] == FREE and free < 0:
            free = np.int64(k)
    if free >= 0:
        slots[free] = slot
    return free


@kernel
def meter_of(w: Any, at: Any) -> Any:
    """The number of the meter at a place of `own`, given one where it has none: HEAD.free is not 0."""
    own = own_of(w)
    if own[at] == 0:
        head = head_of(w)[0]
        head.free -= 1
        own[at] = free_of(w)[head.free]
    return np.int64(own[at])


@kernel
def part(total: Any, before: Any, upto: Any, span: Any) -> Any:
    """What of a row's count falls between two moments of it."""
    if before == 0 and upto >= span:
        return bounded(total)
    return share(bounded(total), upto, span) - (share(bounded(total), before, span) if before != 0 else np.int64(0))


@kernel
def add(one: Any, row: Any, near_server: Any, told: Any, everybody: Any, once: Any, before: Any, upto: Any, span: Any, link: Any) -> Any:
    """Add a row's part to a line's slot. near_server: the server is the near side; everybody: either side's packets are a sign of life."""
    up = part(row.client_packets, before, upto, span)
    down = part(row.server_packets, before, upto, span)
    sent = part(row.client_wire_bytes, before, upto, span)
    got = part(row.server_wire_bytes, before, upto, span)
    lost_up = part(np.uint64(row.client_retransmissions) + np.uint64(row.client_out_of_order), before, upto, span)
    lost_down = part(np.uint64(row.server_retransmissions) + np.uint64(row.server_out_of_order), before, upto, span)
    if near_server:
        up, down = down, up
        sent, got = got, sent
        lost_up, lost_down = lost_down, lost_up
    one.near_packets += up
    one.far_packets += down
    one.near_octets += sent
    one.far_octets += got
    if not told:
        one.untold += sent + got
    if row.ip_protocol == 6 and (row.client_payload_bytes != 0 or row.server_payload_bytes != 0):
        one.near_tcp += up
        one.far_tcp += down
        one.near_lost = np.uint32(min(np.int64(one.near_lost) + lost_up, np.int64(0xFFFFFFFF)))
        one.far_lost = np.uint32(min(np.int64(one.far_lost) + lost_down, np.int64(0xFFFFFFFF)))
    one.link = np.uint32(max(np.int64(one.link), link))
    spoken = row.server_packets != 0 if near_server else row.client_packets != 0
    if spoken or everybody:
        one.spoke = np.uint32(1)
    if one.flow_id == 0 or row.flow_id < one.flow_id:
        one.flow_id = row.flow_id
    high = row.server_ip[0] if near_server else row.client_ip[0]
    low = row.server_ip[1] if near_server else row.client_ip[1]
    if (one.address[0] == 0 and one.address[1] == 0) or high < one.address[0] or (high == one.address[0] and low < one.address[1]):
        one.address[0] = high
        one.address[1] = low
    if once:
        measured(one, row, near_server)
    return 0


@kernel
def measured(one: Any, row: Any, near_server: Any) -> Any:
    """What is measured once in a row: round trips, the response, and whether it was opened in vain."""
    near = np.int64(row.server_rtt_us) if near_server else np.int64(row.client_rtt_us)
    far = np.int64(row.client_rtt_us) if near_server else np.int64(row.server_rtt_us)
    if near != NOT_MEASURED:
        one.near_rtts = np.uint32(np.int64(one.near_rtts) + 1)
        one.near_rtt += logarithm(near)
    if far != NOT_MEASURED:
        one.far_rtts = np.uint32(np.int64(one.far_rtts) + 1)
        one.far_rtt += logarithm(far)
    if np.int64(row.server_response_us) != NOT_MEASURED:
        one.responses = np.uint32(np.int64(one.responses) + 1)
        one.response += logarithm(np.int64(row.server_response_us))
    if near_server and row.interval == 0 and row.server_packets == 0:
        flows = np.int64(row.folded) if row.folded != 0 else np.int64(1)
        one.asked = np.uint32(min(np.int64(one.asked) + flows, np.int64(0xFFFFFFFF)))
    return 0


@kernel
def logarithm(value: Any) -> Any:
    """UNIT * log2 of us, of less than one as of one."""
    return np.int64(math.log2(np.float64(max(value, np.int64(1)))) * UNIT)
