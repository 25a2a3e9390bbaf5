"""Alerts that outlive a restart of the probe: a file beside the spool, replaced whole, which only its owner may read.

One JSON object: the form, the secret that ids of alerts are keyed with, what is open or cools down, and keys that somebody has muted. A probe that is killed
loses nothing that was told: the file is written after each state that is. What it held meanwhile (further detections) is written each ten seconds. A file
that is not whole is left alone until the first alert and said in the log: then ids have a fresh secret, and what it had open stays open in the store.
"""
from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, field
from pathlib import Path
from typing import Any

from dpi.dataclass import dataclass
from dpi.security.alert import Alert, Worded
from dpi.security.firing import Firing

FORM = "fullspan alerts 1"
EVERY = 10.0                # s between two times that it is written where nothing was told
QUICK = 100                 # alerts that are written at once; of more, each takes a millisecond until the next time
SECRET = 32                 # bytes
log = logging.getLogger("dpi.alerts")


@dataclass(frozen=True)
class Best(Worded):
    """What is told of an alert: the words of its strongest firing."""
    kind: str
    severity: str
    technique: str
    source: str
    target: str
    service_id: str
    summary: str
    summary_zh: str
    evidence: str
    probe: str
    capture_id: int
    strength: float
    final: bool

    @staticmethod
    def of(firing: Firing) -> Best:
        """Of a firing."""
        one = firing.detector
        made: Best = Best.worded(firing.word, kind=one.kind, severity=one.severity, technique=one.technique, source=firing.source, target=firing.target,
                                 service_id=firing.service_id, probe=firing.probe, capture_id=firing.capture_id, strength=firing.strength, final=firing.final)
        return made


@dataclass
class Held:
    """An alert that is open, or was cleared a short time ago. Times us."""
    alert_id: str
    dedup_key: str
    best: Best
    first: int
    last: int
    until: int              # end of the newest slot
    told: int               # time of the newest state
    count: int = 0
    revision: int = 0
    state: str = ""
    changed: bool = False
    several_sources: bool = False
    several_targets: bool = False
    customers: dict[str, None] = field(default_factory=dict)
    slots: dict[tuple[int, int, str], None] = field(default_factory=dict)

    def alert(self) -> Alert:
        """Its state now."""
        best, customers = self.best, list(self.customers)
        made: Alert = Alert.worded(
            best.text, alert_id=self.alert_id, dedup_key=self.dedup_key, kind=best.kind, signature_id=0,
            severity=best.severity, state=self.state, first_time=self.first, last_time=self.last, count=self.count,
            source="" if self.several_sources else best.source, target="" if self.several_targets else best.target,
            customer_id=customers[0] if len(customers) == 1 else "", service_id=best.service_id if len(customers) == 1 else "",
            shared_by=len(customers), technique=best.technique, probe=best.probe, capture_id=best.capture_id, revision=self.revision)
        return made

    def json(self) -> dict[str, Any]:
        """As JSON has it. Slots are left out: they are numbered by rules, which a restart may change."""
        return {**vars(self), "best": asdict(self.best), "customers": list(self.customers), "slots": []}

    @staticmethod
    def of(given: Mapping[str, Any]) -> Held:
        """Out of that. KeyError, TypeError or ValueError where it is something else."""
        held = Held(**{**given, "best": Best(**given["best"]), "customers": dict.fromkeys(map(str, given["customers"])), "slots": {}})
        for name in ("first", "last", "until", "told", "count", "revision"):
            if type(getattr(held, name)) is not int:
                raise ValueError(name)
        if held.state not in ("raised", "updated", "cleared") or not all(isinstance(one, str) for one in (held.alert_id, held.dedup_key)):
            raise ValueError(held.state)
        return held


class Standing:
    """The file. Any thread may write."""

    def __init__(self, path: Path) -> None:
        """Reads it, where it is there."""
        self._path, self._written, self._trouble, self._told = path, time.monotonic(), False, False
        self.secret = os.urandom(SECRET)
        self.held: list[Held] = []              # as it was found
        self.muted: dict[str, int] = {}         # key of alerts -> until, us; 0: for ever
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("open alerts can't be read", extra={"path": str(path), "reason": error.strerror})
            return
        with contextlib.suppress(ValueError, KeyError, TypeError):
            found = json.loads(content)
            if found["form"] == FORM and len(secret := bytes.fromhex(found["secret"])) == SECRET:
                held = [Held.of(one) for one in found["alerts"]]
                self.muted = {str(key): int(until) for key, until in found["muted"].items()}
                self.secret, self.held = secret, held
                log.info("alerts read", extra={"path": str(path), "open": sum(one.state != "cleared" for one in held)})
                return
        log.warning("open alerts are not known: their file is not whole", extra={"path": str(path)})

    def write(self, held: Sequence[Held], told: bool = True, last: bool = False) -> None:
        """Write the file where it is time to. told: a state of an alert was, since. last: it is the end, and always time."""
        self._told |= told
        wait = 0.0 if last else max(0, len(held) - QUICK) / 1000 if self._told else EVERY
        if time.monotonic() - self._written < wait:
            return
        # another thread may learn of mutes meanwhile: it is copied at once
        content = json.dumps({"form": FORM, "secret": self.secret.hex(), "muted": dict(self.muted), "alerts": [one.json() for one in held]})
        beside = self._path.with_suffix(".part")
        try:
            with contextlib.suppress(FileNotFoundError):
                beside.unlink()
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.rename(self._path)
            self._trouble = False
        except OSError as error:
            if not self._trouble:
                log.warning("open alerts can't be written", extra={"path": str(self._path), "reason": error.strerror})
            self._trouble = True
        self._written, self._told = time.monotonic(), False
