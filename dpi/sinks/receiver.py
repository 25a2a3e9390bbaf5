"""A receiver of alerts: what the settings say of it, looked through, and what a file of dpi/sinks/alerts/ declares and gives.

Nothing here or in what is built on it says an address with a token, a secret or a signature to anybody but the receiver: neither repr nor errors do.
"""
from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import tzinfo
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.reports.language import LANGUAGES
from dpi.security.alert import Alert
from dpi.settings import AlertReceiver, Mail, Settings

SEVERITIES = ("low", "medium", "high", "critical")
STATES = ("raised", "updated", "cleared")
WEB = ("https", "http")


class Later(Exception):
    """It was not taken now, try again. `args[0]` says why without any secret; after: seconds it asks to be left alone; answered: it was there and said no."""

    def __init__(self, why: str, after: float = 0.0, answered: bool = False) -> None:
        super().__init__(why)
        self.after, self.answered = after, answered


class Refused(Exception):
    """It will never take this one. `args[0]` says why without any secret."""


@dataclass(frozen=True)
class Kind:
    """What a file of dpi/sinks/alerts/ declares of its kind of receiver."""
    words: str                              # what it is
    schemes: tuple[str, ...] = WEB          # of its address; none: it has no address
    secret: str = "optional"                # optional, needed or none
    states: tuple[str, ...] = STATES        # that are sent where the settings do not say which
    source: str = ""                        # of its format


@dataclass(frozen=True)
class Receiver:
    """One of them, ready to be sent to."""
    name: str
    kind: str
    states: tuple[str, ...]
    zone: tzinfo
    url: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    ca_file: str = ""
    trusted: bool = False
    least: str = "low"
    kinds: tuple[str, ...] = ()
    language: str = "en"
    timeout: int = 10
    form: str = "cef"
    to: tuple[str, ...] = ()
    spool_bytes: int = 16 << 20
    mail: Mail = field(default=Mail(), repr=False)

    def concerns(self, alert: Alert) -> bool:
        """Whether alerts of this kind and severity are for it. An unknown severity is."""
        grave = alert.severity not in SEVERITIES or SEVERITIES.index(alert.severity) >= SEVERITIES.index(self.least)
        return grave and (not self.kinds or any(fnmatchcase(alert.kind, one) for one in self.kinds))


class Sender(Protocol):
    """What gives alerts to one receiver; one thread uses it."""
    every: float            # s after which alerts that are not cleared are sent again; 0: they are not

    def send(self, alert: Alert) -> None:
        """Returns when the receiver has it. Raises Later or Refused."""

    def repeat(self, alerts: Sequence[Alert]) -> None:
        """These still stand. Raises Later or Refused."""

    def close(self) -> None:
        """Let go of what is open."""


def read(name: str, asked: AlertReceiver, settings: Settings, kinds: Mapping[str, Kind]) -> Receiver:
    """Look a receiver through. UserError names what is wrong with it, and no secret."""
    from dpi.reports.asking import zone_of

    where = f"[alert.{name}]"
    if not name or not all(letter.isalnum() or letter in "-_" for letter in name) or len(name) > 64:
        raise UserError("its name can't be that of a directory", where, "write letters, digits, - and _, at most 64")
    if asked.type not in kinds:
        raise UserError(f"type is {asked.type!r}", where, f"it may be {', '.join(kinds)}")
    kind = kinds[asked.type]
    states = tuple(one.strip() for one in asked.states.split(",") if one.strip()) or kind.states
    if set(states) - set(STATES):
        raise UserError(f"states is {asked.states!r}", where, f"it may be {', '.join(STATES)}; several are separated by commas")
    if asked.url and asked.url_file:
        raise UserError("url and url_file are both given", where, "leave one out")
    url = _first_line(asked.url_file, where, "url_file") if asked.url_file else asked.url
    if kind.schemes:
        looked_through(url, kind.schemes, where)
    elif url:
        raise UserError(f"{asked.type} has no url", where, "leave it out")
    if kind.secret == "needed" and not asked.secret_file:
        raise UserError("it has no secret", where, "name a file whose first line it is in secret_file, mode 0600")
    if kind.secret == "none" and asked.secret_file:
        raise UserError(f"{asked.type} takes no secret", where, "leave secret_file out")
    if asked.ca_file and not Path(asked.ca_file).is_file():
        raise UserError("there is no such file of certificate authorities", f"{where} ca_file {asked.ca_file}", "name one in PEM")
    language = asked.language or settings.report.lang
    if language not in LANGUAGES:
        raise UserError(f"language is {asked.language!r}", where, f"it may be {' or '.join(LANGUAGES)}")
    to = tuple(one.strip() for one in asked.to.split(",") if one.strip())
    if not kind.schemes:
        _mailed(to, settings.mail, where)
    return Receiver(name, asked.type, states, zone_of(settings), url, _first_line(asked.secret_file, where, "secret_file") if asked.secret_file else "",
                    asked.ca_file, bool(asked.trusted), asked.severity, tuple(one.strip() for one in asked.kinds.split(",") if one.strip()),
                    language, asked.timeout, asked.format, to, asked.spool_mb << 20, settings.mail)


def looked_through(url: str, schemes: Sequence[str], where: str) -> SplitResult:
    """The parts of an address. UserError, which does not say it: it may hold a token."""
    mend = f"write it as {schemes[0]}://host:port{'/path' if schemes == WEB else ''}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UserError("url is no address", where, mend) from None
    if parts.scheme not in schemes:
        raise UserError(f"url is not one of {', '.join(schemes)}", where, mend)
    if not parts.hostname or any(letter.isspace() or not letter.isprintable() for letter in url) or not url.isascii():
        raise UserError("url is no address", where, mend)
    if parts.username is not None or parts.password is not None:
        raise UserError("url holds a user or a password", where, "put what logs in into secret_file")
    if schemes != WEB and port is None:
        raise UserError("url has no port", where, mend)
    return parts


def _first_line(name: str, where: str, which: str) -> str:
    """Of a file that nobody else may read."""
    path = Path(name)
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UserError(f"others may read {which}", f"{where} {path}", f"chmod 600 {path}")
        line = path.read_text().partition("\n")[0].strip()
    except OSError as error:
        raise UserError(f"{which} can't be read: {error.strerror}", f"{where} {path}", "name a file whose first line it is") from None
    except UnicodeDecodeError:
        raise UserError(f"{which} is not text", f"{where} {path}", "write what it holds in its first line") from None
    if not line:
        raise UserError(f"{which} is empty", f"{where} {path}", "write what it holds in its first line")
    return line


def _mailed(to: Sequence[str], mail: Mail, where: str) -> None:
    if not to or any(one.count("@") != 1 or not one.isascii() or any(letter.isspace() or letter in "<>" or not letter.isprintable() for letter in one)
                     for one in to):
        raise UserError("to holds no mail addresses", where, "write them as noc@example.com, separated by commas, a domain of other letters as xn--...")
    if not (mail.host and mail.sender):
        raise UserError("mail has no server or no sender", where, "give [mail] host and sender")
