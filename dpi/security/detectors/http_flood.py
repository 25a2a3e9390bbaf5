"""Connections to one web server, faster than people and their programs open them.

Counted: TCP connections to web ports (80, 443, 8080 ...) whose handshake was completed. Requests inside of few long connections are not counted here.
False alarms: a popular server; the learned limit knows its usual load after 30 slots, the fixed one must be raised there.
To tune: `flows`.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.conversation import ANSWERED, OPENED, TCP, UNFINISHED, server_port
from dpi.security.detector import Detector, Rule, Words, option
from dpi.security.flood import FloodOptions, flood


@dataclass(frozen=True)
class Options(FloodOptions):
    """Defaults of this flood."""
    flows: int = option(200, 'new flows a second to one target', 0, 1 << 40)


def rules(options: Options) -> list[Rule]:
    """One rule."""
    where = "ip_protocol = 6 AND interval = 0 AND server_port IN (80, 443, 8000, 8080, 8443, 8888)"
    return [flood(options, TCP | ANSWERED | OPENED | server_port("web"), where, none=UNFINISHED)]


DETECTOR = Detector(
    kind="http_flood", title=Words("HTTP flood", "HTTP 洪水"), severity="high", technique="T1499.002", technique_name="Service Exhaustion Flood",
    summary=Words("HTTP flood on {target}: {flows} connections from {addresses} in {seconds} s",
                  "{target} 遭受 HTTP 洪水攻击：{seconds} 秒内来自 {distinct} 个地址的 {flows} 个连接"),
    options=Options, rules=rules)
