"""A firing: one key of one rule that had too much in one slot, and how it is told in words, SQL and a row of `detections`."""
from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Any

import numpy as np

from dpi.batch import AnyColumn, Batch, Coded, Made, Texts
from dpi.dataclass import dataclass
from dpi.security.detector import Detector, Rule
from dpi.security.gauge import CLIENT_NET, CLIENT_PORT, NO_PORT, SERVER, SERVER_NET

#: Upper word of what stands for a MAC address; as one of an address it would be ff:ff..., which nobody sends from.
MAC = 0xFFFFFFFFFFFFFFFF
_MAPPED = bytes(10) + b"\xff\xff"
MANY = ("several addresses", "多个地址")


@dataclass(frozen=True)
class Firing:
    """Times us; begin and end are those of the slot. source, target: '' where there are several. final: the slot is closed, and nothing will be added."""
    detector: Detector
    rule: Rule
    number: int             # of the rule
    slot: int
    begin: int
    end: int
    first: int
    last: int
    source: str
    target: str
    port: int
    packets: int
    bytes: int
    flows: int
    distinct: int
    flow_id: int
    customers: tuple[str, ...]      # of the target, else of the source
    service_id: str
    strength: float         # times the limit
    learned: dict[str, float] | None
    final: bool
    probe: str
    capture_id: int
    rhythm: tuple[float, float] | None = None       # mean interval of calls, s, and its deviation as a part of it
    mac: str = ""           # of who sent the frames, of a kind of the segment

    @property
    def customer_id(self) -> str:
        """The customer who is hit, '' where several share the target."""
        return self.customers[0] if len(self.customers) == 1 else ""

    @property
    def whom(self) -> str:
        """The address or network of the key: who is hit, or who scans."""
        return self.target if self.rule.victim else self.source

    @property
    def about(self) -> str:
        """What detections of one alert have in common beside kind and probe."""
        return f"{self.whom}:{self.port}" if self.detector.by_port else self.whom

    def summary(self, chinese: bool = False) -> str:
        """A sentence that a person understands."""
        words = self.detector.summary.zh if chinese else self.detector.summary.en
        return words.format_map(_Told(self, chinese))

    def word(self, name: str) -> str:
        """A text of an alert by its name."""
        return self.evidence if name == "evidence" else self.summary(chinese=name == "summary_zh")

    @cached_property
    def condition(self) -> str:
        """The rows of `flows` that it was counted from, in SQL."""
        parts = [self.rule.where]
        if self.rule.table == "dns":
            return " AND ".join([*parts, *self._names(), self._span])
        if self.rule.table == "segment":
            return " AND ".join([*parts, f"({_at('client_ip', self.whom)} OR {_at('server_ip', self.whom)})", self._span])
        keyed_server = self.rule.key in (SERVER, SERVER_NET)
        own, other = ("server_ip", "client_ip") if keyed_server else ("client_ip", "server_ip")
        whose, whom = (self.target, self.source) if self.rule.victim else (self.source, self.target)
        parts += [_at(own, whose)] if whose else []
        parts += [_at(other, whom)] if whom and self.rule.pair else []
        if self.rule.port != NO_PORT:
            parts.append(f"{'client' if self.rule.port == CLIENT_PORT else 'server'}_port = {self.port}")
        return " AND ".join([*parts, self._span])

    @property
    def _span(self) -> str:
        return f"interval_end >= fromUnixTimestamp64Micro({self.begin}, 'UTC') AND interval_start < fromUnixTimestamp64Micro({self.end}, 'UTC')"

    def _names(self) -> list[str]:
        """Of messages of DNS the source is an address, the target a domain."""
        client = [_at("client_ip", self.source)] if self.source else []
        return client + ([f"(server_name = '{self.target}' OR endsWith(server_name, '.{self.target}'))"] if self.target else [])

    @property
    def spared(self) -> bool:
        """Whether a person has named its source or target, or a network or domain that holds it, as not to be told."""
        return any(within(end, spared) for end in (self.source, self.target, self.mac) if end for spared in self.rule.spared)

    @cached_property
    def evidence(self) -> str:
        """What was counted, against which limit, and where the rows are."""
        held, learned, limits = vars(self), self.learned or {}, vars(self.rule.limits)
        counted = [f"{called} {value:,}" + (f" (usual: at most {round(learned[name]):,})" if name in learned
                                            else f" (limit {limits[name]:,})" if limits[name] else "")
                   for name, called in _measures(self.rule.called) if (value := held[name])]
        rhythm = f", a call every {self.rhythm[0]:.1f} s with a deviation of {100 * self.rhythm[1]:.0f} %" if self.rhythm else ""
        sender = f", from {self.mac}" if self.mac and self.mac not in (self.source, self.target) else ""
        return f"{', '.join(counted)} in {self.rule.window} s{rhythm}{sender}; rows: {self.condition}"


class _Told(dict[str, str]):
    """The places of a summary, of which few are asked for."""

    def __init__(self, firing: Firing, chinese: bool) -> None:
        self._firing, self._many = firing, MANY[chinese]

    def __missing__(self, name: str) -> str:
        one = self._firing
        if name in ("source", "target"):
            return getattr(one, name) or self._many
        if name in ("packets", "bytes", "flows", "distinct"):
            return f"{getattr(one, name):,}"
        if name == "addresses":
            return "1 address" if one.distinct == 1 else f"{one.distinct:,} addresses"
        if name == "seconds":
            return f"{one.rule.window:,}"
        if name == "every":
            return f"{one.rhythm[0]:,.0f}" if one.rhythm else ""
        if name in ("port", "mac"):
            return str(getattr(one, name))
        raise KeyError(name)


@lru_cache(64)
def _measures(called: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Which measures are told, and what they are called."""
    named = dict(called)
    if not named:
        return tuple((name, name) for name in ("distinct", "packets", "bytes", "flows"))
    return tuple((name, named[name]) for name in ("distinct", "packets", "bytes") if name in named)


def within(end: str, spared: str) -> bool:
    """Whether an address is in a network, or a domain is another or below it."""
    if end == spared or end.endswith("." + spared):
        return True
    try:
        one, network = ipaddress.ip_network(end), ipaddress.ip_network(spared, strict=False)
    except ValueError:
        return False
    return one.version == network.version and one.subnet_of(network)        # type: ignore[arg-type]


def _at(column: str, whom: str) -> str:
    if "/" not in whom:
        return f"{column} = toIPv6('{whom}')"
    network = ipaddress.ip_network(whom)
    return f"{column} BETWEEN toIPv6('{network.network_address}') AND toIPv6('{network.broadcast_address}')"


@lru_cache(1 << 12)
def address_of(high: int, low: int, key: int) -> str:
    """Text of an address of two words as they lie in memory; of a network with its length; of a MAC address, where the first word is MAC."""
    if high == MAC and not low >> 48:
        return low.to_bytes(6, "big").hex(":")
    raw = high.to_bytes(8, "little") + low.to_bytes(8, "little")
    four = raw[:12] == _MAPPED
    text = ".".join(map(str, raw[12:])) if four else str(ipaddress.IPv6Address(raw))
    return f"{text}/{24 if four else 48}" if key in (CLIENT_NET, SERVER_NET) else text


def detections(firings: Sequence[Firing], alert_ids: Sequence[str], stored_time: int) -> Batch:
    """Rows of `detections`."""
    count = len(firings)

    def number(kind: Any, value: Callable[[Firing], Any]) -> Callable[[], AnyColumn]:
        return lambda: np.fromiter(map(value, firings), kind, count)

    def words(value: Callable[[Firing], str]) -> Callable[[], AnyColumn]:
        return lambda: Coded.of(map(value, firings))

    def text(value: Callable[[Firing], str]) -> Callable[[], AnyColumn]:
        return lambda: Texts.of(map(value, firings))

    return Batch("detections", count, Made({
        "time": number(np.int64, attrgetter("first")), "kind": words(lambda one: one.detector.kind), "signature_id": lambda: np.zeros(count, np.uint32),
        "severity": words(lambda one: one.detector.severity), "technique": words(lambda one: one.detector.technique),
        "flow_id": number(np.uint64, attrgetter("flow_id")),
        "packet_number": number(np.uint64, lambda one: one.flow_id & (1 << 40) - 1 if one.capture_id or one.probe == "replay" else 0),
        "source": text(attrgetter("source")), "target": text(attrgetter("target")), "port": number(np.uint16, attrgetter("port")),
        "slot_begin": number(np.int64, attrgetter("begin")), "slot_end": number(np.int64, attrgetter("end")),
        "last_time": number(np.int64, attrgetter("last")), "packets": number(np.uint64, attrgetter("packets")),
        "bytes": number(np.uint64, attrgetter("bytes")), "flows": number(np.uint64, attrgetter("flows")),
        "distinct_values": number(np.uint64, attrgetter("distinct")), "learned": number(np.uint8, lambda one: one.learned is not None),
        "customer_id": words(attrgetter("customer_id")), "service_id": words(attrgetter("service_id")),
        "shared_by": number(np.uint32, lambda one: len(one.customers)), "alert_id": lambda: Texts.of(alert_ids), "evidence": text(attrgetter("evidence")),
        "probe": words(attrgetter("probe")), "capture_id": number(np.uint64, attrgetter("capture_id")),
        "stored_time": lambda: np.full(count, stored_time, np.int64)}))
