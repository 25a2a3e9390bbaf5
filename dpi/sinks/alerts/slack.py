"""Slack, by an incoming web hook: a message of blocks. Its address is the secret.

Values are plain text to Slack; the line shown in notifications is its markup, in which & < > are escaped, so that no name off the wire calls upon a channel.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dpi.security.alert import Alert
from dpi.sinks.receiver import Kind, Receiver, Sender
from dpi.sinks.web import Post, Poster, as_json
from dpi.sinks.wording import lines, said, title

KIND = Kind("a channel of Slack", secret="none", states=("raised", "cleared"),
            source="api.slack.com: incoming webhooks; Block Kit header and section, their limits")
_FIELDS = 10        # of one section


def sender(receiver: Receiver) -> Sender:
    """A message for each state."""
    return Poster(receiver, _post)


def _post(receiver: Receiver, alerts: Sequence[Alert], now: float) -> Post:
    alert = alerts[0]
    head = title(alert, receiver.language)
    known = [_plain(f"{name}: {value}") for name, value in lines(alert, receiver, 1500)]
    blocks = [{"type": "header", "text": _plain(head)}, {"type": "section", "text": _plain(said(alert, receiver.language, 2900))},
              *({"type": "section", "fields": known[at:at + _FIELDS]} for at in range(0, len(known), _FIELDS))]
    return Post(as_json({"text": head.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"), "blocks": blocks}), {"Content-Type": "application/json"})


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}
