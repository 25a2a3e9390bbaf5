"""Several shards give what one gives: every capture of real programs, dealt to shards in threads, with buffers so small that rows leave all the time."""
from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

import dpi.crew
import dpi.replaying
from dpi.batch import Batch
from dpi.behind import EVERYTHING, Behind
from dpi.outcome import Progress
from dpi.output import Limits, Output
from dpi.priority import Aside
from dpi.replaying import ReplayOptions, limits, run
from dpi.shard import Shard
from dpi.store import open_store
from tests.golden.rows import PCAPS, Kept, golden

CAPTURES = sorted(PCAPS.glob("*.pcap"))


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """No capture is too small for a crew, no block larger than 64 frames, and an output holds a block's rows at most."""
    monkeypatch.setattr(dpi.replaying, "ALONE", 0)
    monkeypatch.setattr(dpi.replaying, "FRAMES_PER_BLOCK", 64)
    monkeypatch.setattr(dpi.replaying, "FRAMES_AHEAD", 64)
    monkeypatch.setattr(dpi.replaying, "limits", lambda settings, most: small(limits(settings, most)))


def small(usual: Limits) -> Limits:
    return Limits(**{**vars(usual), "exports": 1040, "transactions": 4300})


def rows(captures: list[Path], workers: int, **options: Any) -> tuple[list[str], Any]:
    kept = Kept()
    outcome = run([str(one) for one in captures], sinks=[kept], options=ReplayOptions(workers=workers, **options))
    return golden(kept), outcome


@pytest.mark.parametrize("room", [{"exports": 1000}, {"transactions": 4000}])
def test_an_output_without_room_for_a_batch_is_refused(room: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="a batch may export 1024, 4096"):
        Output(Limits(**room))


def where() -> set[frozenset[int]]:
    """The cores that threads of this process may run on."""
    return {frozenset(os.sched_getaffinity(int(one))) for one in os.listdir("/proc/self/task")}


@pytest.mark.parametrize("workers", [2, 3, 5])
def test_many_shards_give_the_rows_of_one(always: None, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    begin = Aside.begin
    monkeypatch.setattr(Aside, "begin", lambda self, process=0: (begun.append(process), begin(self, process)))
    cores = where()
    alone, one = rows(CAPTURES, 1)
    together, many = rows(CAPTURES, workers)
    # one had a core to itself
    assert len(begun) == (len(CAPTURES) if workers == 2 else 0) and where() == cores
    assert (sorted(set(together) - set(alone)), sorted(set(alone) - set(together))) == ([], [])      # says which rows differ
    assert together == alone and len(alone) > 600
    assert [vars(capture) for capture in many.captures] == [vars(capture) for capture in one.captures]
    assert many.counters == one.counters and many.per_second.tolist() == one.per_second.tolist()


def test_answers_are_learned_in_their_order_whoever_is_late(always: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dozen names for one address, more than are kept, told to clients of either shard: which of them name the flows must not depend on threads."""
    packets, frame = [], Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    for k in range(600):
        client, name = f"192.0.2.{k % 200 + 1}", f"{k // 3 % 12}.example.com"
        if k % 3 == 0:
            packets.append(frame / IP(src="198.51.100.53", dst=client) / UDP(sport=53, dport=5000 + k) / DNS(
                qr=1, qd=DNSQR(qname=name), an=DNSRR(rrname=name, rdata="203.0.113.9", ttl=9)))
        else:
            packets.append(frame / IP(src=client, dst="203.0.113.9") / TCP(sport=20000 + k, dport=9999, flags="S"))
        packets[-1].time = 1_800_000_000 + k * 0.05
    capture = tmp_path / "names.pcap"
    wrpcap(str(capture), packets)
    alone, _ = rows([capture], 1)
    take, turn = dpi.crew.Crew._take, [0]

    def late(self: Any, number: int, shard: Shard, dealt: Any) -> None:
        if number == turn[0] and dealt.begin > 0:
            time.sleep(0.02)
        take(self, number, shard, dealt)
    monkeypatch.setattr(dpi.crew.Crew, "_take", late)
    for slow in range(2):
        turn[0] = slow
        assert rows([capture], 3)[0] == alone
    assert len({json.loads(row[6:]).get("server_name") for row in alone if row.startswith("flows")}) >= 12


def test_nothing_of_a_replay_stays_in_memory(always: None) -> None:
    before = threading.active_count()
    shards: list[Any] = []
    made = Shard.__init__

    def noted(self: Shard, *given: Any, **named: Any) -> None:
        made(self, *given, **named)
        shards.append(weakref.ref(self))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shard, "__init__", noted)
        rows(CAPTURES[:3], 3)
    for _ in range(100):
        if threading.active_count() == before:
            break
        time.sleep(0.01)
    gc.collect()
    assert threading.active_count() == before and len(shards) == 3 and not any(shard() for shard in shards)


@pytest.mark.parametrize("options", [{"joined": True}, {"filter": "udp"}, {"time_shift": 3_600_000_000}], ids=str)
def test_whatever_is_asked(always: None, options: dict[str, Any]) -> None:
    want = rows(CAPTURES, 1, **options)[0]
    assert rows(CAPTURES, 4, **options)[0] == want == rows(CAPTURES, 2, **options)[0]


class Full:
    """A sink that fails at its n-th batch."""

    def __init__(self, good: int) -> None:
        self.left = good

    def write(self, _batch: Batch) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError("the disk is full")


@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize("good", [0, 1, 7])
def test_what_a_sink_raises_reaches_the_caller_and_no_thread_stays(always: None, good: int, workers: int) -> None:
    before = {thread.name for thread in threading.enumerate()}
    with pytest.raises(OSError, match="the disk is full"):
        run([str(one) for one in CAPTURES], sinks=[Full(good)], options=ReplayOptions(workers=workers))
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith(("shard", "walk")) and thread.name not in before]


class Apart(Kept):
    """A sink that may be written to after the others; slower than they are."""
    apart = True

    def write(self, batch: Batch) -> None:
        time.sleep(0.01)
        super().write(batch)


@pytest.fixture(scope="module")
def ending(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture whose flows all end with it: six outputs of rows are left then."""
    path = tmp_path_factory.mktemp("ending") / "ending.pcap"
    wrpcap(str(path), [Ether() / IP(src=f"10.0.{k >> 8}.{k & 255}", dst="192.0.2.1") / UDP(sport=4000 + k, dport=9) for k in range(6000)])
    return path


def test_rows_that_are_left_in_the_end_are_kept_apart_beside_those_that_are_made(always: None, ending: Path) -> None:
    """Two captures, so that what the first one's end leaves behind is used again."""
    for captures in ([ending], [ending, CAPTURES[0], ending]):
        want = rows(captures, 1)[0]
        other, apart = Kept(), Apart()
        run([str(one) for one in captures], sinks=[apart, other], options=ReplayOptions(workers=2))
        assert golden(apart) == golden(other) == want and len(want) >= 6000


class Interrupting(Apart):
    """Is interrupted as its n-th batch is written."""

    def __init__(self, good: int) -> None:
        super().__init__()
        self.left = good

    def write(self, batch: Batch) -> None:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)
        super().write(batch)


@pytest.mark.parametrize("good", [1, 3, 6])
def test_interrupted_in_the_end_it_keeps_what_was_made(always: None, ending: Path, good: int) -> None:
    kept, before = Interrupting(good), signal.signal(signal.SIGINT, signal.default_int_handler)        # it may be ignored: of what a shell runs beside itself
    try:
        outcome = run([str(ending)], sinks=[kept], options=ReplayOptions(workers=2))
        assert outcome.interrupted and len(golden(kept)) >= 6000 and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("good", [0, 1, 3, 5])
@pytest.mark.parametrize("apart", [True, False])
def test_what_goes_wrong_in_the_end_is_told(always: None, ending: Path, good: int, apart: bool) -> None:
    full: Any = Full(good)
    full.apart = apart
    with pytest.raises(OSError, match="the disk is full"):
        run([str(ending)], sinks=[Kept() if apart else Apart(), full], options=ReplayOptions(workers=2))


@pytest.mark.parametrize(("what", "workers"), [("dpi.shard.Shard.take", 3), ("dpi.shard.Shard.process", 2), ("dpi.capture.trace.Trace._still_there", 2)])
def test_a_bug_in_a_thread_reaches_the_caller(always: None, monkeypatch: pytest.MonkeyPatch, what: str, workers: int) -> None:
    def broken(*_: Any) -> bool:
        raise ZeroDivisionError
    monkeypatch.setattr(what, broken)
    with pytest.raises(ZeroDivisionError):
        rows(CAPTURES, workers)
    assert not [thread for thread in threading.enumerate() if thread.name == "walk"]


def test_interrupted_with_its_file_walked_to_the_end_it_replaces_no_earlier_replay(always: None, tmp_path: Path) -> None:
    """What has been walked and was not taken in is not in the store: only a replay of all of it may take the place of another."""
    capture, kept = PCAPS / "demo.pcap", Kept()
    many = sum(one.packets for one in run([str(capture)], sinks=[kept], options=ReplayOptions(workers=1)).captures)
    taken = many - 64

    def impatient(progress: Progress) -> None:
        if progress.packets >= taken - 64:
            time.sleep(0.2)             # the walk comes to the end of the file meanwhile
            raise KeyboardInterrupt
    with contextlib.closing(open_store(f"chdb://{tmp_path}/store")) as store:
        for way in (None, impatient, None):
            run([str(capture)], sinks=[store], options=ReplayOptions(workers=2), progress=way)
            store.flush()
            held = store.query("SELECT packets, damage != '' FROM captures ORDER BY capture_id").rows
            packets = store.query("SELECT sum(client_packets + server_packets) FROM flows GROUP BY capture_id ORDER BY capture_id").rows
            assert len(held) == len(packets) == (2 if way else 1) and held[0][0] == many
            if way:
                assert held[1][0] < many


@pytest.mark.parametrize("workers", [2, 3])
def test_interrupted_it_keeps_what_was_done(always: None, workers: int) -> None:
    """Ctrl-C between two blocks: every packet that was read is in a row."""
    def impatient(progress: Progress) -> None:
        if progress.packets > 300:
            raise KeyboardInterrupt
    kept = Kept()
    outcome = run([str(PCAPS / "demo.pcap")], sinks=[kept], options=ReplayOptions(workers=workers), progress=impatient)
    read = outcome.captures[0]
    assert outcome.interrupted and 300 < read.packets < 600
    assert read.packets == sum(row["client_packets"] + row["server_packets"] for row in kept.rows("flows")) + sum(read.refused.values())


def test_a_shard_that_passes_on_while_it_is_looked_at_is_not_missed() -> None:
    """The shard ends just after the rows' thread has read how far it was, and before that thread waits: nobody would wake it again."""
    behind, ran = Behind(1), threading.Event()

    class Passed(list[int]):
        """Gives what it held; meanwhile the shard goes on."""

        def __iter__(self) -> Iterator[int]:
            held = [self[0]]
            if held == [0]:
                threading.Thread(target=behind.beyond, args=(0, EVERYTHING), daemon=True).start()
                time.sleep(0.1)
            return iter(held)

    behind.passed = Passed([0])
    behind.put(5, ran.set, threading.Event())
    assert ran.wait(20)


def test_rows_wait_for_both_shards() -> None:
    """Two shards that pass on in every order while calls wait for both: all are run, each after both have passed."""
    behind, ran = Behind(2), []
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def shard(number: int) -> None:
        done = threading.Event()
        for position in range(1, 3000):
            if position % 3 == number:
                behind.put(position, lambda position=position: ran.append((position, min(behind.passed))), done)       # type: ignore[misc]
            behind.beyond(number, position)
        behind.beyond(number, EVERYTHING)

    threads = [threading.Thread(target=shard, args=(number,), daemon=True) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    waiting = threading.Thread(target=behind.wait, daemon=True)
    waiting.start()
    waiting.join(60)
    sys.setswitchinterval(switch)
    assert not waiting.is_alive() and len(ran) == 1999
    assert all(position <= passed for position, passed in ran)
