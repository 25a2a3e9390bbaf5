"""One payload packet of a flow that is not yet named: its bytes in order, the rows they match, the parser that reads them.

The order of work: (1) the stream decides which bytes to show; (2) the flow's parser, or else the first-bytes rows, say what they are;
(3) what was learned is kept and names are looked up. A flow that is settled is never looked at again.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.assembly import LONGEST, PATIENCE, finish, follow, hold, memory_for, release_inspection, slot_for
from dpi.classify.call import call_parser
from dpi.classify.inspection import INSIDE, MINE, MORE, NAME_CERTIFICATE, NO, ROOM
from dpi.classify.memory import (
    agent_bytes_of,
    agents_of,
    alpns_of,
    answers_of,
    buckets_of,
    certificate_names_of,
    inspection_of,
    names_of,
    outbox_of,
    parser_also_of,
    parser_memory_of,
    parser_protocol_of,
    parser_reason_of,
    parser_starts_of,
    parsers_of,
    pattern_bytes_of,
    pieces_of,
    reasons_of,
    rows_of,
)
from dpi.classify.names import find_agent, find_name
from dpi.classify.resolutions import note
from dpi.classify.signatures import next_row, row_matches
from dpi.flow.arena import SPAN
from dpi.flow.facts import clear, keep
from dpi.flow.memory import addresses_of, arena_of, details_of, facts_of, flows_of, pools_of, shard_of, streams_of
from dpi.flow.stream import release_memory
from dpi.flow.table import CLIENT_LOW, DATA_CLIENT, DATA_SERVER, HASHED, MIDSTREAM, PHASE_CANDIDATE, PHASE_COUNT, PHASE_GOING, PHASE_SINGLE
from dpi.flow.tcp import TCP
from dpi.jit import kernel

MIDSTREAM_PATIENCE = 5  # packets whose beginning is tried as a stream's beginning when the real one was not seen
ROWS_TRIED = 64         # matching rows considered per packet


@kernel
def inspect(w: Any, data: Any, p: Any, number: Any, told: Any) -> Any:
    """Look at one packet. `told` is what `dpi.flow.track.count` returned."""
    flow = flows_of(w)[number]
    at = np.int64(p.offset) + np.int64(p.payload_at)
    n = np.int64(p.payload_captured)
    # a flow that is named and shows single packets only: most are told by their first byte to be of no interest
    if (flow.phase & PHASE_SINGLE) == PHASE_SINGLE and n > 0 and parser_starts_of(w)[np.int64(flow.parser) << 8 | np.int64(data[at])] == 0:
        return 0
    row = shard_of(w)[0]
    detail = details_of(w)[number]
    d = (told >> 32) & 1
    row.inspected += 1
    seen = min(np.int64(flow.phase & PHASE_COUNT) + 1, LONGEST)
    flow.phase = np.uint8((np.int64(flow.phase) & ~PHASE_COUNT) | seen)
    x = inspection_of(w)[0]
    x.time = row.clock
    x.number = p.number
    x.flow = detail.serial
    x.ip_protocol = p.ip_protocol
    x.direction = np.uint8(d)
    x.midstream = 1 if flow.marks & MIDSTREAM else 0
    x.packets = np.uint8(seen)
    x.client_port = detail.client_port
    x.server_port = detail.server_port
    x.start = 1
    x.final = 0
    if p.ip_protocol != TCP:
        judge(w, data[at:at + n], number, d, 0)
        return 0
    slot = np.int64(flow.stream)
    begun = np.int64(flow.marks) & (DATA_CLIENT << d)
    flow.marks |= np.uint8(DATA_CLIENT << d)
    if slot != 0 and streams_of(w)[slot].open[d] == 1:
        assembled(w, data[at:at + n], number, slot, d, np.int64(p.seq))
        return 0
    if begun == 0:
        distance = told & 0xFFFFFFFF
        if (told >> 33) & 1 and 0 < distance < SPAN:
            # the stream's first bytes are still on their way: keep these at their place
            slot = slot_for(w, number)
            if slot != 0:
                streams_of(w)[slot].open[d] = 1
                streams_of(w)[slot].origin[d] = np.uint32((np.int64(p.seq) - distance) & 0xFFFFFFFF)
                if hold(w, data[at:at + n], number, slot, d, p.seq, 0) < 0:
                    streams_of(w)[slot].open[d] = 2
            return 0
    else:
        x.start = 0
        if flow.parser == 0:
            if not (flow.marks & MIDSTREAM) or seen > MIDSTREAM_PATIENCE:
                settle_unknown(w, number, seen)
                return 0
    judge(w, data[at:at + n], number, d, p.seq)
    return 0


@kernel
def assembled(w: Any, data: Any, number: Any, slot: Any, d: Any, seq: Any) -> Any:
    """A segment of a direction that is being put in order. In order and with nothing held it is shown where it lies, else out of the buffer."""
    stream = streams_of(w)[slot]
    x = inspection_of(w)[0]
    ahead = (seq + np.int64(data.size) - np.int64(stream.origin[d])) & 0xFFFFFFFF
    if ahead == 0 or ahead >= 0x80000000:
        return 0                            # sent again: the parser is done with all of it
    room = SPAN - np.int64(stream.taken[d])
    if stream.buffer[d] == 0 and seq == np.int64(stream.origin[d]):
        if np.int64(data.size) >= room:
            x.final = 1
        judge(w, data[0:min(np.int64(data.size), room)], number, d, seq)
        return 0
    grown = hold(w, data, number, slot, d, seq, 0)
    if grown == 0:
        return 0
    if grown < 0:
        shard_of(w)[0].stream_gaps += 1
        stream.open[d] = 2
        x.final = 1
    have = np.int64(stream.have[d])
    if have >= room:
        x.final = 1
    place = np.int64(stream.buffer[d])
    judge(w, arena_of(w)[place:place + have], number, d, stream.origin[d])
    return 0


@kernel
def settle_unknown(w: Any, number: Any, seen: Any) -> Any:
    """Leave a flow that nothing recognised, once patience ends."""
    if seen >= PATIENCE:
        finish(w, number)
    return 0


@kernel
def judge(w: Any, data: Any, number: Any, d: Any, seq: Any) -> Any:
    """Show the bytes to the flow's parser, or find one."""
    flow = flows_of(w)[number]
    x = inspection_of(w)[0]
    after = np.int64(-1)
    n = np.int64(data.size)
    if flow.parser != 0:
        if ask(w, data, number, d, seq, np.int64(flow.parser)) != NO:
            return 0
        if flow.phase & PHASE_GOING:        # named already: what follows is not for this parser
            finish(w, number)
            return 0
        if flow.stream != 0:
            after = np.int64(streams_of(w)[flow.stream].row)
        flow.parser = 0
    elif flow.phase & PHASE_CANDIDATE:
        candidate = np.int64(flow.reason)
        if row_matches(data, n, inspection_of(w), rows_of(w), pieces_of(w), pattern_bytes_of(w), candidate):
            if np.int64(x.packets) >= np.int64(rows_of(w)[candidate].packets):
                flow.phase &= ~PHASE_CANDIDATE & 0xFF
                name_by_row(w, number, np.int64(rows_of(w)[candidate].reason))
            return 0
        flow.phase &= ~PHASE_CANDIDATE & 0xFF
        flow.reason = 0
    for _ in range(ROWS_TRIED):
        found = next_row(data, n, inspection_of(w), rows_of(w), pieces_of(w), pattern_bytes_of(w), buckets_of(w), after)
        if found < 0:
            break
        after = found
        parser = np.int64(rows_of(w)[found].parser)
        if parser == 0:
            if rows_of(w)[found].packets > 1:
                if x.packets == 1:
                    flow.phase |= PHASE_CANDIDATE
                    flow.reason = np.uint32(found)
                    return 0
                continue
            name_by_row(w, number, np.int64(rows_of(w)[found].reason))
            return 0
        if ask(w, data, number, d, seq, parser) != NO:
            if flow.stream != 0:
                streams_of(w)[flow.stream].row = np.int32(found)
            return 0
    settle_unknown(w, number, np.int64(x.packets))
    return 0


@kernel
def name_by_row(w: Any, number: Any, reason: Any) -> Any:
    """The row's reason names the flow."""
    flow = flows_of(w)[number]
    if flow.protocol == 0:
        flow.protocol = reasons_of(w)[reason].protocol
        flow.application = reasons_of(w)[reason].application
        flow.reason = np.uint32(reason)
    finish(w, number)
    return 0


@kernel
def ask(w: Any, data: Any, number: Any, d: Any, seq: Any, parser: Any) -> Any:
    """Call one parser and act on what it says. Returns its answer (NO also where it could not be asked)."""
    flow = flows_of(w)[number]
    row = shard_of(w)[0]
    x = inspection_of(w)[0]
    if row.outbox + ROOM > outbox_of(w).size:
        row.outbox_full += 1
        return NO
    fresh = flow.stream == 0
    size = np.int64(parser_memory_of(w)[parser])
    begin = np.int64(0)
    if size != 0:
        slot = slot_for(w, number)
        if slot == 0:
            return NO
        begin = np.int64(memory_for(w, number, slot, parser))
        if begin == 0:
            if fresh:
                release_inspection(w, number)
            return NO
    slot = np.int64(flow.stream)
    for i in range(8):
        x.state[i] = streams_of(w)[slot].state[i] if slot != 0 else np.uint32(0)
    facts = np.int64(flow.facts)
    if facts == 0:
        clear(facts_of(w), 0)
    x.protocol = 0
    x.learned = 0
    x.name_count = 0
    x.name_length = 0
    x.outbox = np.uint32(row.outbox)
    x.done = 0
    x.idle = 0
    memory = arena_of(w)[begin:begin + size]
    row.parser_calls += 1
    answer = call_parser(parsers_of(w)[parser], data, inspection_of(w), facts_of(w)[facts:facts + 1], outbox_of(w), memory)
    if np.int64(x.outbox) > row.outbox:
        address(w, number, row.outbox, np.int64(x.outbox))
    row.outbox = np.int64(x.outbox)
    if answer == NO:
        if fresh:
            release_inspection(w, number)
        return NO
    if x.learned:
        if facts == 0:
            flow.facts = np.uint32(keep(facts_of(w), shard_of(w)))
        facts = np.int64(flow.facts)
    if x.name_count:
        note(answers_of(w), shard_of(w), inspection_of(w))
    if answer != MORE:
        verdict(w, number, parser)
        flow.phase |= PHASE_GOING
    elif flow.phase & PHASE_GOING and x.learned:
        verdict(w, number, parser)
    if answer == MINE:
        finish(w, number)
        return MINE
    if x.idle == 1 and slot != 0:
        release_memory(streams_of(w), pools_of(w), arena_of(w), slot)
    if answer == INSIDE:
        begin_again(w, number)
        return INSIDE
    follow(w, data, number, d, seq, parser, answer)
    return answer


@kernel
def address(w: Any, number: Any, first: Any, end: Any) -> Any:
    """Write the flow's ends into rows [first, end) of the outbox."""
    flow = flows_of(w)[number]
    detail = details_of(w)[number]
    client_high = np.uint64(0)
    client_low = word_v4(np.uint64(flow.key0) >> np.uint64(32) if flow.marks & CLIENT_LOW else np.uint64(flow.key0) & np.uint64(0xFFFFFFFF))
    server_high = np.uint64(0)
    server_low = word_v4(np.uint64(flow.key0) & np.uint64(0xFFFFFFFF) if flow.marks & CLIENT_LOW else np.uint64(flow.key0) >> np.uint64(32))
    if flow.key1 & np.uint64(HASHED):
        ends = addresses_of(w)[number]
        client_high = word(ends.client, 0)
        client_low = word(ends.client, 8)
        server_high = word(ends.server, 0)
        server_low = word(ends.server, 8)
    for k in range(first, end):
        one = outbox_of(w)[k]
        one.client[0] = client_high
        one.client[1] = client_low
        one.server[0] = server_high
        one.server[1] = server_low
        one.vlan = detail.vlan
        one.inner_vlan = detail.inner_vlan
    return 0


@kernel
def word_v4(number: Any) -> Any:
    """The lower word of an IPv4 address that is mapped (RFC 4291 section 2.5.5.2), as it lies in memory."""
    turned = np.uint64(0)
    for k in range(4):
        turned |= (number >> np.uint64(24 - 8 * k) & np.uint64(255)) << np.uint64(32 + 8 * k)
    return turned | np.uint64(0xFFFF0000)


@kernel
def word(octets: Any, at: Any) -> Any:
    """Eight octets as they lie in memory."""
    value = np.uint64(0)
    for k in range(8):
        value |= np.uint64(octets[at + k]) << np.uint64(8 * k)
    return value


@kernel
def last_words(w: Any, number: Any) -> Any:
    """The flow ends: where its parser still has something in memory, it is called once more for each side, without bytes."""
    flow = flows_of(w)[number]
    slot = np.int64(flow.stream)
    if flow.parser == 0 or streams_of(w)[slot].memory == 0 or not (flow.phase & PHASE_GOING):
        return 0
    detail = details_of(w)[number]
    x = inspection_of(w)[0]
    for d in range(2):
        if flow.stream == 0 or streams_of(w)[slot].memory == 0:
            return 0
        x.time = flow.last
        x.flow = detail.serial
        x.ip_protocol = np.uint8(np.int64(flow.key1 & np.uint64(0xFF)))
        x.direction = np.uint8(d)
        x.midstream = 1 if flow.marks & MIDSTREAM else 0
        x.packets = np.uint8(flow.phase & PHASE_COUNT)
        x.client_port = detail.client_port
        x.server_port = detail.server_port
        x.start = 1
        x.final = 1
        ask(w, arena_of(w)[0:0], number, d, 0, np.int64(flow.parser))
    return 0


@kernel
def begin_again(w: Any, number: Any) -> Any:
    """The next segment of each side is a stream's beginning: another protocol inside this one. Its name is added to the facts only."""
    finish(w, number)
    flow = flows_of(w)[number]
    flow.phase = PHASE_GOING
    flow.marks &= ~(DATA_CLIENT | DATA_SERVER) & 0xFF
    return 0


@kernel
def verdict(w: Any, number: Any, parser: Any) -> Any:
    """Write the parser's protocol, and the application that names give."""
    flow = flows_of(w)[number]
    x = inspection_of(w)[0]
    why = np.int64(parser_reason_of(w)[parser])
    if x.protocol != 0 and x.protocol <= 16:
        why = np.int64(parser_also_of(w)[parser * 16 + np.int64(x.protocol) - 1])
    if flow.protocol == 0 or (x.protocol != 0 and flow.protocol == parser_protocol_of(w)[parser]):
        flow.protocol = reasons_of(w)[why].protocol
        if flow.application == 0:
            flow.application = reasons_of(w)[why].application       # a further name "STUN.WhatsAppCall" says both
            flow.reason = np.uint32(why)
    if flow.application != 0 or flow.facts == 0 or (flow.phase & PHASE_GOING and x.learned == 0):
        return 0                            # named, or nothing new to look a name up by
    fact = facts_of(w)[flow.facts]
    reason = np.int64(0)
    if fact.name_source > NAME_CERTIFICATE and fact.server_name_length != 0:
        reason = find_name(fact.server_name, 0, np.int64(fact.server_name_length), names_of(w))
    elif fact.name_source == NAME_CERTIFICATE and fact.server_name_length != 0:
        reason = find_name(fact.server_name, 0, np.int64(fact.server_name_length), certificate_names_of(w))
    if reason == 0 and fact.alpn_length != 0:
        reason = find_name(fact.alpn, 0, np.int64(fact.alpn_length), alpns_of(w))
    if reason == 0 and fact.user_agent_length != 0:
        reason = find_agent(fact.user_agent, 0, np.int64(fact.user_agent_length), agents_of(w), agent_bytes_of(w))
    if reason != 0:
        flow.application = reasons_of(w)[reason].application
        flow.reason = np.uint32(reason)
    return 0
