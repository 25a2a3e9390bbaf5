"""The load of links minute by minute, out of `coverage` (every frame that was read) and the direction of the traffic out of their rollup.

A minute of a link is known where coverage tells of it and the probe read all the time. Of several links together it is known where it is of each; a capture
is no link that is missing before and after it: of captures together a minute is known where it is of one.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import field, replace
from typing import Any

import numpy as np

from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.reports.document import Words
from dpi.reports.percentile import Ranked, percentile
from dpi.reports.request import MINUTE, Place, Request
from dpi.reports.sources import placed

#: Share of a link's bytes that must be of one local and one distant side for its two directions to be told apart.
TOLD = 0.95
SLOT = 5                    # minutes of a slot of the 95th percentile
#: What is said where there is no slot of which all minutes are known.
NO_SLOT = Words("There is no 95th percentile: no slot of five minutes on the clock's marks is known whole.", "没有 95 分位：没有任何整 5 分钟时隙的数据完整。")
_MOST = 40_000_000
_WEEK, _YEAR = 7 * 1440 * MINUTE, 365 * 1440 * MINUTE


@dataclass
class Load:
    """Bytes in each minute from `first` (minutes since the epoch) on; float64[n], `known` bool[n]. capacity: bits a second in each direction, 0 not given.
    lost: frames that were lost on the way to the decoder, float64[n]."""
    name: str
    first: int
    capacity: int
    octets: Any
    incoming: Any
    outgoing: Any
    other: Any
    known: Any
    lost: Any
    members: list[str] = field(default_factory=list)
    captured: bool = False      # nothing but captures

    @property
    def told(self) -> bool:
        """Its directions can be told apart."""
        sided = float(self.incoming.sum() + self.outgoing.sum())
        return sided > 0 and sided >= TOLD * (sided + float(self.other.sum()))

    @property
    def busy(self) -> Any:
        """What utilisation is of: the busier direction of each minute where they can be told apart, else everything; bytes."""
        return np.maximum(self.incoming, self.outgoing) if self.told else self.octets

    def slots(self, values: Any) -> Any:
        """Bits a second of the slots of five minutes, on the clock's marks, that are known whole."""
        lead = -self.first % SLOT
        count = max(0, (len(values) - lead) // SLOT)
        cut = slice(lead, lead + count * SLOT)
        whole = self.known[cut].reshape(count, SLOT).all(axis=1)
        return values[cut].reshape(count, SLOT).sum(axis=1)[whole] * 8 / (SLOT * 60)

    def p95(self, values: Any) -> Ranked:
        """The 95th percentile of the slots (dpi.reports.percentile)."""
        return percentile(self.slots(values).tolist())

    def part(self, start: int, end: int) -> Load:
        """The minutes [start, end) of it, since the epoch."""
        cut = slice(max(0, start - self.first), max(0, end - self.first))
        return Load(self.name, max(start, self.first), self.capacity, self.octets[cut], self.incoming[cut], self.outgoing[cut], self.other[cut],
                    self.known[cut], self.lost[cut], self.members, self.captured)


def loads(ask: Request, group: Callable[[str], str] | None = None) -> list[Load]:
    """The load of each group of links, by name; group: the group of a link by its name (none: each link is one). A link of the settings that nothing was
    seen of is among them, unknown throughout. Whole minutes of the period only. UserError where it is too much for one report."""
    first, end = -(-ask.begin // MINUTE), ask.end // MINUTE
    if end <= first:
        return []
    ask = replace(ask, begin=first * MINUTE, end=end * MINUTE)
    group = group or (lambda link: link)
    places = {one.name: one for one in ask.places}
    import pyarrow

    # week by week: an owner of the store that is asked over HTTP gives no more than a million rows at once
    weeks = [replace(ask, begin=start, end=min(ask.end, start + _WEEK)) for start in range(ask.begin, ask.end, _WEEK)]
    table = pyarrow.concat_tables([_rows(week) for week in weeks])
    names = table.column("link").combine_chunks().dictionary_encode()
    words = [str(word) for word in names.dictionary.to_pylist()]
    if (end - first) * max(1, len(words)) > _MOST:
        raise UserError("that is too many minutes of too many links", "--from and --to", "ask for a shorter period")
    code = np.asarray(names.indices)
    columns = {name: table.column(name).to_numpy() for name in ("minute", "octets", "incoming", "outgoing", "other", "unread", "lost", "captured")}
    at = columns["minute"].astype(np.int64) - first
    out: dict[str, Load] = {}
    for number, link in enumerate([*words, *(name for name in places if name not in words)]):
        rows = np.flatnonzero(code == number) if number < len(words) else np.zeros(0, np.int64)
        rows = rows[(at[rows] >= 0) & (at[rows] < end - first)]
        dense = {name: np.zeros(end - first) for name in ("octets", "incoming", "outgoing", "other", "lost")}
        for name, values in dense.items():
            values[at[rows]] = columns[name][rows]
        known = np.zeros(end - first, bool)
        known[at[rows]] = columns["unread"][rows] == 0
        one = Load(group(link), first, places.get(link, Place(link)).capacity_bps, **dense, known=known, members=[link],
                   captured=bool(len(rows)) and bool(columns["captured"][rows].all()))
        if one.name in out:
            _add(out[one.name], one)
        else:
            out[one.name] = one
    return [out[name] for name in sorted(out)]


def known_minutes(ask: Request) -> tuple[int, Any]:
    """The first whole minute of the period (since the epoch), and of each whether it is known of every link: bool[n], n = 0 where coverage tells of none.
    What `loads` says of all links together, without their load."""
    first, end = -(-ask.begin // MINUTE), ask.end // MINUTE
    ask = replace(ask, begin=first * MINUTE, end=max(first, end) * MINUTE)
    told = (f"SELECT {placed(ask.places, 'link', 'source')} AS link, intDiv(toUnixTimestamp64Micro(time), {MINUTE}) AS minute, sumIf(unread_us, worker = 0) "
            "AS unread, min(capture_id) != 0 AS captured FROM coverage WHERE {period} GROUP BY link, minute")
    links = {str(link): bool(captured) for link, captured in ask.store.query(
        f"SELECT {placed(ask.places, 'link', 'source')} AS link, min(capture_id) != 0 FROM coverage WHERE {ask.of('time', True)} GROUP BY link")}
    if not links or end <= first:
        return first, np.zeros(0, bool)
    every = len({link for link, captured in links.items() if not captured} | {one.name for one in ask.places} - set(links))
    sure = np.zeros(end - first, np.int64)
    for start in range(ask.begin, ask.end, _YEAR):      # no more than a million rows at once, as `loads` has it
        part = replace(ask, begin=start, end=min(ask.end, start + _YEAR))
        found = ask.store.arrow(f"SELECT minute, countIf(unread = 0 AND {'captured' if not every else 'NOT captured'}) AS sure FROM ("
                                f"{told.replace('{period}', part.of('time', True))}) GROUP BY minute")
        sure[found.column("minute").to_numpy().astype(np.int64) - first] = found.column("sure").to_numpy()
    return first, sure == every if every else sure > 0


def _add(whole: Load, one: Load) -> None:
    """A further link of a group. A capacity that is not given makes that of the group unknown."""
    whole.capacity = whole.capacity + one.capacity if whole.capacity and one.capacity else 0
    for name in ("octets", "incoming", "outgoing", "other", "lost"):
        getattr(whole, name)[:] += getattr(one, name)
    if whole.captured == one.captured:
        whole.known = whole.known | one.known if one.captured else whole.known & one.known
    elif whole.captured:
        whole.known, whole.captured = one.known, False
    whole.members += one.members


def _rows(ask: Request) -> Any:
    """A row for each link and minute that coverage tells of."""
    at = f"intDiv(toUnixTimestamp64Micro(time), {MINUTE})"
    here, there = "(client_local AND NOT server_local)", "(server_local AND NOT client_local)"
    sided = (f"SELECT {placed(ask.places, 'link', ask.interface(True))} AS link, intDiv(toUnixTimestamp64Second(time), 60) AS minute, "
             f"sumIf(server_wire_bytes, {here}) + sumIf(client_wire_bytes, {there}) AS incoming, "
             f"sumIf(client_wire_bytes, {here}) + sumIf(server_wire_bytes, {there}) AS outgoing, "
             f"sum(client_wire_bytes + server_wire_bytes) - incoming - outgoing AS other "
             f"FROM links_1m WHERE {ask.of('time')} GROUP BY link, minute")
    told = (f"SELECT {placed(ask.places, 'link', 'source')} AS link, {at} AS minute, sum(wire_bytes) AS octets, sumIf(unread_us, worker = 0) AS unread, "
            "sum(dropped_nic + dropped_kernel + dropped_ring) AS lost, min(capture_id) != 0 AS captured "
            f"FROM coverage WHERE {ask.of('time', True)} GROUP BY link, minute")
    return ask.store.arrow(f"SELECT toString(link) AS link, minute, octets, unread, lost, captured, incoming, outgoing, other FROM ({told}) AS told "
                           f"LEFT JOIN ({sided}) AS sided USING (link, minute)")
