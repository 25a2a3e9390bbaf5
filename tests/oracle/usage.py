"""The slow twin of dpi.usage: the usage tables from rows of flows, one at a time, in plain Python. Written from docs/usage.md, not from the SQL."""
from __future__ import annotations

import ipaddress
from typing import Any

from dpi.batch import NULLS, Batch, Lists

Row = dict[str, Any]
_READ = ("client_", "server_", "interval", "probe", "capture_id", "flow_id", "ip_protocol", "folded", "category", "application", "rules_version")
_NO_RTT = NULLS["u32?"]


def lines(batch: Batch) -> list[Row]:
    """The rows of a batch of flows."""
    columns: dict[str, list[Any]] = {}
    for name, column in batch.columns.items():
        if not name.startswith(_READ):
            continue                        # a million rows with all columns are too many
        if name.endswith("_ip"):
            columns[name] = [bytes(address) for address in column]      # type: ignore[union-attr]
        else:
            columns[name] = [int(one) if not isinstance(one, str | list) else one for one in column] if not isinstance(column, Lists) else list(column)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _volumes(row: Row, up: str, down: str) -> Row:
    return {f"{way}_{what}": row[f"{who}_{what}"] for way, who in (("up", up), ("down", down)) for what in ("packets", "bytes", "wire_bytes")}


def _add(into: Row, more: Row) -> None:
    for name, value in more.items():
        into[name] = into.get(name, 0) + value


def _counted(rows: dict[tuple[Any, ...], Row]) -> dict[tuple[Any, ...], Row]:
    return {key: row for key, row in rows.items() if any(value for name, value in row.items() if name not in ("rtt_histogram",))}


def usage_1m(flows: list[Row]) -> dict[tuple[Any, ...], Row]:
    """(minute in s, probe, capture_id, service, customer) -> figures."""
    found: dict[tuple[Any, ...], Row] = {}
    servers: dict[tuple[Any, ...], set[bytes]] = {}
    answered: dict[tuple[Any, ...], set[int]] = {}
    for row in flows:
        for side, other in (("client", "server"), ("server", "client")):
            if not row[f"{side}_service_id"]:
                continue
            key = (row["interval_start"] // 60_000_000 * 60, row["probe"], row["capture_id"], row[f"{side}_service_id"], row[f"{side}_customer_id"])
            into = found.setdefault(key, {"rtt_histogram": [], "servers": 0, "directions": 0})
            if row[f"{side}_duplicate"]:
                _add(into, {"duplicate_packets": row["client_packets"] + row["server_packets"],
                            "duplicate_bytes": row["client_bytes"] + row["server_bytes"]})
                continue
            _add(into, _volumes(row, side, other))
            _add(into, {"flows": int(row["interval"] == 0), "up_retransmissions": row[f"{side}_retransmissions"],
                        "down_retransmissions": row[f"{other}_retransmissions"]})
            rtt = row[f"{side}_rtt_us"]
            if rtt != _NO_RTT:
                _add(into, {"rtt_count": 1, "rtt_sum_us": rtt})
                into["rtt_histogram"] = into["rtt_histogram"] or [0] * 26
                into["rtt_histogram"][min(25, max(rtt, 1).bit_length() - 1)] += 1
            if row["ip_protocol"] == 6:
                _add(into, {"up_tcp_packets": row[f"{side}_packets"], "down_tcp_packets": row[f"{other}_packets"]})
                if side == "client":
                    _add(into, {"syn_up": max(row["folded"], 1) if row["client_tcp_flags"] & 2 and row["interval"] == 0 else 0})
                    if row["server_tcp_flags"] & 18 == 18:
                        answered.setdefault(key, set()).add(row["flow_id"])
            if side == "client" and row["interval"] == 0:
                servers.setdefault(key, set()).add(row["server_ip"])
    for key, row in found.items():
        row["servers"] = min(1000, len(servers.get(key, ())))
        row["syn_ack_down"] = len(answered.get(key, ()))
        row["directions"] = (1 if row.get("up_packets") else 0) + (2 if row.get("down_packets") else 0)
    return _counted(found)


def usage_1h(flows: list[Row]) -> dict[tuple[Any, ...], Row]:
    """(hour in s, probe, capture_id, service, customer, category, application, rules_version) -> figures."""
    found: dict[tuple[Any, ...], Row] = {}
    for row in flows:
        for side, other in (("client", "server"), ("server", "client")):
            if row[f"{side}_service_id"]:
                into = found.setdefault((row["interval_start"] // 3_600_000_000 * 3600, row["probe"], row["capture_id"], row[f"{side}_service_id"],
                                         row[f"{side}_customer_id"], row["category"], row["application"], row["rules_version"]), {})
                if row[f"{side}_duplicate"]:
                    _add(into, {"duplicate_packets": row["client_packets"] + row["server_packets"],
                                "duplicate_bytes": row["client_bytes"] + row["server_bytes"]})
                else:
                    _add(into, {**_volumes(row, side, other), "flows": int(row["interval"] == 0)})
    return _counted(found)


def usage_unbound_1h(flows: list[Row]) -> dict[tuple[Any, ...], Row]:
    """(hour in s, probe, capture_id, prefix) -> figures."""
    found: dict[tuple[Any, ...], Row] = {}
    for row in flows:
        for side, other in (("client", "server"), ("server", "client")):
            if row[f"{side}_local"] and not row[f"{side}_service_id"]:
                address = ipaddress.IPv6Address(row[f"{side}_ip"])
                four = address.ipv4_mapped
                prefix = str(ipaddress.ip_network((four, 24) if four else (address, 48), strict=False))
                key = (row["interval_start"] // 3_600_000_000 * 3600, row["probe"], row["capture_id"], prefix)
                _add(found.setdefault(key, {}), {**_volumes(row, side, other), "flows": int(row["interval"] == 0)})
    return _counted(found)
