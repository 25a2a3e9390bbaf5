"""Following figures: from what is printed, by the ways that pages show, to flows; each number that leads to flows must be what these add up to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bss.desk import Desk
from bss.tracing import chain, flows, things
from bss.tracing.step import Figure, Step, Way
from pcaps.make.network import Trouble

DEEPEST = 2             # steps from a thing to flows
FEW = 3                 # lines of a table that are all followed; of more the first and the last; of a bill all


class Followed(NamedTuple):
    """How many steps were taken, how many numbers were compared with their flows, how many rows of flows these are."""
    steps: int = 0
    compared: int = 0
    rows: int = 0

    def plus(self, other: Followed) -> Followed:
        """Both."""
        return Followed(*(one + another for one, another in zip(self, other, strict=True)))


def follow(desk: Desk, id_: str) -> Followed:
    """From a thing on. Trouble: a step says that something is not as it should be, a number is not what its flows add up to, or none leads to flows."""
    found = _step(desk, things.trace(desk, id_), 0, {})
    if not found.rows:
        raise Trouble(f"no figure of {id_} leads to flows in {DEEPEST} steps")
    return found


def _step(desk: Desk, step: Step, depth: int, known: dict[Way, int]) -> Followed:
    for one in step.said:
        if one.good is False and one.key != "claimed_early":
            raise Trouble(f"{step.kind} {step.id}: {one.key} {one.given}")
    found = Followed(1, 0, next((int(str(one.value)) for one in step.figures if step.kind == "alertFlows" and one.name == "rows"), 0))
    if depth == DEEPEST:
        return found
    for figure in _leading(step):
        way = figure.way
        assert way is not None
        if way.what == "flows":
            found = found.plus(_compared(desk, figure, way))
        elif known.get(way, DEEPEST + 1) > depth and not (way.what == "thing" and way.id in (step.id, "")):
            known[way] = depth          # seen at the last step it led no further
            found = found.plus(_step(desk, _next(desk, way), depth + 1, known))
    return found


def _leading(step: Step) -> Iterator[Figure]:
    """Figures that lead on: of the step, and of the lines of its tables."""
    yield from (one for one in step.figures if one.way is not None)
    for table in step.rows:
        lines = [line for line in table.lines if any(one.way for one in line)]
        some = lines if step.kind == "bill" or len(lines) <= FEW else [lines[0], lines[-1]]
        yield from (one for line in some for one in line if one.way is not None)
        if table.name == "spells":          # the first may be of a time that nobody measured
            yield from (one for line in lines if line not in some for one in line if one.way is not None and one.way.what == "flows")


def _next(desk: Desk, way: Way) -> Step:
    if way.what == "thing":
        return things.trace(desk, way.id)
    if way.what == "alert":
        return chain.alert(desk, way.id)
    if way.what == "alertFlows":
        return chain.alert_flows(desk, way.id)
    assert way.since is not None and way.until is not None
    return chain.hours(desk, [way.id], way.since, way.until) if way.what == "hours" else chain.minutes(desk, way.id, way.since, way.until)


def _compared(desk: Desk, figure: Figure, way: Way) -> Followed:
    """A number and its flows."""
    assert way.since is not None and way.until is not None
    found = flows.sums(desk, [way.id], flows.Chosen(way.table, way.since, way.until, way.category, way.application))
    wanted = {"down": found.down_bytes, "up": found.up_bytes}.get(figure.name)
    if wanted is not None and wanted != figure.value:
        raise Trouble(f"{figure.name} of {way.id} from {way.since} is {figure.value}, its flows add up to {wanted}")
    return Followed(1, int(wanted is not None), found.rows)
