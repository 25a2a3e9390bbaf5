"""One capture as a replay read it: its row in `captures`, and its minutes in `coverage`."""
from __future__ import annotations

from dataclasses import field
from typing import Any

import numpy as np

from dpi.batch import Batch, Coded, Lists, Texts
from dpi.dataclass import dataclass


@dataclass
class Captured:
    """One capture as it was read. Times us; `refused` counts frames in no flow by reason."""
    name: str
    path: str
    size: int = 0
    modified_time: int = 0
    sha256: str = ""
    link_types: list[str] = field(default_factory=list)
    first_time: int = 0
    last_time: int = 0
    packets: int = 0
    wire_bytes: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    damage: str = ""
    capture_id: int = 0

    def row(self, rules_version: str, stored_time: int) -> Batch:
        """As a row of `captures`. stored_time: us."""
        reasons = list(self.refused)
        return Batch("captures", 1, {
            "capture_id": np.array([self.capture_id], np.uint64), "path": Texts.of([self.path]), "source": Coded.same(self.name, 1),
            "size": np.array([self.size], np.uint64),
            "modified_time": np.array([self.modified_time], np.int64), "sha256": Texts.of([self.sha256]), "link_types": Lists.of([self.link_types]),
            "first_time": np.array([self.first_time], np.int64), "last_time": np.array([self.last_time], np.int64),
            "packets": np.array([self.packets], np.uint64), "wire_bytes": np.array([self.wire_bytes], np.uint64),
            "refused": np.array([sum(self.refused.values())], np.uint64), "refused_reasons": Lists.of([reasons]),
            "refused_counts": Lists(np.array([0, len(reasons)], np.int64), np.array([self.refused[r] for r in reasons], np.uint64)),
            "damage": Texts.of([self.damage]), "rules_version": Coded.same(rules_version, 1),
            "stored_time": np.array([stored_time], np.int64)})


def minutes(seconds: Any) -> dict[str, Any]:
    """Columns of `coverage` of SECOND[k]: the minutes, what was seen in them, and their busiest seconds."""
    of_each = seconds["second"] // 60
    minute = np.array(sorted(set(of_each.tolist())), np.int64)
    at, n = np.searchsorted(minute, of_each), len(minute)
    # the last of each minute when sorted by bytes; of equals the first second
    order = np.lexsort((-seconds["second"], seconds["wire_bytes"], at))
    busiest = seconds[order[np.flatnonzero(np.diff(at[order], append=n))]]
    frames = np.zeros(n, np.uint64)
    np.maximum.at(frames, at, seconds["packets"].astype(np.uint64))
    return {"time": minute * 60_000_000, "frames": np.bincount(at, seconds["packets"], n).astype(np.uint64),
            "wire_bytes": np.bincount(at, seconds["wire_bytes"], n).astype(np.uint64), "busiest_second": busiest["second"] * 1_000_000,
            "busiest_bytes": busiest["wire_bytes"].astype(np.uint64), "busiest_frames": frames}
