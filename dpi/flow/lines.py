"""Which flows are shown one by one: the largest, and an example for each way of naming."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from dpi.batch import Array, Batch
from dpi.flow.figures import TOP, FlowLine, address, endpoint, transport
from dpi.flow.fold import LARGE, PART, SAMPLE
from dpi.flow.tally import Tally, largest

_SAMPLES = 3            # examples for each confidence
_NEAR = 8               # applications of a confidence that may yet be among the first _SAMPLES
_KNOWN = 512            # lines held


class Lines:
    """Keeps lines of candidates that the kernel found. `parts`: sums of the flows that have several rows."""

    def __init__(self, parts: Tally) -> None:
        self._parts = parts
        self._lines: dict[int, tuple[int, FlowLine]] = {}       # by flow id: bytes of the row that is shown
        self._samples: dict[int, FlowLine] = {}                 # by label * 8 + confidence
        self.bar = 0                                            # bytes below which a row cannot be among the largest

    def take(self, found: Array, batch: Batch, plain: Array, keys: Array, wire: Array, weight: Array) -> None:
        """Rows the kernel found, `row * 4 + what`; the batch as ROW[n]; key and wire bytes of each; `weight` int64[keys]: bytes so far by key."""
        rows, what = found >> 2, found & 3
        numbers: Any = batch.columns.get("flow_id")
        if numbers is not None:
            whole, part = what == LARGE, what == PART
            sizes = sorted([known[0] for known in self._lines.values()] + wire[whole].tolist())
            if len(sizes) >= 4 * TOP:
                self.bar = max(self.bar, sizes[-2 * TOP])
            for k in np.flatnonzero(part | whole & (wire >= self.bar)).tolist():
                row, size, number = int(rows[k]), int(wire[k]), int(numbers[rows[k]])
                known = self._lines.get(number)
                if known is None or known[0] <= size or (known[1].confidence == "" and keys[k] & 7):
                    self._lines[number] = (size, line(batch, plain, row))
            if len(self._lines) > _KNOWN:
                self._lines = dict(sorted(self._lines.items(), key=lambda item: -item[1][0])[:_KNOWN // 2])
        for row, key in zip(rows[what == SAMPLE].tolist(), keys[what == SAMPLE].tolist(), strict=True):
            if key in self._samples or int((weight[key & 7::8] > weight[key]).sum()) < _NEAR:
                self._samples[key] = line(batch, plain, row)

    def largest(self, name: Callable[[int], tuple[str, str, str]]) -> list[FlowLine]:
        """The largest flows. `name` gives (protocol, application, confidence) of a key."""
        lines = {number: shown for number, (_, shown) in self._lines.items()}
        parts, outlines = self._parts.rows, self._parts.beside.view(np.ndarray)[1:]
        asked = {*lines, *largest(parts, TOP)["high"].tolist()}
        for k in [k for k, number in enumerate(parts["high"].tolist()) if number in asked]:     # numpy's isin would import masked arrays first
            number = int(parts["high"][k])
            if number not in lines:                     # large only as a whole: its rows were never among the largest
                lines[number] = _outline(number, outlines[k], name)
            lines[number] = replace(lines[number], bytes=int(parts["bytes"][k]), packets=int(parts["packets"][k]))
        return sorted(lines.values(), key=lambda line: (-line.bytes, int(line.flow_id)))[:TOP]

    def samples(self, codes: list[int], weight: Array) -> list[FlowLine]:
        """For each confidence code the samples of the applications with most bytes reached that way."""
        taken: list[FlowLine] = []
        for code in codes:
            keys = sorted((key for key in self._samples if key & 7 == code), key=lambda key: -weight[key])
            taken += [self._samples[key] for key in keys[:_SAMPLES]]
        return taken


def line(batch: Batch, plain: Array, row: int) -> FlowLine:
    """One row as a person reads it. plain: the batch as ROW[n]."""
    columns: Any = batch.columns
    one = dict(zip(plain.dtype.names or (), plain[row].item(), strict=True))

    def text(name: str) -> str:
        return str(columns[name][row]) if name in columns else ""

    client, server = (endpoint(address(one[f"{side}_ip"].tobytes()), one[f"{side}_port"]) for side in ("client", "server"))
    return FlowLine(str(one["flow_id"]), one["flow_start_time"] or one["interval_start"], one["interval_end"], client, server,
                    transport(one["ip_protocol"]), text("protocol"), text("application"), text("confidence"), text("evidence"),
                    text("server_name"), one["client_packets"] + one["server_packets"], one["client_wire_bytes"] + one["server_wire_bytes"])


def _outline(number: int, known: Any, name: Callable[[int], tuple[str, str, str]]) -> FlowLine:
    """A line from the numbers alone."""
    ports = int(known["ports"])
    client, server = (endpoint(address(known[side].tobytes()), ports >> shift & 0xFFFF) for side, shift in (("client", 16), ("server", 0)))
    protocol, application, confidence = name(int(known["key"]))
    return FlowLine(str(number), 0, 0, client, server, transport(ports >> 32), protocol, application, confidence)
