"""python -m benchmarks.bss_kills [--kills 100] [--database sqlite|postgresql]: nothing is half written, lost or done twice when processes are killed.

On each database, so many times: sixteen processes write at once (orders entered, amended, acknowledged, checked, reserved and bound for, moved and cancelled;
requests with an Idempotency-Key, the last ones sent again; bindings made, ended and moved by two who compete; files brought in and taken back; customers merged
and parted; keys rotated; jobs done by two workers; alarms taken by two; tickets opened and moved; months of services counted, closed and credited; bills made,
approved, issued and credited; payments entered, taken back and given back) and are killed with SIGKILL, each at a moment of chance. Then it is looked from
outside (truth.py) whether every act that was said to be done is there, with all that it writes, and nothing by half; and they go on in the same database. Exit
1 where anything was found.
"""
from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import postgresql
from benchmarks.bss_kills.ground import Ground, lay
from benchmarks.bss_kills.truth import Truth
from benchmarks.bss_kills.writers import WRITERS, Life
from bss.office import Office
from bss.settings import Settings, load

SPREAD = (0.02, 1.2)            # s in which a process is killed once it is ready
THOROUGH = 10                   # rounds after which what takes longer is looked at as well


def begin(settings: Settings, ground: Ground, name: str, told: int) -> tuple[int, int]:
    """A writer in a process of its own, and the pipe on which it says what it has done; it says a line when it is ready."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(out)
        try:
            life = Life(Office(settings), ground, name, told, into)
            os.write(into, b"ready\n")
            WRITERS[name](life)
        except BaseException as error:          # nothing of it may get back into who forked it
            os.write(into, (json.dumps({"wrong": f"{name} ended: {type(error).__name__}: {[*str(error).splitlines(), ''][0][:200]}"}) + "\n").encode())
        finally:
            os._exit(1)
    os.close(into)
    return child, out


def round_of(settings: Settings, ground: Ground, said: dict[str, int], chance: random.Random) -> Iterator[tuple[str, list[str], bool]]:
    """One round: all writers begin, and are killed one by one. Their lines, and whether it was the kill that ended them."""
    lives = {name: begin(settings, ground, name, said.get(name, 0)) for name in WRITERS}
    heard = {name: os.read(out, 6) for name, (_, out) in lives.items()}
    now = time.monotonic()
    for at, name in sorted((now + chance.uniform(*SPREAD), name) for name in WRITERS):
        time.sleep(max(0.0, at - time.monotonic()))
        os.kill(lives[name][0], signal.SIGKILL)
    for name, (child, out) in lives.items():
        while part := os.read(out, 1 << 16):
            heard[name] += part
        os.close(out)
        ended = os.waitpid(child, 0)[1]
        lines = heard[name].decode().split("\n")
        yield name, [one for one in lines[1:-1] if one], os.WIFSIGNALED(ended) and os.WTERMSIG(ended) == signal.SIGKILL


def prove(settings: Settings, kills: int, seed: int) -> bool:
    """So many rounds on one database; whether all was as it has to be."""
    Office.found(settings)
    office = Office(settings)
    ground = lay(office, tuple(WRITERS))
    truth, chance, killed = Truth(office, ground), random.Random(seed), 0
    faults: dict[str, None] = {}
    list(truth.faults())                        # what was laid is no life's
    name = "sqlite" if office.database.lite else "postgresql"
    began = time.monotonic()
    for n in range(1, kills + 1):
        office.database.close()                 # each process has connections of its own
        found: list[str] = []
        for writer, lines, by_us in round_of(settings, ground, truth.said, chance):
            killed += by_us
            found += list(truth.hear(writer, lines))
            if not by_us:
                found.append(f"{writer} ended before it was killed")
        found += list(truth.faults(thorough=n % THOROUGH == 0 or n == kills))
        faults |= (new := dict.fromkeys(one for one in found if one not in faults))         # what is found again in the next round is the same fault
        for one in list(new)[:20]:
            print(f"{name}, round {n}: {one}", flush=True)
    print(f"{name}: {kills} rounds, {killed} processes killed with SIGKILL in {time.monotonic() - began:.0f} s; acts said to be done: {truth.said.total()} ("
          + ", ".join(f"{one} {truth.said[one]}" for one in WRITERS) + f"); done and not said, one a life at most: {truth.unsaid.total()}", flush=True)
    print(f"{name}: {truth.counted()}; half, lost or double: {len(faults)}", flush=True)
    office.close()
    return not faults and killed == kills * len(WRITERS)


def main() -> None:
    """See above."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--kills", type=int, default=100, help="rounds on each database, in each of which all writers are killed")
    given.add_argument("--database", choices=("sqlite", "postgresql"), help="one alone")
    given.add_argument("--seed", type=int, default=7)
    asked = given.parse_args()
    good = True
    for name in (asked.database,) if asked.database else ("sqlite", "postgresql"):
        with tempfile.TemporaryDirectory() as folder, postgresql.server() if name == "postgresql" else contextlib.nullcontext("") as server:
            home = Path(folder)
            url = postgresql.database(server, "bss") if server else f"sqlite:///{home / 'bss.db'}"
            settings = load(database=url, keys=str(home / "bss.keys"), bindings=str(home / "bindings.csv"), attachments=str(home / "attachments"), store="none")
            good &= prove(settings, asked.kills, asked.seed)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
