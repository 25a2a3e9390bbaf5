"""python -m benchmarks.run --mix FILE --small FILE --small-few FILE: all timings, written to benchmarks/results/ with machine and commit.

Without files a workload out of pcaps/ stands in (and the result says so). Peers are run where they are installed: ndpiReader, tcpdump.
"""
from __future__ import annotations

import argparse
import datetime
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Runs, commit, in_turn, machine, once, ratio, read_anew

ROOT = Path(__file__).resolve().parents[1]
FULLSPAN = [sys.executable, "-m", "dpi.cli.main"]


class Paper:
    """Prints, and keeps for the result file."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, *lines: str) -> None:
        for line in lines:
            print(line, flush=True)
            self.lines.append(line)


def last_line(output: str) -> str:
    """The line of the summary that counts packets."""
    return next((line for line in reversed(output.splitlines()) if " packets in " in line), output.strip().splitlines()[-1] if output.strip() else "")


def end_to_end(say: Paper, mix: str, times: int, as_found: bool) -> None:
    """Whole replays next to peers, pinned to one core, then on two."""
    say("", f"{Path(mix).name}: " + ("in memory as it was found" if as_found else read_anew(mix)))
    with tempfile.TemporaryDirectory() as work:
        none = Runs("fullspan --store none", [*FULLSPAN, "replay", mix, "--store", "none"])
        peers = [none]
        if shutil.which("ndpiReader"):
            peers.append(Runs("ndpiReader -q -t", ["ndpiReader", "-q", "-t", "-i", mix]))
        if shutil.which("tcpdump"):
            peers.append(Runs("tcpdump -w /dev/null", ["tcpdump", "-r", mix, "-w", "/dev/null"]))
        say("", f"== whole process, one core, median of {times} (minimum .. maximum), in turn: {Path(mix).name}")
        in_turn(peers, times, {1}, directory=work)
        say(*(one.line() for one in peers), *(ratio(one, none) for one in peers[1:]), f"fullspan says: {last_line(none.output)}")
        store = Runs("fullspan store and report", [*FULLSPAN, "replay", mix, "--report", "report.html"], fresh=True)
        again = [store, *(Runs(one.name, one.command) for one in peers[1:2])]
        say("", "== with the embedded store (a new one each time) and the report, one core")
        in_turn(again, times, {1}, directory=work)
        say(*(one.line() for one in again), *(ratio(one, store) for one in again[1:]), f"fullspan says: {last_line(store.output)}")
        one_core, two_cores = Runs("store and report, one core", store.command, fresh=True), Runs("store and report, two cores", store.command, fresh=True)
        plain_one, plain_two = Runs("--store none, one core", none.command), Runs("--store none, two cores", none.command)
        say("", "== one core and two")
        for _ in range(times):
            once(one_core, {1}, directory=work)
            once(two_cores, {0, 1}, directory=work)
            once(plain_one, {1}, directory=work)
            once(plain_two, {0, 1}, directory=work)
        say(*(run.line() for run in (one_core, two_cores, plain_one, plain_two)), ratio(one_core, two_cores), ratio(plain_one, plain_two))


def small_packets(say: Paper, small: str, few: str, times: int) -> None:
    """Decode and flow table, and memory per flow."""
    say("", f"== small packets: decode and flow table on one core, table touched before the clock: {Path(small).name}")
    many = Runs("1 M flows", [sys.executable, "-m", "benchmarks.stages", small])
    in_turn([many], times, {1}, directory=str(ROOT))
    say(many.line(), many.output.strip())
    say("", "== memory per flow: whole replays, --store none")
    a, b = (Runs(name, [*FULLSPAN, "replay", file, "--store", "none"]) for name, file in (("1 M flows", small), ("1 000 flows", few)))
    in_turn([a, b], 3, {1}, directory=str(ROOT))
    say(a.line(), b.line(), f"(peak of the one - peak of the other) / 1 000 000 = {(min(a.peak) - min(b.peak)) * 1024 * 1024 / 1e6:.0f} bytes per flow")


def start(say: Paper) -> None:
    """Start-up and compiling."""
    say("", "== start-up and compiling")
    capture = str(ROOT / "pcaps" / "demo.pcap")
    cut = Path(tempfile.mkdtemp()) / "thousand.pcap"
    subprocess.run(["editcap", "-F", "pcap", "-r", capture, str(cut), "1-1000"], check=False)
    runs = [Runs("fullspan --help", [*FULLSPAN, "--help"]), Runs("replay of 1 000 packets, no store", [*FULLSPAN, "replay", str(cut), "--store", "none"]),
            Runs("the same into a new store", [*FULLSPAN, "replay", str(cut)], fresh=True)]
    in_turn(runs, 5, directory=str(cut.parent))
    say(*(one.line() for one in runs))
    with tempfile.TemporaryDirectory() as work:
        for name in ("dpi", "rules"):
            shutil.copytree(ROOT / name, f"{work}/{name}", ignore=shutil.ignore_patterns("__pycache__"))
        environment = {"FULLSPAN_CACHE": f"{work}/cache", "PYTHONPATH": work}
        command = [*FULLSPAN, "replay", str(cut), "--store", "none"]
        cold = Runs("cold: every kernel compiled", command)
        once(cold, None, environment, work)
        say(cold.line(), next((line for line in cold.output.splitlines() if "compiling" in line), "").replace(work, "WORK"))
        for name in ("ntp", "http", "tls", "quic"):
            with open(f"{work}/dpi/classify/protocols/{name}.py", "a") as file:
                file.write("\n# edited\n")
            edited = Runs(f"after an edit of {name}.py", command)
            once(edited, None, environment, work)
            say(edited.line())


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mix")
    parser.add_argument("--small")
    parser.add_argument("--small-few")
    parser.add_argument("--as-found", action="store_true", help="take the mix as it lies in memory; else it is read anew from its disk first")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--only", choices=("mix", "small", "start"))
    parser.add_argument("--name", default=datetime.date.today().isoformat())
    asked = parser.parse_args()
    say = Paper()
    say(f"date {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, commit {commit()}", machine(), "command: python -m benchmarks.run " + " ".join(
        Path(word).name for word in sys.argv[1:]))
    if asked.only in (None, "mix"):
        if not asked.mix:
            asked.mix = f"{tempfile.mkdtemp()}/workload.pcap"
            subprocess.run([sys.executable, "-m", "benchmarks.workload", asked.mix], check=True, cwd=ROOT)
            say("workload: one million packets out of pcaps/ (python -m benchmarks.workload)")
        end_to_end(say, asked.mix, asked.times, asked.as_found)
    if asked.only in (None, "small") and asked.small and asked.small_few:
        small_packets(say, asked.small, asked.small_few, asked.times)
    if asked.only in (None, "start"):
        start(say)
    target = ROOT / "benchmarks" / "results" / f"{asked.name}.txt"
    target.write_text("\n".join(say.lines) + "\n")
    print(f"written: {target}")


if __name__ == "__main__":
    main()
