"""TCP of one segment: handshake times, close and reset, sequence progress (RFC 9293)."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.flow.memory import details_of, shard_of
from dpi.flow.table import (
    ACKED,
    CLOSED,
    ESTABLISHED,
    FIN_CLIENT,
    FIN_SERVER,
    HEARD,
    MIDSTREAM,
    NOT_MEASURED,
    PROVEN,
    RESET,
    SEQ_CLIENT,
    SEQ_SERVER,
    SYN,
    SYN_ACK,
    SYN_TWICE,
    UNSEEN,
)
from dpi.jit import kernel

TCP, UDP, ICMP, ICMPV6, SCTP = 6, 17, 1, 58, 132
F_FIN, F_SYN, F_RST, F_ACK = 1, 2, 4, 16
ANY_WINDOW = 8 << 20        # octets that no sender sends without an acknowledgement: receive buffers of today end below
REORDERING_US = 3000        # older data within this time of the last advance is out of order, later it is a retransmission


@kernel
def tcp(w: Any, number: Any, flow: Any, p: Any, d: Any) -> Any:
    """TCP of one segment (RFC 9293): handshake times, close and reset, sequence progress. Returns as `count`, without the direction."""
    flags = np.int64(p.tcp_flags)
    flow.tcp_flags[d] |= p.tcp_flags
    clock = shard_of(w)[0].clock
    if flags & (F_SYN | F_FIN | F_RST):
        ends(w, number, flow, p, d)
    elif (flow.state & (SYN_ACK | ESTABLISHED)) == SYN_ACK and d == 0 and flags & F_ACK:
        flow.state |= ESTABLISHED
        detail = details_of(w)[number]
        if detail.client_rtt != NOT_MEASURED:       # held the time of the SYN-ACK until now
            detail.client_rtt = np.uint32(min(clock - detail.flow_start - np.int64(detail.client_rtt), NOT_MEASURED - 1))
    if p.window == 0 and not (flags & (F_SYN | F_FIN | F_RST)):
        flow.zero_windows[d] += np.uint16(1)
    length = np.int64(p.payload_bytes)
    seq = np.int64(p.seq)
    stop = (seq + length + ((flags >> 1) & 1) + (flags & 1)) & 0xFFFFFFFF
    if flags & (F_SYN | F_RST | F_ACK) == F_ACK and not (flow.marks & (SEQ_SERVER >> d)):
        infer(flow, p, d)
    known = SEQ_CLIENT << d
    if not (flow.marks & known):
        if flags & F_RST:
            flow.advanced[d] = HEARD
            return np.int64(0)
        flow.marks |= known
        flow.next_seq[d] = np.uint32(stop)
        flow.advanced[d] = np.uint32(clock & 0xFFFFFFFF)
        return np.int64(0)
    if stop == seq:
        return np.int64(1) << 33            # nothing that takes sequence space
    expected = np.int64(flow.next_seq[d])
    distance = (seq - expected) & 0xFFFFFFFF
    if distance < 0x80000000:
        flow.next_seq[d] = np.uint32(stop)
        flow.advanced[d] = np.uint32(clock & 0xFFFFFFFF)
    else:
        ahead = (stop - expected) & 0xFFFFFFFF
        if length <= 1 and distance == 0xFFFFFFFF and not (flags & (F_SYN | F_FIN)):
            pass                            # keep-alive (RFC 9293 section 3.8.4)
        elif ((clock - np.int64(flow.advanced[d])) & 0xFFFFFFFF) <= REORDERING_US and not (flags & F_SYN):
            flow.out_of_order[d] += np.uint16(1)
        else:
            flow.retransmissions[d] += np.uint16(1)
        if 0 < ahead < 0x80000000:
            flow.next_seq[d] = np.uint32(stop)
            flow.advanced[d] = np.uint32(clock & 0xFFFFFFFF)
    return distance | (np.int64(1) << 33)


@kernel
def infer(flow: Any, p: Any, d: Any) -> Any:
    """What an acknowledgement by side d says of the other side, of which no segment has been seen (RFC 9293 sections 3.4 and 3.5).

    The other side has sent something where d goes on after its own SYN or SYN-ACK, where the number it acknowledges has grown, or where it has sent
    more in this row than any window takes. A lone SYN-ACK proves nothing, for the SYN may have been forged, nor does a lone ACK, as of a scan.
    """
    other = 1 - d
    told = flow.advanced[other]
    if told == PROVEN or told == HEARD:
        return 0
    if flow.state & (SYN if d == 0 else SYN_ACK):
        flow.advanced[other] = PROVEN
    elif told == UNSEEN:
        flow.next_seq[other] = p.ack
        flow.advanced[other] = ACKED
    elif 0 < ((np.int64(p.ack) - np.int64(flow.next_seq[other])) & 0xFFFFFFFF) < 0x80000000:
        flow.advanced[other] = PROVEN
    elif np.int64(flow.ip_bytes[d]) - np.int64(flow.headers[d]) > ANY_WINDOW:
        flow.advanced[other] = PROVEN
    return 0


@kernel
def forget_rtt(flow: Any, detail: Any) -> Any:
    """A SYN or SYN-ACK was sent twice: which of them is answered cannot be known (Karn's rule, RFC 6298 section 3)."""
    if not (flow.state & ESTABLISHED):
        detail.client_rtt = NOT_MEASURED
    return 0


@kernel
def ends(w: Any, number: Any, flow: Any, p: Any, d: Any) -> Any:
    """SYN, FIN and RST of one segment."""
    flags = np.int64(p.tcp_flags)
    detail = details_of(w)[number]
    since = min(shard_of(w)[0].clock - detail.flow_start, NOT_MEASURED - 1)
    if flags & F_RST:
        flow.state |= RESET | CLOSED
    elif flags & F_SYN:
        if d == 0 and not (flags & F_ACK):
            if flow.state & SYN:
                flow.state |= SYN_TWICE
                forget_rtt(flow, detail)
            flow.state |= SYN
            if detail.mss == 0:
                detail.mss = p.mss
        elif d == 1 and flags & F_ACK:
            if flow.state & SYN_ACK:
                forget_rtt(flow, detail)
            elif not (flow.state & SYN_TWICE):
                detail.client_rtt = np.uint32(since)
                if flow.state & SYN and not (flow.marks & MIDSTREAM):       # the SYN began the flow
                    detail.server_rtt = np.uint32(since)
            flow.state |= SYN_ACK
    if flags & F_FIN:
        flow.state |= FIN_CLIENT << d
        if (flow.state & (FIN_CLIENT | FIN_SERVER)) == (FIN_CLIENT | FIN_SERVER):
            flow.state |= CLOSED
    return 0
