"""python -m benchmarks.workload OUT.pcap [--packets N]: a large capture out of pcaps/, for those who have no trace at hand.

Every copy of a capture gets client addresses of its own (IPv4 10/8; checksums are left as they are: nobody here verifies them), so that its
flows are distinct; copies begin at random moments of five minutes and interleave. Deterministic for a seed.
"""
from __future__ import annotations

import argparse
import struct
from pathlib import Path

import numpy as np

PCAPS = Path(__file__).resolve().parents[1] / "pcaps"


def frames(path: Path) -> list[tuple[int, bytes]]:
    """(time us, frame) of a pcap in this machine's byte order, microseconds."""
    data, at, out = path.read_bytes(), 24, []
    while at + 16 <= len(data):
        seconds, micro, captured, _ = struct.unpack_from("<IIII", data, at)
        out.append((seconds * 1_000_000 + micro, data[at + 16:at + 16 + captured]))
        at += 16 + captured
    first = out[0][0] if out else 0
    return [(time - first, frame) for time, frame in out]


def main() -> None:
    """Write the workload."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    random = np.random.default_rng(asked.seed)
    sources = [frames(path) for path in sorted(PCAPS.glob("*.pcap"))]
    records: list[tuple[int, bytes]] = []
    copy = 0
    while len(records) < asked.packets:
        for source in sources:
            copy += 1
            begin = int(random.integers(0, 240_000_000))
            for time, frame in source:
                if frame[12:14] == b"\x08\x00" and len(frame) >= 34:
                    number = struct.pack(">I", 0x0A000000 + copy)
                    at = 26 if frame[29] >= 2 and frame[29] != 1 else 30        # the higher host number is the client
                    frame = frame[:at] + number + frame[at + 4:]
                records.append((begin + time, frame))
    records.sort(key=lambda one: one[0])
    with open(asked.out, "wb") as file:
        file.write(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for time, frame in records[:asked.packets]:
            whole = 1_700_000_000_000_000 + time
            file.write(struct.pack("<IIII", whole // 1_000_000, whole % 1_000_000, len(frame), len(frame)) + frame)


if __name__ == "__main__":
    main()
