"""What a binding binds, spelt one way: a prefix, a MAC address, a user, a circuit, or VLANs alone. As strict as the probe that reads it (docs/identity.md)."""
from __future__ import annotations

import socket
from typing import NamedTuple

from bss.refusal import Refusal

LONGEST, INTERFACE = 255, 64                # characters of a name, of an interface's
_MAPPED = 0xFFFF << 32
_ALL = (1 << 128) - 1


class What(NamedTuple):
    """What is bound; vlan alone, or with a prefix. '' and None: not given."""
    prefix: str = ""
    vlan: int | None = None
    inner_vlan: int | None = None
    mac: str = ""
    user: str = ""
    circuit: str = ""


def spelt(prefix: str = "", vlan: int | None = None, inner_vlan: int | None = None, mac: str = "", user: str = "", circuit: str = "") -> What:
    """The same in one spelling. Refusal: it is none, or two in one."""
    network, address, user, circuit = prefix.strip(), mac.strip(), name(user, "user"), name(circuit, "circuit")
    given = [kind for kind, cell in (("prefix", network), ("mac", address), ("user", user), ("circuit", circuit)) if cell]
    if len(given) > 1:
        raise Refusal("invalid", f"{' and '.join(given)} in one binding", given[1], "give each a binding of its own")
    if not given and vlan is None:
        raise Refusal("invalid", "nothing says what it binds", "prefix", "give a prefix, vlan, mac, user or circuit")
    if vlan is not None and given and given != ["prefix"]:
        raise Refusal("invalid", f"a VLAN and a {given[0]} in one binding", "vlan", "a vlan stands alone or with a prefix")
    if inner_vlan is not None and vlan is None:
        raise Refusal("invalid", "an inner VLAN without an outer one", "innerVlan", "give vlan as well")
    for number, where in ((vlan, "vlan"), (inner_vlan, "innerVlan")):
        if number is not None and not 1 <= number <= 4094:
            raise Refusal("invalid", f"not a VLAN id: {number}", where, "it is 1 to 4094")
    return What(_prefix(network) if network else "", vlan, inner_vlan, _mac(address) if address else "", user, circuit)


def key_of(what: What) -> str:
    """Two bindings of the same key must not overlap in time; where the traffic is metered is no part of it."""
    vlans = "" if what.vlan is None else f" vlan {what.vlan}" + ("" if what.inner_vlan is None else f".{what.inner_vlan}")
    for kind, value in (("prefix", what.prefix), ("mac", what.mac), ("user", what.user), ("circuit", what.circuit)):
        if value:
            return f"{kind} {value}{vlans}"
    return vlans.strip()


def bounds(prefix: str) -> tuple[str, str]:
    """First and last address as 32 hexadecimal digits, IPv4 mapped; '' where there is no prefix."""
    if not prefix:
        return "", ""
    first, hosts, _ = _network(prefix)
    return digits(first), digits(first | hosts)


def digits(number: int) -> str:
    """A number of 128 bits as the database has it: in order as text."""
    return f"{number:032x}"


def address_of(text: str) -> int:
    """An address as a number of 128 bits, IPv4 mapped. Refusal: it is none."""
    try:
        number = int.from_bytes(socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text.strip()), "big")
    except (OSError, ValueError):
        raise Refusal("invalid", f"not an address: {text!r}", "address", "write it as 192.0.2.1 or 2001:db8::1") from None
    return number if ":" in text else number | _MAPPED


def around(address: int) -> list[str]:
    """The first addresses of all prefixes that can hold an address, as the database has them."""
    lengths = range(33) if address >> 32 == 0xFFFF else range(129)
    return sorted({digits(address >> bits << bits) for bits in lengths})


def name(text: str, where: str, longest: int = LONGEST) -> str:
    """A name as the probe reads it. Refusal: it is none."""
    text = text.strip()
    if len(text) > longest or not text.isprintable():
        raise Refusal("invalid", "not a name", where, f"write it in at most {longest} printable characters")
    return text


def _network(text: str) -> tuple[int, int, int]:
    """(first address with IPv4 mapped, bits of hosts, length)."""
    address, slash, size = text.partition("/")
    six = ":" in address
    try:
        number = int.from_bytes(socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, address), "big")
    except (OSError, ValueError):
        raise Refusal("invalid", f"not a network: {text!r}", "prefix", "write it as 192.0.2.0/24 or 2001:db8::/48") from None
    bits = 128 if six else 32
    length = bits
    if slash:
        if not size.isascii() or not size.isdigit() or len(size) > 3 or int(size) > bits:
            raise Refusal("invalid", f"not a network: {text!r}", "prefix", f"its length is 0 to {bits}")
        length = int(size)
    hosts = (1 << bits - length) - 1
    if number & hosts:
        right = socket.inet_ntop(socket.AF_INET6 if six else socket.AF_INET, (number & ~hosts).to_bytes(bits // 8, "big"))
        raise Refusal("invalid", f"{text!r} has bits beyond its length", "prefix", f"write {right}/{length}, or the address alone")
    if six and number <= _MAPPED | 0xFFFFFFFF and number | hosts >= _MAPPED:
        raise Refusal("invalid", f"{text!r} holds IPv4 as well, which is ::ffff:0:0/96", "prefix", "write it as IPv4; 2000::/3 is all of IPv6 that is routed")
    return (number if six else number | _MAPPED), hosts, length


def _prefix(text: str) -> str:
    first, _, length = _network(text)
    if ":" not in text:
        return f"{socket.inet_ntop(socket.AF_INET, (first & 0xFFFFFFFF).to_bytes(4, 'big'))}/{length}"
    return f"{socket.inet_ntop(socket.AF_INET6, first.to_bytes(16, 'big'))}/{length}"


def _mac(text: str) -> str:
    plain = text.replace(":", "").replace("-", "").replace(".", "")
    if len(plain) != 12 or any(letter not in "0123456789abcdefABCDEF" for letter in plain) or not int(plain, 16):
        raise Refusal("invalid", f"not a MAC address: {text!r}", "mac", "write it as aa:bb:cc:dd:ee:ff")
    return bytes.fromhex(plain).hex(":")
