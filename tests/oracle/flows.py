"""The slow twin of the flow table: decoded packets in, the rows of `flows` out, by dicts and plain arithmetic.

Written from what docs/schema.md and the house say of a row, not from the kernels. `ends` of a row: why it ended, and whether it is the flow's last.

Out of its scope: a table that is full (eviction, folding), counters that would overflow, and everything that is learned from payload.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Any

from dpi.capture.frame import TUNNELS
from tests.oracle.decode import Twin

FIN, SYN, RST, ACK = 1, 2, 4, 16
SECOND, MINUTE, HOUR = 10**6, 60 * 10**6, 3600 * 10**6
REORDERING = 3000                   # us: what was overtaken arrives within this time, what was lost comes later
LONGEST = (1 << 32) - 1             # us: what a column can hold
SIDES = ("client", "server")
Row = dict[str, Any]


@dataclass
class Limits:
    """Seconds without a packet after which a flow has ended."""
    tcp: int = 300
    half_open: int = 30
    closed: int = 5
    udp: int = 120
    other: int = 60
    span: int = 60          # seconds: no row crosses a multiple of it


@dataclass(frozen=True)
class Change:
    """From `time` on the addresses first to last belong to another; in this VLAN and with this MAC address only, where they are given."""
    time: int
    first: str
    last: str
    vlan: int | None = None
    inner_vlan: int | None = None
    mac: str | None = None

    def cuts(self, row: Row, clock: int) -> bool:
        """Whether what is counted at `clock` is another row's than what was before."""
        if not row["interval_start"] < self.time <= clock:
            return False
        if self.vlan not in (None, row["vlan"]) or self.inner_vlan not in (None, row["inner_vlan"]):
            return False
        if self.mac not in (None, row["client_mac"], row["server_mac"]):
            return False
        return any(number(self.first) <= number(row[f"{side}_ip"]) <= number(self.last) for side in SIDES)


@dataclass
class Side:
    """What one side of a TCP connection has sent, in sequence numbers."""
    following: int | None = None    # the number expected next
    moved: int = 0                  # when it last moved
    heard: bool = False             # anything came from it
    acknowledged: int | None = None     # what it acknowledged first, while nothing came from the other side
    answered: bool = False          # by the other side, as its segments show


@dataclass
class Flow:
    """A flow while it lives."""
    about: Row                      # columns that are the same in all rows
    first: tuple[Any, ...]          # the end that sent the first packet
    client_first: bool
    start: int
    last: int
    protocol: int
    row: Row | None = None          # the open interval
    interval: int = 0
    syns: int = 0                   # of the client
    syn_acks: int = 0               # of the server
    syn_ack: int = 0                # when the first was seen
    established: bool = False
    fins: set[int] = field(default_factory=set)
    reset: bool = False
    request: int | None = None      # when the client last sent payload
    answered: bool = False
    ttl: list[int] = field(default_factory=lambda: [0, 0])
    dscp: list[int] = field(default_factory=lambda: [0, 0])
    sides: list[Side] = field(default_factory=lambda: [Side(), Side()])
    over: bool = False              # silent for too long: its next packet is another flow's

    @property
    def closed(self) -> bool:
        return self.reset or len(self.fins) == 2

    def reason(self) -> str:
        """Why it ended, if by itself."""
        return ("reset" if self.reset else "fin") if self.closed else "idle"


class Flows:
    """Takes frames in order; `finish` gives all rows."""

    def __init__(self, limits: Limits | None = None, key_vlan: bool = True, changes: Sequence[Change] = ()) -> None:
        self.limits = limits or Limits()
        self.changes = changes
        self.key_vlan = key_vlan
        self.decoder = Twin([1, 3, 5, 7], key_vlan)
        self.clock = self.epochs = self.packets = 0
        self.refused: dict[str, int] = {}
        self.live: dict[Any, Flow] = {}
        self.rows: list[Row] = []

    # ---- time
    @property
    def slot(self) -> int:
        """The part of time in which a row that is counted into now has to end."""
        return self.clock // (self.limits.span * SECOND)

    def limit(self, flow: Flow) -> int:
        """us without a packet after which the flow has ended."""
        limits = self.limits
        if flow.protocol != 6:
            return SECOND * (limits.udp if flow.protocol == 17 else limits.other)
        if flow.closed:
            return SECOND * limits.closed
        return SECOND * (limits.half_open if flow.syns and not flow.syn_acks else limits.tcp)

    def tick(self, time: int) -> None:
        """The packet clock never goes back, but by an hour and more: then it follows."""
        if abs(time - self.clock) > HOUR and self.clock:
            self.epochs += 1
            self.clock = time
        self.clock = max(self.clock, time)
        for key, flow in list(self.live.items()):
            silent = self.clock - flow.last
            if silent < 0:                      # of an epoch that is over
                self.end(key, flow, "idle")
            elif silent > self.limit(flow):
                flow.over = True

    # ---- packets
    def packet(self, frame: bytes, wire: int, link: int, time: int, number: int) -> None:
        """The next frame of the capture."""
        self.packets += 1
        packet = self.decoder.packet(frame, wire, link, time)
        self.tick(time)
        if packet["status"] != "decoded":
            self.refused[packet["status"]] = self.refused.get(packet["status"], 0) + 1
            return
        at, size = (packet["ip_at"] + 12, 4) if packet["version"] == 4 else (packet["ip_at"] + 8, 16)
        source = (frame[at:at + size], packet["source_port"])
        target = (frame[at + size:at + 2 * size], packet["target_port"])
        key = (packet["version"], packet["ip_protocol"], *((packet["vlan"], packet["inner_vlan"]) if self.key_vlan else (0, 0)), *sorted((source, target)))
        found = self.live.get(key)
        fresh_syn = packet["tcp_flags"] & (SYN | ACK | RST) == SYN
        if found and (found.over or (found.closed and fresh_syn)):
            self.end(key, found, found.reason())
            found = None
        if found is None:
            found = self.live[key] = self.born(frame, link, number, packet, source, target)
        self.count(found, packet, wire, source)

    def born(self, frame: bytes, link: int, number: int, packet: Row, source: Any, target: Any) -> Flow:
        """A flow that begins with this packet."""
        opener = opened_by_sender(packet, target[0])
        ends = (source, target) if opener else (target, source)
        icmp = packet["ip_protocol"] in (1, 58)
        macs = [frame[6:12].hex(":"), frame[:6].hex(":")] if link == 1 and len(frame) >= 12 else ["", ""]
        macs = ["" if mac == "00:00:00:00:00:00" else mac for mac in macs]
        outer = ["::", "::"]
        if "outer_at" in packet:
            at, size = (packet["outer_at"] + 12, 4) if frame[packet["outer_at"]] >> 4 == 4 else (packet["outer_at"] + 8, 16)
            outer = [text(frame[at:at + size]), text(frame[at + size:at + 2 * size])]
        about: Row = {"first_packet": number, "flow_start_time": self.clock, "ip_protocol": packet["ip_protocol"],
                      "midstream": packet["ip_protocol"] == 6 and not packet["tcp_flags"] & SYN, "vlan": packet["vlan"], "inner_vlan": packet["inner_vlan"],
                      "tunnel": "+".join(name for k, name in enumerate(TUNNELS) if k and packet["tunnel"] >> k & 1), "tunnel_id": packet["tunnel_id"],
                      "icmp_type": packet["icmp_type"] if icmp else 0, "icmp_code": packet["icmp_code"] if icmp else 0}
        for k, side in enumerate(SIDES):
            about[f"{side}_ip"], about[f"{side}_port"] = text(ends[k][0]), 0 if icmp else ends[k][1]
            about[f"{side}_mac"], about[f"outer_{side}_ip"] = macs[k == opener], outer[k == opener]
        return Flow(about, source, opener, self.clock, self.clock, packet["ip_protocol"])

    def count(self, flow: Flow, packet: Row, wire: int, source: Any) -> None:
        """A packet of a flow that lives."""
        if flow.row and (flow.row["slot"] != self.slot or any(one.cuts(flow.row, self.clock) for one in self.changes)):
            self.close(flow, {("active", False)})
        row = flow.row = flow.row or self.opened(flow)
        d = int((source == flow.first) != flow.client_first)
        side = SIDES[d]
        flow.last = row["interval_end"] = self.clock
        if not row[f"{side}_packets"]:
            flow.ttl[d], flow.dscp[d] = packet["ttl"], packet["dscp"]
        row[f"{side}_packets"] += 1
        row[f"{side}_bytes"] += packet["ip_bytes"]
        row[f"{side}_wire_bytes"] += wire
        row[f"{side}_payload_bytes"] += packet["payload_bytes"]
        flow.sides[d].heard = True
        if flow.protocol == 6 and packet["fragment"] != 2 and not packet["mangled"]:
            row[f"{side}_tcp_flags"] |= packet["tcp_flags"]
            self.handshake(flow, row, packet, d)
            if packet["tcp_flags"] & (SYN | RST | ACK) == ACK and not flow.sides[1 - d].heard:
                self.infer(flow, d, packet["ack"], row[f"{side}_payload_bytes"])
            if packet["window"] == 0 and not packet["tcp_flags"] & (SYN | FIN | RST):
                row[f"{side}_zero_windows"] += 1
            found = self.sequence(flow.sides[d], packet)
            if found:
                row[f"{side}_{found}"] += 1
        if packet["payload_bytes"] and not flow.answered and self.clock - flow.start < LONGEST:
            if d == 0:
                flow.request = self.clock
            elif flow.request is not None:
                row["server_response_us"], flow.answered = self.clock - flow.request, True

    def handshake(self, flow: Flow, row: Row, packet: Row, d: int) -> None:
        """SYN, SYN-ACK, ACK, FIN and RST (RFC 9293 sections 3.5, 3.6)."""
        flags = packet["tcp_flags"]
        if flags & RST:
            flow.reset = True
        elif flags & SYN:
            if d == 0 and not flags & ACK:
                flow.syns += 1
                row["client_mss"] = row["client_mss"] or packet["mss"] or None
            elif d == 1 and flags & ACK:
                flow.syn_acks += 1
                # what was sent twice cannot be timed (Karn), nor what was sent before the flow was seen
                if flow.syn_acks == flow.syns == 1 and not flow.about["midstream"]:
                    row["server_rtt_us"] = min(self.clock - flow.start, LONGEST - 1)
                flow.syn_ack = flow.syn_ack or self.clock
        elif not flags & FIN and flags & ACK and d == 0 and flow.syn_acks and not flow.established:
            flow.established = True
            if flow.syns < 2 and flow.syn_acks == 1:
                row["client_rtt_us"] = min(self.clock - flow.syn_ack, LONGEST - 1)
        if flags & FIN:
            flow.fins.add(d)

    def infer(self, flow: Flow, d: int, ack: int, sent: int) -> None:
        """The other side must be there: this one goes on after its SYN, acknowledges more than before, or has sent 8 MB."""
        side = flow.sides[d]
        if side.acknowledged is None:
            side.acknowledged = ack
        else:
            side.answered |= signed(ack - side.acknowledged) > 0 or sent > 1 << 23
        side.answered |= (flow.syns, flow.syn_acks)[d] > 0

    def sequence(self, side: Side, packet: Row) -> str:
        """What a segment is to the sequence numbers seen: '', out_of_order or retransmissions."""
        flags, length = packet["tcp_flags"], packet["payload_bytes"]
        size = length + bool(flags & SYN) + bool(flags & FIN)
        stop = (packet["seq"] + size) % (1 << 32)
        if side.following is None:
            if not flags & RST:
                side.following, side.moved = stop, self.clock
            return ""
        if not size:
            return ""
        behind = -signed(packet["seq"] - side.following)        # half the space away counts as behind
        since, found = self.clock - side.moved, ""
        if behind > 0 and not (behind == 1 and size == length == 1):        # one old octet is a keep-alive (RFC 9293 section 3.8.4)
            found = "out_of_order" if since <= REORDERING and not flags & SYN else "retransmissions"
        if behind <= 0 or signed(stop - side.following) > 0:
            side.following, side.moved = stop, self.clock
        return found

    # ---- rows
    def opened(self, flow: Flow) -> Row:
        """An interval with nothing counted."""
        row: Row = {**flow.about, "interval": flow.interval, "interval_start": self.clock, "interval_end": self.clock, "slot": self.slot,
                    "tags": [], "client_mss": None, "client_rtt_us": None, "server_rtt_us": None, "server_response_us": None}
        for side in SIDES:
            for name in ("packets", "bytes", "wire_bytes", "payload_bytes", "tcp_flags", "retransmissions", "out_of_order", "zero_windows"):
                row[f"{side}_{name}"] = 0
        flow.interval += 1
        return row

    def close(self, flow: Flow, ends: set[tuple[str, bool]]) -> None:
        """The open interval becomes a row."""
        if flow.row:
            for k, side in enumerate(SIDES):
                if flow.protocol == 6 and flow.sides[k].answered and not flow.sides[1 - k].heard:
                    flow.row["tags"] = ["one_sided"]
                flow.row[f"{side}_ttl"], flow.row[f"{side}_dscp"] = flow.ttl[k], flow.dscp[k]
            self.rows.append({**flow.row, "ends": ends})
            flow.row = None

    def end(self, key: Any, flow: Flow, reason: str) -> None:
        """The flow is over."""
        self.close(flow, {(flow.reason() if flow.closed else reason, True)})
        del self.live[key]

    def finish(self) -> list[Row]:
        """End every flow; all rows."""
        for key, flow in list(self.live.items()):
            row = flow.row
            if row and not flow.closed:
                self.close(flow, {("idle" if flow.over else "end", True)})
            self.end(key, flow, flow.reason())
        return self.rows


def opened_by_sender(packet: Row, target: bytes) -> bool:
    """Whether the sender of the first packet seen is the client."""
    protocol, source_port, target_port = packet["ip_protocol"], packet["source_port"], packet["target_port"]
    if protocol == 6:
        if packet["tcp_flags"] & SYN:
            return not packet["tcp_flags"] & ACK
        return not source_port < target_port            # picked up in the middle: servers have the lower port
    if protocol == 17:
        to_many = target[0] >= 224 if len(target) == 4 else target[0] == 255       # multicast, broadcast
        return not (source_port < 1024 <= target_port and not to_many)
    if packet["fragment"] == 2:
        return True                                     # its ICMP type was in another packet
    return (protocol, packet["icmp_type"]) not in ((1, 0), (58, 129))       # an echo reply


def signed(number: int) -> int:
    """A difference of sequence numbers between -2^31 and 2^31."""
    return (number + (1 << 31)) % (1 << 32) - (1 << 31)


def number(address: str) -> int:
    """An address as a number, IPv4 mapped."""
    one = ip_address(address)
    return int(one) if isinstance(one, IPv6Address) else int(one) | 0xFFFF << 32


def text(raw: bytes) -> str:
    """An address as people write it."""
    address = ip_address(raw)
    return str(address.ipv4_mapped or address) if isinstance(address, IPv6Address) else str(address)
