"""Months of services counted, closed and credited while processes are killed: the writer, and what is true of what it leaves behind."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bss.desk import Desk
from bss.people.scope import SYSTEM
from bss.sla import credit, keeping, month
from bss.sla.keeping import Kept
from bss.sla.states import LIVE
from bss.tables import AuditRow, Credit, Service, SlaMark, SlaMinute, SlaMonth, Ticket

if TYPE_CHECKING:
    from benchmarks.bss_kills.writers import Life

FIRST, YEARS = 2030, 40             # of the months that are counted: all to come, so that services are active in all of them
#: What the audit log has of a credit that is in a state, besides its draft.
STEPS = {"drafted": (), "approved": ("approve",), "rejected": ("reject",), "superseded": ("supersede",), "applied": ("approve", "apply")}


def credits(life: Life) -> None:
    """Minutes written and their month counted in one act, which drafts a credit or replaces one; months closed; credits decided on, taken back, applied."""
    chance, bills = life.chance, 0

    def ready(desk: Desk) -> None:
        if desk.session.get(SlaMark, 1) is None:
            desk.session.add(SlaMark(id=1, measured_until=datetime(2100, 1, 1, tzinfo=UTC)))
    life.office.act(SYSTEM, ready)
    while True:
        with life.office.reading(SYSTEM) as desk:
            held = list(desk.session.execute(select(Credit.id, Credit.state, Credit.service_id, Credit.month).where(
                Credit.state.in_(("drafted", "approved")), Credit.service_id.in_(life.ground.services)).order_by(Credit.id.desc()).limit(20)).tuples())
        one = chance.choice(held) if held and chance.random() < 0.6 else None
        if one is None:
            key, name = chance.choice(life.ground.services), f"{FIRST + chance.randrange(YEARS)}-{chance.randint(1, 12):02d}"
            life.say(lambda: life.office.act(SYSTEM, lambda desk: _counted(desk, key, name, chance.randint(0, 3000))), _left)         # noqa: B023
            continue
        credit_id, state, service, name = one
        if state == "approved":
            bills += 1
            line = bills
            life.say(lambda: life.office.act(SYSTEM, lambda desk: credit.applied(desk, desk.session.get_one(Credit, credit_id), "Bproof", line)), _state)   # noqa: B023
        elif (way := chance.random()) < 0.4:
            life.say(lambda: life.office.act(SYSTEM, lambda desk: _counted(desk, service, name, chance.randint(0, 3000))), _left)     # noqa: B023
        elif way < 0.5:
            life.act(lambda desk: credit.withdraw(desk, credit_id, "not this one"), _state)          # noqa: B023
        else:
            if life.act(lambda desk: month.close(desk, list(desk.session.scalars(select(SlaMonth).where(
                    SlaMonth.service_id == service, SlaMonth.month == name))))) is not None:                # noqa: B023
                life.act(lambda desk: credit.decide(desk, credit_id, chance.random() < 0.8, "by the contract"), _state)            # noqa: B023


def _counted(desk: Desk, key: str, name: str, down: int) -> list[Credit]:
    """So many minutes down in a month, in two spells, and the month counted by them."""
    begin = datetime(int(name[:4]), int(name[5:]), 2, tzinfo=UTC)
    if desk.session.execute(select(SlaMonth.state).where(SlaMonth.service_id == key, SlaMonth.month == name)).scalar_one_or_none() == "closed":
        return []
    cut = down // 3
    spells = [Kept(begin + timedelta(minutes=at), begin + timedelta(minutes=at + length), "down", "down", "link")
              for at, length in ((0, cut), (5000, down - cut)) if length]
    keeping.write(desk, [key], keeping.rows_of(key, spells), begin, begin + timedelta(days=20))
    service = desk.find(Service, key, lock=True)
    month.settle(desk, [service], name)
    return list(desk.session.scalars(select(Credit).where(Credit.service_id == key, Credit.month == name, Credit.state == "drafted")))


def _left(made: list[Credit]) -> Mapping[str, Any]:
    return {"credits": [one.id for one in made]}


def _state(one: Credit) -> Mapping[str, Any]:
    return {"credits": [one.id]}


def faults(session: Session, said: set[str]) -> Iterator[str]:
    """What is wrong with months and credits. said: ids of credits that were said to be there."""
    acts: dict[str, Counter[str]] = {}
    for action, key in session.execute(select(AuditRow.action, AuditRow.entity_id).where(AuditRow.entity == "credit")):
        acts.setdefault(key, Counter())[action.removeprefix("credit.")] += 1
    months = {(one.service_id, one.month): one for one in session.scalars(select(SlaMonth))}
    tickets = set(session.scalars(select(Ticket.id)))
    down: Counter[tuple[str, str]] = Counter()
    for service, since, until in session.execute(select(SlaMinute.service_id, SlaMinute.since, SlaMinute.until).where(SlaMinute.state == "down")):
        down[service, f"{since:%Y-%m}"] += int((until - since).total_seconds()) // 60
    live: Counter[tuple[str, str]] = Counter()
    there = set()
    for one in session.scalars(select(Credit)):
        there.add(one.id)
        if {name: count for name, count in acts.get(one.id, Counter()).items() if not name.endswith(".refused")} != Counter(("draft", *STEPS[one.state])):
            yield f"credit {one.id} is {one.state}, and on record is {dict(acts.get(one.id, {}))}"
        if one.state in LIVE:
            live[one.service_id, one.month] += 1
            if one.evidence["down_minutes"] != months[one.service_id, one.month].down:
                yield f"credit {one.id} is of {one.evidence['down_minutes']} minutes, and its month has {months[one.service_id, one.month].down}"
        if (one.state == "applied") != (one.bill_id is not None and one.line_number is not None):
            yield f"credit {one.id} is {one.state} and on bill {one.bill_id}"
    if double := [key for key, count in live.items() if count > 1]:
        yield f"of {double} more than one credit lives"
    lines = session.execute(select(Credit.bill_id, Credit.line_number).where(Credit.state == "applied"))
    if wrong := [one for one in lines if one.line_number < 1]:
        yield f"lines {wrong} are none"
    for key, row in months.items():
        if row.down != down[key]:
            yield f"month {key} counts {row.down} minutes down, and has {down[key]}"
        if row.verdict == "breached" and row.ticket_id not in tickets:
            yield f"month {key} is breached, and has no ticket"
        if row.state == "closed" and row.closed is None:
            yield f"month {key} is closed by half"
    if lost := said - there:
        yield f"{len(lost)} credits were said and are not there"


def counted(session: Session) -> str:
    """How many there are."""
    months, credits_ = (session.scalar(select(func.count()).select_from(table)) for table in (SlaMonth, Credit))
    return f"{months} months of services, {credits_} credits"
