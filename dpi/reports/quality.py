"""How well does it travel? Round trips, responses, loss, handshakes."""
from __future__ import annotations

from dpi.flow.figures import Figures, Tcp
from dpi.flow.row import ONE_SIDED
from dpi.reports.question import PACKETS, Question

_OPENED = "interval = 0 AND NOT midstream AND bitTest(client_tcp_flags, 1)"
_SILENT = f"{_OPENED} AND NOT bitTest(server_tcp_flags, 1)"
_ONE_SIDED = f"has(tags, '{ONE_SIDED}')"


def answer(ask: Question, out: Figures) -> None:
    """Fill delays and the TCP figures."""
    out.client_rtt, out.server_rtt, out.response = (ask.delays(column) for column in ("client_rtt_us", "server_rtt_us", "server_response_us"))
    row = ask.rows(f"countIf(interval = 0), sum({PACKETS}), sum(client_retransmissions), sum(server_retransmissions), sum(client_out_of_order), "
                   "sum(server_out_of_order), sum(client_zero_windows + server_zero_windows), "
                   f"countIf({_OPENED}), countIf({_SILENT} AND NOT bitTest(server_tcp_flags, 2) AND NOT {_ONE_SIDED}), "
                   f"countIf({_SILENT} AND bitTest(server_tcp_flags, 2)), "
                   "countIf(final AND bitTest(bitOr(client_tcp_flags, server_tcp_flags), 2)), "
                   f"sumIf({PACKETS}, {_ONE_SIDED})", more="ip_protocol = 6")[0]
    out.tcp = Tcp(*(int(value) for value in row))
