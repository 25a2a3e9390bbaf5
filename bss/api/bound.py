"""How large the body of a request may be: the one place, before anything reads it. Files that are attached may have what the settings say."""
from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST = 4 << 20               # bytes of a body
ATTACHED = "/fullspan/v1/attachment"


class _TooLarge(Exception):
    """More came than is taken."""


class Bound:
    """In front of an application: what is larger is answered with 413, whether it says so or not."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most, size, over, begun = _most(scope), 0, False, False
        stated = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if stated.isdigit() and int(stated[:20]) > most:
            await _refuse(send, most)
            return

        async def counted() -> Message:
            nonlocal size, over
            message = await receive()
            size += len(message.get("body", b""))
            if size > most:
                over = True
                raise _TooLarge
            return message

        async def told(message: Message) -> None:
            nonlocal begun
            if over and not begun:          # what the application makes of it is not what is wrong
                return
            begun = True
            await send(message)

        with suppress(_TooLarge):
            await self.app(scope, counted, told)
        if over and not begun:
            await _refuse(send, most)


def _most(scope: Scope) -> int:
    office: Any = scope["app"].state.office
    path = scope["path"].rstrip("/")
    attached = path == ATTACHED or (path.startswith("/work/") and path.endswith("/photo"))
    return (int(office.settings.attachment_mb) << 20) + LARGEST if attached else LARGEST


async def _refuse(send: Send, most: int) -> None:
    told = {"code": "413", "reason": f"the request is larger than {most >> 20} MB", "message": "send less at once", "referenceError": "body"}
    body = json.dumps(told).encode()
    await send({"type": "http.response.start", "status": 413, "headers": [(b"content-type", b"application/json"), (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
