"""DingTalk, by a custom robot: a message in Markdown, signed in its address where the robot asks for it.

`timestamp` (ms) and `sign` are added to the address: Base64 of HMAC-SHA256 with the secret over the time, a line feed and the secret. The answer is 200
whether it was taken or not; its `errcode` says so.
"""
from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from urllib.parse import urlencode, urlsplit

from dpi.security.alert import Alert
from dpi.sinks.receiver import Kind, Later, Receiver, Refused, Sender
from dpi.sinks.web import Answer, Post, Poster, as_json
from dpi.sinks.wording import harmless, lines, said, title

KIND = Kind("a group of DingTalk", states=("raised", "cleared"), source="open.dingtalk.com: custom robot access; robot security settings")
_OFTEN = (-1, 130101, 130102, 410100)           # busy, or more than 20 messages a minute: it takes none for ten minutes
_WAIT = 60.0                                    # s


def sender(receiver: Receiver) -> Sender:
    """A message for each state."""
    return Poster(receiver, _post, _judge)


def signature(secret: str, now: int) -> str:
    """`sign` of a moment, ms, not yet escaped for an address."""
    return base64.b64encode(hmac.new(secret.encode(), f"{now}\n{secret}".encode(), hashlib.sha256).digest()).decode()


def _post(receiver: Receiver, alerts: Sequence[Alert], now: float) -> Post:
    alert, url, moment = alerts[0], receiver.url, int(now * 1000)
    head = harmless(title(alert, receiver.language))
    text = [f"#### {head}", harmless(said(alert, receiver.language)), *(f"- {harmless(name)}: {harmless(value)}" for name, value in lines(alert, receiver))]
    if receiver.secret:
        url += ("&" if urlsplit(url).query else "?") + urlencode({"timestamp": moment, "sign": signature(receiver.secret, moment)})
    message = {"msgtype": "markdown", "markdown": {"title": head, "text": "\n\n".join(text)}}
    return Post(as_json(message), {"Content-Type": "application/json; charset=utf-8"}, url)


def _judge(answer: Answer) -> None:
    code = answer.json().get("errcode")
    if code == 0:
        return
    if not isinstance(code, int):
        raise Later("an answer that is not DingTalk's", answered=True)
    if code in _OFTEN:
        raise Later(f"errcode {code}: busy, or too many messages", _WAIT, answered=True)
    raise Refused(f"errcode {code}: {'its keyword, signature or network does not fit' if code == 310000 else 'see the list of codes of open.dingtalk.com'}")
