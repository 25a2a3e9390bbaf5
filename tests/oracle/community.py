"""Community ID by hashlib and base64: the slow twin of dpi/flow/community.py, written from github.com/corelight/community-id-spec."""
from __future__ import annotations

import base64
import hashlib
import ipaddress
import struct

PORTED = (6, 17, 132)
REQUESTS = {1: {8: 0, 10: 9, 13: 14, 15: 16, 17: 18}, 58: {128: 129, 130: 131, 133: 134, 135: 136, 139: 140, 144: 145}}


def community_id(protocol: int, source: str, target: str, one: int = 0, other: int = 0) -> str:
    """The ID of what `source` sent; `one` and `other` are ports, or the type and code of ICMP."""
    ends = [(ipaddress.ip_address(source).packed, one), (ipaddress.ip_address(target).packed, other)]
    ordered = True
    if protocol in REQUESTS:
        pairs = REQUESTS[protocol] | {reply: request for request, reply in REQUESTS[protocol].items()}
        ordered = one in pairs
        ends[1] = (ends[1][0], pairs.get(one, other))
    elif protocol not in PORTED:
        ends = [(address, 0) for address, _ in ends]
    if ordered:
        ends.sort()
    message = b"\0\0" + ends[0][0] + ends[1][0] + bytes([protocol, 0])
    if protocol in PORTED or protocol in REQUESTS:
        message += struct.pack(">HH", ends[0][1], ends[1][1])
    return "1:" + base64.b64encode(hashlib.sha1(message).digest()).decode()
