"""Alerts over HTTP: one request, one answer, judged by its status. TLS is verified, no redirect is followed, nothing secret is in what is raised or logged.

Why it failed is said by the kind of error and the status alone. What a server answers is never repeated: it may hold the address, which may hold a token.
"""
from __future__ import annotations

import json
import logging
import math
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import field
from email.utils import parsedate_to_datetime
from typing import Any

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, LocationParseError, NameResolutionError, NewConnectionError, ReadTimeoutError, SSLError

from dpi import __version__
from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.security.alert import Alert
from dpi.sinks.receiver import Later, Receiver, Refused

_LONGEST = 65_536           # bytes of an answer that are read
_PATIENCE = 3600.0          # s, the longest Retry-After that is honoured
_AGAIN = (408, 425, 429)    # of 4xx, those that mean later and not never
for _name in ("urllib3.connectionpool", "urllib3.connection", "urllib3.response"):     # they log addresses, tokens and all
    logging.getLogger(_name).disabled = True


@dataclass(frozen=True)
class Post:
    """A request. url: where other than the receiver's own."""
    body: bytes
    headers: dict[str, str] = field(repr=False)
    url: str = field(default="", repr=False)


@dataclass(frozen=True)
class Answer:
    """What came back."""
    status: int
    body: bytes = field(repr=False)
    after: float                            # s of Retry-After, 0 where there was none

    def json(self) -> dict[str, Any]:
        """The object it is; {} where it is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


Make = Callable[[Receiver, Sequence[Alert], float], Post]       # alerts, and the time: s since the epoch
Judge = Callable[[Answer], None]


class Poster:
    """Sends to one receiver. `judge` looks at answers whose status is well and raises Later or Refused."""

    def __init__(self, receiver: Receiver, make: Make, judge: Judge | None = None, every: float = 0.0) -> None:
        """UserError where its certificate authorities can't be read."""
        self._receiver, self._make, self._judge, self.every = receiver, make, judge, every
        self._pool = urllib3.PoolManager(1, maxsize=1, retries=False, timeout=urllib3.Timeout(connect=receiver.timeout, read=receiver.timeout),
                                         ssl_context=verifying(receiver), headers={"User-Agent": f"Fullspan/{__version__}", "Accept-Encoding": "identity"})

    def send(self, alert: Alert) -> None:
        """Returns when it was taken. Raises Later or Refused."""
        self.repeat((alert,))

    def repeat(self, alerts: Sequence[Alert]) -> None:
        """All of them in one request."""
        answer = self._exchange(self._make(self._receiver, alerts, time.time()))
        if not 200 <= answer.status < 300:
            raise judged(answer)
        if self._judge is not None:
            self._judge(answer)

    def close(self) -> None:
        """Close the connection."""
        self._pool.clear()

    def _exchange(self, post: Post) -> Answer:
        try:
            answer = self._pool.request("POST", post.url or self._receiver.url, body=post.body, headers={**self._pool.headers, **post.headers}, redirect=False,
                                        preload_content=False)
        except (HTTPError, OSError, ValueError) as error:
            raise Later(told(error, self._receiver.timeout)) from None      # no chain: what it came from says the address
        try:
            body = answer.read(_LONGEST, decode_content=False)
            return Answer(answer.status, body, retry_after(answer.headers.get("Retry-After", ""), time.time()))
        except (HTTPError, OSError, ValueError):
            # the status said it; only the words behind it are missing
            return Answer(answer.status, b"", 0.0)
        finally:
            if answer.length_remaining != 0:        # more than is read, or of no said length: the connection is of no further use
                answer.close()
            answer.release_conn()


def verifying(receiver: Receiver) -> ssl.SSLContext:
    """Checks the name and the chain, against the system's authorities or the receiver's. UserError where those can't be read."""
    try:
        return ssl.create_default_context(cafile=receiver.ca_file or None)
    except (OSError, ssl.SSLError):
        raise UserError("its certificate authorities can't be read", f"[alert.{receiver.name}] ca_file {receiver.ca_file}", "name a file in PEM") from None


def judged(answer: Answer) -> Later | Refused:
    """What a status that is not well means."""
    status = answer.status
    if 300 <= status < 400:
        return Later(f"it answers with a redirect ({status}), which is not followed: write the address it leads to", answered=True)
    if 400 <= status < 500 and status not in _AGAIN:
        return Refused(f"status {status}")
    return Later(f"status {status}", answer.after, answered=True)


def retry_after(text: str, now: float) -> float:
    """Seconds of a Retry-After (RFC 9110, 10.2.3): a number or a date; 0 where it is neither. At most an hour."""
    try:
        wait = float(text) if text.isascii() and text.isdigit() else parsedate_to_datetime(text).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(wait, 0.0), _PATIENCE) if math.isfinite(wait) else 0.0


def told(error: BaseException, timeout: int) -> str:
    """Why there was no answer, by what kind of error it was."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted: {inner.verify_message}"
        inner = inner.__cause__ or inner.__context__ or next((one for one in getattr(inner, "args", ()) if isinstance(one, BaseException)), None)
    if isinstance(error, NameResolutionError):
        return "its name can't be resolved"
    if isinstance(error, SSLError | ssl.SSLError):
        return "TLS could not be agreed on"
    if isinstance(error, ConnectTimeoutError | ReadTimeoutError | TimeoutError) and not isinstance(error, NewConnectionError):
        return f"no answer within {timeout} s"
    if isinstance(error, LocationParseError | ValueError):
        return "its address can't be read"
    cause = error.__cause__ if isinstance(error, NewConnectionError) else error
    return f"no connection: {cause.strerror}" if isinstance(cause, OSError) and cause.strerror else "the connection broke"


def as_json(value: Any) -> bytes:
    """Compact UTF-8; what is no text becomes question marks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
