"""What crosses the link in clear text is reported and never stored: replays of real and made conversations, and a search of all that they leave behind."""
from __future__ import annotations

import base64
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import dpkt
import pytest

from dpi.replaying import ReplayOptions, run
from dpi.schema import TABLES
from dpi.sinks.files import FileSink
from dpi.store import open_store

PCAPS = Path(__file__).parents[2] / "pcaps"
REAL = ("imap", "pop3", "smtp-submission", "ldap", "radius", "ftp", "mqtt", "mysql", "stun-turn", "xmpp", "snmp", "redis")
SECRET = "secret"           # the password in all of them
WORDS = {name: f"Geheim{name}7341" for name in ("query", "cookie", "basic", "proxy", "fragment", "setcookie", "location", "bearer", "ftp", "pop", "imap",
                                                    "body")}


def basic(word: str) -> str:
    return base64.b64encode(f"alice:{word}".encode()).decode()


def talks() -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """(server port, [(0 client or 1 server, what it says)])"""
    w = WORDS
    yield 80, [(0, f"GET /account/show?token={w['query']}&x=1#{w['fragment']} HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: curl/8\r\n"
                   f"Cookie: session={w['cookie']}\r\nAuthorization: Basic {basic(w['basic'])}\r\nProxy-Authorization: Basic {basic(w['proxy'])}\r\n"
                   f"Referer: http://shop.example.com/?back={w['query']}\r\n\r\n"),
               (1, f"HTTP/1.1 302 Found\r\nServer: nginx\r\nContent-Type: text/html\r\nSet-Cookie: id={w['setcookie']}\r\n"
                   f"Location: http://shop.example.com/next?once={w['location']}\r\nContent-Length: {len(w['body'])}\r\n\r\n{w['body']}"),
               (0, f"POST /login?u={w['query']} HTTP/1.1\r\nHost: shop.example.com\r\nAuthorization: Bearer {w['bearer']}\r\n"
                   f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(w['body']) + 9}\r\n\r\npassword={w['body']}"),
               (1, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")]
    yield 21, [(1, "220 ready\r\n"), (0, "USER alice\r\n"), (1, "331 password\r\n"), (0, f"PASS {w['ftp']}\r\n"), (1, "230 in\r\n"), (0, "QUIT\r\n"),
               (1, "221 bye\r\n")]
    yield 110, [(1, "+OK POP3 ready\r\n"), (0, "USER alice\r\n"), (1, "+OK\r\n"), (0, f"PASS {w['pop']}\r\n"), (1, "+OK\r\n"), (0, "QUIT\r\n"), (1, "+OK\r\n")]
    yield 143, [(1, "* OK IMAP4rev1 ready\r\n"), (0, f"a LOGIN alice {w['imap']}\r\n"), (1, "a OK in\r\n"), (0, "b LOGOUT\r\n"), (1, "b OK\r\n")]


class Talk:
    """One TCP conversation, as frames."""

    def __init__(self, number: int, port: int) -> None:
        self.ends, self.ports, self.at = (bytes([192, 0, 2, 10 + number]), bytes([198, 51, 100, 7])), (40_000 + number, port), [1000, 5000]

    def frame(self, side: int, flags: int, data: bytes = b"") -> bytes:
        other = 1 - side
        segment = dpkt.tcp.TCP(sport=self.ports[side], dport=self.ports[other], seq=self.at[side], ack=self.at[other] if flags & 16 else 0, flags=flags,
                               win=8192, data=data)
        self.at[side] += len(data) + (1 if flags & 3 else 0)
        packet = dpkt.ip.IP(src=self.ends[side], dst=self.ends[other], p=socket.IPPROTO_TCP, ttl=64, data=segment)
        return bytes(dpkt.ethernet.Ethernet(src=b"\2" * 6, dst=b"\4" * 6, data=packet))


def write(path: Path) -> None:
    """The conversations as a capture."""
    now = 1_700_000_000.0
    with path.open("wb") as file:
        out = dpkt.pcap.Writer(file)
        for number, (port, lines) in enumerate(talks()):
            talk = Talk(number, port)
            frames = [(0, 2, ""), (1, 18, ""), (0, 16, ""), *((side, 24, text) for side, text in lines), (0, 17, ""), (1, 17, ""), (0, 16, "")]
            for side, flags, text in frames:
                now += 0.01
                out.writepkt(talk.frame(side, flags, text.encode()), now)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all that a replay left: the store, rows as text, rows of every table as JSON."""
    folder = tmp_path_factory.mktemp("content")
    write(folder / "made.pcap")
    keep = folder / "kept"
    keep.mkdir()
    files = [FileSink(keep / f"{table}.jsonl", table) for table in ("flows", "dns", "tls", "http", "files")]
    with contextlib.closing(open_store(f"chdb://{keep}/store")) as store:
        run([str(folder / "made.pcap"), *(str(PCAPS / f"{name}.pcap") for name in REAL)], sinks=[store, *files], options=ReplayOptions())
        store.flush()
        for file in files:
            file.close()
        for table in TABLES:
            rows = store.query(f"SELECT * FROM {table}").rows
            (keep / f"{table}.rows").write_text("\n".join(map(repr, rows)))
        told = {str(row[0]) for row in store.query("SELECT DISTINCT source FROM flows WHERE has(risks, 'clear_text_credentials')")}
        (keep / "told").write_text(" ".join(sorted(told)))
    return keep


def found(left: Path, words: list[bytes]) -> list[tuple[str, bytes]]:
    return [(path.name, word) for path in left.rglob("*") if path.is_file() for data in [path.read_bytes()] for word in words if word in data]


def test_they_are_reported(left: Path) -> None:
    assert {"made.pcap", "imap.pcap", "pop3.pcap", "ldap.pcap"} <= set((left / "told").read_text().split())
    # what may be kept is there, so that the search below is one that finds
    assert found(left, [b"shop.example.com"]) and any("/account/show" in line for line in (left / "http.jsonl").read_text().splitlines())


def test_no_secret_is_left_anywhere(left: Path) -> None:
    words = [*WORDS.values(), *(basic(word) for word in WORDS.values()), *(word[:10] for word in WORDS.values())]
    assert found(left, [word.encode() for word in words]) == []
    real = [base64.b64encode(SECRET.encode()), base64.b64encode(b"\0alice\0secret"), base64.b64encode(b"alice:secret")]
    rows = [path for path in left.iterdir() if path.suffix in (".rows", ".jsonl")]
    assert rows and [(path.name, word) for path in rows for word in [SECRET.encode(), *real] if word in path.read_bytes()] == []
