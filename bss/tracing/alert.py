"""What an alert was made of: its newest state, the detections that were folded into it, and the flows or the capture in which they were seen."""
from __future__ import annotations

import re
from datetime import datetime
from typing import Any, NamedTuple

from bss.desk import Desk
from bss.question import moment_of
from bss.refusal import Refusal
from bss.tables import Alarm, Service, Ticket
from bss.tracing.flows import SHOWN
from bss.tracing.gate import ALERT

CONDITION = "; rows: "          # in an alert's evidence the condition of its rows of `flows` follows (docs/detection.md)
_ID = re.compile("[0-9a-f]{16}")
_MOST = 1000                    # detections that are shown


class Alert(NamedTuple):
    """The newest state of an alert. evidence: what was counted against which limit; capture: of a replay its file and digest, empty for live traffic."""
    id: str
    kind: str
    severity: str
    state: str
    begin: datetime
    end: datetime
    firings: int
    source: str
    target: str
    service_id: str
    summary: str
    summary_zh: str
    evidence: str
    condition: str
    probe: str
    capture_id: int
    capture: str
    sha256: str


class Detection(NamedTuple):
    """A firing of a detector."""
    begin: datetime
    end: datetime
    source: str
    target: str
    packets: int
    bytes: int
    flows: int
    distinct: int
    flow_id: str
    packet_number: int


class Seen(NamedTuple):
    """A row of flows that was counted."""
    begin: datetime
    client: str
    server: str
    protocol: str
    client_packets: int
    server_packets: int
    client_bytes: int
    server_bytes: int
    flow_id: str


def alert(desk: Desk, alert_id: str) -> Alert:
    """An alert of a service that the actor may see, or that a ticket or alarm names which he sees, who works here. Refusal `missing`: there is none for him;
    `away`."""
    if not any(desk.may(one) for one in ALERT):
        desk.demand(ALERT[0])
    if not _ID.fullmatch(alert_id):
        raise _missing(alert_id)
    rows = desk.office.evidence.rows(
        "SELECT kind, severity, state, toUnixTimestamp64Micro(first_time), toUnixTimestamp64Micro(last_time), count, source, target, service_id, summary, "
        "summary_zh, evidence, probe, toString(capture_id) FROM alerts FINAL WHERE alert_id = {id:String} ORDER BY revision DESC LIMIT 1", {"id": alert_id},
        "evidence of an alert", [alert_id])
    if not rows:
        raise _missing(alert_id)
    kind, severity, state, begin, end, count, source, target, service_id, summary, chinese, evidence, probe, capture = rows[0]
    if desk.actor.limited and not _seen(desk, Service, Service.id == str(service_id)) and not _named(desk, alert_id):
        raise _missing(alert_id)
    said, _, condition = str(evidence).partition(CONDITION)
    path, digest = "", ""
    if int(capture):
        for path, digest in desk.office.evidence.rows("SELECT path, sha256 FROM captures FINAL WHERE capture_id = {id:UInt64}", {"id": int(capture)},
                                                      "evidence of an alert", [alert_id]):
            path, digest = str(path), str(digest)
    return Alert(alert_id, str(kind), str(severity), str(state), moment_of(int(begin) // 1_000_000), moment_of(int(end) // 1_000_000), int(count), str(source),
                 str(target), str(service_id), str(summary), str(chinese), said, condition, str(probe), int(capture), path, digest)


def detections(desk: Desk, one: Alert) -> list[Detection]:
    """The firings behind it, by time. Refusal `away`."""
    rows = desk.office.evidence.rows(
        "SELECT toInt64(toUnixTimestamp64Micro(slot_begin)), toInt64(toUnixTimestamp64Micro(slot_end)), source, target, packets, bytes, flows, "
        "distinct_values, toString(flow_id), packet_number FROM detections WHERE alert_id = {id:String} "
        f"ORDER BY time LIMIT {_MOST}", {"id": one.id}, "evidence of an alert", [one.id])
    return [Detection(moment_of(int(begin) // 1_000_000), moment_of(int(end) // 1_000_000), str(source), str(target), int(packets), int(octets), int(flows),
                      int(distinct), str(flow), int(first)) for begin, end, source, target, packets, octets, flows, distinct, flow, first in rows]


def rows(desk: Desk, one: Alert, most: int = SHOWN) -> list[Seen]:
    """The rows of flows that it was counted from; none where they have gone, or the alert names none. Put on record. Refusal `away`; `forbidden`: they are of
    services that he may not see."""
    desk.demand("traffic.read")
    if not followed(desk, one):
        raise Refusal("forbidden", "its flows are of more services than you may see", f"alert {one.id}", "ask a colleague who sees all")
    if not one.condition:
        return []
    params: dict[str, Any] = {"probe": one.probe, "capture": one.capture_id}
    own = ""
    if one.service_id:
        desk.record("traffic.read", desk.find(Service, one.service_id), after={"alert": one.id})
        own, params["service"] = " AND (client_service_id = {service:String} OR server_service_id = {service:String})", one.service_id
    found = desk.office.evidence.rows(
        f"SELECT toInt64(toUnixTimestamp64Micro(interval_start)) AS at, {_end('client')}, {_end('server')}, protocol, client_packets, server_packets, "
        f"client_bytes, server_bytes, toString(flow_id) FROM flows AS f WHERE f.capture_id = {{capture:UInt64}} "
        f"AND f.probe = {{probe:String}}{own} AND ({one.condition}) ORDER BY at LIMIT {int(most)}", params, "evidence of an alert", [one.service_id or one.id])
    return [Seen(moment_of(int(at) // 1_000_000), str(client), str(server), str(protocol), int(packets), int(answers), int(octets), int(back), str(flow))
            for at, client, server, protocol, packets, answers, octets, back, flow in found]


def followed(desk: Desk, one: Alert) -> bool:
    """Whether the flows behind it are of services that the actor may see: of a whole link they are everybody's."""
    return not desk.actor.limited or bool(one.service_id) and _seen(desk, Service, Service.id == one.service_id)


def _named(desk: Desk, alert_id: str) -> bool:
    """Whether the actor, who works here, sees a ticket or an alarm that came of it."""
    return not desk.actor.outside and (_seen(desk, Ticket, Ticket.alert_id == alert_id) or _seen(desk, Alarm, Alarm.source == "probe", Alarm.key == alert_id))


def _seen(desk: Desk, table: Any, *where: Any) -> bool:
    return desk.session.execute(desk.select(table).where(*where).with_only_columns(table.id).limit(1)).first() is not None


def _end(side: str) -> str:
    return f"concat(replaceOne(toString({side}_ip), '::ffff:', ''), ' ', toString({side}_port))"


def _missing(alert_id: str) -> Refusal:
    return Refusal("missing", f"there is no alert {alert_id[:64]}", mend="look at the ticket that it led to")
