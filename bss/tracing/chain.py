"""The steps: what a thing's figures were made of, down to flows. things.py tells of each kind of thing; here is what they all lead to."""
from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from bss.desk import Desk
from bss.question import HOUR, MINUTE
from bss.refusal import Refusal
from bss.tables import Service
from bss.tracing import alert as alerts
from bss.tracing import flows, rollup
from bss.tracing.step import Figure, Rows, Said, Step, Way, ends

DAY = timedelta(days=1)
LINES = 2000            # rows of a table that are shown


def hours(desk: Desk, service_ids: Sequence[str], since: datetime, until: datetime, called: str = "") -> Step:
    """What services used in a time, by closed hour, category and application; each row leads to its flows. Refusal `away`."""
    ids = list(service_ids)
    found = rollup.hours(desk, ids, since, until)
    names = _circuits(desk, ids)
    lines: list[tuple[Figure, ...]] = []
    for one in found[:LINES]:
        way = Way("flows", one.service_id, *ends(one.begin, HOUR), "usage_1h", one.category, one.application)
        lines.append((Figure("service", names[one.service_id]), Figure("hour", one.begin), Figure("category", one.category),
                      Figure("application", one.application), Figure("down", one.down_bytes, way, "B"), Figure("up", one.up_bytes, way, "B"),
                      Figure("opened", one.flows), Figure("source", one.sources), Figure("revision", one.revision)))
    figures = [*_span(since, until), Figure("down", sum(one.down_bytes for one in found), unit="B"), Figure("up", sum(one.up_bytes for one in found), unit="B"),
               Figure("opened", sum(one.flows for one in found))]
    heads = ("service", "hour", "category", "application", "down", "up", "opened", "source", "revision")
    said = checked(desk, "usage_1h", ids, since, until, sum(one.down_bytes + one.up_bytes for one in found))
    return Step("hours", ids[0] if ids else "", called or ", ".join(names.values()), figures, [Rows("hours", heads, lines, len(found) > LINES)], said)


def minutes(desk: Desk, service_id: str, since: datetime, until: datetime) -> Step:
    """What a service carried by closed minute, with whether its probe saw it well; each minute leads to its flows. Refusal `away`."""
    found = {one.begin: one for one in rollup.minutes(desk, service_id, since, until)}
    told = desk.office.evidence.minutes(service_id, since, until)
    lines: list[tuple[Figure, ...]] = []
    for minute in told[:LINES]:
        one = found.get(minute.begin)
        way = Way("flows", service_id, *ends(minute.begin, MINUTE), "usage_1m")
        lines.append((Figure("minute", minute.begin), Figure("covered", minute.covered), Figure("down", minute.down_bytes, way, "B"),
                      Figure("up", minute.up_bytes, way, "B"), Figure("directions", None if one is None else f"direction{one.directions}"),
                      Figure("syn", None if one is None else one.syn_up), Figure("answered", None if one is None else one.syn_ack_down),
                      Figure("servers", None if one is None else one.servers), Figure("rtt", None if one is None or one.rtt_us is None else round(one.rtt_us)),
                      Figure("revision", None if one is None else one.revision)))
    figures = [*_span(since, until), Figure("minutes", len(told)), Figure("measured", sum(one.covered for one in told)),
               Figure("down", sum(one.down_bytes for one in told), unit="B"), Figure("up", sum(one.up_bytes for one in told), unit="B")]
    heads = ("minute", "covered", "down", "up", "directions", "syn", "answered", "servers", "rtt", "revision")
    said = checked(desk, "usage_1m", [service_id], since, until, sum(one.down_bytes + one.up_bytes for one in told))
    return Step("minutes", service_id, _circuits(desk, [service_id])[service_id], figures, [Rows("minutes", heads, lines, len(told) > LINES)], said)


def flow(desk: Desk, service_id: str, chosen: flows.Chosen) -> Step:
    """Flows of a service: their sums, and the rows for whoever may see them. Where they have gone that is said. Refusal `away`."""
    found = flows.sums(desk, [service_id], chosen)
    figures = [*_span(chosen.since, chosen.until), Figure("rows", found.rows), Figure("down", found.down_bytes, unit="B"),
               Figure("up", found.up_bytes, unit="B"), Figure("opened", found.flows)]
    figures += [Figure(name, value) for name, value in (("category", chosen.category), ("application", chosen.application)) if value is not None]
    slots = rollup.slots(desk, chosen.table, [service_id], chosen.since, chosen.until)
    said = [_state(one) for one in slots[:LINES]]
    tables: list[Rows] = []
    if desk.may("traffic.read"):
        heads = ("time", "own", "other", "protocol", "application", "server_name", "down", "up", "flags", "source", "flow_id")
        tables.append(Rows("flows", heads, [
            (Figure("time", one.time), Figure("own", one.own), Figure("other", one.other), Figure("protocol", one.protocol or str(one.transport)),
             Figure("application", one.application), Figure("server_name", one.server_name), Figure("down", one.down_bytes, unit="B"),
             Figure("up", one.up_bytes, unit="B"), Figure("flags", f"{one.own_flags:02x} {one.other_flags:02x}"), Figure("source", one.source or one.probe),
             Figure("flow_id", one.flow_id)) for one in flows.rows(desk, service_id, chosen)], found.rows > flows.SHOWN))
    else:
        said.append(Said("hidden", {}))
    return Step("flows", service_id, _circuits(desk, [service_id])[service_id], figures, tables, said)


def alert(desk: Desk, alert_id: str) -> Step:
    """An alert: what was counted, its detections, and the flows or the capture where they were seen. Refusal `missing`, `away`."""
    one = alerts.alert(desk, alert_id)
    way = Way("alertFlows", one.id) if alerts.followed(desk, one) else None
    figures = [Figure("alert_kind", one.kind), Figure("severity", one.severity), Figure("state", one.state), Figure("begin", one.begin), Figure("end", one.end),
               Figure("detections", one.firings), Figure("attacker", one.source), Figure("target", one.target), Figure("counted", one.evidence, way)]
    if one.service_id:
        figures.append(_service(desk, one.service_id))
    if one.capture_id:
        figures += [Figure("capture", one.capture), Figure("sha256", one.sha256)]
    heads = ("begin", "attacker", "target", "packets", "bytes", "opened", "distinct", "flow_id", "packet_number")
    found = alerts.detections(desk, one)
    lines: list[tuple[Figure, ...]] = [
        (Figure("begin", each.begin), Figure("attacker", each.source), Figure("target", each.target), Figure("packets", each.packets, way),
         Figure("bytes", each.bytes, way, "B"), Figure("opened", each.flows, way), Figure("distinct", each.distinct), Figure("flow_id", each.flow_id),
         Figure("packet_number", each.packet_number)) for each in found]
    return Step("alert", one.id, _called(desk, one), figures, [Rows("detections", heads, lines)], [])


def alert_flows(desk: Desk, alert_id: str) -> Step:
    """The rows of flows that an alert was counted from. Refusal `missing`, `away`."""
    one = alerts.alert(desk, alert_id)
    found = alerts.rows(desk, one)
    heads = ("time", "client", "server", "protocol", "client_packets", "server_packets", "client_bytes", "server_bytes", "flow_id")
    lines: list[tuple[Figure, ...]] = [
        (Figure("time", each.begin), Figure("client", each.client), Figure("server", each.server), Figure("protocol", each.protocol),
         Figure("client_packets", each.client_packets), Figure("server_packets", each.server_packets), Figure("client_bytes", each.client_bytes, unit="B"),
         Figure("server_bytes", each.server_bytes, unit="B"), Figure("flow_id", each.flow_id)) for each in found]
    said = [] if found else [Said("flows_gone" if one.condition else "no_condition", {}, False)]
    if one.capture_id:
        said.append(Said("in_capture", {"path": one.capture, "sha256": one.sha256}))
    return Step("alertFlows", one.id, _called(desk, one), [Figure("counted", one.evidence, Way("alert", one.id)), Figure("rows", len(found))],
                [Rows("flows", heads, lines, len(found) >= flows.SHOWN)], said)


def checked(desk: Desk, table: str, service_ids: Sequence[str], since: datetime, until: datetime, octets: int) -> list[Said]:
    """What can be said of the slots of a time: whether their rows are as they were closed, whether flows are still there, whether they add up to the same."""
    slots = rollup.slots(desk, table, service_ids, since, until)
    if not slots:
        return [Said("nothing_closed", {})]
    by = {state: [one for one in slots if one.state == state] for state in ("changed", "gone", "late", "whole")}
    said = [Said("unchanged", {"slots": len(slots), "revision": max(one.revision for one in slots)}, True)] if not by["changed"] else [
        Said("changed", {"slots": len(by["changed"]), "first": by["changed"][0].begin}, False)]
    if by["gone"]:
        said.append(Said("gone", {"slots": len(by["gone"]), "first": by["gone"][0].begin, "last": by["gone"][-1].begin}))
        return said
    if by["late"]:
        said.append(Said("late", {"slots": len(by["late"]), "first": by["late"][0].begin}, False))
    found = flows.sums(desk, service_ids, flows.Chosen(table, since, until))
    total = found.down_bytes + found.up_bytes
    said.append(Said("adds_up" if total == octets else "differs", {"rows": found.rows, "flows": total, "usage": octets}, total == octets))
    return said


def span(since: datetime | None, until: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    """The time that is meant: the last day where none is given, a day where one end is. Refusal: it ends before it begins."""
    end = until or (now if since is None else min(since + DAY, now))
    begin = since or end - DAY
    if end <= begin:
        raise Refusal("invalid", "the time ends before it begins", "until")
    return begin, end


def _state(one: rollup.Slot) -> Said:
    given = {"begin": one.begin, "source": one.source, "revision": one.revision, "digest": one.digest[:16], "now": one.now[:16], "made_of": one.flow_rows,
             "there": one.there}
    return Said(f"slot_{one.state}", given, {"whole": True, "gone": None}.get(one.state, False))


def _called(desk: Desk, one: alerts.Alert) -> str:
    """What an alert says, in the operator's language where it does."""
    return one.summary_zh if desk.office.settings.lang == "zh" and one.summary_zh else one.summary


def _service(desk: Desk, service_id: str) -> Figure:
    """The service of an alert: a way where the actor may see it, its circuit where it is known here."""
    row: Any = desk.session.execute(desk.select(Service).where(Service.id == service_id)).unique().scalar_one_or_none()
    if row is None or not desk.may("service.read"):
        row = desk.session.get(Service, service_id)
        return Figure("service", service_id if row is None else row.circuit)
    return Figure("service", row.circuit, Way("thing", service_id))


def _circuits(desk: Desk, ids: Sequence[str]) -> dict[str, str]:
    return {one: desk.find(Service, one).circuit for one in dict.fromkeys(ids)}


def _span(since: datetime, until: datetime) -> list[Figure]:
    return [Figure("since", since), Figure("until", until)]
