"""The probe's HTTP endpoint: /metrics for Prometheus, /healthz and /readyz for whoever starts and stops it.

One request a connection. A connection has SECONDS in all, however slowly its client writes or reads; where CONNECTIONS are open, the oldest is
cut for a new one, so that clients that send nothing can't keep a scrape out.
"""
from __future__ import annotations

import contextlib
import logging
import socket
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import TracebackType
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest

from dpi.errors import UserError
from dpi.health import Ask
from dpi.patience import Patience, Silent
from dpi.reports.prometheus import registry

ADDRESS, PORT = "127.0.0.1", 9470
SECONDS = 10.0          # of a connection, in all
CONNECTIONS = 32        # open at once
HEADERS = 100           # of a request
_LOOK = 0.25            # s between two looks for connections whose time is over
_TEXT = "text/plain; charset=utf-8"

log = logging.getLogger(__name__)


class Watch:
    """The endpoint, served by threads of its own between `with` or start() and close().

    `table_flows`: the flows each worker's table has room for. `address` may be IPv6; port 0: any free one, see `port`.
    UserError where it can't listen there.
    """

    def __init__(self, ask: Ask, *, table_flows: int, address: str = ADDRESS, port: int = PORT, seconds: float = SECONDS,
                 connections: int = CONNECTIONS) -> None:
        patient = Patience(ask)
        try:
            self._server = _Server(address, port, patient, table_flows, seconds, connections)
        except (OSError, OverflowError) as error:
            raise UserError(f"metrics can't be served there: {getattr(error, 'strerror', None) or error}", f"{address}:{port}",
                            "give another address or port, or end what listens there") from None
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_LOOK,), name="watch", daemon=True)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def close(self) -> None:
        """Answer no more; open connections are cut."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._server.cut(0.0)

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    request_queue_size = CONNECTIONS
    # the next start must not wait for connections of the last one to be forgotten
    allow_reuse_address = True

    def __init__(self, address: str, port: int, ask: Patience, table_flows: int, seconds: float, connections: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.ask, self.seconds, self.connections = ask, seconds, connections
        self.registry = registry(ask, table_flows=table_flows)
        self._open: dict[socket.socket, float] = {}     # when each was accepted, oldest first
        self._lock = threading.Lock()
        super().__init__((address, port), _Request)

    def server_bind(self) -> None:
        """Without HTTPServer's question to DNS for the name of its own address, which can take long and is used by nothing here."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def cut(self, seconds: float) -> None:
        """End connections older than that."""
        now = time.monotonic()
        with self._lock:
            for one, accepted in self._open.items():
                if now - accepted >= seconds:
                    _hang_up(one)       # its thread reads an end, or fails to write, and leaves

    def service_actions(self) -> None:
        self.cut(self.seconds)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            while len(self._open) >= self.connections:
                oldest = next(iter(self._open))
                del self._open[oldest]
                _hang_up(oldest)
            self._open[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no event; anything else is a bug."""
        gone = isinstance(sys.exception(), OSError)
        log.log(logging.DEBUG if gone else logging.ERROR, "a request ended early", exc_info=True, extra={"client": client_address[0]})


class _Request(BaseHTTPRequestHandler):
    server: _Server
    server_version, sys_version = "fullspan", ""
    error_content_type = _TEXT
    error_message_format = "%(code)d %(message)s\n"

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self.server.seconds)

    def parse_request(self) -> bool:
        """The library's limit on headers is a variable that other libraries raise."""
        if not super().parse_request():
            return False
        if len(self.headers) > HEADERS:
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return False
        return True

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._metrics()
        elif path == "/healthz":
            self._health(ready=False)
        elif path == "/readyz":
            self._health(ready=True)
        else:
            self._send(HTTPStatus.NOT_FOUND, "there are /metrics, /healthz and /readyz\n")

    do_HEAD = do_GET

    def _metrics(self) -> None:
        try:
            encode, kind = choose_encoder(self.headers.get("Accept", ""))
        except (ValueError, TypeError):     # a version that is none
            encode, kind = generate_latest, CONTENT_TYPE_PLAIN_0_0_4
        try:
            body = encode(self.server.registry)
        except Silent as silent:
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, f"{silent}\n")
        else:
            self._send(HTTPStatus.OK, body, kind)

    def _health(self, ready: bool) -> None:
        try:
            health = self.server.ask()
        except Silent as silent:
            trouble = str(silent)
        else:
            trouble = health.trouble if ready else ""
        self._send(HTTPStatus.SERVICE_UNAVAILABLE if trouble else HTTPStatus.OK, (trouble or "ok") + "\n")

    def _send(self, status: HTTPStatus, body: str | bytes, kind: str = _TEXT) -> None:
        content = body.encode("utf-8", "replace") if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes come every few seconds: only for those who look for them."""
        log.debug(format, *args, extra={"client": self.client_address[0]})


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):      # it may have ended by itself
        connection.shutdown(socket.SHUT_RDWR)
