"""A whole link or VLAN says nothing, or half of the services on a link have fallen silent at once.

Counted: of a link, minutes in which the probe read and saw no frame (`coverage`), after `learn` slots of 30 s with traffic one after the other; of a VLAN,
slots without a row while its link has traffic; of a link's services, three or more that each spoke in `services_learn` slots before, and
`services_percent` of those that had. One alert tells it, with the customers who share the link.
In a replay a minute without any frame says nothing: the capture may have been stopped.
False alarms: a mirror session that was taken down; VLANs that are used by day only have gaps before they fall silent and are not told.
To tune: `seconds`. Cleared [detect] quiet seconds after the first frame.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dpi.security.detector import Detector, Words, option
from dpi.security.fault import LINK, SECONDS, SERVICE, VLAN, Found, Look


@dataclass(frozen=True)
class Options:
    """Of a link or VLAN."""
    seconds: int = option(120, "without anything", 60, 86400)
    learn: int = option(20, "slots of 30 s with traffic before", 2, 100000)
    services_percent: int = option(50, "of a link's services silent at once", 10, 100)
    services_learn: int = option(20, "slots of 30 s in which each of them spoke before", 2, 100000)
    hours: int = option(12, "after which it is told no more", 1, 8760)


def faults(options: Options, look: Look) -> Found:
    """In seconds of silence."""
    silence = (look.silent * SECONDS).astype(np.float64)
    since = np.maximum(look.silent - 1, 0)
    recent = (silence <= options.hours * 3600) & (not look.partial)
    mask = ((look.kind == LINK) | ((look.kind == VLAN) & look.live)) & (look.spoken >= options.learn) & (silence >= options.seconds) & recent
    steady = (look.kind == SERVICE) & (look.spoken >= options.services_learn) & (look.link >= 0) & recent
    quiet = steady & (silence >= options.seconds)
    speakers = np.bincount(look.link[steady], minlength=look.n)[:look.n]
    hushed = np.bincount(look.link[quiet], minlength=look.n)[:look.n]
    together = (look.kind == LINK) & look.live & (hushed >= 3) & (100 * hushed >= options.services_percent * speakers)
    for link in np.flatnonzero(together):
        least = int(look.silent[quiet & (look.link == link)].min())
        silence[link], since[link] = least * SECONDS, max(least - 1, 0)
    return Found(mask | together, silence, np.full(look.n, float(options.seconds)), since)


DETECTOR = Detector(
    kind="resource_silent", title=Words("Resource silent", "资源静默"), severity="high", technique="", technique_name="",
    summary=Words("{line} has been silent for {value} s, wholly or for most of its services; {customers} customers share it",
                  "{line}整体或大部分业务已静默 {value} 秒；共有 {customers} 个客户"),
    options=Options, faults=faults)
