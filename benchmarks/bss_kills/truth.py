"""What is true of a database whatever was killed, looked at from outside: with plain queries, not by the functions that wrote it."""
from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from benchmarks.bss_kills import bills, crediting, orders, parties, tickets
from benchmarks.bss_kills.ground import Ground
from benchmarks.bss_kills.record import BOUND, count_of
from bss import audit
from bss.moment import iso
from bss.office import Office
from bss.refusal import Refusal
from bss.sealing import Ring
from bss.services import export
from bss.tables import (
    AlarmEvent,
    AuditRow,
    Binding,
    Customer,
    Idempotency,
    ImportBatch,
    ImportRow,
    Job,
    Merge,
    Outbox,
    ProductOrder,
    Service,
    Ticket,
    Transition,
)

#: Rows of the audit log of one act, and the events that go with them: so many rows of these actions to one event.
TOLD: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    ("productOrder.create", 1, ("order.enter",)), ("productOrder.stateChange", 1, ("order.move",)),
    ("productOrder.attributeValueChange", 1, ("order.amend",)), ("binding.create", 1, ("binding.create",)), ("binding.end", 1, ("binding.end",)),
    ("import.bring", 1, ("import.bring",)), ("import.undo", 1, ("import.undo",)), ("customer.merge", 2, ("customer.merge",)),
    ("customer.unmerge", 2, ("customer.unmerge",)), ("service.create", 1, ("service.create",)),
    ("service.stateChange", 1, tuple(f"service.{one}" for one in ("reserve", "release", "configure", "activate", "suspend", "cancel", "terminate"))),
    ("checkServiceQualification.stateChange", 1, ("qualification.check",)), ("troubleTicket.create", 1, ("ticket.open",)),
    ("troubleTicket.stateChange", 1, ("ticket.move",)), ("troubleTicket.claim", 1, ("ticket.claim",)),
    ("credit.create", 1, ("credit.draft",)), ("serviceLevel.close", 1, ("sla.close",)),
    ("credit.stateChange", 1, tuple(f"credit.{one}" for one in ("approve", "reject", "supersede", "apply"))),
)


class Truth:
    """What was said so far by those who were killed (`hear`), and what is found (`faults`)."""

    def __init__(self, office: Office, ground: Ground) -> None:
        self.office, self.ground = office, ground
        self.said: Counter[str] = Counter()
        self.unsaid: Counter[str] = Counter()           # acts that were committed and not said: one a life at most
        self._audit: set[tuple[str, ...]] = set()
        self._events: set[str] = set()
        self._orders: dict[str, str] = {}
        self._tickets: dict[str, str] = {}
        self._keyed: dict[str, str] = {}
        self._rows: dict[str, set[str]] = defaultdict(set)
        self._undone: set[str] = set()
        self._lives: Counter[str] = Counter()
        self._seen = 0                                  # rows of the audit log that were looked at

    def hear(self, writer: str, lines: Iterable[str]) -> Iterator[str]:
        """What one life said. Gives what was wrong in itself."""
        self._lives[writer] += 1
        for line in lines:
            told = json.loads(line)
            if "wrong" in told:
                yield told["wrong"]
                continue
            self.said[writer] += 1
            self._audit.update(map(tuple, told["audit"]))
            self._events.update(told["events"])
            self._orders.update(told.get("orders", {}))
            self._tickets.update(told.get("tickets", {}))
            self._rows["alarm_event"].update(told.get("alarms", ()))
            self._undone.update(told.get("undone", ()))
            self._rows["import_batch"].update(told.get("brought", {}))
            for name in ("bindings", "merges", "jobs", "credits", "bills", "payments"):
                self._rows[name].update(told.get(name, ()))
            for key, answer in told.get("keyed", {}).items():
                if self._keyed.setdefault(key, answer) != answer:
                    yield f"{key} made {self._keyed[key]} and then {answer}"

    def faults(self, thorough: bool = False) -> Iterator[str]:
        """All that is not as it has to be. thorough: also what takes longer."""
        try:
            Ring.read(Path(self.office.settings.keys))
        except Refusal as refusal:
            yield f"the ring: {refusal}"
        with self.office.reading() as desk:
            session = desk.session
            try:
                audit.check(session)
            except Refusal as refusal:
                yield f"the audit chain: {refusal}"
            yield from self.within(session, thorough)
        yield from self._file()

    def within(self, session: Session, thorough: bool = False) -> Iterator[str]:
        """What of it the rows themselves say."""
        for look in (self._acts, self._bound, self._import, self._key, self._job):
            yield from look(session)
        yield from orders.faults(session, self._orders)
        yield from parties.faults(session, self.ground.pairs, self._rows["merges"])
        yield from tickets.faults(session, self._tickets, self._rows["alarm_event"])
        yield from crediting.faults(session, self._rows["credits"])
        yield from bills.faults(session, self._rows)
        if thorough:
            yield from parties.found(session)

    def counted(self) -> str:
        """How much there is."""
        with self.office.reading() as desk:
            return ", ".join(f"{desk.session.scalar(select(func.count()).select_from(table))} {words}" for table, words in (
                (AuditRow, "rows of the audit log"), (Outbox, "events"), (ProductOrder, "orders"), (Binding, "bindings"), (ImportBatch, "files"),
                (Merge, "merges"), (Job, "jobs"), (AlarmEvent, "events of alarms"), (Ticket, "tickets"))) + (
                f", {crediting.counted(desk.session)}, {bills.counted(desk.session)}")

    # ---- what was said is there, and one act is there with all that it writes

    def _acts(self, session: Session) -> Iterator[str]:
        new = session.execute(select(AuditRow.number, AuditRow.time, AuditRow.actor, AuditRow.action, AuditRow.entity_id)
                              .where(AuditRow.number > self._seen)).all()
        first = min((row.time for row in new), default=None)
        groups: dict[datetime, list[Any]] = defaultdict(list)
        for row in new:
            groups[row.time].append(row)
        told: dict[datetime, Counter[str]] = defaultdict(Counter)
        events: set[str] = set()
        if first is not None:
            for key, kind, at in session.execute(select(Outbox.id, Outbox.type, Outbox.time).where(Outbox.time >= first)):
                told[at][kind.removeprefix("fullspan.")] += 1
                events.add(key)
        numbers = {row.number for row in new}
        there_now = {row.number: (row.time.isoformat(), row.actor, row.action, row.entity_id) for row in new}
        if lost := self._audit - set(there_now.values()):
            yield f"{len(lost)} rows of the audit log were said and are not there"
        there = set(session.scalars(select(Outbox.id).where(Outbox.id.in_(self._events - events)))) if self._events - events else set()
        if missing := self._events - events - there:
            yield f"{len(missing)} events were said and are not there"
        self._events.clear()
        unsaid: Counter[str] = Counter()
        for at, rows in groups.items():
            did, kinds = Counter(row.action for row in rows), told.get(at, Counter())
            for kind, count, actions in TOLD:
                if kinds[kind] * count != sum(did[one] for one in actions):
                    yield f"at {at} {dict(did)} was done and {dict(kinds)} is told"
            if did["binding.create"] and did["binding.end"] and did["binding.create"] != did["binding.end"]:
                yield f"at {at} bindings were moved by half: {dict(did)}"
            if rows[0].actor in self.ground.actors and not any(there_now[row.number] in self._audit for row in rows) and not all(
                    row.action.endswith(".refused") or row.action == "keys.reseal" for row in rows):
                unsaid[rows[0].actor] += 1
                for row in rows:
                    self._orders.pop(row.entity_id, None)       # it is further than was said
                    self._tickets.pop(row.entity_id, None)
        for actor, count in unsaid.items():
            self.unsaid[actor] += count
            if count > self._lives[actor]:
                yield f"{actor} did {count} acts that it never said, in {self._lives[actor]} lives"
        self._lives.clear()
        self._seen = max(numbers, default=self._seen)
        self._audit.clear()

    # ---- bindings

    def _bound(self, session: Session) -> Iterator[str]:
        made, ended = count_of(session, "binding.create"), count_of(session, "binding.end")
        imported = set(session.scalars(select(ImportRow.entity_id).where(ImportRow.entity == "binding")))
        states = dict(session.execute(select(Service.id, Service.state)).tuples().all())
        spans: dict[str, list[tuple[datetime, datetime, str]]] = defaultdict(list)
        there = set()
        for one in session.scalars(select(Binding)):
            there.add(one.id)
            if made[one.id] + (one.id in imported) != 1:
                yield f"binding {one.id} was made {made[one.id]} times by the record"
            over = one.valid_to is not None or one.withdrawn is not None
            if over and ended[one.id] != 1 and one.withdrawn is None:        # it was made with an end, or ended again before the end that it had
                ends = _ends(session, one.id)
                if not ends or ends != sorted(ends, reverse=True) or ends[-1] != iso(one.valid_to):
                    yield f"binding {one.id} ends at {ends} by the record, and does at {one.valid_to}"
            elif ended[one.id] != over:
                yield f"binding {one.id} ended {ended[one.id]} times by the record, until {one.valid_to}, withdrawn {one.withdrawn}"
            if not over and states[one.service_id] not in BOUND:
                yield f"binding {one.id} holds, and its service is {states[one.service_id]}"
            if one.withdrawn is None:
                spans[one.key].append((one.valid_from, one.valid_to or datetime.max.replace(tzinfo=one.valid_from.tzinfo), one.id))
        for key, held in spans.items():
            held.sort()
            for early, late in zip(held, held[1:], strict=False):
                if late[0] < early[1]:
                    yield f"{key} is bound by {early[2]} and by {late[2]} at once"
        if lost := self._rows["bindings"] - there:
            yield f"{len(lost)} bindings were said and are not there"

    def _file(self) -> Iterator[str]:
        """The file that the probe follows: whole before it is written anew, and as the database is afterwards."""
        path = Path(self.office.settings.bindings)
        if path.exists():
            rows = list(csv.reader(path.read_text().splitlines()))
            if rows[0] != list(export.COLUMNS) or any(len(row) != len(export.COLUMNS) for row in rows):
                yield "the bindings file is not whole"
        wrote = export.write(self.office, always=True)
        with self.office.reading() as desk:
            count = desk.session.scalar(select(func.count()).select_from(Binding).where(Binding.withdrawn.is_(None)))
        lines = path.read_text().count("\n") - 1
        if not wrote.lines == lines == count:
            yield f"the bindings file has {lines} lines of {count} bindings"
        if left := [one.name for one in path.parent.iterdir() if one.name.startswith(f".{path.name}")]:
            yield f"{left} were left behind by who wrote the bindings file"

    # ---- imports

    def _import(self, session: Session) -> Iterator[str]:
        there = {name: set(session.scalars(text(f"SELECT id FROM {name}"))) for name in ("customer", "party", "service", "binding")}
        made: dict[str, dict[int, list[tuple[str, str]]]] = defaultdict(lambda: defaultdict(list))
        for one in session.execute(select(ImportRow.batch_id, ImportRow.line, ImportRow.entity, ImportRow.entity_id)):
            made[one.batch_id][one.line].append((one.entity, one.entity_id))
        states = {}
        brought, undone = count_of(session, "import.bring"), count_of(session, "import.undo")
        for batch in session.scalars(select(ImportBatch)):
            states[batch.id] = batch.state
            rows = [one for line in made[batch.id].values() for one in line]
            found = sum(key in there[entity] for entity, key in rows)
            wanted = len(rows) if batch.state == "imported" else 0
            if found != wanted or len(made[batch.id]) != batch.totals["rows"]:
                yield f"batch {batch.id} is {batch.state}: {found} of {len(rows)} rows, {len(made[batch.id])} of {batch.totals['rows']} lines"
            if brought[batch.id] != 1 or undone[batch.id] != (batch.state == "undone"):
                yield f"batch {batch.id} is {batch.state}: brought {brought[batch.id]} times and undone {undone[batch.id]} times by the record"
        known = {key for lines in made.values() for line in lines.values() for _, key in line}
        for key, number in session.execute(select(Customer.id, Customer.number).where(Customer.number.startswith("I"))):
            if key not in known:
                yield f"customer {number} is of no batch"
        if alone := there["party"] - set(session.scalars(select(Customer.party_id))):
            yield f"{len(alone)} parties are nobody's"
        if lost := self._rows["import_batch"] - set(states):
            yield f"{len(lost)} batches were said and are not there"
        if back := [key for key in self._undone if states.get(key) != "undone"]:
            yield f"batches {back} were undone, and are not"

    # ---- asked twice, done once

    def _key(self, session: Session) -> Iterator[str]:
        user = self.ground.actors["keyed"].id
        keys = list(session.scalars(select(Idempotency.key).where(Idempotency.user_id == user)))
        made = set(session.scalars(select(ProductOrder.id).where(ProductOrder.owner_id == user)))
        if len(keys) != len(made):
            yield f"{len(keys)} requests with a key made {len(made)} orders"
        if lost := set(self._keyed.values()) - made:
            yield f"{len(lost)} orders were answered and are not there"

    def _job(self, session: Session) -> Iterator[str]:
        halves: dict[str, list[str]] = defaultdict(list)
        for key, half in session.execute(select(Transition.entity_id, Transition.to_state).where(Transition.entity == "deed")):
            halves[key].append(half)
        there = set()
        for name, done in session.execute(select(Job.key, Job.done)):
            there.add(name)
            if sorted(halves.pop(name, [])) != ([] if done is None else ["first", "second"]):
                yield f"job {name} is {'open' if done is None else 'done'}, and was not done {'never' if done is None else 'once'}"
        if halves:
            yield f"{len(halves)} deeds are of no job"
        if lost := self._rows["jobs"] - there:
            yield f"{len(lost)} jobs were asked for and are not there"


def _ends(session: Session, binding: str) -> list[str]:
    """The ends that a binding has had by the record, in its order."""
    rows = session.scalars(select(AuditRow).where(AuditRow.action.in_(("binding.create", "binding.end")), AuditRow.entity_id == binding)
                           .order_by(AuditRow.number)).all()
    found = [((audit.detail(row) or {}).get("after") or {}).get("valid_to") for row in rows]
    return [str(one) for one in found if one is not None]
