"""What a process leaves to its end, and which of its threads give way: real processes."""
from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from dpi import ending
from dpi.priority import Aside, give_way, lower
from dpi.replaying import Replay, ReplayOptions, run
from dpi.store import open_store
from dpi.store.directory import held

_CAPTURE = Path(__file__).parents[1] / "pcaps" / "demo.pcap"


@pytest.mark.parametrize("cores", [1, 2])
def test_a_replay_that_has_ended_holds_nothing(tmp_path: Path, cores: int) -> None:
    """The engine is not closed in order, here or in its own process: its hold ends with the command all the same, and every row is there."""
    url = f"chdb://{tmp_path}/store"
    some = sorted(os.sched_getaffinity(0))[:cores]
    done = subprocess.run([sys.executable, "-m", "dpi.cli.main", "replay", str(_CAPTURE), "--store", url, "--json"], capture_output=True, text=True,
                          timeout=300, check=False, preexec_fn=lambda: os.sched_setaffinity(0, some))
    assert not held(tmp_path / "store") and done.returncode == 0, done.stderr
    with contextlib.closing(open_store(url)) as store:
        assert store.query("SELECT count() FROM flows").value() == json.loads(done.stdout)["rows"] > 0
        assert store.query("SELECT damage FROM captures").rows == [("",)]          # not FINAL: the row that it had begun is gone


@pytest.mark.parametrize(("workers", "soon", "kept"), [(1, True, 0), (2, True, 1), (2, False, 0)])
def test_tables_are_given_back_while_something_is_waited_for(workers: int, soon: bool, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a process that is about to end, where another core is there for that; else as soon as they are not needed."""
    monkeypatch.setattr(ending, "soon", soon)
    monkeypatch.setattr(ending, "held", [])
    monkeypatch.setattr(ending, "last", [])
    run([str(_CAPTURE)], sinks=[], options=ReplayOptions(workers=workers))
    held = [weakref.ref(one) for one in ending.held]
    assert [type(one()) for one in held] == [Replay] * kept
    ending.end()
    assert [one() is not None for one in held] == [True] * kept       # nothing was waited for: the process ends, and with it all it has
    ending.last.append(lambda: waited.extend(one() for one in held))
    waited: list[object] = []
    ending.end()
    gc.collect()
    assert waited == [None] * kept


def _lowered(call: object) -> list[bool]:
    """Whether a thread that makes the call is lower then, and whether this one is."""
    told: list[int] = []
    before, wanted = os.getpriority(os.PRIO_PROCESS, 0), lower()
    thread = threading.Thread(target=lambda: (call(), told.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))))      # type: ignore[operator]
    thread.start()
    thread.join()
    told.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    assert {*told} <= {before, wanted}
    return [one == wanted for one in told]


def test_a_thread_gives_way_by_itself() -> None:
    assert _lowered(give_way) == [True, lower() == os.getpriority(os.PRIO_PROCESS, 0)]


def test_every_thread_of_a_process_gives_way() -> None:
    program = f"from {__name__} import {_lowered.__name__} as lowered; from dpi.priority import all_give_way; print(lowered(all_give_way))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.stdout.strip() == "[True, True]"


def test_some_keep_off_the_core_of_one_until_it_is_done() -> None:
    """Threads that join before and after it begins, what they start, and a process; nobody else. Then all are where they were, and so is what the one itself
    has started meanwhile."""
    machine = os.sched_getaffinity(0)
    every = set(sorted(machine)[:2])
    aside, over, ready = Aside(), threading.Event(), threading.Semaphore(0)
    threads: dict[str, threading.Thread] = {}

    def start(name: str, *calls: Callable[[], object]) -> None:
        def run() -> None:
            for call in calls:
                call()
            ready.release()
            over.wait(30)
        threads[name] = threading.Thread(target=run, daemon=True)
        threads[name].start()

    def where() -> dict[str, set[int]]:
        return {name: os.sched_getaffinity(thread.native_id or 0) for name, thread in threads.items()} | {"process": os.sched_getaffinity(process.pid)}

    def started(count: int) -> bool:
        return all(ready.acquire(timeout=30) for _ in range(count))

    try:
        os.sched_setaffinity(0, every)
        with subprocess.Popen(["sleep", "60"]) as process:
            try:
                start("before", aside.join)
                start("other")
                start("elsewhere", lambda: os.sched_setaffinity(0, {max(every)}))
                assert started(3)
                aside.begin(process.pid)
                own = os.sched_getaffinity(0)
                rest = every - own
                start("after", aside.join, lambda: start("its own"))
                start("of the one")
                assert started(3)
                if len(every) == 2:
                    assert where() == {"before": rest, "other": every, "elsewhere": {max(every)}, "after": rest, "its own": rest, "of the one": own,
                                       "process": rest}
                aside.end()
                assert os.sched_getaffinity(0) == every and where() == dict.fromkeys([*threads, "process"], every) | {"elsewhere": {max(every)}}
            finally:
                aside.end()
                over.set()
                process.kill()
                for thread in threads.values():
                    thread.join(30)
    finally:
        os.sched_setaffinity(0, machine)


@pytest.mark.parametrize("cores", [1, 3])
def test_with_one_core_or_many_nobody_keeps_off_any(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    every = os.sched_getaffinity(0)
    asked: list[object] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _thread: set(range(cores)))
    monkeypatch.setattr(os, "sched_setaffinity", lambda *words: asked.append(words))
    aside = Aside()
    aside.join()
    aside.begin()
    aside.end()
    monkeypatch.undo()
    assert not asked and os.sched_getaffinity(0) == every
