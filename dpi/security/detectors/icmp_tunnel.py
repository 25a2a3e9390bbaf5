"""Echo requests and answers that carry a conversation: large, of ever other sizes, both ways, between two hosts (ptunnel, hans, icmptunnel).

Counted: rows of ICMP and ICMPv6 echo with 10 packets or more a side in which sizes vary, or in which what comes back is of another size than what was
sent: ping sends packets of one size, and what answers it sends the same back. A tunnel that pads all its packets to one size and answers each with as much
is not seen.
False alarms: a test of path MTU that pings with many sizes for long.
To tune: `packets` and `kilobytes`.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.conversation import ECHO, UNEVEN
from dpi.security.detector import Detector, Limits, Rule, Words, option
from dpi.security.gauge import PAIR


@dataclass(frozen=True)
class Options:
    """Of one slot."""
    seconds: int = option(60, 'length of a slot', 10, 3600)
    packets: int = option(60, 'packets between two hosts, of both ways', 10, 1099511627776)
    kilobytes: int = option(20, 'kB of them', 1, 1099511627776)


def rules(options: Options) -> list[Rule]:
    """Both ways together."""
    return [Rule(all=ECHO | UNEVEN, where="ip_protocol IN (1, 58) AND icmp_type IN (8, 128)", window=options.seconds, key=PAIR, every=True,
                 limits=Limits(packets=options.packets, bytes=options.kilobytes * 1000))]


DETECTOR = Detector(
    kind="icmp_tunnel", title=Words("ICMP tunnel", "ICMP 隧道"), severity="high", technique="T1095", technique_name="Non-Application Layer Protocol",
    summary=Words("{source} and {target} exchanged {bytes} bytes in {packets} echo packets of uneven sizes in {seconds} s",
                  "{source} 与 {target} 在 {seconds} 秒内用 {packets} 个大小不一的 ICMP 回显报文交换了 {bytes} 字节"),
    options=Options, rules=rules)
