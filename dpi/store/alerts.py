"""Alerts as a store has them: their newest states, the detections and flows behind them, and what people did about them."""
from __future__ import annotations

import os
import time
from typing import Any, Protocol

import numpy as np

from dpi.batch import NULLS, Batch, Coded, Texts
from dpi.errors import UserError
from dpi.schema import TABLES
from dpi.store import Store, plain
from dpi.store.audit import Entry, Who, record
from dpi.store.parcel import Packing

SEVERITIES = ("low", "medium", "high", "critical")
ACTIONS = ("ack", "mute", "unmute")
ROWS = "; rows: "           # in the evidence of an alert: the condition of its rows follows
_MOST = 10_000
_MUTES = 100_000            # of the newest, those that are read
_SEE = "see them with: fullspan alerts list"


class Asked(Protocol):
    """A store that can be asked."""

    def query(self, sql: str) -> Any:
        """Its rows."""


def every(store: Store, since: int = 0, severity: str = "low", kind: str = "", open_only: bool = False, muted: bool = False) -> list[dict[str, Any]]:
    """The newest state of each alert, by time; `said`: what people did about it last. since: us; muted: those that are muted as well."""
    wanted = [f"'{one}'" for one in SEVERITIES[SEVERITIES.index(severity):]]
    parts = [f"severity IN ({', '.join(wanted)})", *(["kind = {kind:String}"] if kind else []), *(["state != 'cleared'"] if open_only else [])]
    found = _newest(store, " AND ".join(parts), {"kind": kind} if kind else {})
    done = _said(store)
    out = []
    for one in found:
        acts = done.get(one["alert_id"], []) + [act for act in done.get(one["dedup_key"], []) if act["action"] != "ack"]
        one["said"] = _standing(acts)
        if (muted or one["said"] != "muted") and _micros(one["last_time"]) >= since:
            out.append(one)
    return out


def one(store: Store, alert_id: str) -> dict[str, Any]:
    """The newest state of an alert. UserError: there is none."""
    if not alert_id.isalnum():
        raise UserError(f"not an alert's id: {alert_id!r}", "ID", _SEE)
    found = _newest(store, "alert_id = {id:String}", {"id": alert_id})
    if not found:
        raise UserError(f"no alert {alert_id}", store.url, _SEE)
    acts = actions(store, found[-1])
    return {**found[-1], "said": _standing(acts)}


def detections(store: Store, alert: dict[str, Any]) -> list[dict[str, Any]]:
    """The firings that were folded into it, by time."""
    names = ", ".join(f"toString({name}) AS {name}" if name in ("flow_id", "capture_id") else name for name in TABLES["detections"].names)
    sql = f"SELECT {names} FROM detections AS d WHERE d.alert_id = {{id:String}} ORDER BY d.time LIMIT {_MOST}"
    return _plain(store.query(sql, {"id": alert["alert_id"]}).dicts())


def actions(store: Store, alert: dict[str, Any]) -> list[dict[str, Any]]:
    """What people did about it, or about its key, in order."""
    names = ", ".join(f"toString({name}) AS {name}" if name == "action_id" else name for name in TABLES["alert_actions"].names)
    return store.query(f"SELECT {names} FROM alert_actions AS a WHERE a.alert_id = {{id:String}} OR (a.dedup_key = {{key:String}} AND a.action != 'ack') "
                       "ORDER BY a.action_id", {"id": alert["alert_id"], "key": alert["dedup_key"]}).dicts()


def proof(store: Store, alert: dict[str, Any], most: int) -> list[dict[str, Any]]:
    """Rows of `flows` that it was counted from, the first `most`; none where they have expired or the evidence names no rows."""
    _, _, condition = str(alert["evidence"]).partition(ROWS)
    if not condition:
        return []
    whose = f"f.capture_id = {int(alert['capture_id'])} AND f.probe = {{probe:String}}"
    names = "client_ip, client_port, server_ip, server_port, ip_protocol, client_packets, server_packets, client_bytes, server_bytes, protocol, interface, vlan"
    times = "toUnixTimestamp64Micro(interval_start) AS start_us, toUnixTimestamp64Micro(interval_end) AS end_us, toString(interval_start) AS at"
    sql = f"SELECT toString(f.flow_id) AS flow_id, {names}, {times} FROM flows AS f WHERE {whose} AND {condition} ORDER BY interval_start LIMIT {int(most)}"
    return _plain(store.query(sql, {"probe": alert["probe"]}).dicts())


def capture(store: Store, alert: dict[str, Any]) -> list[dict[str, Any]]:
    """The capture it is of: path, sha256, size; nothing for live traffic."""
    return store.query("SELECT path, sha256, size FROM captures FINAL WHERE capture_id = {id:UInt64}", {"id": int(alert["capture_id"])}).dicts()


def mutes(store: Asked) -> dict[str, int]:
    """Keys of alerts that are muted -> until, us; 0: for ever. Such as are over are among them."""
    newest: dict[str, int] = {}
    for key, action, until in store.query("SELECT dedup_key, action, until_time FROM alert_actions WHERE action IN ('mute', 'unmute') "
                                          f"ORDER BY action_id DESC LIMIT {_MUTES}"):
        newest.setdefault(str(key), -1 if str(action) != "mute" else 0 if until is None else _micros(until))
    return {key: until for key, until in newest.items() if until >= 0}


def change(store: Any, what: dict[str, Any], who: Who) -> dict[str, Any]:
    """Note what a person does: {alert_id, action, until_time (us, 0 none), reason, ticket}, wherever the store is: its owner does it where that is another."""
    done: dict[str, Any] = store.post("/fullspan/alert", what) if hasattr(store, "post") else asked(store, what, who)
    return done


def asked(store: Store, what: dict[str, Any], who: Who) -> dict[str, Any]:
    """The same in this process. UserError: no such alert; ValueError or KeyError: no such action. The audit row comes first."""
    action, until = str(what["action"]), int(what["until_time"])
    if action not in ACTIONS or not 0 <= until < 1 << 62:
        raise ValueError(f"an action is one of {', '.join(ACTIONS)}")
    alert = one(store, str(what["alert_id"]))
    reason, ticket = str(what["reason"]), str(what["ticket"])
    record(store, Entry(who, f"alerts {action}", reason, ticket, "action", f"{alert['alert_id']}: {alert['dedup_key']}"))
    now = time.time_ns() // 1000
    row: dict[str, Any] = {"action_id": now, "time": now, "alert_id": alert["alert_id"], "dedup_key": alert["dedup_key"], "action": action,
                           "until_time": until or NULLS["time?"], "reason": reason, "ticket": ticket, "user": who.user, "uid": who.uid, "host": who.host}
    packing = Packing(f"alerts-{os.getpid()}")
    kinds = {name: TABLES["alert_actions"].column(name).kind for name in row}
    packing.add(Batch("alert_actions", 1, {
        name: Texts.of([value]) if kinds[name] == "text" else Coded.of([value]) if kinds[name] == "code" else
        np.array([value], {"u32": np.uint32, "id": np.uint64}.get(kinds[name], np.int64)) for name, value in row.items()}))
    for gathering in packing.take(True):
        store.insert(packing.pack(gathering))
    return {**row, "until_time": until}


def _newest(store: Store, condition: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    names = ", ".join(f"toString({name}) AS {name}" if name == "capture_id" else name for name in TABLES["alerts"].names)
    # the highest revision is taken here: parts that were not merged yet hold several
    found: dict[str, dict[str, Any]] = {}
    for row in store.query(f"SELECT {names} FROM alerts AS a WHERE a.alert_id IN (SELECT alert_id FROM alerts WHERE {condition}) "
                           f"ORDER BY a.alert_id, a.revision", params).dicts():
        found[row["alert_id"]] = row
    return _plain(sorted(found.values(), key=lambda row: (str(row["first_time"]), row["alert_id"])))


def _said(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Actions by alert and, of mutes, by key."""
    out: dict[str, list[dict[str, Any]]] = {}
    for row in store.query("SELECT alert_id, dedup_key, action, until_time FROM alert_actions ORDER BY action_id").dicts():
        for name in ("alert_id", "dedup_key"):
            out.setdefault(row[name], []).append(row)
    return out


def _standing(acts: list[dict[str, Any]]) -> str:
    """'muted', 'acknowledged' or ''."""
    mutes = [act for act in acts if act["action"] in ("mute", "unmute")]
    if mutes and mutes[-1]["action"] == "mute" and (mutes[-1]["until_time"] is None or _micros(mutes[-1]["until_time"]) > time.time_ns() // 1000):
        return "muted"
    return "acknowledged" if any(act["action"] == "ack" for act in acts) else ""


def _micros(value: Any) -> int:
    from dpi.store.holds import _micros as micros

    return micros(value)


def _plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Numbers and text as JSON and people take them."""
    return [{name: plain(value) if not hasattr(value, "isoformat") else str(value) for name, value in row.items() if name != "stored_time"} for row in rows]
