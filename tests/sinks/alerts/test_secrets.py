"""TLS is verified, redirects are not followed, and nothing secret is in logs, errors or health: with servers that say all they know of a request."""
from __future__ import annotations

import base64
import logging
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dpi.errors import UserError
from dpi.settings import AlertReceiver, Settings
from dpi.sinks.alerts import sender
from dpi.sinks.announcer import Announcer
from dpi.sinks.announcer import test as try_out
from dpi.sinks.courier import Pace
from dpi.sinks.receiver import Later, Receiver
from tests.sinks.alerts.servers import Posted, alert, private, receiver, taking
from tests.watch.processes import free_port, until

TOKEN, SECRET = "T0K3N-of-the-address", "s3cret-that-signs"


def hook(folder: Path, url: str, **given: Any) -> Receiver:
    return receiver(**{"type": "webhook", "url": url, "secret_file": private(folder / "secret", SECRET), "timeout": 2, **given})


def test_a_certificate_that_is_not_trusted_or_another_host_s_is_refused(tmp_path: Path, tls: Path, other_tls: Path) -> None:
    def attempt(server: Path, **given: Any) -> str:
        with taking(tls=server) as one:
            writer = sender(hook(tmp_path, f"https://localhost:{one.port}/{TOKEN}", **given))
            try:
                writer.send(alert())
                return f"taken {len(one.posts)}"
            except Later as later:
                assert not one.posts
                return str(later)
            finally:
                writer.close()

    assert attempt(tls, ca_file=str(tls / "cert.pem")) == "taken 1"
    assert attempt(tls) == "its certificate is not accepted: self-signed certificate"                   # the system's authorities
    assert attempt(other_tls, ca_file=str(tls / "cert.pem")).startswith("its certificate is not accepted: self-signed")
    assert attempt(other_tls, ca_file=str(other_tls / "cert.pem")).startswith("its certificate is not accepted: Hostname mismatch")


def test_authorities_that_can_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate\n")
    for given in ({"type": "slack", "url": f"https://x.example/{TOKEN}"}, {"type": "syslog", "url": "tls://x.example:6514"}):
        with pytest.raises(UserError, match="certificate authorities can't be read"):
            sender(receiver(**given, ca_file=str(tmp_path / "ca.pem")))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(tmp_path: Path, status: int) -> None:
    with taking() as elsewhere, taking(lambda posted: (status, {"Location": f"http://127.0.0.1:{elsewhere.port}/"}, b"")) as server:
        writer = sender(hook(tmp_path, f"http://127.0.0.1:{server.port}/"))
        with pytest.raises(Later, match=f"redirect \\({status}\\)"):
            writer.send(alert())
        writer.close()
        assert len(server.posts) == 1 and not elsewhere.posts


def telling(posted: Posted) -> tuple[int, dict[str, str], bytes]:
    """An error page that repeats the whole request, with a code that every chat takes for a refusal."""
    words = f"{posted.path} {posted.headers}".replace('"', "'")
    return status[0], {"X-Echo": posted.path}, f'{{"code": 19021, "errcode": 310000, "errmsg": "{words}", "msg": "{words}"}}'.encode()


status = [200]


@pytest.mark.parametrize(("kind", "fault"), [
    *((kind, fault) for kind in ("webhook", "slack", "feishu", "dingtalk", "wecom", "teams", "alertmanager") for fault in ("200", "404")),
    *((kind, fault) for kind in ("webhook", "dingtalk") for fault in ("500", "302", "away", "garbage", "tls", "name"))])
def test_nothing_secret_is_said(kind: str, fault: str, tmp_path: Path, tls: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Everything logged at the lowest level, whatever goes wrong."""
    status[0] = int(fault) if fault.isdigit() else 500
    given: dict[str, Any] = {"secret_file": private(tmp_path / "secret", SECRET)} if kind in ("webhook", "feishu", "dingtalk", "alertmanager") else {}
    with caplog.at_level(logging.DEBUG), socket.create_server(("127.0.0.1", 0)) as garbage, taking(telling, tls=tls if fault == "tls" else None) as server:
        port = {"away": free_port(), "garbage": garbage.getsockname()[1]}.get(fault, server.port)
        host = "no-such-host.invalid" if fault == "name" else "localhost" if fault == "tls" else "127.0.0.1"
        to = receiver(type=kind, url=f"{'https' if fault == 'tls' else 'http'}://{host}:{port}/{TOKEN}?key={TOKEN}", timeout=1, **given)
        one = Announcer([to], tmp_path / "spool", Pace(0.05, 0.1))
        one.start()
        one(alert())
        if fault == "garbage":
            connection, _ = garbage.accept()
            connection.sendall(b"HTTP/1.1 200 \x00\r\n: no name\r\n" + b"x" * 70_000)
            connection.close()
        until(lambda: one.health()[0].failed >= 3 or one.health()[0].refused or one.health()[0].sent, 20, "attempts")
        told = f"{one.health()} {one!r} {to!r}"
        one.close()
    for record in caplog.records:
        told += f" {record.getMessage()} {vars(record)} {record.exc_info}"
    if one.health()[0].sent == 0:
        assert one.health()[0].trouble in told and any(getattr(record, "reason", "") == one.health()[0].trouble for record in caplog.records)
    signed = [value for posted in server.posts for name, value in posted.headers.items() if name in ("X-Fullspan-Signature", "Authorization")]
    for secret in (TOKEN, SECRET, base64.b64encode(SECRET.encode()).decode(), *signed):
        assert secret not in told


def test_a_receiver_is_tried_out_at_once(tmp_path: Path) -> None:
    def settings(port: int) -> Settings:
        return Settings(alert={"noc": AlertReceiver(type="slack", url=f"http://127.0.0.1:{port}/{TOKEN}", timeout=2), "wrong": AlertReceiver(type="nothing")})

    with taking() as server:
        try_out(settings(server.port), "noc")
        assert [b"[low] raised: A test" in one.body or b"[low] cleared: A test" in one.body for one in server.posts] == [True, True]
        with pytest.raises(UserError, match="no receiver is called 'night'"):
            try_out(settings(server.port), "night")
    with taking(lambda posted: (403, {}, b"")) as server, pytest.raises(UserError, match=r"\[alert.noc\]: it was not taken: status 403"):
        try_out(settings(server.port), "noc")


def test_alertmanager_is_logged_in_to(tmp_path: Path) -> None:
    for secret, value in (("noc:s3cret", f"Basic {base64.b64encode(b'noc:s3cret').decode()}"), ("t0ken", "Bearer t0ken")):
        with taking() as server:
            to = receiver(type="alertmanager", url=f"http://127.0.0.1:{server.port}/", secret_file=private(tmp_path / "secret", secret))
            for one in (to, replace(to, url=f"http://127.0.0.1:{server.port}/api/v2/alerts")):
                writer = sender(one)
                writer.send(alert())
                writer.close()
            assert [(posted.path, posted.headers["Authorization"]) for posted in server.posts] == [("/api/v2/alerts", value)] * 2
