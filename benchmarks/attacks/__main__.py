"""python -m benchmarks.attacks [--only NAME]... [--out DIR] [--list]: run attacks in namespaces, each alone, and keep one capture of each (root).

DIR gets NAME.pcap (nanoseconds), NAME.json (when it began and ended, whose addresses, what is expected) and bindings.csv. Nothing leaves the namespaces;
what is started here is ended here. Debian packages that are missing are installed, with their services kept from starting.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from benchmarks.attacks.attack import PROGRAMS, Attack, attacks
from benchmarks.attacks.place import NETWORKS, Place, bindings
from pcaps.make.catalogue import Capture, install

BEFORE, AFTER = 1.0, 2.0
"""Seconds recorded around an attack."""
LARGEST = 60_000_000


def perform(place: Place, attack: Attack, out: Path) -> dict[str, object]:
    """Record one attack; what its JSON says."""
    file = out / f"{attack.name}.pcap"
    part = file.with_suffix(".part")
    place.record(attack.link, part)
    time.sleep(BEFORE)
    place.begins()
    attack.run(place)
    ended = time.time()
    time.sleep(AFTER)
    place.captured()
    size = part.stat().st_size
    assert size <= LARGEST, f"{attack.name}: {size} bytes"
    os.replace(part, file)
    said: dict[str, object] = {
        "name": attack.name, "tool": attack.tool, "kinds": attack.kinds, "source": attack.source, "target": attack.target, "customer": attack.customer,
        "limit": attack.limit, "link": attack.link, "start": round(place.began, 6), "end": round(ended, 6), "local_networks": NETWORKS, "bytes": size,
    }
    file.with_suffix(".json").write_text(json.dumps(said, indent=1) + "\n")
    return said


def main() -> int:
    """0 where each ran and was recorded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", help="these attacks; a name that ends in * stands for all that begin so")
    parser.add_argument("--out", type=Path, default=Path("attack-captures"), metavar="DIR")
    parser.add_argument("--list", action="store_true", help="say which there are")
    asked = parser.parse_args()
    every = attacks()
    if asked.list:
        for one in every:
            print(f"{one.name:20} {one.tool:34} {', '.join(one.kinds)}")
        return 0
    wanted = [one for one in every if not asked.only or any(one.name == name or name[-1] == "*" and one.name.startswith(name[:-1]) for name in asked.only)]
    if not wanted:
        parser.error("no such attack; --list says which there are")
    if os.geteuid():
        parser.error("namespaces need root")
    install([Capture("attacks", tuple(PROGRAMS.split()), "", 0, "", lambda _: None)])
    asked.out.mkdir(parents=True, exist_ok=True)
    bindings(asked.out)
    failed = 0
    for one in wanted:
        began = time.monotonic()
        try:
            with Place() as place:
                said = perform(place, one, asked.out)
            print(f"{one.name:20} {time.monotonic() - began:6.0f} s {said['bytes']:>10} bytes", flush=True)
        except Exception as error:      # one that fails must not keep the others from being recorded
            failed += 1
            print(f"{one.name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
