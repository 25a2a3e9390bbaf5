"""Frames become packets: decoded, timed, and dealt to the shards by the hash of their conversation. One intake feeds all shards."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture import sighting
from dpi.capture import tap as taps
from dpi.capture import timeline as times
from dpi.capture.block import Block, Bound
from dpi.capture.decode import decode_batch, new_decoder
from dpi.capture.fragments import FRAGMENT, fragment_table
from dpi.capture.frame import FRAME, PACKET, REFUSALS
from dpi.capture.key import fresh_seed
from dpi.capture.sighting import Sightings, sight, sightings_of
from dpi.capture.tap import LISTENER, Listening, listener_of, tell
from dpi.capture.timeline import Timeline, pass_time, seconds_of, timeline_of
from dpi.capture.tunnel import DECODER
from dpi.jit import entry, pointed, records, world, world_dtype

BATCH = 256                 # packets decoded, hashed and looked up together: their records stay in the first-level caches
U1, U8, I8 = (np.dtype(name) for name in ("u1", "u8", "i8"))
OWN = {"decoder": DECODER, "fragments": FRAGMENT, "seed": U8}
ARRAYS = {**OWN, **times.ARRAYS, **taps.ARRAYS, **sighting.ARRAYS}
WORLD = world_dtype(tuple(ARRAYS))
decoder_of, fragments_of, seed_of = (pointed(name, kind) for name, kind in OWN.items())


@entry(U1, FRAME, PACKET, PACKET, I8, WORLD)
def deal(data: Any, frames: Any, packets: Any, spare: Any, dealt: Any, worlds: Any) -> Any:
    """Decode frames[:n], n being the last of `dealt`, int64[shards + 1], and deal them: shard s gets packets[s * room:][:dealt[s]] with
    room = packets.size // shards >= n. One shard gets them all, of several none gets what was refused. spare: PACKET[BATCH]."""
    w = worlds[0]
    shards = dealt.size - 1
    room = packets.size // shards
    count = dealt[shards]
    if shards == 1:
        decode_batch(data, frames, 0, count, packets, fragments_of(w), seed_of(w), decoder_of(w))
        pass_time(timeline_of(w), seconds_of(w), packets, count)
        if listener_of(w).size != 0 and decoder_of(w)[0].telling != 0:
            tell(data, packets, np.int64(count), listener_of(w))
        if sightings_of(w).size != 0 and decoder_of(w)[0].telling != 0:
            sight(w, data, packets, count)
        dealt[0] = count
        return 0
    for s in range(shards):
        dealt[s] = 0
    for start in range(0, count, BATCH):
        many = min(count - start, BATCH)
        decode_batch(data, frames, start, many, spare, fragments_of(w), seed_of(w), decoder_of(w))
        pass_time(timeline_of(w), seconds_of(w), spare, many)
        if listener_of(w).size != 0 and decoder_of(w)[0].telling != 0:
            tell(data, spare, np.int64(many), listener_of(w))
        if sightings_of(w).size != 0 and decoder_of(w)[0].telling != 0:
            sight(w, data, spare, many)
        for i in range(many):
            p = spare[i]
            if p.status == 0:
                # by the upper half of the hash: the flow table's place is the lower
                owner = np.int64(((p.hash >> np.uint64(32)) * np.uint64(shards)) >> np.uint64(32))
                packets[owner * room + dealt[owner]] = spare[i]
                dealt[owner] += 1
    return 0


class Dealt:
    """A block's packets and whose they are. Used again and again."""

    def __init__(self, room: int, shards: int) -> None:
        self.frames = records(room, FRAME)
        self.all = records(room * shards, PACKET)
        self.packets = [self.all[s * room:(s + 1) * room] for s in range(shards)]
        self.counts: np.ndarray[Any, Any] = np.zeros(shards + 1, np.int64)       # of each shard, and of the block
        self.data: Any = None
        self.begin = self.end = 0               # numbers of the first packet and of the one behind the last, in their capture
        self.left = shards                      # that have not had it


class Intake:
    """Decoder, fragments, clock and the seed of the hash."""

    def __init__(self, key_vlan: bool = True, seconds: int = 1 << 17, seed: Any = None, tap: Listening | None = None,
                 sightings: Sightings | None = None) -> None:
        """tap: who is shown each batch of packets; sightings: where is noted what frames say of the segment."""
        self.seed = fresh_seed() if seed is None else seed
        self.decoder = new_decoder(key_vlan)
        self.fragments = fragment_table()
        self.timeline = Timeline(seconds)
        self.tap = tap
        self.listener = records(0, LISTENER) if tap is None else tap.listener
        self.sightings = sightings or Sightings()
        self.world = world(WORLD, self.arrays())
        self.before = 0                         # numbers of packets in captures before this one
        self._spare = records(BATCH, PACKET)
        self._deal = Bound(deal)

    def begin(self, before: int = 0) -> None:
        """The next packets are of another capture; `before`: how many there were in the one before it."""
        self.timeline.begin()
        self.before += before

    def arrays(self) -> dict[str, Any]:
        """Its arrays by their names in a world."""
        return {"decoder": self.decoder, "fragments": self.fragments, "seed": self.seed, "timeline": self.timeline.rows, "seconds": self.timeline.seconds,
                "listener": self.listener, **self.sightings.arrays()}

    def deal(self, block: Block, into: Dealt) -> None:
        """Decode a block (of as many frames as `into` has room for at most) and deal its packets."""
        into.data, into.begin = block.data, block.first_number
        into.end = block.first_number + (int(block.frames[block.count - 1].number) - block.first_number & 0xFFFFFFFF) + 1
        into.counts[-1] = block.count
        self._deal(block.data, block.frames, into.all, self._spare, into.counts, self.world)
        if self.tap is not None:
            self.tap.learn()
        self.sightings.hand_over()

    def refusals(self) -> dict[str, int]:
        """Frames in no flow, by reason."""
        counted = self.decoder[0].refused
        return {reason: int(counted[i]) for i, reason in enumerate(REFUSALS) if i and counted[i]}

    def forget(self) -> None:
        """Let go of the blocks that were dealt."""
        self._deal.forget()
