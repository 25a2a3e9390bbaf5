"""SNMP version 2c as it is on the wire (RFC 1157, 1901, 3416; BER of X.690), as much as a trap or inform needs: read, never trusted.

Lengths are of what was received and no more, nesting is as deep as a trap is, and no number is longer than 8 octets. What is not so is refused with where it
was found. An inform is answered with the same variables.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

INTEGER, OCTETS, NULL, OID, SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
ADDRESS, COUNTER, GAUGE, TICKS, OPAQUE, COUNTER64 = 0x40, 0x41, 0x42, 0x43, 0x44, 0x46
INFORM, TRAP2, RESPONSE = 0xA6, 0xA7, 0xA2
VERSION_2C = 1
MOST = 64               # variables of a trap
UPTIME, TRAP_OID = "1.3.6.1.2.1.1.3.0", "1.3.6.1.6.3.1.1.4.1.0"
Value = int | bytes | str | None


class Malformed(Exception):
    """What was received is no trap."""


class Trap(NamedTuple):
    """A trap, or an inform that wants an answer. oid: what happened; variables: by their OIDs, in order."""
    community: bytes
    inform: bool
    request: int
    uptime: int
    oid: str
    variables: tuple[tuple[str, Value], ...]


class _Reader:
    """Octets from one place to another."""

    def __init__(self, octets: bytes, begin: int, end: int) -> None:
        self._octets, self.at, self.end = octets, begin, end

    def next(self) -> tuple[int, int, int]:
        """Tag, and where its content begins and ends."""
        if self.end - self.at < 2:
            raise Malformed(f"at {self.at}: it ends too early")
        tag, length = self._octets[self.at], self._octets[self.at + 1]
        begin = self.at + 2
        if tag & 0x1F == 0x1F:
            raise Malformed(f"at {self.at}: a tag of several octets")
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= 3 or begin + count > self.end:
                raise Malformed(f"at {self.at}: not a length")
            length = int.from_bytes(self._octets[begin:begin + count], "big")
            begin += count
        if length > self.end - begin:
            raise Malformed(f"at {self.at}: it is longer than what was received")
        self.at = begin + length
        return tag, begin, begin + length

    def inside(self, tag: int) -> _Reader:
        """The content of what has to come now."""
        found, begin, end = self.next()
        if found != tag:
            raise Malformed(f"at {begin}: {found:#x} in place of {tag:#x}")
        return _Reader(self._octets, begin, end)

    def integer(self) -> int:
        """A number that has to come now."""
        found, begin, end = self.next()
        if found != INTEGER:
            raise Malformed(f"at {begin}: no number")
        return _number(self._octets[begin:end], True)

    def value(self) -> tuple[int, Value]:
        """Any value, with its tag."""
        tag, begin, end = self.next()
        content = self._octets[begin:end]
        if tag == INTEGER:
            return tag, _number(content, True)
        if tag in (COUNTER, GAUGE, TICKS, COUNTER64):
            return tag, _number(content, False)
        if tag in (OCTETS, ADDRESS, OPAQUE):
            return tag, content
        if tag == OID:
            return tag, _oid(content)
        if tag == NULL or 0x80 <= tag <= 0x82:          # noSuchObject and its like
            return tag, None
        raise Malformed(f"at {begin}: {tag:#x} is no value")


def read(octets: bytes) -> Trap:
    """A trap or inform of version 2c. Malformed: it is none."""
    whole = _Reader(octets, 0, len(octets))
    message = whole.inside(SEQUENCE)
    if whole.at != whole.end:
        raise Malformed(f"at {whole.at}: there is more behind it")
    if message.integer() != VERSION_2C:
        raise Malformed("it is not of version 2c")
    tag, community = message.value()
    if tag != OCTETS or not isinstance(community, bytes):
        raise Malformed("it has no community")
    tag, begin, end = message.next()
    if tag not in (TRAP2, INFORM):
        raise Malformed(f"{tag:#x} is no trap")
    pdu = _Reader(octets, begin, end)
    request, _, _ = pdu.integer(), pdu.integer(), pdu.integer()
    held = list(_variables(pdu.inside(SEQUENCE)))
    if len(held) < 2 or held[0][0] != UPTIME or held[1][0] != TRAP_OID or not isinstance(held[0][1], int) or not isinstance(held[1][1], str):
        raise Malformed("it does not begin with sysUpTime and snmpTrapOID")
    return Trap(community, tag == INFORM, request, held[0][1], held[1][1], tuple(held[2:]))


def _variables(of: _Reader) -> Iterator[tuple[str, Value]]:
    for n in range(MOST + 1):
        if of.at == of.end:
            return
        if n == MOST:
            raise Malformed(f"it has more than {MOST} variables")
        pair = of.inside(SEQUENCE)
        tag, name = pair.value()
        if tag != OID or not isinstance(name, str):
            raise Malformed(f"at {pair.at}: a variable without a name")
        yield name, pair.value()[1]


def _number(content: bytes, signed: bool) -> int:
    if not 1 <= len(content) <= 9 or (len(content) == 9 and content[0]):
        raise Malformed(f"a number of {len(content)} octets")
    return int.from_bytes(content, "big", signed=signed)


def _oid(content: bytes) -> str:
    if not content or content[-1] & 0x80:
        raise Malformed("not an OID")
    parts: list[int] = []
    value = count = 0
    for octet in content:
        value, count = value << 7 | octet & 0x7F, count + 1
        if count > 5 or len(parts) > 128:
            raise Malformed("an OID that is too long")
        if not octet & 0x80:
            parts += [value] if parts else [min(value // 40, 2), value - 40 * min(value // 40, 2)]
            value = count = 0
    return ".".join(map(str, parts))


# ---- written

def write(trap: Trap, tag: int | None = None) -> bytes:
    """A trap as octets: the answer to an inform (tag RESPONSE), and what tests send."""
    held = ((UPTIME, _tagged(TICKS, _unsigned(trap.uptime))), (TRAP_OID, _tagged(OID, _oid_octets(trap.oid))),
            *((name, _octets(value)) for name, value in trap.variables))
    variables = _tagged(SEQUENCE, b"".join(_tagged(SEQUENCE, _tagged(OID, _oid_octets(name)) + value) for name, value in held))
    body = _tagged(INTEGER, _signed(trap.request)) + 2 * _tagged(INTEGER, b"\0") + variables
    return _tagged(SEQUENCE, _tagged(INTEGER, bytes([VERSION_2C])) + _tagged(OCTETS, trap.community)
                   + _tagged(tag or (INFORM if trap.inform else TRAP2), body))


def _octets(value: Value) -> bytes:
    if value is None:
        return _tagged(NULL, b"")
    if isinstance(value, bytes):
        return _tagged(OCTETS, value)
    return _tagged(INTEGER, _signed(value)) if isinstance(value, int) else _tagged(OID, _oid_octets(value))


def _tagged(tag: int, content: bytes) -> bytes:
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _signed(value: int) -> bytes:
    return value.to_bytes((value if value >= 0 else ~value).bit_length() // 8 + 1, "big", signed=True)


def _unsigned(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big")


def _oid_octets(text: str) -> bytes:
    first, second, *rest = map(int, text.split("."))
    found = bytearray()
    for value in (40 * first + second, *rest):
        part = [value & 0x7F]
        while value := value >> 7:
            part.append(value & 0x7F | 0x80)
        found += bytes(reversed(part))
    return bytes(found)
