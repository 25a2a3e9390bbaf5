"""The spool on disk: order, bound, damage, and a process killed at any moment."""
from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dpi.errors import UserError
from dpi.store.disk_spool import DiskSpool, Full
from dpi.store.parcel import Packing, Parcel
from tests.rows import batch

ROOM = 1 << 30


def parcels(count: int, boot: int = 5, rows: int = 20) -> list[Parcel]:
    """Parcels of one boot."""
    packing = Packing("p1", boot=boot)
    made = []
    for seed in range(count):
        packing.add(batch("flows" if seed % 2 else "dns", rows, seed))
        made.append(packing.pack(packing.take(True)[0]))
    return made


def drained(spool: DiskSpool) -> list[Parcel]:
    """All that is in it, in the order in which it comes."""
    out = []
    while (one := spool.read()) is not None:
        out.append(one)
        spool.remove(one.order)
    return out


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[DiskSpool]:
    one = DiskSpool(tmp_path / "spool", ROOM)
    yield one
    one.close()


def test_parcels_come_back_whole_and_in_order_after_a_restart_too(spool: DiskSpool, tmp_path: Path) -> None:
    late, early = parcels(4, boot=9), parcels(4, boot=7)
    shuffled = [*late, *early]
    random.Random(1).shuffle(shuffled)
    for one in shuffled:
        spool.put(one)
        spool.put(one)                              # a second time is nothing new
    assert (len(spool), spool.rows, spool.first, spool.last_boot) == (8, 160, (7, 0), 9) and spool.oldest == early[0].stored_time
    files = list((tmp_path / "spool").iterdir())
    assert spool.bytes == sum(one.stat().st_size for one in files) and len(files) == 8
    with pytest.raises(UserError, match="in use by another process"):
        DiskSpool(tmp_path / "spool", ROOM)
    spool.close()
    (tmp_path / "spool" / "half.part").write_bytes(b"x")
    again = DiskSpool(tmp_path / "spool", ROOM)
    assert (len(again), again.rows, again.bytes, again.oldest) == (8, 160, spool.bytes, early[0].stored_time)
    assert drained(again) == [*early, *late]
    assert (len(again), again.rows, again.bytes, again.oldest, again.read()) == (0, 0, 0, 0, None) and not list((tmp_path / "spool").iterdir())
    again.close()


def test_at_the_bound_the_newest_is_refused_and_the_old_ones_stay(tmp_path: Path) -> None:
    made = parcels(6)
    sizing = DiskSpool(tmp_path / "sizing", ROOM)
    for one in made[:3]:
        sizing.put(one)
    small = DiskSpool(tmp_path / "small", sizing.bytes)
    for one in made[:3]:
        small.put(one)
    for one in made[3:]:
        with pytest.raises(Full, match="bound"):
            small.put(one)
    assert small.bytes == sizing.bytes
    assert small.read() == made[0]
    small.remove(made[0].order)
    small.remove(made[1].order)
    small.put(made[5])
    assert drained(small) == [made[2], made[5]]
    sizing.close()
    small.close()


@pytest.mark.parametrize("harm", ["cut", "empty", "bit", "mark", "gone", "other"])
def test_what_is_damaged_is_set_aside_and_counted(spool: DiskSpool, tmp_path: Path, harm: str) -> None:
    made = parcels(3)
    for one in made:
        spool.put(one)
    first, second, _ = sorted((tmp_path / "spool").iterdir())
    data = bytearray(second.read_bytes())
    if harm == "cut":
        second.write_bytes(data[:-1])
    elif harm == "empty":
        second.write_bytes(b"")
    elif harm == "bit":
        data[len(data) // 2] ^= 4
        second.write_bytes(data)
    elif harm == "mark":
        second.write_bytes(b"X" + data[1:])
    elif harm == "gone":
        second.unlink()
    else:
        second.write_bytes(first.read_bytes())
    assert drained(spool) == [made[0], made[2]]
    assert (spool.damaged, spool.lost, spool.rows) == (1, 20, 0)
    left = [one.name for one in (tmp_path / "spool").iterdir()]
    assert left == ([] if harm == "gone" else [second.with_suffix(".damaged").name])


def test_every_byte_of_a_file_is_guarded(spool: DiskSpool, tmp_path: Path) -> None:
    """Whichever bit turns over, the parcel is whole or told to be damaged."""
    one, = parcels(1, rows=2)
    for place in range(0, 4000, 37):
        spool.put(one)
        path, = (tmp_path / "spool").glob("*.parcel")
        data = bytearray(path.read_bytes())
        data[place % len(data)] ^= 1 << place % 8
        path.write_bytes(data)
        assert spool.read() is None
        path.with_suffix(".damaged").unlink()


def test_any_parcel_can_be_had_and_what_is_set_aside_is_trimmed_from_its_oldest(spool: DiskSpool, tmp_path: Path) -> None:
    made = parcels(6)
    for one in made:
        spool.put(one)
    assert spool.orders() == [one.order for one in made] and spool.get(made[4].order) == made[4] and spool.get((1, 1)) is None and len(spool) == 6
    for one in made[:4]:
        spool.refuse(one)
    aside = sorted((tmp_path / "spool").glob("*.refused"))
    assert spool.trim(1 << 30) == 0 and spool.trim(sum(path.stat().st_size for path in aside[2:])) == 2
    assert sorted((tmp_path / "spool").glob("*.refused")) == aside[2:] and spool.orders() == [one.order for one in made[4:]]
    assert spool.trim(0) == 2 and spool.bytes == sum(path.stat().st_size for path in (tmp_path / "spool").iterdir())


def test_what_the_store_refuses_is_kept_aside(spool: DiskSpool, tmp_path: Path) -> None:
    made = parcels(2)
    spool.put(made[0])
    for one in made:
        spool.refuse(one)
    assert spool.read() is None and len(list((tmp_path / "spool").glob("*.refused"))) == 2
    assert spool.bytes == sum(one.stat().st_size for one in (tmp_path / "spool").iterdir())


def test_a_full_disk_refuses_and_leaves_nothing_half(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(tmp_path / "small")], check=True)
    try:
        spool = DiskSpool(tmp_path / "small" / "spool", ROOM)
        kept = []
        for one in parcels(20, rows=400):
            try:
                spool.put(one)
                kept.append(one)
            except Full as error:
                assert "No space left" in error.args[0]
        assert 0 < len(kept) < 20 and not list((tmp_path / "small" / "spool").glob("*.part"))
        assert spool.bytes == sum(one.stat().st_size for one in (tmp_path / "small" / "spool").iterdir())
        assert drained(spool) == kept
        spool.close()
    finally:
        subprocess.run(["umount", str(tmp_path / "small")], check=False)


_CHILD = """
import sys
from pathlib import Path
from dpi.store.disk_spool import DiskSpool
from tests.delivery.test_disk_spool import parcels
spool = DiskSpool(Path(sys.argv[1]), 1 << 30)
made = parcels(200, boot=spool.last_boot + 1)
print("begun", flush=True)
for one in made:
    spool.put(one)
    print(one.boot, one.sequence, flush=True)
"""


def test_killed_at_any_moment_it_keeps_what_it_said_it_has(tmp_path: Path) -> None:
    """Three processes one after the other, each killed while it writes: what was told is there, whole and in order; at most one more is."""
    said: list[tuple[int, int]] = []
    for kill in range(3):
        child = subprocess.Popen([sys.executable, "-c", _CHILD, str(tmp_path / "spool")], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None and child.stdout.readline() == "begun\n"
        time.sleep(0.02 + 0.03 * kill)
        os.kill(child.pid, signal.SIGKILL)
        said += [(int(boot), int(sequence)) for boot, sequence in (line.split() for line in child.stdout.read().splitlines(True) if line.endswith("\n"))]
        child.wait()
        child.stdout.close()
    spool = DiskSpool(tmp_path / "spool", ROOM)
    found = drained(spool)
    spool.close()
    orders = [one.order for one in found]
    assert orders == sorted(orders) and set(said) <= set(orders) and len(orders) <= len(said) + 3 and spool.damaged == 0 and len(said) > 3
    made = parcels(200)
    for one in found:
        assert one.columns[:-1] == made[one.sequence].columns[:-1]
