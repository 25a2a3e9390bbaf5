"""TCP resets of no connection, to one target.

Counted: rows of flows picked up in the middle in which one side sent RST and the other nothing.
False alarms: backscatter, where somebody elsewhere forges this target's address in a SYN flood.
To tune: `packets` and `flows`.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.conversation import RESET_TO_CLIENT, RESET_TO_SERVER, TCP
from dpi.security.detector import Detector, Rule, Words, option
from dpi.security.flood import FloodOptions, flood


@dataclass(frozen=True)
class Options(FloodOptions):
    """Defaults of this flood."""
    packets: int = option(500, 'packets a second to one target', 0, 1 << 40)
    flows: int = option(500, 'new flows a second to one target', 0, 1 << 40)


def rules(options: Options) -> list[Rule]:
    """One for each side that a flow picked up in the middle may take for the client."""
    where = "ip_protocol = 6 AND midstream AND bitAnd(bitOr(client_tcp_flags, server_tcp_flags), 4) = 4"
    return [flood(options, TCP | RESET_TO_SERVER, where), flood(options, TCP | RESET_TO_CLIENT, where, to_client=True)]


DETECTOR = Detector(
    kind="rst_flood", title=Words("RST flood", "RST 洪水"), severity="high", technique="T1499.001", technique_name="OS Exhaustion Flood",
    summary=Words("RST flood on {target}: {packets} resets of no connection in {seconds} s",
                  "{target} 遭受 RST 洪水攻击：{seconds} 秒内 {packets} 个不属于任何连接的复位报文"),
    options=Options, rules=rules)
