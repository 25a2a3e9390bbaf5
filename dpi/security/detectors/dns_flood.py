"""Questions to one DNS server.

Counted: packets to port 53 or 5353 that the client sent, over UDP and TCP.
False alarms: a resolver of very many customers, whose usual load the learned limit knows after 30 slots, but not the fixed one: raise `packets` there.
To tune: `packets`.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.conversation import MANY_SERVERS, TCP, UDP, UNFINISHED, server_port
from dpi.security.detector import Detector, Rule, Words, option
from dpi.security.flood import FloodOptions, flood


@dataclass(frozen=True)
class Options(FloodOptions):
    """Defaults of this flood."""
    packets: int = option(1000, 'packets a second to one target', 0, 1 << 40)


def rules(options: Options) -> list[Rule]:
    """One rule."""
    return [flood(options, server_port("dns"), "server_port IN (53, 5353)", any_of=UDP | TCP, none=MANY_SERVERS | UNFINISHED)]


DETECTOR = Detector(
    kind="dns_flood", title=Words("DNS flood", "DNS 查询洪水"), severity="high", technique="T1499.002", technique_name="Service Exhaustion Flood",
    summary=Words("DNS flood on {target}: {packets} questions from {addresses} in {seconds} s",
                  "{target} 遭受 DNS 查询洪水攻击：{seconds} 秒内来自 {distinct} 个地址的 {packets} 次查询"),
    options=Options, rules=rules)
