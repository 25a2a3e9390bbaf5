"""A service that always had something to say says nothing, while its link has traffic.

Counted: slots of 30 s in which a bound service sends no packet at all. Told after `asked_seconds` where others have asked it for `asks` connections or more and
got no answer, if it had spoken in `asked_learn` slots one after the other before; and after `seconds` where nobody asks, if it had spoken in `learn` slots so.
There is no baseline by hour of day: what grows quiet slowly has gaps before it is silent, and a service with gaps is never told of; nor is anything said over
times that the probe did not read. Half of the services of a link, three or more, at once are told as resource_silent.
False alarms: an office whose last computer is switched off at once; a customer who ends the contract: after `hours` nothing more is said.
To tune: `seconds`, `learn`. Cleared [detect] quiet seconds after the first packet.
"""
from __future__ import annotations

import numpy as np

from dpi.dataclass import dataclass
from dpi.security.detector import Detector, Words, option
from dpi.security.fault import NOTHING, SECONDS, SERVICE, Found, Look


@dataclass(frozen=True)
class Options:
    """Of a service."""
    asked_seconds: int = option(60, "of silence of a service that is asked", 30, 86400)
    asks: int = option(10, "connections asked of it in that time without an answer", 1, 1 << 30)
    asked_learn: int = option(3, "slots of 30 s in which it spoke before", 2, 100000)
    seconds: int = option(600, "of silence of a service that nobody asks", 60, 86400)
    learn: int = option(120, "slots of 30 s in which it spoke before", 2, 100000)
    hours: int = option(12, "of silence, after which it is told no more", 1, 8760)


def faults(options: Options, look: Look) -> Found:
    """In seconds of silence."""
    if look.partial:
        return NOTHING
    lines = np.flatnonzero((look.silent > 0) & (look.spoken >= min(options.asked_learn, options.learn)))
    lines = lines[(look.kind[lines] == SERVICE) & look.live[lines]]
    if not len(lines):
        return NOTHING
    silence, spoken = look.silent[lines] * SECONDS, look.spoken[lines]
    asked = (silence >= options.asked_seconds) & (look.asked[lines] >= options.asks) & (spoken >= options.asked_learn)
    alone = (silence >= options.seconds) & (spoken >= options.learn)
    since = look.silent[lines] - 1
    told = Found(lines, silence.astype(np.float64), np.where(asked, float(options.asked_seconds), float(options.seconds)), since)
    return told.only((asked | alone) & (silence <= options.hours * 3600))


DETECTOR = Detector(
    kind="service_silent", title=Words("Service silent", "业务静默"), severity="medium", technique="", technique_name="",
    summary=Words("{line} is silent: it has sent nothing for {value} s, and had always had something to say",
                  "{line}静默：此前一直有流量，现已 {value} 秒没有发送任何报文"),
    options=Options, faults=faults, unless=("resource_silent",))
