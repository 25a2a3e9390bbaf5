"""ClickHouse's HTTP interface, as much of it as reading takes: requests taken apart, answers and refusals put together.

GET or POST `/?query=...`; the query in the URL, in the body, or begun in one and ended in the other. Of the URL's other parameters `default_format`,
`database`, `query_id`, `param_NAME`, `enable_http_compression` and `client_protocol_version` count; settings of the engine are taken and not
followed. `/ping` and `/replicas_status` say Ok.
"""
from __future__ import annotations

import contextlib
import gzip
import io
import json
import re
import socket
import threading
import time
import uuid
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from dpi.store.access import Access
from dpi.store.notice import HEADER
from dpi.store.peer import user_at
from dpi.store.statement import Refusal

if TYPE_CHECKING:
    from dpi.store.answering import Answering, Reply

_LOCAL = ("localhost", "127.0.0.1")
_FIELDS = 1000          # parameters of a URL
#: ClickHouse's own status for its errors: what was asked wrongly, what is not there. All others: 500.
_STATUS = {**dict.fromkeys((6, 26, 27, 36, 38, 41, 43, 53, 62, 69, 72, 117, 130, 131, 168, 456, 457), 400),
           **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152), 404), 48: 501, 307: 413, 202: 503, 236: 503}
_TOO_LARGE, _NOT_TAKEN, _WRONG = 307, 48, 36


class Server(ThreadingHTTPServer):
    """Listens on 127.0.0.1; a thread for a connection, so many connections at once. OSError where the port is taken."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, answering: Answering, port: int) -> None:
        self.answering = answering
        self._free = threading.BoundedSemaphore(answering.limits.connections)
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        # HTTPServer would look the address up by name
        self.allow_reuse_address = True
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "localhost", self.socket.getsockname()[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            with contextlib.suppress(OSError):
                request.settimeout(1)
                request.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is gone is no error of ours, and stderr is the probe's."""


class _Timed(io.RawIOBase):
    """A socket's bytes, all of a request within one time: a client that sends a byte now and then does not hold a thread."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.until = 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request took too long")
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    server_version, sys_version = "fullspan", ""

    def setup(self) -> None:
        super().setup()
        self._limits = self.server.answering.limits
        self._input = _Timed(self.connection)
        self.rfile = io.BufferedReader(self._input)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def handle_one_request(self) -> None:
        self._input.until = time.monotonic() + self._limits.patience
        super().handle_one_request()

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        try:
            self._local()
            url = urlsplit(self.path)
            body = self._body()
            if url.path in ("/ping", "/replicas_status") or url.path == "/" and not url.query and not body:
                self._send(200, b"Ok.\n", {"Content-Type": "text/html; charset=UTF-8"})
            elif url.path.startswith("/fullspan/") and self.command == "POST":
                done = self.server.answering.guard.change(url.path, body, self._peer())
                self._send(200, json.dumps(done).encode(), {"Content-Type": "application/json"})
            elif url.path != "/":
                self._send(404, f"There is no handle {url.path}\n\nUse / or /ping for health checks, /?query=... for questions.\n".encode(), {})
            else:
                self._answer(url.query, body)
        except Refusal as refusal:
            self._refuse(refusal)

    def _peer(self) -> int:
        """The user id of who asks."""
        return user_at(self.client_address, self.connection.getsockname())

    def _access(self, given: dict[str, str]) -> Access:
        """Why it is asked: headers, text as in a URL; or parameters `fullspan_reason` and `fullspan_ticket`."""
        said = {name: unquote(self.headers.get(f"X-Fullspan-{name}", ""))[:1000] or given.get(f"fullspan_{name.lower()}", "")
                for name in ("Reason", "Ticket", "Kind", "Target", "Command")}
        return Access(said["Command"] or "http", said["Reason"], said["Ticket"], said["Kind"], said["Target"])

    def _local(self) -> None:
        """A page of the web whose name was made to mean this address says that name here."""
        named = [self.headers.get("Host", "")] + [value.split("://")[-1] for value in self.headers.get_all("Origin", [])]
        for name in named:
            if re.sub(r":\d+$", "", name.strip().lower()) not in _LOCAL:
                self.close_connection = True
                raise Refusal(516, "AUTHENTICATION_FAILED", "Only http://localhost and http://127.0.0.1 are answered")

    # ---- what was asked

    def _body(self) -> bytes:
        """The body, of a bounded size, out of its compression."""
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            body = self._chunks()
        else:
            length = self.headers.get("Content-Length", "0").strip()
            if not re.fullmatch(r"\d{1,18}", length, re.ASCII):
                self.close_connection = True
                raise Refusal(_WRONG, "BAD_ARGUMENTS", "The body's length is not a number")
            self._fits(int(length))
            body = self.rfile.read(int(length))
        how = self.headers.get("Content-Encoding", "").strip().lower()
        if how in ("gzip", "deflate"):
            unpack = zlib.decompressobj(47)                 # gzip or zlib, whichever it is
            try:
                body = unpack.decompress(body, self._limits.body + 1)
            except zlib.error as error:
                raise Refusal(_WRONG, "BAD_ARGUMENTS", f"The body is not {how}: {error}") from None
            self._fits(len(body))
        elif how not in ("", "identity"):
            raise Refusal(_NOT_TAKEN, "NOT_IMPLEMENTED", f"A body in the encoding {how} is not taken: send it in gzip or as it is")
        if self.headers.get_content_type() == "multipart/form-data":
            raise Refusal(_NOT_TAKEN, "NOT_IMPLEMENTED", "A form is not taken: send parameters in the URL")
        return body

    def _chunks(self) -> bytes:
        pieces, size = [], 0
        while True:
            line = self.rfile.readline(100).split(b";")[0].strip()
            if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", line):
                self.close_connection = True
                raise Refusal(_WRONG, "BAD_ARGUMENTS", "The body's chunks are damaged")
            length = int(line, 16)
            size += length
            self._fits(size)
            if not length:
                break
            pieces.append(self.rfile.read(length))
            self.rfile.readline(3)
        for _ in range(20):
            if self.rfile.readline(1000).strip() == b"":
                break
        return b"".join(pieces)

    def _fits(self, size: int) -> None:
        if size > self._limits.body:
            self.close_connection = True                    # the rest is not read
            raise Refusal(_TOO_LARGE, "TOO_MANY_BYTES", f"A body of {size} bytes is larger than the {self._limits.body} that are taken")

    def _answer(self, query: str, body: bytes) -> None:
        from dpi.store.answering import Question

        try:
            given = dict(parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_FIELDS))
            sql = "\n".join(part for part in (given.get("query", ""), body.decode()) if part)
        except ValueError as error:
            raise Refusal(_WRONG, "BAD_ARGUMENTS", f"The question is not UTF-8 text, or of too many parameters: {error}") from None
        for name in ("compress", "decompress"):
            if given.get(name, "0") not in ("", "0", "false"):
                raise Refusal(_NOT_TAKEN, "NOT_IMPLEMENTED", f"{name}=1, ClickHouse's own compression, is not spoken here: use gzip or none")
        number = re.sub(r"[^\w.:-]", "", given.get("query_id", ""))[:100] or str(uuid.uuid4())
        reply = self.server.answering.answer(Question(
            sql, given.get("default_format") or self.headers.get("X-ClickHouse-Format") or "TabSeparated",
            given.get("database") or self.headers.get("X-ClickHouse-Database") or "",
            {name.removeprefix("param_"): value for name, value in given.items() if re.fullmatch(r"param_\w+", name)},
            int(version) if (version := given.get("client_protocol_version", "")).isdecimal() and len(version) < 10 else 0,
            self._access(given), re.sub(r"\W", "", self.headers.get("X-Fullspan-Read", ""))[:32], self._peer()))
        data, how = self._packed(reply.answer.data, given.get("enable_http_compression", "0") in ("1", "true"))
        self._send(200, data, {**how, **self._told(reply), "X-ClickHouse-Query-Id": number})

    # ---- what is answered

    def _told(self, reply: Reply) -> dict[str, str]:
        answer = reply.answer
        summary = {"read_rows": answer.rows, "read_bytes": answer.bytes, "written_rows": 0, "written_bytes": 0, "total_rows_to_read": answer.rows,
                   "result_bytes": len(answer.data), "elapsed_ns": int(answer.seconds * 1e9)}
        return {"Content-Type": reply.kind or "text/plain; charset=UTF-8", "X-ClickHouse-Format": reply.form,
                "X-ClickHouse-Summary": json.dumps({name: str(value) for name, value in summary.items()}, separators=(",", ":"))}

    def _packed(self, data: bytes, wanted: bool) -> tuple[bytes, dict[str, str]]:
        """Compressed where the client asks for it in both ways that ClickHouse wants: a setting, and Accept-Encoding."""
        taken = {one.split(";")[0].strip().lower() for one in self.headers.get("Accept-Encoding", "").split(",")} if wanted else set()
        if "zstd" in taken:
            import zstandard

            return zstandard.ZstdCompressor(level=1).compress(data), {"Content-Encoding": "zstd"}
        if "gzip" in taken:
            return gzip.compress(data, 1), {"Content-Encoding": "gzip"}
        if "deflate" in taken:
            return zlib.compress(data, 1), {"Content-Encoding": "deflate"}
        return data, {}

    def _refuse(self, refusal: Refusal) -> None:
        self._send(403 if refusal.code in (497, 516) else _STATUS.get(refusal.code, 500), f"{refusal}\n".encode(),
                   {"Content-Type": "text/plain; charset=UTF-8", "X-ClickHouse-Exception-Code": str(refusal.code)})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-ClickHouse-Server-Display-Name", "fullspan")
        self.send_header("X-ClickHouse-Timezone", self.server.answering.zone)
        self.send_header(HEADER, self.server.answering.mark)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.connection.settimeout(self._limits.taking)     # of the whole answer: sendall counts it through
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What is no request at all."""
        self.close_connection = True
        if not hasattr(self, "headers"):
            self.request_version = "HTTP/1.1"
        self._send(code, f"{message or explain or 'not understood'}\n".encode(), {"Content-Type": "text/plain; charset=UTF-8"})

    def log_message(self, format: str, *args: Any) -> None:
        """Stderr is the probe's."""
