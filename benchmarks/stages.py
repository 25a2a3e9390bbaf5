"""python -m benchmarks.stages FILE: one process: decode and flow table alone, then with naming; CPU seconds, the table touched before the clock."""
from __future__ import annotations

import argparse
import resource
import time
from dataclasses import replace

from dpi.capture.inputs import find
from dpi.capture.trace import open_trace
from dpi.engine import entries
from dpi.native import warm
from dpi.output import Limits, Origin
from dpi.rules import RuleSet, load
from dpi.shard import Shard


class Nothing:
    """A sink that drops rows."""

    def write(self, batch: object) -> None:
        pass

    def close(self) -> None:
        pass


def through(file: str, rules: RuleSet, limits: Limits, most: int | None = None) -> tuple[Shard, float]:
    """A shard that has taken in the file (or its first `most` blocks), and the CPU seconds of that: reading, decoding, tracking."""
    shard = Shard(rules, limits, [Nothing()])
    shard.table.touch()
    trace = open_trace(find([file])[0])
    shard.begin(Origin(trace.name))
    began = time.process_time()
    for number, block in enumerate(trace.blocks(4096)):
        if number == most:
            break
        shard.process(block)
    took = time.process_time() - began
    trace.close()
    return shard, took


def main() -> None:
    """Print Mpps of both, and how long the end of all flows takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    asked = parser.parse_args()
    rules = load()
    warm(entries(rules))
    for name, limits in (("decode and flow table", replace(Limits(), inspect=0)), ("with naming", Limits())):
        through(asked.file, rules, limits, 1)           # the file's pages and the code are warm before the clock
        shard, took = through(asked.file, rules, limits)
        began = time.process_time()
        shard.finish()
        ended = time.process_time() - began
        row, packets = shard.counters, int(shard.intake.timeline.row.packets)
        print(f"{name}: packets {packets} flows {row.flows} evicted {row.evicted}: {took:.3f} s, {packets / took / 1e6:.2f} Mpps; "
              f"end of all flows {ended:.3f} s")
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.1f} MB")


if __name__ == "__main__":
    main()
