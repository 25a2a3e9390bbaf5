"""One conversation's packets out of the packet ring: segments are read and decoded like any capture, and what belongs to it becomes a capture of its own."""
from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import numpy as np

from dpi.capture.block import LARGEST_CAPTURED
from dpi.capture.frame import PACKET
from dpi.capture.intake import Dealt, Intake
from dpi.capture.octets import be32, be64
from dpi.capture.ring import RECORD, record
from dpi.capture.segments import Segment, listed
from dpi.capture.trace import open_trace
from dpi.capture.transport import DCCP, SCTP, TCP, UDP, UDP_LITE
from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.jit import I64, entry, kernel, records

_FRAMES = 16384                 # of a block
_ROOM = 4 << 20                 # bytes written at a time; more than any record
_WITH_PORTS = (TCP, UDP, DCCP, SCTP, UDP_LITE)
_U1 = np.dtype("u1")

#: The conversation that is looked for, and what was found of it. Of IP version 4 addresses are in the lower words. Times in us, both included.
WANTED = np.dtype((np.record, [
    ("version", "i8"), ("ip_protocol", "i8"), ("ports", "i8"), ("one_high", "u8"), ("one_low", "u8"), ("other_high", "u8"), ("other_low", "u8"),
    ("one_port", "i8"), ("other_port", "i8"), ("vlan", "i8"), ("since", "i8"), ("until", "i8"),
    ("next", "i8"), ("packets", "i8"), ("cut", "i8")]))


@kernel
def wanted(data: Any, p: Any, w: Any) -> Any:
    """Does a packet belong to the conversation? Of later fragments, which have no ports of their own, addresses and protocol decide."""
    if p.status != 0 or np.int64(p.version) != w.version or np.int64(p.ip_protocol) != w.ip_protocol or p.time < w.since or p.time > w.until \
            or (w.vlan >= 0 and np.int64(p.vlan) != w.vlan):
        return False
    at = np.int64(p.offset) + np.int64(p.ip_at)
    if w.version == 4:
        source_high = target_high = np.uint64(0)
        source_low, target_low = np.uint64(be32(data, at + 12)), np.uint64(be32(data, at + 16))
    else:
        source_high, source_low = be64(data, at + 8), be64(data, at + 16)
        target_high, target_low = be64(data, at + 24), be64(data, at + 32)
    without = w.ports == 0 or p.fragment == 2
    source, target = np.int64(p.source_port), np.int64(p.target_port)
    if source_high == w.one_high and source_low == w.one_low and target_high == w.other_high and target_low == w.other_low \
            and (without or (source == w.one_port and target == w.other_port)):
        return True
    return source_high == w.other_high and source_low == w.other_low and target_high == w.one_high and target_low == w.one_low \
        and (without or (source == w.other_port and target == w.one_port))


@entry(_U1, PACKET, I64, WANTED, _U1)
def pick(data: Any, packets: Any, count: Any, wants: Any, out: Any) -> Any:
    """Write records of the packets wanted of packets[wants[0].next : count] to out; the bytes. `next` is behind the last that had room."""
    w = wants[0]
    at = np.int64(0)
    for i in range(np.int64(w.next), count):
        p = packets[np.uint64(i)]
        if wanted(data, p, w):
            size = np.int64(p.captured)
            if at + RECORD + size > out.size:
                w.next = i
                return at
            at = np.int64(record(out, at, data, p, size))
            w.packets += 1
            if size < np.int64(p.wire):
                w.cut += 1
    w.next = count
    return at


@dataclass(frozen=True)
class Conversation:
    """What to look for. Times in us, both included; boot: the run of the probe, as in a flow's number."""
    boot: int
    interface: str
    client: IPv4Address | IPv6Address
    server: IPv4Address | IPv6Address
    client_port: int
    server_port: int
    ip_protocol: int
    vlan: int               # -1: any
    since: int
    until: int

    def row(self) -> Any:
        """WANTED[1]."""
        row = records(1, WANTED)
        one, other = int(self.client), int(self.server)
        low = (1 << 64) - 1
        row.view(np.ndarray)[0] = (self.client.version, self.ip_protocol, self.ip_protocol in _WITH_PORTS, one >> 64, one & low, other >> 64, other & low,
                                   self.client_port, self.server_port, self.vlan, self.since, self.until, 0, 0, 0)
        return row


@dataclass(frozen=True)
class Excerpt:
    """What was found: packets, those of them without their content, and from when on (us) the ring has packets of this run and interface (0: it has none)."""
    packets: int = 0
    cut: int = 0
    begins: int = 0


def excerpt(directory: Path, sought: Conversation, target: Path) -> Excerpt:
    """Write the conversation's packets to a pcap file; it is not written where there are none. UserError: the ring can't be read."""
    try:
        found = [one for one in listed(directory) if (one.boot, one.interface) == (sought.boot, sought.interface)]
    except PermissionError:
        raise UserError("the packet ring may not be read", str(directory), "ask as the probe's user or as root") from None
    except OSError as error:
        raise UserError(f"the packet ring can't be read: {error.strerror}", str(directory),
                        "name its directory with --ring or in [probe] ring_directory") from None
    row = sought.row()
    parts = []
    for worker in sorted({one.worker for one in found}):
        part = target.with_name(f"{target.name}.{worker}")
        if _of_worker(directory, [one for one in found if one.worker == worker and one.first <= sought.until and one.last >= sought.since], row, part):
            parts.append(part)
        else:
            part.unlink()
    if len(parts) > 1:
        _merge(parts, target)
        for part in parts:
            part.unlink()
    elif parts:
        parts[0].rename(target)
    return Excerpt(int(row[0]["packets"]), int(row[0]["cut"]), min((one.first for one in found), default=0))


def _of_worker(directory: Path, segments: Iterable[Segment], row: Any, part: Path) -> bool:
    """Write what one worker kept; whether there was any."""
    before = int(row[0]["packets"])
    intake, dealt, out = Intake(), Dealt(_FRAMES, 1), np.empty(_ROOM, np.uint8)
    with part.open("wb") as file:
        for segment in segments:
            try:
                trace = open_trace(directory / segment.name)
            except UserError:           # it has left the ring meanwhile, or nothing was written to it yet
                continue
            with trace:
                if not file.tell():
                    file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, LARGEST_CAPTURED, next(iter(trace.link_types), 1)))
                for block in trace.blocks(_FRAMES):     # to its end, or to the damage that a killed probe left
                    intake.deal(block, dealt)
                    row[0]["next"] = 0
                    while int(row[0]["next"]) < block.count:
                        file.write(out[:pick(block.data, dealt.all, block.count, row, out)].data)
                    intake.timeline.take_seconds()
                intake.forget()
    return int(row[0]["packets"]) > before


def _merge(parts: list[Path], target: Path) -> None:
    """Packets of several workers in the order of time."""
    program = shutil.which("mergecap")
    if not program:
        raise UserError("mergecap is not installed", "fullspan flow", "install it: apt-get install wireshark-common")
    done = subprocess.run([program, "-F", "pcap", "-w", str(target), *map(str, parts)], capture_output=True, check=False, stdin=subprocess.DEVNULL,
                          env={**os.environ, "TZ": "UTC"})
    if done.returncode:
        raise UserError(done.stderr.decode("utf-8", "replace").strip() or "mergecap failed", str(target))
