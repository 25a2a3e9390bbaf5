"""Feishu (and Lark), by a custom bot: an interactive card, signed where the bot asks for it.

The signature is in the body: Base64 of HMAC-SHA256 of nothing, whose key is the time in seconds, a line feed and the secret. The answer is 200 whether it was
taken or not; its `code` says so. Values are plain text to Feishu.
"""
from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

from dpi.security.alert import Alert
from dpi.sinks.receiver import Kind, Later, Receiver, Refused, Sender
from dpi.sinks.web import Answer, Post, Poster, as_json
from dpi.sinks.wording import lines, said, title

KIND = Kind("a group of Feishu or Lark", states=("raised", "cleared"), source="open.feishu.cn: custom bot guide; message card")
_COLOURS = {"critical": "red", "high": "red", "medium": "orange", "low": "blue"}
_OFTEN = (9499, 11232)          # too many messages
_REASONS = {19021: "the signature or the clock is wrong", 19022: "this address may not send", 19024: "its keyword is missing"}


def sender(receiver: Receiver) -> Sender:
    """A card for each state."""
    return Poster(receiver, _post, _judge)


def signature(secret: str, now: int) -> str:
    """`sign` of a message."""
    return base64.b64encode(hmac.new(f"{now}\n{secret}".encode(), b"", hashlib.sha256).digest()).decode()


def _post(receiver: Receiver, alerts: Sequence[Alert], now: float) -> Post:
    alert = alerts[0]
    colour = "green" if alert.state == "cleared" else _COLOURS.get(alert.severity, "grey")
    texts = [said(alert, receiver.language), *(f"{name}: {value}" for name, value in lines(alert, receiver))]
    message = {"msg_type": "interactive", "card": {
        "config": {"wide_screen_mode": True}, "header": {"title": {"tag": "plain_text", "content": title(alert, receiver.language)}, "template": colour},
        "elements": [{"tag": "div", "text": {"tag": "plain_text", "content": text}} for text in texts]}}
    if receiver.secret:
        message |= {"timestamp": str(int(now)), "sign": signature(receiver.secret, int(now))}
    return Post(as_json(message), {"Content-Type": "application/json; charset=utf-8"})


def _judge(answer: Answer) -> None:
    found = answer.json()
    code = found.get("code", found.get("StatusCode"))
    if code == 0:
        return
    if not isinstance(code, int):
        raise Later("an answer that is not Feishu's", answered=True)
    if code in _OFTEN:
        raise Later(f"code {code}: too many messages", answered=True)
    raise Refused(f"code {code}: {_REASONS.get(code, 'see the list of codes of open.feishu.cn')}")
