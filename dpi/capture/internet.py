"""IP headers: version 4 (RFC 791) and version 6 with its extension headers (RFC 8200).

Each reader leaves what it understood in the decoder's `layer` fields (DECODER in dpi/capture/tunnel.py) and answers 0 or a number of
REFUSALS. `end` is the first byte that cannot belong to the packet: the wire length of the frame, or the end of the packet around it.
A packet that says it is longer is impossible inside another; where `loose` (nothing around it, or that was cut too) it is taken to have been
cut by a tool that did not keep the frame's true length, and ends at `end`: `layer.cut` is set.
"""
from __future__ import annotations

from typing import Any

from dpi.capture.frame import REFUSALS
from dpi.capture.octets import be16, be32, octet
from dpi.jit import kernel

TRUNCATED_IP = REFUSALS.index("truncated_ip")
BAD_IP = REFUSALS.index("bad_ip")
TOO_DEEP = REFUSALS.index("too_deep")
HOP_BY_HOP, ROUTING, FRAGMENT_HEADER, DESTINATION = 0, 43, 44, 60
WHOLE, FIRST, LATER = 0, 1, 2       # PACKET.fragment


@kernel
def read_v4(data: Any, base: int, captured: int, end: int, at: int, loose: bool, decoder: Any) -> Any:
    """The IPv4 header at `at`."""
    if at + 20 > captured:
        return TRUNCATED_IP
    first = octet(data, base + at)
    header = (first & 15) << 2
    if first >> 4 != 4 or header < 20:
        return BAD_IP
    total = be16(data, base + at + 2)
    if total == 0:                  # segmentation offload: the length was left to the network card
        total = end - at
    if total < header or at + header > end:
        return BAD_IP
    cut = at + total > end
    if cut:
        if not loose:
            return BAD_IP
        total = end - at
    if at + header > captured:
        return TRUNCATED_IP
    fragment = be16(data, base + at + 6)
    decoder.version = 4
    decoder.cut = 1 if cut else 0
    decoder.ip_at = at
    decoder.l4_at = at + header
    decoder.end = at + total
    decoder.addresses_at = at + 12
    decoder.ip_protocol = octet(data, base + at + 9)
    decoder.fragment_protocol = decoder.ip_protocol
    decoder.fragment_id = be16(data, base + at + 4)
    decoder.fragment = LATER if fragment & 0x1FFF else (FIRST if fragment & 0x2000 else WHOLE)
    decoder.ttl = octet(data, base + at + 8)
    decoder.dscp = octet(data, base + at + 1) >> 2
    decoder.extensions = 0
    return 0


@kernel
def read_v6(data: Any, base: int, captured: int, end: int, at: int, loose: bool, decoder: Any) -> Any:
    """The IPv6 header at `at` and the extension headers behind it, up to what is no extension or a later fragment's bytes."""
    if at + 40 > captured:
        return TRUNCATED_IP
    word = be32(data, base + at)
    if word >> 28 != 6:
        return BAD_IP
    length = be16(data, base + at + 4)
    following = octet(data, base + at + 6)
    if length == 0 and following != 59:         # jumbogram (RFC 2675) or segmentation offload
        length = end - at - 40
    if length < 0 or at + 40 > end:
        return BAD_IP
    cut = at + 40 + length > end
    if cut:
        if not loose:
            return BAD_IP
        length = end - at - 40
    end = at + 40 + length
    header = at + 40
    decoder.fragment = WHOLE
    decoder.fragment_id = 0
    decoder.fragment_protocol = 0
    layers = 0
    while following == HOP_BY_HOP or following == ROUTING or following == DESTINATION or following == FRAGMENT_HEADER:
        layers += 1
        if layers > decoder.max_layers:
            return TOO_DEEP
        if header + 8 > end:
            return BAD_IP
        if header + 8 > captured:
            return TRUNCATED_IP
        size = 8
        later = False
        if following == FRAGMENT_HEADER:
            offset = be16(data, base + header + 2)
            if offset & 0xFFF9:                 # neither: an atomic fragment (RFC 6946) is a whole packet
                later = offset & 0xFFF8 != 0
                decoder.fragment = LATER if later else FIRST
                decoder.fragment_id = be32(data, base + header + 4)
                decoder.fragment_protocol = octet(data, base + header)
        else:
            size = (octet(data, base + header + 1) + 1) << 3
        following = octet(data, base + header)
        header += size
        if header > end:
            return BAD_IP
        if later:
            break
    decoder.version = 6
    decoder.cut = 1 if cut else 0
    decoder.ip_at = at
    decoder.l4_at = header
    decoder.end = end
    decoder.addresses_at = at + 8
    decoder.ip_protocol = following
    decoder.ttl = octet(data, base + at + 7)
    decoder.dscp = (word >> 22) & 63
    decoder.extensions = layers
    return 0
