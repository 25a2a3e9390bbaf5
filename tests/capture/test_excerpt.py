"""A conversation cut from segments, against all that was put there."""
from __future__ import annotations

import os
import random
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from dpi.capture.excerpt import Conversation, excerpt
from dpi.capture.segments import Segments, listed
from dpi.capture.trace import open_trace
from dpi.errors import UserError
from tests.capture.crafted import pcap
from tests.hostile.samples import MACS, ether, ip4, ip6, tcp, udp, vxlan

SECOND = 1_000_000
NOON = 1_800_000_000 * SECOND
A, B, C = (bytes((192, 0, 2, k)) for k in (1, 2, 3))
SIX = (bytes.fromhex("20010db8000000000000000000000001"), bytes.fromhex("20010db80000000000000000000000ff"))


def sought(**other: Any) -> Conversation:
    base = {"boot": 1, "interface": "span0", "client": ip_address(A), "server": ip_address(B), "client_port": 1000, "server_port": 80, "ip_protocol": 6,
            "vlan": 0, "since": NOON, "until": NOON + 100 * SECOND}
    return Conversation(**{**base, **other})


def found(folder: Path, wanted: Conversation) -> tuple[Any, list[tuple[int, bytes, int]]]:
    """The excerpt, and (time, bytes, wire) of its packets."""
    target = folder / "out.pcap"
    made = excerpt(folder / "ring", wanted, target)
    if not target.exists():
        return made, []
    with open_trace(target) as trace:
        packets = [(int(one.time), block.data[int(one.offset):int(one.offset) + int(one.captured)].tobytes(), int(one.wire))
                   for block in trace.blocks() for one in block.frames[:block.count]]
        assert not trace.damage
    target.unlink()
    return made, packets


#: Each frame and whether it is of `sought()`.
FRAMES = [(ether(0x0800, ip4(6, tcp(1000, 80), (A, B))), True), (ether(0x0800, ip4(6, tcp(80, 1000), (B, A))), True),
          (ether(0x0800, ip4(6, tcp(80, 1000), (A, B))), False), (ether(0x0800, ip4(6, tcp(1000, 80), (A, C))), False),
          (ether(0x0800, ip4(6, tcp(1001, 80), (A, B))), False), (ether(0x0800, ip4(17, udp(1000, 80), (A, B))), False),
          (ether(0x0800, ip4(6, b"later fragment", (A, B), fragment=7)), True), (MACS + b"\x81\0\0\x05\x08\0" + ip4(6, tcp(1000, 80), (A, B)), False),
          (ether(0x86DD, ip6(6, tcp(1000, 80), SIX)), False), (ether(0x0806, bytes(28)), False),
          (ether(0x0800, ip4(17, udp(7, 4789, vxlan(ether(0x0800, ip4(6, tcp(1000, 80), (A, B))))), (C, C))), True)]


def fill(folder: Path, frames: list[bytes], times: list[int], boot: int = 1, worker: int = 0, cut: int = 1 << 20) -> None:
    one = Segments(folder / "ring", budget=64 << 20, seconds=3600, boot=boot, series=1)
    for frame, moment in zip(frames, times, strict=True):
        assert one.append("span0", worker, 1, pcap([(*divmod(moment, SECOND), frame[:cut], len(frame))])[24:], moment, moment) == ""
    one.close()


def test_what_belongs_to_it_and_nothing_else(tmp_path: Path) -> None:
    chosen = [random.Random(3).choice(FRAMES) for _ in range(300)]
    times = [NOON + k * SECOND // 4 for k in range(300)]
    fill(tmp_path, [frame for frame, _ in chosen], times)
    made, packets = found(tmp_path, sought())
    assert packets == [(moment, frame, len(frame)) for (frame, mine), moment in zip(chosen, times, strict=True) if mine]
    assert (made.packets, made.cut, made.begins) == (len(packets), 0, NOON)
    made, packets = found(tmp_path, sought(since=NOON + 10 * SECOND, until=NOON + 20 * SECOND))
    assert [one[0] for one in packets] == [moment for (_, mine), moment in zip(chosen, times, strict=True)
                                           if mine and NOON + 10 * SECOND <= moment <= NOON + 20 * SECOND]
    tagged = sum(frame is FRAMES[7][0] for frame, _ in chosen)
    assert found(tmp_path, sought(vlan=5))[0].packets == tagged and found(tmp_path, sought(vlan=-1))[0].packets == tagged + sum(mine for _, mine in chosen)
    six = found(tmp_path, sought(client=ip_address(SIX[1]), server=ip_address(SIX[0]), client_port=80, server_port=1000))
    assert six[0].packets == sum(frame is FRAMES[8][0] for frame, _ in chosen)


def test_another_run_or_interface_is_another_conversation(tmp_path: Path) -> None:
    fill(tmp_path, [FRAMES[0][0]] * 5, list(range(NOON, NOON + 5)))
    fill(tmp_path, [FRAMES[0][0]] * 7, list(range(NOON, NOON + 7)), boot=2)
    assert found(tmp_path, sought())[0].packets == 5 and found(tmp_path, sought(boot=2))[0].packets == 7
    assert found(tmp_path, sought(interface="span1"))[0] == found(tmp_path, sought(boot=3))[0]
    assert found(tmp_path, sought(boot=3))[0].begins == 0


def test_workers_are_put_together_by_time(tmp_path: Path) -> None:
    for worker in range(3):
        fill(tmp_path, [FRAMES[0][0]] * 50, [NOON + 3 * k + worker for k in range(50)], worker=worker, cut=54)
    made, packets = found(tmp_path, sought())
    assert [one[0] for one in packets] == list(range(NOON, NOON + 150)) and (made.packets, made.cut) == (150, 150)
    assert not [name for name in tmp_path.iterdir() if name.name != "ring"]


def test_segments_that_are_damaged_or_gone_do_not_hide_the_others(tmp_path: Path) -> None:
    fill(tmp_path, [FRAMES[0][0]] * 20, [NOON + k * 20 * SECOND for k in range(20)])        # rotated by time
    names = [tmp_path / "ring" / one.name for one in listed(tmp_path / "ring")]
    assert len(names) == 2
    about = names[0].stat()
    names[0].write_bytes(names[0].read_bytes()[:-3])
    os.utime(names[0], ns=(about.st_mtime_ns, about.st_mtime_ns))
    (tmp_path / "ring" / f"{NOON:016d}-000001-07-span0.pcap").write_bytes(b"")
    made, _ = found(tmp_path, sought(until=NOON + 400 * SECOND))
    assert made.packets == 19
    with pytest.raises(UserError, match="the packet ring can't be read"):
        excerpt(tmp_path / "nowhere", sought(), tmp_path / "out.pcap")
