"""Bindings of the running base: what tells the probe that traffic is a service's, one a line, from the cut-over on where no time is given.

Lines are held against each other and the database: two of the same thing never overlap in time. The totals are by what is bound.
"""
from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from bss.database import lots
from bss.desk import Desk
from bss.running.kind import LOT, Cells, Checked, Column, Ids, Kind, Line, Trouble, known
from bss.services.binding import BOUND, span
from bss.services.spelling import INTERFACE, bounds, key_of, spelt
from bss.services.spelling import name as named
from bss.tables import Binding, Service

COLUMNS = (
    Column("service", "电路编号", True, "circuit number of the service"),
    Column("prefix", "地址段", False, "address or prefix, such as 203.0.113.8/29"),
    Column("vlan", "外层VLAN", False, "VLAN, alone or with a prefix"),
    Column("inner_vlan", "内层VLAN", False, "inner VLAN of QinQ"),
    Column("mac", "MAC地址", False, "MAC address"),
    Column("user", "接入账号", False, "PPPoE or RADIUS user"),
    Column("circuit", "接入线路", False, "access circuit of DHCP option 82 or of the BRAS"),
    Column("probe", "探针", False, "the probe that meters it"),
    Column("interface", "探针接口", False, "the interface of the probe that meters it"),
    Column("valid_from", "生效时间", False, "from when on it holds; the cut-over"),
    Column("valid_to", "失效时间", False, "before when it holds"),
)
_END = datetime.max.replace(tzinfo=UTC)


def check(desk: Desk, lines: list[Line], cutover: datetime) -> Checked:
    """Look at all lines, against each other and the database."""
    troubles: list[Trouble] = []
    services = known(desk, Service.circuit, (line.cells.get("service", "") for line in lines), Service.id, Service.state, seen=True)
    found: list[tuple[Cells, dict[str, Any]]] = []
    ids = Ids()
    for line in lines:
        cells = Cells(line, troubles, desk.office.settings.zone)
        number = cells.needed("service")
        service = services.get(number)
        if number and service is None:
            cells.wrong("service", f"there is no service {number!r}", "bring the services in first")
        elif service is not None and service[1] not in BOUND:
            cells.wrong("service", f"service {number!r} is {service[1]}, and has no bindings", f"it must be {', '.join(BOUND)}")
        vlan, inner = cells.whole("vlan", 1, 4094), cells.whole("inner_vlan", 1, 4094)
        given = (cells.text("prefix"), vlan, inner, cells.text("mac"), cells.text("user"), cells.text("circuit"))
        what = cells.take("prefix", spelt, *given) if cells.good else None
        probe = cells.take("probe", named, cells.text("probe"), "probe")
        interface = cells.take("interface", named, cells.text("interface"), "interface", INTERFACE)
        begin, end = cells.time("valid_from") or cutover, cells.time("valid_to")
        if end is not None and end <= begin:
            cells.wrong("valid_to", "it ends before it begins", "give an end after its beginning, or none")
        if cells.good and what is not None and service is not None:
            low, high = bounds(what.prefix)
            found.append((cells, {"id": ids("B"), "service_id": service[0], "key": key_of(what), **what._asdict(), "probe": probe, "interface": interface,
                                  "low": low, "high": high, "valid_from": begin, "valid_to": end, "revision": 1, "withdrawn": None, "created": desk.now}))
    _apart(desk, found)
    good = [(cells, row) for cells, row in found if cells.good]
    totals: Counter[str] = Counter(rows=len(good))
    totals.update(f"kind.{next((one for one in ('prefix', 'mac', 'user', 'circuit') if row[one]), 'vlan')}" for _cells, row in good)
    return Checked(troubles, [(Binding, [row for _cells, row in good])], [(cells.line.number, "binding", row["id"]) for cells, row in good], dict(totals))


def _apart(desk: Desk, found: list[tuple[Cells, dict[str, Any]]]) -> None:
    """Say of lines that overlap each other, or what is bound already, naming both."""
    by_key: dict[str, list[tuple[datetime, datetime, str, Cells | None, dict[str, Any]]]] = defaultdict(list)
    for cells, row in found:
        by_key[row["key"]].append((row["valid_from"], row["valid_to"] or _END, f"line {cells.line.number}", cells, row))
    for lot in lots(list(by_key), LOT):
        query = select(Binding.key, Binding.valid_from, Binding.valid_to, Binding.service_id).where(Binding.key.in_(lot), Binding.withdrawn.is_(None))
        for key, begin, end, service in desk.session.execute(query):
            by_key[key].append((begin, end or _END, f"service {service} {span(begin, end)}", None, {}))
    for key, spans in by_key.items():
        spans.sort(key=lambda one: (one[0], one[1], one[2]))
        last = spans[0]
        for one in spans[1:]:
            if one[0] < last[1]:
                late, other = (one, last) if one[3] is not None else (last, one)
                if late[3] is not None:
                    late[3].wrong("valid_from", f"{key} {span(late[0], late[4]['valid_to'])} overlaps {other[2]}, which binds it too",
                                  "end the one where the other begins, or leave it out")
            if one[1] > last[1]:
                last = one


KIND = Kind("bindings", COLUMNS, "service", (), check, {"binding": Binding}, ((Binding, "id", "binding"),))
