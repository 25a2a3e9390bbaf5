"""Delivery to real servers that are killed, stopped, cut off, slow, full: what was sent is what is there, once.

`Sent` keeps what a test wrote; `check` compares counts and sums of bytes with the store's, and looks that each row is there once.
"""
from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dpi.batch import Batch, Coded, Texts
from dpi.errors import UserError
from dpi.health import StoreHealth
from dpi.store import Away, Store, open_store
from dpi.store.delivery import Delivery
from dpi.store.disk_spool import DiskSpool
from dpi.store.parcel import Packing
from tests.delivery.servers import Server, Wire, ZooKeeper, asked, free_port, until

ROOM = 1 << 30
#: Columns by table: the number of a row, and two of bytes.
NUMBERED = {"flows": ("flow_id", "client_bytes", "server_bytes"), "coverage": ("capture_id", "wire_bytes", "busiest_bytes")}


def asking(table: str) -> str:
    """SQL for what `sums` says."""
    number, first, second = NUMBERED[table]
    return f"SELECT count(), uniqExact({number}), sum({first}), sum({second}) FROM {table}"


SUMS = asking("coverage")       # of few columns: these old servers take a millisecond for each


def rows(first: int, count: int, table: str = "coverage") -> Batch:
    """`count` rows numbered from `first`."""
    numbers = np.arange(first, first + count, dtype=np.uint64)
    number, one, two = NUMBERED[table]
    at = "interval_start" if table == "flows" else "time"
    return Batch(table, count, {number: numbers, one: numbers % 1501, two: numbers * 7 % 9001, at: 1_700_000_000_000_000 + numbers.astype(np.int64) * 1000,
                                "probe": Coded.same("p1", count), "source": Texts.of([f"file{one}.pcap" for one in numbers.tolist()])})


class Sent:
    """What was written to a delivery."""

    def __init__(self, delivery: Delivery, table: str) -> None:
        self.delivery, self.table, self.count, self.longest = delivery, table, 0, 0.0

    def send(self, count: int) -> None:
        begin = time.monotonic()
        self.delivery.write(rows(self.count, count, self.table))
        self.longest = max(self.longest, time.monotonic() - begin)
        self.count += count

    def check(self, found: list[tuple[Any, ...]]) -> StoreHealth:
        health = self.delivery.health()
        assert found == [sums(self.count)]
        assert (health.rows, health.lost, health.waiting, health.away) == (self.count, 0, 0, "")
        assert self.longest < 0.5
        return health


def sums(count: int) -> tuple[int, ...]:
    """What SUMS says of the first `count` flows."""
    numbers = np.arange(count)
    return count, count, int((numbers % 1501).sum()), int((numbers * 7 % 9001).sum())


def opener(url: str) -> Callable[[], Store]:
    return lambda: open_store(url)


@contextlib.contextmanager
def delivering(url: str, path: Path | None, table: str = "coverage", **options: Any) -> Iterator[Sent]:
    """A delivery with a spool in that directory, of small parcels and short pauses."""
    given = {"rows": 500, "wait": 0.05, "pauses": (0.05, 0.4), **options}
    delivery = Delivery(opener(url), "p1", None if path is None else DiskSpool(path / "spool", given.pop("bound", ROOM)), **given)
    try:
        yield Sent(delivery, table)
    finally:
        with contextlib.suppress(UserError):
            delivery.close()


def spooled(path: Path, ending: str = ".parcel") -> list[str]:
    """Names of the files in the spool."""
    return sorted(one.name for one in (path / "spool").iterdir() if one.suffix == ending)


OPTIONS = {"plain": "timeout=5", "replicated": "timeout=5&replicated=/clickhouse/{}"}


@pytest.mark.parametrize("kind", list(OPTIONS))
def test_a_server_killed_while_it_inserts(kind: str, zookeeper: ZooKeeper, tmp_path: Path) -> None:
    """kill -9, three times, at whatever it was doing; stopped in between as an operator would."""
    own = Server(tmp_path / f"killed{kind}", zookeeper.port)
    own.begin()
    chance = random.Random(4)
    try:
        with delivering(own.url("db", OPTIONS[kind].format(f"killed{kind}")), tmp_path, "flows") as sent:
            sent.send(1000)
            assert sent.delivery.flush(20)
            for turn in range(4):
                stop = threading.Event()

                def kill(stop: threading.Event = stop, turn: int = turn) -> None:
                    time.sleep(chance.random() * 0.15)
                    own.end(signal.SIGTERM if turn == 2 else signal.SIGKILL)
                    stop.set()

                killer = threading.Thread(target=kill)
                killer.start()
                while not stop.is_set():
                    sent.send(500)
                    time.sleep(0.04)
                killer.join()
                sent.send(700)                  # all before may have been stored
                until(lambda: bool(sent.delivery.health().away))
                assert sent.delivery.health().waiting >= 700
                own.begin()
            assert sent.delivery.flush(30), sent.delivery.health()
            sent.check(asked(own, "db", asking("flows")))
            assert asked(own, "db", "SELECT sum(client_bytes) FROM flows_1h") == [(sums(sent.count)[2],)]
            assert not spooled(tmp_path) and sent.count > 4000
    finally:
        own.end()


@pytest.mark.parametrize("kind", list(OPTIONS))
@pytest.mark.parametrize("direction", ["cut_up", "cut_down"])
def test_a_connection_that_is_cut(kind: str, direction: str, server: Server, tmp_path: Path) -> None:
    """At many places: while a parcel goes out, and when it is stored and only the answer is missing."""
    wire, name, chance = Wire(server.port), f"{direction}{kind}", random.Random(7)
    try:
        with delivering(server.url(name, OPTIONS[kind].format(name), wire.port), tmp_path) as sent:
            sent.send(500)
            assert sent.delivery.flush(20)
            for turn in range(5):
                setattr(wire, direction, chance.randrange(1, 20_000 if direction == "cut_up" else 800))
                for _ in range(3):
                    sent.send(500)
                until(lambda turn=turn: wire.cuts > turn or not sent.delivery.health().waiting)
            assert sent.delivery.flush(20), sent.delivery.health()
            sent.check(asked(server, name, SUMS))
            assert wire.cuts >= 2
    finally:
        wire.close()


@pytest.mark.parametrize("kind", list(OPTIONS))
def test_an_answer_that_is_lost(kind: str, server: Server, tmp_path: Path) -> None:
    """The rows are stored, the probe is not told: they are sent again, and counted once."""
    wire, name = Wire(server.port), f"lost{kind}"
    try:
        with delivering(server.url(name, OPTIONS[kind].format(name), wire.port), tmp_path) as sent:
            sent.send(500)
            assert sent.delivery.flush(20)
            for turn in range(1, 4):
                wire.lose_end = True
                sent.send(500)
                assert sent.delivery.flush(20)
                assert wire.cuts == turn
            sent.check(asked(server, name, SUMS))
    finally:
        wire.close()


def test_a_server_that_does_not_answer_for_a_while(server: Server, tmp_path: Path) -> None:
    """Writing does not wait for it; what does not fit in memory goes to disk, and all of it arrives."""
    wire = Wire(server.port)
    try:
        with delivering(server.url("slow", "timeout=0.7", wire.port), tmp_path, memory=60_000) as sent:
            sent.send(500)
            assert sent.delivery.flush(20)
            wire.stalled = True
            for _ in range(20):
                sent.send(500)
                time.sleep(0.01)
            until(lambda: "does not answer" in sent.delivery.health().away)
            health = sent.delivery.health()
            assert health.waiting >= 9_000 and health.spool_bytes > 0 and 0.3 < health.lag < 10
            wire.stalled = False
            assert sent.delivery.flush(20), sent.delivery.health()
            assert sent.check(asked(server, "slow", SUMS)).lag == 0
    finally:
        wire.stalled = False
        wire.close()


def test_a_server_that_is_frozen_and_goes_on(zookeeper: ZooKeeper, tmp_path: Path) -> None:
    """It was about to store a parcel when it was frozen, and does so after the probe has given up waiting."""
    own = Server(tmp_path / "frozen", zookeeper.port)
    own.begin()
    try:
        with delivering(own.url("db", "timeout=0.5"), tmp_path) as sent:
            for turn in range(3):
                for _ in range(10):
                    sent.send(500)
                time.sleep(0.03 + 0.02 * turn)
                own.send(signal.SIGSTOP)
                until(lambda: bool(sent.delivery.health().away) or not sent.delivery.health().waiting)
                own.send(signal.SIGCONT)
            assert sent.delivery.flush(20), sent.delivery.health()
            sent.check(asked(own, "db", SUMS))
    finally:
        own.end()


def test_zookeeper_that_is_lost(tmp_path: Path) -> None:
    keeper = ZooKeeper(tmp_path / "keeper")
    keeper.begin()
    own = Server(tmp_path / "kept", keeper.port)
    try:
        own.begin()
        with delivering(own.url("db", "timeout=5&replicated=/clickhouse/kept"), tmp_path) as sent:
            sent.send(500)
            assert sent.delivery.flush(20)
            keeper.end()
            for _ in range(5):
                sent.send(500)
            until(lambda: bool(sent.delivery.health().away))
            assert sent.delivery.health().waiting == 2500
            keeper.begin()
            assert sent.delivery.flush(30), sent.delivery.health()
            sent.check(asked(own, "db", SUMS))
    finally:
        own.end()
        keeper.end()


def test_a_full_disk_of_the_server_is_told_and_recovered_from(zookeeper: ZooKeeper, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(small)], check=True)
    own = Server(tmp_path / "full", zookeeper.port, small)
    try:
        own.begin()
        with delivering(own.url("db"), tmp_path) as sent:
            sent.send(500)
            assert sent.delivery.flush(20)
            free = os.statvfs(small).f_bavail * os.statvfs(small).f_frsize
            (small / "ballast").write_bytes(b"x" * (free - 8192))
            for _ in range(6):
                sent.send(500)
            until(lambda: "disk of the server is full" in sent.delivery.health().away)
            assert sent.delivery.health().lost == 0 and "\n" not in sent.delivery.health().away
            (small / "ballast").unlink()
            assert sent.delivery.flush(20), sent.delivery.health()
            sent.check(asked(own, "db", SUMS))
    finally:
        own.end()
        subprocess.run(["umount", str(small)], check=False)


_CHILD = """
import sys, time
from pathlib import Path
from dpi.store import open_store
from dpi.store.delivery import Delivery
from dpi.store.disk_spool import DiskSpool
from dpi.store.parcel import Packing
from tests.delivery.test_delivery import rows
url, spool, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
delivery = Delivery(lambda: open_store(url), "p1", DiskSpool(Path(spool), 1 << 30), ahead=True, rows=500, wait=0.02, pauses=(0.05, 0.4))
print("begun", flush=True)
while True:
    delivery.write(rows(first, 500))
    first += 500
    while delivery.volatile:
        time.sleep(0.0005)
    print(first, flush=True)
"""


@pytest.mark.parametrize("kind", ["plain", "replicated", "chdb"])
def test_a_probe_that_is_killed(kind: str, server: Server, tmp_path: Path) -> None:
    """kill -9, three times; the next process goes on with what it left. What it had on disk or in the store is there once; nothing is there in part."""
    url = f"chdb://{tmp_path}/store" if kind == "chdb" else server.url(f"probe{kind}", OPTIONS[kind].format(f"probe{kind}"))
    first = kept = 0
    for turn in range(3):
        child = subprocess.Popen([sys.executable, "-c", _CHILD, url, str(tmp_path / "spool"), str(first)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None and child.stdout.readline() == "begun\n"
        lines = [child.stdout.readline() for _ in range(3 + 4 * turn)]
        time.sleep(0.004 * turn)
        os.kill(child.pid, signal.SIGKILL)
        lines += child.stdout.read().splitlines(True)
        child.wait()
        child.stdout.close()
        last = int([line for line in lines if line.endswith("\n")][-1])
        kept += last - first
        first = last + 500                      # one more may have been kept before it was told
    delivery = Delivery(opener(url), "p1", DiskSpool(tmp_path / "spool", ROOM), ahead=True, rows=500, wait=0.02)
    assert delivery.flush(30)
    assert delivery.health().lost == 0
    delivery.close()
    with contextlib.closing(open_store(url)) as store:
        count, distinct, total, _ = store.query(SUMS).rows[0]
        assert count == distinct and kept <= count <= kept + 3 * 500 and count % 500 == 0
        numbers = np.array([row[0] for row in store.query("SELECT toUInt32(capture_id) FROM coverage ORDER BY capture_id").rows])
        assert total == int((numbers % 1501).sum())
    assert not spooled(tmp_path)


def test_what_waits_is_delivered_in_order_by_the_next_process(server: Server, tmp_path: Path) -> None:
    """The store is away for the whole life of a probe, and of the next; a third delivers first what is oldest."""
    nowhere = f"clickhouse://default@127.0.0.1:{free_port()}/x"
    count = 0
    for _ in range(2):
        with delivering(nowhere, tmp_path) as sent:
            sent.count = count
            for _ in range(4):
                sent.send(500)
            until(lambda: "can't be reached" in sent.delivery.health().away)
            sent.delivery.close()
            count = sent.count
    names = spooled(tmp_path)
    assert len(names) == 8
    (tmp_path / "spool" / names[2]).write_bytes(b"not what it was")
    with delivering(server.url("order"), tmp_path) as sent:
        sent.count = count
        sent.send(500)
        assert sent.delivery.flush(20)
        health = sent.delivery.health()
        assert (health.rows, health.lost, health.refused, health.waiting) == (4000, 500, 0, 0)
    stored = asked(server, "order", "SELECT toUInt32(min(capture_id)) FROM coverage GROUP BY stored_time ORDER BY stored_time")
    assert stored == [(number,) for number in range(0, 4500, 500) if number != 1000]
    assert spooled(tmp_path, ".damaged") == [names[2].replace(".parcel", ".damaged")]


def test_beyond_its_room_the_newest_is_given_up_and_counted(server: Server, tmp_path: Path) -> None:
    """With a spool and without: what was taken first is what is delivered."""
    port = free_port()
    late = Wire(server.port)
    for path, name in ((tmp_path, "bound"), (None, "memory")):
        reached: list[bool] = []

        def open_later(name: str = name, reached: list[bool] = reached) -> Store:
            if not reached:
                raise Away("it is not there", f"127.0.0.1:{port}")
            return open_store(server.url(name))

        spool = DiskSpool(path / "spool", 30_000) if path is not None else None
        delivery = Delivery(open_later, "p1", spool, rows=500, wait=0.02, pauses=(0.05, 0.1), memory=100_000)
        for number in range(40):
            delivery.write(rows(500 * number, 500))
            until(lambda delivery=delivery, number=number: (health := delivery.health()).waiting + health.lost == 500 * (number + 1)
                  and not delivery._packing.rows and not delivery._packed)
        health = delivery.health()
        assert 0 < health.lost < 20_000 and not health.refused and health.spool_bytes <= 30_000 and delivery.refused
        reached.append(True)
        assert delivery.flush(20)
        delivery.close()
        kept = 20_000 - health.lost
        assert asked(server, name, SUMS) == [sums(kept)]
    late.close()


def test_what_the_store_refuses_does_not_hold_up_the_rest(server: Server, tmp_path: Path) -> None:
    with delivering(server.url("refused"), tmp_path) as sent:
        sent.send(500)
        assert sent.delivery.flush(20)
        asked(server, "refused", "ALTER TABLE coverage DROP COLUMN dropped_nic")
        sent.delivery.write(Batch("coverage", 3, {"dropped_nic": np.array([1, 2, 3], np.uint64)}))
        assert sent.delivery.flush(20)
        sent.send(500)
        sent.delivery.write(Batch("coverage", 2, {"no_such_column": np.array([1, 2])}))
        assert sent.delivery.flush(20)
        health = sent.delivery.health()
        assert (health.rows, health.lost, health.refused, health.waiting, health.away) == (1000, 5, 3, 0, "")
        assert "no_such_column" in sent.delivery.refused
        assert len(spooled(tmp_path, ".refused")) == 1
    assert asked(server, "refused", SUMS) == [sums(1000)]


def test_to_the_embedded_store_too_and_nothing_left_is_said(tmp_path: Path) -> None:
    with delivering(f"chdb://{tmp_path}/store", None, "flows") as sent:
        for _ in range(10):
            sent.send(300)
        assert sent.delivery.flush(20)
        assert sent.delivery.health() == StoreHealth(3000, 0, 0, 0, 0.0, "")
        sent.delivery.close()
        sent.delivery.close()
        sent.delivery.write(rows(0, 5))
        assert sent.delivery.health().lost == 5
    with contextlib.closing(open_store(f"chdb://{tmp_path}/store")) as store:
        assert store.query(asking("flows")).rows == [sums(3000)]
        assert store.query("SELECT sum(client_bytes) FROM flows_1h").value() == sums(3000)[2]


def test_rows_that_nobody_will_have_are_told_at_the_end() -> None:
    delivery = Delivery(opener(f"clickhouse://default@127.0.0.1:{free_port()}/x"), "p1", rows=500, wait=0.02, pauses=(0.05, 0.1))
    delivery.write(rows(0, 700))
    until(lambda: bool(delivery.health().away))
    with pytest.raises(UserError, match="700 rows were lost.*can't be reached"):
        delivery.close()
    assert delivery.health().lost == 700


def nowhere() -> Store:
    """No store is there."""
    raise Away("there is none")


def test_rows_wait_for_those_before_to_be_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a table of a million flows ends: more rows at once than may wait, and the encoder slower than they come."""
    plain = Packing.pack

    def slowly(self: Packing, gathering: Any) -> Any:
        time.sleep(0.05)
        return plain(self, gathering)
    monkeypatch.setattr(Packing, "pack", slowly)
    delivery = Delivery(nowhere, "p1", rows=500, gathered=1000, wait=0.05, pauses=(0.05, 0.4))
    for at in range(0, 20_000, 500):
        delivery.write(rows(at, 500))
    health = delivery.health()
    assert (health.lost, health.waiting) == (0, 20_000) and health.away
    with pytest.raises(UserError, match="20000 rows were lost"):
        delivery.close()


def test_an_encoder_that_stands_still_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    going = threading.Event()
    plain = Packing.pack

    def held(self: Packing, gathering: Any) -> Any:
        going.wait(30)
        return plain(self, gathering)
    monkeypatch.setattr(Packing, "pack", held)
    delivery = Delivery(nowhere, "p1", rows=500, gathered=1000, wait=0.05, pauses=(0.05, 0.4), patience=0.2)
    begin = time.monotonic()
    for at in range(0, 4000, 500):
        delivery.write(rows(at, 500))
    assert 0.2 <= time.monotonic() - begin < 10
    health = delivery.health()
    assert health.lost > 0 and health.lost + health.waiting == 4000 and "faster than they can be encoded" in delivery.refused
    going.set()
    with contextlib.suppress(UserError):
        delivery.close()


def test_what_is_to_be_told_after_the_rows_is_told_where_there_are_none(tmp_path: Path) -> None:
    """A probe that is killed before its first row has said from when on it read."""
    told = threading.Event()
    delivery = Delivery(lambda: open_store("none"), "p1", DiskSpool(tmp_path / "spool", ROOM), ahead=True, wait=60.0)
    try:
        delivery.after(told.set)
        assert told.wait(5)
        told.clear()
        delivery.write(rows(0, 10))
        delivery.after(told.set)
        assert told.wait(5)
    finally:
        delivery.close()
