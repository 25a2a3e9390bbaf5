"""A store that can't be opened takes no rows, and refuses none: what waits on disk waits for the next start."""
from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from dpi.store import open_store

_OWNER = """
import os, signal, sys, time
from pathlib import Path
from dpi.errors import UserError
from dpi.store import open_ahead, open_store
url, spool, killed = sys.argv[1:]
os.sched_getaffinity = lambda _: {0, 1}
ahead = open_ahead(url, merging=True)
if killed == "killed":
    os.kill(ahead._child, signal.SIGKILL)
store = open_store(url, ahead=ahead, merging=True)
from dpi.store.delivery import Delivery
from dpi.store.disk_spool import DiskSpool
from tests.delivery.test_delivery import rows
delivery = Delivery(lambda: store, "p1", DiskSpool(Path(spool), 1 << 30), ahead=True, rows=500, wait=0.02, pauses=(0.05, 0.1))
for turn in range(3):
    delivery.write(rows(500 * turn, 500, "flows"))
    time.sleep(0.3)
try:
    store.query("SELECT 1")
except UserError as error:
    print(error)
health = delivery.health()
print(health.lost, health.waiting, bool(health.away), flush=True)
delivery.close()
"""


@pytest.mark.parametrize("why, said", [("newer", "newer Fullspan"), ("killed", "the engine's process has ended")])
def test_rows_wait_for_a_store_that_does_not_open(why: str, said: str, tmp_path: Path) -> None:
    url = f"chdb://{tmp_path}/store"
    with contextlib.closing(open_store(url)) as store:
        if why == "newer":
            store.query("INSERT INTO fullspan_schema (version, digest, applied) VALUES (99, 'x', now64(6) + 60)")
    done = subprocess.run([sys.executable, "-c", _OWNER, url, str(tmp_path / "spool"), why], capture_output=True, text=True, timeout=60, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and said in lines[0] and lines[1] == "0 1500 True", done
    assert len(list((tmp_path / "spool").glob("*.parcel"))) == 3 and not list((tmp_path / "spool").glob("*.refused"))
