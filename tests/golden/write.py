"""python -m tests.golden.write: the golden rows of pcaps/ anew. Look at the diff before you commit it."""
from __future__ import annotations

from tests.golden.rows import GOLDEN, PCAPS, golden, place, replayed

if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for old in GOLDEN.glob("*.txt"):
        old.unlink()
    for capture in sorted(PCAPS.glob("*.pcap")):
        place(capture).write_text("\n".join(golden(replayed(capture)[0])) + "\n")
        print(place(capture).name)
