"""One port of many hosts tried by one client within a minute.

Counted: distinct servers for each client and port, of probes as in port_scan; of UDP only ports of services, because clients of distributed hash tables ask
very many hosts.
False alarms: crawlers and mail servers that meet very many dead hosts; file sharing whose peers all use one port.
To tune: `hosts`; [detect] ignore_networks for scanners of one's own.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.conversation import PROBE, TCP, UDP, server_port
from dpi.security.detector import Detector, Limits, Rule, Words, option
from dpi.security.gauge import CLIENT, SERVER_PORT, SERVERS


@dataclass(frozen=True)
class Options:
    """Of one slot."""
    seconds: int = option(60, 'length of a slot', 10, 3600)
    hosts: int = option(50, 'distinct hosts', 5, 16777216)


def rules(options: Options) -> list[Rule]:
    """TCP of every port, UDP of services."""
    limits, where = Limits(distinct=options.hosts), "interval = 0 AND server_payload_bytes = 0"
    return [Rule(all=TCP | PROBE, where=f"ip_protocol = 6 AND {where}", window=options.seconds, limits=limits, key=CLIENT, of=SERVERS, port=SERVER_PORT),
            Rule(all=UDP | PROBE | server_port("service"), where=f"ip_protocol = 17 AND {where}", window=options.seconds, limits=limits, key=CLIENT, of=SERVERS,
                 port=SERVER_PORT)]


DETECTOR = Detector(
    kind="horizontal_scan", title=Words("Horizontal scan", "横向扫描"), severity="medium", technique="T1046", technique_name="Network Service Discovery",
    summary=Words("{source} tried port {port} of {distinct} hosts in {seconds} s",
                  "{source} 在 {seconds} 秒内探测了 {distinct} 台主机的 {port} 端口"),
    options=Options, rules=rules, by_port=True)
