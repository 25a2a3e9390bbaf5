"""How good a service was while it was up: degraded minutes, round trips, loss. Pure.

A passive probe can't see what somebody would have liked to have. So a minute is degraded only where it carries something (10 % of the ordered rate), less than
the floor that was promised, and shows that the network is the reason: more than 2 % of the TCP segments sent again, or round trips of more than twice what
is usual; five such minutes in a row.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bss.sla.slots import Bits, Counts, Whole, runs

LEAST_PERCENT = 10          # of the ordered rate that a degraded minute carries
AGAIN_PERCENT = 2           # of TCP segments sent again, more than which is bad
TIMES = 2                   # the usual round trip
ROW = 5                     # minutes in a row
BINS = 26                   # of a histogram of round trips: bin k has those of 2^k to below 2^(k+1) us
DAYS = 28                   # of the usual round trip


@dataclass
class Carried:
    """What minutes carried: bytes to the customer and from him, TCP packets and retransmissions of both ways, the median round trip (us, below 0: none)."""
    down_bytes: Whole
    up_bytes: Whole
    tcp: Counts
    again: Counts
    rtt_us: Counts


def degraded(up: Bits, carried: Carried, down_bps: Whole, up_bps: Whole, floor_percent: Whole, usual_us: Counts) -> Bits:
    """Which of the minutes that were up are degraded. down_bps, up_bps, floor_percent: of each service, 0 where nothing is ordered or promised; usual_us: the
    usual round trip of each minute, below 0 where it is not known."""
    busy = np.zeros(up.shape, bool)
    full = np.zeros(up.shape, bool)
    for octets, rate in ((carried.down_bytes, down_bps), (carried.up_bytes, up_bps)):
        ordered = rate[:, None].astype(np.int64) * 60           # bits of a minute
        there = ordered > 0
        busy |= there & (octets * 800 >= LEAST_PERCENT * ordered)
        full |= there & (octets * 800 >= floor_percent[:, None] * ordered)          # the busier way decides
    bad = carried.again.astype(np.int64) * 100 > carried.tcp.astype(np.int64) * AGAIN_PERCENT
    slow = (usual_us > 0) & (carried.rtt_us > TIMES * usual_us)
    found = np.zeros(up.shape, bool)
    for row, begin, end in runs(up & busy & ~full & (floor_percent[:, None] > 0) & (bad | slow), ROW):
        found[row, begin:end] = True
    return found


def median_us(histogram: Sequence[int] | NDArray[Any]) -> int:
    """The median of a histogram of round trips, us, rounded down: by how many of its bin lie below, on the bin's logarithmic scale; -1: it is empty."""
    counts = np.asarray(histogram, np.float64)
    total = counts.sum()
    if not total:
        return -1
    before = np.concatenate([[0.0], np.cumsum(counts)])
    bin_ = int(np.searchsorted(before[1:], total / 2))
    return int(np.floor(2.0 ** (bin_ + (total / 2 - before[bin_]) / counts[bin_])))


def median_in_sql(histogram: str) -> str:
    """The same in SQL; -1 of one that is empty, which the store computes for rows that are left out as well."""
    cumulative = f"arrayCumSum(arrayMap(x -> toFloat64(x), {histogram}))"
    half = f"arraySum(arrayMap(x -> toFloat64(x), {histogram})) / 2"
    place = f"arrayFirstIndex(x -> x >= {half}, {cumulative})"
    below = f"if({place} = 1, 0., {cumulative}[{place} - 1])"
    return f"toInt64(ifNotFinite(floor(exp2({place} - 1 + ({half} - {below}) / toFloat64({histogram}[{place}]))), -1))"


def p95_us(medians: Counts) -> int | None:
    """The 95th percentile of the medians of minutes (us, below 0: none): of N in order the (N - floor(5 N / 100))-th; None: there is none."""
    known = np.sort(medians[medians >= 0])
    count = len(known)
    return int(known[count - 5 * count // 100 - 1]) if count else None
