"""UDP to one target that answers none of it.

Counted: rows in which one side sent nothing; multicast and broadcast are not.
False alarms: media or logs sent one way at a high rate, and links of which only one direction is seen, where every download looks so: raise the limits or
put the networks into [detect] ignore_networks.
To tune: `packets` and `kilobits`; a learned limit holds below them.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.conversation import MANY_SERVERS, ONLY_CLIENT, ONLY_SERVER, UDP
from dpi.security.detector import Detector, Rule, Words, option
from dpi.security.flood import FloodOptions, flood


@dataclass(frozen=True)
class Options(FloodOptions):
    """Defaults of this flood."""
    packets: int = option(1500, 'packets a second to one target', 0, 1 << 40)
    kilobits: int = option(100000, 'kbit/s to one target', 0, 1 << 40)
    flows: int = option(1000, 'new flows a second to one target', 0, 1 << 40)


def rules(options: Options) -> list[Rule]:
    """One for each side that may be the target: what comes from a port below 1024 is taken for an answer."""
    return [flood(options, UDP | ONLY_CLIENT, "ip_protocol = 17 AND server_packets = 0", none=MANY_SERVERS),
            flood(options, UDP | ONLY_SERVER, "ip_protocol = 17 AND client_packets = 0", to_client=True, none=MANY_SERVERS)]


DETECTOR = Detector(
    kind="udp_flood", title=Words("UDP flood", "UDP 洪水"), severity="high", technique="T1498.001", technique_name="Direct Network Flood",
    summary=Words("UDP flood on {target}: {packets} packets, {bytes} bytes, unanswered, in {seconds} s",
                  "{target} 遭受 UDP 洪水攻击：{seconds} 秒内 {packets} 个无应答报文，共 {bytes} 字节"),
    options=Options, rules=rules)
