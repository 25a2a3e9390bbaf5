"""Ports: the weakest evidence, asked last."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from dpi.jit import I64, entry, kernel

TRANSPORTS = {"tcp": 6, "udp": 17, "sctp": 132}


@kernel
def find_port(ip_protocol: Any, port: Any, ports: Any) -> Any:
    """The reason for this server port, else 0. ip_protocol: 6, 17 or 132; ports: uint32[3 * 65536] from `table()`."""
    if port < 0 or port > 65535:
        return np.int64(0)
    if ip_protocol == 6:
        return np.int64(ports[port])
    if ip_protocol == 17:
        return np.int64(ports[65536 + port])
    if ip_protocol == 132:
        return np.int64(ports[131072 + port])
    return np.int64(0)


@entry(I64, I64, np.dtype("u4"))
def port_reason(ip_protocol: Any, port: Any, ports: Any) -> Any:
    """`find_port` for Python callers."""
    return find_port(ip_protocol, port, ports)


def table(ranges: Iterable[tuple[int, int, int, int]]) -> Any:
    """uint32[3 * 65536] of (ip_protocol, first port, last port, reason); later ranges lie over earlier ones."""
    ports = np.zeros(3 * 65536, np.uint32)
    for ip_protocol, first, last, reason in ranges:
        start = (6, 17, 132).index(ip_protocol) * 65536
        ports[start + first:start + last + 1] = reason
    return ports
