"""Folds exported rows into the figures of a summary, batch by batch, in bounded memory and without a loop over rows.

With a store the same figures come from SQL (`dpi/reports/figures.py`); a test compares the two on the same rows.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from dpi.batch import Array, Batch, coded
from dpi.capture.key import fresh_seed
from dpi.flow.facts import RISKS
from dpi.flow.figures import BINS, BOUNDS, CONFIDENCES, TOP, CaptureLine, Delays, Figures, Host, Share, address, counted, merged, ranked, transport
from dpi.flow.fold import ARRAYS, KEYS, LABELS, NAME, OUTLINE, STRIDE, SUMS, TALLIES, TCP, TOLD, WORLD, fold_rows
from dpi.flow.lines import Lines
from dpi.flow.messages import fold_messages
from dpi.flow.row import records_of
from dpi.flow.tally import KEPT, UNMET, Distinct, Registry, Tally, index_again
from dpi.flow.times import Times
from dpi.flow.transactions import Transactions
from dpi.flow.words import pack_words
from dpi.jit import world

HOSTS = 1 << 16                 # addresses and labels, each side; beyond it the half with fewer bytes goes
_FOUND = 512                    # rows the kernel may tell of before Python looks at them
_NAMES = 8192                   # servers whose name is kept
_NOTHING = ("",)                 # the words of a column that is not there


class Summary:
    """A sink for flows, dns, tls and http rows; `figures()` at any time says what was folded so far."""

    kernels = (fold_rows, index_again, fold_messages, pack_words)
    apart = True

    def __init__(self) -> None:
        caps = {"application": LABELS, "protocol": LABELS, "confidence": 64, "category": 256, "tunnel": 1024, "end_reason": 32}
        self._registries = {name: Registry(cap) for name, cap in caps.items()}
        self._applications, self._protocols, self._confidences, self._categories, self._tunnels, self._endings = self._registries.values()
        for word in CONFIDENCES:
            self._confidences.number(word)
        self._by_risk = np.zeros(64, np.int64)
        seed = fresh_seed()
        self._tallies = {"clients": Tally(HOSTS, seed=seed), "servers": Tally(HOSTS, seed=seed),          # by address and label
                         "ports": Tally(1 << 14, seed=seed), "parts": Tally(1 << 15, OUTLINE, seed)}
        self._addresses = (Distinct(), Distinct())
        self._names: dict[tuple[int, int], str] = {}
        self._times, self._lines = Times(2 * LABELS, STRIDE), Lines(self._tallies["parts"])
        self._found = np.zeros(_FOUND, np.int64)
        self._sums: Array = np.zeros(1, SUMS)
        for name, value in (("first", 1 << 62), ("last", -(1 << 62)), ("lowest", 1 << 62), ("step", 1)):
            self._sums[name] = value
        self._label_category = np.zeros(2 * LABELS, np.uint16)
        # flows, packets, bytes by a dense number; a carrier is IP protocol * 2 + (1 for IPv6)
        sizes = {"labels": KEYS, "protocols": LABELS, "carriers": 512, "vlans": 4096, "tunnels": 1024}
        self._counts = {name: np.zeros(3 * size, np.int64) for name, size in sizes.items()}
        self._by_ending = np.zeros(32, np.int64)
        self._delays = np.zeros(3 * len(BOUNDS), np.int64)
        self._arrays = self._kernel_arrays(seed)
        self._world = world(WORLD, {name: self._arrays[name] for name in ARRAYS})
        self._transactions = Transactions()

    def _kernel_arrays(self, seed: Array) -> dict[str, Any]:
        """What the kernel adds to, by its names in the world."""
        return {
            **self._counts, "sums": self._sums, "label_category": self._label_category, "endings": self._by_ending, "risks": self._by_risk,
            "delays": self._delays, "bounds": np.array(BOUNDS, np.int64), "grid": self._times.grid, "best": np.zeros(KEYS, np.int64), "found": self._found,
            "outlines": self._tallies["parts"].beside, "client_bits": self._addresses[0].bits, "server_bits": self._addresses[1].bits, "seed": seed,
            **{f"of_{name}": registry.numbers for name, registry in self._registries.items()},
            **{f"{name}{part}": array for name in TALLIES for part, array in (
                ("", self._tallies[name].kept), ("_slots", self._tallies[name].slots), ("_head", self._tallies[name].head))},
        }

    # ------------------------------------------------------------ sink

    def write(self, batch: Batch) -> None:
        """Take a batch; tables that no figure needs are passed over. One of dns, tls or http that has no records is a ValueError."""
        if not batch.count:
            return
        if batch.table == "flows":
            self._fold(batch)
        elif batch.table in ("dns", "tls", "http"):
            self._transactions.write(batch)

    def close(self) -> None:
        """Nothing is held open."""

    def _fold(self, batch: Batch) -> None:
        rows = records_of(batch)
        for name, registry in self._registries.items():
            column = batch.columns.get(name)
            registry.begin(_NOTHING if column is None else coded(column).words)
        plain, sums = rows.view(np.ndarray), self._sums[0]
        row = 0
        while row < batch.count:
            row = fold_rows(rows, row, batch.count, self._world)
            if sums["found"] and (row == batch.count or sums["found"] > _FOUND - TOLD):
                self._take_found(batch, plain)
            if row < batch.count:
                self._make_way(plain, row)

    def _make_way(self, plain: Array, row: int) -> None:
        """Do what keeps the kernel from folding this row: words it did not meet yet, tallies without room, bins that do not reach."""
        for name, registry in self._registries.items():
            if registry.numbers[plain[name][row]] == UNMET:
                registry.meet(int(plain[name][row]))
        for tally in self._tallies.values():
            if tally.full:
                tally.halve()
        sums = self._sums[0]
        start, end = int(plain["interval_start"][row]), int(plain["interval_end"][row])
        if start // sums["step"] < sums["lowest"] or max(start, end) // sums["step"] >= sums["lowest"] + BINS:
            first, last = (int(one) for one in (plain["interval_start"].min(), max(plain["interval_end"].max(), plain["interval_start"].max())))
            self._times.cover(min(sums["first"], first), max(sums["last"], last), self._used)
            sums["lowest"], sums["step"] = self._times.lowest, self._times.step

    def _take_found(self, batch: Batch, plain: Array) -> None:
        """Look at the rows the kernel tells of."""
        sums = self._sums[0]
        found = self._found[:int(sums["found"])].copy()
        sums["found"] = 0
        rows = found >> 2
        wire = (plain["client_wire_bytes"][rows] + plain["server_wire_bytes"][rows]).astype(np.int64)
        application, protocol, confidence = (self._registries[name].numbers[plain[name][rows]].astype(np.int64)
                                             for name in ("application", "protocol", "confidence"))
        keys = np.where(application != 0, application, LABELS + protocol) * 8 + np.minimum(confidence, 7)
        self._lines.take(found, batch, plain, keys, wire, self._bytes_by_key)
        sums["bar"] = self._lines.bar
        names: Any = batch.columns.get("server_name")
        if names is not None:
            for row in rows[found & 3 == NAME].tolist():
                if len(self._names) < _NAMES and (name := str(names[row])):
                    self._names.setdefault((int(plain["server_ip"][row][0]), int(plain["server_ip"][row][1])), name)

    # ------------------------------------------------------------ answers

    def label_name(self, label: int) -> str:
        """Name of a label: an application, else a wire protocol, else ''."""
        return self._applications.words[label] if label < LABELS else self._protocols.words[label - LABELS]

    def _key_names(self, key: int) -> tuple[str, str, str]:
        label = key >> 3
        name = self.label_name(label)
        return ("", name, self._confidences.words[key & 7]) if label < LABELS else (name, "", self._confidences.words[key & 7])

    @property
    def _bytes_by_key(self) -> Array:
        return self._counts["labels"][2::3]

    @property
    def _used(self) -> Array:
        """The labels that have rows, int64[k]."""
        return np.flatnonzero(self._counts["labels"].reshape(2 * LABELS, -1).any(axis=1))

    def _shares(self, what: str, names: Callable[[int], str]) -> list[Share]:
        """A Share for each dense number seen."""
        table = self._counts[what].reshape(-1, 3)
        return [counted(names(k), table[k]) for k in np.flatnonzero(table[:, 0] + table[:, 1]).tolist()]

    def figures(self, outcome: Any = None) -> Figures:
        """The figures so far; `outcome` (dpi.outcome.Outcome) adds captures, counters and per-second totals."""
        out, sums = Figures(), self._sums[0]
        out.rows, out.flows, out.packets, out.bytes, out.ip_bytes, out.payload_bytes, out.client_bytes = (
            int(sums[name]) for name in ("rows", "flows", "packets", "wire", "ip", "payload", "up"))
        if out.rows:
            out.first, out.last = int(sums["first"]), int(sums["last"])
        labels = self._label_shares()
        out.distinct["applications"] = sum(share.named for share in labels.values())
        out.categories = ranked(_folded(labels.values(), lambda share: share.category))
        out.applications = ranked(merged(labels.values()))
        protocols = self._shares("protocols", self._protocols.words.__getitem__)
        out.protocols, out.distinct["protocols"] = ranked(protocols), sum(bool(share.name) for share in protocols)
        by_confidence = self._counts["labels"].reshape(-1, 8, 3).sum(axis=0)
        words = self._confidences.words
        out.confidences = ranked(counted(words[k], by_confidence[k]) for k in range(min(8, len(words))))
        carriers = self._shares("carriers", str)
        out.transports = ranked(_folded(carriers, lambda share: transport(int(share.name) >> 1)))
        out.versions = ranked(_folded(carriers, lambda share: "IPv6" if int(share.name) & 1 else "IPv4"))
        out.tunnels = [share for share in ranked(self._shares("tunnels", self._tunnels.words.__getitem__)) if share.name]
        out.vlans = [share for share in ranked(self._shares("vlans", str)) if share.name != "0"]
        out.endings = ranked((Share(self._endings.words[k], int(self._by_ending[k])) for k in np.flatnonzero(self._by_ending).tolist()), by="flows")
        out.risks = ranked((Share(RISKS[k], int(self._by_risk[k])) for k in np.flatnonzero(self._by_risk).tolist()), by="flows")
        out.unknown_ports = self._unknown_ports()
        out.clients, out.distinct["clients"] = self._host_lines(0)
        out.servers, out.distinct["servers"] = self._host_lines(1)
        out.client_rtt, out.server_rtt, out.response = (Delays(histogram.tolist()) for histogram in self._delays.reshape(3, -1))
        for name in TCP:
            setattr(out.tcp, name, int(sums[f"tcp_{name}"]))
        self._transactions.into(out)
        out.timeline = self._times.timeline(self._used, out.last, self.label_name)
        out.largest = self._lines.largest(self._key_names)
        out.samples = self._lines.samples([self._confidences.number(word) for word in CONFIDENCES if word], self._bytes_by_key)
        shown = {"clients": "clients", "servers": "servers", "ports": "unknown_ports"}
        out.capped = {name: self._tallies[what].dropped for what, name in shown.items() if self._tallies[what].dropped}
        if outcome is not None:
            _take_outcome(out, outcome)
        if not out.peak_bits:
            self._times.peak(self._used, out.last, out)
        return out

    def _label_shares(self) -> dict[int, Share]:
        table = self._counts["labels"].reshape(-1, 8, 3)
        shares = {}
        for label in self._used.tolist():
            share = counted(self.label_name(label), table[label].sum(axis=0), category=self._categories.words[self._label_category[label]],
                            named=label < LABELS)
            share.confidence = {self._confidences.words[k]: int(table[label, k, 2]) for k in np.flatnonzero(table[label, :, 2]).tolist()}
            shares[label] = share
        return shares

    def _unknown_ports(self) -> list[Share]:
        shares = []
        for row in self._tallies["ports"].rows.tolist():
            one = dict(zip(KEPT.names or (), row, strict=True))
            name = transport(one["high"])
            shares.append(Share(f"{name} {one['low']}" if one["low"] else name, one["flows"], one["packets"], one["bytes"], named=False))
        return ranked(shares, 10)

    def _host_lines(self, side: int) -> tuple[list[Host], int]:
        tally = self._tallies[TALLIES[side]]
        rows = tally.rows
        if not len(rows):
            return [], 0
        order = np.lexsort((rows["low"], rows["high"]))
        high, low = rows["high"][order], rows["low"][order]
        starts = np.flatnonzero(np.concatenate([[True], (high[1:] != high[:-1]) | (low[1:] != low[:-1])]))
        bytes_ = np.add.reduceat(rows["bytes"][order], starts)
        lines = []
        for k in np.argsort(-bytes_, kind="stable")[:2 * TOP].tolist():
            members = rows[order[starts[k]:(starts[k + 1] if k + 1 < len(starts) else len(order))]]
            main = members[np.lexsort((members["third"], -members["bytes"]))[0]]
            words = np.array([main["high"], main["low"]], np.uint64)
            packets, flows, sent = (int(members[name].sum()) for name in ("packets", "flows", "sent"))
            name = self._names.get((int(words[0]), int(words[1])), "") if side else ""
            lines.append(Host(address(words.tobytes()), flows, packets, int(bytes_[k]), sent, self.label_name(int(main["third"])), name))
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
    for name in ("evicted", "folded", "folded_coarser"):
        setattr(out.coverage, name, out.counters.get(name, 0))
    out.coverage.arena_refused = out.counters.get("streams_full", 0) + out.counters.get("facts_full", 0)
    out.coverage.rows_given_up = out.counters.get("outbox_full", 0)
    out.skipped, out.interrupted = list(outcome.skipped), bool(outcome.interrupted)
    if (seen := getattr(outcome, "seen", None)) is not None:
        out.detected = seen.told()
    if outcome.per_second is not None:
        out.peak(outcome.per_second)
