"""WeCom (Weixin Work), by a group's robot: a message in Markdown of at most 4096 bytes. Its address is the secret.

The answer is 200 whether it was taken or not; its `errcode` says so.
"""
from __future__ import annotations

from collections.abc import Sequence

from dpi.security.alert import Alert
from dpi.sinks.receiver import Kind, Later, Receiver, Refused, Sender
from dpi.sinks.web import Answer, Post, Poster, as_json
from dpi.sinks.wording import fitting, harmless, lines, said, title

KIND = Kind("a group of WeCom", secret="none", states=("raised", "cleared"), source="developer.work.weixin.qq.com: group robot, message push")
_LONGEST = 4096         # bytes of UTF-8
_OFTEN = (-1, 45009, 45033)             # busy, or more than 20 messages a minute
_WAIT = 60.0            # s


def sender(receiver: Receiver) -> Sender:
    """A message for each state."""
    return Poster(receiver, _post, _judge)


def _post(receiver: Receiver, alerts: Sequence[Alert], now: float) -> Post:
    alert = alerts[0]
    colour = "info" if alert.state == "cleared" else "warning"
    text = [f"**<font color=\"{colour}\">{harmless(title(alert, receiver.language))}</font>**", harmless(said(alert, receiver.language, 600)),
            *(f"> {harmless(name)}: {harmless(value)}" for name, value in lines(alert, receiver, 300))]
    message = {"msgtype": "markdown", "markdown": {"content": fitting("\n".join(text), _LONGEST)}}
    return Post(as_json(message), {"Content-Type": "application/json; charset=utf-8"})


def _judge(answer: Answer) -> None:
    code = answer.json().get("errcode")
    if code == 0:
        return
    if not isinstance(code, int):
        raise Later("an answer that is not WeCom's", answered=True)
    if code in _OFTEN:
        raise Later(f"errcode {code}: busy, or too many messages", _WAIT, answered=True)
    raise Refused(f"errcode {code}: {'its address is not valid' if code == 93000 else 'see the list of codes of developer.work.weixin.qq.com'}")
