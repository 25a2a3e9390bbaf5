"""Keys are changed: a new one is put in force, and everything sealed is sealed anew under it, a lot at a time, while others work.

It may be stopped and begun again: what is done already is passed over. The details of the audit log stay under the keys that they were written with, for a row
of it is never changed; their keys stay in the ring as long as they do.
"""
from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Label, LargeBinary, TableClause, and_, column, func, or_, select, table, tuple_

from bss.database import Table
from bss.desk import Desk
from bss.office import Office
from bss.people.scope import Actor
from bss.refusal import Refusal
from bss.sealing import Ring, Sealed, install, ring
from bss.tables import AuditHead

LOT = 500               # rows of a transaction
SETTLED = 600.0         # s after a change in which a key is kept although nothing needs it: an act that began before may still seal under it
Progress = Callable[[str, int], None]


def rotate(desk: Desk) -> int:
    """Put a new key in force; its number. What is sealed already stays readable."""
    desk.demand("system.run")
    _alone(desk)
    made = ring().rotated()
    desk.record("keys.rotate", ("keys", str(made.current)))
    file = Path(desk.office.settings.keys)
    made.write(file)
    install(made, file)
    return made.current


def reseal(office: Office, actor: Actor, progress: Progress = lambda name, count: None) -> int:
    """Seal everything under the key in force that is not yet; how many values. progress: told of each lot: of what, and how many values of it are done."""
    total = 0
    for raw, keys, sealed in _sealed():
        done, last = 0, None
        while True:
            count, last = office.act(actor, lambda desk, raw=raw, keys=keys, sealed=sealed, last=last: _lot(desk, raw, keys, sealed, last))     # type: ignore[misc]
            done += count
            if count:
                progress(raw.name, done)
            if last is None:
                break
        total += done
    for done, path in enumerate(_files(office, other_than=ring().current), 1):
        _reseal_file(path)
        progress("attachments", done)
        total += 1
    office.act(actor, lambda desk: _resealed(desk, total))
    return total


def used(desk: Desk) -> dict[int, dict[str, int]]:
    """How many values there are under each key, by table and column."""
    desk.demand("system.run")
    found: dict[int, dict[str, int]] = {number: {} for number in ring().keys}
    columns: list[tuple[str, str]] = [("audit", "detail")]
    for raw, _, sealed in _sealed():
        columns += [(raw.name, one.name) for one in sealed]
    for name, of in columns:
        value: ColumnElement[Any] = column(of, LargeBinary)
        head = _head(value)
        for number, count in desk.session.execute(select(head, func.count()).select_from(table(name, column(of))).where(value.isnot(None)).group_by(head)):
            found.setdefault(int.from_bytes(bytes(number), "big"), {})[f"{name}.{of}"] = count
    for path in _files(desk.office):
        kept = found.setdefault(_number(path), {})
        kept["attachments"] = kept.get("attachments", 0) + 1
    return found


def drop(desk: Desk, number: int, now: bool = False) -> None:
    """Take a key out of the ring that nothing is sealed under. now: also when it was in force a moment ago. Refusal: it is needed."""
    desk.demand("system.run")
    _alone(desk)
    held = ring()
    if number not in held.keys:
        raise Refusal("missing", f"there is no key {number} in the ring", "key", f"there are {', '.join(map(str, sorted(held.keys)))}")
    if number == held.current:
        raise Refusal("conflict", f"key {number} is in force", "key", "rotate before")
    if not now and time.time() - held.changed < SETTLED:
        raise Refusal("conflict", "keys were rotated a moment ago, and what was begun before may still need the old one", "key",
                      f"wait {SETTLED / 60:.0f} minutes")
    needed = used(desk)[number]
    if needed:
        raise Refusal("conflict", f"key {number} is needed by {', '.join(f'{count} of {name}' for name, count in sorted(needed.items()))}", "key",
                      "seal them anew: fullspan bss keys rotate --resume" if set(needed) != {"audit.detail"} else "it stays as long as the audit log does")
    desk.record("keys.drop", ("keys", str(number)))
    file, made = Path(desk.office.settings.keys), held.without(number)
    made.write(file)
    install(made, file)


def _alone(desk: Desk) -> None:
    """Nobody else changes the ring until the act ends: of two who read it at once, the one's key would be lost, and what was sealed under it."""
    desk.session.execute(select(AuditHead.number).where(AuditHead.id == 1).with_for_update())


def _sealed() -> Iterator[tuple[TableClause, list[Any], list[Any]]]:
    """Every table that has sealed columns, as the database has it: the columns of its key, and the sealed ones as bytes."""
    for one in Table.metadata.sorted_tables:
        sealed = [column(each.name, LargeBinary) for each in one.columns if isinstance(each.type, Sealed)]
        if sealed:
            keys = [column(each.name, each.type) for each in one.primary_key.columns]
            yield table(one.name, *keys, *sealed), keys, sealed


def _head(value: ColumnElement[Any]) -> Label[Any]:
    """The number of the key that a value is sealed under, as bytes."""
    return func.substr(value, 1, 2, type_=LargeBinary).label("head")


def _lot(desk: Desk, raw: TableClause, keys: list[Any], sealed: list[Any], last: Any) -> tuple[int, Any]:
    """Some rows; how many values were sealed anew, and the key of the last row, None where there are no more."""
    held = ring()
    old = held.current.to_bytes(2, "big")
    query = select(*keys, *sealed).select_from(raw).where(or_(*(and_(one.isnot(None), _head(one).element != old) for one in sealed)))
    if last is not None:
        query = query.where(tuple_(*keys) > tuple_(*last) if len(keys) > 1 else keys[0] > last[0])
    rows = desk.session.execute(query.order_by(*keys).limit(LOT)).all()
    count = 0
    for row in rows:
        for one, value in zip(sealed, row[len(keys):], strict=True):
            if value is not None and bytes(value)[:2] != old:
                # only where it is still what was read: somebody may have changed it meanwhile, and sealed it under the new key
                same = [key == wanted for key, wanted in zip(keys, row[:len(keys)], strict=True)]
                change = raw.update().where(*same, one == bytes(value)).values({one.name: held.seal(held.open(bytes(value)))})
                count += desk.session.execute(change).rowcount         # type: ignore[attr-defined]
    return count, tuple(rows[-1][:len(keys)]) if len(rows) == LOT else None


def _resealed(desk: Desk, total: int) -> None:
    desk.demand("system.run")
    desk.record("keys.reseal", ("keys", str(ring().current)), after={"values": total})


def _files(office: Office, other_than: int = 0) -> Iterator[Path]:
    """Attachments, those under another key."""
    folder = Path(office.settings.attachments)
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file() and not path.name.endswith(".part") and (not other_than or _number(path) != other_than):
            yield path


def _number(path: Path) -> int:
    with open(path, "rb") as file:
        return int.from_bytes(file.read(2), "big")


def _reseal_file(path: Path) -> None:
    held: Ring = ring()
    beside = path.with_name(path.name + ".part")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(held.seal(held.open(path.read_bytes())))
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
