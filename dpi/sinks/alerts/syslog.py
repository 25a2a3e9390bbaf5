"""Syslog: RFC 5424 over UDP (RFC 5426), TCP (RFC 6587, octets counted) or TLS (RFC 5425); what it says is CEF or JSON.

Syslog has no answers. Over TCP and TLS an alert counts as sent when the other machine's TCP has acknowledged every byte; what that machine loses afterwards
nobody can tell. Over UDP it counts when it was handed to the network: use UDP only where that does not matter.
"""
from __future__ import annotations

import contextlib
import fcntl
import json
import socket
import ssl
import struct
import termios
import time
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from urllib.parse import urlsplit

from dpi import __version__
from dpi.flow.figures import iso
from dpi.security.alert import Alert
from dpi.sinks.receiver import Kind, Later, Receiver, Sender
from dpi.sinks.web import told, verifying
from dpi.sinks.wording import one_line, record, said, shortened

KIND = Kind("a syslog server", schemes=("tls", "tcp", "udp"), secret="none",
            source="RFC 5424, 5425, 5426, 6587; ArcSight Common Event Format, revision 23")
_FACILITY = 16                                                          # local0
_SYSLOG = {"critical": 2, "high": 3, "medium": 4, "low": 5}             # RFC 5424, table 2
_CEF = {"critical": 10, "high": 8, "medium": 6, "low": 3}               # 0 to 10
_ESTABLISHED, _CLOSE_WAIT = 1, 8                                        # of TCP_INFO: the other end may still take, or did
_LONGEST = {"udp": 500}                                                 # letters of evidence


def sender(receiver: Receiver) -> Sender:
    """A line for each state. UserError where its certificate authorities can't be read."""
    return _Line(receiver)


def line(alert: Alert, receiver: Receiver, host: str) -> bytes:
    """The message, RFC 5424, section 6: without structured data, MSG in UTF-8 without a mark of byte order, which CEF's readers do not expect."""
    alert = replace(alert, evidence=shortened(alert.evidence, _LONGEST.get(urlsplit(receiver.url).scheme, 4000)), summary=shortened(alert.summary, 1000),
                    summary_zh=shortened(alert.summary_zh, 1000))
    moment = iso(alert.last_time)
    head = (f"<{_FACILITY * 8 + (6 if alert.state == 'cleared' else _SYSLOG.get(alert.severity, 5))}>1 {moment if moment.endswith('Z') else '-'} "
            f"{_printable(host, 255)} fullspan - {_printable(alert.state, 32)} - ")
    words = cef(alert, receiver.language) if receiver.form == "cef" else json.dumps(record(alert), separators=(",", ":"))
    return (head + words).encode("utf-8", "replace")


def cef(alert: Alert, language: str) -> str:
    """Common Event Format 0: its name is the kind, `msg` the summary; an address that is none (a network, masked) is in cs5 and cs6 alone."""
    head = "|".join(_barred(word) for word in ("Fullspan", "Fullspan", __version__, alert.kind, said(alert, language, 200), str(_CEF.get(alert.severity, 5))))
    words: dict[str, object] = {
        "rt": alert.last_time // 1000, "start": alert.first_time // 1000, "end": alert.last_time // 1000, "cnt": alert.count, "externalId": alert.alert_id,
        "act": alert.state, "cat": alert.kind, "dvchost": alert.probe, "msg": said(alert, language), "cn1": alert.revision, "cn1Label": "revision",
        "cn2": alert.shared_by, "cn2Label": "customersSharingTarget"}
    for key, label, value in (("cs1", "customerId", alert.customer_id), ("cs2", "serviceId", alert.service_id), ("cs3", "attackTechnique", alert.technique),
                              ("cs4", "evidence", alert.evidence), ("cs5", "source", alert.source), ("cs6", "target", alert.target)):
        if value:
            words |= {key: value, f"{key}Label": label}
    for value, four, six, label in ((alert.source, "src", "c6a2", "Source IPv6 Address"), (alert.target, "dst", "c6a3", "Destination IPv6 Address")):
        with contextlib.suppress(ValueError):
            words |= {four: value} if ip_address(value).version == 4 else {six: value, f"{six}Label": label}
    return f"CEF:0|{head}|" + " ".join(f"{name}={_equalled(str(value))}" for name, value in words.items())


def _barred(text: str) -> str:
    return one_line(text).replace("\\", "\\\\").replace("|", "\\|")


def _equalled(text: str) -> str:
    return one_line(text).replace("\\", "\\\\").replace("=", "\\=")


def _printable(text: str, longest: int) -> str:
    """A name of a header: printable ASCII without spaces, - where nothing is left."""
    return "".join(letter for letter in text if "!" <= letter <= "~")[:longest] or "-"


class _Line:
    every = 0.0

    def __init__(self, receiver: Receiver) -> None:
        parts = urlsplit(receiver.url)
        self._receiver, self._scheme, self._place = receiver, parts.scheme, (parts.hostname or "", parts.port or 0)
        self._context = verifying(receiver) if self._scheme == "tls" else None
        self._socket: socket.socket | None = None
        self._host = socket.gethostname()

    def send(self, alert: Alert) -> None:
        message = line(alert, self._receiver, self._host)
        try:
            if self._socket is not None and self._scheme != "udp" and self._gone(self._socket):
                self.close()
            if self._socket is None:
                self._socket = self._connected()
            if self._scheme == "udp":
                self._socket.send(message)
                self._gone(self._socket)            # nobody listening there: the machine may have said so by now
            else:
                self._socket.sendall(b"%d %s" % (len(message), message))
                self._acknowledged(self._socket)
        except OSError as error:        # ssl.SSLError and TimeoutError are too
            self.close()
            raise Later(told(error, self._receiver.timeout)) from None

    def repeat(self, alerts: Sequence[Alert]) -> None:
        """A line stands as it is."""

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        if self._scheme == "udp":
            family, kind, protocol, _name, place = socket.getaddrinfo(*self._place, type=socket.SOCK_DGRAM)[0]
            one = socket.socket(family, kind, protocol)
            one.settimeout(self._receiver.timeout)
            one.connect(place)
            return one
        plain = socket.create_connection(self._place, self._receiver.timeout)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return self._context.wrap_socket(plain, server_hostname=self._place[0]) if self._context is not None else plain
        except BaseException:
            plain.close()
            raise

    def _gone(self, one: socket.socket) -> bool:
        """Whether the other end has hung up. OSError where the connection broke."""
        one.settimeout(0)
        try:
            return self._scheme != "udp" and one.recv(4096) == b""
        except (BlockingIOError, ssl.SSLWantReadError):
            if self._scheme == "udp" and (error := one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
                raise OSError(error, "nobody listens there") from None
            return False
        finally:
            one.settimeout(self._receiver.timeout)

    def _acknowledged(self, one: socket.socket) -> None:
        """Wait until the other machine has every byte. OSError where it has not."""
        end, pause = time.monotonic() + self._receiver.timeout, 0.0005
        while struct.unpack("i", fcntl.ioctl(one.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]:
            if time.monotonic() > end:
                raise TimeoutError
            time.sleep(pause)
            pause = min(pause * 2, 0.1)
        # a connection that was reset has nothing left to send either
        if one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] not in (_ESTABLISHED, _CLOSE_WAIT):
            raise ConnectionResetError
