"""What the store is asked for rating: which hours are closed and as what, and who used what in them. Closed hours alone, by ids."""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from bss.evidence import Evidence
from bss.question import HOUR, between, closed, some_of
from bss.rating.lines import LONGEST, Name

Told = dict[str, dict[int, list[tuple[Name, int, int]]]]           # service -> hour, s -> (name, up, down)


class Closed(NamedTuple):
    """A closed hour of a source, as usage_slots says."""
    at: int
    probe: str
    capture: str
    revision: int
    digest: str
    rows: int
    bytes: int


def hours(evidence: Evidence, first: int, last: int) -> list[Closed]:
    """The closed hours that begin in [first, last), s. Refusal `away`."""
    span = between(first, last)
    counted = f"(capture_id = 0 OR time NOT IN (SELECT time FROM usage_slots WHERE table_name = 'usage_1h' AND {span} AND capture_id = 0))"
    rows = evidence.rows("SELECT toInt64(toUnixTimestamp64Second(time)) AS at, probe, toString(capture_id), revision, digest, rows, bytes "
                         f"FROM usage_slots FINAL WHERE table_name = 'usage_1h' AND {span} AND {counted} ORDER BY at, probe, capture_id", {}, "closed hours")
    return [Closed(int(at), str(probe)[:255], str(capture), int(revision), str(digest), int(count), int(octets))
            for at, probe, capture, revision, digest, count, octets in rows]


def usage(evidence: Evidence, first: int, last: int, ids: Collection[str] | None, applications: Sequence[str] = ()) -> Told:
    """What services used in the closed hours of [first, last), s, by category; and by application, where one of these is meant. ids: of whom, None all.
    Refusal `away`."""
    span = between(first, last)
    mine, params = some_of(ids)
    application = "''"
    if applications:
        params = {**params, "applications": "\n".join(applications)}
        application = "if(application IN (SELECT arrayJoin(splitByChar('\\n', {applications:String}))), application, '')"
    rows = evidence.rows(
        f"SELECT toInt64(toUnixTimestamp64Second(time)) AS at, service_id, category, {application} AS named, rules_version, sum(up_bytes), sum(down_bytes) "
        f"FROM usage_1h FINAL WHERE {mine}{span} AND {closed('usage_1h', span)} GROUP BY at, service_id, category, named, rules_version "
        "HAVING sum(up_bytes + down_bytes) > 0", params, "rating", sorted(ids) if ids is not None and len(ids) <= 20 else ())
    return sorted_in(rows, ids)


def sorted_in(rows: Sequence[tuple[Any, ...]], ids: Collection[str] | None = None) -> Told:
    """Rows by service and hour; of others than `ids` none."""
    wanted = None if ids is None else frozenset(ids)
    names: dict[tuple[str, str, str], Name] = {}
    found: Told = {}
    for at, service, category, application, rules, up, down in rows:
        if wanted is not None and service not in wanted:
            continue
        key = (category, application, rules)
        if (name := names.get(key)) is None:
            name = names[key] = Name(*(str(one)[:LONGEST] for one in key))
        mine = found.setdefault(service, {})
        if (lines := mine.get(at)) is None:
            lines = mine[at] = []
        lines.append((name, up, down))
    return found


def due(held: Mapping[tuple[int, str, str], str], now: Sequence[Closed]) -> tuple[list[Closed], set[int]]:
    """Of closed hours those that were not rated as they are; and which hours of these are rated again. held: (hour, probe, capture) -> digest."""
    fresh = [one for one in now if held.get((one.at, one.probe, one.capture)) != one.digest]
    return fresh, {one.at for one in fresh if (one.at, one.probe, one.capture) in held}


def batches(hours_due: Sequence[int], services: int, most: int = 150_000) -> list[list[int]]:
    """Hours that are asked for together: of one day in a row, so many that an answer stays small."""
    size = max(1, min(24, most // max(1, services)))
    found: list[list[int]] = []
    for at in sorted(set(hours_due)):
        if found and len(found[-1]) < size and at == found[-1][-1] + HOUR:
            found[-1].append(at)
        else:
            found.append([at])
    return found
