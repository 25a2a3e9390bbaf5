"""Which flows are shown one by one: the largest, and an example for each way of naming."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dpi.batch import Array
from dpi.flow.chunk import Chunk
from dpi.flow.figures import TOP, FlowLine, address, endpoint, transport
from dpi.flow.tally import Tally, halves, mix

_SAMPLES = 3            # examples for each confidence
_KNOWN = 4096           # lines held


class Lines:
    """Keeps lines of candidates, and sums of the flows that have several rows."""

    def __init__(self, labels: int) -> None:
        self._keys = labels * 8                         # label * 8 + confidence
        self._parts = Tally(7, 2, 1 << 15)              # flows of several rows: flow id, ends, ports, key; bytes, packets
        self._lines: dict[int, tuple[int, FlowLine]] = {}
        self._samples: dict[int, FlowLine] = {}

    def add(self, chunk: Chunk, key: Array, whole: Array, wire: Array, packets: Array, weight: Array) -> None:
        """Rows of a chunk: int64[n] key, bool[n] `whole` (the flow has this row only), bytes, packets; `weight` bytes so far by key."""
        flow = chunk.column("flow_id")
        if flow is None:
            return
        numbers = flow.astype(np.uint64, copy=False)
        self._add_parts(chunk, numbers, key, np.flatnonzero(~whole), wire, packets)
        large = np.argpartition(wire, -2 * TOP)[-2 * TOP:] if len(wire) > 2 * TOP else np.arange(len(wire))
        if len(self._lines) >= 4 * TOP:                 # a row far below the largest of a flow of one row cannot matter
            bar = sorted(known[0] for known in self._lines.values())[-2 * TOP]
            large = large[(wire[large] > bar) | ~whole[large] & (wire[large] * 8 > bar)]
        for row in large.tolist():
            number, bytes_ = int(numbers[row]), int(wire[row])
            known = self._lines.get(number)
            if known is None or known[0] <= bytes_ or (known[1].confidence == "" and key[row] & 7):
                self._lines[number] = (bytes_, chunk.line(row))
        if len(self._lines) > _KNOWN:
            self._lines = dict(sorted(self._lines.items(), key=lambda item: -item[1][0])[:_KNOWN // 2])
        self._add_samples(chunk, key, wire, weight)

    def _add_parts(self, chunk: Chunk, numbers: Array, key: Array, parts: Array, wire: Array, packets: Array) -> None:
        if not len(parts):
            return
        client, server = (halves(np.asarray(chunk.column(f"{side}_ip"))[parts]) for side in ("client", "server"))
        ports = chunk.number("ip_protocol")[parts] << 32 | chunk.number("client_port")[parts] << 16 | chunk.number("server_port")[parts]
        self._parts.add(mix(numbers[parts]), (numbers[parts], *client, *server, ports, key[parts]), (wire[parts], packets[parts]))

    def _add_samples(self, chunk: Chunk, key: Array, wire: Array, weight: Array) -> None:
        rows = np.full(self._keys, -1, np.int64)
        rows[key] = np.arange(len(key))
        big = np.argpartition(wire, -1024)[-1024:] if len(wire) > 1024 else np.arange(len(wire))
        big = big[np.argsort(wire[big])]
        rows[key[big]] = big                            # the largest comes last and stays
        seen = np.flatnonzero(rows >= 0)
        confidence = seen & 7
        for code in range(1, 8):
            keys = seen[confidence == code]
            for best in keys[np.argsort(-weight[keys])[:_SAMPLES]].tolist():
                row = int(rows[best])
                if best not in self._samples or wire[row] > 4 * self._samples[best].bytes:
                    self._samples[best] = chunk.line(row)

    def largest(self, name: Callable[[int], tuple[str, str, str]]) -> list[FlowLine]:
        """The largest flows. `name` gives (protocol, application, confidence) of a key."""
        self._parts.fold()
        wanted = np.isin(self._parts.carried[0], np.array(list(self._lines), np.uint64))
        wanted[np.argsort(-self._parts.summed[0])[:TOP]] = True
        lines = {number: line for number, (_, line) in self._lines.items()}
        for k in np.flatnonzero(wanted).tolist():
            number = int(self._parts.carried[0][k])
            if number not in lines:                     # large only as a whole: its rows were never among the largest
                lines[number] = _outline(number, [int(column[k]) for column in self._parts.carried[1:]], name)
            lines[number] = replace(lines[number], bytes=int(self._parts.summed[0][k]), packets=int(self._parts.summed[1][k]))
        return sorted(lines.values(), key=lambda line: (-line.bytes, int(line.flow_id)))[:TOP]

    def samples(self, codes: list[int], weight: Array) -> list[FlowLine]:
        """For each confidence code the samples of the applications with most bytes reached that way."""
        taken: list[FlowLine] = []
        for code in codes:
            keys = sorted((key for key in self._samples if key & 7 == code), key=lambda key: -weight[key])
            taken += [self._samples[key] for key in keys[:_SAMPLES]]
        return taken


def _outline(number: int, carried: list[int], name: Callable[[int], tuple[str, str, str]]) -> FlowLine:
    """A line from the numbers alone."""
    raw = np.array(carried[:4], np.uint64).tobytes()
    ports = carried[4]
    client, server = (endpoint(address(raw[at:at + 16]), ports >> shift & 0xFFFF) for at, shift in ((0, 16), (16, 0)))
    protocol, application, confidence = name(carried[5])
    return FlowLine(str(number), 0, 0, client, server, transport(ports >> 32), protocol, application, confidence)
