"""What a probe knows of itself at a moment: what its metrics, its health page and its coverage rows are made of.

Counts run since the probe began; `lost` of a worker names where packets were lost, LOSSES in their order from the wire on.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

from dpi.dataclass import dataclass

#: Where something is lost: the card, the kernel's queues, the ring, the flow table (evicted), first bytes and facts (no room).
LOSSES = ("nic", "kernel", "ring", "table", "arena")


@dataclass(frozen=True)
class WorkerHealth:
    """One worker on one interface."""
    interface: str
    number: int
    packets: int = 0                # frames taken from the ring
    wire_bytes: int = 0
    refused: dict[str, int] = field(default_factory=dict)       # frames in no flow, by reason
    lost: dict[str, int] = field(default_factory=dict)          # by LOSSES
    flows: int = 0                  # opened
    live: int = 0                   # in the table now
    folded: int = 0                 # half-open flows folded into one of their server, port and client prefix or a coarser one
    level: int = 0                  # of pressure: 0 all work is done; each further one gives up more
    given_up: int = 0               # rows of dns, tls, http and files that were not made, under pressure or for want of room
    trouble: str = ""               # why the interface gives nothing, '' where it does
    duplicates: int = 0             # frames left out as copies by a mirror, not among `packets`
    tcp_packets: int = 0            # of rows that left, and
    one_sided_packets: int = 0      # those of them whose flow was seen in one direction only
    one_sided_flows: int = 0        # such flows that ended
    kept: int = 0                   # packets in the ring on disk, also those that have left it
    unkept: int = 0                 # packets that were not kept: the disk was slow, full or failing
    opened: int = 0                 # packets kept with their content, for a case


@dataclass(frozen=True)
class RingHealth:
    """The packet ring on disk."""
    bytes: int = 0                  # on disk
    limit: int = 0                  # bytes it may hold; 0: there is no ring
    oldest: float = 0.0             # s since the epoch, its oldest packet; 0: it is empty
    cases: int = 0                  # that open content now
    trouble: str = ""               # why packets are not kept, '' where they are


@dataclass(frozen=True)
class DetectionHealth:
    """What looks for attacks and faults. counters: dpi.security.watchman.Watchman.counters. raised: alerts by kind and severity, the kind first."""
    counters: dict[str, int] = field(default_factory=dict)
    raised: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class StoreHealth:
    """The way into the store."""
    rows: int = 0                   # accepted
    lost: int = 0                   # for good: no room for them before the store took them, or it refused them
    waiting: int = 0                # rows not yet accepted, in memory or on disk
    spool_bytes: int = 0            # on disk
    lag: float = 0.0                # s since the oldest row that waits was made
    away: str = ""                  # why it can't be reached, '' where it can
    refused: int = 0                # of those lost, what the store refused
    expired: int = 0                # rows dropped because they were older, or the store larger, than its budget says


@dataclass(frozen=True)
class IdentityHealth:
    """Whose addresses are."""
    lines: int = 0                  # of the bindings file
    in_force: int = 0               # of them, those that hold now
    reloads: int = 0                # of the file, since the probe began
    refused: int = 0                # changes of the file that were not taken, for an error in it
    loaded: float = 0.0             # s since the epoch, when what is in force was read; 0: nothing is
    trouble: str = ""               # why the last change was not taken


@dataclass(frozen=True)
class UsageHealth:
    """Usage of services, computed from what is stored."""
    slots: int = 0                  # minutes and hours of usage written, of all three tables
    revised: int = 0                # of those, such as were closed before: flows were stored late
    failures: int = 0               # passes that could not be done
    until: float = 0.0              # s since the epoch: the first minute that is not closed; 0: not known
    trouble: str = ""               # why the last pass could not be done, '' where it could


@dataclass(frozen=True)
class ReportsHealth:
    """Scheduled reports."""
    made: int = 0
    failed: int = 0                 # attempts
    waiting: int = 0                # messages that some recipient has not got


@dataclass(frozen=True)
class ReceiverHealth:
    """One receiver of alerts."""
    name: str
    kind: str
    sent: int = 0                   # states of alerts that it took
    failed: int = 0                 # attempts that it did not take and that are made again
    waiting: int = 0                # that it has not got
    refused: int = 0                # that it will never take; set aside
    dropped: int = 0                # lost: no room for them, or their file was damaged
    spool_bytes: int = 0            # on disk
    trouble: str = ""               # why the last attempt failed, '' where it did not
    silenced: int = 0               # states that were not sent: a person has muted them, or their network was in maintenance


@dataclass(frozen=True)
class Health:
    """All of it."""
    probe: str
    version: str
    rules_version: str
    began: float                    # s since the epoch
    now: float
    workers: tuple[WorkerHealth, ...] = ()
    store: StoreHealth = StoreHealth()
    reloads: int = 0                # of rules and settings, since it began
    reload_failed: str = ""         # why the last one was refused
    ring: RingHealth = RingHealth()
    identity: IdentityHealth = IdentityHealth()
    usage: UsageHealth = UsageHealth()
    sessions: dict[str, int] = field(default_factory=dict)      # see dpi.identity.sessions: counts, and `open`, leases that hold now
    reports: ReportsHealth = ReportsHealth()
    detection: DetectionHealth = DetectionHealth()
    receivers: tuple[ReceiverHealth, ...] = ()      # of alerts; whether they can be reached says nothing about the probe

    @property
    def trouble(self) -> str:
        """Why it is not ready, in words; '' where it is."""
        if not self.workers:
            return "no interface is being read"
        return self.store.away or next((f"{worker.interface}: {worker.trouble}" for worker in self.workers if worker.trouble), "")


#: Asked at any time, from any thread.
Ask = Callable[[], Health]
