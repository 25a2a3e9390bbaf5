"""TMF642 Alarm Management: `/tmf-api/alarmManagement/v4/alarm`, and where a probe's web hook sends its alerts: `/fullspan/v1/alert` (CloudEvents)."""
from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from bss.api import ROOT, shape
from bss.api.entrance import Caller, Who, caller
from bss.api.shape import Short
from bss.desk import Desk
from bss.moment import iso
from bss.office import Office
from bss.people.scope import SYSTEM
from bss.refusal import Refusal
from bss.settings import secret
from bss.tables import Alarm
from bss.tickets import alarm, cause, sweeping
from bss.tickets.alarm import Event, Taken

PATH = f"{ROOT}/alarmManagement/v4/alarm"
ALERT = "/fullspan/v1/alert"
OLD = 300               # s after which a signature is not taken any more
router = APIRouter(tags=["alarm"])


class Named(BaseModel):
    """Something named by its id."""
    model_config = ConfigDict(extra="ignore")
    id: Annotated[str, Field(min_length=1, max_length=64)]


class Told(BaseModel):
    """An alarm as TMF642 has it; names that are not known here are let pass. externalAlarmId: what it is called at its source; eventId: of this word of it,
    made of alarm, state and time where it is left out; alarmedObject: the resource."""
    model_config = ConfigDict(extra="ignore")
    externalAlarmId: Annotated[str, Field(min_length=1, max_length=100)]
    eventId: Annotated[str, Field(max_length=120)] = ""
    state: Annotated[str, Field(max_length=16)] = "raised"
    perceivedSeverity: Annotated[str, Field(max_length=16)] = "major"
    probableCause: Annotated[str, Field(max_length=200)] = ""
    specificProblem: Annotated[str, Field(max_length=200)] = ""
    alarmType: Annotated[str, Field(max_length=64)] = ""
    alarmDetails: Annotated[str, Field(max_length=2000)] = ""
    alarmRaisedTime: AwareDatetime | None = None
    alarmChangedTime: AwareDatetime | None = None
    alarmClearedTime: AwareDatetime | None = None
    affectedService: Annotated[list[Named], Field(max_length=500)] = []
    alarmedObject: Named | None = None
    plannedOutageIndicator: Annotated[str, Field(max_length=32)] = ""


class Changed(BaseModel):
    """What of an alarm is changed; names that are not known here are let pass."""
    model_config = ConfigDict(extra="ignore")
    state: Literal["cleared", "updated"] | None = None
    perceivedSeverity: Literal["critical", "major", "minor", "warning", "cleared"] | None = None
    alarmChangedTime: AwareDatetime | None = None
    alarmClearedTime: AwareDatetime | None = None


class Alert(BaseModel):
    """An alert of a probe, in one of its states."""
    model_config = ConfigDict(extra="ignore")
    alert_id: Annotated[str, Field(min_length=1, max_length=64)]
    kind: Annotated[str, Field(min_length=1, max_length=64)]
    severity: Annotated[str, Field(max_length=16)]
    state: Annotated[str, Field(max_length=16)]
    first_time: AwareDatetime
    last_time: AwareDatetime
    revision: Annotated[int, Field(ge=1, le=1 << 32)]
    customer_id: Annotated[str, Field(max_length=64)] = ""
    service_id: Annotated[str, Field(max_length=64)] = ""
    shared_by: Annotated[int, Field(ge=0, le=1 << 32)] = 0
    target: Annotated[str, Field(max_length=200)] = ""
    summary: Annotated[str, Field(max_length=2000)] = ""
    summary_zh: Annotated[str, Field(max_length=2000)] = ""
    evidence: Annotated[str, Field(max_length=8000)] = ""
    probe: Annotated[str, Field(max_length=255)] = ""


class Cloud(BaseModel):
    """A CloudEvent of a probe: one state of one alert (docs/alerts.md)."""
    model_config = ConfigDict(extra="ignore")
    id: Annotated[str, Field(min_length=1, max_length=160)]
    type: Annotated[str, Field(max_length=100, pattern=r"^fullspan\.alert\.")]
    data: Alert


def told(row: Alarm) -> dict[str, Any]:
    """An alarm in the shape of TMF642."""
    return {"id": row.id, "href": f"{PATH}/{row.id}", "externalAlarmId": row.key, "sourceSystemId": row.source, "state": row.state,
            "perceivedSeverity": "cleared" if row.state == "cleared" else row.severity, "probableCause": row.kind, "alarmDetails": row.summary,
            "alarmRaisedTime": iso(row.raised), "alarmChangedTime": iso(row.changed), "alarmClearedTime": iso(row.cleared),
            "affectedService": [{"id": row.service_id}] if row.service_id else [], "serviceAffecting": row.service_id is not None,
            "alarmedObject": {"id": row.resource_id} if row.resource_id else None, "relatedParty": [{"role": "customer", "id": row.customer_id}]
            if row.customer_id else [], "region": row.region, "count": row.count, "suppressed": row.suppressed or None,
            "troubleTicket": {"id": row.ticket_id} if row.ticket_id else None, "evidence": row.evidence, "@type": "Alarm"}


def events_of(sent: Told, now: datetime) -> list[Event]:
    """An alarm as events: one of each service that it affects. Refusal: it is none."""
    clear = sent.perceivedSeverity == "cleared" or sent.state == "cleared" or sent.alarmClearedTime is not None
    state = "cleared" if clear else sent.state
    at = (sent.alarmClearedTime if clear else sent.alarmChangedTime if state == "updated" else sent.alarmRaisedTime) or sent.alarmChangedTime or now
    kind = cause.kind_of(sent.specificProblem) or cause.kind_of(sent.probableCause) or cause.kind_of(sent.alarmType)
    if not kind:
        raise Refusal("invalid", "the alarm has no cause", "probableCause", "write it as in linkDown, lossOfSignal, degradedSignal")
    event_id = sent.eventId or hashlib.sha256(f"{sent.externalAlarmId}\0{state}\0{iso(at)}".encode()).hexdigest()
    severity = sent.perceivedSeverity if sent.perceivedSeverity != "cleared" else "major"
    resource = sent.alarmedObject.id if sent.alarmedObject else ""
    services = list(dict.fromkeys(one.id for one in sent.affectedService)) or [""]
    several = len(services) > 1
    return [Event("tmf642", f"{event_id}/{service}" if several else event_id, f"{sent.externalAlarmId}/{service}" if several else sent.externalAlarmId, state,
                  kind, severity, at, sent.alarmDetails or f"{kind} {state}", service=service, resource=resource,
                  evidence={"externalAlarmId": sent.externalAlarmId, "probableCause": sent.probableCause},
                  planned=sent.plannedOutageIndicator.lower() in ("planned", "plannedoutage", "true", "inservice_planned")) for service in services]


def answer(found: Taken) -> Response:
    """What became of it: 201 where something of it was new."""
    return JSONResponse(found._asdict(), 201 if found.new else 200)


@router.post(PATH, status_code=201)
def raised(who: Who, sent: Told | Annotated[list[Told], Field(min_length=1, max_length=500)]) -> Response:
    """Tell an alarm, or up to 500. Told again it does nothing."""
    def act(desk: Desk) -> Response:
        desk.demand("alarm.write")
        told_all = sent if isinstance(sent, list) else [sent]
        found = alarm.take(desk, [event for one in told_all for event in events_of(one, desk.now)])
        if found.opened or found.raised:
            sweeping.seen_to(desk)
        return answer(found)
    return who.write(act)


@router.get(PATH)
def listed(who: Who, state: Short = "", perceivedSeverity: Short = "", probableCause: Short = "", service: Short = "", resource: Short = "",
           sourceSystemId: Short = "", offset: shape.Offset = 0, limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Alarms, those that changed last first."""
    def look(desk: Desk) -> JSONResponse:
        query = alarm.listed(desk, state=state, severity=perceivedSeverity, kind=probableCause, service=service, resource=resource, source=sourceSystemId)
        return shape.page(desk.session, query, offset, limit, told, fields)
    return who.read(look)


@router.get(PATH + "/{alarm_id}")
def one(who: Who, alarm_id: str) -> JSONResponse:
    """One alarm."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("ticket.read")
        return JSONResponse(told(desk.find(Alarm, alarm_id)))
    return who.read(look)


@router.patch(PATH + "/{alarm_id}")
def changed(who: Who, alarm_id: str, sent: Changed) -> Response:
    """Say that an alarm that was told here is over (state or perceivedSeverity `cleared`), or how grave it is now. What a probe, a ping or a trap raised is
    cleared by these."""
    def act(desk: Desk) -> Response:
        desk.demand("alarm.write")
        row = desk.find(Alarm, alarm_id, lock=True)
        clear = "cleared" in (sent.state, sent.perceivedSeverity) or sent.alarmClearedTime is not None
        if not clear and sent.perceivedSeverity is None:
            raise Refusal("invalid", "an alarm is cleared, or its severity changed", "state", "send state: cleared, or perceivedSeverity")
        alarm.say(desk, row, "cleared" if clear else "updated", sent.perceivedSeverity if not clear else None,
                  (sent.alarmClearedTime if clear else sent.alarmChangedTime) or desk.now)
        return JSONResponse(told(row))
    return who.write(act)


async def probe(request: Request, x_fullspan_signature: Annotated[str | None, Header(max_length=200)] = None) -> Caller:
    """Who sends alerts: a probe that signs them with the secret that both have, or anybody with a token."""
    office: Office = request.app.state.office
    if x_fullspan_signature is None:
        return await caller(request, None)
    body = await request.body()
    given = dict(part.partition("=")[::2] for part in x_fullspan_signature.split(","))
    now = given.get("t", "")
    if not office.settings.alerts_secret_file:
        raise Refusal("unauthorised", "no secret is set that would verify it", "alerts_secret_file", "set it, or send a token")
    made = hmac.new(secret(office.settings.alerts_secret_file, "alerts_secret_file").encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
    fresh = now.isdigit() and len(now) < 12 and abs(office.clock().timestamp() - int(now)) <= OLD
    if not hmac.compare_digest(made.encode(), given.get("v1", "").encode("utf-8", "replace")) or not fresh:
        raise Refusal("unauthorised", "the signature is of another secret, of something else, or too old", "X-Fullspan-Signature")
    return Caller(office, SYSTEM)


@router.post(ALERT, status_code=201)
def pushed(who: Annotated[Caller, Depends(probe)], sent: Cloud | Annotated[list[Cloud], Field(min_length=1, max_length=500)]) -> Response:
    """Take a state of an alert of a probe, or up to 500, as CloudEvents. Sent again it does nothing."""
    def act(desk: Desk) -> Response:
        desk.demand("alarm.write")
        some = sent if isinstance(sent, list) else [sent]
        found = alarm.take(desk, [sweeping.of_alert(one.data.model_dump(), desk.office.settings.lang) for one in some])
        if found.opened or found.raised:
            sweeping.seen_to(desk)
        return answer(found)
    return who.write(act)
