"""A store that one process owns and others read: real owners, killed ones among them, and the commands as people run them."""
from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dpi.errors import UserError
from dpi.schema import TABLES
from dpi.store import notice, open_store
from dpi.store.remote import RemoteStore

ROOT = Path(__file__).resolve().parents[1]
SLOW = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 7"

_OWNER = """
import os, sys, threading, time
from dpi.store import open_ahead, open_store
url, how = sys.argv[1:]
ahead = None
if "beside" in how:
    os.sched_getaffinity = lambda _: {0, 1}
    ahead = open_ahead(url)
    assert ahead is not None
from dpi.store.answering import Answering
from tests.rows import batch
store = open_store(url, ahead=ahead)
if "silent" in how:
    store.flush()
    print("ready", flush=True)
    sys.stdin.read()
    store.close()
    sys.exit()
answering = Answering(store)
written, going = 0, True
def insert():
    global written
    while going:
        store.write(batch("dns", 10, written + 1))
        store.flush()
        written += 10
        time.sleep(0.02)
thread = threading.Thread(target=insert)
thread.start()
print("ready", answering.port, flush=True)
sys.stdin.read()
going = False
thread.join()
answering.close()
print(written, store.query("SELECT count() FROM dns").value(), flush=True)
store.close()
"""


class Owner:
    """A process that owns a store and writes to it."""

    def __init__(self, folder: Path, how: str = "") -> None:
        self.path = folder / "store"
        self.url = f"chdb://{self.path}"
        self.process = subprocess.Popen([sys.executable, "-c", _OWNER, self.url, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith("ready")

    def end(self) -> str:
        said, _ = self.process.communicate(timeout=30)
        assert self.process.returncode == 0
        return said.strip()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=30)


def fullspan(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from dpi.cli.main import run; import sys; sys.exit(run(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, cwd=ROOT)


@pytest.mark.parametrize("how", ["here", "beside"])
def test_commands_read_what_another_process_owns(tmp_path: Path, how: str) -> None:
    url = f"chdb://{tmp_path}/store"
    assert fullspan("replay", str(ROOT / "pcaps" / "dns.pcap"), "--store", url).returncode == 0
    number = json.loads(fullspan("query", "SELECT flow_id FROM flows ORDER BY flow_id LIMIT 1", "--store", url, "--json").stdout)[0]["flow_id"]
    asked = [("query", "SELECT * FROM flows ORDER BY ALL", "--store", url, "--json"), ("flow", number, "--store", url, "--packets", "0", "--json"),
             ("report", "--store", url, "--json", "--capture", "dns.pcap", "--out", str(tmp_path / "report.html"))]
    alone = [fullspan(*one) for one in asked] if how == "here" else None
    owner = Owner(tmp_path, how)
    try:
        beside = [fullspan(*one) for one in asked]
        for one in beside:
            assert one.returncode == 0 and one.stdout, one.stderr
        assert (tmp_path / "report.html").stat().st_size > 10_000
        if alone is not None:
            assert [one.stdout for one in beside] == [one.stdout for one in alone]
        overview = json.loads(fullspan("query", "--store", url, "--json").stdout)
        assert {row["table"] for row in overview} == set(TABLES) and next(row["rows"] for row in overview if row["table"] == "dns") > 10
        assert stat.S_IMODE((owner.path / notice.NAME).stat().st_mode) == 0o600
        refused = fullspan("replay", str(ROOT / "pcaps" / "dns.pcap"), "--store", url)
        assert refused.returncode == 2 and "in use by another process" in refused.stderr and len(refused.stderr.strip().splitlines()) == 1
        assert isinstance(open_store(url, readonly=True), RemoteStore)
    finally:
        written, stored = owner.end().split()
    assert int(stored) >= int(written) > 0                      # not a row was lost to reading
    assert not (owner.path / notice.NAME).exists()


def test_an_owner_that_ends_in_a_question_is_told(tmp_path: Path) -> None:
    owner = Owner(tmp_path)
    code = "from dpi.cli.main import run; import sys; sys.exit(run(sys.argv[1:]))"
    asking = subprocess.Popen([sys.executable, "-c", code, "query", SLOW, "--store", owner.url], stderr=subprocess.PIPE, text=True, cwd=ROOT)
    time.sleep(1.5)
    assert asking.poll() is None
    owner.kill()
    _, said = asking.communicate(timeout=10)
    assert asking.returncode == 2 and "ended before it answered" in said and len(said.strip().splitlines()) == 1, said
    # what it left behind says that it answers, and nobody is misled
    assert (owner.path / notice.NAME).exists() and notice.standing(owner.path) is None
    again = fullspan("query", "SELECT count() > 0 AS there FROM dns", "--store", owner.url, "--json")
    assert json.loads(again.stdout)[0]["there"] == 1, again.stderr


def test_a_notice_that_does_not_stand_is_not_followed(tmp_path: Path) -> None:
    """Of an owner that is gone, of another's port, of nonsense: the store is held by a process that does not answer."""
    owner, other = Owner(tmp_path, "silent"), Owner(tmp_path / "other")
    try:
        answers = notice.standing(other.path)
        assert answers is not None
        for left in ("", "{}", "[1]", '{"port": 0, "process": 1, "mark": "x"}', '{"port": 99999999, "process": 1, "mark": "x"}',
                     '{"port": 1, "process": 1, "mark": "x"}',
                     json.dumps({"port": answers.port, "process": owner.process.pid, "mark": "of the one before"})):
            (owner.path / notice.NAME).write_text(left)
            with pytest.raises(UserError, match="in use by another process"):
                open_store(owner.url, create=False, readonly=True)
    finally:
        owner.end()
        other.end()
