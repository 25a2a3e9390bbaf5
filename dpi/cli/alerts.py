"""fullspan alerts: what was detected, who is hit, the rows and packets that prove it, and what people said of it."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from dpi.cli.reasons import permitted, reason_options
from dpi.errors import UserError

_STORE = click.option("--store", "store_url", metavar="URL", default="chdb:///fullspan.chdb", help="The store (default: fullspan.chdb in this directory).")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_ROWS = 20


@click.group("alerts", short_help="Attacks and faults: list, show with evidence, ack, mute.")
def command() -> None:
    """Alerts: what detectors found, folded into things that a person acts on. docs/detection.md."""


@command.command("list")
@_STORE
@click.option("--since", metavar="TIME", help="Only alerts that go on after this moment.")
@click.option("--severity", type=click.Choice(["low", "medium", "high", "critical"]), default="low", show_default=True, help="The least severity.")
@click.option("--kind", metavar="KIND", help="Only this kind.")
@click.option("--open", "open_", is_flag=True, help="Only alerts that are not cleared.")
@click.option("--muted", is_flag=True, help="Also those that are muted.")
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Language of the summaries.")
@reason_options
@_JSON
def list_(store_url: str, since: str | None, severity: str, kind: str | None, open_: bool, muted: bool, lang: str, reason: str, ticket: str, as_json: bool) -> None:
    """List alerts, the newest last, a line each."""
    from dpi.cli.moments import moment
    from dpi.store import alerts, open_store

    store = open_store(store_url, create=False)
    try:
        reading = permitted(store, "alerts", reason, ticket, "tables", "alerts")
        found = alerts.every(store, since=moment(since, "--since") or 0, severity=severity, kind=kind or "", open_only=open_, muted=muted)
        reading.told(len(found))
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for one in found:
        said = f" [{one['said']}]" if one["said"] else ""
        click.echo(_clean(f"{one['alert_id']}  {one['severity']:8} {one['state']:8} {one['first_time'][:19]}  {one['kind']}: {_summary(one, lang)}{said}"))
    click.echo(counted(len(found), "alert"))


@command.command("show")
@click.argument("alert_id", metavar="ID")
@_STORE
@click.option("--rows", type=click.IntRange(0, 10000), default=_ROWS, show_default=True, metavar="N", help="Show at most so many of the flows that prove it.")
@click.option("--pcap", metavar="OUT", help="Write the packets of these flows to this file.")
@click.option("--lang", type=click.Choice(["en", "zh"]), default="en", show_default=True, help="Language of the summary.")
@reason_options
@_JSON
def show(alert_id: str, store_url: str, rows: int, pcap: str | None, lang: str, reason: str, ticket: str, as_json: bool) -> None:
    """Show an alert, its detections and the flows that prove it; write their packets with --pcap."""
    from dpi.store import alerts, open_store

    store = open_store(store_url, create=False)
    try:
        reading = permitted(store, "alerts", reason, ticket, "alert", alert_id)
        one = alerts.one(store, alert_id)
        detections, actions = alerts.detections(store, one), alerts.actions(store, one)
        flows = alerts.proof(store, one, 10_000 if pcap else rows)
        captured = alerts.capture(store, one)
        reading.told(len(flows) + len(detections))
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps({**one, "detections": detections, "actions": actions, "flows": flows[:rows]}, ensure_ascii=False, indent=2))
    else:
        _print(one, detections, actions, flows[:rows], lang)
    if pcap:
        _write_packets(one, flows, captured, pcap, as_json)


@command.command("ack")
@click.argument("alert_id", metavar="ID")
@_STORE
@reason_options
@_JSON
def ack(alert_id: str, store_url: str, reason: str, ticket: str, as_json: bool) -> None:
    """Say that an alert is being looked at."""
    _act(store_url, alert_id, "ack", 0, reason, ticket, as_json)


@command.command("mute")
@click.argument("alert_id", metavar="ID")
@_STORE
@click.option("--until", metavar="TIME", help="End of the mute (default: none).")
@click.option("--off", is_flag=True, help="End a mute.")
@reason_options
@_JSON
def mute(alert_id: str, store_url: str, until: str | None, off: bool, reason: str, ticket: str, as_json: bool) -> None:
    """Leave an alert, and those to come of the same kind and address, out of the list, and tell no receiver of them."""
    from dpi.cli.moments import moment

    _act(store_url, alert_id, "unmute" if off else "mute", moment(until, "--until") or 0, reason, ticket, as_json)


@command.command("test")
@click.argument("name", metavar="NAME")
@_JSON
def test(name: str, as_json: bool) -> None:
    """Send a made-up alert to the receiver [alert.NAME], raised and then cleared. Exit 2 and why, where it is not taken."""
    from dpi import settings
    from dpi.sinks.announcer import test as try_out

    try_out(settings.load(), name)
    click.echo(json.dumps({"receiver": name, "taken": ["raised", "cleared"]}) if as_json else f"{_clean(name)} took a made-up alert, raised and then cleared")


def _act(url: str, alert_id: str, action: str, until: int, reason: str, ticket: str, as_json: bool) -> None:
    from dpi.store import alerts, open_store
    from dpi.store.audit import myself

    if not (reason.strip() or ticket.strip()):
        raise UserError(f"{action} has a reason", f"fullspan alerts {action}", "say why with --reason TEXT or --ticket NUMBER; it is kept in the audit table")
    store = open_store(url, create=False)
    try:
        done = alerts.change(store, {"alert_id": alert_id, "action": action, "until_time": until, "reason": reason, "ticket": ticket}, myself())
    finally:
        store.close()
    click.echo(json.dumps(done, ensure_ascii=False, indent=2) if as_json else _clean(f"{alert_id}  {action}  ({done['user']}@{done['host']})"))


def _summary(one: dict[str, Any], lang: str) -> str:
    return str(one["summary_zh" if lang == "zh" else "summary"])


def _clean(text: str) -> str:
    from dpi.reports.terminal import clean

    return clean(text)


def _print(one: dict[str, Any], detections: list[dict[str, Any]], actions: list[dict[str, Any]], flows: list[dict[str, Any]], lang: str) -> None:
    click.echo(_clean(_summary(one, lang)) + "\n")
    for name in ("kind", "severity", "state", "technique", "first_time", "last_time", "count", "source", "target", "customer_id", "service_id", "shared_by", "probe", "capture",
                 "evidence", "said"):
        if one.get(name) not in ("", 0, None):
            click.echo(f"{name:12} {_clean(str(one[name]))}")
    for action in actions:
        click.echo(_clean(f"{action['time'][:19]}  {action['action']} by {action['user']}@{action['host']}: {action['reason'] or action['ticket']}"))
    click.echo(f"\n{counted(len(detections), 'detection')}")
    for row in detections[-10:]:
        click.echo(_clean(f"  {row['time'][:26]}  {row['source'] or '*'} > {row['target'] or '*'}  {row['packets']} packets, {row['flows']} flows, {row['distinct_values']} distinct"))
    click.echo(f"\nflows that prove it, {len(flows)} of them:")
    for row in flows:
        click.echo(_clean(f"  {row['flow_id']}  {row['at']}  {row['client_ip']}:{row['client_port']} > {row['server_ip']}:{row['server_port']}  {row['ip_protocol']}  "
                          f"{row['client_packets']}/{row['server_packets']} packets  {row['protocol']}"))


def _write_packets(one: dict[str, Any], flows: list[dict[str, Any]], captured: list[dict[str, Any]], target: str, as_json: bool) -> None:
    """The packets of an alert's addresses and time, out of the capture they came from or of the probe's ring."""
    from dpi.cli.proof import packets

    said = packets(one, flows, captured, Path(target))
    click.echo(said, err=as_json)


def counted(count: int, thing: str) -> str:
    """So many of a thing."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
