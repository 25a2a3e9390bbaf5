"""Round trips of a line have become much longer than usual.

Counted: the geometric mean of the handshakes' round trips in slots of 30 s, between the probe and each side of a link, VLAN or service, and of the servers'
responses (`response`, with a limit of its own). Told where it is `times` what is usual and `milliseconds` above it; while little is known the change must be
greater: twice as great after 10 slots that were learned from, six times after two, and nothing is told before. Told for two slots running, or at once
where the change is eight times as great: to whom a customer speaks varies from slot to slot. A geometric mean is not moved by one slow peer.
What several customers of a link have is one alert of the link; what one has is told of that customer's line.
False alarms: traffic that moves to servers far away (a new CDN site, a backup abroad); radio links at night, when few samples are left.
To tune: `times`, `milliseconds`, `samples`. Cleared when round trips are below for [detect] quiet seconds; what stays is usual after an hour or so.
"""
from __future__ import annotations

import numpy as np

from dpi.dataclass import dataclass
from dpi.security.detector import Detector, Words, option
from dpi.security.fault import Found, Look

FAR = 8             # times the limit that is told at once


@dataclass(frozen=True)
class Options:
    """Of a line in a slot."""
    times: int = option(3, "so many times the usual round trip is too long", 2, 1000)
    milliseconds: int = option(20, "and so much longer than usual", 1, 60000)
    response_times: int = option(8, "so many times the usual response of servers is too long; 0: they are not looked at", 0, 1000)
    response_milliseconds: int = option(500, "and so much longer than usual", 1, 60000)
    samples: int = option(10, "handshakes or responses of a slot, the least of which anything is said", 3, 1 << 24)


def faults(options: Options, look: Look) -> Found:
    """The measure that has grown most."""
    asked = [("near_rtt", options.times, options.milliseconds), ("far_rtt", options.times, options.milliseconds)]
    asked += [("response", options.response_times, options.response_milliseconds)] if options.response_times else []
    parts = []
    for name, times, rise in asked:
        over, now, usual = look.slower(name, times, rise * 1000, options.samples)
        if len(over):
            far = np.zeros(look.n, np.bool_)
            far[look.slower(name, FAR * times, rise * 1000, options.samples)[0]] = True
            told, before = look.lasting(name, over, far[over])
            parts.append(Found(over, now / 1000, usual / 1000, before, over).only(told))
    return Found.worst(parts, [one.value / np.maximum(one.limit, 1e-3) for one in parts])


DETECTOR = Detector(
    kind="rtt_degradation", title=Words("Slow round trips", "时延劣化"), severity="medium", technique="", technique_name="",
    summary=Words("{line} is slow: round trips or responses take {value} ms (usual: {limit} ms) in {seconds} s",
                  "{line}时延劣化：{seconds} 秒内往返或响应时延为 {value} 毫秒（通常 {limit} 毫秒）"),
    options=Options, faults=faults)
