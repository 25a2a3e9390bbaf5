"""The report of an event, each hour, in both languages: what was measured of each service, what was beyond the thresholds, which tickets are open. It is
written once an hour, some minutes after it ended, when its minutes are closed; those that are not are told as not measured."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from bss.desk import Desk
from bss.language import LANGUAGES, words
from bss.moment import iso
from bss.office import Office
from bss.people.scope import SYSTEM
from bss.question import HOUR, MINUTE, moment_of
from bss.tables import AssuranceReport, Service, Ticket
from bss.tickets import assurance
from bss.tickets.assurance import Thresholds
from bss.tickets.watching import Seen, beyond, seen
from bss.working import mail

LAG = timedelta(minutes=5)          # after an hour, in which its last minutes close
BACK = timedelta(hours=26)          # in which a report that could not be written is made up for
TICKETS = ("acknowledged", "inProgress", "pending", "held")


def hourly(office: Office, argument: Mapping[str, Any]) -> int:
    """Duty: write the reports of all hours of events that have ended and have none; how many. Refusal `away`: the store does not answer; it is tried again."""
    if office.settings.store == "none":
        return 0
    now = office.clock()
    last = moment_of(int((now - LAG).timestamp()) // HOUR * HOUR)
    with office.reading(SYSTEM) as desk:
        desk.demand("system.run")
        wanted = []
        for event in assurance.running(desk, last - BACK, last):
            written = set(desk.session.execute(select(AssuranceReport.hour).where(AssuranceReport.assurance_id == event.id)).scalars())
            hour = moment_of(int(max(event.since, last - BACK).timestamp()) // HOUR * HOUR)
            while hour < min(event.until, last):
                if hour not in written:
                    wanted.append((event.id, hour, max(hour, event.since), min(hour + timedelta(hours=1), event.until),
                                   Thresholds.model_validate(event.thresholds), assurance.services_of(desk, event.id)))
                hour += timedelta(hours=1)
    made = 0
    for key, hour, begin, end, limits, ids in wanted:
        figures = seen(office.evidence, ids, begin, end)
        content = {"from": iso(begin), "to": iso(end), "table": "usage_1m", "services": [_line(one, figures[one], limits) for one in ids]}
        made += office.act(SYSTEM, lambda desk, key=key, hour=hour, content=content: _write(desk, key, hour, content))        # type: ignore[misc]
    return made


def _line(service_id: str, minutes: Sequence[Seen], limits: Thresholds) -> dict[str, Any]:
    """What an hour of a service comes to."""
    known = [one for one in minutes if one.covered]
    found = beyond(limits, minutes)
    loss = [one.loss_percent for one in known if one.loss_percent is not None]
    rtt = [one.rtt_ms for one in known if one.rtt_ms is not None]
    return {"service": service_id, "minutes": len(minutes), "measured": len(known), "down_bytes": sum(one.down_bytes for one in known),
            "up_bytes": sum(one.up_bytes for one in known), "peak_down_bps": max((one.down_bytes * 8 // MINUTE for one in known), default=None),
            "silent_minutes": sum(not one.down_bytes and not one.up_bytes for one in known), "worst_loss_percent": str(max(loss)) if loss else None,
            "worst_rtt_ms": str(max(rtt)) if rtt else None, "beyond": [[one.kind, iso(one.at), one.value, one.limit] for one in found[:60]]}


def _write(desk: Desk, assurance_id: str, hour: datetime, content: dict[str, Any]) -> int:
    """Keep a report, once, and tell who is on duty."""
    row = assurance.find(desk, assurance_id)
    ids = [one["service"] for one in content["services"]]
    tickets = desk.session.execute(select(Ticket.id).where(Ticket.service_id.in_(ids), Ticket.state.in_(TICKETS)).order_by(Ticket.id).limit(200)).scalars()
    told = {**content, "tickets": list(tickets)}
    insert: Any = (sqlite.insert if desk.office.database.lite else postgresql.insert)(AssuranceReport)
    made = desk.session.execute(insert.on_conflict_do_nothing().returning(AssuranceReport.hour), {
        "assurance_id": assurance_id, "hour": hour, "content": told, "written": desk.now})
    if made.first() is None:
        return 0
    desk.record("assurance.report", row, after={"hour": iso(hour), "beyond": sum(len(one["beyond"]) for one in told["services"])})
    desk.emit("eventAssurance.report", row.id, {"id": row.id, "hour": hour, "beyond": sum(len(one["beyond"]) for one in told["services"]),
                                                "measured": sum(one["measured"] for one in told["services"]), "tickets": told["tickets"]})
    text = "\n\n".join(text_of(desk, row.name, told, lang) for lang in LANGUAGES)
    for user in assurance.people_of(desk, row):
        if user.email:
            mail.write(desk, user.email, words(desk.office.settings.lang)("assurance.mail_subject", hour=iso(hour, desk.office.settings.zone)), text,
                       f"{row.id}/{iso(hour)}/{user.id}")
    return 1


def reports(desk: Desk, assurance_id: str) -> Sequence[AssuranceReport]:
    """The reports of an event, the newest first."""
    row = assurance.find(desk, assurance_id)
    return desk.session.execute(select(AssuranceReport).where(AssuranceReport.assurance_id == row.id).order_by(AssuranceReport.hour.desc()).limit(2000)
                                ).scalars().all()


def text_of(desk: Desk, name: str, content: Mapping[str, Any], lang: str) -> str:
    """A report as text in a language. Circuits, no names of customers."""
    say, zone = words(lang), desk.office.settings.zone
    circuits = {key: circuit for key, circuit in desk.session.execute(select(Service.id, Service.circuit).where(        # type: ignore[var-annotated]
        Service.id.in_([one["service"] for one in content["services"]]))).tuples()}
    begin, end = (iso(datetime.fromisoformat(content[key]), zone) for key in ("from", "to"))
    lines = [say("assurance.report_head", name=name, begin=begin, end=end)]
    for one in content["services"]:
        values = {"circuit": circuits.get(one["service"], one["service"]), "measured": one["measured"], "minutes": one["minutes"],
                  "down": f"{one['down_bytes']:,}", "up": f"{one['up_bytes']:,}", "loss": one["worst_loss_percent"] or "–", "rtt": one["worst_rtt_ms"] or "–",
                  "silent": one["silent_minutes"], "beyond": len(one["beyond"])}
        lines.append(say("assurance.report_line", **values))
        lines += [say("assurance.report_beyond", kind=say(f"assurance.{kind}"), at=iso(datetime.fromisoformat(at), zone), value=value, limit=limit)
                  for kind, at, value, limit in one["beyond"][:10]]
    lines.append(say("assurance.report_tickets", tickets=", ".join(content["tickets"]) or "–"))
    return "\n".join(lines)
