"""The packet ring: what its kernel keeps against a slow twin, and what of it is on disk, whatever the disk does."""
from __future__ import annotations

import json
import struct
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.capture.cases import CASE, Case
from dpi.capture.ring import BUFFERS, RECORD, SIZE, Keeper, Ring, keep
from dpi.capture.segments import Segments, listed
from dpi.capture.trace import open_trace
from dpi.errors import UserError
from dpi.jit import BUILD, records
from tests.capture.test_decode import SAMPLES, SEED, decoded
from tests.hostile.samples import FOUR, TEXT, Sample, ether, ip4, ip6, tcp, udp
from tests.oracle.ring import Kept

DAY = 86400 * 1_000_000
LONG = 1 << 20
ALWAYS = 10**16
FOR_FOUR = Case("1", "why", ("a", "b"), ("192.0.2.0/28",), "", ALWAYS)
FOR_MANY = (Case("2", "why", ("a", "b"), ("2001:db8::ff", "10.0.0.2"), "", 40),
            Case("3", "why", ("a", "b"), ("198.51.100.7/32",), "tcp port 80", ALWAYS), FOR_FOUR)


def ring_of(folder: Path, most: int = 256, budget: int = 64 << 20, kind: type[Segments] = Segments) -> Ring:
    return Ring(kind(folder / "ring", budget=budget, seconds=86400, boot=0xABC, series=1), most)


def give(keeper: Keeper, frames: list[Sample], times: list[int] | None = None) -> None:
    """What a worker does with a block."""
    packets, _ = decoded(frames, times=times)
    data = np.frombuffer(b"".join(one.frame for one in frames) or b"\0", np.uint8)
    keep(data, packets, len(frames), keeper.world)


def gathered(keeper: Keeper) -> bytes:
    """The bytes in the buffer in use."""
    state = keeper._state
    return keeper.buffer[int(state["begin"]):int(state["at"])].tobytes()


def compare(folder: Path, frames: list[Sample], times: list[int], most: int, room: int, cases: tuple[Case, ...]) -> None:
    """The kernel and its twin on these frames."""
    ring = ring_of(folder, most)
    try:
        keeper = ring.keeper("span0", 0, 1)
        keeper.next_tables, = ring.tables(cases)
        keeper.adopt()
        keeper._state["end"] = room
        give(keeper, frames, times)
        twin = Kept([int(word) for word in SEED], most, room, cases)
        for one, moment in zip(frames, times, strict=True):
            twin.give(one.frame, one.wire, one.link, moment)
        assert gathered(keeper) == twin.bytes
        state = keeper._state
        assert (int(state["packets"]), keeper.lost, keeper.opened) == (twin.packets, twin.lost, len(twin.opened))
        assert {case: keeper.opened_for(case) for case in cases} == {case: twin.opened.count(case) for case in cases}
        if twin.times:
            assert (int(state["first"]), int(state["last"])) == (min(twin.times), max(twin.times))
    finally:
        ring.segments.close()


@pytest.mark.parametrize("most", [LONG, 256, 64, 0])
@pytest.mark.parametrize("cases", [(), (FOR_FOUR,), FOR_MANY])
def test_every_sample_is_kept_as_by_the_twin(tmp_path: Path, most: int, cases: tuple[Case, ...]) -> None:
    # filters mean something for Ethernet alone here: a ring is of one interface, and so of one link type
    frames = [one for one in SAMPLES if one.link == 1 or not cases]
    compare(tmp_path, frames, list(range(len(frames))), most, LONG, cases)


ETHERNET = [one for one in SAMPLES if one.link == 1]


@st.composite
def altered(draw: Any) -> Sample:
    """A sample with some bytes changed, cut somewhere, or said to have been longer."""
    one = draw(st.sampled_from(ETHERNET))
    frame = bytearray(one.frame)
    for _ in range(draw(st.integers(0, 3))):
        frame[draw(st.integers(0, min(len(frame), 90) - 1))] = draw(st.integers(0, 255))
    cut = bytes(frame[:draw(st.integers(1, len(frame)))]) if draw(st.booleans()) else bytes(frame)
    return Sample(one.name, 1, cut, draw(st.sampled_from([0, one.wire, len(frame), len(frame) + 1000])))


@settings(max_examples=300 if BUILD == "on" else 40, deadline=None)
@given(frames=st.lists(altered(), min_size=1, max_size=20), most=st.integers(0, 300), room=st.integers(0, 3000), start=st.integers(0, 60),
       cases=st.sampled_from([(), (FOR_FOUR,), FOR_MANY]))
def test_any_frames_are_kept_as_by_the_twin(tmp_path_factory: pytest.TempPathFactory, frames: list[Sample], most: int, room: int, start: int,
                                            cases: tuple[Case, ...]) -> None:
    compare(tmp_path_factory.getbasetemp(), frames, [start + 7 * k for k in range(len(frames))], most, room, cases)


def test_what_is_kept_of_a_frame_decodes_as_the_frame_did(tmp_path: Path) -> None:
    ring = ring_of(tmp_path, LONG)
    keeper = ring.keeper("span0", 0, 1)
    frames = [one for one, packet in zip(SAMPLES, decoded(SAMPLES)[0], strict=True) if packet.status == 0 and one.link == 1]
    give(keeper, frames)
    kept, content, at = [], gathered(keeper), 0
    while at < len(content):
        _, _, size, wire = struct.unpack_from("<IIII", content, at)
        kept.append(Sample("", 1, content[at + RECORD:at + RECORD + size], wire))
        at += RECORD + size
    assert len(kept) == len(frames) and sum(len(one.frame) < len(other.frame) for one, other in zip(kept, frames, strict=True)) > 40
    before, after = decoded(frames)[0], decoded(kept)[0]
    for name in ("status", "key0", "key1", "hash", "ip_bytes", "payload_bytes", "source_port", "target_port", "tcp_flags", "seq", "vlan", "tunnel_id", "wire"):
        one, other = before.view(np.ndarray)[name], after.view(np.ndarray)[name]
        wrong = [frames[i].name for i in range(len(frames)) if one[i] != other[i] and not before[i].mangled]
        assert not wrong, (name, wrong)
    ring.segments.close()


def test_no_byte_of_content_is_kept_without_a_case(tmp_path: Path) -> None:
    secret = b"Passw0rd"
    frames = [Sample("", 1, ether(0x0800, ip4(6, tcp(payload=secret * 10)))), Sample("", 1, ether(0x86DD, ip6(17, udp(payload=secret * 10)))),
              Sample("", 1, ether(0x0800, ip4(1, b"\x08\0\0\0\0\1\0\1" + secret * 3))), Sample("", 1, ether(0x0800, ip4(50, secret * 3))),
              Sample("", 1, ether(0x0800, ip4(17, secret * 4, fragment=185))), Sample("", 1, ether(0x0800, ip4(6, tcp(payload=b""))) + secret * 3),
              Sample("", 1, ether(0x0800, ip4(6, tcp()[:12] + b"\x10" + tcp()[13:20] + secret * 3))), Sample("", 1, ether(0x0806, secret * 5)),
              Sample("", 1, ether(0x0800, ip4(6, tcp()[:12] + b"\xf0" + tcp()[13:20] + secret * 3, fragment=0x2000)))]
    ring = ring_of(tmp_path, LONG)
    keeper = ring.keeper("span0", 0, 1)
    give(keeper, frames)
    # the last one says that these bytes are options of its header, as far as its IP packet goes
    assert int(keeper._state["packets"]) == 8 and gathered(keeper).count(b"Passw0rd") == 3 and gathered(keeper).endswith(secret * 3)
    assert b"Pass" not in gathered(keeper)[:-RECORD - 58 - 20]
    ring.segments.close()


def packets_in(folder: Path) -> list[tuple[int, int, int]]:
    """(time, captured, wire) of every packet on disk, by segments in their order."""
    found = []
    for segment in listed(folder / "ring"):
        with open_trace(folder / "ring" / segment.name) as trace:
            for block in trace.blocks():
                found += [(int(one.time), int(one.captured), int(one.wire)) for one in block.frames[:block.count]]
            assert not trace.damage
    return found


def test_what_was_given_is_on_disk_as_pcap(tmp_path: Path) -> None:
    ring = ring_of(tmp_path)
    keeper = ring.keeper("span0", 0, 1)
    ring.start()
    now = time.time_ns() // 1000
    frame = Sample("", 1, ether(0x0800, ip4(6, tcp())), 1400)
    for k in range(50):
        give(keeper, [frame] * 10, [now + 100 * k + i for i in range(10)])
        keeper.hand_over()
    ring.close()
    assert packets_in(tmp_path) == [(now + 100 * k + i, 54, 1400) for k in range(50) for i in range(10)]
    assert (keeper.kept, keeper.lost, ring.trouble) == (500, 0, "")
    segment, = listed(tmp_path / "ring")
    assert (segment.boot, segment.worker, segment.interface, segment.first, segment.last) == (0xABC, 0, "span0", now, now + 4909)
    assert (tmp_path / "ring").stat().st_mode & 0o777 == 0o700 and (tmp_path / "ring" / segment.name).stat().st_mode & 0o777 == 0o600


class Stalled(Segments):
    """A disk that takes nothing until it is told to."""
    go = threading.Event()

    def append(self, *arguments: Any) -> str:
        self.go.wait(30)
        return super().append(*arguments)


@pytest.mark.skipif(BUILD != "on", reason="many packets, and the kernel is tested above")
def test_a_disk_that_stalls_costs_packets_and_no_time(tmp_path: Path) -> None:
    ring = ring_of(tmp_path, LONG, kind=Stalled)
    keeper = ring.keeper("span0", 0, 1)
    ring.start()
    frames = [Sample("", 1, ether(0x0800, ip4(6, tcp(payload=b""))))] * 10_000
    packets, _ = decoded(frames, times=[time.time_ns() // 1000] * len(frames))
    data = np.frombuffer(frames[0].frame * len(frames), np.uint8)
    room = SIZE // (RECORD + 54)
    began = time.monotonic()
    for _ in range(15):
        keep(data, packets, len(frames), keeper.world)
        keeper.hand_over()
    assert time.monotonic() - began < 5
    assert keeper.kept == 0 and 0 < keeper.lost < 150_000 - BUFFERS * room // 2     # what waits fills half of each buffer at least
    Stalled.go.set()
    while keeper.kept < 10_000:
        time.sleep(0.01)
    keeper.hand_over()
    ring.close()
    assert keeper.kept + keeper.lost == 150_000 and len(packets_in(tmp_path)) == keeper.kept > 2 * room


def test_cases_are_on_record_and_what_is_wrong_changes_nothing(tmp_path: Path) -> None:
    ring = ring_of(tmp_path)
    keeper = ring.keeper("span0", 0, 1)
    ring.start()
    now = time.time_ns() // 1000
    soon = Case("7", "because", ("Li Na", "Wang Wei"), ("192.0.2.1/32",), "tcp", now + 1_500_000)
    ring.open((soon,))
    with pytest.raises(UserError, match="case 8: .*syntax"):
        ring.open((Case("8", "because", ("a", "b"), ("192.0.2.1/32",), "tcp and", now + DAY),))
    frame = Sample("", 1, ether(0x0800, ip4(6, tcp(payload=TEXT), FOUR)))
    keeper.adopt()
    give(keeper, [frame, frame, frame], [now, now + 1_499_999, now + 1_500_000])
    keeper.hand_over()
    deadline = time.monotonic() + 15
    while ring.cases and time.monotonic() < deadline:
        time.sleep(0.05)
    other = Case("9", "because", ("a", "b"), ("192.0.2.1/32",), "", now + DAY)
    ring.open((other,))
    ring.open((other,))
    assert ring.running == 1
    ring.open(())
    keeper.adopt()
    while ring._known and time.monotonic() < deadline:
        time.sleep(0.05)
    ring.open((other,))
    ring.close()
    told = [json.loads(line) for line in (tmp_path / "ring" / "openings.jsonl").read_text().splitlines()]
    assert [(one["event"], one["case"], one.get("why"), one.get("packets")) for one in told] == [
        ("opened", "7", None, None), ("closed", "7", "its time is over", 2), ("opened", "9", None, None), ("closed", "9", "it was taken out of the file", 0),
        ("opened", "9", None, None), ("closed", "9", "the probe ended", 0)]
    assert told[0]["approved_by"] == "Li Na, Wang Wei" and told[0]["addresses"] == "192.0.2.1/32" and told[0]["filter"] == "tcp"
    assert (tmp_path / "ring" / "openings.jsonl").stat().st_mode & 0o777 == 0o600
    assert [captured for _, captured, _ in packets_in(tmp_path)] == [54 + len(TEXT), 54 + len(TEXT), 54] and CASE.itemsize == 32


def test_without_a_record_of_it_nothing_is_opened(tmp_path: Path) -> None:
    ring = ring_of(tmp_path)
    keeper = ring.keeper("span0", 0, 1)
    (tmp_path / "ring" / "openings.jsonl").mkdir()
    with pytest.raises(UserError, match="put on record"):
        ring.open((FOR_FOUR,))
    assert keeper.next_tables is None and ring.cases == () and records(1, CASE).size == 1
    ring.close()
