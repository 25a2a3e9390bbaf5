"""TCP segments of no connection, with ACK, to one target.

Counted: rows of flows picked up in the middle that hold no payload, no SYN and no FIN, to which nobody says more than RST; unanswered ones only where they
have at most 3 packets, because the ACKs of a download whose other direction is not seen look the same.
False alarms: the first minute after a start on links with asymmetric paths.
To tune: `packets` and `flows`.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.conversation import STRAY_TO_CLIENT, STRAY_TO_SERVER, TCP
from dpi.security.detector import Detector, Rule, Words, option
from dpi.security.flood import FloodOptions, flood


@dataclass(frozen=True)
class Options(FloodOptions):
    """Defaults of this flood."""
    packets: int = option(500, 'packets a second to one target', 0, 1 << 40)
    flows: int = option(500, 'new flows a second to one target', 0, 1 << 40)


def rules(options: Options) -> list[Rule]:
    """One for each side that a flow picked up in the middle may take for the client."""
    where = "ip_protocol = 6 AND midstream AND client_payload_bytes = 0 AND server_payload_bytes = 0"
    return [flood(options, TCP | STRAY_TO_SERVER, where), flood(options, TCP | STRAY_TO_CLIENT, where, to_client=True)]


DETECTOR = Detector(
    kind="ack_flood", title=Words("ACK flood", "ACK 洪水"), severity="high", technique="T1499.001", technique_name="OS Exhaustion Flood",
    summary=Words("ACK flood on {target}: {packets} segments of no connection in {seconds} s",
                  "{target} 遭受 ACK 洪水攻击：{seconds} 秒内 {packets} 个不属于任何连接的报文"),
    options=Options, rules=rules)
