"""Syslog: real receivers over UDP, TCP and TLS; octets counted, CEF and JSON read back."""
from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dpi.sinks.alerts import sender
from dpi.sinks.alerts.syslog import cef, line
from dpi.sinks.announcer import Announcer
from dpi.sinks.courier import Pace
from dpi.sinks.receiver import Later
from tests.sinks.alerts.servers import alert, receiver
from tests.watch.processes import free_port, until

HEAD = re.compile(r"<(\d+)>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z|-) ([!-~]+) fullspan - ([!-~]+) - (.*)", re.S)


def framed(data: bytes) -> list[bytes]:
    """Messages of a stream, their octets counted (RFC 6587, 3.4.1); what is cut at its end is left out."""
    found = []
    while (space := data.find(b" ")) > 0 and len(data) >= space + 1 + int(data[:space]):
        end = space + 1 + int(data[:space])
        found.append(data[space + 1:end])
        data = data[end:]
    return found


class Stream:
    """Takes connections and keeps what they say; hangs up after `each` messages where that is given."""

    def __init__(self, port: int, tls: Path | None, each: int) -> None:
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listening.getsockname()[1])
        self._context = None
        if tls is not None:
            self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._context.load_cert_chain(tls / "cert.pem", tls / "key.pem")
        self._each, self.messages, self.connections = each, list[bytes](), 0
        self._open: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                plain, _ = self._listening.accept()
                plain.settimeout(10)
                one = self._context.wrap_socket(plain, server_side=True) if self._context else plain
            except ssl.SSLError:
                continue
            except OSError:
                return
            self.connections += 1
            self._open = one
            with one, contextlib.suppress(OSError):
                data, had = b"", 0
                while piece := one.recv(65536):
                    data += piece
                    self.messages += framed(data)[had:]
                    had = len(framed(data))
                    if self._each and had >= self._each:
                        break

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        if self._open is not None:
            with contextlib.suppress(OSError):
                self._open.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)


@contextlib.contextmanager
def stream(port: int = 0, tls: Path | None = None, each: int = 0) -> Iterator[Stream]:
    one = Stream(port, tls, each)
    try:
        yield one
    finally:
        one.close()


def fields(text: str) -> tuple[list[str], dict[str, str]]:
    """A CEF reader of its own: header fields, and the extension."""
    parts = re.split(r"(?<!\\)(?:\\\\)*\|", text, maxsplit=7)
    found = re.findall(r"(\w+)=((?:\\.|[^\\=])*)(?= \w+=|$)", parts[7])
    return [re.sub(r"\\(.)", r"\1", part) for part in parts[:7]], {name: re.sub(r"\\(.)", r"\1", value) for name, value in found}


def test_cef_says_what_is_known_and_escapes_what_it_must() -> None:
    head, found = fields(cef(alert(summary="a|b\\c=d\ne", evidence="x = '1' and y\\z"), "en"))
    assert head[:3] == ["CEF:0", "Fullspan", "Fullspan"] and head[4:] == ["syn_flood", "a|b\\c=d e", "8"]
    assert {name: found[name] for name in ("src", "dst", "cnt", "act", "externalId", "cs1", "cs1Label", "cs4", "cn1", "rt", "msg", "dvchost")} == {
        "src": "198.51.100.23", "dst": "203.0.113.7", "cnt": "3", "act": "raised", "externalId": "a1b2c3d4e5f60718", "cs1": "C-88", "cs1Label": "customerId",
        "cs4": "x = '1' and y\\z", "cn1": "1", "rt": "1795937290000", "msg": "a|b\\c=d e", "dvchost": "probe-1"}
    _head, six = fields(cef(alert(source="2001:db8::1", target="203.0.113.0/24"), "zh"))
    assert (six["c6a2"], six["cs6"]) == ("2001:db8::1", "203.0.113.0/24") and not {"src", "dst"} & set(six) and six["msg"].startswith("203.0.113.7 遭受")


@pytest.mark.parametrize(("given", "number"), [({"severity": "critical"}, 130), ({"severity": "high"}, 131), ({"severity": "medium"}, 132),
                                               ({"severity": "low"}, 133), ({"state": "cleared"}, 134), ({"severity": "?"}, 133)])
def test_severity_is_in_the_priority(given: dict[str, Any], number: int) -> None:
    to = receiver(type="syslog", url="udp://127.0.0.1:514", format="json")
    found = HEAD.fullmatch(line(alert(**given), to, "host").decode())
    assert found and int(found[1]) == number and json.loads(found[5])["alert_id"] == "a1b2c3d4e5f60718"
    odd = HEAD.fullmatch(line(alert(last_time=2**63 - 1, state="a b\n", summary="\ud800"), to, " h\u00f6st\n").decode())
    assert odd and odd[2] == "-" and odd[3] == "hst"


def test_over_udp_with_a_line_for_each() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(5)
        one = sender(receiver(type="syslog", url=f"udp://127.0.0.1:{listening.getsockname()[1]}"))
        one.send(alert())
        one.send(alert(state="cleared", revision=2, evidence="証" * 50_000))
        first, second = listening.recv(65536), listening.recv(65536)
        one.close()
    found = HEAD.fullmatch(first.decode())
    assert found and (found[2], found[4]) == ("2026-11-29T07:28:10.000000Z", "raised") and found[5].startswith("CEF:0|Fullspan|Fullspan|")
    assert fields(second.decode().partition(" - ")[2].partition(" - ")[2])[1]["act"] == "cleared" and len(second) < 8192


def test_nobody_at_the_port_of_udp_is_noticed_where_the_machine_says_so() -> None:
    one = sender(receiver(type="syslog", url=f"udp://127.0.0.1:{free_port()}"))
    with pytest.raises(Later, match="no connection"):
        for _ in range(5):
            one.send(alert())
    one.close()


@pytest.mark.parametrize("over", ["tcp", "tls"])
def test_over_a_stream_all_arrive_once_also_through_hang_ups_and_an_outage(over: str, tls: Path, tmp_path: Path) -> None:
    certificate = tls if over == "tls" else None
    given = {"ca_file": str(tls / "cert.pem")} if over == "tls" else {}
    with stream(tls=certificate, each=7) as server:
        port = server.port
        one = Announcer([receiver(type="syslog", url=f"{over}://localhost:{port}", format="json", trusted=1, timeout=5, **given)], tmp_path, Pace(0.02, 0.1))
        one.start()
        for number in range(28):
            one(alert(alert_id=str(number), summary_zh="攻击\n" * 10))
            if number % 7 == 6:         # it hangs up when it has seven: what is under way then, it loses, and nobody can tell
                assert one.settled(20)
                until(lambda wanted=number + 1: len(server.messages) == wanted, 10, "seven more")      # type: ignore[misc]
        early = server.messages
        assert server.connections == 4
    one(alert(alert_id="late"))
    until(lambda: one.health()[0].failed, 10, "an attempt")
    with stream(port, certificate) as server:
        assert one.settled(20)
        until(lambda: server.messages, 10, "the last one")
        late = server.messages
    one.close()
    found = [HEAD.fullmatch(message.decode()) for message in early + late]
    names = [json.loads(one[5])["alert_id"] for one in found if one]
    assert set(names) == {*map(str, range(28)), "late"} and len(names) == 29


def test_a_certificate_of_another_is_refused(other_tls: Path) -> None:
    with stream(tls=other_tls) as server:
        one = sender(receiver(type="syslog", url=f"tls://localhost:{server.port}", ca_file=str(other_tls / "cert.pem")))
        with pytest.raises(Later, match="its certificate is not accepted: Hostname mismatch"):
            one.send(alert())
        one.close()
        assert not server.messages


def test_a_receiver_that_does_not_read_is_not_counted_as_sent() -> None:
    """Its window fills: what TCP has not acknowledged was not sent."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one = sender(receiver(type="syslog", url=f"tcp://127.0.0.1:{listening.getsockname()[1]}", format="json", timeout=1))
        with pytest.raises(Later, match="no answer within 1 s"):
            for _ in range(1000):
                one.send(alert(evidence="\u8a3c" * 4000))
        one.close()
