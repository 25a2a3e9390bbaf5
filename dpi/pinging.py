"""The probe's own pings of test addresses: whether each answers, how fast, and how much is lost, as rows of `link_state`.

A change of state is told at once, everything else once a minute. ICMP echo by icmplib (RFC 792, RFC 4443), which needs CAP_NET_RAW as the probe has it.
"""
from __future__ import annotations

import asyncio
import ipaddress
import logging
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import field

import numpy as np

from dpi.batch import NULLS, Batch, Coded, Sink
from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.settings import Ping

log = logging.getLogger("dpi.probe")
_MINUTE = 60_000_000
_UNKNOWN = NULLS["u32?"]
_MOST = 1000
_BETWEEN = 0.2          # s from one request to the next of a round


@dataclass
class Target:
    """An address that is pinged, and what of it is not told yet. service: it is the test address of that service."""
    name: str
    address: str
    service: str = ""
    state: str = ""         # up or down; '': not asked yet
    minute: int = 0         # that the last row was told of
    reached: bool = False   # in the last round
    sent: int = 0
    answered: list[int] = field(default_factory=list)       # round trips, us


def targets(asked: Ping) -> list[Target]:
    """What `[ping] targets` names: name=address, or service:ID=address, separated by commas. UserError for what is neither."""
    found: dict[str, Target] = {}
    for word in filter(None, (one.strip() for one in asked.targets.split(","))):
        name, _, address = (part.strip() for part in word.partition("="))
        try:
            plain = str(ipaddress.ip_address(address))
        except ValueError:
            raise UserError(f"not a target: {word!r}", "[ping] targets", "write name=address or service:ID=address, separated by commas") from None
        if not name or name in found:
            raise UserError(f"the target {name!r} is {'named twice' if name else 'without a name'}", "[ping] targets", "give each a name of its own")
        kind, _, service = name.partition(":")
        found[name] = Target(service if kind == "service" and service else name, plain, service if kind == "service" else "")
    if len(found) > _MOST:
        raise UserError(f"{len(found)} targets are too many", "[ping] targets", f"name {_MOST} at most")
    return list(found.values())


class Pinger:
    """A thread that asks all targets, again each `interval`. `adopt` gives it other settings."""

    def __init__(self, asked: Ping, probe: str, sinks: Sequence[Sink]) -> None:
        """UserError as `targets` raises it."""
        self._asked, self._targets, self._probe, self._sinks = asked, targets(asked), probe, list(sinks)
        self._changed = threading.Event()
        self._ended = False
        self._failing = ""
        self._thread = threading.Thread(target=self._run, name="ping", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def adopt(self, asked: Ping) -> None:
        """Other targets from now on; those that stay keep what is known of them. UserError where they are wrong: nothing changes then."""
        if asked == self._asked:
            return
        known = {(one.name, one.address): one for one in self._targets}
        self._targets = [known.get((one.name, one.address), one) for one in targets(asked)]
        self._asked = asked
        self._changed.set()

    def close(self) -> None:
        """End, with a last row of each."""
        self._ended = True
        self._changed.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ended:
            self._changed.clear()
            here = list(self._targets)
            if here:
                asyncio.run(self._round(here))
                self._tell([one for one in here if one.sent], time.time_ns() // 1000)
            due = max(due + self._asked.interval, time.monotonic())
            self._changed.wait(due - time.monotonic())
        self._tell([one for one in self._targets if one.sent], time.time_ns() // 1000, last=True)

    async def _round(self, here: Sequence[Target]) -> None:
        """Ask each target; at most 100 wait for an answer at once."""
        room = asyncio.Semaphore(100)

        async def ask(one: Target) -> None:
            async with room:
                await self._ask(one)

        await asyncio.gather(*(ask(one) for one in here))

    async def _ask(self, one: Target) -> None:
        from icmplib import ICMPLibError, SocketPermissionError, async_ping

        count, one.reached = self._asked.count, False
        try:
            told = await async_ping(one.address, count=count, interval=_BETWEEN, timeout=self._asked.timeout, privileged=True)
            one.answered += [round(rtt * 1000) for rtt in told.rtts]
            one.reached = told.is_alive
        except (ICMPLibError, OSError) as error:        # no route: it is not reached
            if str(error) != self._failing:
                self._failing = str(error)
                log.warning("ping failed", extra={"target": one.name, "reason": self._failing})
            if isinstance(error, SocketPermissionError):
                return                                  # nothing was sent: that it is down nobody knows
        one.sent += count

    def _tell(self, here: Sequence[Target], now: int, last: bool = False) -> None:
        """Rows of those whose state changed, and of all once a minute."""
        rows: list[tuple[Target, str, bool]] = []
        for one in here:
            state = "up" if one.reached else "down"
            changed = bool(one.state) and state != one.state
            if changed or last or not one.state or now // _MINUTE != one.minute:
                rows.append((one, state, changed))
        if rows:
            batch = self._batch(rows, now)
            for sink in self._sinks:
                sink.write(batch)
        for one, state, changed in rows:
            if changed:
                log.warning("target is %s", state, extra={"target": one.name})
            one.state, one.minute, one.sent, one.answered = state, now // _MINUTE, 0, []

    def _batch(self, rows: Sequence[tuple[Target, str, bool]], now: int) -> Batch:
        count = len(rows)
        return Batch("link_state", count, {
            "time": np.full(count, now, np.int64), "probe": Coded.same(self._probe, count), "target": Coded.of([one.name for one, *_ in rows]),
            "service_id": Coded.of([one.service for one, *_ in rows]), "source": Coded.same("ping", count), "state": Coded.of([state for _, state, _ in rows]),
            "changed": np.array([changed for *_, changed in rows], np.uint8),
            "rtt_us": np.array([round(statistics.median(one.answered)) if one.answered else _UNKNOWN for one, *_ in rows], np.uint32),
            "sent": np.array([one.sent for one, *_ in rows], np.uint32),
            "loss_permille": np.array([1000 * (one.sent - len(one.answered)) // one.sent if one.sent else 0 for one, *_ in rows], np.uint16),
            "stored_time": np.full(count, now, np.int64)})
