"""What is it? Span, totals, captures, what carries it."""
from __future__ import annotations

from dpi.flow.figures import TOP, CaptureLine, Figures, Share, transport
from dpi.reports.question import PACKETS, WIRE, Question


def answer(ask: Question, out: Figures) -> None:
    """Fill totals, carriers, endings, risks, captures and the busiest slot."""
    row = ask.rows(f"count(), countIf(interval = 0), sum({PACKETS}), sum({WIRE}), sum(client_bytes + server_bytes), "
                   "sum(client_payload_bytes + server_payload_bytes), sum(client_wire_bytes), "
                   "min(toUnixTimestamp64Micro(interval_start)), max(toUnixTimestamp64Micro(interval_end))")[0]
    out.rows, out.flows, out.packets, out.bytes, out.ip_bytes, out.payload_bytes, out.client_bytes = (int(value) for value in row[:7])
    if out.rows:
        out.first, out.last = int(row[7]), int(row[8])
    out.transports = _named(ask.shares("ip_protocol", TOP))
    out.versions = ask.shares("if(startsWith(toString(client_ip), '::ffff:'), 'IPv4', 'IPv6')", 2)
    out.tunnels = ask.shares("tunnel", TOP, "tunnel != ''")
    out.vlans = ask.shares("toString(vlan)", TOP, "vlan != 0")
    out.endings = [Share(str(name), int(count)) for name, count in
                   ask.rows("end_reason, count() AS flows", more="final", tail=f"GROUP BY end_reason ORDER BY flows DESC, end_reason LIMIT {TOP}")]
    out.risks = [Share(str(name), int(count)) for name, count in
                 ask.rows("arrayJoin(risks) AS name, count() AS flows", more="final", tail=f"GROUP BY name ORDER BY flows DESC, name LIMIT {TOP}")]
    _captures(ask, out)


def _named(shares: list[Share]) -> list[Share]:
    for share in shares:
        share.name = transport(int(share.name))
    return shares


def _captures(ask: Question, out: Figures) -> None:
    where = f"WHERE capture_id IN ({', '.join(str(int(one)) for one in ask.captures)})" if ask.captures else ""
    found = ask.store.query("SELECT toString(capture_id), source, path, size, sha256, link_types, toUnixTimestamp64Micro(first_time), "
                            f"toUnixTimestamp64Micro(last_time), packets, refused_reasons, refused_counts, damage "
                            f"FROM captures FINAL {where} ORDER BY first_time, capture_id LIMIT 10000")
    for number, name, path, size, sha256, links, first, last, packets, reasons, counts, damage in found:
        refused = {str(reason): int(count) for reason, count in zip(reasons, counts, strict=False) if int(count)}
        out.captures.append(CaptureLine(str(name), str(path), int(size), str(sha256), [str(link) for link in links], int(first), int(last),
                                        int(packets), refused,
                                        str(damage), str(number)))
