"""The slow twin of dpi/security/gauge.py and conversation.py: rows one at a time, dicts and sets, no bound."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from dpi.security.detector import Rule

FIN, SYN, RST, ACK = 1, 2, 4, 16


@dataclass
class Counted:
    """What a key has in a slot. `values` are all that were counted as distinct."""
    packets: int = 0
    bytes: int = 0
    flows: int = 0
    values: set[Any] = field(default_factory=set)


def text(words: Any) -> str:
    """An address out of the two words of a row."""
    one = IPv6Address(b"".join(int(word).to_bytes(8, "little") for word in words))
    return str(one.ipv4_mapped or one)


def nobody(address: str) -> bool:
    """Multicast, broadcast or unspecified."""
    if ":" in address:
        return address.startswith("ff") and len(address.split(":")[0]) == 4 or address == "::"
    return not 0 < int(address.split(".")[0]) < 224


PRIVATE = [ip_network(one) for one in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8", "fc00::/7",
                                       "fe80::/10")]


def inside(address: str) -> bool:
    """Of a private network, or of no single host."""
    one = ip_address(address)
    return nobody(address) or any(one in network for network in PRIVATE if network.version == one.version)


def said(row: Any) -> set[str]:
    """How much the two sides said to each other, and for how long."""
    up, down, lasted = int(row["client_payload_bytes"]), int(row["server_payload_bytes"]), int(row["interval_end"]) - int(row["flow_start_time"])
    out = {"upload"} if up and up >= 10 * down else set()
    if int(row["ip_protocol"]) != 6 or row["one_sided"] or row["fold"]:
        return out
    if up and down and int(row["interval"]) == 0 and row["final"] and not row["midstream"] and up <= 4096 and down <= 8192:
        out |= {"brief", "terse"} if up <= 1024 and down <= 1024 else {"brief"}
    if up and down and lasted >= 600_000_000 and max(up, down) <= 16384:
        out.add("trickle")
    if 0 < up <= 2048 and not down and row["server_packets"] and lasted >= 10_000_000:
        out.add("slow")
    return out


def facts(row: Any) -> set[str]:
    """Names of what is true of a row, as dpi.security.conversation.words has them, without ports."""
    number, client, server = int(row["ip_protocol"]), int(row["client_tcp_flags"]), int(row["server_tcp_flags"])
    up, down, opened = int(row["client_packets"]), int(row["server_packets"]), int(row["interval"]) == 0
    paid, answered = int(row["client_payload_bytes"]), int(row["server_payload_bytes"])
    target = text(row["server_ip"])
    many, fold, lonely = nobody(target), int(row["fold"]), int(row["one_sided"]) != 0
    true = {"six": ":" in text(row["client_ip"]), "opened": opened, "final": row["final"], "folded": fold, "any_server": fold & 32,
            "midstream": row["midstream"], "one_sided": lonely, "only_client": not down, "only_server": not up,
            "empty": not paid and not answered, "many_servers": many,
            "named": row["application"], "from_inside": inside(text(row["client_ip"])), "to_inside": inside(target),
            "clear_text": int(row["risks"]) & 1, "tcp": number == 6, "udp": number == 17, "icmp": number in (1, 58)}
    out = {name for name, holds in true.items() if holds} | said(row)
    few = opened and not many and not down and up <= 3
    if number == 17:
        if few and not 33434 <= int(row["server_port"]) <= 33534:
            out.add("probe")
        a, b = int(row["client_bytes"]), int(row["server_bytes"])
        out |= {"amplified_to_client"} if b and b >= 8 * a and b >= 200 * down else set()
        out |= {"amplified_to_server"} if a and a >= 8 * b and a >= 200 * up else set()
    if number in (1, 58) and int(row["icmp_type"]) in ((8, 13, 17) if number == 1 else (128,)):
        out |= {"echo", "probe"} if few else {"echo"}
        sizes = [(int(row[f"{side}_bytes"]), int(row[f"{side}_packets"])) for side in ("client", "server")]
        if all(packets >= 10 for _, packets in sizes) and not fold and len({divmod(*one) for one in sizes} | {(sizes[0][0] // sizes[0][1], 0)}) > 1:
            out.add("uneven")
    if number != 6:
        return out
    if not row["midstream"] and opened and client & SYN:
        out |= {"asked", "answered"} if server & SYN else {"asked"}
        if not lonely:
            refused = not server & SYN and server & RST
            silent = not server & SYN and not server & RST and not down and not client & (ACK | RST | FIN)
            left = server & SYN and client & RST and not paid
            out |= {"unfinished"} if not client & ACK and not answered else set()
            out |= {"refused"} if refused else {"unanswered"} if silent else set()
            out |= {"probe"} if not fold and not many and (refused or silent or left) else set()
    elif row["midstream"] and opened and not fold and not client & (SYN | ACK | RST) and 0 < up <= 3 and (not down or server & RST) and not many:
        out.add("probe")
    elif server & SYN:
        out.add("answered")
    if row["midstream"] and not lonely and not paid and not answered and not (client | server) & (SYN | FIN):
        if up and client & ACK and not client & RST and (server & RST or not down and up <= 3):
            out.add("stray_to_server")
        if down and server & ACK and not server & RST and (client & RST or not up and down <= 3):
            out.add("stray_to_client")
        out |= {"reset_to_server"} if client & RST and not down else set()
        out |= {"reset_to_client"} if server & RST and not up else set()
    return out


def gauge(rows: Iterable[Any], rules: Sequence[Rule], matches: Any) -> dict[tuple[Any, ...], Counted]:
    """(rule, key, port, slot) -> what was counted. matches(row, rule): whether the rule counts it. A long row is shared out in doubles, as by the kernel."""
    out: dict[tuple[Any, ...], Counted] = defaultdict(Counted)
    for row in rows:
        for number, rule in enumerate(rules):
            if matches(row, rule) and not (rule.key in (1, 2, 4) and int(row["fold"]) & 32):
                _count(out, row, number, rule)
    return out


def _count(out: dict[tuple[Any, ...], Counted], row: Any, number: int, rule: Rule) -> None:
    client, server = text(row["client_ip"]), text(row["server_ip"])
    key: Any = {0: client, 1: server, 2: (client, server), 3: _network(client), 4: _network(server), 5: ""}[rule.key]
    port = (0, int(row["server_port"]), int(row["client_port"]))[rule.port]
    value = (None, client, server, int(row["server_port"]), (server, int(row["server_port"])), (client, int(row["client_port"])),
             int(row["interval_start"]) // 1000)[rule.of]
    sides = {0: ("client",), 1: ("server",), 2: ("client", "server")}[rule.sent]
    packets, octets = (sum(int(row[f"{side}_{what}"]) for side in sides) for what in ("packets", "bytes"))
    flows = int(row["folded"]) or int(row["interval"] == 0)
    window, start, end = rule.window * 1_000_000, int(row["interval_start"]), int(row["interval_end"])
    first = start // window
    last = min(max(end // window, first), first + 12)
    span = max(min(end, (first + 13) * window) - start, 1)
    done = [0, 0]
    for slot in range(first, last + 1):
        passed = span if slot == last else (slot + 1) * window - start
        upto = [total if passed >= span else min(total, int(float(total) * (float(passed) / float(span)))) for total in (packets, octets)]
        one = out[number, key, port, slot]
        one.packets, one.bytes, one.flows = one.packets + upto[0] - done[0], one.bytes + upto[1] - done[1], one.flows + (flows if slot == first else 0)
        done = upto
        if value is not None and (rule.of != 6 or slot == first):
            one.values.add(value)


def _network(address: str) -> str:
    network = ip_network(f"{address}/{48 if ':' in address else 24}", strict=False)
    return str(network)
