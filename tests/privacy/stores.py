"""Stores for the tests of personal data: rows that say whose they are, stored on a day of one's choice."""
from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from dpi.batch import Coded
from dpi.store import Store
from dpi.store.parcel import Packing
from tests.rows import batch

DAY = 86_400
START = 1_790_000_000_000_000


def flows(count: int, seed: int, services: list[str], start: int = START) -> Any:
    """Rows of flows; services: '' or the client's service, in turn. The customer of S1 is C1."""
    names = [services[k % len(services)] for k in range(count)]
    nothing = Coded.same("", count)
    return batch("flows", count, seed, start, flow_id=(np.arange(count) + seed * 1000 + (7 << 40)).astype("u8"), client_service_id=Coded.of(names),
                 client_customer_id=Coded.of([name.replace("S", "C") for name in names]), server_service_id=nothing, server_customer_id=nothing,
                 probe=Coded.same("p1", count), capture_id=np.zeros(count, "u8"), interval_start=np.full(count, start), interval_end=np.full(count, start + 9))


def put(store: Store, rows: Any, days: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Store rows as if so many days ago."""
    packing = Packing("p1")
    packing.add(rows)
    with monkeypatch.context() as then:
        moment = time.time_ns() - int(days * DAY * 1e9)
        then.setattr("dpi.store.parcel.time.time_ns", lambda: moment)
        parcels = [packing.pack(gathering) for gathering in packing.take(True)]
    for parcel in parcels:
        store.insert(parcel)
