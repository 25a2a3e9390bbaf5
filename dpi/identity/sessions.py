"""Sessions learned on the wire: taps that hear of them, the table of leases, and who is told when an address changes hands.

One table for all shards, whoever heard. Where a shard hears in its own packets (a replay or a probe of one worker) its flows are cut at the very
packet; others are told before their next block. What became of leases goes to the table `sessions` of the store.
"""
from __future__ import annotations

import secrets
import threading
from collections import deque
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import numpy as np

from dpi.batch import Batch, Coded
from dpi.capture.tap import LISTENER, TAP
from dpi.dataclass import dataclass
from dpi.flow.table import ANY_VLAN, CHANGE
from dpi.identity.event import ANYWHERE, DHCP, EVENT, FOR_EVER, NETWORK, NO_ADDRESS, RADIUS, RESTART, SOURCES, START, STOP
from dpi.identity.lease import LEASE, LEASES, PEER, REASONS, STATE, TOLD
from dpi.identity.leases import learn_events
from dpi.identity.listener import listen
from dpi.jit import records, world

EVENTS = 4096                   # that wait between two looks at them; a block has as many packets
TOLD_ROOM = 2048
PEERS = 1 << 14
ROWS = 1 << 16                  # of the table `sessions` that wait to be written
FOLLOWED = 4096                 # sets of changes that wait for a shard that does nothing
WORDS = {number: word for word, number in SOURCES.items()}
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True)
class Learning:
    """What is learned. kinds: bits of dpi.identity.event.SOURCES; trusted: whose accounting is believed, servers: whose DHCP, none: everybody's; seconds: that
    a lease without a lifetime is believed after it was last heard of, 0: for ever; most: leases kept; any_scope: VLANs are not told apart."""
    kinds: int = 0
    trusted: tuple[IPv4Network | IPv6Network, ...] = ()
    seconds: int = 604_800
    most: int = 1 << 17
    any_scope: bool = False
    servers: tuple[IPv4Network | IPv6Network, ...] = ()


class Tap:
    """What one intake hears. `listener` is for the intake, `row` has the counters."""

    def __init__(self, sessions: Sessions) -> None:
        learning, key, self._sessions = sessions.learning, sessions.key, sessions
        self.events, self._taps = records(EVENTS, EVENT), records(1, TAP)
        self.row = self._taps[0]
        self.row.listen = listen.address()
        self.row.key0, self.row.key1 = key
        self.row.any_scope = learning.any_scope
        self.listener = records(1, LISTENER)
        self.limit()

    def learn(self) -> None:
        """Take what was noted into the table of all."""
        if self.row.heard:
            self._sessions.hear(self)

    def limit(self) -> None:
        """Listen for what the sessions want to learn. Nobody may be listening meanwhile."""
        learning = self._sessions.learning
        self.row.kinds = learning.kinds
        networks = [(RADIUS, one) for one in learning.trusted] + [(DHCP, one) for one in learning.servers]
        self._trusted = records(len(networks), NETWORK)
        for place, (kind, network) in zip(self._trusted, networks, strict=True):
            place.kind = kind
            mapped = network.version == 4
            length = network.prefixlen + (96 if mapped else 0)
            address = int(network.network_address) | (0xFFFF << 32 if mapped else 0)
            mask = (1 << 128) - (1 << (128 - length))
            place.high, place.low = address >> 64, address & (1 << 64) - 1
            place.mask_high, place.mask_low = mask >> 64, mask & (1 << 64) - 1
        self._made = world(LISTENER, {"taps": self._taps, "events": self.events, "trusted": self._trusted})
        self.listener[0] = self._made[0]


class Sessions:
    """All leases. Any thread may call anything; `lock` is held by who learns and by who looks up."""

    def __init__(self, learning: Learning, key: tuple[int, int] | None = None) -> None:
        """key: of the digests; by default a fresh one."""
        self.learning, self.key = learning, key or (secrets.randbits(64), secrets.randbits(64))
        self.lock = threading.Lock()
        self.taps: list[Tap] = []
        size = 1 << max(learning.most - 1, 1023).bit_length()
        self._states = records(1, STATE)
        self.state = self._states[0]
        self.leases = records(learning.most + 1, LEASE)
        self._told = records(TOLD_ROOM, TOLD)
        self.arrays = {"lease_state": self._states, "leases": self.leases, "lease_places": np.zeros(size, np.uint32),
                       "session_places": np.zeros(size, np.uint32), "peers": records(PEERS, PEER), "told": self._told}
        self.world = world(LEASES, self.arrays)
        self.state.key0, self.state.key1 = self.key
        self.limit(learning)
        self._followers: list[deque[Any]] = []
        self._rows: list[Any] = []
        self._waiting = 0
        self.rows_lost = 0

    def limit(self, learning: Learning) -> None:
        """These settings hold from now on, for each tap once its own `limit` was called; the size of the table stays what it is."""
        self.learning = learning
        self.state.lasting = learning.seconds * 1_000_000 if learning.seconds else FOR_EVER

    def tap(self) -> Tap:
        """One more intake will hear."""
        made = Tap(self)
        self.taps.append(made)
        return made

    def follow(self) -> deque[Any]:
        """Where changes, CHANGE[], are put from now on, for a shard to take them."""
        made: deque[Any] = deque(maxlen=FOLLOWED)
        with self.lock:
            self._followers.append(made)
        return made

    def hear(self, tap: Tap) -> None:
        """Learn what a tap has noted, and tell who follows."""
        with self.lock:
            first, count = 0, int(tap.row.heard)
            while first < count:
                first = learn_events(self.world, tap.events, first, count)
                self._pass_on()
            tap.row.heard = 0

    def _pass_on(self) -> None:
        count = int(self.state.told)
        if not count:
            return
        self.state.told = 0
        told = np.array(self._told[:count]).view(np.ndarray)
        changes = changes_of(told)
        for follower in self._followers:
            follower.append(changes)
        if self._waiting + count > ROWS:
            self.rows_lost += count
            return
        self._rows.append(told)
        self._waiting += count

    def take_rows(self) -> Any:
        """TOLD[] of what became of leases since this was asked last."""
        with self.lock:
            rows, self._rows, self._waiting = self._rows, [], 0
        return np.concatenate(rows) if rows else np.zeros(0, TOLD)

    @property
    def crowded(self) -> bool:
        """Whether rows had better be written before more is learned."""
        return self._waiting > ROWS // 2

    def counters(self) -> dict[str, int]:
        """What was heard and learned so far, and what was not."""
        state = self.state
        heard = {name: sum(int(tap.row[name]) for tap in self.taps)
                 for name in ("radius", "dhcp", "pppoe", "radius_bad", "dhcp_bad", "pppoe_bad", "untrusted", "lost")}
        return heard | {name: int(state[name]) for name in ("open", "started", "stopped", "replaced", "expired", "evicted", "restarted", "stale", "unknown",
                                                            "refused")} | {"rows_lost": self.rows_lost}


#: Counters of `Sessions` that a replay shows, where they are not 0.
SHOWN = ("started", "restarted", "expired", "evicted", "untrusted", "radius_bad", "dhcp_bad", "pppoe_bad", "lost", "stale", "unknown", "refused", "rows_lost")


def changes_of(told: Any) -> Any:
    """CHANGE[n]: whose addresses change by TOLD[n]."""
    made = records(len(told), CHANGE)
    if not len(told):
        return made
    length = np.where(told["length"] == NO_ADDRESS, 0, told["length"]).astype(np.int64)
    made["time"] = told["time"]
    high_bits, low_bits = np.clip(64 - length, 0, 64), np.clip(128 - length, 0, 64)
    made["low"][:, 0], made["low"][:, 1] = told["high"], told["low"]
    made["high"][:, 0] = told["high"] | _ones(high_bits)
    made["high"][:, 1] = told["low"] | _ones(low_bits)
    anywhere = told["scope"] == ANYWHERE
    made["vlan"] = np.where(anywhere, ANY_VLAN, told["scope"] >> 12)
    made["inner_vlan"] = np.where(anywhere, ANY_VLAN, told["scope"] & 0xFFF)
    return made


def _ones(bits: Any) -> Any:
    """So many ones at the end of a word."""
    shift = np.minimum(64 - bits, 63).astype(np.uint64)
    return np.where(bits == 0, np.uint64(0), _ALL >> shift)


def rows_of(told: Any, *, probe: str, source: str, capture_id: int, services: Coded, customers: Coded, stored_time: int) -> Batch:
    """A batch of the table `sessions`. services, customers: of each of TOLD[n], '' where nobody's is bound."""
    count = len(told)
    address = np.zeros((count, 16), np.uint8)
    address[:, :8] = told["high"].astype(">u8")[:, None].view(np.uint8).reshape(count, 8)
    address[:, 8:] = told["low"].astype(">u8")[:, None].view(np.uint8).reshape(count, 8)
    v4 = (told["high"] == 0) & (told["low"] >> np.uint64(32) == 0xFFFF)
    length = told["length"].astype(np.uint8)
    length = np.where(length == NO_ADDRESS, 0, np.where(v4, length - 96, length)).astype(np.uint8)
    anywhere = told["scope"] == ANYWHERE
    actions = {START: "start", STOP: "stop", RESTART: "restart"}
    return Batch("sessions", count, {
        "time": told["time"].copy(), "probe": Coded.same(probe, count), "source": Coded.same(source, count),
        "capture_id": np.full(count, capture_id, np.uint64),
        "action": Coded.of(actions.get(int(one), "update") for one in told["action"]), "reason": Coded.of(REASONS[int(one)] for one in told["reason"]),
        "learned_from": Coded.of(WORDS.get(int(one), "") for one in told["source"]), "since": told["begin"].copy(),
        "address": address, "prefix_length": length,
        "vlan": np.where(anywhere, 0, told["scope"] >> 12).astype(np.uint16), "inner_vlan": np.where(anywhere, 0, told["scope"] & 0xFFF).astype(np.uint16),
        "any_vlan": anywhere.astype(np.uint8),
        **{name: told[name].copy() for name in ("user", "circuit", "mac", "session", "nas")},
        "service_id": services, "customer_id": customers, "stored_time": np.full(count, stored_time, np.int64)})
