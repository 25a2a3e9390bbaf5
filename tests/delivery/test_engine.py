"""The embedded engine is killed while it stores, between any two steps of an insert, and its disk fills: what was sent is there once, in every table."""
from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dpi.store import Away, open_store, tokens
from dpi.store.parcel import Packing, Parcel
from tests.delivery.test_delivery import asking, rows, sums

EVERYWHERE = ("SELECT count(), sum(client_bytes), (SELECT sum(client_bytes) FROM flows_1m), (SELECT sum(client_bytes) FROM flows_5m), "
              "(SELECT sum(client_bytes) FROM flows_1h), (SELECT sum(client_bytes) FROM links_1m) FROM flows")
STEPS = ("flows", "flows_1m", "flows_5m", "flows_1h", "links_1m")       # in which a parcel is stored


def parcels(count: int) -> list[Parcel]:
    """Parcels of 500 flows each."""
    packing, made = Packing("p1"), []
    for number in range(count):
        packing.add(rows(500 * number, 500, "flows"))
        made.append(packing.pack(packing.take(True)[0]))
    return made


def wanted(count: int) -> tuple[int, ...]:
    """What EVERYWHERE says of so many parcels."""
    return 500 * count, *[sums(500 * count)[2]] * 5


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_killed_between_a_token_and_its_part(step: int, tmp_path: Path) -> None:
    """The directory as a kill leaves it there: the token is noted, the part does not have its name yet, and the tables after it have nothing."""
    url, sent = f"chdb://{tmp_path}/store", parcels(3)
    with contextlib.closing(open_store(url, merging=True)) as store:
        for one in sent[:2]:
            store.insert(one)
        tables = {str(name): Path(str(paths[0])) for name, paths in store.query(
            "SELECT name, data_paths FROM system.tables WHERE database = currentDatabase() AND notEmpty(data_paths)").rows}
        newest = "SELECT table, argMax(name, min_block_number) FROM system.parts WHERE active GROUP BY table"
        last = {str(name): str(part) for name, part in store.query(newest).rows}
    for later, name in enumerate(STEPS[step:]):
        folder = tables[name] if tables[name].is_absolute() else tmp_path / "store" / tables[name]
        log = folder / "deduplication_logs" / "deduplication_log_1.txt"
        assert len(log.read_bytes().splitlines()) == 2 and (folder / last[name]).is_dir()
        shutil.rmtree(folder / last[name])
        if later:
            log.write_bytes(log.read_bytes().splitlines(True)[0])
    with contextlib.closing(open_store(url, merging=True)) as store:
        assert store.query(EVERYWHERE).rows[0] != wanted(2)
        for one in sent[1:]:
            store.insert(one, True)
        store.insert(sent[0], True)
        assert store.query(EVERYWHERE).rows == [wanted(3)]


def test_a_note_that_is_right_or_not_understood_stays(tmp_path: Path) -> None:
    table = tmp_path / "store" / "abc" / "abcdef"
    log = table / "deduplication_logs" / "deduplication_log_2.txt"
    log.parent.mkdir(parents=True)
    for part, held, note in (("20261129_1_1_0", "20261129_1_1_0", True), ("20261129_7_7_0", "20261129_1_9_3", True),
                             ("20261129_7_7_0", "20261128_1_9_3", False), ("20261129_7_7_0", "tmp_insert_20261129_7_7_0", False),
                             ("20261129_7_7_1_12", "20261129_7_7_1_12", True)):
        (table / held).mkdir()
        whole = f"1\t20261129_1_1_0\ttoken\n1\t{part}\t20261129_1_2\n".encode()
        log.write_bytes(whole)
        (log.parent / "deduplication_log_3.txt").write_bytes(b"")       # just begun
        assert tokens.mend(tmp_path) == (not note)
        assert log.read_bytes() == (whole if note else whole[:whole.index(b"\n") + 1])
        (table / held).rmdir()
    for odd in (b"2\t20261129_7_7_0\ttoken\n", b"some other format\n", b"\n", b"1\t20261129_7_7\ttoken\n"):
        log.write_bytes(odd)
        assert tokens.mend(tmp_path) == 0 and log.read_bytes() == odd


_OWNER = """
import os, signal, sys, time
from pathlib import Path
from dpi.store import open_ahead, open_store
url, spool = sys.argv[1:]
store = open_store(url, ahead=open_ahead(url, merging=True), merging=True)
from dpi.store.answering import Answering
from dpi.store.delivery import Delivery
from dpi.store.disk_spool import DiskSpool
from tests.delivery.test_delivery import rows
answering = Answering(store)
delivery = Delivery(lambda: store, "p1", DiskSpool(Path(spool), 1 << 30), ahead=True, rows=500, wait=0.02, pauses=(0.05, 0.4))
first = 0
for turn in range(4):
    for _ in range(12):
        delivery.write(rows(first, 500, "flows"))
        first += 500
        time.sleep(0.01 + 0.004 * turn)
    if turn < 3:
        os.kill(store._connection._child, signal.SIGKILL)
        print("killed", flush=True)
        sys.stdin.readline()
assert delivery.flush(30)
print(first, delivery.health().lost, repr(delivery.health().away), flush=True)
sys.stdin.readline()
answering.close()
delivery.close()
store.close()
"""


def test_an_engine_that_is_killed_is_started_again_and_answers_again(tmp_path: Path) -> None:
    """kill -9 of its process while parcels come, three times: rows are there once, and `query` is answered without the store being opened by others."""
    url = f"chdb://{tmp_path}/store"
    owner = subprocess.Popen([sys.executable, "-c", _OWNER, url, str(tmp_path / "spool")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdin is not None and owner.stdout is not None
    try:
        for _ in range(3):
            assert owner.stdout.readline() == "killed\n"
            with contextlib.closing(open_store(url, create=False, readonly=True)) as there:
                assert int(there.query("SELECT count() FROM flows").value()) % 500 == 0
            owner.stdin.write("\n")
            owner.stdin.flush()
        assert owner.stdout.readline() == "24000 0 ''\n"
        owner.stdin.write("\n")
        owner.stdin.flush()
        assert owner.wait(30) == 0
    finally:
        owner.kill()
        owner.wait()
        owner.stdin.close()
        owner.stdout.close()
    with contextlib.closing(open_store(url)) as store:
        assert store.query(asking("flows")).rows == [sums(24_000)]
        assert store.query(EVERYWHERE).rows == [wanted(48)]


def test_a_full_disk_of_the_embedded_store(tmp_path: Path) -> None:
    """Full at many places of an insert, from the first byte to the last: Away, and nothing of it is lost or doubled once there is room."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "none", str(small)], check=True)
    try:
        sent, failed = parcels(16), 0
        with contextlib.closing(open_store(f"chdb://{small}/store", merging=True)) as store:
            for number, one in enumerate(sent):
                free = os.statvfs(small).f_bavail * os.statvfs(small).f_frsize
                with contextlib.suppress(OSError):          # the engine's log has grown meanwhile: then it is full to the last byte
                    (small / "ballast").write_bytes(b"x" * max(0, free - 12288 * number))
                try:
                    store.insert(one)
                except Away as away:
                    failed += 1
                    assert "the disk is full" in str(away)
                    (small / "ballast").unlink()
                    store.insert(one, True)
                (small / "ballast").unlink(missing_ok=True)
            assert failed >= 8
            assert store.query(EVERYWHERE).rows == [wanted(len(sent))]
    finally:
        subprocess.run(["umount", str(small)], check=False)


def test_a_start_waits_for_the_engine_of_a_process_that_was_killed(tmp_path: Path) -> None:
    from dpi.store.directory import held, wait

    holder = "import fcntl, sys, time; f = open(sys.argv[1], 'rb'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); time.sleep(60)"
    (tmp_path / "status").write_text("")
    other = subprocess.Popen([sys.executable, "-c", holder, str(tmp_path / "status")], stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        assert held(tmp_path) and not wait(tmp_path, 0.3)
        os.kill(other.pid, signal.SIGKILL)
        assert wait(tmp_path, 20) and not held(tmp_path)
    finally:
        other.kill()
        other.communicate()
