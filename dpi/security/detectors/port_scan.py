"""Many ports of one host tried by one client within a minute (vertical scan).

Counted: distinct server ports between two addresses, of probes: TCP whose SYN was refused or never answered, or answered and reset by the client without any
payload; UDP of at most 3 packets without an answer (ports of traceroute are not). Connections repeated on one port count once.
False alarms: a monitor that asks a host's every service; a client of a host that has just gone down, with very many services.
To tune: `ports`.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.conversation import PROBE, TCP, UDP
from dpi.security.detector import Detector, Limits, Rule, Words, option
from dpi.security.gauge import PAIR, SERVER_PORTS


@dataclass(frozen=True)
class Options:
    """Of one slot."""
    seconds: int = option(60, 'length of a slot', 10, 3600)
    ports: int = option(40, 'distinct ports of one host', 5, 65536)


def rules(options: Options) -> list[Rule]:
    """TCP and UDP together."""
    return [Rule(all=PROBE, any=TCP | UDP, where="interval = 0 AND server_payload_bytes = 0", window=options.seconds, limits=Limits(distinct=options.ports),
                 key=PAIR, of=SERVER_PORTS)]


DETECTOR = Detector(
    kind="port_scan", title=Words("Port scan", "端口扫描"), severity="medium", technique="T1046", technique_name="Network Service Discovery",
    summary=Words("{source} tried {distinct} ports of {target} in {seconds} s",
                  "{source} 在 {seconds} 秒内探测了 {target} 的 {distinct} 个端口"),
    options=Options, rules=rules)
