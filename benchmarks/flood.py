"""python -m benchmarks.flood [--replay SECONDS] [--live SECONDS] [--talks N]: floods of connections that are never established, and others among them.

Replayed: a capture with a million new half-open connections a second of packet time. Live: SYNs of clients made up at random, as fast as the sender
makes them, across a veth pair. Checked in both: every packet is in a row or lost and counted; established conversations keep one flow each, with
the counters that were sent; the rest is folded and counted; memory stays where it is when the flood goes on three times as long. A minute ends within the
shorter one: the rows that leave then touch tables of their own.
"""
from __future__ import annotations

import argparse
import json
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import ordinary
from benchmarks.sender import Ring
from tests.hostile.samples import ether, ip4
from tests.live.wire import FAR, NEAR, Wire, wire

ROOT = Path(__file__).resolve().parents[1]
RATE = 1_000_000                # half-open connections a second of packet time
BEGIN = 1_700_000_037           # s: a minute ends within the flood
SYN, SYN_ACK, ACK = 2, 18, 16
SERVER = bytes((198, 51, 100, 7))
TALKER = 32768                  # client port of the first conversation
ROUND = 5                       # packets of a conversation each second of packet time, replayed
GROWTH = 1.15                   # of memory, when a flood goes on: rows that are on their way when it ends come and go
FOLDS = 200_000                 # rows that folds may have for each minute: three levels of a thirty-second of the table, and the last
failures: list[str] = []


def check(holds: bool, words: str) -> None:
    """One line of the proof."""
    print(f"{'ok  ' if holds else 'FAIL'}  {words}", flush=True)
    if not holds:
        failures.append(words)


def segment(flags: int, number: int, payload: int, back: bool = False) -> bytes:
    """A frame of conversation `number`."""
    client, ports = bytes((192, 0, 2, 1)), (TALKER + number, 443)
    tcp = struct.pack(">HHIIBBHHH", *(ports[::-1] if back else ports), 1000, 1000, 0x50, flags, 500, 0, 0) + bytes(payload)
    return ether(0x0800, ip4(6, tcp, (SERVER, client) if back else (client, SERVER)))


def opened(number: int) -> list[bytes]:
    """The handshake of a conversation."""
    return [segment(SYN, number, 0), segment(SYN_ACK, number, 0, True), segment(ACK, number, 0)]


def half_open(first: int, count: int) -> np.ndarray[Any, Any]:
    """SYNs as frames uint8[count, 60]: one half of 16 384 clients in 64 networks, the other of clients anywhere, none twice, to four ports of one server."""
    frames = np.tile(np.frombuffer(segment(SYN, 0, 0).ljust(60, b"\0"), np.uint8), (count, 1))
    number = np.arange(first, first + count, dtype=np.uint64)
    half = number >> np.uint64(1)
    near = np.uint64(0x0B000000) + (half & np.uint64(16383))
    port = np.uint64(1024) + (half >> np.uint64(14)) % np.uint64(64000)
    far = (half * np.uint64(2654435761) ^ np.uint64(0x5A5A5A5A)) & np.uint64(0xFFFFFFFF)
    odd = number & np.uint64(1) == 1
    frames[:, 26:30] = np.where(odd, far, near).astype(">u4")[:, None].view(np.uint8).reshape(-1, 4)
    frames[:, 34:36] = np.where(odd, 5555, port).astype(">u2")[:, None].view(np.uint8).reshape(-1, 2)
    frames[:, 36:38] = (80 + half % np.uint64(4)).astype(">u2")[:, None].view(np.uint8).reshape(-1, 2)
    return frames


def capture(path: Path, seconds: int, talks: int) -> tuple[int, dict[int, tuple[int, int]]]:
    """Write a flood of so many seconds. Returns the packets in it, and of each conversation the packets sent and answered."""
    header = np.dtype([("second", "<u4"), ("micro", "<u4"), ("captured", "<u4"), ("wire", "<u4")])
    written, sent = 0, {number: (2, 1) for number in range(talks)}
    with path.open("wb") as file:
        file.write(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))

        def put(frames: list[bytes], second: int, micro: int) -> None:
            nonlocal written
            for frame in frames:
                file.write(struct.pack("<IIII", second, micro, len(frame), len(frame)) + frame)
            written += len(frames)
        number = 0
        for second in range(BEGIN, BEGIN + seconds):
            for part in range(ROUND):
                for talk in range(talks):
                    if second == BEGIN and part == 0:
                        put(opened(talk), second, 0)
                    put([segment(ACK, talk, 100), segment(ACK, talk, 200, True)], second, part * 1_000_000 // ROUND)
                    sent[talk] = sent[talk][0] + 1, sent[talk][1] + 1
                step = RATE // ROUND
                records = np.zeros(step, [("header", header), ("frame", "u1", (60,))])
                records["header"]["second"] = second
                records["header"]["micro"] = part * 1_000_000 // ROUND + np.arange(step) * (1_000_000 // ROUND) // step
                records["header"]["captured"] = records["header"]["wire"] = 60
                records["frame"] = half_open(number, step)
                file.write(records.tobytes())
                number, written = number + step, written + step
    return written, sent


def watched(child: subprocess.Popen[bytes]) -> int:
    """The most memory of a process that is no file's, kB, until it ends (sampled)."""
    most = 0
    while child.poll() is None:
        most = max(most, anonymous(child.pid))
        time.sleep(0.05)
    return most


def anonymous(process: int) -> int:
    """Memory of a process that is no file's, kB; 0 where it is gone."""
    try:
        said = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in said.splitlines() if line.startswith("RssAnon")), 0)


def asked(store: str, sql: str) -> list[dict[str, Any]]:
    """Rows of `fullspan query`."""
    command = [sys.executable, "-m", "dpi.cli.main", "query", "--store", store, "--reason", "measurement", "--json", sql]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, env=ordinary(None))
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def talked(store: str) -> dict[int, tuple[int, int, int, int]]:
    """Of each conversation: its packets, its server's, its flows, and rows that say it was evicted."""
    rows = asked(store, "SELECT client_port, sum(client_packets) AS sent, sum(server_packets) AS answered, uniqExact(flow_id) AS flows, "
                        "countIf(end_reason = 'evicted') AS evicted FROM flows WHERE server_port = 443 AND folded = 0 GROUP BY client_port")
    return {int(row["client_port"]) - TALKER: tuple(int(row[name]) for name in ("sent", "answered", "flows", "evicted")) for row in rows}  # type: ignore[misc]


def folds(store: str, said: str, evicted: int, folded: int) -> None:
    """Check the folds against what was counted."""
    row = asked(store, "SELECT sum(folded) AS connections, countIf(folded > 0) AS rows, countIf(has(tags, 'client_prefix_24')) AS by_prefix, "
                       "countIf(has(tags, 'any_client')) AS coarser, uniqExact(toStartOfMinute(interval_start)) AS minutes, "
                       "countIf(folded = 0 AND server_port != 443) AS own FROM flows")[0]
    told = asked(store, "SELECT sum(evicted) AS ended, sum(folded) AS connections, sum(folded_coarser) AS coarser FROM coverage")[0]
    check(int(row["connections"]) == folded > 0, f"{said}: {folded:,} of {evicted:,} evicted flows are folded, into {int(row['rows']):,} rows "
          f"({int(row['by_prefix']):,} by prefix, {int(row['coarser']):,} coarser); {int(row['own']):,} half-open flows have rows of their own")
    check((int(told["ended"]), int(told["connections"])) == (evicted, folded),
          f"{said}: coverage tells the same: {int(told['ended']):,} evicted, {int(told['connections']):,} folded, "
          f"{int(told['coarser']):,} of them more coarsely")
    check(int(row["rows"]) <= FOLDS * int(row["minutes"]), f"{said}: the rows of folds are no more than {FOLDS:,} for each of {int(row['minutes'])} minutes")


def flat(said: str, peaks: list[int]) -> None:
    """Check that a flood that went on took no more memory. peaks: kB."""
    check(peaks[1] <= peaks[0] * GROWTH, f"{said}: most memory that is no file's: {peaks[0] / 1024:.0f} MB, {peaks[1] / 1024:.0f} MB in a flood three times as "
          f"long; at most {100 * (GROWTH - 1):.0f} % more is let pass")


def replayed(seconds: int, talks: int, work: Path) -> None:
    """The flood of a capture, and one three times as long."""
    peaks = []
    for length in (seconds, 3 * seconds):
        path, store, said = work / f"flood-{length}.pcap", f"chdb://{work}/store-{length}", f"replay of {length} s"
        packets, sent = capture(path, length, talks)
        began = time.perf_counter()
        child = subprocess.Popen([sys.executable, "-m", "dpi.cli.main", "replay", str(path), "--store", store, "--json"], stdout=(work / "said").open("wb"),
                                 cwd=ROOT, env=ordinary(None))
        peaks.append(watched(child))
        took, counters = time.perf_counter() - began, json.loads((work / "said").read_text())["counters"]
        path.unlink()
        check(child.returncode == 0, f"{said}: {packets:,} packets, {RATE:,} new half-open connections each second and {talks} conversations among them, "
              f"took {took:.1f} s ({packets / took / 1e6:.2f} M packets/s)")
        check(counters["flows"] == length * RATE + talks, f"{said}: flows opened: {counters['flows']:,}, as many as there are")
        total = asked(store, "SELECT sum(client_packets + server_packets) AS packets, count() AS rows FROM flows")[0]
        check(int(total["packets"]) == packets, f"{said}: packets in rows: {int(total['packets']):,} of {packets:,}, in {int(total['rows']):,} rows")
        want = {number: (*counts, 1, 0) for number, counts in sent.items()}
        check(talked(store) == want, f"{said}: each of {talks} conversations is one flow with the packets that were sent, none was evicted")
        folds(store, said, counters["evicted"], counters["folded"])
    flat("replay", peaks)


def flooding(seconds: float, talks: int) -> None:
    """The sender of the live flood: conversations are opened, then go on within it; prints what was sent, in all and of each conversation."""
    ring, number = Ring(FAR, [segment(SYN, 0, 0).ljust(60, b"\0")] * 8192), 0
    opening = Ring(FAR, [frame for talk in range(talks) for frame in opened(talk)])
    sent = 0
    for _ in range(talks):
        sent += opening.send(3)
        time.sleep(0.0005)
    each = [pair for talk in range(talks) for pair in (segment(ACK, talk, 20), segment(ACK, talk, 20, True))]
    places = np.linspace(0, ring.count - 1, len(each)).astype(np.int64)
    rounds, begin = 0, time.monotonic()
    while time.monotonic() - begin < seconds:
        ring.frames[:, :60] = half_open(number, ring.count)
        number += ring.count
        if rounds % 16 == 0:
            for place, frame in zip(places, each, strict=True):
                ring.put(int(place), frame)
            sent += ring.send()
            ring.lengths[:] = 60
        else:
            sent += ring.send()
        rounds += 1
    took = time.monotonic() - begin
    print(json.dumps({"sent": sent, "rate": sent / took, "times": -(-rounds // 16)}))


def live(seconds: float, talks: int, work: Path) -> None:
    """The flood of a wire."""
    with wire() as one:
        peaks = [flooded(one, length, talks, work, f"live, {length:g} s") for length in (seconds, 3 * seconds)]
    flat("live", peaks)


def flooded(one: Wire, seconds: float, talks: int, work: Path, said: str) -> int:
    """The probe under a flood of so many seconds; its most memory, kB."""
    store = f"chdb://{work}/live-{seconds:g}"
    child = one.run(one.near, ["taskset", "-c", "1", sys.executable, "-m", "dpi.cli.main", "probe", "-i", NEAR, "--store", store, "--json", "--ring-mb", "256"],
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=ordinary(None))
    assert child.stderr is not None
    while b"reading" not in child.stderr.readline():
        pass
    command = ["taskset", "-c", "0", sys.executable, "-m", "benchmarks.flood", "--send", str(seconds), "--talks", str(talks)]
    sender, most = one.run(one.far, command, stdout=subprocess.PIPE, cwd=ROOT, env=ordinary(None)), 0
    while sender.poll() is None:
        most = max(most, anonymous(child.pid))
        time.sleep(0.1)
    assert sender.stdout is not None
    told = json.loads(sender.stdout.read())
    time.sleep(1)
    child.send_signal(signal.SIGTERM)
    out, complaints = child.communicate(timeout=200)
    check(child.returncode == 0, f"{said}: the probe ended well{'' if child.returncode == 0 else ': ' + complaints.decode()}")
    worker = json.loads(out)["workers"][0]
    lost, sent = sum(worker["lost"][where] for where in ("nic", "kernel", "ring")), told["sent"]
    check(worker["packets"] + lost == sent, f"{said}: {sent:,} frames sent, {told['rate'] / 1e6:.2f} M/s, {worker['packets']:,} read, {lost:,} lost "
          f"({100 * lost / sent:.2f} %), unaccounted {sent - worker['packets'] - lost}")
    total = asked(store, "SELECT sum(client_packets + server_packets) AS packets, count() AS rows FROM flows")[0]
    check(int(total["packets"]) == worker["packets"], f"{said}: packets in rows: {int(total['packets']):,}, all that were read, in {int(total['rows']):,} rows")
    found, want = talked(store), (2 + told["times"], 1 + told["times"])
    exact = all(found.get(talk, ())[2:] == (1, 0) and (found[talk][:2] == want if not lost else found[talk][0] <= want[0]) for talk in range(talks))
    counts = f"with the {sum(want)} packets that were sent" if not lost else f"with no more than the {sum(want)} packets that were sent, as frames were lost"
    check(len(found) == talks and exact, f"{said}: each of {talks} conversations is one flow, {counts}; none was evicted")
    folds(store, said, worker["lost"]["table"], worker["folded"])
    return most


def main() -> None:
    """Both floods; exit 1 where anything does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replay", type=int, default=5, metavar="SECONDS")
    parser.add_argument("--live", type=float, default=65, metavar="SECONDS")
    parser.add_argument("--talks", type=int, default=500)
    parser.add_argument("--send", type=float, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.send:
        flooding(wanted.send, wanted.talks)
        return
    with tempfile.TemporaryDirectory() as work:
        if wanted.replay:
            replayed(wanted.replay, wanted.talks, Path(work))
        if wanted.live:
            live(wanted.live, wanted.talks, Path(work))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
