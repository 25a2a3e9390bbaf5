"""What is true of one row of `flows`, as bits: the facts that every detector asks for, worked out once for all of them."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from dpi.flow.facts import RISKS
from dpi.flow.table import FOLD_TAGS
from dpi.jit import kernel

F_FIN, F_SYN, F_RST, F_ACK = 1, 2, 4, 16
FEW = 3                     # packets of a probe, or of what strays in, at most
TIMES = 8                   # an answer is amplified that has so many times the bytes of its question
TALKED = 10                 # packets of each side from which on sizes of pings say something
TRACE_FIRST, TRACE_LAST = 33434, 33534      # UDP ports of traceroute
#: Payload bytes of a conversation that holds little more than a log-in: SSH's key exchange, TLS with a chain of certificates; and of one without any of them.
BRIEF_UP, BRIEF_DOWN, TERSE_UP, TERSE_DOWN = 4096, 8192, 1024, 1024
SLOW_US, SLOW_MOST = 10_000_000, 2048       # a request that is not over after so long, and has at most so many bytes a row
LONG_US, LONG_MOST = 600_000_000, 16_384    # a connection that goes on for so long, and has at most so many bytes a row and side
UPLOAD = 10                 # times as many bytes sent as got

_NAMES = ("tcp", "udp", "icmp", "six", "opened", "final", "folded", "one_sided", "midstream", "asked", "refused", "unanswered", "answered", "unfinished",
          "empty", "probe", "only_client", "only_server", "stray_to_server", "stray_to_client", "reset_to_server", "reset_to_client", "many_servers", "echo",
          "amplified_to_client", "amplified_to_server", "clear_text", "any_server", "trickle", "named", "uneven")
(TCP, UDP, ICMP, SIX, OPENED, FINAL, FOLDED, ONE_SIDED, MIDSTREAM, ASKED, REFUSED, UNANSWERED, ANSWERED, UNFINISHED, EMPTY,
 PROBE, ONLY_CLIENT, ONLY_SERVER, STRAY_TO_SERVER, STRAY_TO_CLIENT, RESET_TO_SERVER, RESET_TO_CLIENT, MANY_SERVERS, ECHO,
 AMPLIFIED_TO_CLIENT, AMPLIFIED_TO_SERVER, CLEAR_TEXT, ANY_SERVER, TRICKLE, NAMED, UNEVEN) = (1 << place for place in range(len(_NAMES)))
#: Bits of the port of the server, from bit 32: one for each class of ports; bit 40 of the client's: a reflector's; from bit 48 of the sorts that rules ask for.
SERVER_AT, CLIENT_AT, MORE_AT, SORT_AT = 32, 40, 41, 48
SORTS = 16
_MORE = ("brief", "terse", "slow", "upload", "from_inside", "to_inside", "denied")
BRIEF, TERSE, SLOW, SENDING, FROM_INSIDE, TO_INSIDE, DENIED = (1 << MORE_AT + place for place in range(len(_MORE)))

#: Classes of ports. A port may be in several.
PORTS: dict[str, tuple[int, ...]] = {
    "service": (*range(1, 1024), 1433, 1521, 1723, 1883, 1900, 2049, 2181, 2375, 3128, 3306, 3389, 5060, 5353, 5432, 5555, 5900, 5985, 6379, 7547, 8000, 8080,
                8081, 8443, 8888, 9000, 9200, 10000, 11211, 27017, 37215),
    "admin": (22, 23, 135, 139, 445, 623, 2375, 3389, 5900, 5985, 5986, 8291, 10250),
    "reflector": (17, 19, 53, 69, 111, 123, 137, 161, 177, 389, 427, 520, 1434, 1900, 3283, 3389, 3702, 5093, 5353, 5683, 10001, 11211, 27015, 37810),
    "web": (80, 443, 8000, 8080, 8443, 8888),
    "dns": (53, 5353),
    "mail": (25, 110, 143, 465, 587, 993, 995),
    "database": (1433, 1521, 3306, 5432, 6379, 9042, 9200, 11211, 27017),
    "login": (21, 22, 23, 3389, 5900),
}
_CLASSES = tuple(PORTS)
_REFLECTOR = _CLASSES.index("reflector")
_ANY_SERVER = 1 << FOLD_TAGS.index("any_server")
_CLEAR = RISKS.index("clear_text_credentials")


def server_port(name: str) -> int:
    """The bit of a class of server ports."""
    return 1 << SERVER_AT + _CLASSES.index(name)


def client_port(name: str) -> int:
    """The same of client ports, of reflectors alone: of rows whose first packet came from what is rather the server."""
    if name != "reflector":
        raise ValueError(f"rows do not tell client ports of {name}")
    return 1 << CLIENT_AT


def port_classes() -> Any:
    """uint8[65536]: bit i of a port: it is in the i-th class of PORTS."""
    table: Any = np.zeros(1 << 16, np.uint8)
    for place, ports in enumerate(PORTS.values()):
        table[list(ports)] |= np.uint8(1 << place)
    return table


def words(bits: int) -> list[str]:
    """Names of the bits, for people and tests."""
    named = [name for place, name in enumerate(_NAMES) if bits >> place & 1]
    named += [name for place, name in enumerate(_MORE) if bits >> MORE_AT + place & 1]
    named += [f"server port {name}" for place, name in enumerate(_CLASSES) if bits >> SERVER_AT + place & 1]
    return [*named, "client port reflector"] if bits >> CLIENT_AT & 1 else named


def together(bits: Iterable[int]) -> int:
    """Bits ored."""
    found = 0
    for one in bits:
        found |= one
    return found


@kernel
def facts(row: Any, ports: Any) -> Any:
    """The bits of a ROW, uint64, but those of sorts and DENIED. ports: see `port_classes`; inside is who has a private address."""
    bits = np.uint64(ports[row.server_port]) << np.uint64(SERVER_AT)
    bits |= np.uint64(np.int64(ports[row.client_port]) >> _REFLECTOR & 1) << np.uint64(CLIENT_AT)
    known = size(row)
    known |= FROM_INSIDE if private(row.client_ip[0], row.client_ip[1]) else 0
    known |= TO_INSIDE if private(row.server_ip[0], row.server_ip[1]) else 0
    known |= NAMED if row.application != 0 else 0
    known |= SIX if not mapped(row.client_ip[0], row.client_ip[1]) else 0
    known |= OPENED if row.interval == 0 else 0
    known |= FINAL if row.final != 0 else 0
    known |= FOLDED if row.fold != 0 else 0
    known |= ANY_SERVER if row.fold & _ANY_SERVER else 0
    known |= MIDSTREAM if row.midstream != 0 else 0
    known |= ONE_SIDED if row.one_sided != 0 else 0
    known |= CLEAR_TEXT if row.risks >> np.uint64(_CLEAR) & np.uint64(1) != 0 else 0
    known |= ONLY_CLIENT if row.server_packets == 0 else 0
    known |= ONLY_SERVER if row.client_packets == 0 else 0
    known |= EMPTY if row.client_payload_bytes == 0 and row.server_payload_bytes == 0 else 0
    known |= MANY_SERVERS if many(row.server_ip[0], row.server_ip[1]) else 0
    if row.ip_protocol == 6:
        known |= TCP | handshake(row) | stray(row)
    elif row.ip_protocol == 17:
        known |= UDP
        if row.server_packets == 0 and np.int64(row.client_packets) <= FEW and row.interval == 0 and not (known & MANY_SERVERS):
            known |= PROBE if row.server_port < TRACE_FIRST or row.server_port > TRACE_LAST else 0
        known |= amplified(row)
    elif row.ip_protocol == 1 or row.ip_protocol == 58:
        known |= ICMP
        asks = row.icmp_type == 8 or row.icmp_type == 13 or row.icmp_type == 17
        if (row.ip_protocol == 1 and asks) or (row.ip_protocol == 58 and row.icmp_type == 128):
            known |= ECHO | (UNEVEN if uneven(row) else 0)
            known |= PROBE if row.server_packets == 0 and np.int64(row.client_packets) <= FEW and row.interval == 0 and not (known & MANY_SERVERS) else 0
    return bits | np.uint64(known)


@kernel
def size(row: Any) -> Any:
    """How much was said, and for how long."""
    up = np.int64(min(row.client_payload_bytes, np.uint64(1 << 50)))
    down = np.int64(min(row.server_payload_bytes, np.uint64(1 << 50)))
    lasted = row.interval_end - min(max(row.flow_start_time, -(1 << 61)), 1 << 61)
    known = np.int64(0)
    known |= SENDING if up > 0 and up >= UPLOAD * down else 0
    if row.ip_protocol != 6 or row.one_sided != 0 or row.fold != 0:
        return known
    if up > 0 and down > 0:
        if row.interval == 0 and row.final != 0 and row.midstream == 0 and up <= BRIEF_UP and down <= BRIEF_DOWN:
            known |= BRIEF
            known |= TERSE if up <= TERSE_UP and down <= TERSE_DOWN else 0
        known |= TRICKLE if lasted >= LONG_US and up <= LONG_MOST and down <= LONG_MOST else 0
    elif up > 0 and up <= SLOW_MOST and row.server_packets != 0 and lasted >= SLOW_US:
        known |= SLOW
    return known


@kernel
def private(high: Any, low: Any) -> Any:
    """Whether an address is of no public network (RFC 1918, 3927, 4193, 6598), or not of one host."""
    if mapped(high, low):
        first = low >> np.uint64(32) & np.uint64(255)
        second = low >> np.uint64(40) & np.uint64(255)
        if first == 172:
            return second & np.uint64(0xF0) == np.uint64(16)
        if first == 192:
            return second == np.uint64(168)
        if first == 100:
            return second & np.uint64(0xC0) == np.uint64(64)
        if first == 169:
            return second == np.uint64(254)
        return first == 10 or first == 127 or many(high, low)
    octet = high & np.uint64(255)
    if octet == np.uint64(0xFE):
        return high >> np.uint64(8) & np.uint64(0xC0) == np.uint64(0x80)
    return octet & np.uint64(0xFE) == np.uint64(0xFC) or many(high, low)


@kernel
def mapped(high: Any, low: Any) -> Any:
    """Whether an address, two words as they lie in memory, is an IPv4 one."""
    return high == 0 and (low & np.uint64(0xFFFFFFFF)) == np.uint64(0xFFFF0000)


@kernel
def many(high: Any, low: Any) -> Any:
    """Whether an address is nobody's own: multicast, broadcast or unspecified."""
    if mapped(high, low):
        first = low >> np.uint64(32) & np.uint64(255)
        return first >= np.uint64(224) or first == 0
    return (high & np.uint64(255)) == np.uint64(255) or (high == 0 and low == 0)


@kernel
def handshake(row: Any) -> Any:
    """What became of a TCP connection's SYN, by its first row."""
    client = np.int64(row.client_tcp_flags)
    server = np.int64(row.server_tcp_flags)
    if row.midstream != 0 and row.interval == 0 and row.fold == 0 and not (client & (F_SYN | F_ACK | F_RST)) and np.int64(row.client_packets) <= FEW:
        # every segment behind a SYN has ACK or RST: one with neither asks what a closed port says (FIN, null and Xmas scans)
        if row.client_packets != 0 and (row.server_packets == 0 or (server & F_RST) != 0) and not many(row.server_ip[0], row.server_ip[1]):
            return PROBE
    if row.interval != 0 or row.midstream != 0 or not (client & F_SYN):
        return ANSWERED if server & F_SYN else 0
    known = ASKED | (ANSWERED if server & F_SYN else 0)
    if row.one_sided != 0:
        return known
    if not (client & F_ACK) and row.server_payload_bytes == 0:
        known |= UNFINISHED
    if not (server & F_SYN):
        if server & F_RST:
            known |= REFUSED
        elif row.server_packets == 0 and not (client & (F_ACK | F_RST | F_FIN)):
            known |= UNANSWERED
    left = (server & F_SYN) != 0 and (client & F_RST) != 0 and row.client_payload_bytes == 0
    if row.fold == 0 and ((known & (REFUSED | UNANSWERED)) != 0 or left) and not many(row.server_ip[0], row.server_ip[1]):
        known |= PROBE
    return known


@kernel
def stray(row: Any) -> Any:
    """Segments of no connection that was ever seen: ACK or RST alone, to which nobody says more than RST."""
    client = np.int64(row.client_tcp_flags)
    server = np.int64(row.server_tcp_flags)
    if row.midstream == 0 or row.one_sided != 0 or row.client_payload_bytes != 0 or row.server_payload_bytes != 0 or (client | server) & (F_SYN | F_FIN):
        return 0
    known = 0
    up = np.int64(row.client_packets)
    down = np.int64(row.server_packets)
    if up != 0 and (client & (F_ACK | F_RST)) == F_ACK and ((server & F_RST) != 0 or (down == 0 and up <= FEW)):
        known |= STRAY_TO_SERVER
    if down != 0 and (server & (F_ACK | F_RST)) == F_ACK and ((client & F_RST) != 0 or (up == 0 and down <= FEW)):
        known |= STRAY_TO_CLIENT
    if client & F_RST and row.server_packets == 0:
        known |= RESET_TO_SERVER
    if server & F_RST and row.client_packets == 0:
        known |= RESET_TO_CLIENT
    return known


@kernel
def uneven(row: Any) -> Any:
    """Whether the packets of one side are not all of a size, as their sum tells, or those of one side larger than those of the other."""
    up = np.int64(row.client_packets)
    down = np.int64(row.server_packets)
    sent = np.int64(row.client_bytes)
    back = np.int64(row.server_bytes)
    if up < TALKED or down < TALKED or row.fold != 0:
        return False
    return sent % up != 0 or back % down != 0 or sent // up != back // down


@kernel
def amplified(row: Any) -> Any:
    """Whether one side of a UDP conversation was sent many times what it sent itself, in large packets, or was sent something unasked."""
    known = 0
    up = np.int64(row.client_bytes)
    down = np.int64(row.server_bytes)
    if down >= TIMES * up and down >= 200 * np.int64(row.server_packets) and down > 0:
        known |= AMPLIFIED_TO_CLIENT
    if up >= TIMES * down and up >= 200 * np.int64(row.client_packets) and up > 0:
        known |= AMPLIFIED_TO_SERVER
    return known
