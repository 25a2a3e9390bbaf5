"""Exported records become a columnar Batch of the `flows` table: the last step that knows working state."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dpi.batch import Batch, Coded, Lists, Texts
from dpi.capture.frame import TUNNELS
from dpi.flow.export import Exports
from dpi.flow.facts import FACTS, RISKS
from dpi.flow.table import END_CLOSED, END_REASONS, END_RESET, MIDSTREAM, NOT_MEASURED, RESET
from dpi.jit import entry

U8 = np.dtype("u1")
I8 = np.dtype("i8")
CONFIDENCES = ("", "guess", "port", "network", "dns", "fingerprint", "name", "payload")
_TUNNEL_WORDS: list[str] = []


@entry(U8, I8, I8, I8, U8, "i64")
def gather(source: Any, offsets: Any, begins: Any, lengths: Any, out: Any, count: Any) -> Any:
    """Collect text fields of fixed-width records: row k takes lengths[k] bytes from begins[k], made valid UTF-8.

    source uint8[]: the records' bytes; offsets int64[count+1] is filled; out uint8[]: large enough for sum(lengths). A byte that is not
    printable ASCII nor part of a well-formed UTF-8 sequence (RFC 3629) becomes '?', so that text from the wire is always valid.
    """
    put = np.int64(0)
    for k in range(count):
        offsets[k] = put
        begin = begins[k]
        n = lengths[k]
        i = np.int64(0)
        while i < n:
            byte = np.int64(source[begin + i])
            size: Any = np.int64(1)
            good: Any = 32 <= byte < 127
            if 0xC2 <= byte <= 0xF4:
                size = np.int64(2) if byte < 0xE0 else (np.int64(3) if byte < 0xF0 else np.int64(4))
                good = i + size <= n
                j = np.int64(1)
                while good and j < size:
                    good = (np.int64(source[begin + i + j]) & 0xC0) == 0x80
                    j += 1
                if good and size > 2:
                    second = np.int64(source[begin + i + 1])
                    good = not ((byte == 0xE0 and second < 0xA0) or (byte == 0xED and second > 0x9F)
                                or (byte == 0xF0 and second < 0x90) or (byte == 0xF4 and second > 0x8F))
                if not good:
                    size = np.int64(1)
            if good:
                for piece in range(size):
                    out[put + piece] = source[begin + i + piece]
                put += size
            else:
                out[put] = 63
                put += 1
            i += size
    offsets[count] = put
    return put


def texts(records: Any, dtype: np.dtype[Any], field: str, rows: np.ndarray[Any, Any], lengths: np.ndarray[Any, Any],
          shifts: np.ndarray[Any, Any] | int = 0) -> Texts:
    """A text field of `records` for each of `rows`: lengths[k] bytes (int64), beginning shifts[k] bytes into the field."""
    count = len(rows)
    offsets = np.empty(count + 1, np.int64)
    out = np.empty(max(1, int(lengths.sum())), np.uint8)
    begins = rows.astype(np.int64) * dtype.itemsize + (dtype.fields[field][1] + shifts)     # type: ignore[index]
    gather(records.view(np.uint8).reshape(-1), offsets, begins, lengths, out, count)
    return Texts(out[:int(offsets[-1])], offsets)


def tunnel_words() -> list[str]:
    """The text of every combination of tunnel bits (bit 0, a plain VLAN, says nothing here)."""
    if not _TUNNEL_WORDS:
        for bits in range(1 << len(TUNNELS)):
            _TUNNEL_WORDS.append("+".join(name for i, name in enumerate(TUNNELS) if i and bits >> i & 1))
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

    def words(self, reason: int) -> str:
        """The evidence in words, made when first met."""
        if reason not in self._words:
            self._words[reason] = self._evidence(reason)
        return self._words[reason]


def _mac(raw: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    value = np.zeros(len(raw), np.uint64)
    for i in range(6):
        value = (value << np.uint64(8)) | raw[:, i]
    return value


def batch(exports: Exports, count: int, naming: Naming, *, source: str, capture_id: int, probe: str, boot: int, interfaces: list[str],
          stored_time: int) -> Batch:
    """The first `count` exported rows as a Batch (nothing of it refers to the export buffers afterwards)."""
    flow, detail, extra = (np.asarray(a[:count]).view(np.ndarray) for a in (exports.flows, exports.details, exports.extra))
    columns: dict[str, Any] = {}
    columns["flow_id"] = detail["serial"] + np.uint64(boot << 40)
    columns["probe"] = Coded.same(probe, count)
    words = interfaces or [""]
    columns["interface"] = Coded(np.minimum(detail["interface"], len(words) - 1).astype(np.uint16), words)
    columns["source"] = Coded.same(source, count)
    columns["capture_id"] = np.full(count, capture_id, np.uint64)
    columns["first_packet"] = detail["first_packet"].astype(np.uint64)
    columns["interval"] = flow["interval"].astype(np.uint32)
    columns["interval_start"] = flow["start"].copy()
    columns["interval_end"] = flow["last"].copy()
    columns["flow_start_time"] = detail["flow_start"].copy()
    columns["final"] = extra["final"].copy()
    end = extra["end"].astype(np.uint16)
    state = flow["state"]
    columns["end_reason"] = Coded(np.where((end == END_CLOSED) & (state & RESET != 0), END_RESET, end).astype(np.uint16), list(END_REASONS))
    columns["midstream"] = (flow["marks"] & MIDSTREAM != 0).astype(np.uint8)
    columns["sampling_rate"] = np.ones(count, np.uint32)
    columns["vlan"], columns["inner_vlan"] = detail["vlan"].copy(), detail["inner_vlan"].copy()
    tunnels = exports.tunnels.view(np.ndarray)
    if extra["tunnel"].any():
        t = extra["tunnel"]
        columns["tunnel"] = Coded(np.where(t != 0, tunnels["kinds"][t], 0).astype(np.uint16), tunnel_words())
        columns["tunnel_id"] = np.where(t != 0, tunnels["id"][t], 0).astype(np.uint32)
        for name, field in (("outer_client_ip", "outer_client"), ("outer_server_ip", "outer_server")):
            columns[name] = np.where((t != 0)[:, None], tunnels[field][t], np.uint8(0))
    columns["client_mac"], columns["server_mac"] = _mac(detail["client_mac"]), _mac(detail["server_mac"])
    ends = np.asarray(exports.addresses[:count]).view(np.ndarray)
    columns["client_ip"], columns["server_ip"] = ends["client"].copy(), ends["server"].copy()
    icmp = detail["icmp"] != 0
    for name, kind in (("client", "icmp_type"), ("server", "icmp_code")):
        port = detail[f"{name}_port"]
        columns[f"{name}_port"] = np.where(icmp, 0, port).astype(np.uint16)
        columns[kind] = np.where(icmp, port, 0).astype(np.uint8)
    columns["ip_protocol"] = (flow["key1"] & np.uint64(0xFF)).astype(np.uint8)
    for d, side in enumerate(("client", "server")):
        ip_bytes = flow["ip_bytes"][:, d].copy()
        columns[f"{side}_ttl"], columns[f"{side}_dscp"] = detail["ttl"][:, d].copy(), detail["dscp"][:, d].copy()
        columns[f"{side}_packets"] = flow["packets"][:, d].astype(np.uint64)
        columns[f"{side}_bytes"] = ip_bytes
        columns[f"{side}_wire_bytes"] = (ip_bytes.astype(np.int64) + flow["overhead"][:, d]).astype(np.uint64)
        columns[f"{side}_payload_bytes"] = ip_bytes - flow["headers"][:, d]
        columns[f"{side}_tcp_flags"] = flow["tcp_flags"][:, d].copy()
        columns[f"{side}_retransmissions"] = flow["retransmissions"][:, d].astype(np.uint32)
        columns[f"{side}_out_of_order"] = flow["out_of_order"][:, d].astype(np.uint32)
        columns[f"{side}_zero_windows"] = flow["zero_windows"][:, d].astype(np.uint32)
    mss = detail["mss"].astype(np.uint32)
    columns["client_mss"] = np.where(mss != 0, mss, np.uint32(NOT_MEASURED))
    columns["client_rtt_us"], columns["server_rtt_us"] = extra["client_rtt"].copy(), extra["server_rtt"].copy()
    columns["server_response_us"] = extra["response"].copy()
    protocol, application = extra["protocol"].copy(), extra["application"].copy()
    columns["protocol"] = Coded(protocol, naming.protocols)
    columns["application"] = Coded(application, naming.applications)
    columns["category"] = Coded(np.where(application != 0, naming.of_application[application], naming.of_protocol[protocol]), naming.categories)
    columns["confidence"] = Coded(extra["confidence"].astype(np.uint16), list(CONFIDENCES))
    reasons, codes = np.unique(extra["reason"], return_inverse=True)
    columns["evidence"] = Coded(codes.astype(np.uint16).ravel(), [naming.words(int(reason)) for reason in reasons])
    columns["rules_version"] = Coded.same(naming.version, count)
    columns["stored_time"] = np.full(count, stored_time, np.int64)
    columns["tags"] = _bits_list(extra["folded"].astype(np.uint64), ("folded",))
    _facts(columns, exports, extra["facts"])
    return Batch("flows", count, columns)


def _facts(columns: dict[str, Any], exports: Exports, at: np.ndarray[Any, Any]) -> None:
    """The columns that come from FACTS; rows without facts (0) refer to slot 0, which stays empty."""
    facts = exports.facts.view(np.ndarray)
    here = np.ascontiguousarray(at)
    count = len(here)
    some = here != 0

    def lengths(field: str, scale: int = 1, limit: int = 1 << 30) -> np.ndarray[Any, Any]:
        return np.where(some, np.minimum(facts[field][here].astype(np.int64) * scale, limit), 0)

    columns["server_name"] = texts(exports.facts, FACTS, "server_name", here, lengths("server_name_length", 1, 256))
    columns["alpn"] = texts(exports.facts, FACTS, "alpn", here, lengths("alpn_length", 1, 32))
    columns["user_agent"] = texts(exports.facts, FACTS, "user_agent", here, lengths("user_agent_length", 1, 176))
    columns["ja3"] = _digests(facts["ja3"], here, lengths("has_ja3", 1, 1))
    columns["ja3s"] = _digests(facts["ja3s"], here, lengths("has_ja3s", 1, 1))
    columns["ja4"] = texts(exports.facts, FACTS, "ja4_all", here, lengths("ja4_count", 36, 36))
    every = lengths("ja4_count", 1, 6)
    offsets = np.zeros(count + 1, np.int64)
    np.cumsum(every, out=offsets[1:])
    # element j of row k lies 36 * j bytes into the field: address each element as a row of 36-byte cells
    cells = np.repeat(here.astype(np.int64) * FACTS.itemsize + FACTS.fields["ja4_all"][1], every)     # type: ignore[index]
    within = np.arange(len(cells), dtype=np.int64) - np.repeat(offsets[:-1], every)
    columns["ja4_all"] = Lists(offsets, _cells(exports.facts, cells + 36 * within, 36))
    columns["risks"] = _bits_list(np.where(some, facts["risks"][here], np.uint64(0)), RISKS)


def _cells(records: Any, at: np.ndarray[Any, Any], width: int) -> Texts:
    """Cells of `width` bytes at absolute byte positions."""
    raw = records.view(np.uint8).reshape(-1)
    if not len(at):
        return Texts(np.zeros(0, np.uint8), np.zeros(1, np.int64))
    cell = raw[at[:, None] + np.arange(width)]
    return Texts(np.ascontiguousarray(cell).reshape(-1), np.arange(len(at) + 1, dtype=np.int64) * width)


def _digests(raw: np.ndarray[Any, Any], here: np.ndarray[Any, Any], has: np.ndarray[Any, Any]) -> Texts:
    from dpi.batch import digests
    return digests(raw[here], has)


def _bits_list(bits: np.ndarray[Any, Any], words: tuple[str, ...]) -> Lists:
    """A list of words for each row's bits."""
    count = len(bits)
    if not bits.any():
        return Lists(np.zeros(count + 1, np.int64), Coded(np.zeros(0, np.uint16), list(words)))
    table = (bits[:, None] >> np.arange(len(words), dtype=np.uint64)) & np.uint64(1) != 0
    offsets = np.zeros(count + 1, np.int64)
    np.cumsum(table.sum(axis=1), out=offsets[1:])
    return Lists(offsets, Coded(np.nonzero(table)[1].astype(np.uint16), list(words)))



