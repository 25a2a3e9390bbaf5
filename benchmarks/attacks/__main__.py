"""python -m benchmarks.attacks [--only NAME]... [--out DIR] [--live] [--list]: run attacks in namespaces, each alone, and keep one capture of each (root).

DIR gets NAME.pcap (nanoseconds), NAME.json (when it began and ended, whose addresses, what is expected) and bindings.csv. Nothing leaves the namespaces;
what is started here is ended here. Debian packages that are missing are installed, with their services kept from starting. With --live a
probe reads a mirror of the link meanwhile: NAME.chdb is its store, and the JSON says what it told and how many seconds after the beginning it was there to
be read.
"""
from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path

from benchmarks.attacks.attack import PROGRAMS, Attack, attacks
from benchmarks.attacks.live import Probe
from benchmarks.attacks.place import NETWORKS, Place, bindings
from pcaps.make.catalogue import Capture, install

BEFORE, AFTER = 1.0, 2.0
"""Seconds recorded around an attack."""
LARGEST = 60_000_000


def watched(place: Place, attack: Attack, out: Path) -> dict[str, object]:
    """One attack beside a probe; what its JSON says, with `told` and `seconds` (None where it was told nothing right in time)."""
    store = out / f"{attack.name}.chdb"
    for old in (store, store.with_name(store.name + ".spool")):
        shutil.rmtree(old, ignore_errors=True)
    with Probe(place, attack.link, store, out / "bindings.csv", attack.settings) as probe:
        said = perform(place, attack, out)
        told = probe.wait(attack.kinds, place.began + attack.limit)
    times = [one["stored"] / 1e6 - place.began for one in told if one["kind"] in attack.kinds]
    said |= {"told": told, "seconds": round(min(times), 1) if times else None}
    (out / f"{attack.name}.json").write_text(json.dumps(said, indent=1) + "\n")
    return said


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
        "settings": attack.settings,
    }
    file.with_suffix(".json").write_text(json.dumps(said, indent=1) + "\n")
    return said


def main() -> int:
    """0 where each ran and was recorded, and with --live was told in its time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", help="these attacks; a name that ends in * stands for all that begin so")
    parser.add_argument("--out", type=Path, default=Path("attack-captures"), metavar="DIR")
    parser.add_argument("--live", action="store_true", help="with a probe beside, and in what time it told")
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
                said = (watched if asked.live else perform)(place, one, asked.out)
            told = f"  told after {said['seconds']} s" if asked.live else ""
            if asked.live and (said["seconds"] is None or float(str(said["seconds"])) > one.limit):
                failed += 1
                told += f", {one.limit:g} at most"
            print(f"{one.name:20} {time.monotonic() - began:6.0f} s {said['bytes']:>10} bytes{told}", flush=True)
        except Exception as error:      # one that fails must not keep the others from being recorded
            failed += 1
            print(f"{one.name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
