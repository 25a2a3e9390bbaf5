"""Which ways are open to whom: a figure leads on only where who looks at it may go there. Closed ways are left out, and the figure stays."""
from __future__ import annotations

from collections.abc import Iterator

from bss.database import lots
from bss.desk import Desk
from bss.tables import Service
from bss.tracing.rollup import DETAIL, SEEN
from bss.tracing.step import Figure, Step, Way

ALERT = ("ticket.read", "traffic.read")         # one of these lets somebody see an alert
_ASKED = {"hours": DETAIL, "minutes": SEEN, "flows": SEEN, "alert": ALERT, "alertFlows": ("traffic.read",)}
_OF_SERVICE = ("hours", "minutes", "flows")


def opened(desk: Desk, step: Step) -> Step:
    """A step with those ways that the actor may go. What a way to a thing (`thing`) needs is looked at by who offers it."""
    wanted = sorted({one.way.id for one in _figures(step) if one.way is not None and one.way.what in _OF_SERVICE})
    seen: set[str] = set()
    for lot in lots(wanted):
        seen |= set(desk.session.execute(desk.select(Service).where(Service.id.in_(lot)).with_only_columns(Service.id)).scalars())

    def passed(one: Figure) -> Figure:
        return one if one.way is None or _open(desk, one.way, seen) else one._replace(way=None)

    return step._replace(figures=[passed(one) for one in step.figures], rows=[
        table._replace(lines=[tuple(passed(one) for one in line) for line in table.lines]) for table in step.rows])


def _open(desk: Desk, way: Way, seen: set[str]) -> bool:
    if way.what == "thing":
        return True
    asked = DETAIL if way.category is not None or way.application is not None else _ASKED[way.what]
    return any(desk.may(one) for one in asked) and (way.what not in _OF_SERVICE or way.id in seen)


def _figures(step: Step) -> Iterator[Figure]:
    yield from step.figures
    for table in step.rows:
        for line in table.lines:
            yield from line
