"""The endpoint in this process: its pages, and clients that are slow, wrong or many."""
from __future__ import annotations

import socket
import threading
import time
from dataclasses import replace

import pytest

from dpi.errors import UserError
from dpi.health import Health, StoreHealth, WorkerHealth
from dpi.patience import Patience, Silent
from dpi.watch import Watch
from tests.watch.processes import page, until

HEALTH = Health("p1", "0.1.0", "r7", began=1000.0, now=2000.0, workers=(WorkerHealth("span0", 0, packets=5),))


def sent(port: int, octets: bytes) -> bytes:
    """All that comes back."""
    with socket.create_connection(("127.0.0.1", port), 5) as one:
        one.sendall(octets)
        back = b""
        while piece := one.recv(65536):
            back += piece
        return back


def test_pages_follow_the_probe() -> None:
    now = [HEALTH]
    with Watch(lambda: now[0], table_flows=9, port=0) as watch:
        assert page(watch.port, "/healthz") == (200, "text/plain; charset=utf-8", "ok\n")
        assert page(watch.port, "/readyz?verbose")[0] == 200
        now[0] = replace(HEALTH, store=StoreHealth(away="127.0.0.1:9000: Connection refused"))
        assert page(watch.port, "/readyz") == (503, "text/plain; charset=utf-8", "127.0.0.1:9000: Connection refused\n")
        assert page(watch.port, "/healthz")[0] == 200
        now[0] = replace(HEALTH, workers=())
        assert page(watch.port, "/readyz")[::2] == (503, "no interface is being read\n")
        assert page(watch.port, "/other")[0] == 404 and page(watch.port, "/")[0] == 404
        assert page(watch.port, "/metrics", method="HEAD")[0::2] == (200, "")
        assert page(watch.port, "/metrics", "application/openmetrics-text; version=x.y;q=")[0] == 200


def test_a_probe_that_hangs_or_fails_is_unhealthy_within_a_second() -> None:
    gate, asked = threading.Event(), []

    def ask() -> Health:
        asked.append(1)
        gate.wait()
        return HEALTH

    with Watch(ask, table_flows=9, port=0) as watch:
        began = time.monotonic()
        assert page(watch.port, "/healthz")[::2] == (503, "the probe did not answer within 1 s\n")
        assert 0.9 < time.monotonic() - began < 2
        assert page(watch.port, "/metrics")[0] == 503 and page(watch.port, "/readyz")[0] == 503
        assert len(asked) == 1          # one thread waits, however many asked
        gate.set()
        assert until(lambda: page(watch.port, "/healthz")[0] == 200, 3, "healthy again")

    def fails() -> Health:
        raise TimeoutError("its lock")

    with Watch(fails, table_flows=9, port=0) as watch:
        assert page(watch.port, "/healthz")[0] == 503
        assert page(watch.port, "/metrics")[0] == 503
    with pytest.raises(Silent):
        Patience(lambda: [][1])()       # type: ignore[index]


@pytest.mark.parametrize(("octets", "code"), [
    (b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", b"501"), (b"nonsense\r\n\r\n", b"400"), (b"GET / HTTP/9.9\r\n\r\n", b"505"),
    (b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n", b"414"), (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", b"431"),
    (b"GET /\xff\xfe\x00 HTTP/1.1\r\n\r\n", b"404"),
])
def test_bad_requests_get_a_line_and_an_end(octets: bytes, code: bytes) -> None:
    with Watch(lambda: HEALTH, table_flows=9, port=0) as watch:
        answer = sent(watch.port, octets)
        assert code in answer.split(b"\n")[0] and len(answer) < 600 and b"<" not in answer, answer
        assert page(watch.port, "/healthz")[0] == 200


def test_slow_clients_are_cut_and_cannot_keep_others_out() -> None:
    with Watch(lambda: HEALTH, table_flows=9, port=0, seconds=1.0, connections=4) as watch:
        idle = [socket.create_connection(("127.0.0.1", watch.port), 5) for _ in range(12)]
        began = time.monotonic()
        assert page(watch.port, "/healthz")[0] == 200 and time.monotonic() - began < 0.8        # not after they are cut: now
        dripping = idle[-1]
        with pytest.raises(OSError):        # a byte now and then does not prolong it
            while time.monotonic() - began < 5:
                dripping.send(b"G")
                time.sleep(0.1)
        assert 0.9 < time.monotonic() - began < 3
        for one in idle[:-1]:
            one.settimeout(3)
            assert one.recv(1) == b""
        assert until(lambda: not [one for one in threading.enumerate() if "process_request_thread" in one.name], 3, "no thread stays")
        for one in idle:
            one.close()


def test_many_scrapes_at_once_are_whole() -> None:
    counted = iter(range(1_000_000))
    with Watch(lambda: replace(HEALTH, workers=(WorkerHealth("span0", 0, packets=next(counted)),)), table_flows=9, port=0) as watch:
        seen: list[list[float]] = []

        def scrape() -> None:
            mine = []
            for _ in range(15):
                status, _, text = page(watch.port, "/metrics")
                assert status == 200
                mine.append(float(next(line for line in text.splitlines() if line.startswith("fullspan_packets_total{")).split()[-1]))
            seen.append(mine)

        threads = [threading.Thread(target=scrape) for _ in range(6)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert len(seen) == 6 and all(mine == sorted(mine) for mine in seen)


def test_an_address_that_is_taken_or_none_is_told_with_its_mend() -> None:
    with Watch(lambda: HEALTH, table_flows=9, port=0) as watch:
        for address, port in (("127.0.0.1", watch.port), ("192.0.2.1", 0), ("127.0.0.1", 70000)):
            with pytest.raises(UserError, match="give another address or port"):
                Watch(lambda: HEALTH, table_flows=9, address=address, port=port)


def test_ipv6_loopback() -> None:
    with Watch(lambda: HEALTH, table_flows=9, address="::1", port=0) as watch, socket.create_connection(("::1", watch.port), 5) as one:
        one.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert b"200 OK" in one.recv(1000)
