"""Prometheus Alertmanager, by its API v2. It takes for resolved what it has not heard of for `resolve_timeout` (5 minutes): what is raised is sent each minute.

Labels are what stays the same through an alert's life, but for the severity: where that grows, Alertmanager has another alert, and resolves the one before by
that timeout.
`secret_file` holds `user:password` for HTTP's basic scheme, or a token for its bearer scheme.
"""
from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from dpi.flow.figures import iso
from dpi.security.alert import Alert
from dpi.sinks.receiver import Kind, Receiver, Sender
from dpi.sinks.web import Post, Poster, as_json
from dpi.sinks.wording import one_line

KIND = Kind("Prometheus Alertmanager", source="Alertmanager: api/v2/openapi.yaml, postAlerts; configuration, resolve_timeout")
PATH = "/api/v2/alerts"
EVERY = 60.0            # s


def sender(receiver: Receiver) -> Sender:
    """An array of one for each state, and of all that stand each minute. The address may be that of its first page."""
    path = urlsplit(receiver.url).path.rstrip("/")
    return Poster(receiver if path.endswith(PATH) else replace(receiver, url=receiver.url.rstrip("/") + PATH), _post, every=EVERY)


def told(alert: Alert, now: int) -> dict[str, Any]:
    """One alert as the API takes it. now: us since the epoch; a beginning or an end in the future is now."""
    labels = {"alertname": alert.kind, "alert_id": alert.alert_id, "severity": alert.severity, "probe": alert.probe, "customer_id": alert.customer_id,
              "service_id": alert.service_id, "technique": alert.technique}
    notes = {"summary": alert.summary, "summary_zh": alert.summary_zh, "source": alert.source, "target": alert.target, "evidence": alert.evidence,
             "count": str(alert.count), "shared_by": str(alert.shared_by), "last_time": iso(alert.last_time), "revision": str(alert.revision)}
    begin = max(min(alert.first_time, now), 1)
    ends = {"endsAt": iso(max(min(alert.last_time, now), begin))} if alert.state == "cleared" else {}
    return {"labels": {name: one_line(value) for name, value in labels.items() if value},
            "annotations": {name: one_line(value) for name, value in notes.items() if value}, "startsAt": iso(begin), **ends}


def _post(receiver: Receiver, alerts: Sequence[Alert], now: float) -> Post:
    body = as_json([told(alert, int(now * 1e6)) for alert in alerts])
    headers = {"Content-Type": "application/json"}
    if receiver.secret:
        basic = ":" in receiver.secret
        headers["Authorization"] = f"Basic {base64.b64encode(receiver.secret.encode()).decode()}" if basic else f"Bearer {receiver.secret}"
    return Post(body, headers)
