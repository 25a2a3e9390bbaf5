"""What goes wrong in the month, and what people do about it: planned work, alarms, a contractor who is too early, a silent OLT, an attack. Each is told by its
source at its time; what is measured decides."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import select

from bss.desk import Desk
from bss.question import EPOCH
from bss.refusal import Refusal
from bss.tables import Ticket, User
from bss.tickets import alarm, dispatch, linkstate, sweeping, transition, window
from bss.tickets.alarm import Event
from pcaps.make.network import Trouble
from pcaps.make.sample import Operator

MINUTE = timedelta(minutes=1)
Span = tuple[datetime, datetime]


class Refused(NamedTuple):
    """A ticket that was claimed to be restored before it was: what was answered, and how many seconds too early it was said."""
    ticket: str
    why: str
    gap: int


def plan(operator: Operator, name: str, span: Span, told: datetime) -> str:
    """Work that is announced and approved; the window's id."""
    operator.at(told)
    made: str = operator.act("assure", lambda desk: window.plan(desk, kind="maintenance", since=span[0], until=span[1], reason="割接:更换光模块",
                                                                services=[operator.ids[name]], announced=told).id)
    operator.act("manager", lambda desk: window.move(desk, made, "approved"))
    return made


def link_down(operator: Operator, name: str, span: Span) -> None:
    """The network management says that a line was down, once it is up again."""
    operator.at(span[1] + 5 * MINUTE)
    operator.act("assure", lambda desk: linkstate.tell(desk, state="down", service_id=operator.ids[name], since=span[0], until=span[1], source="snmp",
                                                       evidence={"trap": "linkDown", "interface": f"line {name}"}))


def outage(operator: Operator, name: str, span: Span) -> Refused:
    """An alarm, a contractor who says after fifty minutes that it is over, a refusal, and the end once traffic is back."""
    begin, end = span
    service = operator.ids[name]

    def event(number: int, state: str, at: datetime) -> Event:
        key = f"{name}-{begin:%d%H%M}"
        return Event("tmf642", f"{key}-{number}", key, state, "service_down", "critical", at, f"{name}: 业务中断", service=service)

    operator.at(begin + 3 * MINUTE)
    _take(operator, [event(1, "raised", begin + 2 * MINUTE)])
    ticket = _ticket(operator, service)
    operator.at(begin + 8 * MINUTE)
    operator.act("assure", lambda desk: transition.move(desk, ticket, "inProgress"))
    field = _user(operator, "field")
    sent: str = operator.act("assure", lambda desk: dispatch.send(desk, kind="repair", owner_id=field, task="现场排障,测试光路", ticket_id=ticket).id)
    operator.at(begin + 15 * MINUTE)
    operator.act("field", lambda desk: dispatch.move(desk, sent, "accepted"))
    operator.at(begin + 40 * MINUTE)
    operator.act("field", lambda desk: dispatch.move(desk, sent, "arrived"))
    operator.at(begin + 50 * MINUTE)
    operator.act("field", lambda desk: transition.claim(desk, ticket, how="已恢复"))
    why = ""
    try:
        operator.act("field", lambda desk: transition.move(desk, ticket, "resolved", "已恢复"))
    except Refusal as refusal:
        why = refusal.what
    if not why:
        raise Trouble("a ticket was resolved though its line was down")
    operator.at(end + 8 * MINUTE)
    _take(operator, [event(2, "cleared", end)])
    operator.act("field", lambda desk: transition.move(desk, ticket, "resolved", "更换光模块"))
    operator.act("field", lambda desk: dispatch.move(desk, sent, "done", "更换光模块,测试正常"))
    with operator.office.reading() as desk:
        gap = int(desk.find(Ticket, ticket).restoration["gap_seconds"])
    operator.act("assure", lambda desk: transition.move(desk, ticket, "closed"))
    return Refused(ticket, why, gap)


def silent(operator: Operator, names: Sequence[str], span: Span) -> tuple[str, int]:
    """Services behind one OLT that fall silent together: one parent ticket, and how many children it has."""
    begin, end = span
    services = [operator.ids[name] for name in names if name in operator.ids]

    def events(state: str, at: datetime) -> list[Event]:
        return [Event("tmf642", f"olt-{one}-{state}", f"olt-{one}", state, "onu_offline", "critical", at + k * timedelta(seconds=5), "ONU 离线", service=one)
                for k, one in enumerate(services)]

    operator.at(begin + 4 * MINUTE)
    _take(operator, events("raised", begin + 2 * MINUTE))
    with operator.office.reading() as desk:
        tickets: Any = desk.session.execute(select(Ticket).where(Ticket.service_id.in_(services), Ticket.parent_id.is_not(None))).scalars().all()
        children, parents = len(tickets), {one.parent_id for one in tickets}
    operator.at(end + 6 * MINUTE)
    _take(operator, events("cleared", end))
    if len(parents) > 1:
        raise Trouble(f"one OLT became {len(parents)} parents")
    return next(iter(parents), ""), children


def attack(operator: Operator, name: str, begin: datetime) -> str:
    """What the engine has seen in the replayed day becomes a ticket of who was hit, told as a probe tells it while it lasts; what is proposed against it is
    approved. The ticket's id."""
    rows = operator.office.evidence.rows(
        "SELECT alert_id, kind, severity, customer_id, service_id, shared_by, target, summary, summary_zh, probe, evidence, toUnixTimestamp64Micro(first_time) "
        "FROM alerts FINAL WHERE service_id = {id:String} AND capture_id != 0 ORDER BY first_time LIMIT 1", {"id": operator.ids[name]}, "alerts",
        [operator.ids[name]])
    if not rows:
        raise Trouble("the engine has not seen the attack")
    names = ("alert_id", "kind", "severity", "customer_id", "service_id", "shared_by", "target", "summary", "summary_zh", "probe", "evidence")
    told: dict[str, Any] = dict(zip(names, rows[0], strict=False))
    at = EPOCH + timedelta(microseconds=int(rows[0][11]))
    told |= {"revision": 1, "state": "raised", "shared_by": int(told["shared_by"]), "first_time": at, "last_time": at}
    operator.at(begin + 5 * MINUTE)
    sweeping.intake(operator.office, [sweeping.of_alert(told, "zh")])
    ticket = _ticket(operator, operator.ids[name])
    operator.act("assure", lambda desk: transition.move(desk, ticket, "inProgress"))
    operator.act("manager", lambda desk: transition.decide(desk, ticket, True, "限速至 50 Mbit/s"))
    operator.at(begin + 30 * MINUTE)
    operator.act("assure", lambda desk: transition.move(desk, ticket, "resolved", "攻击停止"))
    return ticket


def _take(operator: Operator, events: Sequence[Event]) -> None:
    operator.act("assure", lambda desk: alarm.take(desk, events))
    operator.act("", lambda desk: sweeping.seen_to(desk))


def _ticket(operator: Operator, service: str) -> str:
    """The ticket of a service that was opened last."""
    with operator.office.reading() as desk:
        found = desk.session.execute(select(Ticket.id).where(Ticket.service_id == service).order_by(Ticket.created.desc(), Ticket.id.desc()).limit(1)).scalar()
    if found is None:
        raise Trouble(f"no ticket was opened for service {service}")
    return str(found)


def _user(operator: Operator, login: str) -> str:
    def look(desk: Desk) -> str:
        return str(desk.session.execute(select(User.id).where(User.login == login)).scalar_one())

    return operator.act("", look)
