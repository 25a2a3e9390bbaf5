"""Inspections (定期巡检): a plan has something looked at in each week, month, quarter or year, by a checklist. A duty makes each period's inspection once,
tells who is late, and writes off what was not done when its period is over. An answer that says that something is wrong opens a ticket of the resource."""
from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select
from sqlalchemy.dialects import postgresql, sqlite

from bss import identifier
from bss.desk import Desk
from bss.language import words
from bss.moment import begin_of, iso
from bss.people.scope import SYSTEM
from bss.refusal import Refusal
from bss.tables import Attachment, Inspection, InspectionPlan, Resource, User
from bss.tables.field import EVERY
from bss.tickets import template
from bss.tickets.checklist import Checklist, judge
from bss.tickets.roster import worker
from bss.working import mail

DAYS = {"week": 7, "month": 28, "quarter": 90, "year": 365}         # at most, after which one is overdue
MOST = 5000             # of a round


class Period(NamedTuple):
    """key: 2026-W49, 2026-12, 2026-Q4, 2026; its first day, and the first day after it."""
    key: str
    begin: date
    end: date


def period_of(every: str, day: date) -> Period:
    """The period of a kind in which a day lies."""
    if every == "week":
        begin = day - timedelta(days=day.weekday())
        year, week, _ = day.isocalendar()
        return Period(f"{year}-W{week:02}", begin, begin + timedelta(days=7))
    months = {"month": 1, "quarter": 3, "year": 12}[every]
    first = (day.month - 1) // months * months + 1
    begin = date(day.year, first, 1)
    end = date(day.year + (first + months > 12), (first + months - 1) % 12 + 1, 1)
    key = f"{day.year}" if every == "year" else f"{day.year}-Q{first // 3 + 1}" if every == "quarter" else f"{day.year}-{day.month:02}"
    return Period(key, begin, end)


def plan(desk: Desk, *, name: str, every: str, owner_id: str, checklist: str = "site", days: int = 0, region: str = "", resource_id: str | None = None,
         since: datetime | None = None, until: datetime | None = None) -> InspectionPlan:
    """A plan. every: week, month, quarter, year; days: of the period in which it is done, the whole period where 0; region: of the resource, where one is
    named. Refusal: a checklist that is for something else, or somebody who does not work there."""
    desk.demand("dispatch.write")
    if every not in EVERY:
        raise Refusal("invalid", f"{every!r} is no period", "every", f"periods are {', '.join(EVERY)}")
    if not 0 <= days <= DAYS[every]:
        raise Refusal("invalid", f"of a {every} it is 0 to {DAYS[every]} days", "days")
    if not name.strip() or len(name) > 200 or not name.isprintable():
        raise Refusal("invalid", "not a name", "name", "write it in at most 200 printable letters")
    resource = desk.find(Resource, resource_id) if resource_id else None
    where = resource.region if resource else region
    if not where:
        raise Refusal("invalid", "where it is looked at is not said", "region, resource", "name one of them")
    if desk.actor.regions and where not in desk.actor.regions:
        raise Refusal("forbidden", "the region is not one of yours", "region", f"yours are {', '.join(desk.actor.regions)}")
    user, begin = worker(desk, owner_id, where, "owner"), since or desk.now
    if until is not None and until <= begin:
        raise Refusal("invalid", "it ends before it begins", "until")
    if template.current(desk, "checklist", checklist).document.visit != "inspection":
        raise Refusal("invalid", f"checklist {checklist} is not for inspections", "checklist", "name one that is")
    row = desk.add(InspectionPlan(name=name.strip(), region=where, resource_id=resource_id, checklist=checklist, every=every, days=days or DAYS[every],
                                  owner_id=user.id, since=begin, until=until, created=desk.now))
    desk.record("inspection.plan", row, after={"name": name, "every": every, "owner": user.id, "region": where, "resource": resource_id})
    return row


def change(desk: Desk, plan_id: str, *, owner_id: str | None = None, until: datetime | None = None, version: int | None = None) -> InspectionPlan:
    """Give a plan, and what is due of it, to somebody else; or end it."""
    desk.demand("dispatch.write")
    row = desk.find(InspectionPlan, plan_id, lock=True)
    if (owner_id is None) == (until is None):
        raise Refusal("invalid", "one of owner and until is changed at once", mend="send one of them")
    desk.fresh(row, version)
    if owner_id is not None:
        before, row.owner_id = row.owner_id, worker(desk, owner_id, row.region, "owner").id
        for one in desk.session.execute(select(Inspection).where(Inspection.plan_id == row.id, Inspection.state == "due")).scalars():
            one.owner_id = row.owner_id
        desk.record("inspection.plan", row, {"owner": before}, {"owner": owner_id})
    elif until is not None:
        if until <= row.since:
            raise Refusal("invalid", "it ends before it begins", "until")
        ended, row.until = row.until, until
        desk.record("inspection.plan", row, {"until": iso(ended)}, {"until": iso(until)})
    return row


def make(desk: Desk, argument: Mapping[str, Any] | None = None) -> dict[str, int]:
    """Duty, each hour: make what is due of this period, tell who is late, write off what was not done; how many of each. Asked again it makes nothing twice."""
    desk.demand("system.run")
    zone, made = desk.office.settings.zone, {"made": 0, "overdue": 0, "missed": 0}
    today = desk.now.astimezone(zone).date()
    query = select(InspectionPlan).where(InspectionPlan.since <= desk.now, InspectionPlan.until.is_(None) | (InspectionPlan.until > desk.now))
    for one in desk.session.execute(query.order_by(InspectionPlan.id).limit(MOST)).scalars().all():
        period = period_of(one.every, today)
        due = begin_of(min(period.begin + timedelta(days=one.days), period.end), zone)
        if due <= one.since:
            continue                # it began too late for this period
        document = template.current(desk, "checklist", one.checklist)
        insert: Any = (sqlite.insert if desk.office.database.lite else postgresql.insert)(Inspection)
        fresh = desk.session.execute(insert.on_conflict_do_nothing(index_elements=["plan_id", "period"]).returning(Inspection.id), {
            "id": identifier.fresh(Inspection.LETTER), "plan_id": one.id, "period": period.key, "region": one.region, "owner_id": one.owner_id, "state": "due",
            "result": "", "due": due, "checklist": document.key, "checklist_version": document.version, "answers": {}, "note": "", "version": 1}).scalar()
        if fresh is not None:
            made["made"] += 1
            desk.emit("inspection.create", fresh, {"id": fresh, "plan": one.id, "period": period.key, "owner": one.owner_id, "due": due})
    late = select(Inspection).where(Inspection.state == "due", Inspection.due <= desk.now).order_by(Inspection.due, Inspection.id).limit(MOST)
    for row in desk.session.execute(late).scalars().all():
        of = desk.session.get_one(InspectionPlan, row.plan_id)
        if row.overdue is None:
            row.overdue = desk.now
            made["overdue"] += 1
            _late(desk, row, of)
        if period_of(of.every, today).key != row.period:
            row.state = "missed"
            made["missed"] += 1
            desk.record("inspection.missed", row, {"state": "due"}, {"state": "missed"})
            desk.emit("inspection.stateChange", row.id, {"id": row.id, "plan": row.plan_id, "period": row.period, "state": "missed"})
    return made


def _late(desk: Desk, row: Inspection, of: InspectionPlan) -> None:
    desk.record("inspection.overdue", row, after={"due": iso(row.due), "owner": row.owner_id})
    desk.emit("inspection.overdue", row.id, {"id": row.id, "plan": row.plan_id, "period": row.period, "owner": row.owner_id, "due": row.due})
    user = desk.session.get(User, row.owner_id)
    if user is not None and user.email and not user.disabled:
        say = words(desk.office.settings.lang)
        values = {"name": of.name, "period": row.period, "due": iso(row.due, desk.office.settings.zone) or ""}
        mail.write(desk, user.email, say("inspection.mail_subject", **values), say("inspection.mail_text", **values), f"{row.id}/overdue")


def fill(desk: Desk, inspection_id: str, answers: Mapping[str, Any], note: str = "", finish: bool = False, version: int | None = None) -> Inspection:
    """Answer its questions. finish: it is done; what is needed and not answered is refused, and an answer that says that something is wrong opens a ticket of
    the plan's resource."""
    desk.demand("order.install" if desk.may("order.install") else "ticket.work")
    row = desk.find(Inspection, inspection_id, lock=True)
    if row.owner_id != desk.actor.id and not desk.may("dispatch.write"):
        raise Refusal("forbidden", "it is somebody else's", f"inspection {row.id}", "leave it to him, or have the plan given to you")
    if row.state != "due":
        raise Refusal("conflict", f"an inspection that is {row.state} is not filled in any more", f"inspection {row.id}", "the next period has its own")
    if len(note) > 400:
        raise Refusal("large", "a note has 400 letters at most", "note")
    desk.fresh(row, version)
    found = judge(questions(desk, row), {**row.answers, **answers}, photos(desk, row.id))
    row.answers, row.note = found.answers, note.strip() or row.note
    if finish:
        if found.missing:
            raise Refusal("conflict", f"the checklist still lacks {', '.join(found.missing)}", f"inspection {row.id}", "answer it, or attach the photo")
        row.state, row.result = "done", "fault" if found.faults else "good"
        row.done, row.done_by = desk.now, desk.actor.id or None
        if found.faults:
            row.ticket_id = _ticket(desk, row, found.faults)
        desk.emit("inspection.stateChange", row.id, {"id": row.id, "plan": row.plan_id, "period": row.period, "state": "done", "result": row.result,
                                                     "ticket": row.ticket_id})
    desk.record("inspection.fill", row, after={"answers": found.answers, "state": row.state, "result": row.result, "ticket": row.ticket_id})
    return row


def _ticket(desk: Desk, row: Inspection, faults: tuple[str, ...]) -> str | None:
    """The ticket of what was found; None: the plan names no resource, which a ticket could be about. The program opens it, whoever found it."""
    from bss.tickets.ticket import open_

    of = desk.session.get_one(InspectionPlan, row.plan_id)
    if of.resource_id is None:
        return None
    at = Desk(desk.session, SYSTEM._replace(id=desk.actor.id, login=desk.actor.login), desk.office)
    made = open_(at, kind="inspection", resource_id=of.resource_id, severity="minor", summary=f"{of.name} {row.period}: {', '.join(faults)}",
                 evidence={"inspection": row.id, "period": row.period, "answers": {key: row.answers.get(key) for key in faults}})
    return str(made.id)


def questions(desk: Desk, row: Inspection) -> Checklist:
    """Its checklist, as it was when it became due."""
    found: Checklist = template.version_of(desk, "checklist", row.checklist, row.checklist_version)
    return found


def photos(desk: Desk, inspection_id: str) -> int:
    """How many photos are attached to it."""
    return desk.session.execute(select(func.count()).select_from(Attachment).where(
        Attachment.entity == "inspection", Attachment.entity_id == inspection_id, Attachment.media_type.like("image/%"))).scalar_one()


def listed(desk: Desk, state: str = "", owner: str = "", region: str = "", plan_id: str = "", overdue: bool = False) -> Select[tuple[Inspection]]:
    """A query of inspections, what is due first first."""
    desk.demand("resource.read")
    query = desk.select(Inspection)
    for column, wanted in ((Inspection.state, state), (Inspection.owner_id, owner), (Inspection.region, region), (Inspection.plan_id, plan_id)):
        if wanted:
            query = query.where(column == wanted)
    if overdue:
        query = query.where(Inspection.state == "due", Inspection.due <= desk.now)
    return query.order_by(Inspection.due.desc(), Inspection.id.desc())


def plans(desk: Desk, region: str = "") -> Select[tuple[InspectionPlan]]:
    """A query of plans, the newest first."""
    desk.demand("resource.read")
    query = desk.select(InspectionPlan)
    return (query.where(InspectionPlan.region == region) if region else query).order_by(InspectionPlan.created.desc(), InspectionPlan.id.desc())


def find(desk: Desk, inspection_id: str) -> Inspection:
    """One of them. Refusal `missing`."""
    desk.demand("resource.read")
    return desk.find(Inspection, inspection_id)
