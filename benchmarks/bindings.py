"""python -m benchmarks.bindings [--seconds 120] [--rate 100000]: a probe under load whose hundred thousand bindings change ten times.

Half of the changes are files put in the place of the former, half are written where it lies. It fails where a frame is lost or in no row, where a change
is in force later than WITHIN after its file was whole, where one is refused, or where a row is stamped by none of the files. Root: it makes a veth pair.
"""
from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.flood import asked, check, failures
from benchmarks.measure import ordinary
from benchmarks.sender import Ring
from benchmarks.soak import metric, metrics
from benchmarks.stamping import HEADER, LINES, lines, write
from tests.hostile.samples import ether, ip4, udp
from tests.live.wire import FAR, NEAR, wire

ROOT = Path(__file__).resolve().parents[1]
RELOADS = 10
WITHIN = 5.0            # s
FLOWS = 20_000
SERVER = bytes((198, 51, 100, 7))


def sender(seconds: float, rate: int) -> None:
    """Send at a rate for so long; prints how many frames went out."""
    ring = Ring(FAR, [ether(0x0800, ip4(17, udp(20000 + k % 20000, 9999, bytes(200)), (bytes((10, k >> 14, k >> 6 & 255, (k & 63) << 2)), SERVER)))
                      for k in range(FLOWS) if k % 100 < 97])       # of the others the lines are no networks of four
    sent, begin, each, turn = 0, time.monotonic(), 0.02, 0
    while (now := time.monotonic() - begin) < seconds:
        if turn * each > now:
            time.sleep(turn * each - now)
        sent += ring.send(max(1, min(int(rate * each), ring.count)))
        turn += 1
    print(sent)


def change(file: Path, turn: int) -> None:
    """The next hundred thousand lines."""
    if turn % 2:
        write(file, turn)
    else:
        file.write_text("\n".join((HEADER, *lines(turn=turn))) + "\n")


def run(seconds: float, rate: int, work: Path) -> None:
    """All of it."""
    store, file = f"chdb://{work}/store", work / "bindings.csv"
    write(file)
    (work / "fullspan.toml").write_text(f'[identity]\nbindings = "{file}"\nlocal_networks = "10.0.0.0/8"\n')
    took = []
    with wire() as one:
        probe = one.run(one.near, [sys.executable, "-m", "dpi.cli.main", "probe", "-i", NEAR, "--store", store, "--json", "--listen", "127.0.0.1:9469"],
                        stdout=subprocess.PIPE, stderr=(work / "said").open("wb"), cwd=work, env=ordinary({"PYTHONPATH": str(ROOT)}))
        while b"reading" not in (work / "said").read_bytes() and probe.poll() is None:
            time.sleep(0.1)
        source = one.run(one.far, [sys.executable, "-m", "benchmarks.bindings", "--send", str(seconds), "--rate", str(rate)], stdout=subprocess.PIPE,
                         cwd=ROOT, env=ordinary(None))
        began = time.monotonic()
        for turn in range(1, RELOADS + 1):
            time.sleep(max(0.0, began + turn * seconds / (RELOADS + 1) - time.monotonic()))
            change(file, turn)
            whole = time.monotonic()
            while (work / "said").read_bytes().count(b"msg=bindings ") < turn and time.monotonic() - whole < 60:
                time.sleep(0.05)
            took.append(time.monotonic() - whole)
            print(f"      {time.monotonic() - began:6.0f} s  change {turn} in force after {took[-1]:.2f} s", flush=True)
        assert source.stdout is not None
        sent = int(source.stdout.read())
        time.sleep(2)
        page = metrics(one, 9469)
        probe.send_signal(signal.SIGTERM)
        out, _ = probe.communicate(timeout=120)
    worker = json.loads(out)["workers"][0]
    lost = {where: count for where, count in worker["lost"].items() if count}
    check(not lost and worker["packets"] == sent, f"{sent:,} frames sent ({sent / seconds:,.0f} a second), {worker['packets']:,} read, lost {lost or 'none'}")
    check(not worker["given_up"] and b"pressure" not in (work / "said").read_bytes(), "nothing was given up")
    check(max(took) <= WITHIN, f"{RELOADS} changes of {LINES:,} lines in force after {min(took):.2f} to {max(took):.2f} s, {WITHIN:g} are let pass")
    check(metric(page, "fullspan_bindings_reloads_total") == RELOADS and not metric(page, "fullspan_bindings_refused_total"),
          f"{metric(page, 'fullspan_bindings_reloads_total'):.0f} changes were taken, none was refused; "
          f"{metric(page, 'fullspan_bindings'):,.0f} lines in force")
    rows = asked(store, "SELECT sum(client_packets + server_packets) AS packets, count() AS rows, countIf(client_service_id = '') AS unbound, "
                        "uniqExact(splitByChar('-', client_service_id)[2]) AS files FROM flows")[0]
    check(int(rows["packets"]) == sent and int(rows["unbound"]) == 0 and int(rows["files"]) >= RELOADS,
          f"packets in rows: {int(rows['packets']):,} of {sent:,}; {int(rows['rows']):,} rows, {rows['unbound']} without a service, "
          f"stamped by {rows['files']} files")


def main() -> None:
    """Exit 1 where anything does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--rate", type=int, default=100_000, help="frames a second")
    parser.add_argument("--send", type=float, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.send:
        sender(wanted.send, wanted.rate)
        return
    with tempfile.TemporaryDirectory() as work:
        run(wanted.seconds, wanted.rate, Path(work))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
