"""The slow twin of the packet ring's kernels: which bytes of a frame are kept, and in which record, by the twin decoder and over Python's own addresses."""
from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from typing import Any

from dpi.capture.bpf import assemble
from dpi.capture.cases import Case
from tests.oracle.bpf import answer
from tests.oracle.decode import Twin


def opening(frame: bytes, wire: int, link: int, time: int, fields: dict[str, Any], cases: Sequence[Case]) -> Case | None:
    """The case that opens a frame of which the twin decoder gave these fields."""
    at = fields["ip_at"]
    places = ((at + 12, 4), (at + 16, 4)) if fields["version"] == 4 else ((at + 8, 16), (at + 24, 16))
    ends = [ipaddress.ip_address(frame[place:place + size]) for place, size in places]
    for case in cases:
        matches = any(end in ipaddress.ip_network(text) for text in case.addresses for end in ends if end.version == ipaddress.ip_network(text).version)
        if matches and time < case.until and (not case.filter or answer(assemble(case.filter, link).tolist(), frame, wire)):
            return case
    return None


class Kept:
    """What a ring with so much room keeps of frames given one after the other."""

    def __init__(self, seed: Sequence[int], most: int, room: int, cases: Sequence[Case] = ()) -> None:
        self._twin, self._most, self._room, self._cases = Twin(list(seed), True), most, room, cases
        self.bytes = b""
        self.packets = self.lost = 0
        self.opened: list[Case] = []
        self.times: list[int] = []

    def give(self, frame: bytes, wire: int, link: int, time: int) -> None:
        """The next frame, at `time` us."""
        wire = max(wire, len(frame))
        fields = self._twin.packet(frame, wire, link, time)
        if fields["status"] != "decoded":
            return
        kept = frame[:min(fields["ip_at"] + fields["ip_bytes"], self._most)]
        kept = kept[:min(fields["payload_at"], fields["l4_at"] + 8) if fields["mangled"] else fields["payload_at"]]
        case = opening(frame, wire, link, time, fields, self._cases) if len(kept) < len(frame) else None
        kept = kept if case is None else frame
        record = struct.pack("<IIII", *divmod(time, 1_000_000), len(kept), wire) + kept
        if len(self.bytes) + len(record) > self._room:
            self.lost += 1
            return
        self.bytes += record
        self.packets += 1
        self.times.append(time)
        self.opened += [] if case is None else [case]
