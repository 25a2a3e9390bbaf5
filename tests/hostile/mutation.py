"""Hostile versions of good bytes, the same for the same seed.

`stream` mutates single samples (frames, messages) drawn at random; `captures` keeps the order of a capture, and loses, doubles, swaps, cuts
and damages packets on the way, so that state that is kept between packets meets hostile sequences too.
"""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from tests.hostile.samples import Sample

BLOCK = 1000                                    # samples per generator state: number n is found again without making those before its block
BYTES = (0, 1, 2, 3, 4, 5, 0x0F, 0x10, 0x40, 0x45, 0x60, 0x7F, 0x80, 0xFE, 0xFF)
WORDS = (0, 1, 2, 4, 7, 8, 19, 20, 39, 40, 255, 256, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF)
#: EtherTypes and numbers of protocols that lead into other layers
DOORS = (0x0800, 0x86DD, 0x8100, 0x88A8, 0x8847, 0x8864, 0x6558, 0x880B, 0x88BE, 4789, 2152)


def damage(data: bytes, random: Random, other: bytes = b"") -> bytes:
    """One to four changes; `other` is spliced in at times."""
    frame = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        if not frame:
            return bytes(frame)
        kind = random.randrange(10)
        # headers are at the front: half of the changes go there
        at = random.randrange(min(len(frame), 64) if random.random() < 0.5 else len(frame))
        if kind == 0:
            frame[at] ^= 1 << random.randrange(8)
        elif kind == 1:
            frame[at] = random.choice(BYTES)
        elif kind == 2:
            frame[at] = random.randrange(256)
        elif kind == 3:
            frame[at:at + 2] = random.choice(WORDS + DOORS).to_bytes(2, "big")
        elif kind == 4:
            frame[at:at + 2] = max(0, min(0xFFFF, int.from_bytes(frame[at:at + 2], "big") + random.randint(-9, 9))).to_bytes(2, "big")
        elif kind in (5, 6):
            del frame[at:]                      # the commonest hostile thing: it ends
        elif kind == 7:
            del frame[at:at + random.randint(1, 16)]
        elif kind == 8:
            size = random.randint(1, 32)
            frame[at:at] = frame[at:at + size] * random.randint(1, 4)
        else:
            frame[at:] = other[random.randrange(len(other) + 1):]
    return bytes(frame[:65535])


def mutated(sample: Sample, random: Random, other: Sample) -> Sample:
    """A damaged sample; at times of another link type, or cut by a snap length."""
    frame = damage(sample.frame, random, other.frame) if random.random() < 0.95 else sample.frame
    link = other.link if random.random() < 0.05 else sample.link
    wire = 0
    chance = random.random()
    if chance < 0.2:
        wire = max(len(frame), sample.wire or len(sample.frame))
    elif chance < 0.25:
        wire = random.choice((1, len(frame) + 1, 65535, 262144))
    return Sample(sample.name, link, frame, wire)


def stream(samples: Sequence[Sample], seed: int, first: int, count: int) -> Iterator[Sample]:
    """Mutated samples number `first` to `first + count` of the endless stream of `seed`."""
    for block in range(first // BLOCK, -(-(first + count) // BLOCK)):
        random = Random(f"{seed}:{block}")
        for number in range(block * BLOCK, (block + 1) * BLOCK):
            sample = mutated(random.choice(samples), random, random.choice(samples))
            if first <= number < first + count:
                yield sample


def captures(samples: Sequence[Sample], seed: int, first: int, count: int) -> Iterator[Sample]:
    """`count` frames of hostile versions of one capture, in its order, from version number `first` on; a frame with an empty name starts a
    version anew."""
    version, left = first, count
    while left > 0 and samples:
        random = Random(f"{seed}:capture:{version}")
        version += 1
        harm = random.choice((0.02, 0.1, 0.3))
        waiting: list[Sample] = []
        yield Sample("", 0, b"")
        for sample in samples:
            if random.random() < harm:
                action = random.randrange(6)
                if action == 0:
                    continue                    # lost
                if action == 1:
                    waiting.append(sample)      # late
                    continue
                sample = sample if action == 2 else mutated(sample, random, random.choice(samples))
                if action in (2, 3):
                    waiting.append(sample)      # again, later
            yield sample
            left -= 1
            if waiting and random.random() < 0.3:
                yield waiting.pop(random.randrange(len(waiting)))
                left -= 1
            if left <= 0:
                return
