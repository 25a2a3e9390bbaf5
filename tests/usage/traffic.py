"""Rows of flows as a probe or a replay stamps them, made up but repeatable, and the rows of `coverage` that close their minutes."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.batch import Batch, Coded
from dpi.store.parcel import Packing
from tests.rows import batch

MINUTE = 60_000_000
BEGIN = 1_700_000_400_000_000 // (60 * MINUTE) * 60 * MINUTE        # an hour of November 2023
_FLAGS = np.array([0, 2, 18, 24, 26], np.uint8)


def flows(count: int, seed: int = 1, start: int = BEGIN, span: int = 60 * MINUTE, services: int = 5, probe: str = "p1", capture: int = 0,
          **given: Any) -> Batch:
    """`count` rows between `services` services, others, and nobody known."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {}
    for side in ("client", "server"):
        numbers = rng.integers(0, 2 * services, count)
        columns[f"{side}_service_id"] = Coded.of(f"S{n}" if n < services else "" for n in numbers.tolist())
        columns[f"{side}_customer_id"] = Coded.of(f"C{n % 3}" if n < services else "" for n in numbers.tolist())
        columns[f"{side}_duplicate"] = (rng.random(count) < 0.1).astype(np.uint8)
        columns[f"{side}_retransmissions"] = rng.integers(0, 3, count).astype(np.uint32)
        columns[f"{side}_tcp_flags"] = rng.choice(_FLAGS, count)
        address = np.zeros((count, 16), np.uint8)
        address[:, 10:12] = 0xFF
        address[:, 12:] = rng.integers(0, 4, (count, 4))
        six = rng.random(count) < 0.3
        address[six] = rng.integers(0, 3, (int(six.sum()), 16))
        columns[f"{side}_ip"] = address
        rtt = rng.integers(0, 1 << 20, count) >> rng.integers(0, 20, count)
        columns[f"{side}_rtt_us"] = np.where(rng.random(count) < 0.5, 0xFFFFFFFF, rtt).astype(np.uint32)
        for what, most in (("packets", 1 << 20), ("bytes", 1 << 40), ("wire_bytes", 1 << 40)):
            columns[f"{side}_{what}"] = rng.integers(0, most, count).astype(np.uint64)
    columns["flow_id"] = rng.integers(0, count, count).astype(np.uint64)       # several rows of a flow
    columns["interval"] = rng.integers(0, 3, count).astype(np.uint32)
    columns["ip_protocol"] = rng.choice(np.array([6, 17], np.uint8), count)
    columns["folded"] = np.where(rng.random(count) < 0.1, rng.integers(1, 50, count), 0).astype(np.uint32)
    for name, words in (("application", ("", "YouTube", "微信")), ("category", ("video", "chat", "it's \\ odd\n")), ("rules_version", ("r1", "r2"))):
        columns[name] = Coded.of(words[n] for n in rng.integers(0, len(words), count).tolist())
    return batch("flows", count, seed, start, span, **{**columns, "probe": Coded.same(probe, count), "capture_id": np.full(count, capture, np.uint64),
                                                        **given})


def coverage(minutes: range | list[int], probe: str = "p1", workers: int = 2, told: range | None = None, capture: int = 0, start: int = BEGIN,
             frames: int = 10, refused: int = 0) -> Batch:
    """A row for each minute (number from `start`) and each of `told` (all workers)."""
    pairs = [(minute, number) for minute in minutes for number in (told if told is not None else range(workers))]
    n = len(pairs)
    return Batch("coverage", n, {"time": np.array([start + minute * MINUTE for minute, _ in pairs], np.int64), "probe": Coded.same(probe, n),
                                 "source": Coded.same("eth1", n), "capture_id": np.full(n, capture, np.uint64),
                                 "worker": np.array([number for _, number in pairs], np.uint16), "workers": np.full(n, workers, np.uint16),
                                 "frames": np.full(n, frames, np.uint64), "refused": np.full(n, refused, np.uint64)})


def put(store: Any, *batches: Batch) -> None:
    """Store them as a probe does."""
    packing = Packing("made-up")
    for one in batches:
        packing.add(one)
        for gathering in packing.take(True):
            store.insert(packing.pack(gathering))
