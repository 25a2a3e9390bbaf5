"""python -m benchmarks.soak [--minutes 30] [--rate 50000]: the whole probe with its store under load for long, its rules read anew ten times meanwhile.

Conversations of TCP (half of them end and begin anew all the time), DNS questions with answers, and UDP go across a veth pair. Memory of the probe and of its
engine is sampled each ten seconds. It fails where memory grows after warm-up by more than GROWTH, where a frame is lost or in no row, where a minute has
no row of coverage or tells of a gap, where a rule set that was read anew is not in force, or where a row waits or is lost at the end.
"""
from __future__ import annotations

import argparse
import contextlib
import json
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.flood import asked, check, failures
from benchmarks.measure import ordinary
from benchmarks.sender import Ring
from tests.hostile.samples import ether, ip4, udp
from tests.live.wire import FAR, NEAR, Wire, wire

ROOT = Path(__file__).resolve().parents[1]
RELOADS = 10
GROWTH = 0.05                   # of memory: the median of the last third against that of the time right after warm-up
SAMPLE = 10.0                   # s
TALKS = 2000                    # conversations of TCP at a time
SERVER = bytes((198, 51, 100, 7))
SYN, SYN_ACK, ACK, FIN = 2, 18, 16, 17
RULES = """
[[application]]
name = "Soak {number}"
category = "web"
names = ["soak{number}.example"]
"""


def segment(flags: int, client: int, port: int, payload: bytes, back: bool) -> bytes:
    """A frame of a conversation."""
    tcp = struct.pack(">HHIIBBHHH", *((80, port) if back else (port, 80)), 1000, 1000, 0x50, flags, 500, 0, 0) + payload
    ends = bytes((10, 2, client >> 8, client & 255)), SERVER
    return ether(0x0800, ip4(6, tcp, ends[::-1] if back else ends))


def dns(number: int, back: bool) -> bytes:
    """A question for a name, or its answer."""
    name = f"host{number}".encode()
    question = bytes((len(name),)) + name + b"\x07example\0" + struct.pack(">HH", 1, 1)
    answer = b"\xc0\x0c" + struct.pack(">HHIH4B", 1, 1, 60, 4, 203, 0, number >> 8, number & 255) if back else b""
    message = struct.pack(">HHHHHH", number, 0x8180 if back else 0x0100, 1, int(back), 0, 0) + question + answer
    ports, ends = (20000 + number, 53), (bytes((10, 3, number >> 8, number & 255)), bytes((198, 51, 100, 53)))
    return ether(0x0800, ip4(17, udp(*(ports[::-1] if back else ports), message), ends[::-1] if back else ends))


def sender(seconds: float, rate: int) -> None:
    """Send at a rate for so long; prints how many frames went out."""
    request, answer = b"GET / HTTP/1.1\r\nHost: soak.example\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n" + bytes(40)
    made = []
    for k in range(TALKS):
        kept = k % 2
        made.append([*([] if kept else [segment(SYN, k, 40000, b"", False), segment(SYN_ACK, k, 40000, b"", True)]),
                     segment(ACK, k, 40000, request, False), segment(ACK, k, 40000, answer, True),
                     *([] if kept else [segment(FIN, k, 40000, b"", False), segment(FIN, k, 40000, b"", True)])])
    talks = Ring(FAR, [frame for one in made for frame in one])
    names = Ring(FAR, [dns(k, back) for k in range(500) for back in (False, True)])
    bulk = Ring(FAR, [ether(0x0800, ip4(17, udp(20000 + k % 20000, 9999, bytes(200)), (bytes((10, 4, k >> 8, k & 255)), SERVER))) for k in range(4000)])
    sent, begin, each = 0, time.monotonic(), 0.02
    shares = [(talks, 0.3), (names, 0.02), (bulk, 0.68)]
    turn = 0
    while (now := time.monotonic() - begin) < seconds:
        if turn * each > now:
            time.sleep(turn * each - now)
        for ring, share in shares:
            sent += ring.send(max(1, min(int(rate * each * share), ring.count)))
        turn += 1
    print(sent)


def memory(process: int) -> int:
    """Memory of a process and its children that is no file's, kB."""
    total, waiting = 0, [process]
    while waiting:
        one = waiting.pop()
        with contextlib.suppress(OSError):
            said = Path(f"/proc/{one}/status").read_text()
            total += next((int(line.split()[1]) for line in said.splitlines() if line.startswith("RssAnon")), 0)
            for thread in Path(f"/proc/{one}/task").iterdir():
                waiting += map(int, (thread / "children").read_text().split())
    return total


def metric(page: str, name: str) -> float:
    """A figure of the probe's metrics, of all its labels together."""
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.split("{")[0].split(" ")[0] == name)


def metrics(one: Wire, port: int) -> str:
    """The probe's page of metrics."""
    child = one.run(one.near, [sys.executable, "-c", f"import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:{port}/metrics').read().decode())"],
                    stdout=subprocess.PIPE)
    return child.communicate(timeout=30)[0].decode()


def soak(minutes: float, rate: int, work: Path) -> None:
    """All of it."""
    store, rules, warm = f"chdb://{work}/store", work / "rules", min(5.0, minutes / 3) * 60
    rules.mkdir()
    (work / "fullspan.toml").write_text(f'[rules]\ndirectory = "{rules}"\n')
    (rules / "soak.toml").write_text(RULES.format(number=0))
    with wire() as one:
        probe = one.run(one.near, [sys.executable, "-m", "dpi.cli.main", "probe", "-i", NEAR, "--store", store, "--json", "--listen", "127.0.0.1:9469"],
                        stdout=subprocess.PIPE, stderr=(work / "said").open("wb"), cwd=work, env=ordinary({"PYTHONPATH": str(ROOT)}))
        while b"reading" not in (work / "said").read_bytes() and probe.poll() is None:
            time.sleep(0.1)
        began = time.monotonic()
        source = one.run(one.far, [sys.executable, "-m", "benchmarks.soak", "--send", str(minutes * 60), "--rate", str(rate)], stdout=subprocess.PIPE, cwd=ROOT,
                         env=ordinary(None))
        samples: list[tuple[float, int]] = []
        reloads = 0
        while source.poll() is None:
            time.sleep(min(SAMPLE, 1.0 if minutes < 1 else SAMPLE))
            now = time.monotonic() - began
            samples.append((now, memory(probe.pid)))
            print(f"      {now:6.0f} s  memory {samples[-1][1] / 1024:7.1f} MB  reloads {reloads}", flush=True)
            if reloads < RELOADS and now >= (reloads + 1) * minutes * 60 / (RELOADS + 1):
                reloads += 1
                (rules / "soak.toml").write_text(RULES.format(number=reloads))
                probe.send_signal(signal.SIGHUP)
        assert source.stdout is not None
        sent = int(source.stdout.read())
        time.sleep(3)
        page = metrics(one, 9469)
        ended = time.monotonic() - began
        probe.send_signal(signal.SIGTERM)
        out, _ = probe.communicate(timeout=120)
    said = (work / "said").read_text().splitlines()
    check(probe.returncode == 0, f"the probe ended well after {ended:.0f} s")
    worker = json.loads(out)["workers"][0]
    lost = {where: count for where, count in worker["lost"].items() if count}
    check(not lost and worker["packets"] == sent,
          f"{sent:,} frames sent ({sent / (minutes * 60):,.0f} a second), {worker['packets']:,} read, lost {lost or 'none'}")
    check(metric(page, "fullspan_reloads_total") == reloads == RELOADS and not metric(page, "fullspan_reload_failed"),
          f"rules were read anew {reloads} times under load, none was refused")
    check(metric(page, "fullspan_store_rows_lost_total") == 0, "no row was lost on the way to the store")
    check(not worker["given_up"] and not [line for line in said if "pressure" in line], "nothing was given up")
    flows = asked(store, "SELECT sum(client_packets + server_packets) AS packets, count() AS rows, uniqExact(flow_id) AS flows, "
                         "uniqExact(rules_version) AS versions FROM flows")[0]
    check(int(flows["packets"]) == sent,
          f"packets in rows: {int(flows['packets']):,} of {sent:,}; {int(flows['rows']):,} rows of {int(flows['flows']):,} flows")
    check(int(flows["versions"]) == RELOADS + 1, f"rows were named by {int(flows['versions'])} versions of the rules")
    gone = "dropped_nic + dropped_kernel + dropped_ring + dropped_store + evicted + arena_refused + rows_given_up"
    covered = asked(store, f"SELECT sum(frames) AS read, sum({gone}) AS gone, sum(unread_us) AS unread, count() AS minutes, uniqExact(time) AS told, "
                           "dateDiff('minute', min(time), max(time)) + 1 AS span FROM coverage")[0]
    check(int(covered["read"]) == sent and int(covered["gone"]) == 0,
          f"coverage: {int(covered['read']):,} frames, {int(covered['gone'])} lost, evicted or refused")
    # of the first and the last minute a part was not read
    unread = int(covered["unread"]) / 1e6
    check(int(covered["told"]) == int(covered["span"]) and unread <= int(covered["span"]) * 60 - ended + 2,
          f"coverage: {int(covered['told'])} minutes of {int(covered['span'])}, {unread:.1f} s not read, before the start and after the end")
    flat(samples, warm, minutes * 60)


def flat(samples: list[tuple[float, int]], warm: float, whole: float) -> None:
    """Check memory. samples: (s, kB)."""
    third = (whole - warm) / 3
    early = statistics.median(kilobytes for at, kilobytes in samples if warm <= at < warm + third)
    late = statistics.median(kilobytes for at, kilobytes in samples if at >= whole - third)
    most = max(kilobytes for _, kilobytes in samples)
    slope = float(np.polyfit([at for at, _ in samples if at >= warm], [kilobytes for at, kilobytes in samples if at >= warm], 1)[0]) * 3600 / 1024
    check(late <= early * (1 + GROWTH), f"memory after {warm / 60:.1f} min of warm-up: {early / 1024:.1f} MB, at the end {late / 1024:.1f} MB "
          f"({100 * (late / early - 1):+.1f} %, at most +{100 * GROWTH:.0f} % is let pass; {slope:+.1f} MB an hour), the most was {most / 1024:.1f} MB")


def main() -> None:
    """Exit 1 where anything does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=int, default=50_000, help="frames a second")
    parser.add_argument("--send", type=float, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.send:
        sender(wanted.send, wanted.rate)
        return
    with tempfile.TemporaryDirectory() as work:
        soak(wanted.minutes, wanted.rate, Path(work))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
