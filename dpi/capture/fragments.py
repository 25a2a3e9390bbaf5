"""The ports of a fragmented packet, remembered for its later fragments.

One direct-mapped table of fixed size: a first fragment writes the slot its hash names, whatever was there; a later fragment finds its ports
if the slot still holds its datagram and is young. Nothing is reassembled. A later fragment whose first is unknown (lost, out of
order, overwritten) is counted in the flow of its addresses with ports 0.

The tag is a seeded 64-bit hash of version, addresses, VLAN, protocol and identification (RFC 791 section 3.2, RFC 8200 section 4.5).
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.key import fold
from dpi.capture.octets import be64
from dpi.jit import kernel, records

#: One first fragment. 24 bytes.
FRAGMENT = np.dtype((np.record, [
    ("tag", "u8"),                                  # 0: empty
    ("time", "i8"),                                 # us
    ("source_port", "u2"), ("target_port", "u2"),
    ("ip_protocol", "u1"),                          # behind the extension headers
    ("pad", "u1", (3,)),
]))
assert FRAGMENT.itemsize == 24, FRAGMENT.itemsize

SLOTS = 4096                                        # a power of two
EXPIRE = 30_000_000                                 # us; reassembly timers are 15 to 60 s


def fragment_table(slots: int = SLOTS) -> np.ndarray[Any, Any]:
    """An empty table, FRAGMENT[slots]; `slots` is a power of two."""
    return records(slots, FRAGMENT)


@kernel
def fragment_tag(data: Any, at: int, version: int, identification: int, ip_protocol: int, vlan: int, seed: Any) -> Any:
    """The tag (uint64, never 0) of a datagram; `at` is where its source address is in data."""
    rest = np.uint64((identification << 32) | (vlan << 16) | (ip_protocol << 8) | version) ^ seed[3]
    if version == 4:
        tag = fold(be64(data, at) ^ seed[1], rest)
    else:
        tag = fold(fold(be64(data, at) ^ seed[0], be64(data, at + 8) ^ seed[1]) ^ rest,
                   fold(be64(data, at + 16) ^ seed[2], be64(data, at + 24) ^ seed[3]) ^ seed[0])
    return fold(tag ^ seed[2], seed[0]) | np.uint64(1 << 63)


@kernel
def remember(fragments: Any, tag: Any, time: int, source_port: int, target_port: int, ip_protocol: int) -> None:
    """Keep the ports of a first fragment."""
    row = fragments[np.int64(tag & np.uint64(fragments.size - 1))]
    row.tag = tag
    row.time = time
    row.source_port = source_port
    row.target_port = target_port
    row.ip_protocol = ip_protocol


@kernel
def recall(fragments: Any, tag: Any, time: int) -> Any:
    """source port << 32 | target port << 16 | IP protocol of the datagram with this tag, or -1."""
    row = fragments[np.int64(tag & np.uint64(fragments.size - 1))]
    age = time - row.time
    if row.tag != tag or age > EXPIRE or age < -EXPIRE:
        return np.int64(-1)
    return (np.int64(row.source_port) << 32) | (np.int64(row.target_port) << 16) | np.int64(row.ip_protocol)
