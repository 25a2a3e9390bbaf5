"""IKE versions 1 and 2 on ports 500 and 4500, and ESP inside UDP on port 4500. (ESP and AH of their own are named by their IP protocol.)

State (ESP): word 0 the SPI | direction kept in word 2, word 1 the sequence number.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import MINE, MORE, NO, Claim, Protocol, parser
from dpi.classify.wire.integers import be32

Array = np.ndarray[Any, Any]

PROTOCOL = Protocol(
    name="IPSec", category="vpn",
    source="RFC 7296, section 3.1; RFC 2408, section 3.1; RFC 3948, section 2",
    claims=(
        Claim("udp", ports=(500, 4500), length=(28, 65535)),
        Claim("udp", ports=(4500,), match=((0, "ff"),), length=(1, 1)),
    ),
    port_hints=("udp/500", "udp/4500"),
)


@parser
def parse(data: Array, inspection: Array, facts: Array, outbox: Array, memory: Array) -> int:
    """See dpi.classify.inspection."""
    seen = inspection[0]
    state = seen.state
    n = np.int64(data.size)
    if n == 1 and data[0] == 255:
        return MORE             # keeps an address translation open
    at = 0
    if n >= 32 and be32(data, 0) == 0 and (seen.server_port == 4500 or seen.client_port == 4500):
        at = 4                  # the marker that it is not ESP
    if n < at + 28:
        return NO
    version = np.int64(data[at + 17])
    exchange = np.int64(data[at + 18])
    ike = (version == 0x10 and (1 <= exchange <= 6 or 32 <= exchange <= 33)) or (version == 0x20 and 34 <= exchange <= 44)
    if ike and be32(data, at + 24) == n - at and (be32(data, at) != 0 or be32(data, at + 4) != 0) and data[at + 19] & 0xC0 == 0:
        return MINE
    if at == 4 or (seen.server_port != 4500 and seen.client_port != 4500):
        return NO
    spi = be32(data, 0)
    number = be32(data, 4)
    if spi < 256 or number == 0:
        return NO
    side = np.int64(seen.direction) + 1
    if np.int64(state[2]) == side and np.int64(state[0]) == spi:
        return MINE if 0 < number - np.int64(state[1]) < 64 else NO
    if state[2] != 0 and np.int64(state[2]) != side:
        return MORE
    state[0] = spi
    state[1] = number
    state[2] = side
    return MORE
