"""What an operator says of detection ([detect] of the settings) as the sink that does it. Nothing of dpi/security is imported where it is off."""
from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dpi.batch import Sink
from dpi.settings import Settings

if TYPE_CHECKING:
    from dpi.security.exemption import Exemption
    from dpi.security.registry import Asked
    from dpi.security.standing import Standing
    from dpi.security.watchman import Watchman

LATE = 15                   # s that a row of a probe may be on its way from the shard
SLACK = 120                 # s of the packet clock that rows of one shard may be behind those of another


def watchman_of(settings: Settings, sinks: Sequence[Sink], live: bool = False, standing: Standing | None = None,
                secret: Callable[[], bytes] = lambda: os.urandom(32)) -> Watchman | None:
    """The detectors that are on; None where none is. sinks: take rows of `detections` and `alerts`. live: rows of a probe, not of a replay.
    standing: where the alerts of a probe outlive it, with the secret of their ids; secret: gives that of others, a
    fresh one where nobody says.

    UserError: a wrong option, with file and line."""
    if not settings.detect.enabled:
        return None
    from dpi.security.folding import Folding
    from dpi.security.watchman import Watchman

    named, spared = detectors_of(settings)
    asked, flow = settings.detect, settings.flow
    grace = settings.probe.row_seconds + LATE if live else max(flow.idle_tcp, flow.idle_udp, flow.idle_other) + 60 + SLACK
    folding = Folding(asked.quiet, asked.cooldown, secret if standing is None else lambda: standing.secret)
    return Watchman(named, sinks, folding=folding, exemption=spared, grace=grace, prompt=live, keys=asked.max_keys, standing=standing,
                    places=lambda probe, interface: _place(settings, probe, interface))


def detectors_of(settings: Settings) -> tuple[list[Asked], Exemption]:
    """The detectors with their options, and what a person has excepted. UserError: a wrong option, with file and line."""
    from dpi.security.exemption import exemption
    from dpi.security.registry import configured, kinds, read

    asked = settings.detect
    told = read(asked.options) if asked.options else {}
    named = configured(told, asked.options)
    if settings.detectors:
        merged = {kind: {**told.get(kind, {}), **settings.detectors.get(kind, {})} for kind in {**told, **settings.detectors}}
        configured(settings.detectors, settings.origin)             # what is wrong with one file is told of that file
        named = configured(merged, settings.origin)
    where = f"{settings.origin}: [detect]" if settings.origin else "[detect]"
    return named, exemption(asked.ignore_networks, asked.ignore_ports, asked.ignore_kinds, asked.maintenance, kinds(), where)


def _place(settings: Settings, probe: str, interface: str) -> tuple[str, int]:
    """Name and capacity of a link, as [links.NAME] gives them; the first that fits, as in reports."""
    for name, link in settings.links.items():
        if link.probe in ("", probe) and link.interface in ("", interface):
            return name, link.capacity_bps
    return interface, 0
