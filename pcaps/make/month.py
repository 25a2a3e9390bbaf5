"""Thirty-five days of `flows` and `coverage`, generated: what probes would have stored of a sample operator's services, the same for the same seed.

Rows go through the store's own writing and are marked source = 'generated'; usage is then computed of them by the probe's own job, as in life. Each service has
its course of the day and of the week, a few applications, and what happened to it (Event). Nothing here knows what will be said of it: an outage is connections
that nobody answers, a silent line is no rows, a mirror of one way is rows of one way.
"""

from __future__ import annotations

import time as clocks
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from dpi.batch import NULLS, Batch, Coded
from dpi.store import Store

SOURCE, RULES = "generated", "generated-1"
MINUTE, DAY = 60, 86_400
SECOND = 1_000_000
MTU = 1400                      # bytes of a packet that is full
MISSING = NULLS["u32?"]
SYN_ONLY, WHOLE, ACKED = 0x02, 0x1B, 0x12
ASKED = 24                      # connections of a minute that nobody answers, in an outage: to eight servers, one of them answered
CLOSING = 1                     # workers of a probe: one, which tells of each minute


class Application(NamedTuple):
    """What a service is used for: its share of the bytes, how much of it goes up, by UDP or not."""
    name: str
    category: str
    host: str
    protocol: str
    share: float
    up: float
    udp: bool = False


MIXES: dict[str, tuple[Application, ...]] = {
    "leased_line": (Application("Microsoft 365", "office", "outlook.office365.com", "TLS", 0.5, 0.35),
                    Application("Zoom", "conferencing", "zoom.us", "QUIC", 0.3, 0.8, True), Application("", "web", "www.example.com", "TLS", 0.2, 0.1)),
    "broadband": (Application("Bilibili", "video", "www.bilibili.com", "QUIC", 0.7, 0.03, True),
                  Application("WeChat", "messaging", "weixin.qq.com", "TLS", 0.3, 0.2)),
    "wlan": (Application("Douyin", "video", "www.douyin.com", "QUIC", 0.55, 0.04, True), Application("Taobao", "shopping", "www.taobao.com", "TLS", 0.45, 0.1)),
    "mobile": (Application("Douyin", "video", "www.douyin.com", "QUIC", 0.6, 0.04, True), Application("WeChat", "messaging", "weixin.qq.com", "TLS", 0.4, 0.3)),
}
#: Share of the typical rate by hour of the operator's day: offices, and people at home.
OFFICE = (.12, .1, .1, .1, .1, .12, .2, .5, 1.1, 1.8, 2., 1.9, 1.4, 1.6, 2., 2., 1.9, 1.5, .9, .6, .5, .4, .3, .2)
HOME = (.6, .3, .15, .1, .1, .15, .35, .6, .7, .7, .7, .8, 1., .9, .8, .8, .9, 1.1, 1.5, 2., 2.4, 2.4, 2., 1.2)


class Line(NamedTuple):
    """A service as it is seen. typical: bit/s towards the customer, on average; own: its address; rtt_us: between probe and customer; most: bit/s that it
    can carry, 0 no bound; since: of its first traffic, where that is not the beginning."""
    service_id: str
    customer_id: str
    kind: str
    own: str
    probe: str
    typical: int
    rtt_us: int = 4000
    most: int = 0
    since: datetime | None = None


class Event(NamedTuple):
    """What happened to services in [since, until). what: dead (connections are asked for and not answered), silent (nothing at all), one_sided (the mirror
    shows what goes up alone), slow (half of what is usual, sent again and again), full (`rate` bit/s, both ways)."""
    what: str
    services: frozenset[str]
    since: datetime
    until: datetime
    rate: int = 0


class Blind(NamedTuple):
    """A probe that loses so many of a thousand frames in [since, until)."""
    probe: str
    since: datetime
    until: datetime
    permille: int


class Month(NamedTuple):
    """What is generated: [since, until), whole days of the operator's zone; offset_s: of that zone."""
    since: datetime
    until: datetime
    lines: Sequence[Line]
    events: Sequence[Event]
    blind: Sequence[Blind] = ()
    seed: int = 7
    offset_s: int = 8 * 3600

    @property
    def days(self) -> int:
        return round((self.until - self.since).total_seconds()) // DAY


def fill(store: Store, month: Month, told: Callable[[str], None] = lambda words: None) -> int:
    """Store all of it, day by day: flows, then the coverage that closes their minutes. How many rows of flows."""
    rows = 0
    for day in range(month.days):
        for batch in batches(month, day):
            rows += batch.count if batch.table == "flows" else 0
            store.write(batch)
        store.flush()           # no coverage of a later day before the flows of an earlier one
        told(f"day {day + 1} of {month.days}: {rows:,} rows of flows")
    return rows


def batches(month: Month, day: int) -> Iterator[Batch]:
    """A day's flows in order of time, and its coverage."""
    begin = int(month.since.timestamp()) + day * DAY
    made = [_service(month, number, line, day, begin) for number, line in enumerate(month.lines)]
    flows = {name: np.concatenate([one[name] for one in made]) for name in made[0]}
    order = np.argsort(flows["at"], kind="stable")
    flows = {name: column[order] for name, column in flows.items()}
    yield _flows(month, flows, day)
    yield _coverage(month, flows, begin)


def _service(month: Month, number: int, line: Line, day: int, begin: int) -> dict[str, Any]:
    """Rows of a service's day as columns of numbers."""
    mix = MIXES[line.kind]
    rng = np.random.default_rng([month.seed, number, day])
    minutes = np.arange(DAY // MINUTE)
    local = (begin + month.offset_s + minutes * MINUTE)
    hour, weekend = local // 3600 % 24, (local // DAY + 3) % 7 >= 5
    curve = np.array(OFFICE if line.kind == "leased_line" else HOME)[hour]
    if line.kind == "leased_line":
        curve = np.where(weekend, curve * 0.3, curve)
    octets = line.typical / 8 * MINUTE * curve * np.exp(0.18 * rng.standard_normal(len(minutes)))
    if line.most:
        octets = np.minimum(octets, 0.9 * line.most / 8 * MINUTE)
    n, k = len(minutes), len(mix)
    shares = np.array([one.share for one in mix]) * np.exp(0.1 * rng.standard_normal((n, k)))
    down = octets[:, None] * shares
    up = down * np.array([one.up for one in mix])
    rtt = np.maximum(line.rtt_us * np.exp(0.12 * rng.standard_normal((n, k))), 1)
    again = rng.poisson(down / MTU * 0.0004)
    own, other = np.full((n, k), WHOLE), np.full((n, k), WHOLE)
    keep, one_sided = np.ones((n, k), bool), np.zeros((n, k), bool)
    if line.since is not None:
        keep[begin + minutes * MINUTE < line.since.timestamp()] = False
    extra: list[dict[str, Any]] = []
    for event in month.events:
        if line.service_id not in event.services:
            continue
        first, last = (int((moment.timestamp() - begin) // MINUTE) for moment in (event.since, event.until))
        inside = slice(max(first, 0), max(min(last, n), 0))
        if inside.start >= inside.stop:
            continue
        if event.what in ("dead", "silent"):
            keep[inside] = False
        if event.what == "dead":
            extra.append(_dead(rng, begin + np.arange(inside.start, inside.stop) * MINUTE))
        if event.what == "one_sided":
            down[inside], other[inside], one_sided[inside] = 0, 0, True
        if event.what == "slow":
            down[inside], up[inside], rtt[inside] = down[inside] * 0.45, up[inside] * 0.45, rtt[inside] * 3
            again[inside] = down[inside] / MTU * 0.05
        if event.what == "full":
            down[inside] = up[inside] = event.rate / 8 * MINUTE / k
    at = (begin + minutes * MINUTE)[:, None] * SECOND + rng.integers(0, 40 * SECOND, (n, k))
    app = np.broadcast_to(np.arange(k), (n, k))
    made = {"at": at, "app": app, "down": down.astype(np.int64), "up": up.astype(np.int64), "rtt": rtt.astype(np.int64), "again": again.astype(np.int64),
            "own_flags": own, "other_flags": other, "server": rng.integers(1, 250, (n, k)), "one_sided": one_sided}
    found = {name: column[keep] for name, column in made.items()}
    for one in extra:
        found = {name: np.concatenate([column, one[name]]) for name, column in found.items()}
    return {**found, "line": np.full(len(found["at"]), number)}


def _dead(rng: np.random.Generator, minutes: Any) -> dict[str, Any]:
    """Connections that are asked for and not answered, but one in each minute, which is reset."""
    n = len(minutes) * ASKED
    place = np.tile(np.arange(ASKED), len(minutes))
    answered = place == 0
    return {"at": np.repeat(minutes, ASKED) * SECOND + place * 2 * SECOND + rng.integers(0, SECOND, n), "app": np.zeros(n, np.int64),
            "down": np.where(answered, 60, 0), "up": np.full(n, 180), "rtt": np.zeros(n, np.int64), "again": np.zeros(n, np.int64),
            "own_flags": np.full(n, SYN_ONLY), "other_flags": np.where(answered, ACKED, 0), "server": 1 + place % 8, "one_sided": np.zeros(n, bool)}


def _flows(month: Month, rows: Mapping[str, Any], day: int) -> Batch:
    """As rows of `flows`."""
    n = len(rows["at"])
    lines, apps = month.lines, [one for kind in MIXES for one in MIXES[kind]]
    first = {kind: sum(len(MIXES[one]) for one in list(MIXES)[:place]) for place, kind in enumerate(MIXES)}
    app = np.array([first[one.kind] for one in lines])[rows["line"]] + rows["app"]
    udp = np.array([one.udp for one in apps])[app] & (rows["other_flags"] != 0) & (rows["own_flags"] == WHOLE) & ~rows["one_sided"]
    down, up = rows["down"].astype(np.uint64), rows["up"].astype(np.uint64)
    packets = {"up": np.maximum(up // MTU, 1), "down": np.where(down > 0, np.maximum(down // MTU, 1), 0)}
    number = (np.arange(n) + day * 10_000_000 + 1).astype(np.uint64)
    clock = rows["at"].astype(np.int64)
    measured = (rows["rtt"] > 0) & (down > 0)

    def words(of: Callable[[Any], str], which: Any, all_: Sequence[Any]) -> Coded:
        return Coded(which.astype(np.uint32), [of(one) for one in all_])

    client = np.array([_address(one.own) for one in lines], np.uint8)[rows["line"]]
    server = np.broadcast_to(np.array(_address("203.0.113.0"), np.uint8), (n, 16)).copy()
    server[:, 15] = rows["server"]
    again = rows["again"].astype(np.uint32)
    tcp = ~udp
    return Batch("flows", n, {
        "flow_id": number, "probe": words(lambda one: one.probe, rows["line"], lines), "interface": Coded.same(SOURCE, n), "source": Coded.same(SOURCE, n),
        "interval_start": clock, "interval_end": clock + 15 * SECOND, "flow_start_time": clock, "final": np.ones(n, np.uint8),
        "end_reason": Coded.same("idle", n), "client_ip": client, "server_ip": server,
        "client_port": (1024 + number % 60_000).astype(np.uint16), "server_port": np.full(n, 443, np.uint16),
        "ip_protocol": np.where(udp, 17, 6).astype(np.uint8), "client_packets": packets["up"].astype(np.uint64),
        "server_packets": packets["down"].astype(np.uint64), "client_bytes": up, "server_bytes": down,
        "client_wire_bytes": up + 14 * packets["up"].astype(np.uint64), "server_wire_bytes": down + 14 * packets["down"].astype(np.uint64),
        "client_payload_bytes": up, "server_payload_bytes": down, "client_tcp_flags": np.where(tcp, rows["own_flags"], 0).astype(np.uint8),
        "server_tcp_flags": np.where(tcp, rows["other_flags"], 0).astype(np.uint8),
        "client_rtt_us": np.where(tcp & measured, rows["rtt"], MISSING).astype(np.uint32), "server_rtt_us": np.full(n, MISSING, np.uint32),
        "server_response_us": np.full(n, MISSING, np.uint32), "client_mss": np.full(n, MISSING, np.uint32),
        "server_retransmissions": np.where(tcp, again, 0).astype(np.uint32),
        "protocol": words(lambda one: str(one.protocol), app, apps), "application": words(lambda one: str(one.name), app, apps),
        "category": words(lambda one: str(one.category), app, apps), "server_name": words(lambda one: str(one.host), app, apps),
        "confidence": Coded.same("name", n), "evidence": Coded.same(SOURCE, n), "client_local": np.ones(n, np.uint8),
        "client_service_id": words(lambda one: str(one.service_id), rows["line"], lines),
        "client_customer_id": words(lambda one: str(one.customer_id), rows["line"], lines), "rules_version": Coded.same(RULES, n),
        "stored_time": np.full(n, _now(), np.int64)})


def _coverage(month: Month, rows: Mapping[str, Any], begin: int) -> Batch:
    """A row for each minute and probe, of what its rows hold."""
    probes = sorted({one.probe for one in month.lines})
    probe = np.array([probes.index(one.probe) for one in month.lines])[rows["line"]]
    n, minutes = len(probes), DAY // MINUTE
    place = probe * minutes + (rows["at"] // SECOND - begin) // MINUTE
    up, down = np.maximum(rows["up"] // MTU, 1), np.where(rows["down"] > 0, np.maximum(rows["down"] // MTU, 1), 0)

    def summed(values: Any) -> Any:
        return np.bincount(place, values, n * minutes).astype(np.uint64)

    frames = summed(up + down)
    time = np.tile((begin + np.arange(minutes) * MINUTE) * SECOND, n).astype(np.int64)
    of_probe = np.repeat(np.arange(n), minutes)
    lost = np.zeros(n * minutes, np.uint64)
    for one in month.blind:
        inside = (of_probe == (probes.index(one.probe) if one.probe in probes else -1)) & (time >= int(one.since.timestamp()) * SECOND) & (
            time < int(one.until.timestamp()) * SECOND)
        lost[inside] = frames[inside] * np.uint64(one.permille) // np.uint64(1000 - one.permille)
    return Batch("coverage", n * minutes, {
        "time": time, "probe": Coded(of_probe.astype(np.uint32), probes), "source": Coded.same(SOURCE, n * minutes), "frames": frames,
        "wire_bytes": summed(rows["up"] + rows["down"]), "dropped_kernel": lost, "tcp_packets": summed(np.where(rows["one_sided"], up, 0) + down),
        "one_sided_packets": summed(np.where(rows["one_sided"], up, 0)), "workers": np.full(n * minutes, CLOSING, np.uint16),
        "busiest_second": time, "stored_time": np.full(n * minutes, _now(), np.int64)})


def _address(text: str) -> list[int]:
    return [0] * 10 + [255, 255, *map(int, text.split("."))]


def _now() -> int:
    """us: rows are kept from when they were stored, not from when it happened."""
    return clocks.time_ns() // 1000
