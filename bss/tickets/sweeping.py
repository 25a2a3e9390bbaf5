"""What the probe knows by itself, fetched from its store each minute: its alerts, and what its ping says of the test addresses of services.

A sweep goes back some minutes behind the one before, since a probe writes late; what was taken already is known by its id. An alert's states are the probe's
word. A ping is a row a minute: two of three minutes without an answer raise an alarm, five with one clear it; each change is a link state at once.
"""
from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import select

from bss.database import lots
from bss.desk import Desk
from bss.office import Office
from bss.people.scope import SYSTEM, Actor
from bss.question import between, moment_of, second
from bss.refusal import Refusal
from bss.tables import Alarm, Service, SweepMark
from bss.tickets import linkstate
from bss.tickets.alarm import LOT, Event, Taken, take
from bss.tickets.linkstate import Say
from bss.tickets.storm import gather
from bss.tickets.telling import tell

FIRST = timedelta(days=1)           # that the first sweep looks back
BEHIND = timedelta(minutes=10)      # that each goes back behind the one before
MOST = 50_000                       # rows that are read at a time
PART = 3600                         # s of pings that are read at a time
RAISE, OF, CLEAR = 2, 3, 5          # slots
log = logging.getLogger("fullspan.bss.sweep")


class Slot(NamedTuple):
    """A minute of a test address: when it was told, and whether nobody answered."""
    at: datetime
    down: bool


def sweep(office: Office, argument: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Duty of each minute: alerts and pings. A store that is away is asked again in the next minute, and nothing is passed over."""
    try:
        return {"alerts": alerts(office, argument), "pings": pings(office, argument)}
    except Refusal as refusal:
        if refusal.kind != "away":
            raise
        log.warning("alerts and pings wait: %s", refusal)
        return {}


def alerts(office: Office, argument: Mapping[str, Any], actor: Actor = SYSTEM) -> dict[str, int]:
    """Take the alerts that the probe has stored. `replayed` of the argument: also those of captures that were replayed (as the setting `alerts_replayed` says
    always); `since`: from then on. Without a store there is nothing."""
    if office.settings.store == "none":
        return {}
    since = _since(office, "alerts", argument, actor)
    live = "" if argument.get("replayed") or office.settings.alerts_replayed else "AND capture_id = 0 "
    found, last = Taken(), (_micros(since), "", 0)
    while True:         # more may have been stored at one moment than are read at a time
        rows = office.evidence.rows(
            "SELECT alert_id, revision, kind, severity, state, toUnixTimestamp64Micro(first_time), toUnixTimestamp64Micro(last_time), customer_id, service_id, "
            "shared_by, target, summary, summary_zh, probe, toUnixTimestamp64Micro(stored_time) AS told, evidence FROM alerts "
            f"WHERE stored_time >= fromUnixTimestamp64Micro({last[0]}, 'UTC') {live}"
            f"AND (told, toString(alert_id), revision) > ({last[0]}, {{after:String}}, {last[2]}) "
            f"ORDER BY told, toString(alert_id), revision LIMIT {MOST}", {"after": last[1]}, "alerts")
        found = found.plus(intake(office, [_event(row, office.settings.lang) for row in rows], actor))
        if rows:
            last = int(rows[-1][14]), str(rows[-1][0]), int(rows[-1][1])
            _mark(office, "alerts", _moment(last[0]), actor)
        if len(rows) < MOST:
            return found._asdict()


def pings(office: Office, argument: Mapping[str, Any], actor: Actor = SYSTEM) -> dict[str, int]:
    """Take what the probe's ping says of services."""
    if office.settings.store == "none":
        return {}
    since, found = _since(office, "pings", argument, actor), Taken()
    for first, last in _parts(second(since), second(office.clock(), up=True) + 60):
        rows = office.evidence.rows(
            "SELECT service_id, toUnixTimestamp64Micro(time) AS at, state FROM link_state WHERE service_id != '' AND "
            f"{between(first, last, 'us')} ORDER BY at", {}, "link state")
        told: dict[str, list[Slot]] = defaultdict(list)
        for service, at, state in rows:
            told[str(service)].append(Slot(_moment(int(at)), state == "down"))
        for lot in lots(sorted(told), LOT):
            found = found.plus(office.act(actor, lambda desk, lot=lot, told=told: _pinged(desk, {key: told[key] for key in lot})))     # type: ignore[misc]
        if rows:
            _after(office, actor)
            _mark(office, "pings", _moment(int(rows[-1][1])), actor)
    return found._asdict()


def _parts(first: int, last: int) -> Iterator[tuple[int, int]]:
    """A time in parts, s: each has a row a minute of each test address, however many these are, and begins so far behind that what changes is seen."""
    for begin in range(first, last, PART):
        yield begin if begin == first else begin - int(BEHIND.total_seconds()), min(begin + PART, last)


def intake(office: Office, events: Sequence[Event], actor: Actor = SYSTEM) -> Taken:
    """Take any number of events, in lots, and see to storms and customers afterwards. Killed in the middle, the rest is taken when it is told again."""
    found, left = Taken(), iter(events)
    while lot := list(islice(left, LOT)):
        found = found.plus(office.act(actor, lambda desk, lot=lot: take(desk, lot)))       # type: ignore[misc]
    if found.opened or found.raised:
        _after(office, actor)
    return found


def seen_to(desk: Desk) -> None:
    """What follows from new tickets within one act: storms, and customers who are told."""
    gather(desk)
    tell(desk)


def slots(rows: Sequence[Slot]) -> list[Slot]:
    """One of each minute, in order: it is down where nobody answered in all of it, at any address."""
    by_minute: dict[int, list[Slot]] = defaultdict(list)
    for one in rows:
        by_minute[second(one.at)].append(one)
    found = []
    for minute in sorted(by_minute):
        held = sorted(by_minute[minute])
        down = all(one.down for one in held)
        found.append(next(one for one in held if one.down == down))
    return found


def debounced(told: Sequence[Slot], raised: bool) -> Iterator[tuple[str, datetime]]:
    """What changes by slots: raised by two of three that are down, with the time of the first of them; cleared by five that are not, with that of the first."""
    recent: list[Slot] = []
    for one in told:
        recent = [*recent, one][-CLEAR:]
        down = [slot for slot in recent[-OF:] if slot.down]
        if not raised and len(down) >= RAISE:
            raised = True
            yield "raised", down[0].at
        elif raised and len(recent) == CLEAR and not any(slot.down for slot in recent):
            raised = False
            yield "cleared", recent[0].at


def _pinged(desk: Desk, told: Mapping[str, Sequence[Slot]]) -> Taken:
    query: Any = desk.select(Service).where(Service.id.in_(list(told)))
    services: dict[str, Service] = {one.id: one for one in desk.session.execute(query).scalars()}
    alarms = {one.key: one for one in desk.session.execute(select(Alarm).where(Alarm.source == "ping", Alarm.key.in_(list(told)))).scalars()}
    says, events = [], []
    for key, rows in told.items():
        if (service := services.get(key)) is None:
            continue
        held = slots(rows)
        before: bool | None = None
        for n, one in enumerate(held):
            if one.down != before or n == len(held) - 1:
                says.append(Say("ping", service, "down" if one.down else "up", one.at, {"store": "link_state", "time": one.at.isoformat()}))
            before = one.down
        known = alarms.get(key)
        for state, at in debounced(held, known is not None and known.state != "cleared"):
            if known is None or at > known.changed:
                events.append(Event("ping", f"{key}/{int(at.timestamp())}/{state}", key, state, "ping_down", "critical", at,
                                    "its test address does not answer pings" if state == "raised" else "its test address answers pings", service=key,
                                    evidence={"store": "link_state", "time": at.isoformat()}))
    linkstate.tell_all(desk, says)
    return take(desk, events) if events else Taken()


def _event(row: tuple[Any, ...], lang: str) -> Event:
    alert, revision, kind, severity, state, first, last, customer, service, shared, target, said, said_zh, probe, _, evidence = row
    return of_alert({"alert_id": str(alert), "revision": int(revision), "kind": str(kind), "severity": str(severity), "state": str(state),
                     "first_time": _moment(int(first)), "last_time": _moment(int(last)), "customer_id": str(customer), "service_id": str(service),
                     "shared_by": int(shared), "target": str(target), "summary": str(said), "summary_zh": str(said_zh), "probe": str(probe),
                     "evidence": str(evidence)}, lang)


def of_alert(told: Mapping[str, Any], lang: str) -> Event:
    """An alert of the probe as an event: its id is the alert's with the revision, as in what the probe sends to web hooks."""
    link = re.search(r"\bsource = '([^']{1,64})'", str(told.get("evidence", "")).partition("; rows: ")[2])
    return Event("probe", f"{told['alert_id']}.{told['revision']}", str(told["alert_id"]), str(told["state"]), str(told["kind"]), str(told["severity"]),
                 told["last_time"], str(told["summary_zh"] if lang == "zh" and told["summary_zh"] else told["summary"]),
                 service=str(told["service_id"]), customer=str(told["customer_id"]), alert_id=str(told["alert_id"]), target=str(told["target"]),
                 evidence={"table": "alerts", "alert_id": str(told["alert_id"]), "revision": told["revision"], "probe": told["probe"],
                           "shared_by": told["shared_by"], **({"interface": link[1]} if link and not told["service_id"] else {})}, began=told["first_time"])


def _after(office: Office, actor: Actor) -> None:
    office.act(actor, seen_to)


def _since(office: Office, name: str, argument: Mapping[str, Any], actor: Actor) -> datetime:
    if argument.get("since"):
        return datetime.fromisoformat(str(argument["since"]))
    with office.reading(actor) as desk:
        desk.demand("alarm.write")
        row = desk.session.get(SweepMark, name)
    return office.clock() - FIRST if row is None else row.time - BEHIND


def _mark(office: Office, name: str, at: datetime, actor: Actor) -> None:
    def write(desk: Desk) -> None:
        row = desk.session.get(SweepMark, name, with_for_update=True)
        if row is None:
            desk.session.add(SweepMark(name=name, time=at))
        elif at > row.time:
            row.time = at
    office.act(actor, write)


def _micros(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000 + at.microsecond


def _moment(micros: int) -> datetime:
    return moment_of(micros // 1_000_000) + timedelta(microseconds=micros % 1_000_000)
