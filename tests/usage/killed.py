"""Usage computed by processes that are killed at random moments: afterwards it is what an undisturbed run would have made, to the byte.

python -m tests.usage.killed [--kills N] [--flows N] [--seed N] [--slots N]     the proof: an hour of made-up flows, in an embedded store
"""
from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dpi.batch import Batch

ROOT = Path(__file__).resolve().parents[2]
_READY, _DONE = b"computing\n", b"done\n"
_SHOWN = "SELECT * EXCEPT (stored_time) FROM {table} FINAL ORDER BY ALL"


def made(path: Path, count: int, seed: int) -> None:
    """A store with an hour of flows, all of it told."""
    from dpi.store import open_store
    from tests.usage.traffic import coverage, put

    store = open_store(f"chdb://{path}")
    put(store, *batches(count, seed))
    put(store, coverage(range(60)))
    store.close()


def batches(count: int, seed: int, at_once: int = 250_000) -> Iterator[Batch]:
    """An hour of flows."""
    from tests.usage.traffic import flows

    return (flows(min(at_once, count - part), seed + part, services=50) for part in range(0, count, at_once))


def child(path: str, slots: int) -> None:
    """Compute so many slots at a time, and say when that begins and ends."""
    from dpi.store import open_store
    from dpi.usage import computing

    computing._SLOTS = slots
    store = open_store(f"chdb://{path}")
    job = computing.Job(store)
    os.write(1, _READY)
    job.run()
    os.write(1, _DONE)
    store.close()


def begin(path: Path, slots: int) -> subprocess.Popen[bytes]:
    """A process that has begun to compute."""
    for _ in range(100):        # the engine of the one that was killed lets go of the directory a moment later
        process = subprocess.Popen([sys.executable, "-m", "tests.usage.killed", "--child", str(path), "--slots", str(slots)], cwd=ROOT,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert process.stdout is not None and process.stderr is not None
        if process.stdout.readline() == _READY:
            return process
        told = process.stderr.read().decode()
        process.communicate()
        assert "in use" in told, told
        time.sleep(0.1)
    raise AssertionError("the store stayed locked")


def told(path: Path) -> dict[str, Any]:
    """All of usage, without when it was stored."""
    from dpi.store import open_store
    from dpi.usage.definition import STEPS

    store = open_store(f"chdb://{path}", create=False)
    found = {table: store.query(_SHOWN.format(table=table)).rows for table in (*STEPS, "usage_slots")}
    found["stale"] = store.query("SELECT count() FROM usage_1m").value()
    store.close()
    return found


def summed(path: Path, count: int, seed: int) -> None:
    """AssertionError where a row is not what the slow twin makes of the flows."""
    from dpi.store import open_store
    from tests.usage.sums import check

    store = open_store(f"chdb://{path}", create=False)
    check(store, *batches(count, seed))
    store.close()


def run(path: Path, kills: int, count: int, seed: int = 1, slots: int = 1) -> dict[str, Any]:
    """Figures of what was done; AssertionError where usage differs."""
    undisturbed, disturbed = path / "undisturbed", path / "disturbed"
    made(undisturbed, count, seed)
    shutil.copytree(undisturbed, disturbed, symlinks=True)
    process = begin(undisturbed, slots)
    began = time.perf_counter()
    assert process.stdout is not None and process.stdout.readline() == _DONE
    whole = time.perf_counter() - began
    assert process.wait(30) == 0
    process.communicate()
    moments, chance = [], random.Random(seed)
    for _ in range(kills):
        process = begin(disturbed, slots)
        wait = chance.uniform(0, whole / kills)         # so that there is something left to do at each kill
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)
        said = process.communicate()[0]
        moments.append((round(wait, 3), "done" if _DONE in said else "computing"))
    process = begin(disturbed, slots)
    process.communicate(timeout=120)
    assert process.returncode == 0
    expected, found = told(undisturbed), told(disturbed)
    same = {table: found[table] == expected[table] for table in expected if table != "stale"}
    assert all(same.values()), same
    process = begin(disturbed, slots)              # once more changes nothing
    process.communicate(timeout=120)
    again = told(disturbed)
    assert again == found, "another run wrote something"
    summed(disturbed, count, seed)
    return {"flows": count, "undisturbed_seconds": round(whole, 2), "kills": moments,
            "killed_while_computing": sum(state == "computing" for _, state in moments),
            "rows": {table: len(rows) for table, rows in expected.items() if table != "stale"}, "rows_of_usage_1m_written": found["stale"],
            "bytes": sum(int(row[6]) for row in expected["usage_slots"] if row[0] == "usage_1m")}


def main() -> None:
    """The proof."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--flows", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--slots", type=int, default=1, help="computed at a time: the fewer, the more there is to interrupt")
    parser.add_argument("--child")
    asked = parser.parse_args()
    if asked.child:
        child(asked.child, asked.slots)
        return
    with tempfile.TemporaryDirectory() as place:
        figures = run(Path(place), asked.kills, asked.flows, asked.seed, asked.slots)
        print(f"{figures['flows']:,} flow rows of an hour; an undisturbed run, {asked.slots} slots at a time, takes {figures['undisturbed_seconds']} s")
        print(f"{len(figures['kills'])} kills (SIGKILL), {figures['killed_while_computing']} of them while it computed; seconds after it began:")
        print("  " + ", ".join(f"{wait} {state}" for wait, state in figures["kills"]))
        print(f"rows: {figures['rows']}; rows of usage_1m that were written in all: {figures['rows_of_usage_1m_written']}")
        print(f"bytes of usage_1m: {figures['bytes']:,}")
        print("every row of the three tables is the sum of its flows, as the slow twin in plain Python makes it")
        print("every row of usage_1m, usage_1h, usage_unbound_1h and usage_slots is that of the undisturbed run, revisions and digests among it; "
              "another run wrote nothing")


if __name__ == "__main__":
    main()
