"""TCP connections that are asked for and never completed, to one target.

Counted: packets and flows of connections whose client never sends an ACK after its SYN, answered or not; folded rows of a full flow table count as the
connections they stand for. TCP of which only one direction is seen is not counted.
False alarms: a fast port scan of one host; a service that is down and asked by very many clients (both are worth a look).
To tune: `packets` and `flows` above what the busiest server gets of unfinished connections; a learned limit holds below them.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.conversation import TCP, UNFINISHED
from dpi.security.detector import Detector, Rule, Words, option
from dpi.security.flood import FloodOptions, flood


@dataclass(frozen=True)
class Options(FloodOptions):
    """Defaults of this flood."""
    packets: int = option(300, 'packets a second to one target', 0, 1 << 40)
    flows: int = option(300, 'new flows a second to one target', 0, 1 << 40)


def rules(options: Options) -> list[Rule]:
    """One rule."""
    return [flood(options, TCP | UNFINISHED, "ip_protocol = 6 AND bitAnd(client_tcp_flags, 18) = 2")]


DETECTOR = Detector(
    kind="syn_flood", title=Words("SYN flood", "SYN 洪水"), severity="high", technique="T1499.001", technique_name="OS Exhaustion Flood",
    summary=Words("SYN flood on {target}: {packets} packets of {flows} connections that were never completed, from {addresses}, in {seconds} s",
                  "{target} 遭受 SYN 洪水攻击：{seconds} 秒内来自 {distinct} 个地址的 {flows} 个未完成连接，共 {packets} 个报文"),
    options=Options, rules=rules)
