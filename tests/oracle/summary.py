"""The slow twin of dpi/flow/summary.py: rows as dicts, one at a time."""
from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from dpi.batch import Batch
from dpi.flow.figures import BOUNDS, TOP, Delays, Figures, Share, address, transport


def rows(batch: Batch) -> Iterable[dict[str, Any]]:
    """Each row as {column: value}."""
    for k in range(batch.count):
        yield {name: column[k] for name, column in batch.columns.items()}


def summary(batches: Iterable[Batch]) -> dict[str, Any]:
    """What `Summary().figures()` should hold, by plain counting."""
    out: dict[str, Any] = {
        "flows": 0, "packets": 0, "bytes": 0, "ip_bytes": 0, "payload_bytes": 0, "client_bytes": 0, "rows": 0, "first": 1 << 62, "last": 0}
    sums: dict[str, defaultdict[Any, list[int]]] = {what: defaultdict(lambda: [0, 0, 0]) for what in (
        "applications", "protocols", "categories", "confidences", "transports", "versions", "tunnels", "vlans", "clients", "servers", "unknown_ports")}
    endings: Counter[str] = Counter()
    risks: Counter[str] = Counter()
    delays = {name: [0] * len(BOUNDS) for name in ("client_rtt", "server_rtt", "response")}
    tcp: Counter[str] = Counter()
    by_flow: Counter[int] = Counter()
    for batch in batches:
        for row in rows(batch):
            packets = int(row["client_packets"]) + int(row["server_packets"])
            wire = int(row["client_wire_bytes"]) + int(row["server_wire_bytes"])
            opened = int(row["interval"] == 0)
            out["rows"] += 1
            out["flows"] += opened
            out["packets"] += packets
            out["bytes"] += wire
            out["ip_bytes"] += int(row["client_bytes"]) + int(row["server_bytes"])
            out["payload_bytes"] += int(row["client_payload_bytes"]) + int(row["server_payload_bytes"])
            out["client_bytes"] += int(row["client_wire_bytes"])
            out["first"], out["last"] = min(out["first"], int(row["interval_start"])), max(out["last"], int(row["interval_end"]))
            number = int(row["ip_protocol"])
            client = address(bytes(row["client_ip"]))
            keys = {"applications": (row["application"] or row["protocol"], row["application"] != ""), "protocols": row["protocol"],
                    "categories": row["category"],
                    "confidences": row["confidence"], "transports": transport(number), "versions": "IPv6" if ":" in client else "IPv4",
                    "tunnels": row["tunnel"] or None, "vlans": str(row["vlan"]) if row["vlan"] else None, "clients": client,
                    "servers": address(bytes(row["server_ip"]))}
            if not row["application"] and not row["protocol"]:
                keys["unknown_ports"] = f"{transport(number)} {row['server_port']}" if row["server_port"] else transport(number)
            for what, key in keys.items():
                if key is not None:
                    for k, value in enumerate((opened, packets, wire)):
                        sums[what][key][k] += value
            if row["final"]:
                endings[row["end_reason"]] += 1
                risks.update(row["risks"])
            for name, column in (("client_rtt", "client_rtt_us"), ("server_rtt", "server_rtt_us"), ("response", "server_response_us")):
                if row[column] != 0xFFFFFFFF:
                    delays[name][max(k for k, bound in enumerate(BOUNDS) if bound <= row[column])] += 1
            by_flow[int(row["flow_id"])] += wire
            if number == 6:
                _tcp(tcp, row, opened, packets)
    out.update({what: dict(table) for what, table in sums.items()}, endings=dict(endings), risks=dict(risks), delays=delays, tcp=dict(tcp), largest=by_flow)
    return out


def _tcp(tcp: Counter[str], row: dict[str, Any], opened: int, packets: int) -> None:
    client, server = int(row["client_tcp_flags"]), int(row["server_tcp_flags"])
    tcp["flows"] += opened
    tcp["packets"] += packets
    for side in ("client", "server"):
        tcp[f"{side}_retransmissions"] += int(row[f"{side}_retransmissions"])
        tcp[f"{side}_out_of_order"] += int(row[f"{side}_out_of_order"])
        tcp["zero_windows"] += int(row[f"{side}_zero_windows"])
    if opened and not row["midstream"] and client & 2:
        tcp["handshakes"] += 1
        if not server & 2:
            tcp["refused"] += bool(server & 4)
            tcp["unanswered"] += not server & 4 and "one_sided" not in row.get("tags", ())
    if row["final"] and (client | server) & 4:
        tcp["resets"] += 1
    if "one_sided" in row.get("tags", ()):
        tcp["one_sided"] += packets


def transactions(batches: Iterable[Batch]) -> Figures:
    """The figures of dns, tls and http, out of columns by plain counting."""
    out = Figures()
    words: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for batch in batches:
        for row in rows(batch) if batch.table in ("dns", "tls", "http") else ():
            {"dns": _dns, "tls": _tls, "http": _http}[batch.table](out, words, row)
    for name, counts in words.items():
        del counts[""]
        table, _, what = name.partition(".")
        setattr(getattr(out, table), what, [Share(*pair) for pair in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:TOP]])
    out.http.status.sort(key=lambda share: share.name)
    out.distinct = {name: len(words[what]) for name, what in (
        ("dns_names", "dns.names"), ("tls_names", "tls.names"), ("ja4", "tls.ja4"), ("http_hosts", "http.hosts"))}
    return out


def _dns(out: Figures, words: dict[str, Counter[str]], row: dict[str, Any]) -> None:
    if row["is_response"]:
        out.dns.responses += 1
        words["dns.codes"][row["response_code"]] += 1
        if row["response_code"] not in ("NOERROR", ""):
            words["dns.failing"][row["query_name"]] += 1
    else:
        out.dns.queries += 1
        words["dns.types"][row["query_type"]] += 1
        words["dns.names"][row["query_name"]] += 1
    _delay(out.dns.delays, row["response_time_us"])


def _tls(out: Figures, words: dict[str, Counter[str]], row: dict[str, Any]) -> None:
    if row["role"] == "client":
        out.tls.hellos += 1
        out.tls.unnamed += row["server_name"] == ""
        words["tls.offered"][row["version"]] += 1
        for what, column in (("names", "server_name"), ("ja4", "ja4"), ("alpn", "alpn")):
            words[f"tls.{what}"][row[column]] += 1
    else:
        words["tls.versions"][row["version"]] += 1
        words["tls.ciphers"][row["cipher"]] += 1


def _http(out: Figures, words: dict[str, Counter[str]], row: dict[str, Any]) -> None:
    out.http.requests += 1
    status = int(row["status"])
    words["http.codes"][str(status) if 0 < status < 1000 else ""] += 1
    words["http.status"][f"{status // 100}xx" if 0 < status < 1000 else ""] += 1
    for what, column in (("methods", "method"), ("hosts", "host"), ("agents", "user_agent"), ("types", "content_type")):
        words[f"http.{what}"][row[column]] += 1
    _delay(out.http.delays, row["response_time_us"])


def _delay(out: Delays, value: Any) -> None:
    if value != 0xFFFFFFFF:
        out.counts[bisect_right(BOUNDS, int(value)) - 1] += 1
