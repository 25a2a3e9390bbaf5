"""What a protocol parser is given and what it may say.

A parser is one function of one fixed signature::

    @parser
    def parse(data, inspection, facts, outbox, memory) -> int

data        uint8[n]: TCP: while `inspection.start` is 1 the contiguous bytes of one direction, from the stream's first byte or from where the
            parser was done (each call gives all of them again, with more at the end), else the payload of one packet. UDP and the rest:
            one datagram's payload. n may be 0.
inspection  INSPECTION[1]: what is known of the packet and flow, and where the parser writes its answer.
facts       FACTS[1]: what has been learned of the flow; a parser that writes there sets `inspection.learned = 1`.
outbox      TRANSACTION[m]: rows for the dns, tls, http, files tables; use `dpi.classify.wire.rows`. At most ROOM per call.
memory      uint8[PROTOCOL.memory]: private to the flow while it is inspected. At first, and whenever the parser was `idle`, its first CLEAN
            bytes are zero; the others are what another flow left there, to be written before they are read.

It returns NO (not mine: never asked again for this flow), MORE (may be mine: call again with more bytes or the next packet),
MINE (it is this protocol, finished) GOING (it is this protocol, keep calling with more of the stream) or PACKETS
(it is this protocol; keep calling, but with single packets: `inspection.start` is 0 and nothing is buffered; for datagrams the same as
GOING) or INSIDE (it is this protocol, and with the next segment of each side, or the next datagram, another one begins inside
it: SOCKS, HTTP CONNECT, STARTTLS, DTLS behind STUN; what is learned there is added, the protocol stays).
Every byte is hostile: a parser checks each offset against n, bounds each loop, and raises nothing.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any

import numpy as np

from dpi.dataclass import dataclass
from dpi.flow.arena import CLEAN as CLEAN
from dpi.flow.arena import LARGE as LARGE
from dpi.flow.arena import SMALL as SMALL
from dpi.flow.facts import FACTS as FACTS
from dpi.flow.facts import NAME_CERTIFICATE as NAME_CERTIFICATE
from dpi.flow.facts import NAME_DNS as NAME_DNS
from dpi.flow.facts import NAME_HOST as NAME_HOST
from dpi.flow.facts import NAME_NONE as NAME_NONE
from dpi.flow.facts import NAME_SNI as NAME_SNI
from dpi.flow.facts import RISKS as RISKS
from dpi.flow.facts import TRANSACTION as TRANSACTION
from dpi.jit import Entry, entry

NO, MORE, MINE, GOING, PACKETS, INSIDE = 0, 1, 2, 3, 4, 5
CLIENT, SERVER = 0, 1           # inspection.direction: who sent these bytes
ROOM = 32                       # free outbox rows guaranteed at each call
NAMES_MAX = 16                  # addresses one answer can teach

INSPECTION = np.dtype((np.record, [
    ("time", "i8"),             # us
    ("flow", "u8"),             # flow number, copied into transactions
    ("number", "u4"),           # of the packet, as in PACKET
    ("ip_protocol", "u1"),
    ("direction", "u1"),        # CLIENT or SERVER sent `data`
    ("start", "u1"),            # 1: data begins at the stream's first byte (always 1 for datagrams)
    ("final", "u1"),            # 1: no more contiguous bytes can be given (buffer full, stream ended): decide now
    ("midstream", "u1"),        # 1: the flow was picked up after its beginning
    ("packets", "u1"),          # payload packets of this flow seen so far, this one included (saturates)
    ("client_port", "u2"), ("server_port", "u2"),
    ("state", "u4", (8,)),      # private to the protocol, kept per flow while it is inspected
    # ---- answers
    ("protocol", "u2"),         # set to another protocol's number only where one parser names two (TLS/DTLS); else leave
    ("learned", "u1"),          # 1: facts were written
    ("idle", "u1"),             # 1: nothing in `memory` is needed until the next call
    ("done", "u4"),             # leading bytes of `data` that need not be shown again (a stream, and the answer GOING)
    ("outbox", "u4"),           # rows used; advanced by wire.rows
    ("name_count", "u1"),       # addresses in `addresses` that `name` resolves to (DNS answers)
    ("name_length", "u2"),
    ("name", "u1", (256,)),
    ("addresses", "u1", (16 * NAMES_MAX,)),     # 16 bytes each, IPv4 mapped (::ffff:a.b.c.d)
]))

U8 = np.dtype("u1")
ARGUMENTS = (U8, INSPECTION, FACTS, TRANSACTION, U8)


def parser(function: Callable[..., int]) -> Entry:
    """Mark the parser of a protocol file."""
    return entry(*ARGUMENTS)(function)


@dataclass(frozen=True)
class Claim:
    """First bytes that make the dispatcher ask a parser. All given conditions must hold.

    match: (offset, bytes) pairs; a negative offset counts from the end of the data. A '??' in the hex form matches any byte.
    ports: the flow's server or client port must be one of these, where given. length: (min, max) of the data.
    """
    transport: str                                  # "tcp", "udp", "sctp" or "ip:N" (IP protocol N)
    match: tuple[tuple[int, str], ...] = ()         # (offset, "16 03 ??" hex)
    ports: tuple[int, ...] = ()
    length: tuple[int, int] = (1, 65535)
    direction: str = "any"                          # "client", "server", "any"


@dataclass(frozen=True)
class Protocol:
    """What a file under protocols/ declares as PROTOCOL."""
    name: str                                       # spelling of the `protocol` column
    category: str
    source: str                                     # RFC and section, or the public description
    claims: tuple[Claim, ...]
    also: tuple[str, ...] = ()                      # further names this parser can give (inspection.protocol = their number)
    fields: tuple[str, ...] = field(default=())     # columns and tables it fills
    memory: int = 0                                 # bytes: 0, up to SMALL, or up to LARGE
    packet_starts: bytes = b""                      # after PACKETS over TCP: show packets that begin with one of these; none given: all
    port_hints: tuple[str, ...] = ()                # "tcp/443": port-confidence name when nothing else is known
    extra: dict[str, Any] = field(default_factory=dict)
