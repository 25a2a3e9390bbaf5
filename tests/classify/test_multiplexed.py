"""DTLS in a flow that STUN opened (RFC 7983), through the whole engine."""
from __future__ import annotations

import struct
from typing import Any

from tests.classify.protocols.test_calls import message
from tests.classify.protocols.test_dtls import HELLO, fragment, record
from tests.flow.test_flows import Frame, engine
from tests.hostile.samples import ether, ip4, udp

ENDS = (bytes((10, 0, 0, 1)), bytes((198, 51, 100, 7)))
ASK, ANSWER = message(1, (6, b"user")), message(0x0101, (0x20, b"\0\1\1\2\3\4\5\6"))
DTLS = record(fragment(HELLO.message(), 0))
MEDIA = struct.pack(">BBHII", 0x80, 111, 1, 1, 7) + bytes(40)


def told(*sent: tuple[bool, bytes]) -> dict[str, Any]:
    """The row of one flow of datagrams (from the server?, payload)."""
    frames = []
    for k, (back, payload) in enumerate(sent):
        ports = (4000, 40000) if back else (40000, 4000)
        data = ether(0x0800, ip4(17, udp(*ports, payload), (ENDS[1], ENDS[0]) if back else ENDS))
        frames.append(Frame(10**15 + k * 1000, data, len(data)))
    row, = engine(frames, [4], flows=64)[0]
    return row


def test_the_hello_behind_an_answered_binding_is_read() -> None:
    row = told((False, ASK), (True, ANSWER), (False, DTLS), (True, ASK), (False, ANSWER), (False, MEDIA))
    assert (row["protocol"], row["server_name"], row["alpn"], row["ja4"]) == ("STUN", "turn.example", "webrtc", HELLO.ja4("d"))


def test_media_instead_changes_nothing() -> None:
    row = told((False, ASK), (True, ANSWER), *[(k % 2 == 1, MEDIA) for k in range(20)], (False, ASK))
    assert (row["protocol"], row["ja4"], row["server_name"]) == ("STUN", "", "")
    assert told((False, ASK), (True, ASK))["protocol"] == "STUN"
