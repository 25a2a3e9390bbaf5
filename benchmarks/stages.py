"""python -m benchmarks.stages FILE: one process, one core: how long decode and flow table take, with the table touched before the clock."""
from __future__ import annotations

import argparse
import resource
import time

from dpi.capture.inputs import find
from dpi.capture.trace import open_trace
from dpi.engine import Limits, Origin, Shard, entries
from dpi.native import warm
from dpi.rules import load


class Nothing:
    """A sink that drops rows."""

    def write(self, batch: object) -> None:
        pass

    def close(self) -> None:
        pass


def main() -> None:
    """Print Mpps of the pipeline (reading, decoding, tracking; inspection of what is not settled) and of the end of all flows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--no-touch", action="store_true", help="leave the table's pages to be touched as flows come")
    asked = parser.parse_args()
    rules = load()
    warm(entries(rules))
    shard = Shard(rules, Limits(), [Nothing()])
    if not asked.no_touch:
        shard.table.touch()
    trace = open_trace(find([asked.file])[0])
    shard.begin(Origin(trace.name))
    for block in trace.blocks(256):             # the file's pages and the code are warm before the clock
        shard.process(block)
        break
    trace.close()
    shard = Shard(rules, Limits(), [Nothing()])
    if not asked.no_touch:
        shard.table.touch()
    trace = open_trace(find([asked.file])[0])
    shard.begin(Origin(trace.name))
    began = time.process_time()
    for block in trace.blocks(4096):
        shard.process(block)
    took = time.process_time() - began
    began = time.process_time()
    shard.finish()
    ended = time.process_time() - began
    row = shard.counters
    print(f"packets {row.packets} flows {row.flows} evicted {row.evicted}: {took:.3f} s, {row.packets / took / 1e6:.2f} Mpps; "
          f"end of all flows {ended:.3f} s (CPU seconds); peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.1f} MB")


if __name__ == "__main__":
    main()
