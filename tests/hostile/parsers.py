"""Every protocol parser under attack: `python -m tests.hostile.parsers --count 100000`.

A target is "tests.hostile.parsers:<module of dpi/classify/protocols>". The payload lies against a guard page, and so do the records the
parser writes to. TCP payloads are given as they grow, datagrams one after the other with the state kept, as the dispatcher does.
"""
from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from functools import partial
from random import Random
from typing import Any

import numpy as np

import dpi.classify.protocols
from dpi.classify.inspection import CLEAN, FACTS, GOING, INSIDE, INSPECTION, MINE, NAMES_MAX, NO, PACKETS, ROOM, TRANSACTION, Protocol
from dpi.jit import BUILD, Entry, records
from tests.hostile.child import survive
from tests.hostile.guard import Guard
from tests.hostile.samples import Sample
from tests.hostile.seeds import TCP, seeds

PASSES = (("on", "end"), ("on", "start"), ("checked", "own"))


def names() -> list[str]:
    """The protocol modules."""
    return sorted(module.name for module in pkgutil.iter_modules(dpi.classify.protocols.__path__))


def guarded(count: int, dtype: np.dtype[Any]) -> Any:
    """Records whose last byte is the last that may be touched."""
    if BUILD != "on":
        return records(count, dtype)        # bounds are checked
    size = count * dtype.itemsize
    return Guard(size).at_end(bytes(size)).view(dtype).view(np.recarray)


class Parser:
    """One protocol's `parse`."""
    ordered = False

    def __init__(self, name: str) -> None:
        module = importlib.import_module(f"dpi.classify.protocols.{name}")
        self.parse: Entry = module.parse
        self.protocol: Protocol = module.PROTOCOL
        self.samples = seeds(self.protocol) + [Sample("own", *one) for one in getattr(module, "HOSTILE", ())]
        self.inspection, self.facts = guarded(1, INSPECTION), guarded(1, FACTS)
        self.outbox = guarded(ROOM, TRANSACTION)
        self.memory = guarded(self.protocol.memory, np.dtype("u1"))
        self.guard = Guard()
        self.random = Random(name)
        self.going = self.single = False

    def fresh(self) -> None:
        """A new flow."""
        for array in (self.inspection, self.facts, self.memory):
            array.view(np.uint8)[:] = 0
        self.going = self.single = False

    def call(self, data: Any, sample: Sample) -> None:
        random = self.random
        if not self.going or random.random() < 0.3:
            self.fresh()
        seen = self.inspection[0]
        seen.ip_protocol = sample.link & 255
        seen.direction = random.random() < 0.4
        seen.client_port = random.choice((50000, sample.wire & 0xFFFF))
        seen.server_port = random.choice((sample.wire & 0xFFFF, sample.wire & 0xFFFF, 60000))
        seen.packets = min(255, int(seen.packets) + 1)
        seen.time = int(seen.time) + 1000
        sizes = [data.size]
        seen.start = 1
        if sample.link == TCP and self.single:
            seen.start = 0
        elif sample.link == TCP:
            seen.start = random.random() < 0.85
            if seen.start and data.size:
                sizes = sorted({random.randint(0, data.size) for _ in range(random.randint(0, 3))} | {data.size})
        done = 0
        for size in sizes:
            seen.final = size == sizes[-1] and random.random() < 0.5
            seen.outbox = seen.done = seen.idle = 0
            # a part of the stream gets a guard of its own; in the checked build its length is guard enough
            whole = done == 0 and size == data.size
            part = data if whole else self.guard.at_end(bytes(data[done:size])) if BUILD == "on" else data[done:size]
            answer = self.parse(part, self.inspection, self.facts, self.outbox, self.memory)
            self.sound(answer)
            assert seen.done <= part.size, (seen.done, part.size)
            if seen.idle:
                self.memory[:CLEAN] = 0
            if answer == GOING and seen.start:
                done += int(seen.done)
            if answer in (NO, MINE, INSIDE):
                self.going = False
                return
            self.single = self.single or answer == PACKETS
        self.going = True

    def sound(self, answer: int) -> None:
        """What the dispatcher relies on."""
        seen, facts = self.inspection[0], self.facts[0]
        assert NO <= answer <= INSIDE, answer
        assert seen.outbox <= ROOM and seen.name_count <= NAMES_MAX and seen.name_length <= 256, (seen.outbox, seen.name_count, seen.name_length)
        assert facts.server_name_length <= 256 and facts.user_agent_length <= 176 and facts.alpn_length <= 32 and facts.ja4_count <= 6
        for row in self.outbox[:seen.outbox]:
            assert 1 <= row.table <= 4 and row.texts <= 12 and row.ends.max() <= 880, (row.table, row.texts, row.ends)


class Every:
    """All parsers in turn, in one process: for a short run."""
    ordered = False

    def __init__(self) -> None:
        self.parsers = {name: Parser(name) for name in names()}
        self.samples = [sample._replace(name=name) for name, one in self.parsers.items() for sample in one.samples[::max(1, len(one.samples) // 30)]]

    def fresh(self) -> None:
        """A new flow for each."""
        for one in self.parsers.values():
            one.fresh()

    def call(self, data: Any, sample: Sample) -> None:
        self.parsers[sample.name].call(data, sample)


def __getattr__(name: str) -> Any:
    if name in names():
        return partial(Parser, name)
    raise AttributeError(name)


def main(arguments: list[str]) -> int:
    """Attack each parser in each build; 0 where nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("protocols", nargs="*", help="only these (default: all)")
    parser.add_argument("--count", type=int, default=100_000, help="mutated payloads for each parser in each pass")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    failures = 0
    for name in options.protocols or names():
        for build, place in PASSES:
            outcome = survive(f"tests.hostile.parsers:{name}", build, place, options.count, options.seed)
            print(outcome, flush=True)
            failures += bool(outcome.fault) or outcome.done != options.count
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
