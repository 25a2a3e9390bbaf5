"""Many addresses looked for by one client within a minute, most of which do not answer.

Counted: distinct addresses of ICMP and ICMPv6 requests (echo, timestamp, mask) without an answer; and of probes of
every kind together, with a higher limit. What horizontal_scan tells is not told again.
False alarms: a monitor that pings many hosts that are down.
To tune: `hosts` and `any_hosts`.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.conversation import ICMP, PROBE, TCP
from dpi.security.detector import Detector, Limits, Rule, Words, option
from dpi.security.gauge import CLIENT, SERVERS


@dataclass(frozen=True)
class Options:
    """Of one slot."""
    seconds: int = option(60, 'length of a slot', 10, 3600)
    hosts: int = option(30, 'distinct addresses pinged in vain', 5, 16777216)
    any_hosts: int = option(100, 'distinct addresses tried in any way in vain', 5, 16777216)


def rules(options: Options) -> list[Rule]:
    """Pings; and everything."""
    return [Rule(all=ICMP | PROBE, where="ip_protocol IN (1, 58) AND server_packets = 0", window=options.seconds, limits=Limits(distinct=options.hosts),
                 key=CLIENT, of=SERVERS),
            Rule(all=PROBE, any=TCP | ICMP, where="interval = 0 AND server_payload_bytes = 0", window=options.seconds,
                 limits=Limits(distinct=options.any_hosts), key=CLIENT, of=SERVERS)]


DETECTOR = Detector(
    kind="host_sweep", title=Words("Host sweep", "主机扫描"), severity="medium", technique="T1018", technique_name="Remote System Discovery",
    summary=Words("{source} looked for {distinct} addresses in {seconds} s",
                  "{source} 在 {seconds} 秒内探测了 {distinct} 个地址"),
    options=Options, rules=rules, unless=("horizontal_scan",))
