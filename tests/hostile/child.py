"""Run a target over mutated samples in a child process, and say what became of it.

A *target* is made by a function without arguments, named as "module:function". It has

    samples: list[Sample]                   the good bytes that mutation starts from
    ordered: bool                           True: `samples` is a capture, mutated in order (tests.hostile.mutation.captures)
    call(data, sample) -> None              give `data` (uint8[n], the mutated bytes in guarded memory) to the code under test; raises
                                            AssertionError where the answer is unsound
    fresh() -> None                         forget all state (before each version of an ordered capture)

The child writes each sample down before it is given away, so that the one that killed it can be said and tried again.
"""
from __future__ import annotations

import argparse
import importlib
import mmap
import os
import signal
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.hostile.guard import PLACES, placer
from tests.hostile.mutation import captures, stream
from tests.hostile.samples import Sample

_HEAD = struct.Struct("<QQQQ")      # done, link, wire, length
_ROOM = 1 << 18
_ROOT = Path(__file__).resolve().parents[2]


class Target(Protocol):
    """What is attacked."""
    samples: list[Sample]
    ordered: bool

    def call(self, data: Any, sample: Sample) -> None: ...
    def fresh(self) -> None: ...


@dataclass(frozen=True)
class Outcome:
    """What became of a child."""
    target: str
    build: str
    place: str
    seed: int
    done: int               # samples that were survived
    fault: str              # '' where all is well; else the signal or the exception
    sample: Sample | None   # the one it happened on

    def __str__(self) -> str:
        line = f"{self.target} build={self.build} place={self.place} seed={self.seed}: {self.done} samples"
        if not self.fault:
            return f"{line}, no fault"
        if self.sample is None:
            return f"{line}, {self.fault}"
        return f"{line}, {self.fault} on link {self.sample.link} wire {self.sample.wire} frame {self.sample.frame.hex()}"


def survive(target: str, build: str = "on", place: str = "end", count: int = 1000, seed: int = 1, first: int = 0) -> Outcome:
    """Attack `target` in a child process of that build ('on', 'off' or 'checked') and wait for its end."""
    environment = {name: value for name, value in os.environ.items() if name not in ("NUMBA_DISABLE_JIT", "NUMBA_BOUNDSCHECK")}
    environment.update(FULLSPAN_JIT=build, PYTHONPATH=os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")]))
    with tempfile.NamedTemporaryFile() as last:
        last.truncate(_HEAD.size + _ROOM)
        child = subprocess.run(
            [sys.executable, "-m", "tests.hostile.child", target, "--place", place, "--count", str(count), "--seed", str(seed), "--first", str(first),
             "--last", last.name], cwd=_ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        content = last.read()
    done, link, wire, length = _HEAD.unpack_from(content)
    fault = ""
    if child.returncode < 0:
        fault = signal.Signals(-child.returncode).name
    elif child.returncode:
        fault = (child.stderr.strip().splitlines() or [f"exit {child.returncode}"])[-1]
    sample = Sample("", link, content[_HEAD.size:_HEAD.size + length], wire) if fault else None
    return Outcome(target, build, place, seed, done, fault, sample)


def attack(target: Target, place: str, count: int, seed: int, first: int, last: mmap.mmap) -> None:
    """The child's work."""
    put = placer(place)
    samples = (captures if target.ordered else stream)(target.samples, seed, first, count)
    done = 0
    for sample in samples:
        if not sample.name and target.ordered:
            target.fresh()
            continue
        frame = sample.frame
        last[:_HEAD.size + len(frame)] = _HEAD.pack(done, sample.link, sample.wire, len(frame)) + frame
        target.call(put(frame), sample)
        done += 1
    last[:_HEAD.size] = _HEAD.pack(done, 0, 0, 0)


def main(arguments: list[str]) -> None:
    """The child."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("--place", choices=PLACES, default="end")
    for name, default in (("--count", 1000), ("--seed", 1), ("--first", 0)):
        parser.add_argument(name, type=int, default=default)
    parser.add_argument("--last", required=True)
    options = parser.parse_args(arguments)
    module, _, function = options.target.partition(":")
    target = getattr(importlib.import_module(module), function)()
    with open(options.last, "r+b") as file, mmap.mmap(file.fileno(), 0) as last:
        attack(target, options.place, options.count, options.seed, options.first, last)


if __name__ == "__main__":
    main(sys.argv[1:])
