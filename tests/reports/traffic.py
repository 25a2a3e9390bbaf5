"""Ten weeks of made-up traffic of two links and six customers, as numpy columns to reckon with and as batches for a store."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.batch import NULLS, Batch, Coded, Lists, Texts
from dpi.security.alert import Alert

MINUTE = 60_000_000
DAY = 1440 * MINUTE
BEGIN = 1_790_553_600 * 1_000_000        # Monday, 28 September 2026, 00:00 UTC
DAYS = 70
END = BEGIN + DAYS * DAY
LINKS = ("eth1", "eth2")
CUSTOMERS = ["", "C1", "C2", "C3", "C4", "C5"]
SERVICES = ["", "S1", "S2", "S3", "S4", "S5", "S5b"]
OWNER = {"": "", "S1": "C1", "S2": "C2", "S3": "C3", "S4": "C4", "S5": "C5", "S5b": "C5"}
APPLICATIONS = ["", "YouTube", "WeChat", "淘宝", "<b>=1+1", "Zoom"]
CATEGORIES = ["", "video", "messaging", "shopping", "hostile", "conferencing"]
PROTOCOLS = ["", "TLS", "DNS"]
#: Minutes of eth2 of which nobody tells, and those of eth1 in which the probe did not read all the time.
UNTOLD = range(2000, 2100)
UNREAD = range(5000, 5010)
NULL = NULLS["u32?"]


def flows(count: int = 40_000, seed: int = 3) -> dict[str, Any]:
    """Columns of flows: numbers as arrays, words as lists of indices under the names of the lists above."""
    r = np.random.default_rng(seed)
    day, growth = r.integers(0, DAYS, count), r.random(count)
    hour = np.clip(r.normal(20, 4, count), 0, 23.99)
    start = BEGIN + day * DAY + (hour * 3600e6).astype(np.int64)
    tcp = r.random(count) < 0.7
    measured = tcp & (r.random(count) < 0.5)
    columns: dict[str, Any] = {
        "interval_start": start, "interval": (r.random(count) < 0.3).astype(np.uint32), "final": (r.random(count) < 0.8).astype(np.uint8),
        "midstream": (r.random(count) < 0.1).astype(np.uint8), "ip_protocol": np.where(tcp, 6, 17).astype(np.uint8),
        "client_tcp_flags": np.where(tcp, r.choice([0x1B, 0x02, 0x18], count), 0).astype(np.uint8),
        "server_tcp_flags": np.where(tcp, r.choice([0x1B, 0x14, 0x00], count), 0).astype(np.uint8),
        "application": r.integers(0, len(APPLICATIONS), count), "protocol": r.integers(0, len(PROTOCOLS), count), "link": r.integers(0, 2, count),
        "client_service": np.where(r.random(count) < 0.6, r.integers(1, len(SERVICES), count), 0),
        "server_service": np.where(r.random(count) < 0.1, r.integers(1, len(SERVICES), count), 0),
        "client_duplicate": (r.random(count) < 0.1).astype(np.uint8), "server_duplicate": (r.random(count) < 0.1).astype(np.uint8),
        "client_local": (r.random(count) < 0.97).astype(np.uint8), "gold": r.random(count) < 0.2, "night": r.random(count) < 0.1,
    }
    columns["server_local"] = 1 - columns["client_local"]
    scale = 1 + day / DAYS + growth
    for side, most in (("client", 30_000), ("server", 300_000)):
        columns[f"{side}_bytes"] = (r.integers(100, most, count) * scale).astype(np.uint64)
        columns[f"{side}_packets"] = (columns[f"{side}_bytes"] // 700 + 1).astype(np.uint64)
        columns[f"{side}_wire_bytes"] = columns[f"{side}_bytes"] + columns[f"{side}_packets"] * np.uint64(14)
        columns[f"{side}_retransmissions"] = ((r.random(count) < 0.1) & tcp).astype(np.uint32)
        columns[f"{side}_out_of_order"] = ((r.random(count) < 0.05) & tcp).astype(np.uint32)
    for name, typical in (("client_rtt_us", 9), ("server_rtt_us", 10), ("server_response_us", 11)):
        columns[name] = np.where(measured, r.lognormal(typical, 1, count), NULL).astype(np.uint32)
    return columns


def batch(columns: dict[str, Any]) -> Batch:
    """They as rows of flows of the probe `box`."""
    count = len(columns["interval_start"])
    words = {"application": ("application", APPLICATIONS), "category": ("application", CATEGORIES), "protocol": ("protocol", PROTOCOLS),
             "interface": ("link", list(LINKS)), "client_service_id": ("client_service", SERVICES), "server_service_id": ("server_service", SERVICES),
             "client_customer_id": ("client_service", [OWNER[one] for one in SERVICES]),
             "server_customer_id": ("server_service", [OWNER[one] for one in SERVICES])}
    made = {name: Coded.of([among[k] for k in columns[of].tolist()]) for name, (of, among) in words.items()}
    made["tags"] = Lists.of([[name for name in ("gold", "night") if columns[name][k]] for k in range(count)])
    others = ("application", "protocol", "link", "client_service", "server_service", "gold", "night")
    plain = {name: values for name, values in columns.items() if name not in others}
    return Batch("flows", count, {**plain, **made, "interval_end": columns["interval_start"], "flow_start_time": columns["interval_start"],
                                  "flow_id": np.arange(1, count + 1, dtype=np.uint64), "probe": Coded.of(["box"] * count),
                                  "stored_time": np.full(count, END, np.int64)})


def coverage(columns: dict[str, Any]) -> tuple[Batch, Any, Any]:
    """Rows of coverage, and what they tell: octets float64[2, minutes] and known bool[2, minutes] of each link. A frame in no flow has 60 bytes a minute."""
    minutes = DAYS * 1440
    octets = np.full((2, minutes), 60, np.int64)
    place = (columns["interval_start"] - BEGIN) // MINUTE
    np.add.at(octets, (columns["link"], place), (columns["client_wire_bytes"] + columns["server_wire_bytes"]).astype(np.int64))
    told, known = np.ones((2, minutes), bool), np.ones((2, minutes), bool)
    told[1, UNTOLD] = False
    known[1, UNTOLD], known[0, UNREAD] = False, False
    link, minute = np.nonzero(told)
    count = len(link)
    unread = np.where(~known[link, minute], 1_000_000, 0)
    return Batch("coverage", count, {
        "time": BEGIN + minute.astype(np.int64) * MINUTE, "probe": Coded.of(["box"] * count), "source": Coded.of([LINKS[k] for k in link.tolist()]),
        "capture_id": np.zeros(count, np.uint64), "frames": np.full(count, 100, np.uint64), "wire_bytes": octets[link, minute].astype(np.uint64),
        "unread_us": unread.astype(np.uint64), "dropped_kernel": (minute == 7).astype(np.uint64) * np.uint64(5),
        "duplicates": (minute == 9).astype(np.uint64), "stored_time": np.full(count, END, np.int64)}), octets, known


def dns(count: int = 2_000, seed: int = 4) -> tuple[dict[str, Any], Batch]:
    """Messages, as columns of indices and as a batch."""
    r = np.random.default_rng(seed)
    names = ["www.example.com", "Cdn.Example.com", "a.b.taobao.com.cn", "7.1.168.192.in-addr.arpa", "alices-phone.local", "10.0.0.1", "x.org"]
    columns: dict[str, Any] = {"name": r.integers(0, len(names), count), "answer": r.random(count) < 0.5, "code": r.choice([0, 0, 0, 1, 2], count),
                               "type": r.integers(0, 2, count), "time": BEGIN + 3 * DAY + r.integers(0, DAY, count)}
    columns["delay"] = np.where(columns["answer"] & (r.random(count) < 0.9), r.lognormal(7, 1, count), NULL).astype(np.uint32)
    codes = ["NOERROR", "NXDOMAIN", "SERVFAIL"]
    made = Batch("dns", count, {
        "flow_id": np.arange(1, count + 1, dtype=np.uint64), "time": columns["time"], "probe": Coded.of(["box"] * count),
        "query_name": Texts.of([names[k] for k in columns["name"].tolist()]), "query_type": Coded.of([("A", "AAAA")[k] for k in columns["type"].tolist()]),
        "is_response": columns["answer"].astype(np.uint8), "response_time_us": columns["delay"],
        "response_code": Coded.of([codes[k] if answer else "NOERROR" for k, answer in zip(columns["code"].tolist(), columns["answer"].tolist(), strict=True)]),
        "stored_time": np.full(count, END, np.int64)})
    return {**columns, "names": names, "codes": codes}, made


def tls(count: int = 1_000, seed: int = 5) -> tuple[dict[str, Any], Batch]:
    """Sessions (a hello, and of most an answer with a certificate) as columns, and their rows as a batch."""
    r = np.random.default_rng(seed)
    versions, names = ["TLS 1.3", "TLS 1.2", "TLS 1.0"], ["www.example.com", "", "shop.taobao.com"]
    columns: dict[str, Any] = {"version": r.integers(0, 3, count), "name": r.integers(0, 3, count), "answered": r.random(count) < 0.9,
                               "time": BEGIN + 3 * DAY + r.integers(0, DAY, count)}
    answered = np.flatnonzero(columns["answered"])
    rows = count + len(answered)
    flow = np.concatenate([np.arange(1, count + 1), answered + 1]).astype(np.uint64)
    version = [versions[1]] * count + [versions[k] for k in columns["version"][answered].tolist()]
    end = np.where(np.arange(rows) < count, NULLS["time?"], BEGIN + 75 * DAY)
    end[rows - 1] = END + 200 * DAY
    made = Batch("tls", rows, {
        "flow_id": flow, "time": np.concatenate([columns["time"], columns["time"][answered] + 20_000]), "probe": Coded.of(["box"] * rows),
        "role": Coded.of(["client"] * count + ["server"] * len(answered)), "version": Coded.of(version),
        "cipher": Coded.of([""] * count + ["TLS_AES_128_GCM_SHA256"] * len(answered)),
        "server_name": Texts.of([names[k] for k in (*columns["name"].tolist(), *columns["name"][answered].tolist())]),
        "subject": Texts.of([""] * count + ["CN=www.example.com,O=Example"] * len(answered)), "issuer": Texts.of([""] * count + ["Test CA"] * len(answered)),
        "certificate_sha256": Texts.of([""] * count + ["ab" if k else "cd" for k in range(len(answered) - 1, -1, -1)]), "not_after": end,
        "stored_time": np.full(rows, END, np.int64)})
    return {**columns, "versions": versions, "names": names}, made


def alerts(count: int = 300, seed: int = 6) -> list[Alert]:
    """States of alerts: each is raised, most are updated, most of them cleared; what is told of it changes."""
    r = np.random.default_rng(seed)
    out = []
    for k in range(count):
        first = BEGIN + 2 * DAY + int(r.integers(0, 7 * DAY)) // 1000 * 1000
        kind, severity = ("syn_flood", "port_scan", "loss")[r.integers(0, 3)], ("low", "medium", "high", "critical")[r.integers(0, 4)]
        customer = int(r.integers(0, 4))
        for revision, state in enumerate(("raised", "updated", "cleared")[:int(r.integers(1, 4))], 1):
            out.append(Alert(f"{k:016x}", f"{kind}:{k}:box", kind, 0, "low" if revision == 1 else severity, state, first,
                             first + revision * int(r.integers(1, 900)) * 1_000_000, revision * 5,
                             "" if k % 4 == 0 else f"198.51.100.{k % 250}", f"2001:db8:{k:x}::7" if k % 3 else f"203.0.113.{k % 250}",
                             f"c-{customer}" if customer else "", f"s-{customer}" if customer else "", customer or 3, "" if kind == "loss" else "T1046",
                             "said", "说", "counted; rows: 1", "box", 0, revision))
    return out
