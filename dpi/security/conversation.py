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

_NAMES = ("tcp", "udp", "icmp", "six", "opened", "final", "folded", "one_sided", "midstream", "asked", "refused", "unanswered", "answered", "unfinished",
          "empty", "probe", "only_client", "only_server", "stray_to_server", "stray_to_client", "reset_to_server", "reset_to_client", "many_servers", "echo",
          "amplified_to_client", "amplified_to_server", "clear_text", "any_server", "uneven")
(TCP, UDP, ICMP, SIX, OPENED, FINAL, FOLDED, ONE_SIDED, MIDSTREAM, ASKED, REFUSED, UNANSWERED, ANSWERED, UNFINISHED, EMPTY,
 PROBE, ONLY_CLIENT, ONLY_SERVER, STRAY_TO_SERVER, STRAY_TO_CLIENT, RESET_TO_SERVER, RESET_TO_CLIENT, MANY_SERVERS, ECHO,
 AMPLIFIED_TO_CLIENT, AMPLIFIED_TO_SERVER, CLEAR_TEXT, ANY_SERVER, UNEVEN) = (1 << place for place in range(len(_NAMES)))
#: Bits of the port of the server, from bit 32, and of the client, from bit 40: one for each class of ports.
SERVER_AT, CLIENT_AT, PROTOCOL_AT = 32, 40, 48
PROTOCOLS = 16              # classes of protocols that rules may ask for; a bit each, from bit 48

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
_ANY_SERVER = 1 << FOLD_TAGS.index("any_server")
_CLEAR = RISKS.index("clear_text_credentials")


def server_port(name: str) -> int:
    """The bit of a class of server ports."""
    return 1 << SERVER_AT + _CLASSES.index(name)


def client_port(name: str) -> int:
    """The same of client ports: of rows whose first packet came from what is rather the server."""
    return 1 << CLIENT_AT + _CLASSES.index(name)


def port_classes() -> Any:
    """uint8[65536]: bit i of a port: it is in the i-th class of PORTS."""
    table: Any = np.zeros(1 << 16, np.uint8)
    for place, ports in enumerate(PORTS.values()):
        table[list(ports)] |= np.uint8(1 << place)
    return table


def words(bits: int) -> list[str]:
    """Names of the bits, for people and tests."""
    named = [name for place, name in enumerate(_NAMES) if bits >> place & 1]
    for at, side in ((SERVER_AT, "server"), (CLIENT_AT, "client")):
        named += [f"{side} port {name}" for place, name in enumerate(_CLASSES) if bits >> at + place & 1]
    return named


def together(bits: Iterable[int]) -> int:
    """Bits ored."""
    found = 0
    for one in bits:
        found |= one
    return found


@kernel
def facts(row: Any, ports: Any, protocols: Any) -> Any:
    """The bits of a ROW, uint64. ports: see `port_classes`; protocols uint64[]: bits by the code of the row's protocol, codes beyond it have none."""
    bits = np.uint64(ports[row.server_port]) << np.uint64(SERVER_AT) | np.uint64(ports[row.client_port]) << np.uint64(CLIENT_AT)
    if np.int64(row.protocol) < protocols.size:
        bits |= protocols[row.protocol]
    known = np.int64(0)
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
