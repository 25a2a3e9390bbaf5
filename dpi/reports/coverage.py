"""Was all of it seen? What was lost, not read and given up."""
from __future__ import annotations

import time

from dpi.flow.figures import Coverage, Figures
from dpi.reports.question import Question

MINUTE = 60_000_000
LATE = 2 * MINUTE           # us after its end until a minute has its row for sure
_SUMS = ("dropped_nic", "dropped_kernel", "dropped_ring", "dropped_store", "evicted", "folded", "folded_coarser", "arena_refused", "rows_given_up")


def answer(ask: Question, out: Figures) -> None:
    """Fill the figures of coverage. A minute counts where a part of it lies in the span; the rows of a minute are those of its workers and runs."""
    minute = f"intDiv(toUnixTimestamp64Micro(time), {MINUTE})"
    parts = [f"capture_id IN ({', '.join(str(int(one)) for one in ask.captures)})"] if ask.captures else []
    if ask.since is not None:
        parts.append(f"{minute} >= {ask.since // MINUTE}")
    if ask.until is not None:
        parts.append(f"{minute} < {-(-ask.until // MINUTE)}")
    where = f"WHERE {' AND '.join(parts)}" if parts else ""
    live = "capture_id = 0"
    row = ask.store.query(f"SELECT sumIf(frames, {live}), {', '.join(f'sum({name})' for name in _SUMS)} FROM coverage {where}").rows[0]
    found = Coverage(*(int(value) for value in row))
    # each row of worker 0 tells what was not read before it and that no other tells: a minute in which a probe was started again has one for each start
    unread = f"least({MINUTE}, sumIf(unread_us, worker = 0))"
    each = (f"SELECT probe, source, {minute} AS minute, {unread} AS unread, max(pressure) AS level FROM coverage "
            f"{where} {'AND' if where else 'WHERE'} {live} GROUP BY probe, source, minute")
    for first, last, told, missing, pressed in ask.store.query(
            f"SELECT min(minute), max(minute), count(), sum(unread), countIf(level > 0) FROM ({each}) GROUP BY probe, source").rows:
        first, last = int(first), int(last)
        if ask.since is not None:
            first = ask.since // MINUTE
        if ask.until is not None:
            last = max(last, min(ask.until - 1, time.time_ns() // 1000 - MINUTE - LATE) // MINUTE)
        found.minutes += int(told)
        found.unknown += last - first + 1 - int(told)
        found.unread += int(missing)
        found.pressed += int(pressed)
    out.coverage = found
