"""The decoder against its slow twin, and against what the standards say of single frames."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dpi.capture.decode import new_decoder
from dpi.capture.fragments import fragment_table
from dpi.capture.frame import FRAME, PACKET, REFUSALS, TUNNELS
from dpi.capture.key import fresh_seed
from dpi.capture.tunnel import IP_TUNNELS
from dpi.jit import BUILD, records
from tests.capture.decoding import decode
from tests.hostile import samples as made
from tests.hostile.samples import Sample, ether, ip4, samples, udp
from tests.oracle.decode import Twin

SEED = fresh_seed(np.random.default_rng(5))
SAMPLES = samples()


def decoded(frames: list[Sample], key_vlan: bool = True, times: list[int] | None = None) -> tuple[Any, Any]:
    """(packets, decoder) of frames laid one after the other."""
    data = np.frombuffer(b"".join(one.frame for one in frames) or b"\0", np.uint8)
    rows, packets = records(len(frames), FRAME), records(len(frames), PACKET)
    packets.view(np.uint8)[:] = 0xAA        # what the decoder leaves unwritten must not look right by chance
    at = 0
    for number, one in enumerate(frames):
        rows[number].offset, rows[number].captured, rows[number].wire = at, len(one.frame), one.wire or len(one.frame)
        rows[number].link, rows[number].number, rows[number].time = one.link, number + 1, times[number] if times else 0
        at += len(one.frame)
    decoder = new_decoder(key_vlan)
    decode(data, rows, 0, len(frames), packets, fragment_table(), SEED, decoder)
    return packets, decoder[0]


def same(packet: Any, expected: dict[str, Any], name: object) -> None:
    """Every field the twin gives is in the packet."""
    assert REFUSALS[packet.status] == expected["status"], name
    for field, value in expected.items():
        if field != "status":
            assert int(packet[field]) == value, (name, field, int(packet[field]), value)


def packet_of(name: str, **options: Any) -> Any:
    """The packet of the sample of that name."""
    return decoded([one for one in SAMPLES if one.name == name], **options)[0][0]


@pytest.mark.parametrize("key_vlan", [True, False])
def test_every_sample_equals_the_twin(key_vlan: bool) -> None:
    twin = Twin([int(word) for word in SEED], key_vlan)
    packets, decoder = decoded(SAMPLES, key_vlan)
    counted = dict.fromkeys(REFUSALS, 0)
    for packet, one in zip(packets, SAMPLES, strict=True):
        expected = twin.packet(one.frame, one.wire or len(one.frame), one.link)
        same(packet, expected, one.name)
        counted[expected["status"]] += 1
    assert {word: int(decoder.refused[i]) for i, word in enumerate(REFUSALS)} == counted
    for kind, name in enumerate(TUNNELS):
        assert decoder.tunnels[kind] == sum(1 for packet in packets if packet.status == 0 and packet.tunnel >> kind & 1), name
    assert decoder.snapped == sum(1 for one in SAMPLES if one.wire > len(one.frame))


def test_every_reason_and_every_tunnel_has_a_sample() -> None:
    packets, _ = decoded(SAMPLES)
    assert {REFUSALS[packet.status] for packet in packets} == set(REFUSALS)
    seen = np.bitwise_or.reduce([packet.tunnel for packet in packets if packet.status == 0])
    assert {name for i, name in enumerate(TUNNELS) if seen >> i & 1} == set(TUNNELS) - {"teredo"}


@pytest.mark.parametrize("name", ["tcp", "udp6", "vlan", "gre, all fields", "gtp-u", "vlan, pppoe, gre, vxlan", "radiotap qos",
                                  "extension headers", "dccp"])
def test_every_cut_equals_the_twin(name: str) -> None:
    """A frame cut at each length, by the snap length and as if it had been that short."""
    one = next(one for one in SAMPLES if one.name == name)
    cuts = [Sample(f"{name} to {cut}", one.link, one.frame[:cut], wire) for cut in range(len(one.frame)) for wire in (0, len(one.frame))]
    packets, _ = decoded(cuts)
    twin = Twin([int(word) for word in SEED])
    for packet, cut in zip(packets, cuts, strict=True):
        same(packet, twin.packet(cut.frame, cut.wire, cut.link), cut.name)


@st.composite
def mutated(draw: Any) -> Sample:
    one = draw(st.sampled_from(SAMPLES))
    frame = bytearray(one.frame)
    for _ in range(draw(st.integers(0, 4))):
        frame[draw(st.integers(0, len(frame) - 1))] = draw(st.one_of(st.integers(0, 255), st.sampled_from([0, 1, 4, 0x45, 0x60, 0xFF])))
    cut = draw(st.integers(0, len(frame)))
    link = draw(st.sampled_from([one.link] * 6 + [0, 1, 9, 12, 50, 51, 101, 104, 105, 108, 113, 127, 228, 229, 276, 999]))
    return Sample(one.name, link, bytes(frame[:cut] if draw(st.booleans()) else frame), draw(st.sampled_from([0, len(one.frame), 40, 3000])))


def tells(packet: Any) -> bool:
    """Whether whoever listens for addresses and servers has to see it."""
    ports = {67, 68, 546, 547}
    return packet.status != 0 or packet.ip_protocol == 58 or packet.ip_protocol == 17 and (
        packet.source_port in ports or packet.target_port in {*ports, 1813, 1646})


@settings(max_examples=60 if BUILD == "off" else 300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(mutated(), min_size=1, max_size=20))
def test_mutations_equal_the_twin(frames: list[Sample]) -> None:
    packets, decoder = decoded(frames)
    twin = Twin([int(word) for word in SEED])
    for packet, one in zip(packets, frames, strict=True):
        same(packet, twin.packet(one.frame, one.wire, one.link), one)
    assert decoder.telling == sum(map(tells, packets))


def test_a_batch_in_which_nobody_tells_anything_is_known() -> None:
    def datagram(source: int, target: int) -> Sample:
        return Sample("", 1, ether(0x0800, ip4(17, udp(source, target, b"x"))), 0)

    assert decoded([datagram(443, 50000), datagram(66, 69), datagram(1813, 50000)])[1].telling == 0
    for source, target in ((67, 9), (9, 68), (546, 9), (9, 547), (9, 1813), (9, 1646)):
        assert decoded([datagram(443, 50000), datagram(source, target)])[1].telling == 1


def test_the_innermost_conversation_is_the_flow() -> None:
    plain = packet_of("tcp", key_vlan=False)
    for name in ("vlan", "qinq", "mpls", "pppoe", "gre", "gre, ethernet", "4 inside", "4 inside, 6 outside", "vxlan", "gtp-u", "sll", "raw",
                 "pseudowire with control word", "pseudowire, 45 in its MAC", "4 around one"):
        packet = packet_of(name, key_vlan=False)
        assert (packet.key0, packet.key1, packet.hash) == (plain.key0, plain.key1, plain.hash), name
        assert packet.payload_bytes == len(made.TEXT) and packet.ip_bytes == len(made.HTTP4), name
        assert bool(packet.tunnel & IP_TUNNELS) == (packet.tunnel_id != 0 or "inside" in name or "around" in name or name == "gre") or name in (
            "mpls", "pppoe", "pseudowire with control word", "pseudowire, 45 in its MAC"), name


def test_tunnels_say_their_id_and_outer_header() -> None:
    assert packet_of("gtp-u").tunnel_id == 0xABCDEF and packet_of("vxlan").tunnel_id == 77 and packet_of("gre, ethernet").tunnel_id == 99
    assert packet_of("pppoe").tunnel_id == 17 and packet_of("mpls").tunnel_id == 200 and packet_of("eoip").tunnel_id == 42
    packet = packet_of("vlan, pppoe, gre, vxlan")
    assert {name for i, name in enumerate(TUNNELS) if packet.tunnel >> i & 1} == {"vlan", "pppoe", "gre", "vxlan"}
    assert (packet.vlan, packet.outer_at, packet.version, packet.tunnel_id) == (9, 26, 6, 77)
    packet = packet_of("qinq")
    assert (packet.vlan, packet.inner_vlan) == (100, 200)


def test_what_carries_an_unreadable_inside_is_the_flow() -> None:
    for name, protocol in (("gre, no IP", 47), ("4 inside, broken", 4), ("4 inside, ports cut", 4), ("vxlan, arp", 17), ("gtp-u echo", 17),
                           ("gtp-u, endless extension", 17), ("not vxlan", 17), ("gre, pptp acknowledgement", 47), ("icmp error", 1)):
        packet = packet_of(name)
        assert (packet.status, packet.ip_protocol, packet.tunnel) == (0, protocol, 0), name
    assert packet_of("gtp-u echo").source_port == 2152


def test_too_many_layers_are_refused() -> None:
    assert packet_of("4 around one").status == 0
    for name in ("5 around one", "many tags", "many extension headers"):
        assert REFUSALS[packet_of(name).status] == "too_deep", name


def test_later_fragments_join_the_flow_of_the_first() -> None:
    by_name = {one.name: one for one in SAMPLES}
    for first, later in (("first fragment", "later fragment"), ("first fragment 6", "later fragment 6"), ("tiny first fragment", "later of the tiny"),
                         ("fragment behind options 6", "later behind options 6"), ("gtp-u, fragment inside", "gtp-u, later fragment inside")):
        packets, decoder = decoded([by_name[first], by_name[later]])
        assert (packets[0].key0, packets[0].key1) == (packets[1].key0, packets[1].key1), first
        assert (packets[0].fragment, packets[1].fragment, decoder.fragments_matched) == (1, 2, 1), first
        assert packets[1].source_port == packets[0].source_port != 0
        packets, decoder = decoded([by_name[first], by_name[later]], times=[0, 30_000_001])
        assert decoder.fragments_matched == 0 and packets[1].source_port == 0
    packet = packet_of("fragment without its first")
    assert (packet.status, packet.fragment, packet.source_port, packet.payload_bytes) == (0, 2, 0, 104)


def test_a_syn_tells_its_segment_size() -> None:
    assert packet_of("syn").mss == 1460 and packet_of("syn, mss behind padding").mss == 1460 and packet_of("tcp").mss == 0


def test_padding_and_trailers_are_not_counted() -> None:
    packet = packet_of("ethernet padding")
    assert (packet.wire, packet.ip_bytes, packet.payload_bytes, packet.payload_captured) == (60, 43, 3, 3)
    assert packet_of("udp, trailing bytes").payload_bytes == 8
    packet = packet_of("snapped within payload")
    assert packet.payload_captured == 6 and packet.payload_bytes == len(made.TEXT)


def test_what_is_mangled_is_still_counted_in_its_flow() -> None:
    packets, decoder = decoded([one for one in SAMPLES if one.name == "longer than the frame"])
    packet = packets[0]
    assert (packet.status, packet.ip_bytes, packet.target_port, decoder.overlong) == (0, len(made.HTTP4) - 5, 80, 1)
    for name in ("impossible header length", "snapped within tcp"):
        packets, decoder = decoded([one for one in SAMPLES if one.name == name])
        packet = packets[0]
        assert (packet.status, packet.source_port, packet["tcp_flags"], packet.payload_bytes, decoder.mangled) == (0, 49152, 0, 0, 1), name
    packet = packet_of("udp too long")
    assert (packet.target_port, packet.payload_bytes) == (40000, 5)


@settings(max_examples=200, deadline=None)
@given(st.booleans(), st.binary(min_size=2, max_size=2), st.binary(min_size=2, max_size=2), st.integers(0, 65535), st.integers(0, 65535),
       st.integers(0, 4095))
def test_both_directions_have_one_key(six: bool, one: bytes, two: bytes, source: int, target: int, vlan: int) -> None:
    def frame(a: bytes, b: bytes, c: int, d: int) -> Sample:
        size = 16 if six else 4
        pair = (a.rjust(size, b"\x20"), b.rjust(size, b"\x20"))
        packet = (made.ip6 if six else made.ip4)(6, made.tcp(c, d), pair)
        return Sample("", 1, made.ether(0x8100, vlan.to_bytes(2, "big") + (b"\x86\xdd" if six else b"\x08\0") + packet))
    there, back = decoded([frame(one, two, source, target), frame(two, one, target, source)])[0]
    assert (there.key0, there.key1, there.hash) == (back.key0, back.key1, back.hash)
    assert bool(there.key1 & np.uint64(0x8000)) == six
    if (one, source) == (two, target):
        assert there.low == back.low == 1
    else:
        assert {int(there.low), int(back.low)} == {0, 1}


def test_the_vlan_is_part_of_the_key_if_asked() -> None:
    tagged = [Sample("", 1, made.ether(0x8100, bytes([0, vlan]) + b"\x08\0" + made.HTTP4)) for vlan in (1, 2)]
    apart, together = decoded(tagged, True)[0], decoded(tagged, False)[0]
    assert apart[0].key1 != apart[1].key1 and together[0].key1 == together[1].key1
    assert together[1].vlan == 2


def test_hashes_spread() -> None:
    """A scan of one host's ports fills the low bits evenly."""
    ports = 5000 if BUILD == "off" else 20000
    packets, _ = decoded([Sample("", 101, made.ip4(6, made.tcp(4000, port, payload=b""))) for port in range(ports)])
    homes = np.bincount(packets.hash.astype(np.uint64) & np.uint64(255), minlength=256)
    assert len(set(packets.hash.tolist())) == ports
    assert 0.6 < homes.var() / homes.mean() < 1.6       # 1 for a Poisson spread
