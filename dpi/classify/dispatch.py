"""One payload packet of a flow that is not yet named: its bytes in order, the rows they match, the parser that reads them.

The order of work: (1) the stream decides which bytes to show; (2) the flow's parser, or else the first-bytes rows, say what they are;
(3) what was learned is kept and names are looked up. A flow that is settled is never looked at again.
"""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from dpi.classify.call import call_parser
from dpi.classify.inspection import GOING, MINE, MORE, NAME_CERTIFICATE, NO, PACKETS, ROOM
from dpi.classify.names import find_agent, find_name
from dpi.classify.resolutions import learn
from dpi.classify.signatures import next_row, row_matches
from dpi.flow.facts import clear, keep
from dpi.flow.stream import MEMORY, SLOT_BYTES, SPAN, add_segment, clear_memory, close_slot, open_slot
from dpi.flow.table import CLIENT_LOW, DATA_CLIENT, MIDSTREAM, PHASE_CANDIDATE, PHASE_COUNT, PHASE_DONE, PHASE_GOING
from dpi.flow.track import TCP, UDP, Memory
from dpi.jit import kernel

PATIENCE = 12           # payload packets looked at before a flow without any verdict is left unknown
MIDSTREAM_PATIENCE = 5  # packets whose beginning is tried as a stream's beginning when the real one was not seen
LONGEST = 31            # payload packets (the counter's end) after which a parser that wants the stream is not fed any more
ROWS_TRIED = 64         # matching rows considered per packet


class Classifier(NamedTuple):
    """The arrays that naming needs."""
    inspection: Any
    outbox: Any
    arena: Any
    rows: Any
    pieces: Any
    pattern_bytes: Any
    buckets: Any
    parsers: Any            # u64 addresses
    parser_flags: Any       # u1: 1 wants memory
    parser_protocol: Any    # u2
    parser_also: Any        # u2, 16 a parser
    parser_reason: Any      # u4
    reasons: Any
    names: Any
    certificate_names: Any
    agents: Any
    agent_bytes: Any
    resolutions: Any
    resolution_text: Any
    resolution_head: Any


@kernel
def inspect(m: Memory, c: Classifier, data: Any, p: Any, number: Any, told: Any) -> Any:
    """Look at one packet. `told` is what `dpi.flow.track.count` returned."""
    flow = m.flows[number]
    row = m.shard[0]
    d = (told >> 32) & 1
    row.inspected += 1
    seen = min(np.int64(flow.phase & PHASE_COUNT) + 1, LONGEST)
    flow.phase = np.uint8((np.int64(flow.phase) & ~PHASE_COUNT) | seen)
    x = c.inspection[0]
    x.time = row.clock
    x.flow = m.details[number].serial
    x.ip_protocol = p.ip_protocol
    x.direction = np.uint8(d)
    x.midstream = 1 if flow.marks & MIDSTREAM else 0
    x.packets = np.uint8(seen)
    x.client_port = m.details[number].client_port
    x.server_port = m.details[number].server_port
    x.start = 1
    x.final = 0
    at = np.int64(p.offset) + np.int64(p.payload_at)
    n = np.int64(p.payload_captured)
    if p.ip_protocol != TCP:
        judge(m, c, data[at:at + n], number, d, 0)
        return 0
    slot = np.int64(flow.stream)
    begun = np.int64(flow.marks) & (DATA_CLIENT << d)
    flow.marks |= np.uint8(DATA_CLIENT << d)
    if slot != 0 and m.streams[slot].open[d] == 1:
        grown = add_segment(m.streams, c.arena, slot, d, p.seq, data, at, n)
        have = np.int64(m.streams[slot].have[d])
        if grown < 0:
            row.stream_gaps += 1
            m.streams[slot].open[d] = 2
            x.final = 1
        elif grown == 0:
            return 0
        if have >= SPAN:
            x.final = 1
        place = slot * SLOT_BYTES + d * SPAN
        judge(m, c, c.arena[place:place + have], number, d, p.seq)
        return 0
    if begun == 0:
        distance = told & 0xFFFFFFFF
        if (told >> 33) & 1 and 0 < distance < SPAN:
            # the stream's first bytes are still on their way: keep these at their place
            if slot == 0:
                slot = open_slot(m.streams, c.arena, m.shard, number, 0)
                flow.stream = np.uint32(slot)
            if slot != 0:
                m.streams[slot].open[d] = 1
                m.streams[slot].base[d] = np.uint32((np.int64(p.seq) - distance) & 0xFFFFFFFF)
                add_segment(m.streams, c.arena, slot, d, p.seq, data, at, n)
            return 0
    else:
        x.start = 0
        if flow.parser == 0:
            if not (flow.marks & MIDSTREAM) or seen > MIDSTREAM_PATIENCE:
                settle_unknown(m, number, seen)
                return 0
    judge(m, c, data[at:at + n], number, d, p.seq)
    return 0


@kernel
def settle_unknown(m: Memory, number: Any, seen: Any) -> Any:
    """Leave a flow that nothing recognised, once patience ends."""
    flow = m.flows[number]
    if seen >= PATIENCE:
        finish(m, number)
    return 0


@kernel
def finish(m: Memory, number: Any) -> Any:
    """No more inspection for this flow."""
    flow = m.flows[number]
    if flow.phase & PHASE_CANDIDATE:
        flow.reason = 0
    flow.phase = PHASE_DONE
    flow.parser = 0
    if flow.stream != 0:
        close_slot(m.streams, m.shard, flow.stream)
        flow.stream = 0
    return 0


@kernel
def judge(m: Memory, c: Classifier, data: Any, number: Any, d: Any, seq: Any) -> Any:
    """Show the bytes to the flow's parser, or find one."""
    flow = m.flows[number]
    x = c.inspection[0]
    after = np.int64(-1)
    n = np.int64(data.size)
    if flow.parser != 0:
        if ask(m, c, data, number, d, seq, np.int64(flow.parser)) != NO:
            return 0
        if flow.phase & PHASE_GOING:        # named already: what follows is not for this parser
            finish(m, number)
            return 0
        if flow.stream != 0:
            after = np.int64(m.streams[flow.stream].row)
        flow.parser = 0
    elif flow.phase & PHASE_CANDIDATE:
        candidate = np.int64(flow.reason)
        if row_matches(data, n, c.inspection, c.rows, c.pieces, c.pattern_bytes, candidate):
            if np.int64(x.packets) >= np.int64(c.rows[candidate].packets):
                flow.phase &= ~PHASE_CANDIDATE & 0xFF
                name_by_row(m, c, number, np.int64(c.rows[candidate].reason))
            return 0
        flow.phase &= ~PHASE_CANDIDATE & 0xFF
        flow.reason = 0
    for _ in range(ROWS_TRIED):
        found = next_row(data, n, c.inspection, c.rows, c.pieces, c.pattern_bytes, c.buckets, after)
        if found < 0:
            break
        after = found
        parser = np.int64(c.rows[found].parser)
        if parser == 0:
            if c.rows[found].packets > 1:
                if x.packets == 1:
                    flow.phase |= PHASE_CANDIDATE
                    flow.reason = np.uint32(found)
                    return 0
                continue
            name_by_row(m, c, number, np.int64(c.rows[found].reason))
            return 0
        if ask(m, c, data, number, d, seq, parser) != NO:
            if flow.stream != 0:
                m.streams[flow.stream].row = np.int32(found)
            return 0
    settle_unknown(m, number, np.int64(x.packets))
    return 0


@kernel
def name_by_row(m: Memory, c: Classifier, number: Any, reason: Any) -> Any:
    """The row's reason names the flow."""
    flow = m.flows[number]
    flow.protocol = c.reasons[reason].protocol
    flow.application = c.reasons[reason].application
    flow.reason = np.uint32(reason)
    finish(m, number)
    return 0


@kernel
def ask(m: Memory, c: Classifier, data: Any, number: Any, d: Any, seq: Any, parser: Any) -> Any:
    """Call one parser and act on what it says. Returns its answer (NO also where it could not be asked)."""
    flow = m.flows[number]
    row = m.shard[0]
    x = c.inspection[0]
    if row.outbox + ROOM > c.outbox.size:
        row.outbox_full += 1
        return NO
    wants_memory = (c.parser_flags[parser] & 1) != 0
    slot = np.int64(flow.stream)
    fresh = False
    if wants_memory:
        if slot == 0:
            slot = open_slot(m.streams, c.arena, m.shard, number, 1)
            if slot == 0:
                return NO
            flow.stream = np.uint32(slot)
            m.streams[slot].fed = np.uint8(parser)
            fresh = True
        elif m.streams[slot].fed != parser:
            clear_memory(c.arena, slot)
            m.streams[slot].fed = np.uint8(parser)
    for i in range(8):
        x.state[i] = m.streams[slot].state[i] if slot != 0 else np.uint32(0)
    facts = np.int64(flow.facts)
    if facts == 0:
        clear(m.facts, 0)
    x.protocol = 0
    x.learned = 0
    x.name_count = 0
    x.name_length = 0
    x.outbox = np.uint32(row.outbox)
    begin = slot * SLOT_BYTES + 2 * SPAN
    memory = c.arena[begin:begin + MEMORY] if wants_memory else c.arena[0:0]
    row.parser_calls += 1
    answer = call_parser(c.parsers[parser], data, c.inspection, m.facts[facts:facts + 1], c.outbox, memory)
    row.outbox = np.int64(x.outbox)
    if answer == NO:
        if fresh:
            close_slot(m.streams, m.shard, slot)
            flow.stream = 0
        return NO
    if x.learned:
        if facts == 0:
            flow.facts = np.uint32(keep(m.facts, m.shard))
        facts = np.int64(flow.facts)
    if x.name_count:
        learn(c.resolutions, c.resolution_text, c.resolution_head, m.seed, c.inspection)
    if answer != MORE:
        verdict(m, c, number, parser)
        flow.phase |= PHASE_GOING
    elif flow.phase & PHASE_GOING and x.learned:
        verdict(m, c, number, parser)
    if answer == MINE:
        finish(m, number)
        return MINE
    follow(m, c, data, number, d, seq, parser, answer)
    return answer


@kernel
def follow(m: Memory, c: Classifier, data: Any, number: Any, d: Any, seq: Any, parser: Any, answer: Any) -> Any:
    """The parser wants to go on: keep the stream's bytes, its state, and the slot for them, or let go."""
    flow = m.flows[number]
    x = c.inspection[0]
    flow.parser = np.uint8(parser)
    slot = np.int64(flow.stream)
    stateful = False
    for i in range(8):
        stateful = stateful or x.state[i] != 0
    stream_wanted = x.ip_protocol == TCP and answer != PACKETS and x.start == 1
    if x.ip_protocol != TCP or answer == PACKETS:
        if answer == MORE and x.packets >= PATIENCE:
            finish(m, number)
            return 0
        if answer == GOING and x.ip_protocol == TCP and x.packets >= LONGEST:
            finish(m, number)
            return 0
    elif x.packets >= LONGEST or (x.start == 0 and answer == MORE and x.packets >= PATIENCE):
        finish(m, number)
        return 0
    if slot == 0 and (stateful or stream_wanted):
        slot = open_slot(m.streams, c.arena, m.shard, number, 0)
        if slot == 0:
            if not (flow.phase & PHASE_GOING):
                flow.parser = 0
            return 0
        flow.stream = np.uint32(slot)
    if slot == 0:
        return 0
    stream = m.streams[slot]
    for i in range(8):
        stream.state[i] = x.state[i]
    if stream_wanted:
        if stream.open[d] == 0:
            stream.open[d] = 1
            stream.base[d] = np.uint32(seq)
            if add_segment(m.streams, c.arena, slot, d, seq, data, 0, data.size) < 0 or np.int64(stream.have[d]) >= SPAN:
                stream.open[d] = 2
        elif x.final:
            stream.open[d] = 2
    elif answer == PACKETS:
        stream.open[0] = 2
        stream.open[1] = 2
        if not stateful and (c.parser_flags[parser] & 1) == 0:
            close_slot(m.streams, m.shard, slot)
            flow.stream = 0
    return 0


@kernel
def verdict(m: Memory, c: Classifier, number: Any, parser: Any) -> Any:
    """Write the parser's protocol, and the application that names give."""
    flow = m.flows[number]
    x = c.inspection[0]
    protocol = c.parser_protocol[parser]
    if x.protocol != 0 and x.protocol <= 16:
        protocol = c.parser_also[parser * 16 + np.int64(x.protocol) - 1]
    if flow.protocol == 0 or x.protocol != 0:
        flow.protocol = protocol
        if flow.application == 0:
            flow.reason = c.parser_reason[parser]
    if flow.application != 0 or flow.facts == 0:
        return 0
    fact = m.facts[flow.facts]
    reason = np.int64(0)
    if fact.name_source > NAME_CERTIFICATE and fact.server_name_length != 0:
        reason = find_name(fact.server_name, 0, np.int64(fact.server_name_length), c.names)
    elif fact.name_source == NAME_CERTIFICATE and fact.server_name_length != 0:
        reason = find_name(fact.server_name, 0, np.int64(fact.server_name_length), c.certificate_names)
    if reason == 0 and fact.user_agent_length != 0:
        reason = find_agent(fact.user_agent, 0, np.int64(fact.user_agent_length), c.agents, c.agent_bytes)
    if reason != 0:
        flow.application = c.reasons[reason].application
        flow.reason = np.uint32(reason)
    return 0
