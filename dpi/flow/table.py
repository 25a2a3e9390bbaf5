"""The flow table: an index of 8-byte slots in front of dense 128-byte hot records and 64-byte cold ones.

A slot is tag (high 32 bits: the low 32 bits of the key's hash) and record number + 1 (low 32 bits); 0 is empty. The home of a slot is its
tag masked, so that deletion can shift slots back and growth can re-place them without touching a record. The index array has its final
size from the start (untouched pages cost nothing); `shard.mask` says how much of it is in use and grows by doubling.

Record 0 of flows and details is never used: 0 means none. Free records are chained through `stream`. Behind the `cap` records of flows lie those of
folds (dpi/flow/eviction.py), which no flow can take and no fold can leave.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.key import TWO_VLANS, VERSION_6
from dpi.jit import kernel, records

#: What is touched for every packet. 128 bytes: two cache lines.
FLOW = np.dtype((np.record, [
    ("key0", "u8"), ("key1", "u8"),
    ("start", "i8"), ("last", "i8"),            # us of the packet clock; start is that of the open interval
    ("ip_bytes", "u8", (2,)),                   # index 0: sent by the client, 1: by the server
    ("overhead", "i4", (2,)),                   # wire bytes - IP bytes
    ("headers", "u4", (2,)),                    # IP bytes - layer-4 payload bytes
    ("packets", "u4", (2,)),
    ("next_seq", "u4", (2,)),
    ("advanced", "u4", (2,)),                   # low 32 bits of the time next_seq last moved
    ("retransmissions", "u2", (2,)), ("out_of_order", "u2", (2,)), ("zero_windows", "u2", (2,)),
    ("tcp_flags", "u1", (2,)),
    ("state", "u1"),                            # SYN ... CLOSED below
    ("marks", "u1"),                            # CLIENT_LOW ... below
    ("period", "u4"),                           # SHARD.period when its open interval was last looked at
    ("interval", "u2"),
    ("parser", "u1"),                           # the parser that is being fed, 0 none
    ("phase", "u1"),                            # inspection: payload packets looked at, and PHASE_* bits
    ("stream", "u4"),                           # slot of first bytes, 0 none (free record: next free record)
    ("facts", "u4"),                            # slot of facts, 0 none
    ("protocol", "u2"), ("application", "u2"),
    ("reason", "u4"),                           # why; while PHASE_CANDIDATE: the row that must match again
]))

#: What is written when a flow is born and read when it is exported. 64 bytes: one cache line.
DETAIL = np.dtype((np.record, [
    ("client_mac", "u1", (6,)), ("server_mac", "u1", (6,)),
    ("client_port", "u2"), ("server_port", "u2"),
    ("flow_start", "i8"),
    ("serial", "u8"),
    ("first_packet", "u4"),
    ("vlan", "u2"), ("inner_vlan", "u2"),
    ("tunnel", "u4"),                           # record in the tunnel table, 0 none
    ("ttl", "u1", (2,)), ("dscp", "u1", (2,)),
    ("mss", "u2"),
    ("interface", "u1"),
    ("icmp", "u1"),                             # 1: ports hold ICMP type and code
    ("client_rtt", "u4"), ("server_rtt", "u4"),
    ("response", "u4"),                         # us; while REQUEST is set: time of the request since flow_start
]))

#: Both addresses, IPv4 mapped (RFC 4291 section 2.5.5.2). The table keeps them only for flows whose key does not hold them (HASHED).
ADDRESSES = np.dtype((np.record, [("client", "u1", (16,)), ("server", "u1", (16,))]))

#: Outer layers of a tunnelled flow.
TUNNEL = np.dtype((np.record, [
    ("outer_client", "u1", (16,)), ("outer_server", "u1", (16,)),
    ("id", "u4"), ("kinds", "u2"), ("pad", "u2"), ("next", "u4"), ("pad2", "u4"),
]))

#: Something that changes whose an address is, at `time`, us (dpi/flow/changes.py). It concerns flows of which an end is in the range (low and high word of
#: the first and the last address, IPv4 mapped) and that have this VLAN, inner VLAN and MAC address (of 48 bits) at an end.
CHANGE = np.dtype((np.record, [
    ("time", "i8"),
    ("low", "u8", (2,)), ("high", "u8", (2,)),  # index 0: the high word
    ("mac", "u8"),                              # 0: any
    ("vlan", "i4"), ("inner_vlan", "i4"),       # ANY_VLAN: any
    ("pad", "u8"),
]))
ANY_VLAN = -1

assert CHANGE.itemsize == 64
assert FLOW.itemsize == 128 and DETAIL.itemsize == 64, (FLOW.itemsize, DETAIL.itemsize)

# Bits of FLOW.key1 that an IPv4 flow's key does not have: of a fold (dpi/flow/eviction.py), of IPv6 and of IPv4 in two VLANs (dpi/capture/key.py)
FOLD = 0x4000
HASHED = FOLD | VERSION_6 | TWO_VLANS
#: What a row stands for that is the fold of several flows, bit by bit: FLOW.parser of a fold, ROW.fold, and its words in `tags`.
FOLD_TAGS = ("folded", "client_prefix_24", "client_prefix_48", "any_client", "any_port", "any_server")
FOLDED, PREFIX_24, PREFIX_48, ANY_CLIENT, ANY_PORT, ANY_SERVER = 1, 2, 4, 8, 16, 32
#: How coarsely is folded: by server, port and the client's prefix; by server and port; by server; by nothing but the version of IP.
LEVELS = 4
LAST_FOLDS = 16             # of the coarsest, which need few: a minute, an interface and a VLAN have one for each version of IP
FOLDS = 1 << 16             # of each other level at most


def folds_of(cap: int) -> int:
    """Folds of each level but the last that a table of `cap` flows holds at most: a thirty-second of its flows."""
    return min(max(cap // 32, 8), FOLDS)


# FLOW.state
SYN, SYN_ACK, ESTABLISHED, FIN_CLIENT, FIN_SERVER, RESET, SYN_TWICE, CLOSED = 1, 2, 4, 8, 16, 32, 64, 128
# FLOW.marks
CLIENT_LOW, MIDSTREAM, SEQ_CLIENT, SEQ_SERVER, DATA_CLIENT, DATA_SERVER, REQUEST, RESPONDED = 1, 2, 4, 8, 16, 32, 64, 128
# FLOW.phase
PHASE_COUNT, PHASE_CANDIDATE, PHASE_GOING, PHASE_DONE = 0x1F, 0x20, 0x40, 0x80
PHASE_SINGLE = PHASE_CANDIDATE | PHASE_GOING        # a flow that is named has no candidate: both say that its parser sees single packets

# FLOW.advanced of a side of which no segment has been seen: what is known of it. While it is ACKED, next_seq holds the last number that the
# other side has acknowledged
UNSEEN, ACKED, PROVEN, HEARD = range(4)

NOT_MEASURED = 0xFFFFFFFF
# IPFIX flowEndReason (RFC 5102, element 136)
END_IDLE, END_ACTIVE, END_CLOSED, END_FORCED, END_RESOURCES, END_RESET = 1, 2, 3, 4, 5, 6
END_REASONS = ("", "idle", "active", "fin", "end", "evicted", "reset")

#: Scalars of one shard; times us.
SHARD = np.dtype((np.record, [
    ("clock", "i8"), ("span", "i8"), ("slot", "i8"), ("slot_end", "i8"),        # no row crosses a multiple of `span`; slot: clock // span
    ("due", "i8"),                              # when the slot ends or the next change passes
    ("period", "i8"),                           # how many of both have passed, of 32 bits: flows that have another have something to look at
    ("bound", "i8"), ("waiting", "i8"), ("passed", "i8"),       # the next of `bounds`; how many are in `pending`; how many have passed through `passed`
    ("forgotten", "i8"),                        # time of the last change of more than an address that is not kept any longer
    ("changes_full", "i8"),                     # changes that found no room in `pending`
    ("mask", "u8"),
    ("before", "i8"),                           # numbers of packets in captures before this one
    ("serial", "i8"), ("step", "i8"),           # where `step` is not 0 a flow's number is `serial`, which grows by it
    ("live", "i8"), ("high", "i8"), ("cap", "i8"), ("free", "i8"),
    ("sweep", "i8"), ("sweep_due", "i8"), ("hand", "i8"),
    ("births_head", "i8"), ("births_tail", "i8"),       # of Table.births, never wrapped: the oldest that is kept, and where the next one goes
    ("flooded", "i8"),                          # 1: the table was full when the sweep under way began, and had evicted since the last one
    ("evicted_before", "i8"),                   # `evicted` when the last sweep ended
    ("folds", "i8", (LEVELS,)), ("fold_cap", "i8"), ("fold_high", "i8"), ("fold_free", "i8"),     # live by level; of each but the last; as of flows
    ("folds_over", "i8"),                       # 1: since the last look at folds one of a minute that was over was made
    ("folds_look", "i8"),                       # 1: such folds may hold the room of this minute's; 2: they are being looked for
    ("exports", "i8"), ("export_facts", "i8"), ("export_tunnels", "i8"), ("outbox", "i8"), ("answers", "i8"),
    ("streams_free", "i8"), ("streams_high", "i8"), ("facts_free", "i8"), ("facts_high", "i8"), ("tunnels_free", "i8"), ("tunnels_high", "i8"),
    ("stream_hand", "i8"),
    ("inspect", "i8"),                          # 0: flows are only counted
    ("cut", "i8"),                              # 1: rows of flows that are silent leave at the end of their slot
    ("shared", "i8"),                           # 1: other shards learn answers as well: it is done outside of kernels
    ("outbox_limit", "i8"),                     # transactions beyond which no more flows are ended before they are written
    ("ending", "u8"),                           # address of what is told that a flow with a record of first bytes ends, 0 nothing
    # limits, us
    ("idle_tcp", "i8"), ("idle_half_open", "i8"), ("idle_closed", "i8"), ("idle_udp", "i8"), ("idle_other", "i8"),
    ("idle_least", "i8"),                       # the least of them: before it no flow is looked at more closely
    # counters
    ("flows", "i8"), ("evicted", "i8"), ("folded", "i8"), ("folded_coarser", "i8"),     # folded: of those evicted; coarser: of them, not by prefix
    ("streams_full", "i8"), ("streams_reclaimed", "i8"), ("facts_full", "i8"), ("tunnels_full", "i8"), ("outbox_full", "i8"), ("stream_gaps", "i8"),
    ("answers_full", "i8"), ("inspected", "i8"), ("parser_calls", "i8"),
    ("tcp_packets", "i8"), ("one_sided_packets", "i8"), ("one_sided_flows", "i8"),         # of exported rows, of last rows
]))


class Table:
    """The memory of one shard's flows. `cap` records at most, and those of folds; pages are touched as flows come."""

    def __init__(self, cap: int, tunnels: int = 65536) -> None:
        size = 1 << max(10, (2 * cap - 1).bit_length())
        self.slots: np.ndarray[Any, Any] = np.zeros(size, np.uint64)
        folds = folds_of(cap)
        every = cap + 1 + (LEVELS - 1) * folds + LAST_FOLDS
        self.flows = records(every, FLOW)
        self.details = records(every, DETAIL)
        self.addresses = records(every, ADDRESSES)
        self.tunnels = records(tunnels, TUNNEL)
        #: The flows in the order of their births: record number, and above it the low half of the time; for eviction (dpi/flow/eviction.py).
        self.births: np.ndarray[Any, Any] = np.zeros(1 << (cap - 1).bit_length(), np.uint64)
        self.shard = records(1, SHARD)
        row = self.shard[0]
        row.cap, row.mask, row.high, row.streams_high, row.facts_high, row.tunnels_high = cap, min(size, 1 << 14) - 1, 1, 1, 1, 1
        row.fold_cap, row.fold_high, row.span = folds, cap + 1, 60_000_000

    def touch(self) -> None:
        """Touch every page now, so that no first touch falls into the measured time."""
        for array in (self.slots, self.flows, self.details, self.births):
            array.view(np.uint8)[::4096] = 0


@kernel
def find(slots: Any, flows: Any, mask: Any, tag: Any, key0: Any, key1: Any) -> Any:
    """Record number of the key, 0 if absent. Probes are bounded by the first empty slot (flows fill half of the index at most, folds a twentieth)."""
    at = tag & mask
    while True:
        slot = slots[at]
        if slot == np.uint64(0):
            return np.uint64(0)
        if (slot >> np.uint64(32)) == tag:
            number = (slot & np.uint64(0xFFFFFFFF)) - np.uint64(1)
            if flows[number].key0 == key0 and flows[number].key1 == key1:
                return number
        at = (at + np.uint64(1)) & mask


@kernel
def place(slots: Any, mask: Any, tag: Any, number: Any) -> Any:
    """Put a record number into the index."""
    at = tag & mask
    while slots[at] != np.uint64(0):
        at = (at + np.uint64(1)) & mask
    slots[at] = (tag << np.uint64(32)) | (number + np.uint64(1))
    return 0


@kernel
def remove(slots: Any, mask: Any, tag: Any, number: Any) -> Any:
    """Take a record number out of the index, shifting later slots of the run back (no tombstones)."""
    at = tag & mask
    wanted = (tag << np.uint64(32)) | (number + np.uint64(1))
    while slots[at] != wanted:
        if slots[at] == np.uint64(0):
            return -1
        at = (at + np.uint64(1)) & mask
    hole = at
    at = (at + np.uint64(1)) & mask
    while slots[at] != np.uint64(0):
        home = (slots[at] >> np.uint64(32)) & mask
        # the slot may move back if its home does not lie between the hole and where it is now
        if ((at - home) & mask) >= ((at - hole) & mask):
            slots[hole] = slots[at]
            hole = at
        at = (at + np.uint64(1)) & mask
    slots[hole] = np.uint64(0)
    return 0


@kernel
def grow(slots: Any, shard: Any) -> Any:
    """Double the part of the index in use, within its array. Slots re-place themselves by their tags."""
    row = shard[0]
    old = np.int64(row.mask) + 1
    if old * 2 > slots.size:
        return 0
    mask = np.uint64(old * 2 - 1)
    # walk from the first empty slot so that no run is cut in two: every run is re-placed whole
    start = np.int64(0)
    while slots[start] != np.uint64(0):
        start += 1
    for i in range(old):
        at = (start + i) & (old - 1)
        slot = slots[at]
        if slot == np.uint64(0):
            continue
        slots[at] = np.uint64(0)
        to = (slot >> np.uint64(32)) & mask
        while slots[to] != np.uint64(0):
            to = (to + np.uint64(1)) & mask
        slots[to] = slot
    row.mask = mask
    return 1


@kernel
def one_sided(flow: Any) -> Any:
    """1 for a TCP flow that was seen in one direction only, though the other must have been there (dpi/flow/tcp.py), else 0."""
    if flow.key1 & np.uint64(0xFF) != np.uint64(6):
        return 0
    seen = flow.marks & (SEQ_CLIENT | SEQ_SERVER)
    if seen == SEQ_CLIENT:
        return 1 if flow.advanced[1] == PROVEN else 0
    if seen == SEQ_SERVER:
        return 1 if flow.advanced[0] == PROVEN else 0
    return 0


@kernel
def take(flows: Any, shard: Any) -> Any:
    """A free record number, 0 when the table is at its cap."""
    row = shard[0]
    number = row.free
    if number != 0:
        row.free = np.int64(flows[number].stream)
    elif row.high <= row.cap:
        number = row.high
        row.high += 1
    else:
        return np.int64(0)
    row.live += 1
    return np.int64(number)


@kernel
def give(flows: Any, shard: Any, number: Any) -> Any:
    """Return a record to the free chain. `start` = -1 marks it free for the sweep."""
    row = shard[0]
    flow = flows[number]
    flow.start = np.int64(-1)
    flow.stream = np.uint32(row.free)
    row.free = np.int64(number)
    row.live -= 1
    return 0
