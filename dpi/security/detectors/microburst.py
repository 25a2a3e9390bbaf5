"""A link is full for a second of a minute that is nearly empty.

Counted: the busiest second of each minute of `coverage`. A second is the finest that the probe counts: what fills a link for milliseconds is seen by what it
adds to its second, so that this tells of bursts of a good part of a second and longer, and of shorter ones only where many are in it. Told where that second
has `percent` of [links.NAME] capacity_bps or more (both directions together) while the minute's mean is below `mean_percent` of it. Where no capacity is
known: where it is `times` the busiest second that is usual of the link, which is known after 10 minutes, and `ratio` times the minute's mean.
False alarms: any short download at the full rate of the link; without a capacity, the first large transfer after a quiet time.
To tune: name the link and its capacity in [links]; `percent`, `times`. Cleared after [detect] quiet seconds without one.
"""
from __future__ import annotations

import numpy as np

from dpi.dataclass import dataclass
from dpi.security.detector import Detector, Words, option
from dpi.security.fault import NOTHING, Found, Look


@dataclass(frozen=True)
class Options:
    """Of a link's minute."""
    percent: int = option(90, "of the link's capacity in the busiest second", 10, 200)
    mean_percent: int = option(50, "of it that the minute's mean must be below", 1, 100)
    times: int = option(8, "so many times the busiest second that is usual, where no capacity is known", 2, 10000)
    ratio: int = option(8, "and so many times the minute's mean", 2, 60)
    kilobits: int = option(10000, "kbit/s in that second, at least, where no capacity is known", 1, 1 << 40)


def faults(options: Options, look: Look) -> Found:
    """In Mbit/s."""
    links = look.covered
    if not len(links):                  # no minute ends here of which coverage tells
        return NOTHING
    octets, busiest, _, _ = look.minute
    second, minute, capacity = busiest * 8, octets * 8 / 60, look.capacity
    mean, deviation, learned = look.usual.of("busiest", links)
    usual = np.exp2(mean + np.maximum(np.log2(options.times), 4 * deviation)) * 8
    limit = np.where(capacity > 0, capacity * options.percent / 100, np.maximum(np.maximum(usual, minute * options.ratio), options.kilobits * 1000.0))
    over = (second >= limit) & np.where(capacity > 0, minute * 100 < capacity * options.mean_percent, learned >= 10)
    return Found(links, second / 1e6, limit / 1e6, np.ones(len(links), np.int64)).only(over)


DETECTOR = Detector(
    kind="microburst", title=Words("Microburst", "微突发"), severity="low", technique="", technique_name="",
    summary=Words("{line} had a burst: {value} Mbit/s in one second (limit {limit} Mbit/s) of a minute that was far below",
                  "{line}出现微突发：某一秒达 {value} Mbit/s（限值 {limit} Mbit/s），而该分钟平均远低于此"),
    options=Options, faults=faults)
