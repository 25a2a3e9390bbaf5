"""``python -m pcaps.make list | all | NAME ...``: make captures anew, one at a time."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

from pcaps.make.catalogue import CAPTURES, build, install, record
from pcaps.make.network import Trouble

PLAIN = {"__init__", "__main__", "business", "catalogue", "live", "month", "network", "packets", "sample"}


def main(words: list[str]) -> int:
    """Make what is named (a capture or a script); 0 if all went well, 1 if one failed, 2 for a name that isn't known."""
    scripts = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in PLAIN)
    for script in scripts:
        importlib.import_module(f"pcaps.make.{script}")
    if words in ([], ["list"]):
        for one in CAPTURES.values():
            print(f"{one.name:28} {one.script:20} {one.shows}")
        return 0
    chosen = []
    for word in words:
        found = [one for one in CAPTURES.values() if word in ("all", one.name, Path(one.script).stem)]
        if not found:
            print(f"pcaps.make: no capture or script called {word!r}; see: python -m pcaps.make list", file=sys.stderr)
            return 2
        chosen += found
    if os.geteuid():
        return subprocess.run(["sudo", sys.executable, "-m", "pcaps.make", *words], check=False).returncode
    install(chosen)
    failed = 0
    for one in chosen:
        try:
            row = build(one)
        except (Trouble, OSError, subprocess.SubprocessError) as error:
            failed += 1
            print(f"{one.name}: not made: {error}", file=sys.stderr)
            continue
        record(row)
        print(row)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
