"""Rule files: TOML stanzas read and checked, each value with the file and line it came from. See docs/rules.md for the format."""
from __future__ import annotations

import difflib
import ipaddress
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dpi.classify.networks import Network
from dpi.classify.ports import TRANSPORTS
from dpi.classify.signature_table import LENGTH_MAX, Piece, Signature
from dpi.classify.signatures import ANY, BYTES, FIELD, FIELD_LEAST, FIND, FROM_END
from dpi.errors import UserError

STANZA_KEYS = ("name", "category", "names", "user_agents", "alpn", "networks", "ports", "certificates", "protocol", "source", "bytes")
BYTES_KEYS = ("transport", "direction", "ports", "length", "match", "length_field", "packets")
MATCH_KEYS = ("at", "hex", "text", "find", "nocase", "within")
FIELD_KEYS = ("at", "size", "order", "add", "min")
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_])?")
_CATEGORY = re.compile(r"[a-z][a-z0-9_-]*")
_PORTS = re.compile(r"(tcp|udp|sctp)/(\d{1,5})(?:-(\d{1,5}))?")
_NIBBLES = re.compile(r"(?:[0-9a-f?]{2})+")
_HEADER = re.compile(r"\s*\[\[\s*(application|protocol)\s*(\.\s*bytes\s*)?\]\]")

T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """Where something stands: the file as shown to people, the line."""
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass
class Stanza:
    """One [[application]] or [[protocol]]; values keep their places."""
    kind: str                                   # "application" or "protocol"
    name: str
    category: str
    place: Place
    source: str = ""
    protocol: str = ""
    names: list[tuple[str, Place]] = field(default_factory=list)            # lower case; a leading '=': the whole name only
    certificates: list[tuple[str, Place]] = field(default_factory=list)
    user_agents: list[tuple[str, Place]] = field(default_factory=list)
    alpn: list[tuple[str, Place]] = field(default_factory=list)
    networks: list[tuple[Network, Place]] = field(default_factory=list)
    ports: list[tuple[tuple[int, int, int], Place]] = field(default_factory=list)      # IP protocol, first, last
    signatures: list[tuple[Signature, Place]] = field(default_factory=list)


@dataclass
class Reader:
    """Reads one file; remembers the lines of the stanza at hand so that errors point at them."""
    file: str
    text: str
    lines: list[str] = field(init=False)
    first: int = 1                              # lines of the stanza (or its bytes table) being read, 1-based
    last: int = 1

    def __post_init__(self) -> None:
        self.lines = self.text.splitlines()

    # ---- places and errors

    def place(self, word: str = "") -> Place:
        """The line inside the stanza that holds `word`, else the stanza's first line."""
        if word:
            for line in range(self.first, self.last + 1):
                if word in self.lines[line - 1].partition("#")[0] or word in self.lines[line - 1]:
                    return Place(self.file, line)
        return Place(self.file, self.first)

    def wrong(self, what: str, mend: str, word: str = "") -> UserError:
        return UserError(what, str(self.place(word)), mend)

    def keys(self, given: dict[str, Any], known: tuple[str, ...], what: str) -> None:
        for key in given:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                raise self.wrong(f"{what} knows no key '{key}'", f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}", key)

    def typed(self, given: dict[str, Any], key: str, kind: type[T], default: T | None = None) -> T:
        value = given.get(key, default)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            words = {str: "a text", int: "a whole number", bool: "true or false", list: "a list", dict: "a table { ... }"}[kind]
            raise self.wrong(f"'{key}' must be {words}" if key in given else f"'{key}' is missing", f"write {key} = ... as docs/rules.md shows", key)
        return value

    def texts(self, given: dict[str, Any], key: str) -> list[tuple[str, Place]]:
        found: list[tuple[str, Place]] = []
        for value in self.typed(given, key, list, []):
            if not isinstance(value, str) or not value:
                raise self.wrong(f"'{key}' holds {value!r}", f"write a list of texts: {key} = [\"...\"]", key)
            found.append((value, self.place(f'"{value}"')))
        return found

    # ---- the file

    def stanzas(self, errors: list[UserError] | None = None) -> list[Stanza]:
        """Every stanza of the file. Raises UserError naming file, line and the fix; with `errors` those of single stanzas are put there instead."""
        try:
            document = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            line = re.search(r"at line (\d+)", str(error))
            what = re.sub(r" \(at .*\)$", "", str(error))
            raise UserError(f"not TOML: {what[:1].lower()}{what[1:]}", f"{self.file}:{line.group(1) if line else len(self.lines)}",
                            "mend the line; docs/rules.md shows the format") from None
        for key in document:
            if key not in ("application", "protocol"):
                self.first, self.last = 1, len(self.lines)
                raise self.wrong(f"a rule file holds no '{key}'", "put the file into a directory tags/ beside it" if key == "tag" else
                                 "stanzas begin with [[application]] or [[protocol]]", key)
        heads: dict[str, list[tuple[int, list[int]]]] = {"application": [], "protocol": []}
        edges = []
        for number, text in enumerate(self.lines, 1):
            header = _HEADER.match(text)
            if header:
                edges.append(number)
                if not header.group(2):
                    heads[header.group(1)].append((number, []))
                elif heads[header.group(1)]:
                    heads[header.group(1)][-1][1].append(number)
        edges.append(len(self.lines) + 1)
        after = dict(zip(edges, edges[1:], strict=False))
        found = []
        for kind, starts in heads.items():
            given = document.get(kind, [])
            if not isinstance(given, list) or len(given) != len(starts):
                self.first, self.last = 1, len(self.lines)
                raise self.wrong(f"'{kind}' must be written as stanzas", f"begin each with a line [[{kind}]]", kind)
            for table, (begin, rows) in zip(given, starts, strict=True):
                try:
                    found.append(self.stanza(kind, table, begin, rows, after))
                except UserError as error:
                    if errors is None:
                        raise
                    errors.append(error)
        return sorted(found, key=lambda stanza: stanza.place.line)

    def stanza(self, kind: str, given: dict[str, Any], line: int, rows: list[int], after: dict[int, int]) -> Stanza:
        self.first, self.last = line, after[line] - 1
        self.keys(given, STANZA_KEYS, f"[[{kind}]]")
        name = self.typed(given, "name", str).strip()
        category = self.typed(given, "category", str)
        if not name or len(name.encode()) > 64 or not name.isprintable():
            raise self.wrong(f"the name {name!r} can't be shown", "1 to 64 printable characters", "name")
        if not _CATEGORY.fullmatch(category):
            raise self.wrong(f"the category '{category}' is not a plain word", "lower-case letters, digits, '-' and '_'", "category")
        stanza = Stanza(kind, name, category, Place(self.file, line), self.typed(given, "source", str, ""), self.typed(given, "protocol", str, ""))
        if kind == "protocol" and stanza.protocol:
            raise self.wrong("'protocol' belongs to [[application]]", "remove it: the stanza itself is the protocol", "protocol")
        stanza.names = [(self.name(value, place), place) for value, place in self.texts(given, "names")]
        stanza.certificates = [(self.name(value, place), place) for value, place in self.texts(given, "certificates")]
        stanza.user_agents = self.texts(given, "user_agents")
        for value, place in stanza.user_agents:
            if len(value) < 3:
                raise UserError(f"the user agent part '{value}' is too short", str(place), "give at least 3 characters that nothing else has")
        stanza.alpn = [(value.lower(), place) for value, place in self.texts(given, "alpn")]
        stanza.networks = [(self.network(value, place), place) for value, place in self.texts(given, "networks")]
        stanza.ports = [(self.port(value, place), place) for value, place in self.texts(given, "ports")]
        tables = self.typed(given, "bytes", list, [])
        if len(tables) != len(rows):
            raise self.wrong("'bytes' must be written as tables", f"begin each row with a line [[{kind}.bytes]]", "bytes")
        for table, row in zip(tables, rows, strict=True):
            self.first, self.last = row, after[row] - 1
            stanza.signatures.append((self.signature(table), Place(self.file, row)))
        if not (stanza.names or stanza.certificates or stanza.user_agents or stanza.alpn or stanza.networks or stanza.ports or stanza.signatures):
            self.first = self.last = line
            raise self.wrong(f"nothing says how to know {name}", "give names, networks, ports, user_agents, alpn, certificates or bytes")
        return stanza

    # ---- single values

    def name(self, value: str, place: Place) -> str:
        whole = value.startswith("=")
        text = value[1:] if whole else value
        if text.startswith(("*.", ".")):
            raise UserError(f"'{value}' begins with a wildcard", str(place), f"write '{text.lstrip('*.')}': it covers every name under it")
        if not text.isascii():
            try:
                text = text.encode("idna").decode()
            except UnicodeError:
                raise UserError(f"'{value}' is no domain name", str(place), "write the name as DNS holds it (xn--...)") from None
        text = text.lower()
        if not _NAME.fullmatch(text) or ".." in text:
            raise UserError(f"'{value}' is no domain name", str(place), "write letters, digits, '-', '_' and '.', such as 'example.com'")
        return f"={text}" if whole else text

    def network(self, value: str, place: Place) -> Network:
        try:
            network = ipaddress.ip_network(value, strict=False)
        except ValueError:
            raise UserError(f"'{value}' is no network", str(place), "write a prefix such as 203.0.113.0/24 or 2001:db8::/32") from None
        if ipaddress.ip_interface(value).ip != network.network_address:
            raise UserError(f"'{value}' has bits beyond its prefix", str(place), f"write {network}")
        if network.version == 6 and network.network_address.ipv4_mapped:
            raise UserError(f"'{value}' is IPv4 inside IPv6", str(place), "write the IPv4 prefix itself")
        return network

    def port(self, value: str, place: Place) -> tuple[int, int, int]:
        parts = _PORTS.fullmatch(value)
        low, high = (int(parts.group(2)), int(parts.group(3) or parts.group(2))) if parts else (0, 0)
        if not parts or not 0 < low <= high <= 65535:
            raise UserError(f"'{value}' is no port", str(place), "write tcp/N, udp/N, sctp/N or a range such as udp/16000-16010")
        return TRANSPORTS[parts.group(1)], low, high

    # ---- bytes rows

    def signature(self, given: dict[str, Any]) -> Signature:
        if not isinstance(given, dict):
            raise self.wrong("a bytes row is a table", "begin it with [[application.bytes]]")
        self.keys(given, BYTES_KEYS, "a bytes row")
        transport = self.typed(given, "transport", str)
        number = transport_number(transport)
        if number < 0:
            raise self.wrong(f"transport '{transport}' is unknown", 'write "tcp", "udp", "sctp" or "ip:N" with N from 0 to 255', "transport")
        direction = self.typed(given, "direction", str, "any")
        if direction not in ("client", "server", "any"):
            raise self.wrong(f"direction '{direction}' is unknown", 'write "client", "server" or "any"', "direction")
        packets = self.typed(given, "packets", int, 1)
        if not 1 <= packets <= 8:
            raise self.wrong(f"packets = {packets} is out of range", "1 to 8", "packets")
        if packets > 1 and direction == "server":
            raise self.wrong("a row of several packets can't begin with the server", "leave direction out, or packets", "packets")
        pieces = [self.piece(one) for one in self.typed(given, "match", list, [])]
        if "length_field" in given:
            pieces.append(self.length_field(self.typed(given, "length_field", dict)))
        bare = transport.startswith("ip:")
        if not pieces and "length" not in given and not bare:
            raise self.wrong("the row pins no byte and no length", "give match, length or length_field (ports alone belong in `ports` of the stanza)")
        lengths = self.lengths(given["length"]) if "length" in given else ((0 if bare else 1, LENGTH_MAX),)
        if max(high for _, high in lengths) < max((piece.needs() for piece in pieces), default=0):
            raise self.wrong("no data of this length can hold what is matched", "raise `length` or move the match", "length")
        return Signature(number, {"client": 0, "server": 1, "any": ANY}[direction], self.port_ranges(given), lengths, tuple(pieces), packets)

    def port_ranges(self, given: dict[str, Any]) -> tuple[tuple[int, int], ...]:
        found = []
        for value in self.typed(given, "ports", list, []):
            parts = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", str(value))
            low, high = (int(parts.group(1)), int(parts.group(2) or parts.group(1))) if parts else (0, 0)
            if not 0 < low <= high <= 65535:
                raise self.wrong(f"'{value}' is no port", 'write numbers or ranges: ports = [1900, "6000-6010"]', "ports")
            found.append((low, high))
        return tuple(found)

    def lengths(self, given: Any) -> tuple[tuple[int, int], ...]:
        found = []
        for value in given if isinstance(given, list) and given else [given]:
            parts = re.fullmatch(r"\s*(\d{1,5})\s*(-?)\s*(\d{0,5})\s*", str(value)) if not isinstance(value, bool) else None
            if not parts or (parts.group(3) and not parts.group(2)):
                raise self.wrong(f"length {value!r} is not understood", 'write "20", "20-100", "20-" or a list of these', "length")
            low = int(parts.group(1))
            high = int(parts.group(3)) if parts.group(3) else LENGTH_MAX if parts.group(2) else low
            if not low <= high <= LENGTH_MAX:
                raise self.wrong(f"length {value!r} is empty or too large", f"low-high, at most {LENGTH_MAX}", "length")
            found.append((low, high))
        return tuple(found)

    def piece(self, given: Any) -> Piece:
        if not isinstance(given, dict):
            raise self.wrong("'match' holds something else than tables", 'write match = [ {at = 0, hex = "ab cd"} ]', "match")
        self.keys(given, MATCH_KEYS, "a match")
        sorts = [key for key in ("hex", "text", "find") if key in given]
        if len(sorts) != 1:
            raise self.wrong("a match takes one of hex, text, find", 'write {at = 0, hex = "ab cd"}, {text = "..."} or {find = "..."}', "match")
        at = self.typed(given, "at", int, 0)
        text = self.typed(given, sorts[0], str)
        nocase = self.typed(given, "nocase", bool, False)
        value, mask = pattern(text) if sorts[0] == "hex" else plain(text, nocase)
        if not value:
            raise self.wrong(f"{sorts[0]} = {text!r} is not understood", "pairs of hex digits or '?', such as \"16 03 0? ??\"" if sorts[0] == "hex"
                             else "give at least one character", sorts[0])
        if len(value) > 255 or not -LENGTH_MAX <= at <= LENGTH_MAX:
            raise self.wrong("the match is too long or too far", "at most 255 bytes", "match")
        if sorts[0] == "find":
            within = self.typed(given, "within", int, 0)
            if at < 0 or not any(mask[:1]) or within < 0 or 0 < within < len(value):
                raise self.wrong("a find needs at >= 0 and a window that holds it", "leave `within` out to search to the end", "find")
            return Piece(FIND, at, value, mask, within)
        if "within" in given or (nocase and sorts[0] == "hex"):
            raise self.wrong("'within' belongs to find, 'nocase' to text or find", "remove it", "within" if "within" in given else "nocase")
        if at < 0 and len(value) > -at:
            raise self.wrong(f"at = {at} leaves no room for {len(value)} bytes", f"at = -{len(value)} pins the last {len(value)} bytes", "match")
        return Piece(FROM_END, -at, value, mask) if at < 0 else Piece(BYTES, at, value, mask)

    def length_field(self, given: dict[str, Any]) -> Piece:
        self.keys(given, FIELD_KEYS, "length_field")
        at, size, add = self.typed(given, "at", int), self.typed(given, "size", int), self.typed(given, "add", int, 0)
        order = self.typed(given, "order", str, "big")
        if not 0 <= at <= LENGTH_MAX or size not in (1, 2, 3, 4) or order not in ("big", "little") or abs(add) > LENGTH_MAX:
            raise self.wrong("length_field is out of range", 'at >= 0, size 1 to 4, order "big" or "little"', "length_field")
        kind = FIELD_LEAST if self.typed(given, "min", bool, False) else FIELD
        return Piece(kind, at, size=size, little=order == "little", add=add)


def transport_number(transport: str) -> int:
    """The IP protocol of "tcp", "udp", "sctp" or "ip:N"; -1 where it is none of these."""
    if transport in TRANSPORTS:
        return TRANSPORTS[transport]
    parts = re.fullmatch(r"ip:(\d{1,3})", transport)
    return int(parts.group(1)) if parts and int(parts.group(1)) < 256 else -1


def pattern(text: str) -> tuple[bytes, bytes]:
    """(values, masks) of hex digits with '?' for any nibble; empty where the text is wrong."""
    digits = re.sub(r"[\s:]", "", text.lower())
    if not _NIBBLES.fullmatch(digits):
        return b"", b""
    return bytes.fromhex(digits.replace("?", "0")), bytes.fromhex(re.sub(r"[0-9a-f]", "f", digits).replace("?", "0"))


def plain(text: str, nocase: bool) -> tuple[bytes, bytes]:
    """(values, masks) of a text as UTF-8; with nocase the case bit of ASCII letters is left open."""
    value = text.encode()
    if not nocase:
        return value, b"\xff" * len(value)
    mask = bytes(0xDF if 65 <= byte & 0xDF <= 90 else 0xFF for byte in value)
    return bytes(a & b for a, b in zip(value, mask, strict=True)), mask


def read(path: Path, shown: str, errors: list[UserError] | None = None) -> list[Stanza]:
    """The stanzas of one file; `shown` is how people know it; with `errors`, stanzas that are wrong are left out and told there."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError("not UTF-8 text", shown, "save the file as UTF-8") from None
    except OSError as error:
        raise UserError(f"can't be read: {error.strerror}", shown, "check that it exists and may be read") from None
    return Reader(shown, text).stanzas(errors)
