"""What the rules would say of a name, an address, a port or first bytes, and why: the answers of `fullspan rules explain`."""
from __future__ import annotations

import ipaddress
import re
from typing import Any

import numpy as np

from dpi.classify.inspection import CLIENT, FACTS, GOING, INSPECTION, MINE, MORE, NAME_CERTIFICATE, NO, ROOM, SERVER, TRANSACTION, U8
from dpi.classify.names import agent_reason, name_reason
from dpi.classify.networks import network_reason
from dpi.classify.ports import TRANSPORTS, port_reason
from dpi.classify.signatures import find_row
from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.jit import records
from dpi.rules import RuleSet

_PORT = re.compile(r"(tcp|udp|sctp)/(\d{1,5})")
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_])?\.?")
_ROWS_SHOWN = 16


@dataclass(frozen=True)
class Answer:
    """One thing a rule says. Empty texts where it says nothing of that."""
    asked: str              # how the question was taken: "server name", "network", "port", "first bytes over udp", ...
    protocol: str
    application: str
    category: str
    confidence: str
    evidence: str


def explain(rules: RuleSet, question: str, *, ports: tuple[int, int] = (50000, 0), direction: int = CLIENT, transport: str = "") -> list[Answer]:
    """Answers for a question such as example.com, 1.2.3.4, udp/3478, hex:160301..., text:GET, agent:..., alpn:..., certificate:...

    ports: (client, server); direction: CLIENT or SERVER sent the bytes; transport: "tcp", "udp", "sctp" or "ip:N" for bytes, both of the first
    two where empty. Raises UserError where the question is not understood.
    """
    sort, colon, rest = question.partition(":")
    if colon and sort == "hex":
        digits = re.sub(r"[\s:.]", "", rest)
        if not re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", digits):
            raise UserError(f"'{rest}' is no hex", "rules explain", "write pairs of hex digits, such as hex:16030100")
        return _bytes(rules, bytes.fromhex(digits), ports, direction, transport)
    if colon and sort == "text":
        return _bytes(rules, rest.encode(), ports, direction, transport)
    if colon and sort in ("agent", "alpn", "certificate"):
        data = np.frombuffer(rest.encode() or b"\0", np.uint8).copy()
        if sort == "agent":
            return [_answer(rules, "user agent", agent_reason(data, 0, data.size, rules.agents, rules.agent_bytes))]
        table = rules.alpns if sort == "alpn" else rules.certificate_names
        return [_answer(rules, "ALPN" if sort == "alpn" else "certificate name", name_reason(data, 0, data.size, table))]
    port = _PORT.fullmatch(question)
    if port and int(port.group(2)) <= 65535:
        return [_answer(rules, "port", port_reason(TRANSPORTS[port.group(1)], int(port.group(2)), rules.ports))]
    try:
        address = ipaddress.ip_address(question)
    except ValueError:
        pass
    else:
        packed = bytes(10) + b"\xff\xff" + address.packed if address.version == 4 else address.packed
        return [_answer(rules, "network", network_reason(np.frombuffer(packed, np.uint8).copy(), 0, rules.networks4, rules.networks6))]
    try:
        name = question if question.isascii() else question.encode("idna").decode()
    except UnicodeError:
        name = ""
    if not _NAME.fullmatch(name):
        raise UserError(f"'{question}' is not understood", "rules explain",
                        "ask for a name, an address, tcp/443, hex:1603..., text:..., agent:..., alpn:... or certificate:...")
    data = np.frombuffer(name.encode(), np.uint8).copy()
    reason = name_reason(data, 0, data.size, rules.names)
    answers = [_answer(rules, "server name", reason)]
    if reason:
        answers.append(_answer(rules, "DNS answer", int(rules.reason_dns[reason])))
    certificate = name_reason(data, 0, data.size, rules.certificate_names)
    return [*answers, _answer(rules, "certificate name", certificate)] if certificate else answers


def _answer(rules: RuleSet, asked: str, reason: int, note: str = "") -> Answer:
    one = rules.reasons[reason]
    return Answer(asked, rules.protocols[one.protocol], rules.applications[one.application],
                  rules.categories[one.application] or rules.protocol_categories[one.protocol], one.confidence,
                  (one.words or "no rule") + note)


def _bytes(rules: RuleSet, content: bytes, ports: tuple[int, int], direction: int, transport: str) -> list[Answer]:
    answers: list[Answer] = []
    for sort in [transport] if transport else ["tcp", "udp"]:
        asked = f"first bytes over {sort}"
        inspection = records(1, INSPECTION)
        x = inspection[0]
        x.ip_protocol = _transport(sort)
        x.direction, x.start, x.packets = direction, 1, 1
        x.client_port, x.server_port = ports
        data = np.frombuffer(content or b"\0", np.uint8).copy()[:len(content)]
        found, row = 0, -1
        while found < _ROWS_SHOWN:
            row = find_row(data, inspection, rules.rows, rules.pieces, rules.pattern_bytes, rules.buckets, row)
            if row < 0:
                break
            found += 1
            one = rules.rows[row]
            reason = int(one.reason)
            if one.parser:
                answer, said = _ask(rules, int(one.parser), data, inspection, asked)
                answers += said
                if answer in (NO, MORE):
                    continue
                break
            note = f"; must hold for the first {one.packets} packets" if one.packets > 1 else ""
            answers.append(_answer(rules, asked, reason, note))
            if one.packets == 1:
                break
        if not found:
            answers.append(_answer(rules, asked, 0))
    return answers


def _transport(sort: str) -> int:
    from dpi.classify.stanzas import transport_number

    number = transport_number(sort)
    if number < 0:
        raise UserError(f"transport '{sort}' is unknown", "rules explain", 'write tcp, udp, sctp or ip:N')
    return number


def _ask(rules: RuleSet, parser: int, data: Any, inspection: Any, asked: str) -> tuple[int, list[Answer]]:
    """Let a parser look at the bytes: its answer, and what is named by it and by the name it found."""
    facts, outbox = records(1, FACTS), records(2 * ROOM, TRANSACTION)
    x = inspection[0]
    x.protocol = x.outbox = x.learned = 0
    x.state[:] = 0
    x.done = x.idle = 0
    memory = np.zeros(int(rules.parser_memory[parser]), U8)
    answer = rules.parsers[parser - 1](data, inspection, facts, outbox, memory)
    number = int(rules.parser_reason[parser])
    if x.protocol and x.protocol <= 16:
        number = int(rules.parser_also_reason[parser * 16 + int(x.protocol) - 1])
    if answer == NO:
        return answer, []
    note = {MORE: "; may be, wants more", MINE: "", GOING: "; wants to see what follows"}.get(answer, "; wants to see the packets that follow")
    answers = [_answer(rules, asked, number, note)]
    fact = facts[0]
    if fact.server_name_length:
        table = rules.certificate_names if fact.name_source == NAME_CERTIFICATE else rules.names
        name = np.array(fact.server_name[:int(fact.server_name_length)], np.uint8)
        answers.append(_answer(rules, f"name {name.tobytes().decode('ascii', 'replace')}", name_reason(name, 0, name.size, table)))
    return answer, answers


DIRECTIONS = {"client": CLIENT, "server": SERVER}
