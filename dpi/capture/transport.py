"""Layer 4: ports, flags and where the payload is.

TCP RFC 9293, UDP RFC 768, UDP-Lite RFC 3828, SCTP RFC 9260, DCCP RFC 4340, ICMP RFC 792, ICMPv6 RFC 4443. Every other IP protocol is a
flow by its number alone: its payload begins behind the IP header.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.frame import REFUSALS
from dpi.capture.octets import be16, be32, octet
from dpi.jit import kernel

TRUNCATED_TRANSPORT = REFUSALS.index("truncated_transport")
BAD_TRANSPORT = REFUSALS.index("bad_transport")

ICMP, IGMP, TCP, UDP, DCCP, ICMPV6, SCTP, UDP_LITE = 1, 2, 6, 17, 33, 58, 132, 136
SYN = 0x02
MANGLED = -1            # an answer: the ports are known, the rest of the header is not to be used


@kernel
def mangled(data: Any, base: int, captured: int, end: int, at: int, packet: Any) -> Any:
    """A header that is cut or impossible: MANGLED where the ports are there all the same, else why not."""
    if at + 4 > captured or at + 4 > end:
        return BAD_TRANSPORT if at + 4 > end else TRUNCATED_TRANSPORT
    no_transport(packet)
    packet.source_port = be16(data, base + at)
    packet.target_port = be16(data, base + at + 2)
    payload(captured, end, end, packet)
    return MANGLED


@kernel
def tcp(data: Any, base: int, captured: int, end: int, at: int, whole: bool, packet: Any) -> Any:
    """Read a TCP header at `at`; the IP packet ends at `end` (on the wire). `whole`: it is no fragment."""
    if at + 20 > captured or at + 20 > end:
        return mangled(data, base, captured, end, at, packet)
    length = (octet(data, base + at + 12) >> 4) << 2
    if length < 20 or (at + length > end and whole):
        return mangled(data, base, captured, end, at, packet)
    flags = octet(data, base + at + 13)
    packet.source_port = be16(data, base + at)
    packet.target_port = be16(data, base + at + 2)
    packet.seq = be32(data, base + at + 4)
    packet.ack = be32(data, base + at + 8)
    packet.tcp_flags = flags
    packet.window = be16(data, base + at + 14)
    packet.mss = segment_size(data, base + at, min(length, min(captured, end) - at)) if flags & SYN else 0
    packet.icmp_type = 0
    packet.icmp_code = 0
    payload(captured, end, at + length, packet)
    return 0


@kernel
def segment_size(data: Any, start: int, length: int) -> Any:
    """The MSS option of a TCP header of which `length` bytes (at most 60) are there, or 0."""
    at = 20
    while at + 4 <= length:
        kind = octet(data, start + at)
        if kind == 0:
            return 0
        if kind == 1:
            at += 1
            continue
        size = octet(data, start + at + 1)
        if kind == 2:
            return be16(data, start + at + 2) if size == 4 else 0
        if size < 2:
            return 0
        at += size
    return 0


@kernel
def udp(data: Any, base: int, captured: int, end: int, at: int, whole: bool, packet: Any) -> Any:
    """Read a UDP header at `at`. A length of 0 (jumbograms, segmentation offload) means all there is, and so does an impossible one."""
    if at + 8 > captured or at + 8 > end:
        return mangled(data, base, captured, end, at, packet)
    length = be16(data, base + at + 4)
    status = 0
    if whole and length:
        if length < 8 or at + length > end:
            status = MANGLED
        else:
            end = at + length
    no_transport(packet)
    packet.source_port = be16(data, base + at)
    packet.target_port = be16(data, base + at + 2)
    payload(captured, end, at + 8, packet)
    return status


@kernel
def no_transport(packet: Any) -> None:
    """Clear what only some transports have."""
    packet.source_port = 0
    packet.target_port = 0
    packet.seq = 0
    packet.ack = 0
    packet.tcp_flags = 0
    packet.window = 0
    packet.mss = 0
    packet.icmp_type = 0
    packet.icmp_code = 0


@kernel
def payload(captured: int, end: int, at: int, packet: Any) -> None:
    """The payload runs from `at` to `end`, as far as it was captured."""
    packet.payload_at = at
    packet.payload_bytes = max(end - at, 0)
    packet.payload_captured = max(min(end, captured) - at, 0)


@kernel
def other(data: Any, base: int, captured: int, end: int, at: int, ip_protocol: int, whole: bool, packet: Any) -> Any:
    """Read what is neither TCP nor UDP."""
    no_transport(packet)
    header: Any = np.int64(0)
    need: Any = np.int64(0)
    if ip_protocol == ICMP or ip_protocol == ICMPV6:
        header, need = 8, 2
    elif ip_protocol == UDP_LITE:
        header, need = 8, 8
    elif ip_protocol == SCTP or ip_protocol == DCCP:
        header, need = 12, 12
    if at + need > captured or at + need > end:
        if need == 2:
            return BAD_TRANSPORT if at + need > end else TRUNCATED_TRANSPORT
        return mangled(data, base, captured, end, at, packet)
    if need == 2:
        packet.icmp_type = octet(data, base + at)
        packet.icmp_code = octet(data, base + at + 1)
    elif need:
        if ip_protocol == DCCP:
            header = octet(data, base + at + 4) << 2
            if header < 12 or (at + header > end and whole):
                return mangled(data, base, captured, end, at, packet)
        packet.source_port = be16(data, base + at)
        packet.target_port = be16(data, base + at + 2)
    payload(captured, end, min(at + header, end), packet)
    return 0


@kernel
def transport(data: Any, base: int, captured: int, end: int, at: int, ip_protocol: int, whole: bool, packet: Any) -> Any:
    """Read the layer-4 header at `at` of a whole packet or a first fragment.

    Offsets count from the frame, which begins at data[base] and of which `captured` bytes are there; `end` is where the IP packet ends.
    Writes ports, TCP fields, ICMP fields and the three payload fields of `packet`; returns 0, MANGLED or a number of REFUSALS.
    """
    if ip_protocol == TCP:
        return tcp(data, base, captured, end, at, whole, packet)
    if ip_protocol == UDP:
        return udp(data, base, captured, end, at, whole, packet)
    return other(data, base, captured, end, at, ip_protocol, whole, packet)
