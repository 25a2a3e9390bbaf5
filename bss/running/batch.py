"""The running base is brought in file by file, as of a cut-over, without orders: each whole or not at all, and undone until something is built on it.

`look` says of every line what is wrong with it and compares totals with those that a person or the file states; `bring` does the same and then writes. The
audit log has one row a batch, with the digest of the file and of its lines; each line's own digest is kept (keyed, for lines are of persons) with what it made.
"""
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Select, select

from bss.desk import Desk
from bss.moment import iso
from bss.refusal import Refusal
from bss.running import agreements, bindings, bulk, customers, services
from bss.running.kind import Checked, Kind, Trouble, rate
from bss.running.reading import Sheet
from bss.sealing import ring
from bss.services import export
from bss.services.binding import hold_all
from bss.tables import ImportBatch, ImportRow

KINDS: dict[str, Kind] = {one.KIND.name: one.KIND for one in (customers, agreements, services, bindings)}
MANY = 1000             # rows after which the database looks at its tables anew
EARLIEST, LATEST = datetime(1990, 1, 1, tzinfo=UTC), timedelta(days=366)


class Report(NamedTuple):
    """What was found: lines of the file, those that can be brought in, what is wrong, totals and those that were stated (name, found, stated)."""
    kind: str
    name: str
    rows: int
    good: int
    troubles: list[Trouble]
    totals: dict[str, int]
    compared: list[tuple[str, int, int]]


def kind_of(name: str) -> Kind:
    """A kind of files. Refusal: there is none of that name."""
    if name not in KINDS:
        raise Refusal("invalid", f"{name!r} is nothing that is brought in", "kind", f"kinds are {', '.join(KINDS)}")
    return KINDS[name]


def look(desk: Desk, kind: str, sheet: Sheet, cutover: datetime, stated: Mapping[str, str | int] | None = None) -> Report:
    """Dry run: look at every line; nothing is written. stated: totals as the source has them, such as rows, class.A or down_rate."""
    return _look(desk, kind, sheet, cutover, stated)[0]


def bring(desk: Desk, kind: str, sheet: Sheet, cutover: datetime, stated: Mapping[str, str | int] | None = None) -> tuple[ImportBatch, Report]:
    """Bring a file in. Refusal: it is in already, a line is wrong, or a total differs; then nothing of it is."""
    if kind == "bindings":
        hold_all(desk)
    report, found = _look(desk, kind, sheet, cutover, stated)
    if report.troubles:
        first = report.troubles[0]
        raise Refusal("unprocessable", f"{len(report.troubles)} faults, of which the first: {first.what}", f"{sheet.name}: line {first.line}, {first.field}",
                      "look at all of them in a dry run; nothing was brought in")
    if not sheet.lines:
        raise Refusal("unprocessable", "the file has no lines", sheet.name, "bring one that has")
    batch = desk.add(ImportBatch(kind=kind, name=sheet.name[:200], digest=sheet.digest, cutover=cutover, time=desk.now, user_id=desk.actor.id or None,
                                 totals=dict(report.totals)))
    for table, rows in found.rows:
        bulk.write(desk, table, rows)
        if isinstance(rows, list):
            desk.unmerged({row["customer_id"] for row in rows if row.get("customer_id")})
    keys = ring()
    digests = {line.number: keys.digest("import", json.dumps(line.cells, ensure_ascii=False, sort_keys=True)) for line in sheet.lines}
    bulk.write(desk, ImportRow, [{"batch_id": batch.id, "line": line, "entity": entity, "entity_id": key, "digest": digests[line]}
                                 for line, entity, key in found.made])
    if len(found.made) >= MANY:
        bulk.known(desk, ImportRow, *(table for table, _rows in found.rows))
    lines = hashlib.sha256(b"".join(digests[number] for number in sorted(digests))).hexdigest()
    desk.record("import.bring", batch, after={"kind": kind, "name": sheet.name, "digest": sheet.digest, "lines": lines, "cutover": iso(cutover),
                                              "totals": report.totals})
    desk.emit("import.bring", batch.id, {"id": batch.id, "kind": kind, "rows": len(sheet.lines), "cutover": iso(cutover)})
    if kind == "bindings":
        export.changed(desk)
    return batch, report


def listed(desk: Desk, kind: str = "") -> Select[ImportBatch]:
    """A query of batches, newest first. Who sees a part of the rows sees his own batches alone."""
    desk.demand("import.write")
    query = select(ImportBatch).order_by(ImportBatch.time.desc(), ImportBatch.id.desc())
    if desk.actor.limited:
        query = query.where(ImportBatch.user_id == desk.actor.id)
    return query.where(ImportBatch.kind == kind) if kind else query


def find(desk: Desk, batch_id: str, lock: bool = False) -> ImportBatch:
    """A batch by its id."""
    query = listed(desk).where(ImportBatch.id == batch_id)
    found = desk.session.execute(query.with_for_update() if lock else query).scalar_one_or_none()
    if found is None:
        raise Refusal("missing", f"there is no batch {batch_id}", mend="fullspan bss import list")
    return found


def _look(desk: Desk, kind: str, sheet: Sheet, cutover: datetime, stated: Mapping[str, str | int] | None) -> tuple[Report, Checked]:
    desk.demand("import.write")
    made = kind_of(kind)
    if not EARLIEST <= cutover <= desk.now + LATEST:
        raise Refusal("invalid", f"{iso(cutover)} is no cut-over", "cutover", "give the day as of which the file is right, a year ahead at most")
    known = desk.session.execute(select(ImportBatch).where(ImportBatch.kind == kind, ImportBatch.digest == sheet.digest,
                                                           ImportBatch.state == "imported")).scalars().first()
    if known is not None:
        raise Refusal("conflict", f"the same file was brought in on {iso(known.time)}", known.id, "undo that batch first, if it is to be brought in anew")
    found = made.check(desk, sheet.lines, cutover)
    troubles = sorted(found.troubles)
    compared = [*_compared(made, found.totals, {name: value for name, value in sheet.stated.items() if value}, sheet.name),
                *_compared(made, found.totals, stated or {}, "totals")]
    troubles += [Trouble(0, name, f"the source states {wanted}, the lines come to {has}", "compare the file with its source")
                 for name, has, wanted in compared if has != wanted]
    wrong = {one.line for one in troubles if one.line}
    return Report(kind, sheet.name, len(sheet.lines), len(sheet.lines) - len(wrong), troubles, found.totals, compared), found


def _compared(kind: Kind, totals: Mapping[str, int], stated: Mapping[str, str | int], where: str) -> list[tuple[str, int, int]]:
    """Totals beside those that were stated. Refusal: one is stated that there is none of."""
    groups = {name.partition(".")[0] for name in totals if "." in name} | {"class", "region", "state", "kind"}
    found = []
    for name, value in stated.items():
        if name != "rows" and name not in kind.sums and ("." not in name or name.partition(".")[0] not in groups):
            names = ["rows", *kind.sums, *sorted(f"{one}.NAME" for one in groups)]
            raise Refusal("invalid", f"there is no total {name!r}", where, f"totals are {', '.join(names)}")
        text = str(value).replace(",", "").strip()
        if name not in kind.sums and not text.isdecimal():
            raise Refusal("invalid", f"{value!r} is no total", f"{where}: {name}", "write a number")
        found.append((name, totals.get(name, 0), rate(text) if name in kind.sums else int(text)))
    return found
