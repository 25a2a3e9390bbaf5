"""Every packet and byte of a capture is in a row or refused, as tshark counts them; and the comparison sees what is missing."""
from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.exactness import Comparison, compare, judge, ours, theirs
from dpi.capture.frame import REFUSALS
from tests.capture.crafted import pcap
from tests.hostile.samples import FOUR_OUTER, MACS, Sample, ether, ip4, ip6, samples, tcp, udp

PCAPS = Path(__file__).resolve().parents[2] / "pcaps"
PAIRS = [(bytes((198, 18, 0, 2 * k)), bytes((198, 18, 0, 2 * k + 1))) for k in range(8)]


@pytest.mark.parametrize("capture", sorted(PCAPS.glob("*.pcap")), ids=lambda one: one.stem)
def test_a_capture_of_real_programs(capture: Path) -> None:
    told = compare(capture)
    assert told.line() == "" and told.packets > 0


def written(path: Path, frames: list[Sample]) -> Path:
    """A capture of these frames, a second apart."""
    path.write_bytes(pcap([(1000 + k, 0, one.frame, one.wire or len(one.frame)) for k, one in enumerate(frames)], link=frames[0].link))
    return path


def plain(frame: bytes, wire: int = 0) -> Sample:
    return Sample("", 1, frame, wire)


def test_tunnels_fragments_and_refusals_are_compared_or_explained(tmp_path: Path) -> None:
    whole = udp(payload=bytes(range(200)))
    outers = [FOUR_OUTER, tuple(reversed(FOUR_OUTER)), (bytes((10, 0, 0, 1)), bytes((10, 0, 0, 3)))]
    frames = [plain(ether(0x0800, ip4(4, ip4(6, tcp(), PAIRS[0]), outer))) for outer in outers]
    frames += [plain(ether(0x0800, ip4(17, whole[:104], PAIRS[1], 0x2000))), plain(ether(0x0800, ip4(17, whole[104:], PAIRS[1], 13)))]
    frames += [plain(ether(0x0800, ip4(1, b"\3\3\0\0\0\0\0\0" + ip4(17, udp(), PAIRS[2]), PAIRS[3])))]            # quoted, not tunnelled
    frames += [plain(ether(0x0800, ip4(6, tcp(), PAIRS[4])), 900), plain(ether(0x0800, ip4(6, b"\0\x50\1", PAIRS[5])))]     # the last has no room for ports
    frames += [plain(ether(0x86DD, ip6(0, b"\x3c\0\1\4\0\0\0\0" + b"\x11\0\1\4\0\0\0\0" + udp()))), plain(MACS + b"\x08\x06" + bytes(46))]
    told = compare(written(tmp_path / "made.pcap", frames))
    assert not told.differences
    assert (told.packets, told.refused) == (len(frames), {"not_ip": 1, "bad_transport": 1})
    assert (told.unread, told.moved, told.pairs) == (1, 1, 3)
    assert "bad_transport" in told.line() and "another tunnel" in told.line()


@pytest.mark.parametrize("link", sorted({one.link for one in samples()} - {1}))
def test_every_link_type(link: int, tmp_path: Path) -> None:
    told = compare(written(tmp_path / "link.pcap", [one for one in samples() if one.link == link]))
    assert not told.differences and told.refused.keys() <= set(REFUSALS)


def broken(mine: Any, how: str) -> None:
    """One wrong in what the engine said."""
    k = next(k for k, (_, key, _, _) in enumerate(mine.found) if key[0] == 6)
    outer, key, packets, wire = mine.found[k]
    if how == "packet":
        mine.found[k] = (outer, key, packets - 1, wire)
    elif how == "byte":
        mine.found[k] = (outer, key, packets, wire + 1)
    elif how == "port":
        mine.found[k] = (outer, (key[0], (key[1][0], key[1][1] ^ 1), key[2]), packets, wire)
    elif how == "row":
        mine.found.append(mine.found[k])
    elif how == "refused":
        mine.found[k] = (outer, key, packets - 1, wire - 60)
        mine.other += 1


@pytest.mark.parametrize("how", ["", "packet", "byte", "port", "row", "refused"])
def test_what_is_wrong_is_seen(how: str) -> None:
    path = PCAPS / "tls13-h2.pcap"
    mine, captured = ours(path)
    broken(mine, how)
    refused = Counter(captured.refused) + Counter({"not_ip": 1} if how == "refused" else {})
    told = judge(Comparison(path.name, captured.packets, captured.wire_bytes, refused), mine, theirs(path))
    assert bool(told.differences) == bool(how)


def test_a_conversation_that_changes_its_tunnel_loses_nothing(tmp_path: Path) -> None:
    frames = [plain(ether(0x0800, ip4(4, ip4(17, udp(), PAIRS[0]), (FOUR_OUTER[0], bytes((10, 0, 0, k)))))) for k in (2, 3, 2)]
    path = written(tmp_path / "moved.pcap", frames)
    mine, captured = ours(path)
    assert compare(path).moved == 1
    outer, key, packets, wire = mine.found[0]
    mine.found[0] = (outer, key, packets - 1, wire - struct.unpack(">H", frames[0].frame[16:18])[0] - 14)
    assert judge(Comparison(path.name, captured.packets, captured.wire_bytes), mine, theirs(path)).differences
