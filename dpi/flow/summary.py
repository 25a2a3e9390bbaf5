"""Folds exported rows into the figures of a summary, batch by batch, in bounded memory and without a loop over rows.

With a store the same figures come from SQL (`dpi/reports/figures.py`); a test compares the two on the same rows.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from dpi.batch import Array, Batch, Coded
from dpi.flow.figures import (
    BINS,
    BOUNDS,
    CONFIDENCES,
    SERIES,
    TOP,
    WIDTHS,
    CaptureLine,
    Delays,
    Figures,
    FlowLine,
    Host,
    Share,
    Timeline,
    address,
    endpoint,
    merged,
    ranked,
    transport,
)
from dpi.flow.tally import Registry, Tally, TextTally, grouped, halves, mix
from dpi.flow.transactions import DnsFold, HttpFold, TlsFold

LABELS = 1024                   # applications told apart; as many protocols again for flows without one
_BOUNDS = np.array(BOUNDS, np.int64)
_MISSING = 0xFFFFFFFF
_SYN, _RST = 2, 4
_SAMPLES = 3                    # examples for each confidence


class _Counts:
    """flows, packets, bytes by a dense number."""

    def __init__(self, size: int) -> None:
        self.table = np.zeros((3, size), np.float64)

    def add(self, codes: Array, opened: Array, packets: Array, wire: Array) -> None:
        size = self.table.shape[1]
        for k, weights in enumerate((opened, packets, wire)):
            self.table[k] += np.bincount(codes, weights=weights, minlength=size)

    def shares(self, names: Any) -> list[Share]:
        """A Share for each number seen; `names` maps a number to its name."""
        return [Share(names(k), *(int(self.table[j, k]) for j in range(3))) for k in np.flatnonzero(self.table[1] + self.table[0]).tolist()]


def delays(histogram: Array, column: Any) -> None:
    """Add the measured values of a nullable uint32 column [n] to a histogram int64[len(BOUNDS)]."""
    if column is None:
        return
    measured = column[column != _MISSING]
    if len(measured):
        histogram += np.bincount(np.searchsorted(_BOUNDS, measured.astype(np.int64), "right") - 1, minlength=len(BOUNDS))


class Summary:
    """A sink for flows, dns, tls and http rows; `figures()` at any time says what was folded so far."""

    def __init__(self) -> None:
        self._applications, self._protocols = Registry(LABELS), Registry(LABELS)
        self._confidences, self._categories = Registry(64), Registry(256)
        self._tunnels, self._endings, self._risks = Registry(256), Registry(32), Registry(128)
        for word in CONFIDENCES:
            self._confidences.number(word)
        self._labels = np.zeros((3, 2 * LABELS * 8), np.float64)        # flows, packets, bytes by label * 8 + confidence
        self._label_category = np.zeros(2 * LABELS, np.int64)
        self._by_protocol, self._by_carrier = _Counts(LABELS), _Counts(512)     # carrier: IP protocol * 2 + (1 for IPv6)
        self._by_vlan, self._by_tunnel = _Counts(4096), _Counts(256)
        self._by_ending, self._by_risk = np.zeros(32, np.int64), np.zeros(128, np.int64)
        self._ports = Tally(1, 3, 1 << 14)
        self._hosts = (Tally(3, 4), Tally(3, 4))                        # client, server: (high, low, label); bytes, packets, flows, sent
        self._names: dict[tuple[int, int], str] = {}
        self._rtt = [np.zeros(len(BOUNDS), np.int64) for _ in range(3)]
        self._tcp = np.zeros(11, np.int64)
        self._parts = Tally(7, 2, 1 << 15)                              # flows of several rows: flow id, ends, ports, label; bytes, packets
        self._lines: dict[int, tuple[int, FlowLine]] = {}
        self._samples: dict[int, FlowLine] = {}
        self._times = _Times()
        self._totals = np.zeros(7, np.int64)                            # rows, flows, packets, wire, IP, payload, wire of clients
        self._first, self._last = 1 << 62, -(1 << 62)
        self.dns, self.tls, self.http = DnsFold(), TlsFold(), HttpFold()

    # ------------------------------------------------------------ sink

    def write(self, batch: Batch) -> None:
        """Take a batch; tables that no figure needs are passed over."""
        if not batch.count:
            return
        if batch.table == "flows":
            self._flows(batch)
        elif batch.table in ("dns", "tls", "http"):
            getattr(self, batch.table).write(batch)

    def close(self) -> None:
        """Nothing is held open."""

    def _flows(self, batch: Batch) -> None:
        n, columns = batch.count, batch.columns
        zeros = np.zeros(n, np.int64)

        def both(what: str) -> tuple[Array, Array]:
            return tuple(np.asarray(columns.get(f"{side}_{what}", zeros)).astype(np.int64) for side in ("client", "server"))  # type: ignore[return-value]

        up, down = both("wire_bytes")
        client_packets, server_packets = both("packets")
        wire, packets = up + down, client_packets + server_packets
        opened = np.asarray(columns.get("interval", zeros)) == 0
        opened_flows = opened.astype(np.int64)
        start, end = np.asarray(columns["interval_start"]), np.asarray(columns["interval_end"])
        self._first, self._last = min(self._first, int(start.min())), max(self._last, int(end.max()))
        self._totals += [n, int(opened.sum()), int(packets.sum()), int(wire.sum()), *(int(sum(x.sum() for x in both(w))) for w in ("bytes", "payload_bytes")),
                         int(up.sum())]
        # names
        application = self._applications.codes(columns.get("application"), n)
        protocol = self._protocols.codes(columns.get("protocol"), n)
        confidence = np.minimum(self._confidences.codes(columns.get("confidence"), n), 7)
        category = self._categories.codes(columns.get("category"), n)
        label = np.where(application != 0, application, LABELS + protocol)
        combined = label * 8 + confidence
        weights = (opened.astype(np.float64), packets.astype(np.float64), wire.astype(np.float64))
        for k, column in enumerate(weights):
            self._labels[k] += np.bincount(combined, weights=column, minlength=self._labels.shape[1])
        self._label_category[label] = category
        self._by_protocol.add(protocol, *weights)
        # what carries them
        ip_protocol = np.asarray(columns.get("ip_protocol", zeros)).astype(np.int64)
        client, server = np.asarray(columns["client_ip"]), np.asarray(columns["server_ip"])
        client_halves, server_halves = halves(client), halves(server)
        six = (client_halves[0] != 0) | ((client_halves[1] & np.uint64(0xFFFFFFFF)) != np.uint64(0xFFFF0000))
        self._by_carrier.add(ip_protocol * 2 + six, *weights)
        vlan, tunnel = np.asarray(columns.get("vlan", zeros)), self._tunnels.codes(columns.get("tunnel"), n)
        if vlan.any():
            self._by_vlan.add(vlan.astype(np.int64) & 4095, *weights)
        if tunnel.any():
            self._by_tunnel.add(tunnel, *weights)
        final = np.asarray(columns.get("final", zeros)) != 0
        self._by_ending += np.bincount(self._endings.codes(columns.get("end_reason"), n)[final], minlength=len(self._by_ending))
        self._count_risks(columns.get("risks"), final)
        self._count_tcp(columns, ip_protocol == 6, opened, final, packets, both)
        for histogram, name in zip(self._rtt, ("client_rtt_us", "server_rtt_us", "server_response_us"), strict=True):
            delays(histogram, columns.get(name))
        # who
        server_port = np.asarray(columns.get("server_port", zeros)).astype(np.int64)
        unknown = np.flatnonzero(label == LABELS)
        if len(unknown):
            port = (ip_protocol[unknown] << 16) | server_port[unknown]
            self._ports.add(mix(port), (port,), (wire[unknown], packets[unknown], opened_flows[unknown]))
        for tally, (high, low), sent in zip(self._hosts, (client_halves, server_halves), (up, down), strict=True):
            heads = tally.add(mix(high, low, label), (high, low, label), (wire, packets, opened_flows, sent))
        self._remember_names(columns.get("server_name"), heads[-64:], server_halves)
        self._times.add(start, end, label, wire)
        self._remember_flows(batch, application, protocol, confidence, combined, opened & final, wire, packets)

    def _count_risks(self, risks: Any, final: Array) -> None:
        if risks is None or not len(risks.values):
            return
        owner = np.repeat(np.arange(len(risks)), np.diff(risks.offsets))
        codes = self._risks.codes(risks.values, len(risks.values))
        self._by_risk += np.bincount(codes[final[owner]], minlength=len(self._by_risk))

    def _count_tcp(self, columns: dict[str, Any], tcp: Array, opened: Array, final: Array, packets: Array, both: Any) -> None:
        client_flags, server_flags = (flags.astype(np.uint8) for flags in both("tcp_flags"))
        midstream = np.asarray(columns.get("midstream", opened & False)) != 0
        syn = tcp & opened & ~midstream & ((client_flags & _SYN) != 0)
        silent = syn & final & ((server_flags & _SYN) == 0)
        reset = ((server_flags & _RST) != 0)
        again, late, zero = both("retransmissions"), both("out_of_order"), both("zero_windows")
        self._tcp += [int((tcp & opened).sum()), int(packets[tcp].sum()), *(int(column.sum()) for column in (*again, *late)), int(zero[0].sum() + zero[1].sum()),
                      int(syn.sum()), int((silent & ~reset).sum()), int((silent & reset).sum()),
                      int((tcp & final & (((client_flags | server_flags) & _RST) != 0)).sum())]

    def _remember_names(self, names: Any, heads: Array, server: tuple[Array, Array]) -> None:
        """Server names of the busiest servers of the batch."""
        if names is None:
            return
        for row in heads.tolist():
            key = (int(server[0][row]), int(server[1][row]))
            if key not in self._names and len(self._names) < 8192 and (name := names[row]):
                self._names[key] = name

    def _remember_flows(self, batch: Batch, application: Array, protocol: Array, confidence: Array, combined: Array, whole: Array, wire: Array,
                        packets: Array) -> None:
        """Sums of flows of several rows; the lines of the largest; an example for each application and confidence."""
        flow = batch.columns.get("flow_id")
        if flow is None:
            return
        numbers = np.asarray(flow).astype(np.uint64)
        parts = np.flatnonzero(~whole)
        if len(parts):
            client, server = (halves(np.asarray(batch.columns[f"{side}_ip"])[parts]) for side in ("client", "server"))
            ports = np.zeros(len(parts), np.int64)
            for name, shift in (("ip_protocol", 32), ("client_port", 16), ("server_port", 0)):
                if (column := batch.columns.get(name)) is not None:
                    ports |= np.asarray(column)[parts].astype(np.int64) << shift
            self._parts.add(mix(numbers[parts]), (numbers[parts], *client, *server, ports, combined[parts]), (wire[parts], packets[parts]))
        large = np.argpartition(wire, -2 * TOP)[-2 * TOP:] if len(wire) > 2 * TOP else np.arange(len(wire))
        if len(self._lines) >= 4 * TOP:             # a row far below the largest of a flow of one row cannot matter
            bar = sorted(known[0] for known in self._lines.values())[-2 * TOP]
            large = large[(wire[large] > bar) | ~whole[large] & (wire[large] * 8 > bar)]
        for row in large.tolist():
            number, bytes_ = int(numbers[row]), int(wire[row])
            known = self._lines.get(number)
            if known is None or known[0] <= bytes_ or (known[1].confidence == "" and confidence[row]):
                self._lines[number] = (bytes_, self._line(batch, row))
        if len(self._lines) > 4096:
            self._lines = dict(sorted(self._lines.items(), key=lambda item: -item[1][0])[:2048])
        rows = np.full(2 * LABELS * 8, -1, np.int64)
        rows[combined] = np.arange(len(combined))
        big = np.argpartition(wire, -1024)[-1024:] if len(wire) > 1024 else np.arange(len(wire))
        big = big[np.argsort(wire[big])]
        rows[combined[big]] = big                   # the largest comes last and stays
        fresh = np.flatnonzero(rows >= 0)
        by_confidence = fresh & 7
        weight = self._labels[2, fresh]
        for code in range(8):
            keys = fresh[by_confidence == code]
            best = keys[np.argsort(-weight[by_confidence == code])[:_SAMPLES]]
            for key in best.tolist():
                if code and key not in self._samples:
                    self._samples[key] = self._line(batch, int(rows[key]))

    @staticmethod
    def _line(batch: Batch, row: int) -> FlowLine:
        columns = batch.columns

        def number(name: str) -> int:
            column = columns.get(name)
            return 0 if column is None else int(column[row])      # type: ignore[arg-type]

        def text(name: str) -> str:
            column = columns.get(name)
            return "" if column is None else str(column[row])

        shown = [endpoint(address(bytes(columns[f"{side}_ip"][row])), number(f"{side}_port")) for side in ("client", "server")]     # type: ignore[arg-type]
        return FlowLine(str(number("flow_id")), number("flow_start_time") or number("interval_start"), number("interval_end"), shown[0], shown[1],
                        transport(number("ip_protocol")), text("protocol"), text("application"), text("confidence"), text("evidence"),
                        text("server_name"), number("client_packets") + number("server_packets"), number("client_wire_bytes") + number("server_wire_bytes"))

    # ------------------------------------------------------------ answers

    def label_name(self, label: int) -> str:
        """Name of a label: an application, else a wire protocol, else ''."""
        return self._applications.words[label] if label < LABELS else self._protocols.words[label - LABELS]

    def figures(self, outcome: Any = None) -> Figures:
        """The figures so far; `outcome` (dpi.replaying.Outcome) adds captures, counters and per-second totals."""
        out = Figures()
        rows, flows, packets, wire, ip, payload, up = (int(x) for x in self._totals)
        out.rows, out.flows, out.packets, out.bytes, out.ip_bytes, out.payload_bytes, out.client_bytes = rows, flows, packets, wire, ip, payload, up
        if rows:
            out.first, out.last = self._first, self._last
        labels = self._label_shares()
        out.distinct["applications"] = sum(share.named for share in labels.values())
        out.categories = ranked(_folded(labels.values(), lambda share: share.category))
        out.applications = ranked(merged(labels.values()))
        protocols = self._by_protocol.shares(self._protocols.words.__getitem__)
        out.protocols, out.distinct["protocols"] = ranked(protocols), sum(bool(share.name) for share in protocols)
        by_confidence = self._labels.reshape(3, -1, 8).sum(axis=1)
        words = self._confidences.words
        out.confidences = ranked(Share(words[k], *(int(x) for x in by_confidence[:, k])) for k in range(min(8, len(words))))
        carriers = self._by_carrier.shares(int)
        out.transports = ranked(_folded(carriers, lambda share: transport(int(share.name) >> 1)))
        out.versions = ranked(_folded(carriers, lambda share: "IPv6" if int(share.name) & 1 else "IPv4"))
        out.tunnels = [share for share in ranked(self._by_tunnel.shares(self._tunnels.words.__getitem__)) if share.name]
        out.vlans = [share for share in ranked(self._by_vlan.shares(str)) if share.name != "0"]
        out.endings = ranked((Share(self._endings.words[k], int(self._by_ending[k])) for k in np.flatnonzero(self._by_ending).tolist()), by="flows")
        out.risks = ranked((Share(self._risks.words[k], int(self._by_risk[k])) for k in np.flatnonzero(self._by_risk).tolist()), by="flows")
        out.unknown_ports = self._unknown_ports()
        out.clients, out.distinct["clients"] = self._host_lines(0)
        out.servers, out.distinct["servers"] = self._host_lines(1)
        out.client_rtt, out.server_rtt, out.response = (Delays(histogram.tolist()) for histogram in self._rtt)
        for name, value in zip(("flows", "packets", "client_retransmissions", "server_retransmissions", "client_out_of_order", "server_out_of_order",
                                "zero_windows", "handshakes", "unanswered", "refused", "resets"), self._tcp.tolist(), strict=True):
            setattr(out.tcp, name, value)
        for fold in (self.dns, self.tls, self.http):
            fold.into(out)
        out.timeline = self._times.timeline(self)
        out.largest = self._largest()
        out.samples = self._examples()
        out.capped = {what: tally.dropped for what, tally in (("clients", self._hosts[0]), ("servers", self._hosts[1]),
                      ("unknown_ports", self._ports)) if tally.dropped}
        if outcome is not None:
            _take_outcome(out, outcome)
        if not out.peak_bits:
            self._times.peak(out)
        return out

    def _label_shares(self) -> dict[int, Share]:
        table = self._labels.reshape(3, -1, 8)
        shares = {}
        for label in np.flatnonzero(table[:2].sum(axis=(0, 2))).tolist():
            share = Share(self.label_name(label), *(int(x) for x in table[:, label].sum(axis=1)), self._categories.words[self._label_category[label]],
                          label < LABELS)
            share.confidence = {self._confidences.words[k]: int(table[2, label, k]) for k in np.flatnonzero(table[2, label]).tolist()}
            shares[label] = share
        return shares

    def _unknown_ports(self) -> list[Share]:
        self._ports.fold()
        shares = []
        for port, bytes_, packets, flows in zip(self._ports.carried[0].tolist(), *(column.tolist() for column in self._ports.summed), strict=True):
            name = transport(port >> 16)
            shares.append(Share(f"{name} {port & 65535}" if port & 65535 else name, flows, packets, bytes_, named=False))
        return ranked(shares, 10)

    def _host_lines(self, side: int) -> tuple[list[Host], int]:
        tally = self._hosts[side]
        tally.fold()
        if not len(tally.keys):
            return [], 0
        high, low, label = tally.carried
        order, starts = grouped(mix(high, low))
        sums = [np.add.reduceat(column[order], starts) for column in tally.summed]
        lines = []
        for k in np.argsort(-sums[0], kind="stable")[:2 * TOP].tolist():
            members = order[starts[k]:(starts[k + 1] if k + 1 < len(starts) else len(order))]
            main = members[np.lexsort((label[members], -tally.summed[0][members]))[0]]
            words = np.array([high[main], low[main]], np.uint64)
            bytes_, packets, flows, sent = (int(column[k]) for column in sums)
            name = self._names.get((int(words[0]), int(words[1])), "") if side else ""
            lines.append(Host(address(words.tobytes()), flows, packets, bytes_, sent, self.label_name(int(label[main])), name))
        lines.sort(key=lambda host: (-host.bytes, host.address))
        return lines[:TOP], len(starts)

    def _largest(self) -> list[FlowLine]:
        self._parts.fold()
        known = np.array(list(self._lines), np.uint64)
        wanted = np.isin(self._parts.carried[0], known)
        wanted[np.argsort(-self._parts.summed[0])[:TOP]] = True
        lines = {number: line for number, (_, line) in self._lines.items()}
        for k in np.flatnonzero(wanted).tolist():
            number = int(self._parts.carried[0][k])
            if number not in lines:                 # large only as a whole: its rows were never among the largest
                lines[number] = self._outline(number, [int(column[k]) for column in self._parts.carried[1:]])
            lines[number] = replace(lines[number], bytes=int(self._parts.summed[0][k]), packets=int(self._parts.summed[1][k]))
        return sorted(lines.values(), key=lambda line: (-line.bytes, int(line.flow_id)))[:TOP]

    def _outline(self, number: int, carried: list[int]) -> FlowLine:
        """A line from the numbers alone."""
        raw = np.array(carried[:4], np.uint64).tobytes()
        ports, label = carried[4], carried[5] >> 3
        protocol = ports >> 32
        ends = [endpoint(address(raw[at:at + 16]), ports >> shift & 0xFFFF) for at, shift in ((0, 16), (16, 0))]
        return FlowLine(str(number), 0, 0, ends[0], ends[1], transport(protocol), "" if label < LABELS else self.label_name(label),
                        self.label_name(label) if label < LABELS else "", self._confidences.words[carried[5] & 7])

    def _examples(self) -> list[FlowLine]:
        """For each confidence the samples of the applications with most bytes reached that way."""
        taken: list[FlowLine] = []
        for k in range(len(CONFIDENCES) - 1):
            word = CONFIDENCES[k]
            code = self._confidences.number(word)
            keys = sorted((key for key in self._samples if key & 7 == code), key=lambda key: -self._labels[2, key])
            taken += [self._samples[key] for key in keys[:_SAMPLES]]
        return taken


def _folded(shares: Iterable[Share], name: Callable[[Share], str]) -> list[Share]:
    """Shares added up under another name."""
    out: dict[str, Share] = {}
    for share in shares:
        total = out.setdefault(name(share), Share(name(share)))
        total.flows, total.packets, total.bytes = total.flows + share.flows, total.packets + share.packets, total.bytes + share.bytes
    return list(out.values())


class _Times:
    """Bytes by label and bin; the bins widen as the span grows."""

    def __init__(self) -> None:
        self.width = 0                      # index in WIDTHS
        self.lowest = 0                     # absolute number of the first bin
        self.grid: Array = np.zeros((0, 0))
        self.rows = np.full(2 * LABELS, -1, np.int64)
        self.labels: list[int] = []

    def add(self, start: Array, end: Array, label: Array, wire: Array) -> None:
        first, last = int(start.min()), int(end.max())
        if self.grid.size:
            first = min(first, self.lowest * WIDTHS[self.width] * 1_000_000)
            last = max(last, (self.lowest + self.grid.shape[1]) * WIDTHS[self.width] * 1_000_000 - 1)
        self._fit(first // 1_000_000, last // 1_000_000)
        used = np.flatnonzero(np.bincount(label, minlength=2 * LABELS))
        for fresh in used[self.rows[used] < 0].tolist():
            self.rows[fresh] = len(self.labels)
            self.labels.append(fresh)
        if len(self.labels) > self.grid.shape[0]:
            self.grid = np.concatenate([self.grid, np.zeros((len(self.labels) - self.grid.shape[0], self.grid.shape[1]))])
        step = WIDTHS[self.width] * 1_000_000
        bins = self.grid.shape[1] + 1
        low, high = start // step - self.lowest, end // step - self.lowest
        high = np.maximum(low, high)
        row = self.rows[label] * bins
        rate = wire / (high - low + 1)
        change = np.bincount(row + low, weights=rate, minlength=len(self.labels) * bins) - np.bincount(row + high + 1, weights=rate, minlength=len(self.labels) * bins)
        self.grid += np.cumsum(change.reshape(-1, bins), axis=1)[:, :-1]

    def _fit(self, first: int, last: int) -> None:
        """Make the grid cover the seconds first..last."""
        old = self.width
        while self.width + 1 < len(WIDTHS) and last // WIDTHS[self.width] - first // WIDTHS[self.width] + 1 > BINS:
            self.width += 1
        step = WIDTHS[self.width]
        lowest, bins = first // step, last // step - first // step + 1
        if self.grid.size and old == self.width and lowest == self.lowest and bins == self.grid.shape[1]:
            return
        grid = np.zeros((len(self.labels), bins))
        if self.grid.size:
            place = (self.lowest + np.arange(self.grid.shape[1])) * WIDTHS[old] // step - lowest
            for k, column in enumerate(place.tolist()):
                grid[:, column] += self.grid[:, k]
        self.grid, self.lowest = grid, lowest

    def timeline(self, summary: Summary) -> Timeline:
        if not self.grid.size:
            return Timeline()
        named = {row: summary.label_name(label) for row, label in enumerate(self.labels)}
        return stacked(self.lowest * WIDTHS[self.width] * 1_000_000, WIDTHS[self.width], named, self.grid)

    def peak(self, out: Figures) -> None:
        """The busiest bin of a minute or less, where seconds were not counted."""
        if self.grid.size:
            total = self.grid.sum(axis=0)
            k = int(total.argmax())
            width = WIDTHS[self.width]
            out.peak_bits, out.peak_time, out.peak_width = float(total[k]) * 8 / width, (self.lowest + k) * width * 1_000_000, width


def stacked(start: int, width: int, names: dict[int, str], grid: Array) -> Timeline:
    """A Timeline of the SERIES largest rows of grid[label, bin] and the rest as one."""
    order = sorted(range(len(grid)), key=lambda row: (-float(grid[row].sum()), names[row]))
    top, rest = order[:SERIES], order[SERIES:]
    timeline = Timeline(start, width, [names[row] for row in top], [grid[row].round(3).tolist() for row in top], grid.sum(axis=0).round(3).tolist())
    if rest:
        timeline.names.append(None)
        timeline.series.append(grid[rest].sum(axis=0).round(3).tolist())
    return timeline


def _take_outcome(out: Figures, outcome: Any) -> None:
    """Captures, refusals, counters and the peak as the engine knows them."""
    for capture in outcome.captures:
        line = CaptureLine(**{name: getattr(capture, name) for name in ("name", "path", "size", "sha256", "first_time", "last_time", "packets") if hasattr(capture, name)})
        line.link_types = [str(link) for link in capture.link_types]
        line.refused = {reason: int(count) for reason, count in capture.refused.items() if count}
        line.damage = str(capture.damage or "")
        out.captures.append(line)
        for reason, count in line.refused.items():
            out.refused[reason] = out.refused.get(reason, 0) + count
    out.counters = {name: int(value) for name, value in outcome.counters.items() if value}
    out.skipped, out.interrupted = list(outcome.skipped), bool(outcome.interrupted)
    if outcome.per_second is not None:
        out.peak(outcome.per_second)


__all__ = ["Coded", "Summary", "TextTally", "delays", "stacked"]
