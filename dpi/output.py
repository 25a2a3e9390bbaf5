"""What a shard (dpi/shard.py) exports: its buffers, whose sizes are of its limits, and what is the same in every row of a capture or interface."""
from __future__ import annotations

import threading
from dataclasses import field
from typing import Any

import numpy as np

from dpi.classify.inspection import TRANSACTION
from dpi.dataclass import dataclass
from dpi.engine import LEAST_EXPORTS, LEAST_TRANSACTIONS, settle_rows
from dpi.flow.export import Exports
from dpi.flow.rows import Room
from dpi.jit import records


@dataclass(frozen=True)
class Limits:
    """Sizes and times of one shard. Times in seconds."""
    flows: int = 1 << 20
    facts: int = 1 << 17
    streams: int = 1 << 15
    exports: int = 1 << 14
    transactions: int = 1 << 14
    seconds: int = 1 << 17
    idle_tcp: int = 300
    idle_half_open: int = 30
    idle_closed: int = 5
    idle_udp: int = 120
    idle_other: int = 60
    inspect: int = 1
    cut: int = 0
    span: int = 60              # s: no row crosses a multiple of it
    key_vlan: bool = True


@dataclass
class Origin:
    """Where frames come from: what is the same in every row."""
    source: str
    capture_id: int = 0
    probe: str = "replay"
    boot: int = 0
    interfaces: list[str] = field(default_factory=lambda: [""])


class Output:
    """Buffers that a shard fills and a sink empties."""

    def __init__(self, limits: Limits) -> None:
        if limits.exports < LEAST_EXPORTS or limits.transactions < LEAST_TRANSACTIONS:
            raise ValueError(f"room for {limits.exports} rows, {limits.transactions} transactions: a batch may export {LEAST_EXPORTS}, {LEAST_TRANSACTIONS}")
        self.exports = Exports(limits.exports)
        self.outbox = records(limits.transactions, TRANSACTION)
        self.head: np.ndarray[Any, Any] = np.zeros(2, np.int64)         # rows, facts
        self.transactions = 0
        self.origin = Origin("")
        self.room = Room()                      # of the rows that are made of it
        self.world: Any = None                  # the shard's, with these buffers
        self.free = threading.Event()           # nothing in it is to be written
        self.free.set()

    @property
    def rows(self) -> int:
        """How many flows' rows are in it."""
        return int(self.head[0])

    def arrays(self) -> dict[str, Any]:
        """Its arrays by their names in the world."""
        e = self.exports
        return {"outbox": self.outbox, "out_head": self.head, "out_flows": e.flows, "out_details": e.details, "out_addresses": e.addresses,
                "out_extra": e.extra, "out_facts": e.facts, "out_tunnels": e.tunnels}

    def settle(self) -> None:
        """Complete the verdicts of the rows."""
        if self.rows:
            settle_rows(self.world)
