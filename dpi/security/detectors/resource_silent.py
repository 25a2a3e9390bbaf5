"""A whole link, VLAN or local network says nothing, or half of the services on a link have fallen silent at once.

Counted: of a link, minutes in which the probe read and saw no frame (`coverage`), after `learn` slots of 30 s with traffic one after the other; of a VLAN,
slots without a row while its link has traffic, and of what no service has in a /24 or /48 of [identity] local_networks, slots in which it sends nothing, for
`part_seconds` after `part_learn` slots; of a link's services, three or more that fell silent within a minute and had spoken in `services_learn` slots, if they
are `services_percent` of those that had. One alert tells it, with the customers who share the link.
In a replay a minute without any frame says nothing: the capture may have been stopped.
False alarms: a mirror session that was taken down; VLANs that are used by day only have gaps before they fall silent and are not told.
To tune: `seconds`. Cleared [detect] quiet seconds after the first frame.
"""
from __future__ import annotations

import numpy as np

from dpi.dataclass import dataclass
from dpi.security.detector import Detector, Words, option
from dpi.security.fault import LINK, NET, NOTHING, SECONDS, SERVICE, VLAN, Found, Look


@dataclass(frozen=True)
class Options:
    """Of a link, VLAN or network."""
    seconds: int = option(120, "without anything", 60, 86400)
    learn: int = option(20, "slots of 30 s with traffic before", 2, 100000)
    part_seconds: int = option(600, "without anything of a VLAN or a network", 60, 86400)
    part_learn: int = option(120, "slots of 30 s in which it spoke before", 2, 100000)
    services_percent: int = option(50, "of a link's services silent at once", 10, 100)
    services_learn: int = option(60, "slots of 30 s in which each of them spoke before", 2, 100000)
    hours: int = option(12, "after which it is told no more", 1, 8760)


def faults(options: Options, look: Look) -> Found:
    """In seconds of silence."""
    if look.partial:
        return NOTHING
    lines = np.flatnonzero(look.spoken >= min(options.learn, options.part_learn, options.services_learn))
    lines = lines[look.silent[lines] * SECONDS <= options.hours * 3600]
    if not len(lines):
        return NOTHING
    kind, spoken, silent, at = look.kind[lines], look.spoken[lines], look.silent[lines], look.link[lines]
    silence = silent * SECONDS
    whole = (kind == LINK) & (spoken >= options.learn) & (silence >= options.seconds)
    part = ((kind == VLAN) | (kind == NET)) & look.live[lines] & (spoken >= options.part_learn) & (silence >= options.part_seconds)
    limit = np.where(part, float(options.part_seconds), float(options.seconds))
    told = [Found(lines, silence.astype(np.float64), limit, np.maximum(silent - 1, 0)).only(whole | part)]
    steady = (kind == SERVICE) & (spoken >= options.services_learn) & (at >= 0)
    quiet = steady & (silence >= options.seconds)
    hushed = np.flatnonzero(np.bincount(at[quiet]) >= 3)
    for link in hushed[(look.kind[hushed] == LINK) & look.live[hushed]].tolist():
        here = at == link
        near = np.convolve(np.bincount(silent[quiet & here]), (1, 1, 1))      # fell silent so many slots ago, or one or two less
        newest = int(near.argmax())
        if near[newest] >= 3 and 100 * near[newest] >= options.services_percent * int((steady & here & (silent <= newest)).sum()):
            least = int(silent[quiet & here & (silent >= newest - 2)].min())
            told.insert(0, Found(np.array([link]), np.array([least * SECONDS], float), np.array([options.seconds], float), np.array([max(least - 1, 0)])))
    return Found.worst(told, [np.zeros(len(one)) for one in told])


DETECTOR = Detector(
    kind="resource_silent", title=Words("Resource silent", "资源静默"), severity="high", technique="", technique_name="",
    summary=Words("{line} has been silent for {value} s, wholly or for most of its services; {customers} customers share it",
                  "{line}整体或大部分业务已静默 {value} 秒；共有 {customers} 个客户"),
    options=Options, faults=faults)
