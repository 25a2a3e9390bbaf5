"""What is not to be told: networks, ports and kinds that a person has excepted, and windows of maintenance."""
from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime

from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.security.firing import Firing

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Exemption:
    """Times of windows us; a window without a network is of everything."""
    networks: tuple[Network, ...] = ()
    ports: frozenset[int] = frozenset()
    kinds: frozenset[str] = frozenset()
    windows: tuple[tuple[int, int, Network | None], ...] = ()

    def covers(self, firing: Firing) -> bool:
        """Whether a firing is not told."""
        if not (self.kinds or self.ports or self.networks or self.windows):
            return False
        if firing.detector.kind in self.kinds or firing.port in self.ports:
            return True
        ends = [end for end in (firing.source, firing.target) if end]
        if self.networks and any(_inside(end, network) for end in ends for network in self.networks):
            return True
        return self.maintained(firing.first, ends)

    def maintained(self, moment: int, ends: Sequence[str]) -> bool:
        """Whether a window holds at that moment, us, for one of these addresses or networks."""
        return any(begin <= moment < end and (network is None or any(_inside(one, network) for one in ends)) for begin, end, network in self.windows)


def exemption(networks: str, ports: str, kinds: str, maintenance: str, known: frozenset[str], where: str) -> Exemption:
    """From words separated by commas; maintenance: BEGIN/END, or BEGIN/END=NETWORK, times in ISO 8601 (UTC). UserError says which word is wrong."""
    asked = frozenset(_split(kinds))
    if unknown := sorted(asked - known):
        raise UserError(f"there is no detector {unknown[0]!r}", f"{where} ignore_kinds", f"detectors are {', '.join(sorted(known))}")
    for port in _split(ports):
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise UserError(f"{port!r} is no port", f"{where} ignore_ports", "use numbers from 1 to 65535, separated by commas")
    return Exemption(tuple(_network(one, f"{where} ignore_networks") for one in _split(networks)), frozenset(map(int, _split(ports))), asked,
                     tuple(_window(one, f"{where} maintenance") for one in _split(maintenance)))


def _split(words: str) -> list[str]:
    return [word.strip() for word in words.split(",") if word.strip()]


def _network(word: str, where: str) -> Network:
    try:
        return ipaddress.ip_network(word, strict=False)
    except ValueError:
        raise UserError(f"{word!r} is no network", where, "write it as 192.0.2.0/24 or 2001:db8::/32") from None


def _window(word: str, where: str) -> tuple[int, int, Network | None]:
    span, _, network = word.partition("=")
    begin, _, end = span.partition("/")
    try:
        times = [datetime.fromisoformat(one.strip()) for one in (begin, end)]
    except ValueError:
        raise UserError(f"{word!r} is no window", where, "write it as 2026-01-31T02:00/2026-01-31T04:00, and =NETWORK behind it for a part") from None
    first, last = (int((one if one.tzinfo else one.replace(tzinfo=UTC)).timestamp() * 1e6) for one in times)
    if last <= first:
        raise UserError(f"{word!r} ends before it begins", where)
    return first, last, _network(network, where) if network else None


def _inside(end: str, network: Network) -> bool:
    try:
        one = ipaddress.ip_network(end)
    except ValueError:          # a domain or a MAC address
        return False
    return one.version == network.version and one.subnet_of(network)        # type: ignore[arg-type]
