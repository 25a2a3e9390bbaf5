"""What a protocol parser is given and what it may say.

A parser is one function of one fixed signature::

    @parser
    def parse(data, inspection, facts, outbox, memory) -> int

data        uint8[n]: TCP: the contiguous bytes of one direction, from the stream's first byte while `inspection.start` is 1 (each call gives
            all of them again, with more at the end), else the payload of one packet. UDP and the rest: one datagram's payload. n may be 0.
inspection  INSPECTION[1]: what is known of the packet and flow, and where the parser writes its answer.
facts       FACTS[1]: what has been learned of the flow; a parser that writes there sets `inspection.learned = 1`.
outbox      TRANSACTION[m]: rows for the dns, tls, http, files tables; use `dpi.classify.wire.rows`. At most ROOM per call.
memory      uint8[MEMORY]: private to the flow while it is inspected, zeroed at first, only if the protocol declares `memory=True`,
            else of length 0.

It returns NO (not mine: never asked again for this flow), MORE (may be mine: call again with more bytes or the next packet),
MINE (it is this protocol, finished) or GOING (it is this protocol, keep calling). Every byte is hostile: a parser checks each offset
against n, bounds each loop, and raises nothing.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dpi.jit import Entry, entry

NO, MORE, MINE, GOING = 0, 1, 2, 3
CLIENT, SERVER = 0, 1           # inspection.direction: who sent these bytes
ROOM = 32                       # free outbox rows guaranteed at each call
MEMORY = 8192
NAMES_MAX = 16                  # addresses one answer can teach

INSPECTION = np.dtype((np.record, [
    ("time", "i8"),             # us
    ("flow", "u8"),             # flow number, copied into transactions
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
    ("outbox", "u4"),           # rows used; advanced by wire.rows
    ("name_count", "u1"),       # addresses in `addresses` that `name` resolves to (DNS answers)
    ("name_length", "u2"),
    ("name", "u1", (256,)),
    ("addresses", "u1", (16 * NAMES_MAX,)),     # 16 bytes each, IPv4 mapped (::ffff:a.b.c.d)
]))

#: Sources of FACTS.server_name, in rising order of trust
NAME_NONE, NAME_DNS, NAME_CERTIFICATE, NAME_HOST, NAME_SNI = 0, 1, 2, 3, 4

#: What is known of one flow beyond counters. 768 bytes.
FACTS = np.dtype((np.record, [
    ("server_name", "u1", (256,)),
    ("user_agent", "u1", (176,)),
    ("alpn", "u1", (32,)),              # the first offered, or the one chosen
    ("ja4_all", "u1", (36 * 6,)),       # every distinct client hello's JA4; the first is `ja4`
    ("ja3", "u1", (16,)), ("ja3s", "u1", (16,)),        # MD5 digests, raw
    ("risks", "u8"),                    # bit i: RISKS[i]
    ("handshake_time", "i8"),
    ("server_name_length", "u2"),
    ("user_agent_length", "u1"),
    ("alpn_length", "u1"),
    ("ja4_count", "u1"),
    ("ja4_missed", "u1"),               # distinct hellos beyond the six kept
    ("has_ja3", "u1"), ("has_ja3s", "u1"),
    ("name_source", "u1"),              # NAME_*
    ("tls_version", "u2"),              # as on the wire (0x0303)
    ("hint", "u2"),                     # application number a parser may propose (0 = none)
    ("pad", "u1", (27,)),
]))
assert FACTS.itemsize == 768, FACTS.itemsize

RISKS = ("clear_text_credentials", "obsolete_tls", "weak_cipher", "self_signed_certificate", "expired_certificate", "name_mismatch",
         "suspicious_dns", "http_suspicious_agent", "binary_transfer", "known_protocol_on_other_port")

#: One row of dns, tls, http or files on its way out. 1024 bytes. The columns of each table are declared in dpi/schema.py.
TRANSACTION = np.dtype((np.record, [
    ("table", "u1"),                    # index in dpi.schema.TRANSACTION_TABLES, from 1
    ("direction", "u1"),
    ("texts", "u1"),                    # text fields ended so far
    ("pad", "u1", (5,)),
    ("flow", "u8"),
    ("time", "i8"),
    ("numbers", "i8", (12,)),
    ("ends", "u2", (12,)),              # end of text field k inside `text`
    ("text", "u1", (880,)),
]))
assert TRANSACTION.itemsize == 1024, TRANSACTION.itemsize

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
    memory: bool = False
    port_hints: tuple[str, ...] = ()                # "tcp/443": port-confidence name when nothing else is known
    extra: dict[str, Any] = field(default_factory=dict)
