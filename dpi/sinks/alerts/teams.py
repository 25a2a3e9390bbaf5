"""Microsoft Teams, by a web hook of Workflows (Power Automate): an Adaptive Card. Its address is the secret; it answers 202 when the flow has begun."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dpi.security.alert import Alert
from dpi.sinks.receiver import Kind, Receiver, Sender
from dpi.sinks.web import Post, Poster, as_json
from dpi.sinks.wording import harmless, lines, said, title

KIND = Kind("a channel of Microsoft Teams", secret="none", states=("raised", "cleared"),
            source="learn.microsoft.com: send Adaptive Cards using an incoming webhook; adaptivecards.io: schema 1.4")
_COLOURS = {"critical": "attention", "high": "attention", "medium": "warning", "low": "accent"}


def sender(receiver: Receiver) -> Sender:
    """A card for each state."""
    return Poster(receiver, _post)


def _post(receiver: Receiver, alerts: Sequence[Alert], now: float) -> Post:
    alert = alerts[0]
    body: list[dict[str, Any]] = [
        {"type": "TextBlock", "text": harmless(title(alert, receiver.language)), "weight": "bolder", "size": "medium", "wrap": True,
         "color": "good" if alert.state == "cleared" else _COLOURS.get(alert.severity, "default")},
        {"type": "TextBlock", "text": harmless(said(alert, receiver.language)), "wrap": True},
        {"type": "FactSet", "facts": [{"title": name, "value": harmless(value)} for name, value in lines(alert, receiver)]}]
    card = {"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4", "msteams": {"width": "Full"},
            "body": body}
    message = {"type": "message", "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}]}
    return Post(as_json(message), {"Content-Type": "application/json"})
