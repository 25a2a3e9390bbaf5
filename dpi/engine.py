"""The pipeline of one shard, in order: decode -> track -> classify -> export. Read this first.

A shard owns every array it touches; nothing is shared while a kernel runs. `pipeline` below is the whole way of a packet on one screen;
`Shard` holds the memory and turns full buffers into Batches for the sinks.
"""
from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dpi.batch import Sink
from dpi.beside import Behind
from dpi.capture.block import Block, Bound
from dpi.capture.decode import decode, decode_any, decode_batch, new_decoder
from dpi.capture.fragments import FRAGMENT, fragment_table
from dpi.capture.frame import FRAME, PACKET, REFUSALS
from dpi.capture.key import fresh_seed
from dpi.capture.tunnel import DECODER
from dpi.classify import memory as classify_memory
from dpi.classify.dispatch import inspect, last_words
from dpi.classify.inspection import INSPECTION, ROOM, TRANSACTION
from dpi.classify.memory import outbox_of
from dpi.classify.resolutions import Resolutions
from dpi.classify.settle import settle
from dpi.classify.transactions import find_text, transactions
from dpi.flow import memory as flow_memory
from dpi.flow.arena import Arena
from dpi.flow.community import identify
from dpi.flow.expiry import advance_clock, drop, expired, flush, sweep
from dpi.flow.export import Exports
from dpi.flow.facts import Facts
from dpi.flow.lookup import look_up
from dpi.flow.memory import flows_of, out_flows_of, seed_of, shard_of, slots_of
from dpi.flow.rows import Naming, batch, unpack
from dpi.flow.stream import Streams
from dpi.flow.table import CLOSED, END_CLOSED, END_IDLE, PHASE_DONE, SECOND, Table, find
from dpi.flow.tcp import TCP, UDP
from dpi.flow.texts import gather, spell
from dpi.flow.track import born, count
from dpi.jit import I64, Entry, entry, kernel, pointed, records, world, world_dtype
from dpi.rules import RuleSet

BATCH = 256                 # packets decoded, hashed and looked up together: their records stay in the first-level caches
U1, I8 = np.dtype("u1"), np.dtype("i8")
OWN = {"decoder": DECODER, "fragments": FRAGMENT, "seconds": SECOND, "cursor": I8}
ARRAYS = {**flow_memory.ARRAYS, **classify_memory.ARRAYS, **OWN}
WORLD = world_dtype(tuple(ARRAYS))
decoder_of, fragments_of, seconds_of, cursor_of = (pointed(name, kind) for name, kind in OWN.items())
DONE, DRAIN = 0, 1          # what `pipeline` returns
NEVER = 1 << 62             # later than any packet, us


@entry(U1, FRAME, PACKET, I64, WORLD)
def pipeline(data: Any, frames: Any, packets: Any, decoded: Any, worlds: Any) -> Any:
    """Take frames [cursor[0], cursor[1]) of a block through the shard. Returns DONE, or DRAIN when an output buffer is nearly full.

    packets: PACKET[BATCH] to decode into, or, where `decoded` is 1, PACKET[at least cursor[1]] of these frames.
    """
    w = worlds[0]
    row = shard_of(w)[0]
    cursor = cursor_of(w)
    total = cursor[1]
    while cursor[0] < total:
        room = out_flows_of(w).size - row.exports - 4 * BATCH       # a packet can export two rows, an eviction one more
        if room < 0 or row.outbox + 4096 > outbox_of(w).size:
            return DRAIN
        start = cursor[0]
        many = min(total - start, BATCH)
        first = start
        if decoded == 0:
            decode_batch(data, frames, start, many, packets, fragments_of(w), seed_of(w), decoder_of(w))
            first = 0
        look_up(w, data, packets, first, first + many, decoded)
        for i in range(first, first + many):
            one_packet(w, data, packets[i])
        cursor[0] = start + many
        sweep(w, room)
    return DONE


@kernel
def one_packet(w: Any, data: Any, p: Any) -> Any:
    """Clock, flow, counters, and inspection where the flow is not settled."""
    row = shard_of(w)[0]
    row.packets += 1
    row.wire_bytes += np.int64(p.wire)
    row.first_time = min(row.first_time, p.time)
    row.last_time = max(row.last_time, p.time)
    advance_clock(shard_of(w), p.time)
    per_second(shard_of(w), seconds_of(w), p)
    if p.status != 0:
        row.refused += 1
        row.refused_bytes += np.int64(p.wire)
        return 0
    tag = p.hash & np.uint64(0xFFFFFFFF)
    number = np.int64(p.flow)
    if number == 0 or flows_of(w)[number].key0 != p.key0 or flows_of(w)[number].key1 != p.key1 or flows_of(w)[number].start == -1:
        number = np.int64(find(slots_of(w), flows_of(w), row.mask, tag, p.key0, p.key1))
    if number != 0 and expired(flows_of(w)[number], p, shard_of(w)):
        drop(w, number, END_CLOSED if flows_of(w)[number].state & CLOSED else END_IDLE)
        number = np.int64(0)
    if number == 0:
        number = np.int64(born(w, data, p, tag))
    told = count(w, number, p)
    if flows_of(w)[number].phase & PHASE_DONE or p.fragment == 2:
        return 0
    if row.inspect and (p.payload_captured != 0 or (p.ip_protocol != TCP and p.ip_protocol != UDP)):
        inspect(w, data, p, number, told)
    return 0


@kernel
def per_second(shard: Any, seconds: Any, p: Any) -> Any:
    """Count the packet into its second of the packet clock (a bounded list; what does not fit is counted)."""
    row = shard[0]
    second = row.clock // 1_000_000
    last = row.seconds - 1
    if last < 0 or seconds[last].second != second:
        if row.seconds >= seconds.size:
            row.seconds_missed += 1
            return 0
        last = row.seconds
        row.seconds += 1
        seconds[last].second = second
        seconds[last].packets = 0
        seconds[last].wire_bytes = 0
    seconds[last].packets += 1
    seconds[last].wire_bytes += np.int64(p.wire)
    return 0


@entry(WORLD)
def flush_all(worlds: Any) -> Any:
    """End every flow. Returns DONE, or DRAIN when the export buffers are full."""
    w = worlds[0]
    return DONE if flush(w, out_flows_of(w).size - shard_of(w)[0].exports) == 1 else DRAIN


@entry(WORLD, I64)
def flow_ends(worlds: Any, number: Any) -> Any:
    """Called by the flow layer for each flow that ends with first bytes or parser memory (SHARD.ending)."""
    return last_words(worlds[0], number)


@entry(WORLD)
def settle_rows(worlds: Any) -> Any:
    """Complete the verdicts of the exported rows."""
    return settle(worlds[0])


@dataclass(frozen=True)
class Limits:
    """Sizes and times of one shard. Times in seconds."""
    flows: int = 1 << 20
    facts: int = 1 << 17
    streams: int = 1 << 15
    exports: int = 1 << 14
    transactions: int = 1 << 14
    seconds: int = 1 << 17
    idle_tcp: int = 300
    idle_half_open: int = 30
    idle_closed: int = 5
    idle_udp: int = 120
    idle_other: int = 60
    inspect: int = 1
    key_vlan: bool = True


@dataclass
class Origin:
    """Where frames come from: what is the same in every row."""
    source: str
    capture_id: int = 0
    probe: str = "replay"
    boot: int = 0
    interfaces: list[str] = field(default_factory=lambda: [""])


class Output:
    """Buffers that a shard fills and a sink empties."""

    def __init__(self, limits: Limits) -> None:
        self.exports = Exports(limits.exports)
        self.outbox = records(limits.transactions, TRANSACTION)
        self.rows = self.transactions = 0
        self.origin = Origin("")

    def arrays(self) -> dict[str, Any]:
        """Its arrays by their names in the world."""
        e = self.exports
        return {"outbox": self.outbox, "out_flows": e.flows, "out_details": e.details, "out_addresses": e.addresses, "out_extra": e.extra,
                "out_facts": e.facts, "out_tunnels": e.tunnels}


class Shard:
    """Memory and sinks of one pipeline. `process` blocks, then `finish`."""

    def __init__(self, rules: RuleSet, limits: Limits, sinks: Iterable[Sink], seed: Any = None, behind: Behind | None = None) -> None:
        self.rules, self.limits, self.sinks = rules, limits, list(sinks)
        self.seed = fresh_seed() if seed is None else seed
        self.table = Table(limits.flows)
        self.streams, self.arena = Streams(limits.streams), Arena(limits.streams)
        self.facts = Facts(limits.facts)
        self.behind = behind
        self.resolutions = Resolutions()
        self.decoder = new_decoder(limits.key_vlan)
        self.fragments = fragment_table()
        self.packets = records(BATCH, PACKET)
        self.seconds = records(limits.seconds, SECOND)
        self.cursor = np.zeros(2, np.int64)
        self._pipeline = Bound(pipeline)
        row = self.table.shard[0]
        for name in ("idle_tcp", "idle_half_open", "idle_closed", "idle_udp", "idle_other"):
            row[name] = getattr(limits, name) * 1_000_000
        row.inspect = limits.inspect
        row.ending, row.outbox_limit = flow_ends.address(), limits.transactions - 4 * ROOM
        row.idle_least = min(row.idle_tcp, row.idle_half_open, row.idle_closed, row.idle_udp, row.idle_other)
        self.origin = Origin("")
        self.naming = Naming(rules.protocols, rules.applications, rules.categories, rules.protocol_categories, rules.words, rules.version)
        self._outputs = [Output(limits) for _ in range(3 if behind else 1)]
        self._own = self._own_arrays()          # kept: a world holds addresses only
        self._worlds = [world(WORLD, {**self._own, **one.arrays()}) for one in self._outputs]
        self._turn = 0
        self.stored_time = time.time_ns() // 1000

    def _own_arrays(self) -> dict[str, Any]:
        """Every array of the world but the output's."""
        t, r, d = self.table, self.rules, self.resolutions
        return {
            "decoder": self.decoder, "fragments": self.fragments, "seconds": self.seconds, "cursor": self.cursor,
            "shard": t.shard, "seed": self.seed, "slots": t.slots, "flows": t.flows, "details": t.details, "addresses": t.addresses, "tunnels": t.tunnels,
            "streams": self.streams.records, "pools": self.arena.pools, "arena": self.arena.bytes,
            "facts": self.facts.pool, "inspection": records(1, INSPECTION),
            "rows": r.rows, "pieces": r.pieces, "pattern_bytes": r.pattern_bytes, "buckets": r.buckets,
            "parsers": r.address_array(), "parser_memory": r.parser_memory, "parser_starts": r.parser_starts,
            "parser_protocol": r.parser_protocol, "parser_also": r.parser_also_reason,
            "parser_reason": r.parser_reason, "reasons": r.reason_table, "reason_dns": r.reason_dns, "carriers": r.carriers,
            "names": r.names, "certificate_names": r.certificate_names, "alpns": r.alpns, "agents": r.agents, "agent_bytes": r.agent_bytes,
            "networks4": r.networks4, "networks6": r.networks6, "ports": r.ports,
            "resolutions": d.entries, "resolution_text": d.text, "resolution_head": d.head,
        }

    @property
    def world(self) -> Any:
        """The world whose output is being filled."""
        return self._worlds[self._turn]

    @property
    def counters(self) -> Any:
        """The SHARD record: clock and counters."""
        return self.table.shard[0]

    def begin(self, origin: Origin) -> None:
        """The next blocks are of this origin. Flows of another one must have been finished before."""
        self.origin = origin
        self.counters.first_time, self.counters.last_time = NEVER, -NEVER

    @property
    def span(self) -> tuple[int, int]:
        """Times of the first and the last packet of this origin, us; (0, 0) where there was none."""
        first, last = int(self.counters.first_time), int(self.counters.last_time)
        return (first, last) if first <= last else (0, 0)

    def decode(self, block: Block, packets: Any) -> Block:
        """The block with its frames decoded into `packets`, PACKET[at least count]. May run in a thread beside `process` of earlier blocks, as
        long as no block is processed that was not decoded this way."""
        decode(block.data, block.frames, 0, block.count, packets, self.fragments, self.seed, self.decoder)
        return replace(block, packets=packets)

    def process(self, block: Block) -> None:
        """Take a block through the pipeline; sinks are written as buffers fill."""
        self.cursor[0], self.cursor[1] = 0, block.count
        decoded = block.packets is not None
        while self._pipeline(block.data, block.frames, block.packets if decoded else self.packets, decoded, self.world) == DRAIN:
            self.drain()

    def finish(self) -> None:
        """End all flows and write what is left."""
        while flush_all(self.world) == DRAIN:
            self.drain()
        self.drain()
        self.wait()

    def wait(self) -> None:
        """Until the sinks have what was drained. Nothing of the blocks that were processed is held any longer."""
        self._pipeline.forget()
        if self.behind is not None:
            self.behind.wait()

    def drain(self) -> None:
        """Hand what was exported to the sinks: at once, or in the thread beside while the next output fills."""
        row, out = self.counters, self._outputs[self._turn]
        if row.exports:
            settle_rows(self.world)
        out.rows, out.transactions, out.origin = int(row.exports), int(row.outbox), self.origin
        row.exports = row.export_facts = row.export_tunnels = row.outbox = 0
        if self.behind is None:
            self._write(out)
            return
        # of three outputs one is being written, one may wait, one fills
        self.behind.do(lambda: self._write(out))
        self._turn = (self._turn + 1) % len(self._outputs)

    def _write(self, out: Output) -> None:
        """The output as Batches, to every sink."""
        origin, batches = out.origin, []
        if out.rows:
            batches.append(batch(out.exports, out.rows, self.naming, source=origin.source, capture_id=origin.capture_id, probe=origin.probe,
                                 boot=origin.boot, interfaces=origin.interfaces, stored_time=self.stored_time))
        if out.transactions:
            batches += transactions(out.outbox, out.transactions, source=origin.source, capture_id=origin.capture_id, probe=origin.probe,
                                    boot=origin.boot, stored_time=self.stored_time)
        for one in batches:
            for sink in self.sinks:
                sink.write(one)

    def take_seconds(self) -> Any:
        """The per-second counts so far, SECOND[k], and forget them."""
        taken = self.seconds[:int(self.counters.seconds)].copy()
        self.counters.seconds = 0
        return taken.view(np.ndarray)

    def refusals(self) -> dict[str, int]:
        """Frames in no flow, by reason."""
        counted = self.decoder[0].refused
        return {reason: int(counted[i]) for i, reason in enumerate(REFUSALS) if i and counted[i]}


def entries(rules: RuleSet) -> list[Entry | str]:
    """Every kernel a replay calls, for `dpi.native.warm`."""
    from dpi.capture import pcap, pcapng

    found: list[Entry | str] = [pipeline, flush_all, flow_ends, settle_rows, unpack, identify, gather, spell, find_text, decode, decode_any,
                                *rules.parser_labels]
    for module in (pcap, pcapng):
        found += [value for value in vars(module).values() if isinstance(value, Entry)]
    return found
