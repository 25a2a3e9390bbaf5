"""Who asks? Clients by bytes."""
from __future__ import annotations

from dpi.flow.figures import TOP, Figures, Host
from dpi.reports.question import LABEL, SUMS, WIRE, Question


def answer(ask: Question, out: Figures) -> None:
    """Fill the top clients and how many there are."""
    out.clients, out.distinct["clients"] = hosts(ask, "client")


def hosts(ask: Question, side: str) -> tuple[list[Host], int]:
    """The ends on one side ('client' or 'server') by bytes, and how many there are."""
    name = f"argMaxIf(server_name, {WIRE}, server_name != '')" if side == "server" else "''"
    inner = (f"SELECT {side}_ip AS address, {LABEL} AS label, {SUMS}, sum({side}_wire_bytes) AS sent, {name} AS name "
             f"FROM flows {ask.where()} GROUP BY address, label")
    found = ask.store.query(f"SELECT address, sum(flows), sum(packets), sum(bytes) AS octets, sum(sent), argMax(label, bytes), "
                            f"argMaxIf(name, bytes, name != '') FROM ({inner}) GROUP BY address ORDER BY octets DESC, address LIMIT {2 * TOP}")
    lines = [Host(str(address), int(flows), int(packets), int(octets), int(sent), str(label), str(known)) for address, flows, packets, octets, sent,
             label, known in found]
    lines.sort(key=lambda host: (-host.bytes, host.address))
    return lines[:TOP], int(ask.rows(f"uniqExact({side}_ip)")[0][0])
