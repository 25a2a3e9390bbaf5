"""What tests of receivers start: alerts, web servers that take or refuse them, certificates, and the settings of receivers."""
from __future__ import annotations

import contextlib
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from dpi.security.alert import Alert
from dpi.settings import AlertReceiver, Settings
from dpi.sinks.alerts import receivers
from dpi.sinks.receiver import Receiver

SAMPLE = Alert(alert_id="a1b2c3d4e5f60718", dedup_key="syn_flood|203.0.113.7", kind="syn_flood", signature_id=41, severity="high", state="raised",
               first_time=1_795_937_280_123_456, last_time=1_795_937_290_000_000, count=3, source="198.51.100.23", target="203.0.113.7", customer_id="C-88",
               service_id="S-17", shared_by=2, technique="T1498.001", summary="SYN flood of 203.0.113.7: 52000 packets a second, from 198.51.100.23 most",
               summary_zh="203.0.113.7 遭受 SYN 洪水攻击：每秒 52000 个包", evidence="target = '203.0.113.7' and 2001:db8:7:1::5 too", probe="probe-1",
               capture_id=2**63 + 5, revision=1)


def alert(**given: Any) -> Alert:
    return replace(SAMPLE, **given)


@dataclass
class Posted:
    """A request as it came."""
    path: str
    headers: dict[str, str]
    body: bytes


Reply = Callable[[Posted], tuple[int, dict[str, str], bytes] | None]        # None: it hangs up without a word


def well(posted: Posted) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, b"ok"


class Taker(ThreadingHTTPServer):
    """Keeps every request, and answers as `reply` says."""
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, reply: Reply = well, port: int = 0) -> None:
        self.posts: list[Posted] = []
        self.reply = reply
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no fault."""


class _Handler(BaseHTTPRequestHandler):
    server: Taker
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True      # head and body are two writes

    def do_POST(self) -> None:
        posted = Posted(self.path, dict(self.headers.items()), self.rfile.read(int(self.headers["Content-Length"])))
        answer = self.server.reply(posted)
        self.server.posts.append(posted)
        if answer is None:
            self.close_connection = True
            return
        status, headers, body = answer
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """pytest shows enough."""


@contextlib.contextmanager
def taking(reply: Reply = well, port: int = 0, tls: Path | None = None) -> Iterator[Taker]:
    """A server that runs; with `tls` the directory of its certificate."""
    with Taker(reply, port) as server:
        if tls is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(tls / "cert.pem", tls / "key.pem")
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def certificate(folder: Path, name: str = "localhost") -> Path:
    """A certificate of its own for a name, cert.pem and key.pem."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
                    "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)
    return folder


def private(path: Path, text: str) -> str:
    """A file that nobody else may read; its name."""
    path.write_text(f"{text}\n")
    path.chmod(0o600)
    return str(path)


def receiver(settings: Settings | None = None, **given: Any) -> Receiver:
    """One receiver, as `[alert.one]` with these values gives it."""
    return receivers(replace(settings or Settings(), alert={"one": AlertReceiver(**given)}))[0]
