"""Usage computed by processes that are killed at random moments: afterwards it is what an undisturbed run would have made, to the byte.

python -m tests.usage.killed [--kills N] [--flows N] [--seed N]     the proof: an hour of made-up flows, in an embedded store
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
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_READY, _DONE = b"computing\n", b"done\n"
_SHOWN = "SELECT * EXCEPT (stored_time) FROM {table} FINAL ORDER BY ALL"


def made(path: Path, count: int, seed: int, at_once: int = 250_000) -> None:
    """A store with an hour of flows, all of it told."""
    from dpi.store import open_store
    from tests.usage.traffic import coverage, flows, put

    store = open_store(f"chdb://{path}")
    for part in range(0, count, at_once):
        put(store, flows(min(at_once, count - part), seed + part, services=50))
    put(store, coverage(range(60)))
    store.close()


def child(path: str) -> None:
    """Compute a slot at a time, and say when that begins and ends."""
    from dpi.store import open_store
    from dpi.usage import computing

    computing._SLOTS = 1
    store = open_store(f"chdb://{path}")
    job = computing.Job(store)
    os.write(1, _READY)
    job.run()
    os.write(1, _DONE)
    store.close()


def begin(path: Path) -> subprocess.Popen[bytes]:
    """A process that has begun to compute."""
    for _ in range(100):        # the engine of the one that was killed lets go of the directory a moment later
        process = subprocess.Popen([sys.executable, "-m", "tests.usage.killed", "--child", str(path)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env={**os.environ, "PYTHONPATH": str(ROOT)})
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


def run(path: Path, kills: int, count: int, seed: int = 1) -> dict[str, Any]:
    """Figures of what was done; AssertionError where usage differs."""
    undisturbed, disturbed = path / "undisturbed", path / "disturbed"
    made(undisturbed, count, seed)
    shutil.copytree(undisturbed, disturbed, symlinks=True)
    process = begin(undisturbed)
    began = time.perf_counter()
    assert process.stdout is not None and process.stdout.readline() == _DONE
    whole = time.perf_counter() - began
    assert process.wait(30) == 0
    process.communicate()
    moments, chance = [], random.Random(seed)
    for _ in range(kills):
        process = begin(disturbed)
        wait = chance.uniform(0, whole / kills)         # so that there is something left to do at each kill
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)
        said = process.communicate()[0]
        moments.append((round(wait, 3), "done" if _DONE in said else "computing"))
    process = begin(disturbed)
    process.communicate(timeout=120)
    assert process.returncode == 0
    expected, found = told(undisturbed), told(disturbed)
    same = {table: found[table] == expected[table] for table in expected if table != "stale"}
    assert all(same.values()), same
    process = begin(disturbed)              # once more changes nothing
    process.communicate(timeout=120)
    again = told(disturbed)
    assert again == found, "another run wrote something"
    return {"flows": count, "undisturbed_seconds": round(whole, 2), "kills": moments,
            "killed_while_computing": sum(state == "computing" for _, state in moments),
            "rows": {table: len(rows) for table, rows in expected.items() if table != "stale"}, "rows_of_usage_1m_written": found["stale"],
            "bytes": sum(int(row[6]) for row in expected["usage_slots"] if row[0] == "usage_1m")}


def main() -> None:
    """The proof."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--flows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child")
    asked = parser.parse_args()
    if asked.child:
        child(asked.child)
        return
    with tempfile.TemporaryDirectory() as place:
        figures = run(Path(place), asked.kills, asked.flows, asked.seed)
        print(f"{figures['flows']:,} flow rows of an hour; an undisturbed run, a slot at a time, takes {figures['undisturbed_seconds']} s")
        print(f"{len(figures['kills'])} kills (SIGKILL), {figures['killed_while_computing']} of them while it computed; seconds after it began:")
        print("  " + ", ".join(f"{wait} {state}" for wait, state in figures["kills"]))
        print(f"rows: {figures['rows']}; rows of usage_1m that were written in all: {figures['rows_of_usage_1m_written']}")
        print(f"bytes of usage_1m: {figures['bytes']:,}")
        print("every row of usage_1m, usage_1h, usage_unbound_1h and usage_slots is that of the undisturbed run, revisions and digests among it; "
              "another run wrote nothing")


if __name__ == "__main__":
    main()
