"""A real store with two hours of traffic of some services, and the same hours of the four weeks before: what test_sla_store.py measures."""
from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from dpi.batch import Batch, Coded
from dpi.store import Store, open_store
from dpi.usage.computing import Job
from tests.usage.traffic import BEGIN, MINUTE, coverage, flows, put

START = datetime.fromtimestamp(BEGIN // 1_000_000, UTC)
WEEK = 7 * 86_400_000_000
COLUMNS = 120
RTT = 3000                  # us
DOWN, UP = 8_000_000, 2_000_000


class Traffic:
    """Rows of flows, one at a time: of a service in a minute from START."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, str, int, int, int, int, int, int, int, int]] = []

    def add(self, at: int, service: str, server: int, up_packets: int, down_packets: int, up_bytes: int, down_bytes: int, client_flags: int = 18,
            server_flags: int = 18, again: int = 0) -> None:
        self.rows.append((at, service, server, up_packets, down_packets, up_bytes, down_bytes, client_flags, server_flags, again))

    def usual(self, minute: int, service: str, week: int = 0, share: float = 1.0, again: int = 0) -> None:
        """What a service carries in a minute."""
        at = BEGIN - week * WEEK + minute * MINUTE + 1_000_000
        self.add(at, service, minute % 4, 500, 900, int(UP * share), int(DOWN * share), 2 | 16, 18, again)

    def tried(self, minute: int, service: str, count: int = 25) -> None:
        """Connections that nobody answers."""
        for n in range(count):
            self.add(BEGIN + minute * MINUTE + 2_000_000 + n, service, n % 8, 3, 0, 180, 0, 2, 0)

    def one_way(self, minute: int, service: str) -> None:
        """A connection of which only what the customer sends is mirrored."""
        self.add(BEGIN + minute * MINUTE + 3_000_000, service, 1, 600, 0, UP, 0, 16, 0)

    def batch(self) -> Batch:
        """As a probe stores them."""
        n = len(self.rows)
        at, service, server, up_packets, down_packets, up_bytes, down_bytes, client_flags, server_flags, again = (
            list(one) for one in zip(*self.rows, strict=True))
        address = np.zeros((n, 16), np.uint8)
        address[:, 10:12] = 0xFF
        address[:, 15] = np.array(server)
        numbers: dict[str, Any] = {
            "client_packets": up_packets, "server_packets": down_packets, "client_bytes": up_bytes, "server_bytes": down_bytes, "client_wire_bytes": up_bytes,
            "server_wire_bytes": down_bytes}
        given: dict[str, Any] = {name: np.array(values, np.uint64) for name, values in numbers.items()}
        return flows(n, flow_id=np.arange(n, dtype=np.uint64), interval=np.zeros(n, np.uint32), interval_start=np.array(at, np.int64),
                     ip_protocol=np.full(n, 6, np.uint8), client_service_id=Coded.of(service), client_customer_id=Coded.of(["C"] * n),
                     server_service_id=Coded.of([""] * n),
                     server_customer_id=Coded.of([""] * n), client_duplicate=np.zeros(n, np.uint8), server_duplicate=np.zeros(n, np.uint8),
                     client_tcp_flags=np.array(client_flags, np.uint8), server_tcp_flags=np.array(server_flags, np.uint8), server_ip=address,
                     client_rtt_us=np.full(n, RTT, np.uint32), client_retransmissions=np.array(again, np.uint32),
                     server_retransmissions=np.zeros(n, np.uint32), folded=np.zeros(n, np.uint32), **given)


def filled(folder: Any, ids: list[str]) -> Store:
    """The store: ten services, of which the first is always well.

    1: nobody answers in minutes 30 to 49, then silence to 59. 2: silence 20 to 39. 3: silence 60 to 79, its ping fails from 70 on. 4, 5, 6: silence from 80 or
    81 to 99. 7: its interface, eth2, tells nothing from 60 on. 8: one direction 10 to 19. 9: half of its rate and 3 % sent again in 20 to 29. All: the sensor
    loses 5 % in 100 to 104, and sees nobody in 110 to 114."""
    silent = {2: range(20, 40), 3: range(60, 80), 4: range(80, 100), 5: range(81, 100), 6: range(81, 100), 1: range(50, 60)}
    made = Traffic()
    for n, service in enumerate(ids):
        for week in range(1, 5):
            for minute in range(COLUMNS):
                made.usual(minute, service, week)
        for minute in range(COLUMNS):
            if 110 <= minute < 115 or minute in silent.get(n, ()):
                continue
            if n == 1 and 30 <= minute < 50:
                made.tried(minute, service)
            elif n == 8 and 10 <= minute < 20:
                made.one_way(minute, service)
            elif n == 9 and 20 <= minute < 30:
                made.usual(minute, service, share=0.5, again=42)
            else:
                made.usual(minute, service)
    store = open_store(f"chdb://{folder}/store")
    told = coverage(range(COLUMNS), frames=950, workers=1)
    lost = np.zeros(COLUMNS, np.uint64)
    lost[100:105] = 50
    told.columns["dropped_kernel"] = lost
    before = [coverage(range(COLUMNS), frames=950, workers=1, start=BEGIN - week * WEEK) for week in range(4, 0, -1)]
    second = coverage(range(60), frames=950, workers=1)
    second.columns["source"] = Coded.same("eth2", second.count)
    put(store, made.batch(), *before, told, second, coverage([COLUMNS], frames=950, workers=1), pinged(ids[3]))
    Job(store).run()
    return store


def pinged(service: str) -> Batch:
    """Its ping answers until minute 70, and again from 80 on."""
    n = COLUMNS
    down = np.array([70 <= minute < 80 for minute in range(n)])
    return Batch("link_state", n, {
        "time": np.array([BEGIN + minute * MINUTE for minute in range(n)], np.int64), "probe": Coded.same("p1", n), "target": Coded.same("service:x", n),
        "service_id": Coded.same(service, n), "source": Coded.same("ping", n), "state": Coded.of(["down" if one else "up" for one in down]),
        "changed": np.zeros(n, np.uint8), "rtt_us": np.full(n, 900, np.uint32), "sent": np.full(n, 3, np.uint32), "loss_permille": np.zeros(n, np.uint16)})
