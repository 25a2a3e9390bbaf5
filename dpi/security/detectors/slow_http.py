"""Requests to a web server that never end, so many that others find no free connection (Slowloris, R-U-Dead-Yet, slowhttptest).

Counted: distinct connections to one web port in clear that are ten seconds old or more, over which the client has said a little, two kB a row at most, and
the server nothing.
False alarms: a web server or what is behind it that hangs, so that requests wait for their answer, is the same to its users; slow uploads over bad lines.
Not seen: the like in TLS, where both sides have said something, unless a connection goes on over a minute's end; answers read slowly.
To tune: `connections` below what the server takes at once.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.conversation import MIDSTREAM, SLOW, TCP, server_port
from dpi.security.detector import Detector, Limits, Rule, Words, option
from dpi.security.gauge import CONNECTIONS, SERVER, SERVER_PORT


@dataclass(frozen=True)
class Options:
    """Of one slot."""
    seconds: int = option(60, 'length of a slot', 10, 3600)
    connections: int = option(50, 'such connections to one port of a server', 5, 16777216)


def rules(options: Options) -> list[Rule]:
    """One rule."""
    return [Rule(all=TCP | SLOW | server_port("web"), none=MIDSTREAM, where="ip_protocol = 6 AND client_payload_bytes BETWEEN 1 AND 2048 AND "
                 "server_payload_bytes = 0 AND server_packets > 0 AND dateDiff('second', flow_start_time, interval_end) >= 10", window=options.seconds,
                 limits=Limits(distinct=options.connections), key=SERVER, of=CONNECTIONS, port=SERVER_PORT, victim=True)]


DETECTOR = Detector(
    kind="slow_http", title=Words("Slow HTTP", "慢速 HTTP 攻击"), severity="high", technique="T1499.002", technique_name="Service Exhaustion Flood",
    summary=Words("{distinct} connections to {target}, port {port}, keep it waiting for the end of their requests",
                  "{distinct} 个连接以不完整的请求占用 {target} 的 {port} 端口"),
    options=Options, rules=rules)
