"""What is said of a capture or a span of time: the figures behind the terminal's summary, the HTML report and `--json`.

`dpi/flow/summary.py` folds exported rows into them; `dpi/reports/figures.py` asks the store for the same. Bytes are wire bytes (the frame without
FCS) unless the name says otherwise; times are microseconds since the epoch; flows are counted where interval = 0.
"""
from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import field, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from dpi.dataclass import dataclass

TOP = 20                    # lines kept of each ranking
SERIES = 8                  # applications drawn apart in the timeline; the rest are one
CONFIDENCES = ("payload", "name", "dns", "fingerprint", "network", "port", "guess", "")

#: Lower bounds of the delay histogram's bins: eight a doubling, 1 us to an hour. Integers, so that SQL and numpy agree on every value.
BOUNDS: tuple[int, ...] = tuple(sorted({0, *(round(2 ** (step / 8)) for step in range(8 * 32 - 1))}))

#: Timeline widths in seconds; each divides the next, so that bins fold.
WIDTHS = (1, 5, 15, 60, 300, 900, 3600, 21600, 86400, 604800, 2419200, 9676800, 38707200)
BINS = 600                  # at most so many bins in the timeline

TRANSPORTS = {1: "ICMP", 2: "IGMP", 4: "IPv4", 6: "TCP", 17: "UDP", 41: "IPv6", 46: "RSVP", 47: "GRE", 50: "ESP", 51: "AH", 58: "ICMPv6", 88: "EIGRP",
              89: "OSPF", 103: "PIM", 112: "VRRP", 115: "L2TP", 132: "SCTP", 136: "UDP-Lite"}


def transport(number: int) -> str:
    """Name of an IANA protocol number."""
    return TRANSPORTS.get(number, f"IP {number}")


def address(raw: bytes) -> str:
    """Text of a 16-byte address; IPv4 mapped as plain IPv4."""
    if raw[:12] == b"\0\0\0\0\0\0\0\0\0\0\xff\xff":
        return ".".join(map(str, raw[12:]))
    return str(ipaddress.IPv6Address(raw))


def endpoint(ip: str, port: int) -> str:
    """Address and port in text; IPv6 in brackets; only the address where the port is 0."""
    if not port:
        return ip
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def iso(time: int) -> str:
    """Microseconds as ISO 8601 with Z; '' for none."""
    if not time:
        return ""
    try:
        seconds, rest = divmod(time, 1_000_000)
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:06d}Z"
    except (ValueError, OverflowError, OSError):
        return f"{time}us"


@dataclass
class Share:
    """One line of a ranking."""
    name: str
    flows: int = 0
    packets: int = 0
    bytes: int = 0
    category: str = ""
    named: bool = True          # False: `name` is only the wire protocol, the application is unknown
    confidence: dict[str, int] = field(default_factory=dict)    # bytes by confidence


@dataclass
class Host:
    """One end of conversations, as client or as server."""
    address: str
    flows: int = 0
    packets: int = 0
    bytes: int = 0
    sent: int = 0               # bytes of `bytes` that this side sent
    application: str = ""       # the one with most bytes
    name: str = ""              # a server name seen for it


@dataclass
class Delays:
    """A log histogram of delays in microseconds; `counts` by BOUNDS."""
    counts: list[int] = field(default_factory=lambda: [0] * len(BOUNDS))

    @property
    def count(self) -> int:
        return sum(self.counts)

    def percentile(self, share: float) -> float:
        """Delay in us below which `share` (0..1) of the measures lie, interpolated inside its bin; 0.0 where nothing was measured."""
        rank, seen = share * self.count, 0
        for k, count in enumerate(self.counts):
            if count and seen + count >= rank:
                upper = BOUNDS[k + 1] if k + 1 < len(BOUNDS) else BOUNDS[k]
                return BOUNDS[k] + (upper - BOUNDS[k]) * max(0.0, rank - seen) / count
            seen += count
        return 0.0


@dataclass
class FlowLine:
    """One flow as a person reads it."""
    flow_id: str
    start: int = 0
    end: int = 0
    client: str = ""
    server: str = ""
    transport: str = ""
    protocol: str = ""
    application: str = ""
    confidence: str = ""
    evidence: str = ""
    server_name: str = ""
    packets: int = 0
    bytes: int = 0


@dataclass
class Tcp:
    """TCP as a whole. Retransmissions and the rest are packets."""
    flows: int = 0
    packets: int = 0
    client_retransmissions: int = 0
    server_retransmissions: int = 0
    client_out_of_order: int = 0
    server_out_of_order: int = 0
    zero_windows: int = 0
    handshakes: int = 0         # flows whose opening SYN was seen
    unanswered: int = 0         # of them: without a SYN-ACK or a reset in their first row, or a sign that one came another way
    refused: int = 0            # of them: answered by a reset instead
    resets: int = 0             # flows' last rows that hold a reset
    one_sided: int = 0          # packets of flows that were seen in one direction only, though the other must have been there

    @property
    def retransmissions(self) -> int:
        return self.client_retransmissions + self.server_retransmissions

    @property
    def out_of_order(self) -> int:
        return self.client_out_of_order + self.server_out_of_order


@dataclass
class Dns:
    queries: int = 0
    responses: int = 0
    codes: list[Share] = field(default_factory=list)
    types: list[Share] = field(default_factory=list)
    names: list[Share] = field(default_factory=list)
    failing: list[Share] = field(default_factory=list)      # names answered with an error
    delays: Delays = field(default_factory=Delays)


@dataclass
class Tls:
    hellos: int = 0             # client hellos
    unnamed: int = 0            # of them without a server name
    versions: list[Share] = field(default_factory=list)     # chosen by servers
    offered: list[Share] = field(default_factory=list)      # highest offered by clients
    ciphers: list[Share] = field(default_factory=list)
    names: list[Share] = field(default_factory=list)
    ja4: list[Share] = field(default_factory=list)
    alpn: list[Share] = field(default_factory=list)


@dataclass
class Http:
    requests: int = 0
    status: list[Share] = field(default_factory=list)       # 2xx, 3xx ...
    codes: list[Share] = field(default_factory=list)
    methods: list[Share] = field(default_factory=list)
    hosts: list[Share] = field(default_factory=list)
    agents: list[Share] = field(default_factory=list)
    types: list[Share] = field(default_factory=list)
    delays: Delays = field(default_factory=Delays)


@dataclass
class Timeline:
    """Bytes by bin: `series` rows of len(total), most bytes first, what is beyond SERIES as the last row under the name None.

    A row's bytes are spread evenly over the bins between its first and last packet, within its minute."""
    start: int = 0              # us
    width: int = 1              # s
    names: list[str | None] = field(default_factory=list)
    series: list[list[float]] = field(default_factory=list)
    total: list[float] = field(default_factory=list)


@dataclass
class CaptureLine:
    """One capture read."""
    name: str = ""
    path: str = ""
    size: int = 0
    sha256: str = ""
    link_types: list[str] = field(default_factory=list)
    first_time: int = 0
    last_time: int = 0
    packets: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    damage: str = ""
    capture_id: str = ""


@dataclass
class Coverage:
    """What was read, lost and given up; of captures what the replay gave up (what a capture missed before it was written nobody knows)."""
    frames: int = 0             # read live
    nic: int = 0                # frames lost, by place
    kernel: int = 0
    ring: int = 0
    store: int = 0              # rows that did not reach the store
    evicted: int = 0            # flows, for want of room in the table
    folded: int = 0             # of them: without a row of their own
    folded_coarser: int = 0     # of them: more coarsely than by server, port and client prefix
    arena_refused: int = 0      # flows that may lack a name for want of room
    rows_given_up: int = 0      # of dns, tls, http and files
    pressed: int = 0            # minutes in which work was given up to keep pace
    unread: int = 0             # us in which nothing was read
    minutes: int = 0            # of live reading, of each interface, that are told
    unknown: int = 0            # likewise: that nobody tells of

    @property
    def lost(self) -> int:
        """Frames."""
        return self.nic + self.kernel + self.ring


@dataclass
class AlertLine:
    """One alert as it was last told."""
    kind: str = ""
    severity: str = ""
    state: str = ""
    first: int = 0
    last: int = 0
    count: int = 0              # detections folded
    summary: str = ""
    summary_zh: str = ""


@dataclass
class Detected:
    """What detectors found. detectors: how many looked, 0: none did; out of a store: how many found something, 0: none did, or none looked."""
    detectors: int = 0
    alerts: int = 0
    kinds: dict[str, int] = field(default_factory=dict)         # alerts by kind, most first
    titles: dict[str, tuple[str, str]] = field(default_factory=dict)        # of these kinds, in English and Chinese
    worst: list[AlertLine] = field(default_factory=list)        # the most severe ones


@dataclass
class Figures:
    """Everything the summary and the report say."""
    captures: list[CaptureLine] = field(default_factory=list)
    first: int = 0              # first and last packet of any flow, us
    last: int = 0
    flows: int = 0
    rows: int = 0
    packets: int = 0            # in flows
    bytes: int = 0              # wire bytes in flows
    ip_bytes: int = 0
    payload_bytes: int = 0
    client_bytes: int = 0       # of `bytes`, sent by clients
    peak_bits: float = 0.0      # bits a second in the busiest `peak_width` seconds
    peak_packets: float = 0.0
    peak_time: int = 0
    peak_width: int = 60
    applications: list[Share] = field(default_factory=list)
    protocols: list[Share] = field(default_factory=list)
    categories: list[Share] = field(default_factory=list)
    confidences: list[Share] = field(default_factory=list)
    transports: list[Share] = field(default_factory=list)
    versions: list[Share] = field(default_factory=list)
    tunnels: list[Share] = field(default_factory=list)
    vlans: list[Share] = field(default_factory=list)
    endings: list[Share] = field(default_factory=list)
    risks: list[Share] = field(default_factory=list)
    unknown_ports: list[Share] = field(default_factory=list)    # "TCP 4444": traffic of no known protocol
    clients: list[Host] = field(default_factory=list)
    servers: list[Host] = field(default_factory=list)
    client_rtt: Delays = field(default_factory=Delays)
    server_rtt: Delays = field(default_factory=Delays)
    response: Delays = field(default_factory=Delays)
    tcp: Tcp = field(default_factory=Tcp)
    dns: Dns = field(default_factory=Dns)
    tls: Tls = field(default_factory=Tls)
    http: Http = field(default_factory=Http)
    timeline: Timeline = field(default_factory=Timeline)
    samples: list[FlowLine] = field(default_factory=list)
    largest: list[FlowLine] = field(default_factory=list)
    distinct: dict[str, int] = field(default_factory=dict)      # how many there are of what a ranking shows the top of
    capped: dict[str, int] = field(default_factory=dict)        # keys dropped from a ranking for want of room
    refused: dict[str, int] = field(default_factory=dict)
    coverage: Coverage = field(default_factory=Coverage)
    detected: Detected = field(default_factory=Detected)
    counters: dict[str, int] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    interrupted: bool = False

    @property
    def seconds(self) -> float:
        return max(0, self.last - self.first) / 1e6

    @property
    def mean_bits(self) -> float:
        """Average rate; over at least a millisecond, so that a lone packet gives no absurdity."""
        return self.bytes * 8 / max(self.seconds, 0.001) if self.bytes else 0.0

    @property
    def refused_packets(self) -> int:
        return sum(self.refused.values())

    @property
    def read_packets(self) -> int:
        """Packets read, in flows or refused."""
        return sum(capture.packets for capture in self.captures) or self.packets + self.refused_packets

    def peak(self, seconds: Any) -> None:
        """Take the peak from per-second totals int64[k,3]: second, packets, wire bytes."""
        if len(seconds):
            k = int(seconds[:, 2].argmax())
            self.peak_bits, self.peak_time, self.peak_width = float(seconds[k, 2]) * 8, int(seconds[k, 0]) * 1_000_000, 1
            self.peak_packets = float(seconds[:, 1].max())

    def json(self) -> dict[str, Any]:
        """Plain data: times ISO 8601, delays as percentiles."""
        data: dict[str, Any] = _plain(self)
        data.update(seconds=self.seconds, mean_bits=self.mean_bits, read_packets=self.read_packets)
        return data


_TIMES = {"first", "last", "start", "end", "peak_time", "first_time", "last_time"}


def _plain(value: Any, name: str = "") -> Any:
    if isinstance(value, Delays):
        return {"count": value.count, **{f"p{share}_us": round(value.percentile(share / 100), 1) for share in (50, 90, 99)}}
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name), one.name) for one in fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if name in _TIMES and isinstance(value, int):
        return iso(value)
    return value


def counted(name: str, sums: Iterable[float], **more: Any) -> Share:
    """A Share of (flows, packets, bytes)."""
    flows, packets, octets = (int(value) for value in sums)
    return Share(name, flows, packets, octets, **more)


def merged(shares: Iterable[Share]) -> list[Share]:
    """Lines of one name made one: an application and a protocol may be called the same. The larger gives the category."""
    out: dict[str, Share] = {}
    for share in sorted(shares, key=lambda share: (-share.bytes, not share.named)):
        total = out.get(share.name)
        if total is None:
            out[share.name] = share
            continue
        total.flows, total.packets, total.bytes = total.flows + share.flows, total.packets + share.packets, total.bytes + share.bytes
        total.named = total.named or share.named
        for word, count in share.confidence.items():
            total.confidence[word] = total.confidence.get(word, 0) + count
    return list(out.values())


def ranked(shares: Iterable[Share], top: int = TOP, by: str = "bytes") -> list[Share]:
    """Most first; ties by name, so that two ways to the same figures agree."""
    return sorted((share for share in shares if share.flows or share.packets or share.bytes),
                  key=lambda share: (-getattr(share, by), share.name))[:top]
