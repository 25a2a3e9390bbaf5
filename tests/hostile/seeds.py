"""Good bytes to start from: the frames and payloads of the captures in pcaps/, and what the parsers' own claims ask for."""
from __future__ import annotations

from functools import cache
from pathlib import Path

from dpi.capture.decode import new_decoder
from dpi.capture.fragments import fragment_table
from dpi.capture.frame import PACKET
from dpi.capture.key import fresh_seed
from dpi.capture.trace import open_trace
from dpi.classify.inspection import Claim, Protocol
from dpi.jit import records
from tests.capture.decoding import decode
from tests.hostile.samples import Sample

PCAPS = Path(__file__).resolve().parents[2] / "pcaps"
TCP, UDP = 6, 17


@cache
def frames(name: str) -> tuple[Sample, ...]:
    """Every frame of one capture of pcaps/, in its order."""
    found = []
    with open_trace(PCAPS / name) as trace:
        for block in trace.blocks():
            for row in block.frames[:block.count]:
                start = int(row.offset)
                found.append(Sample(f"{name} {row.number}", int(row.link), bytes(block.data[start:start + int(row.captured)]), int(row.wire)))
    return tuple(found)


@cache
def payloads() -> tuple[tuple[int, int, int, bytes], ...]:
    """(IP protocol, lower port, higher port, payload): every distinct payload, and what each TCP direction sent in order of capture."""
    found: dict[tuple[int, int, int, bytes], None] = {}
    for path in sorted(PCAPS.glob("*.pcap")):
        streams: dict[tuple[int, int, int], bytes] = {}
        with open_trace(path) as trace:
            for block in trace.blocks():
                packets = records(block.count, PACKET)
                decode(block.data, block.frames, 0, block.count, packets, fragment_table(), fresh_seed(), new_decoder())
                for packet in packets:
                    if packet.status or not packet.payload_captured or packet.fragment == 2:
                        continue
                    start = int(packet.offset) + int(packet.payload_at)
                    body = bytes(block.data[start:start + int(packet.payload_captured)])
                    low, high = sorted((int(packet.source_port), int(packet.target_port)))
                    found[int(packet.ip_protocol), low, high, body] = None
                    if packet.ip_protocol == TCP:
                        key = int(packet.key0), int(packet.key1), int(packet.low)
                        streams[key] = (streams.get(key, b"") + body)[:16384]
                        found[TCP, low, high, streams[key]] = None
    return tuple(found)


def claimed(claim: Claim) -> bytes:
    """Bytes that satisfy a claim, whatever follows."""
    size = max([claim.length[0], 64, *(offset + len(pattern.split()) for offset, pattern in claim.match if offset >= 0)])
    made = bytearray((7 * i + 1) % 256 for i in range(min(size, claim.length[1])))
    for offset, pattern in claim.match:
        at = offset if offset >= 0 else len(made) + offset
        for i, octet in enumerate(pattern.split()):
            if octet != "??" and 0 <= at + i < len(made):
                made[at + i] = int(octet.replace("?", "0"), 16)
    return bytes(made)


def seeds(protocol: Protocol, most: int = 150) -> list[Sample]:
    """What to mutate for one protocol's parser. Sample.link is the IP protocol, Sample.wire the port."""
    found = []
    for claim in protocol.claims:
        number = {"tcp": TCP, "udp": UDP, "sctp": 132}.get(claim.transport) or int(claim.transport.partition(":")[2])
        port = claim.ports[0] if claim.ports else 40000
        found.append(Sample("claim", number, claimed(claim), port))
        known = [one for one in payloads() if one[0] == number and (not claim.ports or one[1] in claim.ports or one[2] in claim.ports)]
        found += [Sample("captured", number, body, port) for _, _, _, body in known[::max(1, len(known) // most)]]
    return found
