"""Stanzas and protocol files become numbers and tables: what `dpi.rules` keeps in its cache and the kernels read."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any

import numpy as np

from dpi.classify import names, networks, signature_table
from dpi.classify.inspection import Claim
from dpi.classify.registry import ALSO_MAX, Parser
from dpi.classify.signature_table import LENGTH_MAX, Piece, Signature
from dpi.classify.signatures import ANY, BYTES, FROM_END
from dpi.classify.stanzas import Place, Stanza, pattern, transport_number
from dpi.classify.verdict import (
    AGENT,
    ALPN,
    CERTIFICATE_UNDER,
    CERTIFICATE_WHOLE,
    DNS,
    DNS_UNDER,
    DNS_WHOLE,
    FIRST_BYTES,
    IP_PROTOCOL,
    NAME,
    NETWORK,
    NUMBER,
    PARSED,
    PAYLOAD,
    PORT,
    PREFIX,
    REASON,
    UNDER,
    WHOLE,
)
from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.jit import records

#: Protocols that carry applications ('' is a flow without one): an address may tell which. A protocol file adds itself with extra={"carrier": True}.
CARRIERS = frozenset(("", "TLS", "DTLS", "QUIC", "HTTP", "HTTP2", "WebSocket", "STUN", "RTP", "RTCP", "RTMP", "SOCKS"))
BY_PORT, BY_NETWORK = 1, 2          # bits of `carriers`
LIGHT = 16                          # bits under which a row is told to be too light


@dataclass
class Rulebook:
    """Everything compiled. `lists` hold texts, `arrays` the kernels' tables (names as in RuleSet)."""
    lists: dict[str, list[str]]
    arrays: dict[str, Any]


@dataclass
class _Compiler:
    protocols: dict[str, int] = field(default_factory=lambda: {"": 0})
    protocol_categories: list[str] = field(default_factory=lambda: [""])
    applications: dict[str, int] = field(default_factory=lambda: {"": 0})
    categories: list[str] = field(default_factory=lambda: [""])
    first: dict[str, Stanza] = field(default_factory=dict)      # folded "kind name" -> the first stanza
    reasons: list[tuple[int, int, int, int, int, int, int]] = field(default_factory=lambda: [(0, 0, 0, 0, 0, 0, 0)])
    dns: list[int] = field(default_factory=lambda: [0])
    values: dict[str, int] = field(default_factory=lambda: {"": 0})
    files: dict[str, int] = field(default_factory=lambda: {"": 0})
    notes: list[str] = field(default_factory=list)
    rows: list[Signature] = field(default_factory=list)
    port_rows: list[tuple[int, int, int, int, int]] = field(default_factory=list)       # layer, IP protocol, first, last, reason
    port_owner: dict[tuple[int, int, int], tuple[tuple[int, int], str]] = field(default_factory=dict)
    claimed: dict[tuple[str, str], tuple[int, tuple[int, int], Place, int]] = field(default_factory=dict)
    tables: dict[str, dict[Any, int]] = field(default_factory=lambda: {key: {} for key in (
        "names", "names=", "certificates", "certificates=", "alpn", "agents", "networks")})

    # ---- numbers

    def protocol(self, name: str, category: str) -> int:
        number = self.protocols.setdefault(name, len(self.protocols))
        if number == len(self.protocol_categories):
            self.protocol_categories.append(category)
        elif not self.protocol_categories[number]:
            self.protocol_categories[number] = category
        return number

    def application(self, name: str, category: str) -> int:
        number = self.applications.setdefault(name, len(self.applications))
        if number == len(self.categories):
            self.categories.append(category)
        return number

    def reason(self, protocol: int, application: int, confidence: int, kind: int, value: str, file: str, line: int) -> int:
        self.reasons.append((protocol, application, confidence, kind, self.values.setdefault(value, len(self.values)),
                             self.files.setdefault(file, len(self.files)), line))
        self.dns.append(0)
        return len(self.reasons) - 1

    # ---- protocol files

    def parser(self, number: int, parser: Parser, arrays: dict[str, Any]) -> None:
        declared = parser.protocol
        for k, name in enumerate((declared.name, *declared.also)):
            wire, _, known = name.partition(".")         # "STUN.WhatsAppCall": protocol and application
            protocol = self.protocol(wire, declared.category)
            reason = self.reason(protocol, self.application(known, declared.category), PAYLOAD, PARSED, wire, declared.source or parser.file, 0)
            at, also = (number * ALSO_MAX + k - 1, "also") if k else (number, "protocol")
            arrays[f"parser_{also}"][at] = protocol
            arrays["parser_also_reason" if k else "parser_reason"][at] = reason
        arrays["parser_memory"][number] = declared.memory
        arrays["parser_starts"][number * 256:number * 256 + 256] = [not declared.packet_starts or byte in declared.packet_starts for byte in range(256)]
        for claim in declared.claims:
            self.rows.append(_claimed(claim, parser.file, number, int(arrays["parser_reason"][number])))
        for hint in declared.port_hints:
            transport, _, span = hint.partition("/")
            low, _, high = span.partition("-")
            reason = self.reason(self.protocols[declared.name], 0, PORT, NUMBER, hint, parser.file, 0)
            self.port_rows.append((-1, transport_number(transport), int(low), int(high or low), reason))

    # ---- stanzas

    def stanza(self, stanza: Stanza, layer: int) -> None:
        folded = f"{stanza.kind} {stanza.name.lower()}"
        first = self.first.setdefault(folded, stanza)
        if first.name != stanza.name:
            raise UserError(f"'{stanza.name}' is spelled otherwise elsewhere", str(stanza.place), f"write '{first.name}' as {first.place} does")
        if first.category != stanza.category:
            raise UserError(f"'{stanza.name}' has category '{stanza.category}' here and '{first.category}' at {first.place}", str(stanza.place),
                            "give both the same category, or another name")
        if stanza.kind == "protocol":
            protocol, application = self.protocol(stanza.name, stanza.category), 0
            known = self.protocol_categories[protocol]
            if known != stanza.category:
                self.notes.append(f"{stanza.place}: {stanza.name} has category '{known}' in its protocol file; '{stanza.category}' is not used")
        else:
            protocol, application = 0, self.application(stanza.name, stanza.category)
        for name, place in stanza.names:
            self.name(name, place, layer, protocol, application)
        for name, place in stanza.certificates:
            self.certificate(name, place, layer, protocol, application)
        for table, kind, found in (("agents", AGENT, stanza.user_agents), ("alpn", ALPN, stanza.alpn)):
            for value, place in found:
                reason = self.reason(protocol, application, NAME, kind, value, place.file, place.line)
                self.claim(table, value, reason, place, layer, (protocol, application))
        for network, place in stanza.networks:
            reason = self.reason(protocol, application, NETWORK, PREFIX, str(network), place.file, place.line)
            self.claim("networks", network, reason, place, layer, (protocol, application))
        spoken = protocol
        if stanza.protocol:
            if stanza.protocol not in self.protocols:
                self.notes.append(f"{stanza.place}: protocol '{stanza.protocol}' has neither a protocol file nor a [[protocol]] stanza")
            spoken = self.protocol(stanza.protocol, "")
        for (number, low, high), place in stanza.ports:
            value = f"{ {6: 'tcp', 17: 'udp', 132: 'sctp'}[number]}/{low}" + (f"-{high}" if high > low else "")
            reason = self.reason(spoken, application, PORT, NUMBER, value, place.file, place.line)
            owner = self.port_owner.setdefault((number, low, high), ((protocol, application), str(place)))
            if owner[0] != (protocol, application) and layer == 0:
                self.notes.append(f"{place}: {value} is also claimed at {owner[1]}; the later one is used")
            self.port_rows.append((layer, number, low, high, reason))
        for signature, place in stanza.signatures:
            bare = not signature.pieces and signature.lengths == ((0, LENGTH_MAX),)
            if not bare and signature.weight() < LIGHT:
                self.notes.append(f"{place}: this row of {stanza.name} pins little and will fit other traffic; add bytes, a port or a length")
            reason = self.reason(spoken, application, PAYLOAD, IP_PROTOCOL if bare else FIRST_BYTES, str(signature.ip_protocol) if bare else "",
                                 place.file, place.line)
            self.rows.append(Signature(signature.ip_protocol, signature.direction, signature.ports, signature.lengths, signature.pieces,
                                       signature.packets, reason))

    def name(self, name: str, place: Place, layer: int, protocol: int, application: int) -> None:
        whole, text = name.startswith("="), name.removeprefix("=")
        reason = self.reason(protocol, application, NAME, WHOLE if whole else UNDER, text, place.file, place.line)
        self.dns[reason] = self.reason(protocol, application, DNS, DNS_WHOLE if whole else DNS_UNDER, text, place.file, place.line)
        self.claim("names=" if whole else "names", text, reason, place, layer, (protocol, application))
        self.certificate(name, place, layer, protocol, application)

    def certificate(self, name: str, place: Place, layer: int, protocol: int, application: int) -> None:
        whole, text = name.startswith("="), name.removeprefix("=")
        reason = self.reason(protocol, application, NAME, CERTIFICATE_WHOLE if whole else CERTIFICATE_UNDER, text, place.file, place.line)
        self.claim("certificates=" if whole else "certificates", text, reason, place, layer, (protocol, application))

    def claim(self, table: str, value: Any, reason: int, place: Place, layer: int, owner: tuple[int, int]) -> None:
        """Give `value` to `reason`. A later directory overrides an earlier one; two owners in one directory are an error."""
        key = (table, str(value))
        before = self.claimed.get(key)
        if before is not None and before[0] == layer:
            if before[1] == owner:
                return
            raise UserError(f"'{value}' is claimed twice", str(place), f"{before[2]} has it for another; keep one of them")
        self.claimed[key] = (layer, owner, place, reason)
        self.tables[table][value] = reason


def _claimed(claim: Claim, file: str, parser: int, reason: int) -> Signature:
    number = transport_number(claim.transport)
    pieces = []
    for at, text in claim.match:
        value, mask = pattern(text)
        if not value:
            raise ValueError(f"{file}: claim {text!r} is no hex")
        pieces.append(Piece(FROM_END, -at, value, mask) if at < 0 else Piece(BYTES, at, value, mask))
    if number < 0 or claim.direction not in ("client", "server", "any"):
        raise ValueError(f"{file}: claim {claim} is not understood")
    return Signature(number, {"client": 0, "server": 1, "any": ANY}[claim.direction], tuple((port, port) for port in claim.ports),
                     (claim.length,), tuple(pieces), 1, reason, parser)


def compile_rules(layers: Sequence[Sequence[Stanza]], parsers: Sequence[Parser], errors: list[UserError] | None = None) -> Rulebook:
    """All tables. layers: the stanzas of each rules directory, later ones override.

    Raises UserError where stanzas contradict each other; with `errors` they are put there and the rest is still compiled.
    """
    compiler = _Compiler()
    count = len(parsers) + 1
    wide = count * ALSO_MAX
    arrays: dict[str, Any] = {
        "parser_protocol": np.zeros(count, np.uint16), "parser_reason": np.zeros(count, np.uint32), "parser_memory": np.zeros(count, np.uint16),
        "parser_starts": np.zeros(count * 256, np.uint8),
        "parser_also": np.zeros(wide, np.uint16), "parser_also_reason": np.zeros(wide, np.uint32)}
    for number, parser in enumerate(parsers, 1):
        compiler.parser(number, parser, arrays)
    carrying = {one.protocol.name for one in parsers if one.protocol.extra.get("carrier")}
    for stanza in (one for stanzas in layers for one in stanzas if one.kind == "protocol"):
        compiler.protocol(stanza.name, stanza.category)
    for layer, stanzas in enumerate(layers):
        for stanza in stanzas:
            try:
                compiler.stanza(stanza, layer)
            except UserError as error:
                if errors is None:
                    raise
                errors.append(error)
    tables = compiler.tables
    arrays["carriers"] = np.array([BY_PORT | BY_NETWORK if name in CARRIERS or name in carrying else 0 for name in compiler.protocols], np.uint8)
    arrays["rows"], arrays["pieces"], arrays["pattern_bytes"], arrays["buckets"] = signature_table.table(compiler.rows)
    arrays["names"] = names.table(tables["names"], tables["names="])
    arrays["certificate_names"] = names.table(tables["certificates"], tables["certificates="])
    arrays["alpns"] = names.table({}, tables["alpn"])
    arrays["agents"], arrays["agent_bytes"] = names.agent_table(tables["agents"])
    arrays["networks4"], arrays["networks6"] = networks.tables(tables["networks"])
    # a narrower range lies over a wider one, rules over protocol files, a later directory over an earlier one
    laid = sorted(compiler.port_rows, key=lambda row: (row[0], row[2] - row[3]))
    arrays["port_ranges"] = np.array([row[1:] for row in laid], np.uint32).reshape(-1)
    reasons = np.array(compiler.reasons, np.uint32).reshape(-1, 7)
    table = records(len(reasons), REASON)
    table["protocol"], table["application"], table["confidence"] = reasons[:, 0], reasons[:, 1], reasons[:, 2]
    arrays["reason_table"] = table
    for column, key in ((3, "reason_kind"), (4, "reason_value"), (5, "reason_file"), (6, "reason_line")):
        arrays[key] = np.ascontiguousarray(reasons[:, column])
    arrays["reason_dns"] = np.array(compiler.dns, np.uint32)
    lists = {"protocols": list(compiler.protocols), "protocol_categories": compiler.protocol_categories,
             "applications": list(compiler.applications), "categories": compiler.categories,
             "values": list(compiler.values), "files": list(compiler.files), "notes": compiler.notes,
             "parsers": [one.parse.label for one in parsers]}
    return Rulebook(lists, arrays)
