"""Minutes of all services, judged by what the store and link-state sources say of them, window by window. The store is asked, nothing is written.

A window is so long that what is read for it fits: most of a week where there are few services, an hour where there are a hundred thousand. Each is read with
the hour before it, so that what began there is seen, and with the same hours of the four weeks before, for what is usual. Where the store does not answer
nothing is guessed (Refusal `away`).
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from bss.desk import Desk
from bss.moment import iso
from bss.question import moment_of, second
from bss.sla import facts, reading, slots
from bss.sla.degraded import Carried, degraded
from bss.sla.facts import Facts
from bss.sla.slots import Bits, Block, Judged, Silence, Whole

LEAD, HOUR, DAY, WEEK = 3600, 3600, 86_400, 604_800
LONGEST = 144               # hours of a window: with its hour before less than a week, or it would be its own past
ROWS = 1_500_000            # minutes that are judged at once
SHOWN = 3                   # minutes of a spell whose figures it keeps
_rtts: dict[tuple[str, int], dict[str, int]] = {}


class Spell(NamedTuple):
    """Minutes in a row of one state, [since, until), s. reason: of slots.REASONS, or `degraded` and `speed_test`; evidence: what was read for it."""
    since: int
    until: int
    state: str
    reason: str
    evidence: dict[str, Any]


class Window(NamedTuple):
    """What was found of [first, last), s: of every service that was active in it the spells in which it was not simply up."""
    first: int
    last: int
    spells: dict[str, list[Spell]]


def windows(count: int, since: datetime, until: datetime, edges: Iterable[datetime] = ()) -> Iterator[tuple[int, int]]:
    """The windows in which so many services are measured from one time to another, s; none reaches over one of the edges."""
    step = min(LONGEST, max(1, 2 * reading.CELLS // max(1, count) // 60)) * HOUR
    begin, last = second(since), second(until)
    cuts = sorted({second(one) for one in edges} | {last})
    for cut in cuts:
        while begin < min(cut, last):
            end = min((begin + step) // HOUR * HOUR, cut, last)
            yield begin, end
            begin = end


def measure(desk: Desk, first: int, last: int) -> Window:
    """Judge one window. Refusal `away`: the store does not answer."""
    known = facts.load(desk, moment_of(first - LEAD), moment_of(last))
    return Window(first, last, _Measuring(desk, first, last, known).spells() if known else {})


class _Measuring:
    """One window. Arrays have a row a service and a column a minute, from the hour before on."""

    def __init__(self, desk: Desk, first: int, last: int, known: Sequence[Facts]) -> None:
        self.desk, self.first, self.last, self.known = desk, first, last, known
        self.begin = first // HOUR * HOUR - LEAD
        self.columns, self.lead = (last - self.begin) // 60, (first - self.begin) // 60
        self.since, self.until = moment_of(self.begin), moment_of(last)
        self.hours = -(-self.columns // 60)
        self.weeks = [(self.begin - n * WEEK, self.begin - n * WEEK + HOUR * self.hours) for n in range(slots.WEEKS, 0, -1)]         # of hours that are whole
        self.told = reading.told(desk, self.begin, last)
        self.before = [reading.told(desk, *one) for one in self.weeks]
        self.interfaces = {(probe, interface) for told in (self.told, *self.before) for probe, one in told.items() for interface in one.interfaces}
        self.seen_by = reading.probes(desk, [*self.weeks, (self.begin, last)])
        self.ids = [one.row.id for one in known]
        self.excluded_by, self.link_by = _windows(desk, self.ids, self.since, self.until), _links(desk, self.ids, self.since, self.until)
        self.ping_by = reading.pings(desk, self.begin, last)
        shape = (len(known), self.columns)
        self.active, self.excluded, self.link_down = np.zeros(shape, bool), np.zeros(shape, np.uint8), np.zeros(shape, bool)
        for row, one in enumerate(known):
            self._paint(row, one)
        self.points = [self._points(one) for one in known]
        self.blind_at = self._blind()

    def _paint(self, row: int, one: Facts) -> None:
        key = one.row.id
        self.active[row] = self._minutes([(since.timestamp(), until.timestamp()) for since, until in one.active])
        for place, kind in enumerate(slots.KINDS, 1):
            spells = [(spell.since.timestamp(), spell.until.timestamp()) for spell in self.excluded_by.get(key, ()) if spell.source == kind]
            if spells:
                where = self._minutes(spells) & (self.excluded[row] == 0)
                self.excluded[row][where] = place
                if kind == "nonpayment":        # it is suspended for that, and would not count at all: it counts as excluded, until it ends
                    ended = self.until if one.row.terminated is None else one.row.terminated
                    self.active[row] |= where & self._minutes([(0.0, ended.timestamp())])
        down = [(spell.since.timestamp(), spell.until.timestamp()) for spell in self.link_by.get(key, ())]
        if down:
            self.link_down[row] = self._minutes(down)
        silent, answering = self.ping_by.get(key, ([], []))
        if silent:
            self.link_down[row] |= self._minutes(silent) & ~self._minutes(answering)

    def _minutes(self, spells: list[tuple[float, float]]) -> Bits:
        return slots.painted(spells, self.begin, self.columns)

    def _points(self, one: Facts) -> list[tuple[str, str]]:
        """Where a service is metered: as its bindings say, else where it was seen, else at every probe."""
        if not one.row.covered:
            return []
        return sorted(one.points) or [(probe, "") for probe in sorted(self.seen_by.get(one.row.id, ()) or {*self.told} - {""})]

    def _covered(self, row: int, told: Mapping[str, reading.Told], columns: int) -> Bits:
        found = np.zeros(columns, bool)
        if self.points[row]:
            found |= True
            for probe, interface in self.points[row]:
                one = told.get(probe)
                # an interface that told before and tells nothing now is down; one that never did goes by another name
                found &= False if one is None else one.interfaces.get(interface, one.good & ((probe, interface) not in self.interfaces))
        if "" in told and self.known[row].row.covered:
            found |= told[""].good
        return found

    def _blind(self) -> dict[str, Bits]:
        """By probe the minutes in which it saw nobody though five or more services, that nothing explains, are bound to it."""
        found: dict[str, Bits] = {}
        for probe, one in self.told.items():
            nobody = one.good & ~one.saw
            if not nobody.any() or not probe:
                continue
            mine = [row for row, points in enumerate(self.points) if any(name == probe for name, _ in points)]
            count = (self.active[mine] & (self.excluded[mine] == 0) & ~self.link_down[mine]).sum(axis=0)
            found[probe] = nobody & (count >= slots.SEEN)
        return found

    # ---- judging

    def spells(self) -> dict[str, list[Spell]]:
        """Of each service."""
        found: dict[str, list[Spell]] = {one: [] for one in self.ids}
        silences: list[Silence] = []
        size = max(1, ROWS // self.columns)
        for start in range(0, len(self.known), size):
            rows = range(start, min(start + size, len(self.known)))
            for row, spells, begun in self._judged(rows):
                found[self.ids[row]] = spells
                silences += begun
        if any(spell.reason == "silent" for spells in found.values() for spell in spells):
            self._promote(found, silences)
        return found

    def _judged(self, rows: range) -> Iterator[tuple[int, list[Spell], list[Silence]]]:
        ids = [self.ids[row] for row in rows]
        told = reading.carried(self.desk, ids, self.begin, self.last)
        part = slice(rows.start, rows.stop)
        dense = {name: np.zeros((len(rows), self.columns), np.int64 if width == 8 else np.uint32) for name, width, _ in reading.COLUMNS}
        dense["rtt_us"][:] = reading.NO_RTT
        for place, key in enumerate(ids):
            for name, values in told.get(key, {}).items():
                if name != "at":
                    dense[name][place, told[key]["at"]] = values
        covered = np.stack([self._covered(row, self.told, self.columns) for row in rows])
        nobody = np.zeros(self.columns, bool)
        blind = np.stack([np.logical_and.reduce([self.blind_at.get(probe, nobody) for probe, _ in self.points[row]] or [nobody]) for row in rows])
        block = Block(self.begin, self.active[part], self.excluded[part], self.link_down[part], covered, blind, dense["down_bytes"], dense["up_bytes"],
                      dense["down_packets"], dense["up_packets"], dense["down_again"], dense["up_again"], dense["flows"], dense["syn_up"],
                      dense["syn_ack_down"], dense["servers"], dense["directions"].astype(np.uint8))
        down, total = self._usual(rows, block)
        judged = slots.judge(block, down, total)
        bad = self._degraded(rows, block, judged, dense)
        for place, row in enumerate(rows):
            spells = [*self._told(row, place, block, judged, down, total), *self._told_degraded(row, bad[place], dense, place),
                      *self._tests(row, judged.state[place], bad[place])]
            begun = [Silence(ids[place], self.begin + 60 * int(begin), self.begin + 60 * int(end))
                     for _, begin, end in judged.silences[judged.silences[:, 0] == place] if begin > 0]
            yield row, sorted(spells), begun

    def _usual(self, rows: range, block: Block) -> tuple[Whole, Whole]:
        """Baselines, of those services alone for which they can matter."""
        hours = self.hours
        down, total = np.full((len(rows), hours), -1, np.int64), np.full((len(rows), hours), -1, np.int64)
        seen = block.covered & block.active
        odd = seen & ((block.directions == 1) | (block.directions == 2) | (block.down_bytes + block.up_bytes == 0) | (block.syn_up >= slots.SYNS))
        wanted = [place for place in range(len(rows)) if odd[place].any()]
        for start in range(0, len(wanted), step := max(1, ROWS // (slots.WEEKS * hours * 60))):
            some = wanted[start:start + step]
            shape = (len(some), slots.WEEKS, hours * 60)
            octets, both, measured = np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.zeros(shape, bool)
            for week, (first, last) in enumerate(self.weeks):
                past = reading.carried(self.desk, [self.ids[rows[place]] for place in some], first, last, light=True)
                for n, place in enumerate(some):
                    one = past.get(self.ids[rows[place]])
                    measured[n, week] = self._covered(rows[place], self.before[week], hours * 60) & self._was_active(rows[place], first)
                    if one is not None:
                        octets[n, week, one["at"]] = one["down_bytes"]
                        both[n, week, one["at"]] = one["down_bytes"] + one["up_bytes"]
            down[some], total[some] = slots.baselines(octets, measured), slots.baselines(both, measured)
        return down, total

    def _was_active(self, row: int, first: int) -> Bits:
        """Minutes of an earlier window since the service was first activated: what it carried before says nothing."""
        one = self.known[row].row
        since = (one.activated or one.created).timestamp()
        found: Bits = first + 60 * np.arange(self.hours * 60) >= since
        return found

    def _degraded(self, rows: range, block: Block, judged: Judged, dense: Mapping[str, Any]) -> Bits:
        mine = [self.known[row] for row in rows]
        down_bps, up_bps, floor = (np.array(values, np.int64) for values in (
            [one.row.down_bps for one in mine], [one.row.up_bps for one in mine], [one.floor_percent for one in mine]))
        if not floor.any():
            return np.zeros(judged.state.shape, bool)
        usual = np.full(judged.state.shape, -1, np.int64)
        self.usual_us = usual
        if (judged.state == slots.UP).any():
            for day in range(self.begin // DAY, (self.last - 1) // DAY + 1):
                known = _usual_rtt(self.desk, day * DAY)
                columns = slice(max(0, (day * DAY - self.begin) // 60), ((day + 1) * DAY - self.begin) // 60)
                for place, row in enumerate(rows):
                    usual[place, columns] = known.get(self.ids[row], -1)
        rtt = np.where(dense["rtt_us"] == reading.NO_RTT, -1, dense["rtt_us"].astype(np.int64))
        carried = Carried(block.down_bytes, block.up_bytes, dense["tcp"], block.down_again.astype(np.int64) + block.up_again, rtt)
        return degraded(judged.state == slots.UP, carried, down_bps, up_bps, floor, usual)

    # ---- what is told of it

    def _told(self, row: int, place: int, block: Block, judged: Judged, down: Whole, total: Whole) -> Iterator[Spell]:
        for begin, end, state, reason in _stretches(judged.state[place], judged.reason[place]):
            if state in (slots.UP, slots.IDLE) or end <= self.lead:
                continue
            begin = max(begin, self.lead)
            hours = slice(begin // 60, (end - 1) // 60 + 1)
            since, until = self.begin + 60 * begin, self.begin + 60 * end
            figures: dict[str, Any] = {"tables": ["usage_1m", "coverage"]}
            if self.points[row]:
                figures["probes"] = [probe for probe, _ in self.points[row]]
            if state == slots.EXCLUDED:
                figures = {"windows": _evidence(self.excluded_by.get(self.ids[row], ()), since, until)}
            elif reason in (slots.LINK, slots.SILENT_LINK):
                told = _evidence(self.link_by.get(self.ids[row], ()), since - 120, until + 120)
                figures["link_state"] = told or [{"source": "ping", "table": "link_state"}]
            elif reason == slots.UNANSWERED:
                figures["minutes"] = self._minutes_of(begin, end, place, syn_up=block.syn_up, syn_ack_down=block.syn_ack_down, servers=block.servers,
                                                      down_bytes=block.down_bytes)
            elif reason == slots.ONE_SIDED:
                figures["minutes"] = self._minutes_of(begin, end, place, up_packets=block.up_packets, down_packets=block.down_packets)
            if reason in (slots.UNANSWERED, slots.SILENT, slots.SILENT_LINK, slots.SILENT_UNANSWERED):
                figures |= {"usual_down_bytes": down[place, hours].tolist()[:6], "usual_bytes": total[place, hours].tolist()[:6]}
            yield Spell(since, until, slots.STATES[state], slots.REASONS[reason], figures)

    def _told_degraded(self, row: int, bad: Bits, dense: Mapping[str, Any], place: int) -> Iterator[Spell]:
        for _, begin, end in slots.runs(bad[None, :], 1):
            begin = max(int(begin), self.lead)
            if end > begin:
                yield Spell(self.begin + 60 * begin, self.begin + 60 * int(end), "degraded", "degraded", {
                    "tables": ["usage_1m"], "usual_rtt_us": int(self.usual_us[place, begin]), "floor_percent": self.known[row].floor_percent,
                    "minutes": self._minutes_of(begin, int(end), place, **{name: dense[name] for name in (
                        "down_bytes", "up_bytes", "tcp", "down_again", "up_again", "rtt_us")})})

    def _minutes_of(self, begin: int, end: int, place: int, **columns: Any) -> list[dict[str, Any]]:
        """The figures of the first minutes of a stretch; the store has the rest."""
        return [{"minute": iso(moment_of(self.begin + 60 * column)),
                 **{name: None if name == "rtt_us" and values[place, column] == reading.NO_RTT else int(values[place, column])
                    for name, values in columns.items()}} for column in range(begin, min(end, begin + SHOWN))]

    def _tests(self, row: int, state: Any, bad: Bits) -> Iterator[Spell]:
        """Minutes in which a recorded speed test was below the floor."""
        one = self.known[row]
        done: set[int] = set()
        for key, at, down, up in one.tests:
            column = int(at.timestamp() - self.begin) // 60
            below = any(rate and got * 100 < one.floor_percent * rate for got, rate in ((down, one.row.down_bps), (up, one.row.up_bps)))
            if below and column >= self.lead and column not in done and state[column] == slots.UP and not bad[column]:
                done.add(column)
                yield Spell(self.begin + 60 * column, self.begin + 60 * column + 60, "degraded", "speed_test",
                            {"speed_test": key, "down_bps": down, "up_bps": up, "floor_percent": one.floor_percent})

    def _promote(self, found: dict[str, list[Spell]], silences: Sequence[Silence]) -> None:
        """What neighbours explain is down from its first minute on."""
        because = slots.agreeing(silences, facts.behind(self.desk, self.ids))
        if not because:
            return
        whole = {(one.service, one.since): one for one in silences}
        for (service, since), resource in because.items():
            end = whole[service, since].until
            found[service] = [one._replace(state="down", reason="silent_neighbours", evidence={**one.evidence, "resource": resource})
                              if one.reason == "silent" and since <= one.since < end else one for one in found[service]]


def _stretches(state: Any, reason: Any) -> Iterator[tuple[int, int, int, int]]:
    """Minutes in a row of one state and reason: first column, column after the last, both."""
    code = state.astype(np.int64) * 100 + reason
    edges = [0, *(np.flatnonzero(np.diff(code)) + 1).tolist(), len(code)]
    for begin, end in zip(edges, edges[1:], strict=False):
        yield begin, end, int(state[begin]), int(reason[begin])


def _evidence(spells: Sequence[Any], since: int, until: int) -> list[dict[str, Any]]:
    """What is told of those that lie in a time."""
    return [{"source": one.source, "from": iso(one.since), "to": iso(one.until), **one.evidence} for one in spells
            if one.since.timestamp() < until and one.until.timestamp() > since][:5]


def _windows(desk: Desk, ids: Sequence[str], since: datetime, until: datetime) -> Mapping[str, Sequence[Any]]:
    from bss.tickets import window
    return window.excluded(desk, ids, since, until)


def _links(desk: Desk, ids: Sequence[str], since: datetime, until: datetime) -> Mapping[str, Sequence[Any]]:
    """Times of being down by all sources but the probe's pings, which are asked of the store itself."""
    from bss.tickets import linkstate
    return {key: [one for one in spells if one.source != "ping"] for key, spells in linkstate.spells(desk, ids, since, until).items()}


def _usual_rtt(desk: Desk, day: int) -> dict[str, int]:
    """Asked once for a day that is over."""
    key = desk.office.settings.store, day
    if key not in _rtts:
        if len(_rtts) > 40:
            _rtts.clear()
        _rtts[key] = reading.usual_rtt(desk, day)
    return _rtts[key]
