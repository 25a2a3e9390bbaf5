"""Made-up messages of DNS for detectors, as TRANSACTION records in a batch, and frames of the segment."""
from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any

import numpy as np

from dpi.batch import Batch, Coded
from dpi.flow.facts import TRANSACTION
from dpi.flow.messages import DNS, DNS_CODE, DNS_NAME, DNS_RESPONSE, DNS_TYPE
from dpi.jit import records
from tests.security.made import BEGIN, SECOND, watch, words

A, TXT, NULL = 1, 16, 10
CLIENT, RESOLVER = "192.0.2.40", "203.0.113.53"
Message = dict[str, Any]


def asked(name: str, at: float = 0, client: str = CLIENT, kind: int = A, server: str = RESOLVER) -> Message:
    return {"name": name, "at": at, "client": client, "kind": kind, "server": server, "code": -1}


def answered(name: str, code: int = 3, at: float = 0, client: str = CLIENT, kind: int = A) -> Message:
    return {**asked(name, at, client, kind), "code": code}


def batch(messages: Iterable[Message], whose: Callable[[Any], Any] | None = None) -> Batch:
    """A batch of `dns`; between the records lie others, of another table."""
    every = list(messages)
    made = records(2 * len(every), TRANSACTION)
    for k, message in enumerate(every):
        one, text = made[2 * k], message["name"].encode()
        one.table, one.texts, one.flow, one.time = DNS, DNS_NAME + 1, 100 + k, BEGIN + int(message["at"] * SECOND)
        one.client[:], one.server[:] = words(message["client"]), words(message["server"])
        one.text[:len(text)] = np.frombuffer(text, np.uint8)
        one.ends[DNS_NAME] = len(text)
        one.numbers[DNS_TYPE], one.numbers[DNS_RESPONSE], one.numbers[DNS_CODE] = message["kind"], int(message["code"] >= 0), max(message["code"], 0)
    count = len(every)
    columns = {"probe": Coded.same("test", count), "capture_id": np.full(count, 7, np.uint64), "flow_id": np.arange(count, dtype=np.uint64) + 100}
    return Batch("dns", count, columns, made, np.arange(count) * 2, whose)


def found(messages: Iterable[Message], only: str = "", **options: Any) -> list[dict[str, Any]]:
    """What they make fire, as rows of `detections`; of one kind alone where it is named."""
    from dpi.security.registry import configured

    watchman, sink, _ = watch([one for one in configured(options) if not only or one.detector.kind == only])
    watchman.write(batch(messages))
    watchman.end()
    return sink.rows["detections"]


# ---- frames

MACS = {name: bytes((2, 0, 0, 0, 0, number)) for number, name in enumerate(("gateway", "host", "rogue"), 1)}


def frame(sender: str, kind: int, body: bytes, vlans: tuple[int, ...] = ()) -> bytes:
    tags = b"".join(struct.pack(">HH", 0x8100, vlan) for vlan in vlans)
    return b"\xff" * 6 + MACS[sender] + tags + struct.pack(">H", kind) + body


def arp(sender: str, address: str, operation: int = 2, vlans: tuple[int, ...] = ()) -> bytes:
    """A frame of ARP that says who has `address`."""
    raw = ip_address(address).packed
    return frame(sender, 0x0806, struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation) + MACS[sender] + raw + b"\xff" * 6 + raw, vlans).ljust(60, b"\0")


def advertisement(sender: str, address: str, hops: int = 255, vlans: tuple[int, ...] = ()) -> bytes:
    """A router advertisement."""
    body = struct.pack(">BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    head = struct.pack(">IHBB", 6 << 28, len(body), 58, hops) + ip_address(address).packed + ip_address("ff02::1").packed
    return frame(sender, 0x86DD, head + body, vlans)


def offered(sender: str, address: str, named: str = "", vlans: tuple[int, ...] = ()) -> bytes:
    """An offer of DHCP from `address`, whose server names itself `named`."""
    raw = ip_address(address).packed
    said = b"\x36\x04" + ip_address(named).packed if named else b""
    body = struct.pack(">BBBB", 2, 1, 6, 0) + bytes(232) + b"\x63\x82\x53\x63\x35\x01\x02" + said + b"\xff"
    layer = struct.pack(">HHHH", 67, 68, 8 + len(body), 0) + body
    return frame(sender, 0x0800, struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(layer), 0, 0, 64, 17, 0) + raw + b"\xff" * 4 + layer, vlans)


def advertised(sender: str, address: str, kind: int = 2) -> bytes:
    """An advertisement of a DHCPv6 server."""
    body = bytes((kind, 1, 2, 3))
    layer = struct.pack(">HHHH", 547, 546, 8 + len(body), 1) + body
    head = struct.pack(">IHBB", 6 << 28, len(layer), 17, 64) + ip_address(address).packed + ip_address("fe80::9").packed
    return frame(sender, 0x86DD, head + layer)
