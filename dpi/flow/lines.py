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
_NUMBERS = ("flow_id", "flow_start_time", "interval_start", "interval_end", "client_port", "server_port", "ip_protocol",
            "client_packets", "server_packets", "client_wire_bytes", "server_wire_bytes")
_TEXTS = ("protocol", "application", "confidence", "evidence", "server_name")


class Lines:
    """Keeps lines of candidates that the kernel found. `parts`: sums of the flows that have several rows."""

    def __init__(self, parts: Tally) -> None:
        self._parts = parts
        self._lines: dict[int, tuple[int, _Row]] = {}           # by flow id: bytes of the row that is shown
        self._samples: dict[int, _Row] = {}                     # by label * 8 + confidence
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
                if known is None or known[0] <= size or (known[1].texts["confidence"] == "" and keys[k] & 7):
                    self._lines[number] = (size, _Row(batch, plain, row))
            if len(self._lines) > _KNOWN:
                self._lines = dict(sorted(self._lines.items(), key=lambda item: -item[1][0])[:_KNOWN // 2])
        for row, key in zip(rows[what == SAMPLE].tolist(), keys[what == SAMPLE].tolist(), strict=True):
            if key in self._samples or int((weight[key & 7::8] > weight[key]).sum()) < _NEAR:
                self._samples[key] = _Row(batch, plain, row)

    def largest(self, name: Callable[[int], tuple[str, str, str]]) -> list[FlowLine]:
        """The largest flows. `name` gives (protocol, application, confidence) of a key."""
        parts, outlines = self._parts.rows, self._parts.beside.view(np.ndarray)[1:]
        place = {number: k for k, number in enumerate(parts["high"].tolist())}      # of flows that have several rows
        sizes = {number: size for number, (size, _) in self._lines.items()} | dict.fromkeys(largest(parts, TOP)["high"].tolist(), 0)
        sizes |= {number: int(parts["bytes"][place[number]]) for number in sizes if number in place}
        lines = []
        for number in sorted(sizes, key=lambda number: (-sizes[number], number))[:TOP]:
            known, k = self._lines.get(number), place.get(number, -1)
            one = known[1].line() if known is not None else _outline(number, outlines[k], name)     # large only as a whole: no row was among the largest
            lines.append(one if k < 0 else replace(one, bytes=sizes[number], packets=int(parts["packets"][k])))
        return lines

    def samples(self, codes: list[int], weight: Array) -> list[FlowLine]:
        """For each confidence code the samples of the applications with most bytes reached that way."""
        taken: list[FlowLine] = []
        for code in codes:
            keys = sorted((key for key in self._samples if key & 7 == code), key=lambda key: -weight[key])
            taken += [self._samples[key].line() for key in keys[:_SAMPLES]]
        return taken


class _Row:
    """What a line is made of, should it be shown: of a hundred that are kept one is."""

    __slots__ = ("ends", "numbers", "texts")

    def __init__(self, batch: Batch, plain: Array, row: int) -> None:
        """A row of the batch. plain: the batch as ROW[n]."""
        columns, one = batch.columns, plain[row]
        self.ends = one["client_ip"].tobytes(), one["server_ip"].tobytes()
        self.numbers = {name: int(one[name]) for name in _NUMBERS}
        self.texts = {name: str(columns[name][row]) if name in columns else "" for name in _TEXTS}

    def line(self) -> FlowLine:
        """As a person reads it."""
        one = self.numbers
        client, server = (endpoint(address(end), one[f"{side}_port"]) for side, end in zip(("client", "server"), self.ends, strict=True))
        return FlowLine(str(one["flow_id"]), one["flow_start_time"] or one["interval_start"], one["interval_end"], client, server,
                        transport(one["ip_protocol"]), **self.texts, packets=one["client_packets"] + one["server_packets"],
                        bytes=one["client_wire_bytes"] + one["server_wire_bytes"])


def _outline(number: int, known: Any, name: Callable[[int], tuple[str, str, str]]) -> FlowLine:
    """A line from the numbers alone."""
    ports = int(known["ports"])
    client, server = (endpoint(address(known[side].tobytes()), ports >> shift & 0xFFFF) for side, shift in (("client", 16), ("server", 0)))
    protocol, application, confidence = name(int(known["key"]))
    return FlowLine(str(number), 0, 0, client, server, transport(ports >> 32), protocol, application, confidence)
