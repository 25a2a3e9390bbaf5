"""Which stored capture a file is, how little is hashed to tell, and what a killed replay leaves."""
from __future__ import annotations

import hashlib
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dpi import provenance
from dpi.capture import trace
from dpi.replaying import ReplayOptions, run
from dpi.store import Store, open_store
from dpi.store.captures import UNFINISHED

HASHES = trace._sha256


def capture(path: Path, mark: int = 0, flows: int = 3) -> Path:
    """UDP packets, one a flow, over some minutes. `mark` makes another file of the same size."""
    frames = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)]
    for k in range(flows):
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 32, 0, 0, 64, 17, 0, bytes([10, mark, k >> 8 & 255, k & 255]), bytes([192, 0, 2, 1]))
        frame = b"\x02\0\0\0\0\1\x02\0\0\0\0\2\x08\0" + ip + struct.pack("!HHHH", 4000, 7, 12, 0) + b"data"
        frames.append(struct.pack("<IIII", 1_331_901_000 + k * 600 // flows, 0, len(frame), len(frame)) + frame)
    path.write_bytes(b"".join(frames))
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"chdb://{tmp_path}/store")
    yield opened
    opened.close()


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is larger than what is always hashed."""
    monkeypatch.setattr(provenance, "HASHED", 0)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the files that were hashed."""
    sizes: list[int] = []

    def counted(number: int, go_on: Any) -> str:
        sizes.append(os.fstat(number).st_size)
        return HASHES(number, go_on)

    monkeypatch.setattr(trace, "_sha256", counted)
    return sizes


def replay(store: Store, path: Path | str, **options: Any) -> None:
    run([str(path)], sinks=[store], options=ReplayOptions(**options))
    store.flush()


def kept(store: Store) -> list[tuple[str, str]]:
    """(path, hash) of each capture; every row in the store is of one of them."""
    for table in ("flows", "coverage", "flows_1m"):
        assert store.query(f"SELECT count() FROM {table} WHERE capture_id NOT IN (SELECT capture_id FROM captures)").value() == 0, table
    assert store.query("SELECT uniqExact(capture_id) FROM flows").value() == store.query("SELECT count() FROM captures").value()
    assert store.query("SELECT count() FROM captures WHERE damage != ''").value() == 0
    return [(Path(path).name, digest) for path, digest in store.query("SELECT path, sha256 FROM captures ORDER BY capture_id").rows]


def test_a_small_file_is_known_by_its_hash_wherever_it_is(store: Store, tmp_path: Path) -> None:
    one, other = capture(tmp_path / "a.pcap"), capture(tmp_path / "b.pcap", 1)
    replay(store, one)
    replay(store, other)
    assert kept(store) == [("a.pcap", sha256(one)), ("b.pcap", sha256(other))]
    replay(store, one.rename(tmp_path / "moved.pcap"))
    assert [name for name, _ in kept(store)] == ["b.pcap", "moved.pcap"]
    capture(other, 2)
    os.utime(other, ns=(0, 0))
    replay(store, other)                # the same place, other bytes
    assert len(kept(store)) == 3
    told = store.query("SELECT toUnixTimestamp64Micro(modified_time), size FROM captures WHERE path = {p:String} ORDER BY capture_id DESC", {"p": str(other)})
    assert told.rows[0] == (0, other.stat().st_size)


def test_a_store_that_answers_late_has_the_capture_itself(store: Store, tmp_path: Path, large: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own row, which says that its replay has begun, is no earlier replay of it: another file of the size makes its hash wanted all the same."""
    replay(store, capture(tmp_path / "a.pcap"))
    written, usual, begun = threading.Event(), type(store).captures, type(store).write

    def late(self: Any, size: int) -> Any:
        assert written.wait(30)
        return usual(self, size)

    def write(self: Any, batch: Any) -> None:
        begun(self, batch)
        if batch.table == "captures":
            written.set()

    monkeypatch.setattr(type(store), "captures", late)
    monkeypatch.setattr(type(store), "write", write)
    same = capture(tmp_path / "b.pcap")
    replay(store, same)
    assert kept(store) == [("b.pcap", sha256(same))]


def test_a_large_file_alone_of_its_size_is_not_hashed(store: Store, tmp_path: Path, large: None, hashed: list[int]) -> None:
    one = capture(tmp_path / "a.pcap")
    replay(store, one)
    replay(store, capture(tmp_path / "b.pcap", flows=4))
    assert kept(store) == [("a.pcap", ""), ("b.pcap", "")] and hashed == []
    assert store.query("SELECT toUnixTimestamp64Micro(modified_time) FROM captures WHERE path = {p:String}", {"p": str(one)}).value() \
        == one.stat().st_mtime_ns // 1000


def test_a_large_file_of_the_same_place_and_time_is_replaced_without_hashing(store: Store, tmp_path: Path, large: None, hashed: list[int]) -> None:
    one = capture(tmp_path / "a.pcap")
    for _ in range(2):
        replay(store, one)
    assert kept(store) == [("a.pcap", "")] and hashed == []
    replay(store, one, append=True)
    assert kept(store) == [("a.pcap", "")] * 2 and hashed == []


def test_large_files_of_one_size_are_told_apart_by_hashes(store: Store, tmp_path: Path, large: None, hashed: list[int],
                                                          capsys: pytest.CaptureFixture[str]) -> None:
    one, other = capture(tmp_path / "a.pcap"), capture(tmp_path / "b.pcap", 1)
    replay(store, one)
    replay(store, other)                # hashes both
    assert kept(store) == [("a.pcap", ""), ("b.pcap", sha256(other))] and len(hashed) == 2
    copy = capture(tmp_path / "copy.pcap")
    replay(store, copy)                 # is a.pcap; b.pcap has its hash
    assert kept(store) == [("b.pcap", sha256(other)), ("copy.pcap", sha256(one))] and len(hashed) == 4
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("gone", ["removed", "changed"])
def test_what_cannot_be_compared_is_kept_and_told(store: Store, tmp_path: Path, large: None, capsys: pytest.CaptureFixture[str], gone: str) -> None:
    one = capture(tmp_path / "a.pcap")
    replay(store, one)
    copy = capture(tmp_path / "copy.pcap")
    if gone == "removed":
        one.unlink()
    else:
        os.utime(one, ns=(5_000, 5_000))
    replay(store, copy)
    assert kept(store) == [("a.pcap", ""), ("copy.pcap", sha256(copy))]
    told = capsys.readouterr().err
    assert told.startswith("fullspan: copy.pcap: nobody can tell whether it is") and str(one) in told and told.count("\n") == 1


def test_a_hash_may_be_asked_for(store: Store, tmp_path: Path, large: None) -> None:
    one = capture(tmp_path / "a.pcap")
    replay(store, one, sha256=True)
    assert kept(store) == [("a.pcap", sha256(one))]
    replay(store, one.rename(tmp_path / "b.pcap"))
    assert kept(store) == [("b.pcap", sha256(tmp_path / "b.pcap"))]


def test_streams_are_hashed_on_the_way(store: Store, tmp_path: Path, large: None, monkeypatch: pytest.MonkeyPatch) -> None:
    one = capture(tmp_path / "a.pcap")
    for _ in range(2):
        with one.open("rb") as file:
            monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=file))
            replay(store, "-")
    assert [digest for _, digest in kept(store)] == [sha256(one)]


CHILD = """
import sys, time
from dpi.replaying import ReplayOptions, run
from dpi.store import open_store, writer

writer.Writer.__init__.__defaults__ = (1000, 1000)
store = open_store(sys.argv[1])

class Pause:
    def write(self, batch):
        while store._writer.rows < 1000:
            time.sleep(0.01)
        print("rows are stored", flush=True)
        time.sleep(600)
    def close(self):
        pass

run([sys.argv[2]], sinks=[store, Pause()], options=ReplayOptions(workers=1))
"""


@pytest.mark.parametrize("size", ["small", "large"])
def test_what_a_killed_replay_left_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    one, url = capture(tmp_path / "a.pcap", flows=20_000), f"chdb://{tmp_path}/store"
    child = subprocess.Popen([sys.executable, "-c", CHILD, url, str(one)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "rows are stored\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    store = open_store(url)
    left = store.query("SELECT capture_id, count() FROM flows GROUP BY capture_id").rows
    assert len(left) == 1 and left[0][1] >= 1000
    assert store.query("SELECT damage, path FROM captures WHERE capture_id = {id:UInt64}", {"id": left[0][0]}).rows == [(UNFINISHED, str(one))]
    if size == "large":
        monkeypatch.setattr(provenance, "HASHED", 0)
    replay(store, one)
    assert kept(store) == [("a.pcap", sha256(one) if size == "small" else "")]
    assert store.query("SELECT count() FROM flows").value() == 20_000 and store.query("SELECT sum(flows) FROM flows_1h").value() == 20_000
    store.close()
