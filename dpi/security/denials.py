"""Requests of HTTP that were answered by 401 (RFC 9110 section 15.5.2), kept until a row of their flow comes, which says who asked whom."""
from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np

from dpi.batch import Batch

UNAUTHORIZED = 401
FLOWS = 1 << 14             # that are kept; beyond, the oldest go
MOST = 1 << 20              # denials of a row


class Denials:
    """Told of rows of `http` before the rows of `flows` that left the pipeline with them."""

    def __init__(self, flows: int = FLOWS) -> None:
        self._flows, self.given_up = flows, 0
        self._waiting: OrderedDict[int, int] = OrderedDict()

    def take(self, batch: Batch) -> None:
        """Rows of http."""
        status: Any = batch.columns["status"]
        at = np.flatnonzero(np.asarray(status) == UNAUTHORIZED)
        if not len(at):
            return
        flows: Any = batch.columns["flow_id"]
        for flow in np.asarray(flows)[at].tolist():
            self._waiting[flow] = min(self._waiting.get(flow, 0) + 1, MOST)
        while len(self._waiting) > self._flows:
            self._waiting.popitem(last=False)
            self.given_up += 1

    def of(self, flows: Any) -> Any:
        """uint32[n]: how often each of these rows' flows, uint64[n], was denied since its last row; None where none was."""
        if not self._waiting:
            return None
        marked: Any = np.zeros(1 << 16, np.bool_)           # by the lower bits: few rows are looked up in the dict
        marked[np.fromiter(self._waiting, np.uint64, len(self._waiting)) & np.uint64(0xFFFF)] = True
        at = np.flatnonzero(marked[flows & np.uint64(0xFFFF)])
        counts = [self._waiting.pop(flow, 0) for flow in flows[at].tolist()]
        if not any(counts):
            return None
        out: Any = np.zeros(len(flows), np.uint32)
        out[at] = counts
        return out
