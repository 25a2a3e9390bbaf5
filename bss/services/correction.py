"""A binding that was wrong in the past, put right: first a dry run that shows whose bytes move and how many, then a new revision, and the usage anew.

Stored flows keep the stamp they got. So that usage follows, the flows of the time are given their right stamp in the store, and the probe's own program
computes usage of the time anew: minutes that differ get the next revision. The store's owner alone may write it: beside a running probe with an embedded
store the job waits, and says which command it waits for. Flows that have gone (for their age) can't be given to anybody: what was computed of them stays.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from bss.desk import Desk
from bss.evidence import Moved
from bss.moment import iso
from bss.office import Office
from bss.people.scope import SYSTEM
from bss.question import Ends
from bss.refusal import Refusal
from bss.services import binding, export
from bss.services.spelling import INTERFACE, What, bounds, key_of, name, spelt
from bss.tables import Binding, Service
from bss.working import job

INNER = 200                     # other bindings of a service that a correction looks at
HELD = ("reserved", "inactive", "active", "terminated")


class Piece(NamedTuple):
    """A time in which something was one service's ('' nobody's), and is to be another's."""
    since: datetime
    until: datetime | None
    from_service: str
    to_service: str


class Correction(NamedTuple):
    """What it does, or did. moved: flows by hour and the service they leave; unknown: why it can't be said. bytes: both ways, of each end that moves."""
    key: str
    pieces: list[Piece]
    moved: list[tuple[Piece, Moved]]
    bytes: int
    customers: list[str]
    unknown: str
    binding_id: str
    commands: list[str]


def correct(desk: Desk, service_id: str | None, what: What, since: datetime, until: datetime | None = None, *, probe: str = "", interface: str = "",
            reason: str = "", dry: bool = True) -> Correction:
    """Say whose something was from a moment in the past on; service_id None: nobody's. dry: show what would move, and change nothing."""
    desk.demand("binding.correct")
    what = spelt(*what)
    probe, interface = name(probe, "probe"), name(interface, "interface", INTERFACE)
    if since.tzinfo is None or (until is not None and (until.tzinfo is None or until <= since)):
        raise Refusal("invalid", "it ends before it begins, or a time has no zone", "validTo")
    if since >= desk.now:
        raise Refusal("invalid", "what begins later needs no correction", "validFrom", "bind or move it")
    if not dry and not reason.strip():
        raise Refusal("invalid", "a reason is needed to correct a binding", "reason", "give a ticket's number or a sentence")
    service = None if service_id is None else desk.find(Service, service_id, lock=not dry)
    key = key_of(what)
    binding.hold(desk, key)
    rows: list[Binding] = list(desk.session.execute(binding.overlapping(key, since, until)).scalars())
    for row in rows:
        desk.find(Service, row.service_id)              # whose he may not see he does not correct
    pieces = [one for one in _pieces(rows, since, until, service_id or "") if one.from_service != one.to_service]
    if not pieces:
        raise Refusal("conflict", f"{key} is so already", "validFrom", "look at its bindings")
    moved, unknown = _moved(desk, what, pieces)
    customers = sorted({one.customer_id for _, one in moved if one.customer_id} | ({service.customer_id} if service is not None else set())
                       | {desk.session.get_one(Service, row.service_id).customer_id for row in rows})
    found = Correction(key, pieces, moved, sum(one.bytes for _, one in moved), customers, unknown, "", _commands(desk, pieces))
    return found if dry else found._replace(binding_id=_apply(desk, found, rows, service, what, since, until, probe, interface, reason))


def reguide(office: Office, argument: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Job: give stored flows their right stamp, and have usage of their time computed anew; what changed. Again, it does no harm."""
    told = []
    for one in argument["pieces"]:
        since, until = datetime.fromisoformat(one["since"]), datetime.fromisoformat(one["until"])
        for condition in one["conditions"]:
            ends = Ends(condition["sql"], condition["params"], one["from"], since, until)
            office.evidence.restamp(ends, one["to"], one["customer"], one["probe"], one["interface"])
        told.append(office.evidence.recompute(since, until))
    refused = sum(len(one.get("refused", ())) for one in told)
    office.act(SYSTEM, lambda desk: desk.record("usage.reguide", ("binding", str(argument["binding"])), after={
        "pieces": len(told), "slots refused, their flows have gone": refused}))
    return told


def _pieces(rows: Sequence[Binding], since: datetime, until: datetime | None, to: str) -> list[Piece]:
    """The time, cut where its owner changes."""
    found, at = [], since
    for row in rows:
        if row.valid_from > at:
            found.append(Piece(at, row.valid_from, "", to))
            at = row.valid_from
        end = row.valid_to if until is None or (row.valid_to is not None and row.valid_to < until) else until
        found.append(Piece(at, end, row.service_id, to))
        if end is None:
            return found
        at = end
    if until is None or at < until:
        found.append(Piece(at, until, "", to))
    return found


def _moved(desk: Desk, what: What, pieces: Sequence[Piece]) -> tuple[list[tuple[Piece, Moved]], str]:
    """What the store has of the pieces so far; or why it can't be said."""
    found = []
    try:
        for one in pieces:
            if one.since < desk.now:
                found += [(one, moved) for moved in desk.office.evidence.moved(_ends(desk, what, one))]
    except Refusal as refusal:
        if refusal.kind not in ("away", "unprocessable"):
            raise
        return [], str(refusal)
    return found, ""


def _ends(desk: Desk, what: What, piece: Piece) -> Ends:
    """Which flows a piece is about: those of the thing that are stamped as it was bound, but for what the service's other bindings tell."""
    others = [row for row in desk.session.query(Binding).where(
        Binding.service_id == piece.from_service, Binding.withdrawn.is_(None), Binding.key != key_of(what), Binding.valid_from < (piece.until or desk.now),
        (Binding.valid_to.is_(None)) | (Binding.valid_to > piece.since)).limit(INNER + 1)] if piece.from_service else []
    if len(others) > INNER:
        raise Refusal("unprocessable", f"service {piece.from_service} has more than {INNER} other bindings", "service", "correct them one by one")
    params: dict[str, Any] = {}
    if what.prefix:
        condition = _prefix(what, "0", params)
        first, last = bounds(what.prefix)
        for number, row in enumerate(others, 1):
            inside = row.prefix and first <= row.low and row.high <= last and (row.low, row.high) != (first, last)
            if row.prefix and (inside or (row.vlan is not None and row.low <= last and row.high >= first)):
                condition += f" AND NOT ({_prefix(binding.what_of(row), str(number), params)})"
    elif what.mac:
        condition, params = "<side>_mac = {mac:String}", {"mac": what.mac}
    elif what.vlan is not None:
        condition = _vlan(what, "0", params) + ("" if piece.from_service else " AND <side>_local AND NOT <other>_local")
    elif not piece.from_service or others:
        raise Refusal("unprocessable", "whose flows are a user's or a circuit's is not stored with them", "binding",
                      "only where it was the one binding of its service do they follow it; from now on it holds")
    else:
        condition = "1"
    return Ends(condition, params, piece.from_service, piece.since, min(piece.until or desk.now, desk.now))


def _prefix(what: What, number: str, params: dict[str, Any]) -> str:
    low, high = bounds(what.prefix)
    params |= {f"low{number}": _colons(low), f"high{number}": _colons(high)}
    within = f"<side>_ip BETWEEN toIPv6({{low{number}:String}}) AND toIPv6({{high{number}:String}})"
    return within if what.vlan is None else f"{within} AND {_vlan(what, number, params)}"


def _vlan(what: What, number: str, params: dict[str, Any]) -> str:
    params[f"vlan{number}"] = what.vlan
    if what.inner_vlan is None:
        return f"vlan = {{vlan{number}:UInt16}}"
    params[f"inner{number}"] = what.inner_vlan
    return f"vlan = {{vlan{number}:UInt16}} AND inner_vlan = {{inner{number}:UInt16}}"


def _colons(digits: str) -> str:
    return ":".join(digits[place:place + 4] for place in range(0, 32, 4))


def _apply(desk: Desk, found: Correction, rows: Sequence[Binding], service: Service | None, what: What, since: datetime, until: datetime | None, probe: str,
           interface: str, reason: str) -> str:
    """Withdraw what was wrong, put the rest of it back, and the right one between; ask for the usage. The id of the new binding, '' none."""
    conditions = _conditions(desk, what, found.pieces)
    revision = max((row.revision for row in rows), default=0) + 1
    for row in rows:
        row.withdrawn = desk.now
        desk.record("binding.withdraw", row, reason=reason,
                    before={"service": row.service_id, "valid_from": iso(row.valid_from), "valid_to": iso(row.valid_to)})
    desk.session.flush()
    for row in rows:
        owner = desk.session.get_one(Service, row.service_id)
        parts: list[tuple[datetime, datetime | None]] = [(row.valid_from, since)] if row.valid_from < since else []
        parts += [(until, row.valid_to)] if until is not None and (row.valid_to is None or row.valid_to > until) else []
        for begin, end in parts:
            binding.place(desk, owner, what, begin, end, row.probe, row.interface, revision, HELD)
    made = None
    if service is not None:
        made = binding.place(desk, service, what, since, until, probe, interface, revision, HELD if until is not None and until <= desk.now else binding.BOUND)
    desk.session.flush()
    export.changed(desk)
    subject = made.id if made is not None else rows[0].id
    after = {"key": found.key, "service": service.id if service else "", "bytes": found.bytes, "customers": found.customers, "unknown": found.unknown}
    desk.record("binding.correct", ("binding", subject), before={"pieces": [one._asdict() for one in found.pieces]}, after=after, reason=reason)
    desk.emit("usage.recompute", subject, {"binding": subject, "commands": found.commands, "bytes": found.bytes, "customers": found.customers})
    if conditions:
        customer = service.customer_id if service else ""
        told = [{"since": ends.since.isoformat(), "until": ends.until.isoformat(), "from": ends.stamped, "to": service.id if service else "",
                 "customer": customer, "probe": probe, "interface": interface, "conditions": [{"sql": ends.condition, "params": dict(ends.params)}]}
                for ends in conditions if ends.since < ends.until]
        job.add(desk, "usage.reguide", f"usage.reguide {subject} {revision}", {"binding": subject, "pieces": told})
    return made.id if made is not None else ""


def _conditions(desk: Desk, what: What, pieces: Sequence[Piece]) -> list[Ends]:
    """What the job looks for, also where the store was away; nothing where flows can't tell whose they are."""
    if desk.office.settings.store == "none":
        return []
    try:
        return [_ends(desk, what, one) for one in pieces if one.since < desk.now]
    except Refusal:
        return []


def _commands(desk: Desk, pieces: Sequence[Piece]) -> list[str]:
    """What the store's owner says so that usage follows, once flows have their stamp."""
    return [f"fullspan usage recompute {iso(one.since)} {iso(min(one.until or desk.now, desk.now))} --store {desk.office.settings.store}"
            for one in pieces if one.since < desk.now]
