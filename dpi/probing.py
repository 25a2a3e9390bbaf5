"""The probe: interfaces read day and night, by workers (dpi/worker.py) that each have a ring, an intake and a shard of their own."""
from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpi.batch import Sink
from dpi.behind import Behind
from dpi.capture import cases
from dpi.capture.bpf import BadFilter, assemble
from dpi.capture.duplicates import unique
from dpi.capture.intake import Intake
from dpi.capture.live import walk_ring
from dpi.capture.processors import processors
from dpi.capture.ring import Ring
from dpi.capture.segments import Segments
from dpi.capture.sighting import Sightings
from dpi.capture.source import open_source, places_of
from dpi.classify.resolutions import Resolutions
from dpi.covered import Covered
from dpi.detection import detectors_of, watchman_of
from dpi.engine import entries
from dpi.errors import UserError
from dpi.health import DetectionHealth, Health, ReceiverHealth, ReportsHealth, RingHealth, StoreHealth, UsageHealth
from dpi.identification import learning_of, options_of
from dpi.identity.following import Following
from dpi.identity.holders import Holders
from dpi.identity.remembered import Remembered, put_back
from dpi.identity.stamp import stamp
from dpi.jit import Entry
from dpi.native import warm
from dpi.output import Limits, Origin
from dpi.pinging import targets
from dpi.replaying import limits
from dpi.rules import RuleSet, load
from dpi.settings import Settings, changes
from dpi.shard import Shard
from dpi.sinks.announcer import checked
from dpi.worker import Change, Worker

if TYPE_CHECKING:
    from dpi.identity.stamper import Identity
    from dpi.security.standing import Standing

OUTPUTS = 3                 # of a shard: one is being written, one may wait, one fills
log = logging.getLogger("dpi.probe")


class Probe:
    """All workers, from their start to the last row."""

    def __init__(self, settings: Settings, sinks: Sequence[Sink], covered: Covered | None = None, standing: Standing | None = None) -> None:
        """covered: until when this probe had read before. standing: which alerts were open then.

        UserError: no such interface, no permission, a filter that libpcap refuses, a rules file with an error."""
        self.settings, self.watchman = settings, watchman_of(settings, list(sinks), live=True, standing=standing)
        self._sinks: list[Sink] = [*sinks, *([self.watchman] if self.watchman is not None else [])]
        asked = settings.probe
        self.places = places_of(asked.interfaces)
        self.interfaces = [place.interface for place in self.places]
        self.workers: list[Worker] = []
        programs = self._programs(settings)
        cores = processors(asked.cores)
        self.reloads, self.reload_failed = 0, ""
        self.rules: RuleSet = _load(settings)
        self.identity = Following(options_of(settings))
        wanted: list[Any] = [kernel for sink in self._sinks for kernel in getattr(sink, "kernels", ())]
        wanted = [walk_ring, stamp, *Holders.kernels, put_back, *([unique] if asked.dedup else []), *self._callbacks(), *wanted]
        warm([*entries(self.rules), *wanted], lambda words: print(f"fullspan: {words}", file=sys.stderr, flush=True))
        self.stop = threading.Event()
        self.expired: Callable[[], int] = lambda: 0         # rows that the store has dropped for their age or for want of room
        self.usage: Callable[[], UsageHealth] = UsageHealth
        self.reported: Callable[[], ReportsHealth] = ReportsHealth
        self.receivers: Callable[[], tuple[ReceiverHealth, ...]] = tuple
        self.also: list[Callable[[], None]] = []            # called about once a second while it runs
        self.name = asked.name or socket.gethostname()
        self.boot, self.began = secrets.randbits(24), time.time()
        workers = [(place, number) for place in self.places for number in range(1 if place.libpcap else asked.workers)]
        self.remembered = Remembered(covered.beside("sessions.state") if covered is not None else None, learning_of(settings, self.identity.identity))
        self.holders = Holders(self.remembered.sessions)
        if self.watchman is not None:
            self.watchman.begin(self.name, 0)
        part = self._limits(settings, len(workers))
        self.table_flows = part.flows
        resolutions, lock = Resolutions(), threading.Lock()
        seed = Intake(part.key_vlan, 1).seed
        self.ring, self.cases = self._make_ring(len(workers)), self._read_cases(settings)
        for nth, (place, number) in enumerate(workers):
            name = place.interface
            fanout = (os.getpid() + self.interfaces.index(name)) & 0xFFFF if asked.workers > 1 else None
            if place.libpcap and (place.why or asked.workers > 1):
                log.warning("read through libpcap, by one worker", extra={"interface": name, "why": place.why or "asked for"})
            live = open_source(place, ring_bytes=asked.ring_mb << 20, promiscuous=bool(asked.promiscuous), fanout=fanout,
                               program=programs.get(place.link), words=asked.filter)
            keeper = self.ring.keeper(name, number, live.link) if self.ring is not None else None
            sightings = Sightings(None if self.watchman is None else self.watchman.hears)
            shard = Shard(self.rules, part, self._sinks, Intake(part.key_vlan, part.seconds, seed, self.holders.sessions.tap(), sightings), resolutions,
                          OUTPUTS, Behind(), lock, keeper, self.holders)
            shard.number_flows(nth, len(workers))
            shard.identify(self.identity.identity)
            shard.begin(Origin(name, probe=self.name, boot=self.boot, interfaces=[name]))
            self.workers.append(Worker(name, number, live, shard, self._sinks, self.stop, not nth, bool(asked.dedup),
                                       cores[nth % len(cores)] if cores else None, keeper))
        for worker in self.workers:
            worker.crew = len(self.workers)
        if self.ring is not None:
            self.ring.tables(self.cases)        # what is wrong with them is told before anything is read
        if covered is not None:
            for worker in self.workers:
                worker.covered = partial(covered.note, worker.interface, sum(one.interface == worker.interface for one in self.workers))
                worker.missed(covered.until(worker.interface))

    def run(self, seconds: float | None, each: Callable[[], None]) -> None:
        """Read until `stop` is set or so many seconds have passed, then write what is left. each: called about once a second."""
        if self.ring is not None:
            self.ring.open(self.cases)
            self.ring.start()
        for worker in self.workers:
            worker.thread.start()
        self.identity.start(self._identify)
        end = None if seconds is None else time.monotonic() + seconds
        while not self.stop.wait(1 if end is None else min(1.0, max(0.0, end - time.monotonic()))):
            each()
            self.remembered.write()
            for call in self.also:
                call()
            if self.watchman is not None:
                self.watchman.tick(time.time_ns() // 1000)
            if end is not None and time.monotonic() >= end:
                break
        self.stop.set()
        self.identity.close()
        for worker in self.workers:
            worker.thread.join()
        if self.watchman is not None:
            self.watchman.stop()
        if self.ring is not None:
            self.ring.close()
        for worker in self.workers:
            if worker.failed is not None:
                raise worker.failed
        self.remembered.write(always=True)
        for worker in self.workers:
            worker.shard.forget()
            worker.live.close()

    def reload(self, read: Callable[[], Settings]) -> list[str]:
        """Read settings and rules anew; each worker takes them between two blocks. The settings that changed, as 'section.name'.

        With an error in them, or a setting that needs a restart, all are refused and those in force stay: `reload_failed` says why."""
        try:
            settings = read()
            differing = changes(self.settings, settings)
            if fixed := [name for name, live in differing.items() if not live]:
                raise UserError(f"{', '.join(fixed)} can't be changed while it runs, and nothing else was", settings.origin,
                                "restart the probe, or change it back")
            programs, rules = self._programs(settings), _load(settings)
            targets(settings.ping)          # a fault in them refuses all
            checked(settings)
            armed = None if self.watchman is None else detectors_of(settings)
            opened = self._read_cases(settings)
            known = self.identity.read(options_of(settings))
            learning_of(settings, None)         # its words are looked at before anything is taken
            if self.ring is not None:
                self.ring.open(opened)
        except UserError as error:
            self.reload_failed = str(error)
            return []
        known()
        self.reload_failed, self.rules, self.settings, self.cases = "", rules, settings, opened
        self.reloads += 1
        if self.watchman is not None and armed is not None:
            asked = settings.detect
            self.watchman.rearm(*armed, asked.quiet, asked.cooldown, asked.max_keys)
        self.holders.sessions.limit(learning_of(settings, self.identity.identity))
        for worker in self.workers:
            worker.next = Change(rules, self._limits(settings, len(self.workers)), programs.get(worker.live.link), settings.probe.filter)
        return list(differing)

    def _identify(self, identity: Identity | None, changes: Any) -> None:
        """Bindings that were read anew: each worker takes them between two blocks, and what is to be learned then."""
        self.holders.sessions.limit(learning_of(self.settings, identity))
        if identity is not None:
            self.holders.held(identity.bindings)        # here, where no packet waits for it
        for worker in self.workers:
            worker.whose.append((identity, changes))

    def _programs(self, settings: Settings) -> dict[int, Any]:
        """The filter for each link type that a ring reads. What libpcap reads has its own, which knows more words: a new one is looked at all the same."""
        links = {place.link for place in self.places if not place.libpcap}
        if settings.probe.filter != self.settings.probe.filter:
            links |= {worker.live.link for worker in self.workers}
        return {link: _program(settings.probe.filter, link) for link in links}

    @staticmethod
    def _limits(settings: Settings, workers: int) -> Limits:
        """Of one worker's shard."""
        usual = limits(settings)
        span = settings.probe.row_seconds
        if 60 % span:
            raise UserError(f"probe.row_seconds is {span}, and no row may cross a minute", settings.origin or "[probe]", "use 10, 15, 20, 30 or 60")
        return replace(usual, cut=1, span=span, flows=max(usual.flows // workers, 1024), seconds=600)

    def _callbacks(self) -> list[Entry]:
        """Kernels that only libpcap calls, where it is used."""
        if not any(place.libpcap for place in self.places):
            return []
        from dpi.capture.libpcap import take

        return [take]

    @staticmethod
    def _read_cases(settings: Settings) -> tuple[cases.Case, ...]:
        asked = settings.probe
        if asked.case_file and not asked.ring_directory:
            raise UserError("content is to be opened, but no packet is kept", "[probe] case_file", "name a directory in [probe] ring_directory")
        return cases.read(asked.case_file) if asked.case_file else ()

    def _make_ring(self, workers: int) -> Ring | None:
        asked = self.settings.probe
        if not asked.ring_directory:
            return None
        return Ring(Segments(Path(asked.ring_directory), budget=asked.ring_disk_mb << 20, seconds=asked.ring_seconds, boot=self.boot, series=workers),
                    asked.ring_header_bytes)

    def close(self) -> None:
        """Let go of what `run` was not called for."""
        for worker in self.workers:
            worker.live.close()
        if self.ring is not None:
            self.ring.close()

    def health(self) -> Health:
        """See dpi.health."""
        from dpi import __version__

        asked = next((sink.health for sink in self._sinks if hasattr(sink, "health")), None)
        store: StoreHealth = replace(asked() if asked is not None else StoreHealth(), expired=self.expired())
        return Health(self.name, __version__, self.rules.version, self.began, time.time(), tuple(worker.health() for worker in self.workers), store,
                      self.reloads, self.reload_failed, RingHealth() if self.ring is None else
                      RingHealth(self.ring.segments.bytes, self.ring.segments.budget, self.ring.segments.oldest / 1e6, self.ring.running, self.ring.trouble),
                      self.identity.health(), self.usage(),
                      self.holders.sessions.counters() | {"uncut": sum(int(worker.shard.counters.changes_full) for worker in self.workers)}, self.reported(),
                      DetectionHealth() if self.watchman is None else DetectionHealth(self.watchman.counters(), self.watchman.folding.raised),
                      self.receivers())


def _load(settings: Settings) -> RuleSet:
    return load([settings.rules.directory] if settings.rules.directory else [])


def _program(words: str, link: int) -> Any:
    if not words.strip():
        return None
    try:
        return assemble(words, link)
    except BadFilter as refused:
        raise UserError(str(refused), "[probe] filter", "write it as for tcpdump, such as 'not port 22'; see man pcap-filter") from None
