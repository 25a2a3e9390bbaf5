"""ICMP or ICMPv6 to one target.

Counted: packets that the side sent which began, answered or not.
False alarms: a host that many monitors ping at once; `ping -f` of an engineer.
To tune: `packets` and `kilobits`.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.conversation import ICMP, MANY_SERVERS
from dpi.security.detector import Detector, Rule, Words, option
from dpi.security.flood import FloodOptions, flood


@dataclass(frozen=True)
class Options(FloodOptions):
    """Defaults of this flood."""
    packets: int = option(300, 'packets a second to one target', 0, 1 << 40)
    kilobits: int = option(20000, 'kbit/s to one target', 0, 1 << 40)


def rules(options: Options) -> list[Rule]:
    """One rule."""
    return [flood(options, ICMP, "ip_protocol IN (1, 58)", none=MANY_SERVERS)]


DETECTOR = Detector(
    kind="icmp_flood", title=Words("ICMP flood", "ICMP 洪水"), severity="medium", technique="T1498.001", technique_name="Direct Network Flood",
    summary=Words("ICMP flood on {target}: {packets} packets, {bytes} bytes, from {addresses}, in {seconds} s",
                  "{target} 遭受 ICMP 洪水攻击：{seconds} 秒内来自 {distinct} 个地址的 {packets} 个报文，共 {bytes} 字节"),
    options=Options, rules=rules)
