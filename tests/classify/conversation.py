"""One flow as the engine shows it to a parser: a plain way for tests to talk to a parser and read what it answered."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import CLEAN, CLIENT, FACTS, GOING, INSPECTION, RISKS, ROOM, SERVER, TRANSACTION
from dpi.classify.wire.rows import read
from dpi.jit import records

Row = tuple[int, list[int], list[bytes]]
TCP, UDP = 6, 17


class Conversation:
    """Bytes go in with `stream`, `packet` or `datagram`; the last verdict, the facts and all rows are there to be asserted."""

    def __init__(self, protocol: Any, transport: int = UDP, server_port: int = 0, client_port: int = 40000, midstream: int = 0) -> None:
        self.parse = protocol.parse
        self.names = ("", *protocol.PROTOCOL.also)
        self.inspection = records(1, INSPECTION)
        self.facts = records(1, FACTS)
        self.memory = np.empty(protocol.PROTOCOL.memory, np.uint8)
        self.lend()
        self.rows: list[Row] = []
        self.seen = self.inspection[0]
        self.seen.ip_protocol = transport
        self.seen.client_port, self.seen.server_port = client_port, server_port
        self.seen.midstream = midstream
        self.streams = {CLIENT: b"", SERVER: b""}
        self.time = 1_000_000

    def lend(self) -> None:
        """Memory as another flow left it."""
        self.memory[:] = 0xEE
        self.memory[:CLEAN] = 0

    def call(self, direction: int, data: bytes, start: int, final: int) -> int:
        """One call of the parser. Every answer field is fresh; state, memory and facts stay."""
        seen = self.seen
        self.time += 1000
        seen.time = self.time
        seen.flow = 7
        seen.direction, seen.start, seen.final = direction, start, final
        seen.packets = min(255, int(seen.packets) + 1)
        seen.protocol = seen.learned = seen.outbox = seen.name_count = seen.done = seen.idle = 0
        outbox = records(ROOM, TRANSACTION)
        verdict = int(self.parse(np.frombuffer(data, np.uint8).copy(), self.inspection, self.facts, outbox, self.memory))
        assert 0 <= verdict <= 5 and int(seen.outbox) <= ROOM and int(seen.name_count) <= 16 and int(seen.name_length) <= 256
        assert int(seen.protocol) < len(self.names) and int(seen.done) <= len(data)
        if seen.idle:
            self.lend()
        for i in range(int(seen.outbox)):
            ends = [int(e) for e in outbox[i].ends[:int(outbox[i].texts)]]
            assert ends == sorted(ends) and all(e <= 880 for e in ends)
            self.rows.append(read(outbox[i]))
        assert int(self.facts[0].server_name_length) <= 255 and int(self.facts[0].user_agent_length) <= 176
        return verdict

    def datagram(self, direction: int, data: bytes) -> int:
        return self.call(direction, data, 1, 0)

    def stream(self, direction: int, data: bytes, final: int = 0) -> int:
        """More bytes of a TCP side: the parser sees all of that side's bytes that it is not done with."""
        self.streams[direction] += data
        verdict = self.call(direction, self.streams[direction], 1, final)
        if verdict == GOING:
            self.streams[direction] = self.streams[direction][int(self.seen.done):]
        return verdict

    def packet(self, direction: int, data: bytes) -> int:
        """One packet's payload, after the stream's buffer has been given up."""
        return self.call(direction, data, 0, 0)

    @property
    def server_name(self) -> bytes:
        return self.facts[0].server_name.tobytes()[:int(self.facts[0].server_name_length)]

    @property
    def user_agent(self) -> bytes:
        return self.facts[0].user_agent.tobytes()[:int(self.facts[0].user_agent_length)]

    @property
    def protocol(self) -> str:
        return self.names[int(self.seen.protocol)]

    @property
    def risks(self) -> set[str]:
        return {name for i, name in enumerate(RISKS) if int(self.facts[0].risks) >> i & 1}

    @property
    def resolved(self) -> tuple[bytes, list[bytes]]:
        """The name and the addresses the engine would learn from the last call."""
        count = int(self.seen.name_count)
        name = self.seen.name.tobytes()[:int(self.seen.name_length)] if count else b""
        return name, [self.seen.addresses.tobytes()[16 * i:16 * i + 16] for i in range(count)]
