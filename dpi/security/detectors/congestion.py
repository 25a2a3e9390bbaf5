"""A link is full.

Counted: minutes of `coverage` in which the busier direction has `percent` of [links.NAME] capacity_bps or more, `minutes` one after the other; or
`full_percent`, `full_minutes` so. Where directions can't be told apart ([identity] local_networks, bindings), both together are compared with the capacity,
as the report `links` does. Where no capacity is known: a minute that is flat at its top (its mean is `flat_percent` of its busiest second, itself within a
quarter of the busiest usually seen or above), with `kilobits` or more, while losses or round trips of the link are above what is usual of it.
False alarms: a backup that is meant to fill the link; without a capacity, one paced stream over a path that has become bad.
To tune: name the link and its capacity in [links]; `percent` and `minutes`. Cleared after [detect] quiet seconds below.
"""
from __future__ import annotations

import numpy as np

from dpi.dataclass import dataclass
from dpi.security.detector import Detector, Words, option
from dpi.security.fault import NOTHING, Found, Look


@dataclass(frozen=True)
class Options:
    """Of a link."""
    percent: int = option(85, "of its capacity that is nearly full", 10, 200)
    minutes: int = option(5, "minutes one after the other in which it is nearly full", 1, 1440)
    full_percent: int = option(95, "of its capacity that is full", 10, 200)
    full_minutes: int = option(2, "minutes one after the other in which it is full", 1, 1440)
    flat_percent: int = option(85, "of its busiest second that the mean of a minute has, where no capacity is known", 50, 100)
    kilobits: int = option(1000, "kbit/s of such a minute, at least", 1, 1 << 40)


def faults(options: Options, look: Look) -> Found:
    """In percent of the capacity; without one, of the busiest second."""
    links = look.covered
    if not len(links):                  # no minute ends here of which coverage tells
        return NOTHING
    octets, busiest, direction, _ = look.minute
    capacity = look.capacity
    rate = np.where(direction >= 0, direction, octets) * 8 / 60
    use = np.where(capacity > 0, 100 * rate / np.maximum(capacity, 1), 0.0)
    mask, limit, since = np.zeros(len(links), bool), np.full(len(links), float(options.percent)), np.zeros(len(links), np.int64)
    for name, percent, minutes in (("nearly", options.percent, options.minutes), ("full", options.full_percent, options.full_minutes)):
        lasting = look.keep(name)
        lasting[links] = np.where(use >= percent, lasting[links] + 1, 0)
        over = (capacity > 0) & (lasting[links] >= minutes)
        mask, limit, since = mask | over, np.where(over, float(percent), limit), np.where(over, 2 * minutes - 1, since)
    mean, _, learned = look.usual.of("busiest", links)
    flat = 100 * octets / 60 / np.maximum(busiest, 1)
    top = (learned >= 2) & (np.log2(np.maximum(busiest, 1)) >= mean - 0.4) & (octets * 8 / 60 >= options.kilobits * 1000) & (flat >= options.flat_percent)
    plateau = top & (capacity == 0)
    if plateau.any():
        worse = np.zeros(look.n, bool)
        for side in ("near", "far"):
            worse[look.lossy(side, 2.0, 0.5, 3, 300)[0]] = True
        for name in ("near_rtt", "far_rtt"):
            worse[look.slower(name, 2, 10_000, 10)[0]] = True
        plateau &= worse[links]
    told = Found(links, np.where(plateau, flat, use), np.where(plateau, float(options.flat_percent), limit), np.where(plateau, 1, since))
    return told.only(mask | plateau)


DETECTOR = Detector(
    kind="congestion", title=Words("Congestion", "链路拥塞"), severity="medium", technique="", technique_name="",
    summary=Words("{line} is full: {value} % (limit {limit} %) for {seconds} s; {customers} customers use it",
                  "{line}拥塞：利用率 {value}%（限值 {limit}%）持续 {seconds} 秒；共有 {customers} 个客户使用"),
    options=Options, faults=faults)
