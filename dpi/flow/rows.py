"""Exported records become a columnar Batch of the `flows` table: the last step that knows working state."""
from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from dpi.batch import AnyColumn, Array, Batch, Coded, Lists, Made, Texts
from dpi.capture.frame import TUNNELS
from dpi.flow.community import community_ids
from dpi.flow.export import EXTRA, Exports
from dpi.flow.facts import FACTS, RISKS
from dpi.flow.fields import Fields, Spread
from dpi.flow.row import CODED, ENDS, INNER, ONE_SIDED, ROW
from dpi.flow.table import ADDRESSES, DETAIL, END_CLOSED, END_REASONS, END_RESET, FLOW, FOLD_TAGS, MIDSTREAM, NOT_MEASURED, RESET, TUNNEL, one_sided
from dpi.jit import I64, U64, entry, kernel, records
from dpi.texts import hex_texts, texts

U2 = np.dtype("u2")
ROOM = 1 << 14              # rows for which memory is taken at first: pages nobody writes to are never touched
CONFIDENCES = ("", "guess", "port", "network", "dns", "fingerprint", "name", "payload")
_TUNNEL_WORDS: list[str] = []


@kernel
def octets8(source: Any, at: Any) -> Any:
    """Eight bytes as a word of the machine's order (little-endian)."""
    value = np.uint64(0)
    for k in range(8):
        value |= np.uint64(source[at + k]) << np.uint64(8 * k)
    return value


@kernel
def octets6(source: Any) -> Any:
    """A MAC address: the first byte of the wire is the highest of 48 bits."""
    value = np.uint64(0)
    for k in range(6):
        value = value << np.uint64(8) | np.uint64(source[k])
    return value


@entry(FLOW, DETAIL, ADDRESSES, EXTRA, FACTS, TUNNEL, U2, U2, ROW, I64, U64, I64)
def unpack(flows: Any, details: Any, addresses: Any, extras: Any, facts: Any, tunnels: Any, of_application: Any, of_protocol: Any,
           rows: Any, count: Any, boot: Any, interfaces: Any) -> Any:
    """Every column of fixed width of `count` exported records in one pass.

    of_application, of_protocol uint16[]: number of the category; boot: what is added to a flow's number; interfaces: how many have names.
    """
    for k in range(count):
        flow = flows[k]
        detail = details[k]
        ends = addresses[k]
        extra = extras[k]
        row = rows[k]
        row.flow_id = np.uint64(detail.serial) + np.uint64(boot)
        row.first_packet = np.uint64(detail.first_packet)
        row.interval_start = flow.start
        row.interval_end = flow.last
        row.flow_start_time = detail.flow_start
        for half in range(2):
            row.client_ip[half] = octets8(ends.client, 8 * half)
            row.server_ip[half] = octets8(ends.server, 8 * half)
        row.client_mac = octets6(detail.client_mac)
        row.server_mac = octets6(detail.server_mac)
        row.client_packets = np.uint64(flow.packets[0])
        row.server_packets = np.uint64(flow.packets[1])
        row.client_bytes = flow.ip_bytes[0]
        row.server_bytes = flow.ip_bytes[1]
        row.client_wire_bytes = np.uint64(np.int64(flow.ip_bytes[0]) + np.int64(flow.overhead[0]))
        row.server_wire_bytes = np.uint64(np.int64(flow.ip_bytes[1]) + np.int64(flow.overhead[1]))
        row.client_payload_bytes = np.uint64(np.int64(flow.ip_bytes[0]) - np.int64(flow.headers[0]))
        row.server_payload_bytes = np.uint64(np.int64(flow.ip_bytes[1]) - np.int64(flow.headers[1]))
        row.interval = np.uint32(flow.interval)
        row.client_mss = np.uint32(detail.mss) if detail.mss != 0 else np.uint32(NOT_MEASURED)
        row.client_rtt_us = extra.client_rtt
        row.server_rtt_us = extra.server_rtt
        row.server_response_us = extra.response
        row.client_retransmissions = np.uint32(flow.retransmissions[0])
        row.server_retransmissions = np.uint32(flow.retransmissions[1])
        row.client_out_of_order = np.uint32(flow.out_of_order[0])
        row.server_out_of_order = np.uint32(flow.out_of_order[1])
        row.client_zero_windows = np.uint32(flow.zero_windows[0])
        row.server_zero_windows = np.uint32(flow.zero_windows[1])
        row.reason = extra.reason
        row.facts = extra.facts
        row.around = extra.tunnel
        row.vlan = detail.vlan
        row.inner_vlan = detail.inner_vlan
        icmp = detail.icmp != 0
        row.client_port = np.uint16(0) if icmp else detail.client_port
        row.server_port = np.uint16(0) if icmp else detail.server_port
        row.icmp_type = np.uint8(detail.client_port & 0xFF) if icmp else np.uint8(0)
        row.icmp_code = np.uint8(detail.server_port & 0xFF) if icmp else np.uint8(0)
        row.interface = np.uint16(min(np.int64(detail.interface), interfaces - 1))
        row.tunnel = np.uint16(tunnels[extra.tunnel].kinds >> 1) if extra.tunnel != 0 else np.uint16(0)
        reset = extra.end == END_CLOSED and flow.state & RESET != 0
        row.end_reason = np.uint16(END_RESET) if reset else np.uint16(extra.end)
        row.protocol = extra.protocol
        row.application = extra.application
        row.category = of_application[extra.application] if extra.application != 0 else of_protocol[extra.protocol]
        row.confidence = np.uint16(extra.confidence)
        row.final = extra.final
        row.midstream = np.uint8(1) if flow.marks & MIDSTREAM else np.uint8(0)
        row.ip_protocol = np.uint8(np.uint64(flow.key1) & np.uint64(0xFF))
        row.client_ttl = detail.ttl[0]
        row.server_ttl = detail.ttl[1]
        row.client_dscp = detail.dscp[0]
        row.server_dscp = detail.dscp[1]
        row.client_tcp_flags = flow.tcp_flags[0]
        row.server_tcp_flags = flow.tcp_flags[1]
        row.fold = extra.fold
        row.folded = extra.folded
        row.one_sided = np.uint8(one_sided(flow))
        row.named = np.uint8(0)
        row.risks = np.uint64(0)
        if extra.facts != 0:
            row.named = np.uint8(1) if facts[extra.facts].server_name_length != 0 else np.uint8(0)
            row.risks = facts[extra.facts].risks
    return 0


def tunnel_words() -> list[str]:
    """The text of every combination of tunnel bits but bit 0, a plain VLAN, which says nothing here."""
    if not _TUNNEL_WORDS:
        for bits in range(1 << len(TUNNELS) - 1):
            _TUNNEL_WORDS.append("+".join(name for i, name in enumerate(TUNNELS[1:]) if bits >> i & 1))
    return _TUNNEL_WORDS


class Naming:
    """The words behind the numbers of a verdict."""

    def __init__(self, protocols: list[str], applications: list[str], categories: list[str], protocol_categories: list[str],
                 evidence: Callable[[int], str], version: str) -> None:
        self.protocols, self.applications, self.version = protocols, applications, version
        self._evidence, self._words = evidence, {0: ""}
        self.categories = sorted({"", *categories, *protocol_categories})
        place = {word: i for i, word in enumerate(self.categories)}
        self.of_application = np.array([place[word] for word in categories], np.uint16)
        self.of_protocol = np.array([place[word] for word in protocol_categories], np.uint16)
        self.end_reasons, self.confidences = list(END_REASONS), list(CONFIDENCES)

    def words(self, reason: int) -> str:
        """The evidence in words, made when first met."""
        if reason not in self._words:
            self._words[reason] = self._evidence(reason)
        return self._words[reason]


class Room:
    """Memory of rows that are made, one batch after the other."""

    def __init__(self) -> None:
        self._rows = records(0, ROW)
        self.fields = Fields(ROW, ROOM)

    def rows(self, count: int) -> Any:
        """Room for `count` rows, the same each time."""
        if len(self._rows) < count:
            self._rows = records(max(count, ROOM), ROW)
        return self._rows[:count]


def batch(exports: Exports, count: int, naming: Naming, room: Room, *, source: str, capture_id: int, probe: str, boot: int, interfaces: list[str],
          stored_time: int) -> Batch:
    """The first `count` exported rows as a Batch, good until the next one is made in the same room."""
    names = interfaces or [""]
    rows = room.rows(count)
    unpack(exports.flows, exports.details, exports.addresses, exports.extra, exports.facts, exports.tunnels, naming.of_application,
           naming.of_protocol, rows, count, boot << 40, len(names))
    plain = Spread(rows.view(np.ndarray), room.fields)
    words = {"interface": names, "tunnel": tunnel_words(), "end_reason": naming.end_reasons, "protocol": naming.protocols,
             "application": naming.applications, "category": naming.categories, "confidence": naming.confidences}
    makers: dict[str, Callable[[], AnyColumn]] = {name: _fixed(plain, name) for name in ROW.names or () if name not in INNER and name not in CODED}
    makers.update({name: _coded(plain, name, some) for name, some in words.items()})
    facts = _Facts(exports, plain)
    makers.update({
        "probe": lambda: Coded.same(probe, count), "source": lambda: Coded.same(source, count),
        "rules_version": lambda: Coded.same(naming.version, count),
        "capture_id": lambda: np.full(count, capture_id, np.uint64), "stored_time": lambda: np.full(count, stored_time, np.int64),
        "sampling_rate": lambda: np.ones(count, np.uint32), "community_id": lambda: community_ids(rows),
        "evidence": lambda: _evidence(plain["reason"], naming),
        "tags": lambda: _bits_list(plain["fold"].astype(np.uint64) | plain["one_sided"].astype(np.uint64) << np.uint64(len(FOLD_TAGS)),
                                   (*FOLD_TAGS, ONE_SIDED)),
        "tunnel_id": lambda: _around(exports, plain["around"], "id"),
        "outer_client_ip": lambda: _around(exports, plain["around"], "outer_client"),
        "outer_server_ip": lambda: _around(exports, plain["around"], "outer_server"),
        "server_name": lambda: facts.text("server_name", facts.lengths("server_name_length", 1, 256)),
        "alpn": lambda: facts.text("alpn", facts.lengths("alpn_length", 1, 32)),
        "user_agent": lambda: facts.text("user_agent", facts.lengths("user_agent_length", 1, 176)),
        "ja3": lambda: facts.digests("ja3"), "ja3s": lambda: facts.digests("ja3s"),
        "ja4": lambda: facts.text("ja4_all", facts.lengths("ja4_count", 36, 36)),
        "ja4_all": facts.every_ja4, "risks": lambda: _bits_list(plain["risks"], RISKS),
    })
    return Batch("flows", count, Made(makers, plain.all_wanted), rows)


def _fixed(plain: Spread, name: str) -> Callable[[], AnyColumn]:
    if name in ENDS:
        return lambda: plain[name].view(np.uint8)
    return lambda: plain[name]


def _coded(plain: Spread, name: str, words: list[str]) -> Callable[[], AnyColumn]:
    return lambda: Coded(plain[name], words)


def _evidence(reasons: Array, naming: Naming) -> Coded:
    """The reasons in words; only those in use get any."""
    used = np.flatnonzero(np.bincount(reasons))
    places = np.zeros(int(used[-1]) + 1 if len(used) else 1, np.uint16)
    places[used] = np.arange(len(used))
    return Coded(places[reasons], [naming.words(int(reason)) for reason in used])


def _around(exports: Exports, at: Array, field: str) -> Array:
    """A field of the outermost layers; zeros where there are none."""
    values = exports.tunnels.view(np.ndarray)[field]
    out = np.zeros((len(at), *values.shape[1:]), values.dtype)
    some = np.flatnonzero(at)
    if len(some):
        out[some] = values[at[some]]
    return out


class _Facts:
    """The columns that come from FACTS, for rows uint32[n] of which 0 has none."""

    def __init__(self, exports: Exports, rows: Spread) -> None:
        self._exports, self._rows = exports, rows
        self._plain = exports.facts.view(np.ndarray)

    @cached_property
    def _at(self) -> Array:
        return self._rows["facts"]

    @cached_property
    def some(self) -> Array:
        """The rows that have facts, int64[k]."""
        return np.flatnonzero(self._at)

    def lengths(self, field: str, scale: int, limit: int) -> Array:
        out = np.zeros(len(self._at), np.int64)
        if len(self.some):
            out[self.some] = np.minimum(self._plain[field][self._at[self.some]].astype(np.int64) * scale, limit)
        return out

    def text(self, field: str, lengths: Array) -> Texts:
        return texts(self._exports.facts, FACTS, field, self._at, lengths)

    def digests(self, field: str) -> Texts:
        have = self.lengths(f"has_{field}", 1, 1)
        return hex_texts(self._exports.facts, FACTS, field, self._at, have)

    def every_ja4(self) -> Lists:
        """Element j of a row lies 36 * j bytes into the field: each is gathered as a row of its own."""
        every = self.lengths("ja4_count", 1, 6)
        offsets = np.zeros(len(every) + 1, np.int64)
        np.cumsum(every, out=offsets[1:])
        within = np.arange(int(offsets[-1]), dtype=np.int64) - np.repeat(offsets[:-1], every)
        cells = np.repeat(self._at.astype(np.int64), every)
        return Lists(offsets, texts(self._exports.facts, FACTS, "ja4_all", cells, np.full(len(cells), 36, np.int64), 36 * within))


def _bits_list(bits: Array, words: tuple[str, ...]) -> Lists:
    """A list of words for each row's bits."""
    offsets = np.zeros(len(bits) + 1, np.int64)
    some = np.flatnonzero(bits)
    table = (bits[some, None] >> np.arange(len(words), dtype=np.uint64)) & np.uint64(1) != 0
    offsets[some + 1] = table.sum(axis=1)
    np.cumsum(offsets, out=offsets)
    return Lists(offsets, Coded(np.nonzero(table)[1].astype(np.uint16), list(words)))
