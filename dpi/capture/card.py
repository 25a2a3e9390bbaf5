"""A network card's settings, asked of its driver without the program ethtool; whoever may open a socket may ask.

Source: include/uapi/linux/ethtool.h (ioctl SIOCETHTOOL), if_link.h, netlink(7).
"""
from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path

from dpi.dataclass import dataclass

SIOCETHTOOL = 0x8946
DRIVER, RINGS, STRINGS, QUEUES, SET_SIZE, FEATURES = 0x03, 0x10, 0x1B, 0x2D, 0x37, 0x3A     # ETHTOOL_G*
FEATURE_NAMES = 4               # ETH_SS_FEATURES
NAME = 32                       # bytes of a name
MOST_FEATURES = 1024
RTM_GETLINK, NLM_F_REQUEST, LINK, LINK_NETNSID = 18, 1, 5, 37
#: Features that make several frames one before they are read: the kernel's name, and what `ethtool -K` calls it.
MERGING = {"rx-gro": "gro", "rx-lro": "lro", "rx-gro-hw": "rx-gro-hw", "rx-gro-list": "rx-gro-list"}
#: Those by which a sender leaves it to its card to cut what it sends; across a veth nobody does.
UNCUT = {"tx-tcp-segmentation": "tso", "tx-tcp6-segmentation": "tso", "tx-generic-segmentation": "gso", "tx-udp-segmentation": "tx-udp-segmentation"}


@dataclass(frozen=True)
class Feature:
    """One offload. fixed: the driver does not let it be changed."""
    on: bool
    fixed: bool


@dataclass(frozen=True)
class Card:
    """What a driver says; '' and 0 where it does not."""
    driver: str = ""
    features: dict[str, Feature] = field(default_factory=dict)     # by the kernel's names
    ring: int = 0                   # frames that the receive ring holds, of each queue
    most: int = 0                   # that it could hold
    queues: int = 0                 # of receiving

    def on(self, names: dict[str, str], fixed: bool = False) -> list[str]:
        """Those of `names` that are on and can be turned off, or of which the driver does not let that, as ethtool calls them."""
        return list(dict.fromkeys(said for name, said in names.items() if (one := self.features.get(name)) is not None and one.on and one.fixed == fixed))


def card_of(interface: str) -> Card:
    """Ask the driver of an interface. What it does not know stays as it is in Card; of an interface that is not there nothing is known."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        driver = _ask(asked, interface, struct.pack("I192x", DRIVER))
        rings = _ask(asked, interface, struct.pack("9I", RINGS, *[0] * 8))
        queues = _ask(asked, interface, struct.pack("2IQ", QUEUES, 0, 0) + bytes(512))
        most, ring = (struct.unpack_from("I", rings, at)[0] for at in (4, 20)) if rings else (0, 0)
        return Card(driver[4:36].split(b"\0")[0].decode("ascii", "replace") if driver else "", _features(asked, interface), ring, most,
                    min(struct.unpack_from("Q", queues, 8)[0], 4096) if queues else 0)


def _features(asked: socket.socket, interface: str) -> dict[str, Feature]:
    size = _ask(asked, interface, struct.pack("2IQI", SET_SIZE, 0, 1 << FEATURE_NAMES, 0))
    count = min(struct.unpack_from("I", size, 16)[0], MOST_FEATURES) if size else 0
    words = (count + 31) // 32
    names = _ask(asked, interface, struct.pack("3I", STRINGS, FEATURE_NAMES, count) + bytes(NAME * count))
    states = _ask(asked, interface, struct.pack("2I", FEATURES, words) + bytes(16 * words))
    if not count or not names or not states:
        return {}
    found = {}
    for k in range(count):
        name = names[12 + NAME * k:12 + NAME * (k + 1)].split(b"\0")[0].decode("ascii", "replace")
        available, _, active, never = struct.unpack_from("4I", states, 8 + 16 * (k // 32))
        found[name] = Feature(bool(active >> k % 32 & 1), bool(never >> k % 32 & 1) or not available >> k % 32 & 1)
    return found


def _ask(asked: socket.socket, interface: str, question: bytes) -> bytes:
    """The structure that the driver filled in; b'' where it does not know the question."""
    place = ctypes.create_string_buffer(question, len(question))
    try:
        fcntl.ioctl(asked, SIOCETHTOOL, struct.pack("16sP16x", interface.encode()[:15], ctypes.addressof(place)))
    except OSError:
        return b""
    return place.raw


def peer_of(interface: str) -> str:
    """The other end of a veth, '' where that is in another namespace, or not known (RTM_GETLINK, see rtnetlink(7))."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as asked:
            asked.settimeout(1)
            asked.send(struct.pack("IHHII", 32, RTM_GETLINK, NLM_F_REQUEST, 1, 0) + struct.pack("BxHiII", 0, 0, socket.if_nametoindex(interface), 0, 0))
            said = asked.recv(1 << 16)
        known = dict(_attributes(said, 32))
        if LINK not in known or LINK_NETNSID in known:      # the number is of another namespace
            return ""
        return socket.if_indextoname(struct.unpack("I", known[LINK])[0])
    except (OSError, struct.error):
        return ""


def _attributes(said: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Type and content of each attribute."""
    while at + 4 <= len(said):
        length, kind = struct.unpack_from("HH", said, at)
        if length < 4 or at + length > len(said):
            return
        yield kind, said[at + 4:at + length]
        at += (length + 3) & ~3


def speaks_ipv6(interface: str) -> bool:
    """Whether this machine speaks IPv6 on an interface: it would send there."""
    try:
        return Path(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6").read_text().strip() == "0"
    except OSError:
        return False


def may_read_packets() -> bool:
    """Whether this process may open packet sockets (CAP_NET_RAW)."""
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0):
            return True
    except (OSError, AttributeError):
        return False
