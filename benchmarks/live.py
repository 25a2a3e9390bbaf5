"""python -m benchmarks.live [--seconds 60] [--kinds small,imix] [--ring DIRECTORY]: how fast the probe reads, and what it loses, beside
tcpdump on the same cable.

Senders in one network namespace, one on each core, write frames to a veth pair as fast as AF_PACKET takes them; at the other end the probe reads, then
tcpdump, on whatever the senders leave of the cores. Sent is what the senders' calls took; it must be what was read and what was lost, to the packet. Last the
probe is overloaded on purpose: a small ring, and the core of the one sender. With --ring: the probe alone, without and with a packet ring on disk there.
"""
from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import commit, machine, ordinary
from benchmarks.sender import Ring
from tests.live.wire import FAR, NEAR, Wire, frames, wire

ROOT = Path(__file__).resolve().parents[1]
CORES = sorted(os.sched_getaffinity(0))
IMIX = (18, 18, 18, 18, 18, 18, 18, 534, 534, 534, 534, 1458)      # UDP payload bytes: frames of 60, 576 and 1500 bytes, 7 : 4 : 1

KINDS = {"small": "60-byte frames (64 with FCS), 10 000 flows", "imix": "60, 576 and 1500 bytes, 7 : 4 : 1"}


def sender(seconds: float, flows: int, kind: str) -> None:
    """Send for so long; prints how many frames went out and how many there were a second."""
    sizes = IMIX if kind == "imix" else (18,)
    each = [frames(flows // len(sizes), flows // len(sizes), size) for size in sizes]
    ring = Ring(FAR, [one for together in zip(*each, strict=True) for one in together])
    sent = 0
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        sent += ring.send()
    print(sent, sent / (time.monotonic() - begin))


def send(one: Wire, seconds: float, kind: str, cores: Sequence[int]) -> tuple[int, float]:
    """Frames sent by a sender on each of the cores, and how many a second."""
    children = [one.run(one.far, ["taskset", "-c", str(core), sys.executable, "-m", "benchmarks.live", "--send", str(seconds), "--kind", kind],
                        stdout=subprocess.PIPE, cwd=ROOT, env=ordinary(None)) for core in cores]
    said = [child.communicate(timeout=seconds + 60)[0].split() for child in children]
    return sum(int(one[0]) for one in said), sum(float(one[1]) for one in said)


def processor(process: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def offered(one: Wire, seconds: float, kind: str, reader: int, cores: Sequence[int]) -> tuple[int, float, float]:
    """Frames sent, how many a second, and the CPU seconds that the reader spent meanwhile."""
    time.sleep(1)
    before = processor(reader)
    sent, rate = send(one, seconds, kind, cores)
    time.sleep(1)
    return sent, rate, processor(reader) - before


def probe(one: Wire, seconds: float, kind: str, store: str, name: str = NEAR, cores: Sequence[int] = CORES, ring: int = 256, disk: str = "") -> str:
    """The probe's line. name: of the interface, as --interface takes it; cores: of the probe, and of the senders, one each; ring: its MB; disk: the
    directory of a packet ring on disk."""
    where = ",".join(map(str, cores))
    child = one.run(one.near, ["taskset", "-c", where, sys.executable, "-m", "dpi.cli.main", "probe", "-i", name, "--store", store, "--json",
                               "--ring-mb", str(ring)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
                    env={**ordinary(None), "FULLSPAN_PROBE_RING_DIRECTORY": disk})
    assert child.stderr is not None
    while b"reading" not in child.stderr.readline():
        pass
    sent, rate, spent = offered(one, seconds, kind, child.pid, cores)
    child.send_signal(signal.SIGTERM)
    worker = json.loads(child.communicate(timeout=120)[0])["workers"][0]
    lost = worker["lost"]["kernel"] + worker["lost"]["ring"]
    missing = sent - worker["packets"] - lost
    how = "libpcap    " if name != NEAR else f"store {store.split(':')[0]:5}"
    return (f"fullspan probe, {how} sent {sent:,} ({rate / 1e6:.2f} M/s)  read {worker['packets']:,}  lost {lost:,} "
            f"({100 * lost / sent:.2f} %)  unaccounted {missing}  cpu {1e6 * spent / max(worker['packets'], 1):.3f} us a packet"
            + (f"  on disk {worker['kept']:,} packets, not kept {worker['unkept']:,}" if disk else ""))


def tcpdump(one: Wire, seconds: float, kind: str) -> str:
    """tcpdump's line."""
    where = ",".join(map(str, CORES))
    child = one.run(one.near, ["taskset", "-c", where, "tcpdump", "-n", "-i", NEAR, "-w", "/dev/null", "-B", "262144"], stderr=subprocess.PIPE)
    sent, rate, spent = offered(one, seconds, kind, child.pid, CORES)
    child.send_signal(signal.SIGINT)
    said = child.communicate(timeout=60)[1].decode()
    read, lost = (int(re.search(rf"(\d+) packets? {word}", said).group(1)) for word in ("captured", "dropped by kernel"))        # type: ignore[union-attr]
    return (f"tcpdump -w /dev/null       sent {sent:,} ({rate / 1e6:.2f} M/s)  read {read:,}  lost {lost:,} ({100 * lost / sent:.2f} %)  "
            f"unaccounted {sent - read - lost}  cpu {1e6 * spent / max(read, 1):.3f} us a packet")


def main() -> None:
    """Each in turn, for small frames and for a mix of sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--send", type=float)
    parser.add_argument("--kind", default="small")
    parser.add_argument("--kinds", default="small,imix", help="small, imix: with one of them the raw output is added to what is there")
    parser.add_argument("--ring")
    asked = parser.parse_args()
    if asked.send:
        sender(asked.send, 10_000, asked.kind)
        return
    kinds = asked.kinds.split(",")
    lines = [f"date {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, commit {commit()}", machine(),
             f"command: python -m benchmarks.live --seconds {asked.seconds:g} --kinds {asked.kinds}{' --ring DIRECTORY' if asked.ring else ''}; "
             f"a sender on each of {len(CORES)} cores, the reader on what they leave"]
    with wire() as one, tempfile.TemporaryDirectory() as work:
        for kind in kinds:
            lines.append(f"\n== {KINDS[kind]}, for {asked.seconds:g} s")
            runs = (lambda kind=kind: probe(one, asked.seconds, kind, "none"), lambda kind=kind: tcpdump(one, asked.seconds, kind),
                    lambda kind=kind: probe(one, asked.seconds, kind, f"chdb://{work}/{kind}"),
                    lambda kind=kind: probe(one, asked.seconds, kind, "none", f"pcap:{NEAR}"),
                    lambda kind=kind: ("overloaded on purpose, for 10 s, on the core of one sender with a ring of 2 MB:\n"
                                       + probe(one, 10, kind, "none", NEAR, CORES[:1], 2)))
            if asked.ring:
                runs = (runs[0], lambda kind=kind: probe(one, asked.seconds, kind, "none", disk=asked.ring)) * 2
            for run in runs:
                lines.append(run())
                print(lines[-1], flush=True)
    place = ROOT / "benchmarks" / "results" / f"{datetime.date.today()}-{'ring' if asked.ring else 'live'}.txt"
    before = place.read_text() + "\n" if len(kinds) == 1 and place.exists() else ""
    place.write_text(before + "\n".join(lines) + "\n")
    print(f"written: {place}")


if __name__ == "__main__":
    main()
