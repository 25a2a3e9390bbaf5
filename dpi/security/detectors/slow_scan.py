"""Ports of one host, or one service's port on many hosts, tried slowly by one client within an hour.

Counted: as in port_scan and horizontal_scan, over an hour. A scan that those have told within the hour
is not told again.
False alarms: as there; a monitor that asks many dead hosts all day.
To tune: `ports` and `hosts`.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.conversation import PROBE, TCP, UDP, server_port
from dpi.security.detector import Detector, Limits, Rule, Words, option
from dpi.security.gauge import CLIENT, PAIR, SERVER_PORT, SERVER_PORTS, SERVERS


@dataclass(frozen=True)
class Options:
    """Of one slot."""
    seconds: int = option(3600, 'length of a slot', 60, 86400)
    ports: int = option(60, 'distinct ports of one host', 5, 65536)
    hosts: int = option(120, 'distinct hosts, on one port of a service', 5, 16777216)


def rules(options: Options) -> list[Rule]:
    """Ports of a host; hosts of a port."""
    where = "interval = 0 AND server_payload_bytes = 0"
    return [Rule(all=PROBE, any=TCP | UDP, where=where, window=options.seconds, limits=Limits(distinct=options.ports), key=PAIR, of=SERVER_PORTS),
            Rule(all=PROBE | server_port("service"), any=TCP | UDP, where=where, window=options.seconds, limits=Limits(distinct=options.hosts), key=CLIENT,
                 of=SERVERS, port=SERVER_PORT)]


DETECTOR = Detector(
    kind="slow_scan", title=Words("Slow scan", "慢速扫描"), severity="medium", technique="T1046", technique_name="Network Service Discovery",
    summary=Words("{source} tried {distinct} ports or hosts slowly, of them {target}, within {seconds} s",
                  "{source} 在 {seconds} 秒内缓慢探测了 {distinct} 个端口或主机，包括 {target}"),
    options=Options, rules=rules, unless=("port_scan", "horizontal_scan"))
