"""python -m benchmarks.exactness DIR...: is every packet and byte of these captures in exactly one row, or refused by name?

Each capture goes through the whole engine (`dpi.replay`) and through tshark. Two things must hold:

  * packets read = packets in rows + packets refused;
  * tshark's packets and wire bytes of each conversation (IP protocol and both ends, either direction) are those of our rows.

What tshark and we cut differently by design is compared more coarsely, never left out. Address pairs (of the outermost IP header) that carry

  * a tunnel: our flow is the innermost conversation of the tunnels we look through, tshark looks through others too (Teredo, L2TP ...), and
  * a fragment: our later fragments lie in the flow of their first, tshark knows their ports only after reassembly,

are compared as one sum of all their packets. Two differences are explained, and said:

  * a frame that we refuse although tshark sees an IP header in it, where it was refused as cut, impossible or of a kind not read;
  * a conversation inside more than one tunnel: its rows have the outer addresses of its first packet, so the sums of those tunnels' address
    pairs differ, and together are equal.

Prints a line for each capture that differs or is explained, then totals; exit status 1 where a difference is not explained, a capture cannot
be read or DIR holds none.
"""
from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any

import dpi
from dpi.capture.frame import REFUSALS
from dpi.capture.inputs import find

Ends = tuple[str, str]                  # both addresses as text, in order
Key = tuple[Any, ...]                   # Ends, or (IP protocol, (address, port), (address, port)) with the ends in order
PORTED = {6: "tcp", 17: "udp", 33: "dccp", 132: "sctp", 136: "udp"}     # IP protocols with ports, and what tshark calls their fields
#: What sets a tunnel apart in `flows.tunnel` (a label or session below one IP header leaves the conversation as it is).
AROUND_IP = {"gre", "ipip", "6in4", "vxlan", "gtp-u", "teredo", "eoip"}
CAPTURES = {".pcap", ".pcapng", ".cap", ".dmp"}      # a file of a directory with such a name is to be read
EXTENSIONS = {0: "hopopts", 43: "routing", 44: "fraghdr", 60: "dstopts"}
#: Refusals of frames in which another reader may still see an IP header: all but "there is none".
SEEN_BY_OTHERS = set(REFUSALS[1:]) - {"not_ip"}
FIELDS = ("frame.len", "frame.protocols", "ip.src", "ip.dst", "ip.proto", "ip.flags.mf", "ip.frag_offset", "ipv6.src", "ipv6.dst", "ipv6.nxt",
          *(f"ipv6.{name}.nxt" for name in EXTENSIONS.values()), "ipv6.fraghdr.offset", "ipv6.fraghdr.more",
          *(f"{name}.{side}port" for name in sorted(set(PORTED.values())) for side in ("src", "dst")))


@dataclass
class Sums:
    """Packets and wire bytes by conversation; `coarse` holds the pairs that are compared as one sum."""
    packets: Counter[Key] = field(default_factory=Counter)
    wire: Counter[Key] = field(default_factory=Counter)
    found: list[tuple[Ends, Key, int, int]] = field(default_factory=list)
    tunnelled: set[Ends] = field(default_factory=set)
    fragmented: set[Ends] = field(default_factory=set)
    other: int = 0                      # packets without an IP header (tshark), packets refused (ours)

    def add(self, outer: Ends, key: Key, packets: int, wire: int) -> None:
        """Keep one conversation's packets."""
        self.found.append((outer, key, packets, wire))

    def fold(self, coarse: set[Ends]) -> None:
        """Sum up, pairs of `coarse` as a whole."""
        for outer, key, packets, wire in self.found:
            self.packets[outer if outer in coarse else key] += packets
            self.wire[outer if outer in coarse else key] += wire


@dataclass
class Comparison:
    """What two readings of a capture say."""
    name: str
    packets: int = 0
    wire: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    conversations: int = 0
    pairs: int = 0                      # compared as a whole, because tunnelled or fragmented
    unread: int = 0                    # frames refused although tshark sees an IP header in them
    moved: int = 0                      # packets whose conversation began in another tunnel
    differences: list[str] = field(default_factory=list)

    def line(self) -> str:
        """What is to be said of the capture, '' where nothing is."""
        words = list(self.differences[:5])
        if len(self.differences) > 5:
            words.append(f"and {len(self.differences) - 5} more")
        if self.unread:
            words.append(f"explained: {self.unread} frames refused, tshark sees an IP header in them ({', '.join(sorted(set(self.refused) & SEEN_BY_OTHERS))})")
        if self.moved:
            words.append(f"explained: {self.moved} packets in another tunnel than the first of their conversation")
        return f"{self.name}: {'; '.join(words)}" if words else ""


def ends(one: str, other: str) -> Ends:
    """Both addresses, in order."""
    return (one, other) if one <= other else (other, one)


def conversation(protocol: int, one: tuple[str, int], other: tuple[str, int]) -> Key:
    """The undirected 5-tuple; ports count only where the protocol has them."""
    if protocol not in PORTED:
        one, other = (one[0], 0), (other[0], 0)
    return (protocol, *sorted((one, other)))


def text(raw: bytes) -> str:
    """Sixteen bytes as the address people write."""
    six = IPv6Address(raw)
    return str(six.ipv4_mapped or six)


def ours(path: Path) -> tuple[Sums, Any]:
    """The rows of the engine, and what it says of the capture."""
    replayed = dpi.replay(path)
    sums = Sums()
    names = ["client_ip", "server_ip", "client_port", "server_port", "ip_protocol"]
    names += [f"{side}_{what}" for side in ("client", "server") for what in ("packets", "wire_bytes")]
    table = replayed.flows
    names += [name for name in ("tunnel", "outer_client_ip", "outer_server_ip") if name in table.column_names]
    for row in table.select(names).to_pylist():
        client, server = text(row["client_ip"]), text(row["server_ip"])
        outer = ends(client, server)
        if AROUND_IP & set((row.get("tunnel") or "").split("+")):
            outer = ends(text(row["outer_client_ip"]), text(row["outer_server_ip"]))
            sums.tunnelled.add(outer)
        sums.add(outer, conversation(row["ip_protocol"], (client, row["client_port"]), (server, row["server_port"])),
                 row["client_packets"] + row["server_packets"], row["client_wire_bytes"] + row["server_wire_bytes"])
    captured = replayed.outcome.captures[0]
    sums.other = sum(captured.refused.values())
    return sums, captured


def theirs(path: Path) -> Sums:
    """The same from tshark, which reassembles nothing and names nothing here."""
    command = ["tshark", "-r", str(path), "-n", "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-T", "fields",
               "-E", "occurrence=a", "-E", "aggregator=,"]
    for name in FIELDS:
        command += ["-e", name]
    # a capture that is cut ends tshark with a status of its own; the packets before the cut are what counts
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    sums = Sums()
    for line in done.stdout.splitlines():
        cells = {name: cell.split(",") if cell else [] for name, cell in zip(FIELDS, line.split("\t"), strict=False)}
        _frame(cells, sums)
    return sums


def _frame(cells: dict[str, list[str]], sums: Sums) -> None:
    """One frame of tshark: its outermost IP header."""
    layers = cells["frame.protocols"][0].split(":") if cells["frame.protocols"] else []
    headers = [layer for layer in layers[:_quotes(layers)] if layer in ("ip", "ipv6")]
    version = headers[0] if headers else ""
    if not version or not cells[f"{version}.src"] or not cells[f"{version}.dst"]:
        sums.other += 1
        return
    source, target = (str(ip_address(cells[f"{version}.{side}"][0])) for side in ("src", "dst"))
    protocol, fragment = _protocol(cells, version)
    outer = ends(source, target)
    if len(headers) > 1:
        sums.tunnelled.add(outer)
    if fragment:
        sums.fragmented.add(outer)
    ports = [0, 0]
    if protocol in PORTED:
        for k, side in enumerate(("src", "dst")):
            found = cells[f"{PORTED[protocol]}.{side}port"]
            ports[k] = int(found[0]) if found else 0
    sums.add(outer, conversation(protocol, (source, ports[0]), (target, ports[1])), 1, int(cells["frame.len"][0]))


def _quotes(layers: list[str]) -> int:
    """Where an ICMP message begins to quote another packet: what it quotes is no tunnel."""
    return next((k for k, layer in enumerate(layers) if layer in ("icmp", "icmpv6")), len(layers))


def _protocol(cells: dict[str, list[str]], version: str) -> tuple[int, bool]:
    """(IP protocol behind the extension headers, is it a fragment) of the outermost header."""
    if version == "ip":
        number = int(cells["ip.proto"][0]) if cells["ip.proto"] else -1
        return number, cells["ip.flags.mf"][:1] in (["1"], ["True"]) or cells["ip.frag_offset"][:1] not in ([], ["0"])
    number = int(cells["ipv6.nxt"][0]) if cells["ipv6.nxt"] else -1
    met: Counter[int] = Counter()
    while number in EXTENSIONS:
        following = cells[f"ipv6.{EXTENSIONS[number]}.nxt"]
        met[number] += 1
        if len(following) < met[number]:
            break
        number = int(following[met[number] - 1])
    return number, any(one not in ("0", "False") for name in ("offset", "more") for one in cells[f"ipv6.fraghdr.{name}"][:1])


def compare(path: Path) -> Comparison:
    """Both readings of one capture, and where they differ."""
    mine, captured = ours(path)
    return judge(Comparison(path.name, captured.packets, captured.wire_bytes, Counter(captured.refused)), mine, theirs(path))


def judge(told: Comparison, mine: Sums, other: Sums) -> Comparison:
    """Fill in what differs. `told` comes with what the engine says of the capture."""
    coarse = mine.tunnelled | other.tunnelled | mine.fragmented | other.fragmented
    for sums in (mine, other):
        sums.fold(coarse)
    in_rows = sum(mine.packets.values())
    told.conversations, told.pairs = len(mine.packets.keys() | other.packets.keys()), len(coarse)
    if told.packets != in_rows + mine.other:
        told.differences.append(f"{told.packets} packets read, {in_rows} in rows and {mine.other} refused")
    if told.packets != len(other.found) + other.other:
        told.differences.append(f"{told.packets} packets read, tshark reads {len(other.found) + other.other}")
    apart = {key: (other.packets[key] - mine.packets[key], other.wire[key] - mine.wire[key]) for key in mine.packets.keys() | other.packets.keys()}
    tunnels = [apart[key] for key in mine.tunnelled | other.tunnelled]
    if any(map(any, tunnels)) and sum(packets for packets, _ in tunnels) == sum(wire for _, wire in tunnels) == 0:
        told.moved = sum(abs(packets) for packets, _ in tunnels) // 2
        apart = {key: gap for key, gap in apart.items() if key not in mine.tunnelled | other.tunnelled}
    missing = {key: packets for key, (packets, wire) in apart.items() if packets > 0 and wire > 0}
    if sum(missing.values()) == mine.other - other.other <= sum(told.refused[reason] for reason in SEEN_BY_OTHERS):
        told.unread = sum(missing.values())
        apart = {key: gap for key, gap in apart.items() if key not in missing}
    told.differences += [f"{key}: {mine.packets[key]} packets, {mine.wire[key]} bytes; tshark {other.packets[key]}, {other.wire[key]}"
                         for key, gap in apart.items() if any(gap)]
    return told


def main() -> None:
    """Compare all captures of the directories given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", nargs="+", metavar="DIR")
    inputs = find(parser.parse_args().places)
    unread = [one for one in inputs.skipped if Path(one.name).suffix in CAPTURES]
    for one in unread:
        print(f"{Path(one.name).name}: not read: {one.why}", flush=True)
    done: list[Comparison] = []
    for one in inputs:
        done.append(compare(Path(one.path)))
        if done[-1].line():
            print(done[-1].line(), flush=True)
    refused = sum((one.refused for one in done), Counter())
    wrong, explained = sum(bool(one.differences) for one in done), sum(bool(one.line() and not one.differences) for one in done)
    print(f"{len(done)} captures, {sum(one.packets for one in done)} packets, {sum(one.wire for one in done)} wire bytes, "
          f"{sum(refused.values())} refused ({', '.join(f'{reason} {count}' for reason, count in refused.most_common())})")
    print(f"{sum(one.conversations for one in done)} sums compared, {sum(one.pairs for one in done)} of them whole address pairs (tunnelled or fragmented)")
    print(f"{len(done) - wrong - explained} captures equal, {explained} explained, {wrong} different, {len(unread)} not read")
    sys.exit(1 if wrong or unread or not done else 0)


if __name__ == "__main__":
    main()
