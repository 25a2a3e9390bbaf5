"""Why did a flow get its name? Examples for each confidence, and the largest flows."""
from __future__ import annotations

from typing import Any

from dpi.flow.figures import CONFIDENCES, TOP, Figures, FlowLine, endpoint, transport
from dpi.reports.question import LABEL, PACKETS, WIRE, Question

_SAMPLES = 3
_LINE = ("toString(flow_id), min(toUnixTimestamp64Micro(flow_start_time)), max(toUnixTimestamp64Micro(interval_end)), any(client_ip), any(client_port), "
         "any(server_ip), any(server_port), any(ip_protocol), argMax(protocol, interval), argMax(application, interval), "
         f"argMax(confidence, interval), argMax(evidence, interval), argMax(server_name, interval), sum({PACKETS}), sum({WIRE}) AS octets")


def answer(ask: Question, out: Figures) -> None:
    """Fill the largest flows and the examples."""
    if not out.rows:
        return
    out.largest = [_line(row) for row in ask.rows(_LINE, tail=f"GROUP BY capture_id, flow_id ORDER BY octets DESC, flow_id LIMIT {TOP}")]
    chosen = ask.rows(f"confidence, {LABEL} AS label, sum({WIRE}) AS octets, argMax((toString(capture_id), toString(flow_id)), {WIRE})",
                      more="confidence != ''", tail=f"GROUP BY confidence, label ORDER BY confidence, octets DESC, label LIMIT {_SAMPLES} BY confidence")
    pairs = [(str(int(row[3][0])), str(int(row[3][1]))) for row in chosen]
    if not pairs:
        return
    wanted = ", ".join(f"({capture}, {flow})" for capture, flow in pairs)
    found = ask.rows(f"toString(capture_id), {_LINE}", more=f"(capture_id, flow_id) IN ({wanted})", tail="GROUP BY capture_id, flow_id")
    lines = {(str(row[0]), str(row[1])): _line(row[1:]) for row in found}
    for word in CONFIDENCES:
        out.samples += [lines[pair] for row, pair in zip(chosen, pairs, strict=True) if row[0] == word and pair in lines]


def _line(row: tuple[Any, ...]) -> FlowLine:
    number, start, end, client, client_port, server, server_port, protocol_number, protocol, application, confidence, evidence, name, packets, octets = row
    return FlowLine(str(number), int(start), int(end), endpoint(str(client), int(client_port)), endpoint(str(server), int(server_port)),
                    transport(int(protocol_number)),
                    str(protocol), str(application), str(confidence), str(evidence), str(name), int(packets), int(octets))
