"""Folds exported rows into the figures of a summary, batch by batch, in bounded memory and without a loop over rows.

With a store the same figures come from SQL (`dpi/reports/figures.py`); a test compares the two on the same rows.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from dpi.batch import Array, Batch
from dpi.flow.chunk import Chunk, together
from dpi.flow.figures import BOUNDS, CONFIDENCES, TOP, CaptureLine, Delays, Figures, Host, Share, address, counted, merged, ranked, transport
from dpi.flow.lines import Lines
from dpi.flow.tally import Distinct, Registry, Tally, grouped, halves, mix
from dpi.flow.times import Times
from dpi.flow.transactions import DnsFold, HttpFold, TlsFold, delays

LABELS = 1024                   # applications told apart; as many protocols again for flows without one
_SYN, _RST = 2, 4
_TOGETHER = 1 << 14             # rows of flows folded at once
_USED = tuple(f"{side}_{what}" for side in ("client", "server") for what in (
    "ip", "port", "packets", "bytes", "wire_bytes", "payload_bytes", "tcp_flags", "retransmissions", "out_of_order", "zero_windows", "rtt_us")) + (
    "server_response_us", "flow_id", "interval", "final", "midstream", "interval_start", "interval_end", "flow_start_time", "ip_protocol", "vlan",
    "protocol", "application", "confidence", "evidence", "server_name")


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
        return [counted(names(k), self.table[:, k]) for k in np.flatnonzero(self.table[1] + self.table[0]).tolist()]


class Summary:
    """A sink for flows, dns, tls and http rows; `figures()` at any time says what was folded so far."""

    def __init__(self) -> None:
        self._applications, self._protocols = Registry(LABELS), Registry(LABELS)
        self._confidences, self._categories = Registry(64), Registry(256)
        self._tunnels, self._endings, self._risks = Registry(256), Registry(32), Registry(128)
        self._registries = {"application": self._applications, "protocol": self._protocols, "confidence": self._confidences, "category": self._categories,
                            "tunnel": self._tunnels, "end_reason": self._endings}
        self._waiting: list[Batch] = []
        self._codes: list[dict[str, Array]] = []
        self._waiting_rows = 0
        self._transactions: dict[str, list[Batch]] = {"dns": [], "tls": [], "http": []}
        for word in CONFIDENCES:
            self._confidences.number(word)
        self._labels = np.zeros((3, 2 * LABELS * 8), np.float64)        # flows, packets, bytes by label * 8 + confidence
        self._label_category = np.zeros(2 * LABELS, np.int64)
        self._by_protocol, self._by_carrier = _Counts(LABELS), _Counts(512)     # carrier: IP protocol * 2 + (1 for IPv6)
        self._by_vlan, self._by_tunnel = _Counts(4096), _Counts(256)
        self._by_ending, self._by_risk = np.zeros(32, np.int64), np.zeros(128, np.int64)
        self._ports = Tally(1, 3, 1 << 14)
        self._hosts = (Tally(3, 4), Tally(3, 4))                        # client, server: (high, low, label); bytes, packets, flows, sent
        self._addresses = (Distinct(), Distinct())
        self._names: dict[tuple[int, int], str] = {}
        self._rtt = [np.zeros(len(BOUNDS), np.int64) for _ in range(3)]
        self._tcp = np.zeros(11, np.int64)
        self._lines, self._times = Lines(2 * LABELS), Times(2 * LABELS)
        self._totals = np.zeros(7, np.int64)                            # rows, flows, packets, wire, IP, payload, wire of clients
        self._first, self._last = 1 << 62, -(1 << 62)
        self.dns, self.tls, self.http = DnsFold(), TlsFold(), HttpFold()

    # ------------------------------------------------------------ sink

    def write(self, batch: Batch) -> None:
        """Take a batch; tables that no figure needs are passed over. Rows of flows are folded when enough have come together."""
        if not batch.count:
            return
        if batch.table == "flows":
            columns = batch.columns
            self._codes.append({name: registry.codes(columns.get(name), batch.count) for name, registry in self._registries.items()})
            self._count_risks(columns.get("risks"), columns.get("final"))
            self._waiting.append(Batch(batch.table, batch.count, {name: columns[name] for name in _USED if name in columns}))
            self._waiting_rows += batch.count
            if self._waiting_rows >= _TOGETHER:
                self._fold()
        elif batch.table in ("dns", "tls", "http"):
            fold, waiting = getattr(self, batch.table), self._transactions[batch.table]
            waiting.append(Batch(batch.table, batch.count, {name: batch.columns[name] for name in fold.USED if name in batch.columns}))
            if sum(one.count for one in waiting) >= _TOGETHER:
                self._fold_transactions(batch.table)

    def close(self) -> None:
        """Nothing is held open."""

    def _fold_transactions(self, table: str) -> None:
        waiting, self._transactions[table] = self._transactions[table], []
        if waiting:
            fold = getattr(self, table)
            fold.write(together(waiting, fold.USED))

    def _fold(self) -> None:
        """Fold the rows that wait."""
        if not self._waiting:
            return
        chunk = Chunk(self._waiting, self._codes)
        self._waiting, self._codes, self._waiting_rows = [], [], 0
        n = chunk.count
        up, down = chunk.both("wire_bytes")
        client_packets, server_packets = chunk.both("packets")
        wire, packets = up + down, client_packets + server_packets
        opened, final = chunk.number("interval") == 0, chunk.number("final") != 0
        opened_flows = opened.astype(np.int64)
        start, end = chunk.number("interval_start"), chunk.number("interval_end")
        self._first, self._last = min(self._first, int(start.min())), max(self._last, int(end.max()))
        self._totals += [n, int(opened_flows.sum()), int(packets.sum()), int(wire.sum()),
                         *(int(sum(x.sum() for x in chunk.both(w))) for w in ("bytes", "payload_bytes")),
                         int(up.sum())]
        # names
        application, protocol = chunk.codes["application"], chunk.codes["protocol"]
        label = np.where(application != 0, application, LABELS + protocol)
        key = label * 8 + np.minimum(chunk.codes["confidence"], 7)
        weights = (opened.astype(np.float64), packets.astype(np.float64), wire.astype(np.float64))
        for k, column in enumerate(weights):
            self._labels[k] += np.bincount(key, weights=column, minlength=self._labels.shape[1])
        self._label_category[label] = chunk.codes["category"]
        self._by_protocol.add(protocol, *weights)
        # what carries them
        ip_protocol, vlan, tunnel = chunk.number("ip_protocol"), chunk.number("vlan"), chunk.codes["tunnel"]
        client, server = halves(np.asarray(chunk.column("client_ip"))), halves(np.asarray(chunk.column("server_ip")))
        six = (client[0] != 0) | ((client[1] & np.uint64(0xFFFFFFFF)) != np.uint64(0xFFFF0000))
        self._by_carrier.add(ip_protocol * 2 + six, *weights)
        if vlan.any():
            self._by_vlan.add(vlan & 4095, *weights)
        if tunnel.any():
            self._by_tunnel.add(tunnel, *weights)
        self._by_ending += np.bincount(chunk.codes["end_reason"][final], minlength=len(self._by_ending))
        self._count_tcp(chunk, ip_protocol == 6, opened, final, packets)
        for histogram, name in zip(self._rtt, ("client_rtt_us", "server_rtt_us", "server_response_us"), strict=True):
            delays(histogram, chunk.column(name))
        # who
        unknown = np.flatnonzero(label == LABELS)
        if len(unknown):
            port = (ip_protocol[unknown] << 16) | chunk.number("server_port")[unknown]
            self._ports.add(mix(port), (port,), (wire[unknown], packets[unknown], opened_flows[unknown]))
        for tally, distinct, (high, low), sent in zip(self._hosts, self._addresses, (client, server), (up, down), strict=True):
            distinct.add(mix(high, low))
            heads = tally.add(mix(high, low, label), (high, low, label), (wire, packets, opened_flows, sent))
        self._remember_names(chunk, heads[-64:], server)
        self._times.add(start, end, label, wire)
        self._lines.add(chunk, key, opened & final, wire, packets, self._labels[2])

    def _count_risks(self, risks: Any, final: Any) -> None:
        if risks is None or final is None or not len(risks.values):
            return
        owner = np.repeat(np.arange(len(risks)), np.diff(risks.offsets))
        codes = self._risks.codes(risks.values, len(risks.values))
        self._by_risk += np.bincount(codes[np.asarray(final)[owner] != 0], minlength=len(self._by_risk))

    def _count_tcp(self, chunk: Chunk, tcp: Array, opened: Array, final: Array, packets: Array) -> None:
        client_flags, server_flags = chunk.both("tcp_flags")
        syn = tcp & opened & (chunk.number("midstream") == 0) & ((client_flags & _SYN) != 0)
        silent = syn & final & ((server_flags & _SYN) == 0)
        reset = (server_flags & _RST) != 0
        again, late, zero = chunk.both("retransmissions"), chunk.both("out_of_order"), chunk.both("zero_windows")
        self._tcp += [int((tcp & opened).sum()), int(packets[tcp].sum()), *(int(column.sum()) for column in (*again, *late)),
                      int(zero[0].sum() + zero[1].sum()),
                      int(syn.sum()), int((silent & ~reset).sum()), int((silent & reset).sum()),
                      int((tcp & final & (((client_flags | server_flags) & _RST) != 0)).sum())]

    def _remember_names(self, chunk: Chunk, heads: Array, server: tuple[Array, Array]) -> None:
        """Server names of the busiest servers of the chunk."""
        for row in heads.tolist():
            address_key = (int(server[0][row]), int(server[1][row]))
            if address_key not in self._names and len(self._names) < 8192 and (name := chunk.text("server_name", row)):
                self._names[address_key] = name

    # ------------------------------------------------------------ answers

    def label_name(self, label: int) -> str:
        """Name of a label: an application, else a wire protocol, else ''."""
        return self._applications.words[label] if label < LABELS else self._protocols.words[label - LABELS]

    def _key_names(self, key: int) -> tuple[str, str, str]:
        label = key >> 3
        name = self.label_name(label)
        return ("", name, self._confidences.words[key & 7]) if label < LABELS else (name, "", self._confidences.words[key & 7])

    def figures(self, outcome: Any = None) -> Figures:
        """The figures so far; `outcome` (dpi.replaying.Outcome) adds captures, counters and per-second totals."""
        self._fold()
        for table in self._transactions:
            self._fold_transactions(table)
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
        out.confidences = ranked(counted(words[k], by_confidence[:, k]) for k in range(min(8, len(words))))
        carriers = self._by_carrier.shares(str)
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
        out.timeline = self._times.timeline(self.label_name)
        out.largest = self._lines.largest(self._key_names)
        out.samples = self._lines.samples([self._confidences.number(word) for word in CONFIDENCES if word], self._labels[2])
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
            share = counted(self.label_name(label), table[:, label].sum(axis=1), category=self._categories.words[self._label_category[label]],
                            named=label < LABELS)
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
        return lines[:TOP], max(len(starts), self._addresses[side].count()) if tally.dropped else len(starts)


def _folded(shares: Iterable[Share], name: Callable[[Share], str]) -> list[Share]:
    """Shares added up under another name."""
    out: dict[str, Share] = {}
    for share in shares:
        total = out.setdefault(name(share), Share(name(share)))
        total.flows, total.packets, total.bytes = total.flows + share.flows, total.packets + share.packets, total.bytes + share.bytes
    return list(out.values())


def _take_outcome(out: Figures, outcome: Any) -> None:
    """Captures, refusals, counters and the peak as the engine knows them."""
    for capture in outcome.captures:
        line = CaptureLine(**{name: getattr(capture, name) for name in ("name", "path", "size", "sha256", "first_time", "last_time",
                                                                        "packets") if hasattr(capture, name)})
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
