"""What libpcap's handler makes of what it is given, and which interfaces are read through libpcap."""
from __future__ import annotations

import ctypes
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.capture import packet_socket, source
from dpi.capture.frame import FRAME
from dpi.capture.libpcap import FILLING, WORLD, take
from dpi.capture.live import TALLY
from dpi.capture.source import Place, places_of
from dpi.errors import UserError
from dpi.jit import BUILD, records, world

ROOM, BYTES = 8, 400


def handed(packets: list[tuple[int, int, int, bytes]], room: int = ROOM, size: int = BYTES) -> tuple[list[tuple[Any, ...]], int]:
    """(seconds, microseconds, wire length, bytes) of each packet, as libpcap gives them: what is in the block, and how many were broken."""
    filling, frames, tally = records(1, FILLING), records(room, FRAME), records(1, TALLY)
    data = np.full(size + 64, 0xEE, np.uint8)
    filling[0].link, filling[0].interface = 113, 5
    whole = world(WORLD, {"filling": filling, "frames": frames, "data": data[:size], "tally": tally})
    for seconds, rest, wire, octets in packets:
        head = ctypes.create_string_buffer(struct.pack("qqII", seconds, rest, len(octets), wire), 24)
        body = ctypes.create_string_buffer(octets, max(len(octets), 1))
        take(whole.ctypes.data, ctypes.addressof(head), ctypes.addressof(body))
    assert (data[size:] == 0xEE).all()
    found = []
    for row in frames.view(np.ndarray)[:int(filling[0].count)].tolist():
        offset, time, captured, length, link, interface, number = row
        assert link == 113 and interface == 5
        found.append((data[offset:offset + captured].tobytes(), length, time, number))
    assert int(tally[0].number) == len(found)
    return found, int(tally[0].broken)


PACKETS = st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(0, 999_999), st.integers(0, 70_000), st.binary(max_size=120)), max_size=12)


@settings(max_examples=30 if BUILD == "off" else 300, deadline=None)
@given(PACKETS)
def test_frames_are_copied_as_far_as_there_is_room(packets: list[tuple[int, int, int, bytes]]) -> None:
    want: list[tuple[Any, ...]] = []
    left = BYTES
    for seconds, rest, wire, octets in packets:
        if len(want) < ROOM and len(octets) <= left:
            left -= len(octets)
            want.append((octets, max(wire, len(octets)), seconds * 10**6 + rest, len(want) + 1))
    assert handed(packets) == (want, len(packets) - len(want))


def test_the_way_an_interface_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert places_of("lo") == [Place("lo", 1)] and str(places_of(" lo ,")[0]) == "lo"
    assert places_of("pcap:lo") == [Place("lo", libpcap=True)] and str(places_of("pcap:lo")[0]) == "lo (through libpcap)"
    assert places_of("any")[0].libpcap and places_of("lo,pcap:lo") == [Place("lo", 1)]
    for wrong in ("nowhere0", "pcap:nowhere0"):
        with pytest.raises(UserError, match="there is no such interface"):
            places_of(wrong)
    with pytest.raises(UserError, match="no interface is named"):
        places_of(" , ")
    monkeypatch.setattr(packet_socket, "TPACKET_V3", 9)     # what the kernel answers when it does not know a version
    place, = places_of("lo")
    assert place.libpcap and "no ring" in place.why
    monkeypatch.undo()
    monkeypatch.setattr(source, "LINKS", {})
    place, = places_of("lo")
    assert place.libpcap and "ARPHRD 772" in place.why
