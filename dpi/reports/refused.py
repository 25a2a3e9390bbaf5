"""What was not understood? Packets refused and why, and traffic of no known protocol."""
from __future__ import annotations

from dpi.flow.figures import Figures, transport
from dpi.reports.question import Question


def answer(ask: Question, out: Figures) -> None:
    """Fill refusals (of the captures already listed) and the ports of unknown traffic."""
    out.refused = {}
    for capture in out.captures:
        for reason, count in capture.refused.items():
            out.refused[reason] = out.refused.get(reason, 0) + count
    for share in ask.shares("ip_protocol * 65536 + server_port", 10, "application = '' AND protocol = ''"):
        number, port = divmod(int(share.name), 65536)
        share.name, share.named = (f"{transport(number)} {port}" if port else transport(number)), False
        out.unknown_ports.append(share)
