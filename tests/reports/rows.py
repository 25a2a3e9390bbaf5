"""Made-up rows: batches of the flows, dns, tls and http tables as export would hand them over, hostile names among them."""
from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from dpi.batch import NULLS, Batch, Coded, Lists, Texts
from dpi.flow.facts import TEXT_BYTES, TRANSACTION
from dpi.flow.vocabulary import BEYOND, WORDS
from dpi.jit import records
from dpi.schema import TABLES, TRANSACTION_TABLES, Column

MINUTE = 60_000_000
BEGIN = 1_331_901_000 * 1_000_000 // MINUTE * MINUTE        # a minute of 2012
NULL = 0xFFFFFFFF
HOSTILE = '<script>alert("1")</script>\x1b[31m'
MENDED = HOSTILE.replace("\x1b", "?")       # as a text of a TRANSACTION leaves the pipeline
APPLICATIONS = ["", "YouTube", "WeChat", "淘宝", HOSTILE, "Netflix", "Zoom"]
CATEGORIES = ["", "video", "messaging", "shopping", "hostile", "video", "conferencing"]
PROTOCOLS = ["", "TLS", "QUIC", "HTTP", "DNS", "SSH"]
CONFIDENCES = ["", "guess", "port", "network", "dns", "fingerprint", "name", "payload"]
EVIDENCE = ["", f"server name {HOSTILE}", "port 53/udp", "bytes 16 03 at offset 0"]


def addresses(numbers: Any, prefix: int) -> Any:
    """uint8[n,16]: IPv4 mapped, every seventh IPv6."""
    out = np.zeros((len(numbers), 16), np.uint8)
    out[:, 10:12] = 255
    out[:, 12], out[:, 13], out[:, 14], out[:, 15] = prefix, numbers >> 16 & 255, numbers >> 8 & 255, numbers & 255
    out[numbers % 7 == 0, :12] = [0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 1]
    return out


def flows(count: int, seed: int = 1, first_id: int = 1, minutes: int = 3, hosts: int = 50, capture_id: int = 1) -> Batch:
    """`count` rows of flows, some of several rows."""
    r = np.random.default_rng(seed)
    application = np.where(r.random(count) < 0.4, 0, r.integers(0, len(APPLICATIONS), count))
    protocol = np.where(application == 0, r.integers(0, len(PROTOCOLS), count), r.integers(1, 4, count))
    confidence = np.where((application == 0) & (protocol == 0), 0, r.integers(1, 8, count))
    start = BEGIN + r.integers(0, minutes * MINUTE, count)
    end = np.minimum(start + r.integers(0, MINUTE // 2, count), start // MINUTE * MINUTE + MINUTE - 1)
    tcp = np.isin(protocol, (1, 3, 5))
    client_packets, server_packets = r.integers(1, 40, count), r.integers(0, 60, count)
    client_wire, server_wire = client_packets * 90 + r.integers(0, 50, count), server_packets * 1000 + r.integers(0, 50, count)
    fresh = r.random(count) < 0.7
    fresh[0] = True
    place = np.arange(count)
    interval = place - np.maximum.accumulate(np.where(fresh, place, 0))
    final = np.append(fresh[1:], True) & (r.random(count) < 0.9)
    measured = tcp & (r.random(count) < 0.5)
    names = Texts.of([f"cdn{k % 5}.example.com" if k else "" for k in application.tolist()])

    def number(values: Any, kind: str = "u8") -> Any:
        return np.asarray(values).astype(kind)

    def delay(scale: float) -> Any:
        return np.where(measured, r.lognormal(9, 1.5, count) * scale, NULL).astype(np.uint32)

    def losses(rate: float) -> Any:
        return ((r.random(count) < rate) & tcp).astype(np.uint32)

    return Batch("flows", count, {
        "flow_id": number(first_id + np.cumsum(fresh)), "capture_id": np.full(count, capture_id, np.uint64),
        "interval": number(interval, "u4"), "final": number(final, "u1"),
        "interval_start": start, "interval_end": end, "flow_start_time": start, "midstream": number(r.random(count) < 0.1, "u1"),
        "end_reason": Coded(r.integers(0, 4, count).astype(np.uint16), ["active", "idle", "fin", "reset"]),
        "vlan": r.choice([0, 0, 100], count).astype(np.uint16), "tunnel": Coded(r.choice([0, 0, 1], count).astype(np.uint16), ["", "gtp-u"]),
        "client_ip": addresses(r.integers(1, hosts, count), 10), "server_ip": addresses(r.integers(1, hosts, count), 203),
        "client_port": r.integers(1024, 65535, count).astype(np.uint16), "server_port": r.choice([443, 80, 0, 4444], count).astype(np.uint16),
        "ip_protocol": np.where(tcp, 6, 17).astype(np.uint8), "client_packets": number(client_packets), "server_packets": number(server_packets),
        "client_bytes": number(client_wire - 14), "server_bytes": number(server_wire), "client_wire_bytes": number(client_wire),
        "server_wire_bytes": number(server_wire), "client_payload_bytes": number(client_wire // 2), "server_payload_bytes": number(server_wire // 2),
        "client_tcp_flags": np.where(tcp, r.choice([0x1B, 0x02, 0x18, 0x06], count), 0).astype(np.uint8),
        "server_tcp_flags": np.where(tcp, r.choice([0x1B, 0x14, 0x00], count), 0).astype(np.uint8),
        "client_rtt_us": delay(0.1), "server_rtt_us": delay(1), "server_response_us": delay(3),
        "client_retransmissions": losses(0.1), "server_retransmissions": losses(0.2) * 3, "client_out_of_order": losses(0.05),
        "server_out_of_order": losses(0.05), "client_zero_windows": losses(0.02), "server_zero_windows": losses(0.02),
        "protocol": Coded(protocol.astype(np.uint16), PROTOCOLS), "application": Coded(application.astype(np.uint16), APPLICATIONS),
        "category": Coded(application.astype(np.uint16), CATEGORIES), "confidence": Coded(confidence.astype(np.uint8), CONFIDENCES),
        "evidence": Coded(r.integers(0, 4, count).astype(np.uint32), EVIDENCE), "server_name": names,
        "risks": Lists.of([["obsolete_tls"] if k % 9 == 0 else [] for k in range(count)]),
        "tags": Lists.of([["folded", "one_sided"] if k % 25 == 0 else ["one_sided"] if k % 5 == 0 else [] for k in range(count)]),
    })


def recorded(batch: Batch) -> Batch:
    """The batch with the TRANSACTION records its columns would have been made of. Columns it has not: 0, not known, no text."""
    out = records(batch.count, TRANSACTION)
    plain = out.view(np.ndarray)
    plain["table"], plain["flow"], plain["time"] = TRANSACTION_TABLES.index(batch.table), batch.columns["flow_id"], batch.columns["time"]
    ends = np.zeros(batch.count, np.int64)
    slots = [(column, *column.slot.split()) for column in TABLES[batch.table].columns if column.slot]
    for column, kind, place in sorted(slots, key=lambda slot: (slot[1], int(slot[2]))):
        if kind == "number":
            plain["numbers"][:, int(place)] = _numbers(batch, column)
            continue
        for row, word in enumerate(batch.columns.get(column.name, ())):
            data = np.frombuffer(word.encode(), np.uint8)
            plain["text"][row, ends[row]:ends[row] + len(data)] = data
            ends[row] += len(data)
        plain["ends"][:, int(place)], plain["texts"] = ends, int(place) + 1
    assert ends.max(initial=0) <= TEXT_BYTES
    return Batch(batch.table, batch.count, batch.columns, out)


def _numbers(batch: Batch, column: Column) -> Any:
    """int64[n]: what a parser would have written for a column."""
    values: Any = batch.columns.get(column.name)
    words = WORDS.get((batch.table, column.name))
    if words is not None:
        return 0 if values is None else [_inverse(batch.table, column.name)[word] for word in values]
    unknown = -1 if column.nullable and not column.kind.startswith("time") else 0
    return unknown if values is None else np.where(values == NULLS.get(column.kind, -1), unknown, values.astype(np.int64))


@cache
def _inverse(table: str, column: str) -> dict[str, int]:
    """The numbers of the words of a column; no two have the same."""
    numbers = {WORDS[table, column](number): number for number in range(BEYOND + 1)}
    assert len(numbers) == BEYOND + 1
    return numbers


def dns(count: int, seed: int = 2, capture_id: int = 1) -> Batch:
    """Questions and answers by turns."""
    r = np.random.default_rng(seed)
    response = np.arange(count) % 2
    return recorded(Batch("dns", count, {
        "flow_id": np.arange(count, dtype=np.uint64), "capture_id": np.full(count, capture_id, np.uint64), "time": BEGIN + np.arange(count) * 1000,
        "query_name": Texts.of([f"host{k}.example.com" if k else MENDED for k in (r.zipf(1.5, count) % 40).tolist()]),
        "query_type": Coded(r.integers(0, 2, count).astype(np.uint16), ["A", "AAAA"]), "is_response": response.astype(np.uint8),
        "response_code": Coded(np.where(response == 1, r.integers(0, 2, count), 0).astype(np.uint16), ["NOERROR", "NXDOMAIN"]),
        "response_time_us": np.where(response == 1, r.lognormal(9, 1, count), NULL).astype(np.uint32)}))


def tls(count: int, seed: int = 3, capture_id: int = 1) -> Batch:
    """Client and server hellos by turns."""
    r = np.random.default_rng(seed)
    server = np.arange(count) % 2 == 1
    number = r.zipf(1.5, count) % 40
    return recorded(Batch("tls", count, {
        "flow_id": np.arange(count, dtype=np.uint64), "capture_id": np.full(count, capture_id, np.uint64), "time": BEGIN + np.arange(count) * 1000,
        "role": Coded(server.astype(np.uint8), ["client", "server"]),
        "version": Coded(r.integers(0, 3, count).astype(np.uint8), ["TLS 1.3", "TLS 1.2", "TLS 1.0"]),
        "cipher": Coded(np.where(server, r.integers(1, 3, count), 0).astype(np.uint16), ["", "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"]),
        "server_name": Texts.of(["" if silent or k == 0 else f"www{k}.example.com" for k, silent in zip(number.tolist(), server.tolist(), strict=True)]),
        "alpn": Texts.of(["h2" if silent else "h2,http/1.1" for silent in server.tolist()]),
        "ja4": Texts.of(["" if silent else f"t13d1516h2_8daaf6152771_{k:012x}"
                         for k, silent in zip(number.tolist(), server.tolist(), strict=True)])}))


def http(count: int, seed: int = 4, capture_id: int = 1) -> Batch:
    """Requests, some without an answer."""
    r = np.random.default_rng(seed)
    return recorded(Batch("http", count, {
        "flow_id": np.arange(count, dtype=np.uint64), "capture_id": np.full(count, capture_id, np.uint64), "time": BEGIN + np.arange(count) * 1000,
        "method": Coded(r.integers(0, 2, count).astype(np.uint8), ["GET", "POST"]),
        "host": Texts.of([f"www{k}.example.com" for k in (r.zipf(1.5, count) % 40).tolist()]),
        "status": r.choice([200, 304, 404, 503, 0xFFFF], count).astype(np.uint16),
        "user_agent": Coded(r.integers(0, 2, count).astype(np.uint16), ["curl/7.88", MENDED]),
        "content_type": Coded(r.integers(0, 2, count).astype(np.uint16), ["text/html", ""]),
        "response_time_us": r.lognormal(10, 1, count).astype(np.uint32)}))
