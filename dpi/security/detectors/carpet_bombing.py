"""A flood spread over many addresses of one network, too thin on each to be one there.

Counted: by /24 of IPv4 and /48 of IPv6, packets of unfinished TCP connections, stray segments, unanswered UDP and ICMP, together with the distinct addresses
they went to: both limits must be reached.
False alarms: a fast scan of a whole network.
To tune: `packets` and `targets`.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.conversation import ICMP, MANY_SERVERS, ONLY_CLIENT, RESET_TO_SERVER, STRAY_TO_SERVER, UDP, UNFINISHED
from dpi.security.detector import Detector, Limits, Rule, Words, option
from dpi.security.gauge import CLIENTS_OWN, SERVER_NET, SERVERS


@dataclass(frozen=True)
class Options:
    """Of one slot."""
    seconds: int = option(10, 'length of a slot', 5, 60)
    packets: int = option(500, 'packets a second to the network', 1, 1099511627776)
    targets: int = option(20, 'distinct addresses of the network', 2, 16777216)


def rules(options: Options) -> list[Rule]:
    """What goes to servers; floods that look like answers are those of a single address too."""
    limits = Limits(distinct=options.targets, packets=options.packets * options.seconds)
    return [Rule(all=0, any=UNFINISHED | STRAY_TO_SERVER | RESET_TO_SERVER, none=MANY_SERVERS, where="ip_protocol = 6 AND server_payload_bytes = 0",
                 window=options.seconds, limits=limits, every=True, key=SERVER_NET, of=SERVERS, sent=CLIENTS_OWN, victim=True),
            Rule(all=ONLY_CLIENT, any=UDP | ICMP, none=MANY_SERVERS, where="ip_protocol IN (1, 17, 58) AND server_packets = 0", window=options.seconds,
                 limits=limits, every=True, key=SERVER_NET, of=SERVERS, sent=CLIENTS_OWN, victim=True)]


DETECTOR = Detector(
    kind="carpet_bombing", title=Words("Carpet bombing", "地毯式攻击"), severity="high", technique="T1498.001", technique_name="Direct Network Flood",
    summary=Words("Flood over {target}: {packets} packets to {distinct} of its addresses in {seconds} s",
                  "{target} 遭受地毯式攻击：{seconds} 秒内 {packets} 个报文发往其中 {distinct} 个地址"),
    options=Options, rules=rules)
