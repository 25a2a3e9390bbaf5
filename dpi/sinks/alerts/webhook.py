"""A web hook: each state of an alert as one CloudEvent, signed.

The body is CloudEvents 1.0 in structured JSON. Its `id` is the alert's with the revision behind a dot: the same whenever it is sent again, so that a receiver
can drop what it has. The header X-Fullspan-Signature is `t=SECONDS,v1=HEX`, HEX being HMAC-SHA256 with the secret over SECONDS, a dot and the body; it is made
anew for every attempt, so that a receiver can refuse what is old.
"""
from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from dpi.flow.figures import iso
from dpi.security.alert import Alert
from dpi.sinks.receiver import Kind, Receiver, Sender
from dpi.sinks.web import Post, Poster, as_json
from dpi.sinks.wording import record

KIND = Kind("a web hook that takes CloudEvents", secret="needed", source="CloudEvents 1.0.2, JSON format 1.0.2 and HTTP binding 1.0.2, structured mode")


def sender(receiver: Receiver) -> Sender:
    """A request for each state."""
    return Poster(receiver, _post)


def event(alert: Alert) -> dict[str, Any]:
    """The CloudEvent."""
    moment = iso(alert.last_time)
    return {"specversion": "1.0", "id": f"{alert.alert_id}.{alert.revision}", "source": f"/fullspan/probes/{quote(alert.probe or '-', safe='')}",
            "type": f"fullspan.alert.{alert.state}", "subject": alert.alert_id, **({"time": moment} if moment.endswith("Z") else {}),
            "datacontenttype": "application/json", "data": record(alert)}


def signature(secret: str, now: int, body: bytes) -> str:
    """The header's value."""
    return f"t={now},v1={hmac.new(secret.encode(), f'{now}.'.encode() + body, hashlib.sha256).hexdigest()}"


def _post(receiver: Receiver, alerts: Sequence[Alert], now: float) -> Post:
    body = as_json(event(alerts[0]))
    return Post(body, {"Content-Type": "application/cloudevents+json; charset=utf-8", "X-Fullspan-Signature": signature(receiver.secret, int(now), body)})
