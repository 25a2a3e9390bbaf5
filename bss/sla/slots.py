"""What each minute of a service was: up, down, excluded or unknown, the first rule that matches (docs/business-sla.md). Pure, over many services at once.

1. excluded: an approved window (maintenance told a day ahead, the customer's own doing, force majeure, not paid).
2. down: a link-state source says so.
3. unknown: the sensor lost more than 1 % or told nothing, sees one direction of the service, or no service at all of five or more.
4. down: connections are tried and not answered while next to nothing comes down. Silence alone is unknown; it is down, from its first minute on, where link
   state, unanswered connections or its neighbours (`agreeing`) agree.
5. else up.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

UP, DOWN, EXCLUDED, UNKNOWN, IDLE = range(5)         # IDLE: the service was not active, the minute does not count
STATES = ("up", "down", "excluded", "unknown", "idle")
#: Why a minute is what it is, in the order of the rules.
REASONS = ("", "maintenance", "customer", "force_majeure", "nonpayment", "link", "sensor", "one_sided", "blind", "unanswered", "silent", "silent_link",
           "silent_unanswered", "silent_neighbours")
KINDS = REASONS[1:5]                                 # of windows
LINK, SENSOR, ONE_SIDED, BLIND, UNANSWERED, SILENT, SILENT_LINK, SILENT_UNANSWERED, SILENT_NEIGHBOURS = range(5, 14)

SYNS, SERVERS = 20, 5               # tried in a minute, at how many servers, before no answer says anything
PARTS = 20                          # 5 %: one of so many parts
QUIET = 3                           # minutes in a row without a byte
BUSY = 50_000 * 60 // 8             # bytes a minute, both ways, that a line has at 50 kbit/s
NEAR = 2                            # minutes that two silences begin apart, or a cause and its effect
BEHIND, SHARE = 3, 30               # services behind one resource that fall silent together, and percent of all behind it
SEEN = 5                            # services bound at a sensor that sees none of them
PACKETS, SOME = 4, 20               # packets of a connection that is only tried; packets beside those that say nothing
WEEKS, HOUR = 4, 60                 # weeks of a baseline; minutes of an hour
LEAST = 60                          # measured minutes that a baseline needs

Bits = NDArray[np.bool_]
Whole = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Counts = NDArray[Any]


@dataclass
class Block:
    """Minutes of some services: a row a service, a column a minute from `first` on (s, the beginning of an hour). excluded: 0, or 1 + the place in KINDS.
    link_down, link_up: a source says so. covered: the sensor of the service told of the minute and lost at most 1 %. blind: it saw nobody. Of what was
    carried: bytes, packets, TCP packets, retransmissions to the customer and from him; connections tried, answered, servers; directions seen (1 up, 2 down)."""
    first: int
    active: Bits
    excluded: Bytes
    link_down: Bits
    covered: Bits
    blind: Bits
    down_bytes: Whole
    up_bytes: Whole
    down_packets: Counts
    up_packets: Counts
    down_again: Counts
    up_again: Counts
    flows: Counts
    syn_up: Counts
    syn_ack_down: Counts
    servers: Counts
    directions: Bytes


class Judged(NamedTuple):
    """state and reason of each minute (places in STATES and REASONS), and the silences: row, first column, column after the last."""
    state: Bytes
    reason: Bytes
    silences: Whole


class Silence(NamedTuple):
    """A service without a byte in [since, until), s, that nothing explains yet."""
    service: str
    since: int
    until: int


def judge(block: Block, base_down: Whole, base_total: Whole) -> Judged:
    """Judge all minutes. base_down, base_total: by service and hour from `first` on, bytes a minute that are usual then, to the customer and both ways;
    below 0 where it is not known."""
    columns = block.active.shape[1]
    down = np.repeat(base_down, HOUR, axis=1)[:, :columns]
    total = np.repeat(base_total, HOUR, axis=1)[:, :columns]
    busy = total >= BUSY
    seen = block.covered & block.active
    tried = (block.syn_up >= SYNS) & (block.servers >= SERVERS) & (block.syn_ack_down * PARTS <= block.syn_up)
    unanswered = seen & tried & (down > 0) & (block.down_bytes * PARTS <= down)
    one = seen & ((block.directions == 1) | (block.directions == 2))
    packets = np.where(block.directions == 1, block.up_packets, block.down_packets).astype(np.int64)
    again = np.where(block.directions == 1, block.up_again, block.down_again).astype(np.int64)
    # what was only tried has a few packets each: more than that goes one way only where the other is not mirrored
    flowing = packets - again > PACKETS * np.maximum(block.flows, block.syn_up).astype(np.int64) + SOME
    one &= (flowing | busy) & ~(unanswered & ~flowing)
    quiet = seen & busy & (block.down_bytes == 0) & (block.up_bytes == 0) & (block.excluded == 0)

    state = np.full(block.active.shape, UP, np.uint8)
    reason = np.zeros(block.active.shape, np.uint8)
    left = block.active & (block.excluded == 0)
    state[block.active & ~left] = EXCLUDED
    reason[block.active & ~left] = block.excluded[block.active & ~left]
    for where, what, why in ((block.link_down, DOWN, LINK), (~block.covered, UNKNOWN, SENSOR), (one, UNKNOWN, ONE_SIDED), (block.blind, UNKNOWN, BLIND),
                             (unanswered, DOWN, UNANSWERED)):
        mine = left & where
        state[mine], reason[mine] = what, why
        left &= ~where
    state[~block.active] = IDLE
    silences = runs(quiet, QUIET)
    for row, begin, end in silences:
        mine = left[row, begin:end]
        near = slice(max(0, begin - NEAR), end + NEAR)
        if block.link_down[row, near].any():
            what, why = DOWN, SILENT_LINK
        elif (reason[row, near] == UNANSWERED).any():
            what, why = DOWN, SILENT_UNANSWERED
        else:
            what, why = UNKNOWN, SILENT
        state[row, begin:end][mine], reason[row, begin:end][mine] = what, why
    return Judged(state, reason, silences)


def runs(where: Bits, least: int) -> Whole:
    """Stretches of a row in which it is so for so many columns at least: row, first column, column after the last."""
    rows, columns = where.shape
    edged = np.zeros((rows, columns + 2), np.int8)
    edged[:, 1:-1] = where
    change = np.diff(edged, axis=1)
    row, begin = np.nonzero(change == 1)
    _, end = np.nonzero(change == -1)
    long = end - begin >= least
    return np.stack([row[long], begin[long], end[long]], axis=1).astype(np.int64)


def baselines(values: Whole, measured: Bits) -> Whole:
    """The median of the minutes of the same hour of the week in the four weeks before, by service and hour; -1 where fewer than LEAST of them were measured.
    values, measured: service, week, and the minutes of the hours that are asked for, as they were in that week."""
    rows, weeks, columns = values.shape
    hours = columns // HOUR
    nothing = np.iinfo(np.int64).max
    same = np.where(measured, values, nothing).reshape(rows, weeks, hours, HOUR).transpose(0, 2, 1, 3).reshape(rows, hours, weeks * HOUR)
    known = (same != nothing).sum(axis=2)
    same.sort(axis=2)
    middle = np.take_along_axis(same, np.maximum(known - 1, 0)[:, :, None] // 2, axis=2)[:, :, 0]
    found: Whole = np.where(known >= LEAST, middle, -1)
    return found


def agreeing(silences: Sequence[Silence], behind: Mapping[str, Sequence[str]]) -> dict[tuple[str, int], str]:
    """Which silences their neighbours explain: (service, since) -> the resource that failed. behind: a resource -> all services that hang on it. Three
    services and 30 % of them fall silent within two minutes of each other."""
    begun: dict[str, list[int]] = {}
    for one in silences:
        begun.setdefault(one.service, []).append(one.since)
    found: dict[tuple[str, int], str] = {}
    for resource, services in sorted(behind.items(), key=lambda item: (len(item[1]), item[0])):         # the smallest that explains it
        times = sorted((since, service) for service in set(services) for since in begun.get(service, ()))
        last = 0
        for first, (since, _) in enumerate(times):
            last = max(last, first)
            while last < len(times) and times[last][0] - since <= NEAR * 60:
                last += 1
            together = times[first:last]
            count = len({service for _, service in together})
            if count >= BEHIND and count * 100 >= SHARE * len(set(services)):
                for at, service in together:
                    found.setdefault((service, at), resource)
    return found


def painted(spells: Sequence[tuple[float, float]], first: int, columns: int) -> Bits:
    """Minutes of which half or more lies in one of the spells ([since, until), s)."""
    found = np.zeros(columns, bool)
    seconds: dict[int, float] = {}
    until = -np.inf
    for begin, end in sorted(spells):
        begin, until = max(begin, until, first), max(until, end)        # what two of them say counts once
        end = min(end, first + 60.0 * columns)
        if begin >= end:
            continue
        left, right = int((begin - first) // 60), int((end - first) // 60)
        if left == right:
            seconds[left] = seconds.get(left, 0.0) + end - begin
            continue
        seconds[left] = seconds.get(left, 0.0) + first + 60 * (left + 1) - begin
        seconds[right] = seconds.get(right, 0.0) + end - first - 60 * right
        found[left + 1:right] = True
    for column, held in seconds.items():
        if held >= 30 and column < columns:
            found[column] = True
    return found
