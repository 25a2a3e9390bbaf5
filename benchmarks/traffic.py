"""python -m benchmarks.traffic FLOWS LOG: steady traffic of many short flows whose every packet and byte is known, until standard input ends.

Each tick of 10 ms begins FLOWS flows; a flow sends a frame every tenth tick. Flow k is numbered in its client's address, and how many frames of how many
bytes it has follows from k alone. LOG gets three int64 for each tick: when it was (us since the epoch), the first flow that began, how many began.
"""
from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time
from pathlib import Path
from typing import IO, Any

import numpy as np

from tests.hostile.samples import ether, ip4, tcp, udp
from tests.live.wire import FAR

TICK = 0.010                # s
STEP = 10                   # ticks from a flow's frame to its next
LONGEST = 7                 # frames of a flow
SERVER = bytes((198, 51, 100, 7))


def packets_of(flows: Any) -> Any:
    """Frames of each flow, int64: of UDP 1 to 5, of every fourth, which is TCP, 7."""
    return np.where(flows % 4 == 3, LONGEST, 1 + flows * 7 % 5)


def frames_of(flow: int) -> list[bytes]:
    """The frames of a flow, both directions."""
    client = bytes((10, flow >> 16 & 255, flow >> 8 & 255, flow & 255))
    there, back = (client, SERVER), (SERVER, client)
    port, text = 1024 + flow % 60_000, bytes(20 + flow * 37 % 900)
    if flow % 4 != 3:
        return [ether(0x0800, ip4(17, udp(port, 9999, text), there))] * int(packets_of(np.int64(flow)))
    made = [(there, tcp(port, 443, 0x02, b"")), (back, tcp(443, port, 0x12, b"")), (there, tcp(port, 443, 0x10, b"")), (there, tcp(port, 443, 0x18, text)),
            (back, tcp(443, port, 0x18, text)), (there, tcp(port, 443, 0x11, b"")), (back, tcp(443, port, 0x11, b""))]
    return [ether(0x0800, ip4(6, segment, pair)) for pair, segment in made]


class Sent:
    """What the sender's log says: of each flow when it began (us), its frames and their bytes, int64[flows]."""

    def __init__(self, log: Path) -> None:
        ticks = np.fromfile(log, np.int64).reshape(-1, 3)
        self.began: Any = np.repeat(ticks[:, 0], ticks[:, 2])
        flows = np.arange(len(self.began))
        assert not len(flows) or (np.repeat(ticks[:, 1], ticks[:, 2]) <= flows).all()
        self.packets: Any = packets_of(flows)
        self.bytes: Any = np.array([sum(map(len, frames_of(flow))) for flow in flows.tolist()], np.int64)


def main() -> None:
    """Send."""
    with Path(sys.argv[2]).open("wb") as log:
        send(int(sys.argv[1]), log)


def send(each: int, log: IO[bytes]) -> None:
    """Begin `each` flows a tick until standard input ends, then end those that have begun; print how many frames and bytes went out."""
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    out.setsockopt(263, 20, 1)          # PACKET_QDISC_BYPASS
    out.bind((FAR, 0))
    going: list[list[tuple[int, list[bytes]]]] = []         # flows of the last ticks, each with its next frame
    first = sent = octets = 0
    ended = False
    due = time.monotonic()
    while not ended or any(going[-LONGEST * STEP:]):
        ended = ended or bool(select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0])
        due += TICK
        begun = 0 if ended else each
        log.write(struct.pack("3q", time.time_ns() // 1000, first, begun))
        log.flush()
        going.append([(0, frames_of(flow)) for flow in range(first, first + begun)])
        first += begun
        for tick in range(len(going) - 1, max(-1, len(going) - 1 - LONGEST * STEP), -STEP):
            left = []
            for at, frames in going[tick]:
                while out.send(frames[at]) != len(frames[at]):      # raises where it can't go out
                    pass
                sent, octets = sent + 1, octets + len(frames[at])
                if at + 1 < len(frames):
                    left.append((at + 1, frames))
            going[tick] = left
    print(json.dumps({"flows": first, "packets": sent, "bytes": octets}))


if __name__ == "__main__":
    main()
