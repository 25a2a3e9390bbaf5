"""What each minute was: every rule by itself, and all of them against a slow twin that looks at one minute at a time. No database."""
from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bss.sla import slots
from bss.sla.month import count
from bss.sla.slots import BUSY, Block, Judged, Silence, agreeing, baselines, judge, painted, runs

N = 60
USUAL = 10 * BUSY


def quiet_block(rows: int = 1, columns: int = N) -> Block:
    """Services that carry what they usually do, all answered."""
    def whole(value: int, kind: Any = np.int64) -> Any:
        return np.full((rows, columns), value, kind)
    return Block(0, whole(1, bool), whole(0, np.uint8), whole(0, bool), whole(1, bool), whole(0, bool), whole(USUAL // 2), whole(USUAL // 2), whole(1000),
                 whole(1000), whole(0), whole(0), whole(40), whole(10), whole(10), whole(3), whole(3, np.uint8))


def usual(rows: int, columns: int, value: int = USUAL) -> Any:
    return np.full((rows, -(-columns // 60)), value, np.int64)


def judged(block: Block, down: int = USUAL // 2, total: int = USUAL) -> list[str]:
    """State and reason of each minute of the first service."""
    found = judge(block, usual(*block.active.shape, down), usual(*block.active.shape, total))
    return [f"{slots.STATES[state]} {slots.REASONS[reason]}".strip() for state, reason in zip(found.state[0], found.reason[0], strict=True)]


def silent(block: Block, part: slice, row: int = 0) -> None:
    for one in (block.down_bytes, block.up_bytes, block.down_packets, block.up_packets, block.flows, block.syn_up, block.syn_ack_down, block.servers,
                block.directions):
        one[row, part] = 0


def unanswered(block: Block, part: slice, syns: int = 40, answered: int = 0, servers: int = 5, down: int = 0) -> None:
    silent(block, part)
    for one, value in ((block.syn_up, syns), (block.syn_ack_down, answered), (block.servers, servers), (block.flows, syns), (block.up_packets, 4 * syns),
                       (block.up_bytes, 240 * syns), (block.directions, 1 if not down else 3), (block.down_bytes, down)):
        one[0, part] = value


def test_what_carries_and_is_answered_is_up_and_what_is_not_active_does_not_count() -> None:
    block = quiet_block()
    block.active[0, 50:] = False
    assert judged(block) == ["up"] * 50 + ["idle"] * 10


def test_the_first_rule_that_matches_wins() -> None:
    block = quiet_block()
    for part, what in ((slice(10, 60), block.blind), (slice(0, 40), block.link_down)):
        what[0, part] = True
    block.covered[0, 5:50] = False
    block.excluded[0, :3] = 1
    assert judged(block) == ["excluded maintenance"] * 3 + ["down link"] * 37 + ["unknown sensor"] * 10 + ["unknown blind"] * 10


@pytest.mark.parametrize(("given", "found"), [
    ({}, "down unanswered"), ({"syns": 19}, "unknown one_sided"), ({"servers": 4}, "unknown one_sided"), ({"answered": 2}, "down unanswered"),
    ({"answered": 3}, "unknown one_sided"), ({"down": USUAL // 40}, "down unanswered"), ({"down": USUAL // 40 + 1}, "up")])
def test_connections_that_are_tried_and_not_answered(given: dict[str, int], found: str) -> None:
    block = quiet_block()
    unanswered(block, slice(20, 30), **given)
    assert judged(block) == ["up"] * 20 + [found] * 10 + ["up"] * 30


def test_without_a_baseline_nothing_is_down_by_traffic() -> None:
    block = quiet_block()
    unanswered(block, slice(20, 30))
    silent(block, slice(40, 50))
    assert judged(block, -1, -1) == ["up"] * 60


def test_a_mirror_of_one_side_is_unknown_and_noise_on_an_idle_line_is_not() -> None:
    block = quiet_block()
    block.directions[0, :10], block.down_packets[0, :10], block.down_bytes[0, :10], block.syn_ack_down[0, :10] = 1, 0, 0, 0
    block.syn_up[0, :10], block.servers[0, :10] = 40, 9                  # as many are tried as in an outage, but they go on
    block.up_packets[0, :10] = 4000
    assert judged(block)[:11] == ["unknown one_sided"] * 10 + ["up"]
    idle = quiet_block()
    silent(idle, slice(0, 60))
    idle.directions[0], idle.down_packets[0], idle.down_bytes[0], idle.flows[0] = 2, 5, 300, 5       # somebody scans
    assert judged(idle, 1000, 2000) == ["up"] * 60 and judged(idle) == ["unknown one_sided"] * 60


def test_silence_is_unknown_from_three_minutes_on_and_on_a_busy_line_alone() -> None:
    block = quiet_block()
    for part in (slice(10, 12), slice(20, 23), slice(40, 60)):
        silent(block, part)
    assert judged(block) == ["up"] * 20 + ["unknown silent"] * 3 + ["up"] * 17 + ["unknown silent"] * 20
    assert judged(block, 10, BUSY - 1) == ["up"] * 60


@pytest.mark.parametrize(("at", "found"), [(30, True), (18, True), (41, True), (17, False), (42, False)])
def test_silence_is_down_from_its_beginning_where_link_state_agrees(at: int, found: bool) -> None:
    block = quiet_block()
    silent(block, slice(20, 40))
    block.link_down[0, at] = True
    told = judged(block)
    assert told[at] == "down link"
    assert [one for n, one in enumerate(told[20:40], 20) if n != at] == ["down silent_link" if found else "unknown silent"] * (19 if 20 <= at < 40 else 20)


def test_silence_is_down_where_connections_before_it_were_not_answered() -> None:
    block = quiet_block()
    unanswered(block, slice(10, 15))
    silent(block, slice(15, 30))
    assert judged(block) == ["up"] * 10 + ["down unanswered"] * 5 + ["down silent_unanswered"] * 15 + ["up"] * 30


def together(*begins: int, of: int = 10, behind: str = "olt") -> dict[tuple[str, int], str]:
    silences = [Silence(f"S{n}", 60 * at, 60 * at + 600) for n, at in enumerate(begins)]
    return agreeing(silences, {behind: [f"S{n}" for n in range(of)]})


def test_three_neighbours_and_30_percent_within_two_minutes() -> None:
    assert together(5, 6, 7) == {("S0", 300): "olt", ("S1", 360): "olt", ("S2", 420): "olt"}
    assert together(5, 6) == {} and together(5, 6, 8) == {} and together(5, 6, 7, of=11) == {} and together(5, 5, of=3) == {}
    assert together(1, 5, 6, 7, 10) == {("S1", 300): "olt", ("S2", 360): "olt", ("S3", 420): "olt"}
    both = agreeing([Silence(f"S{n}", 60, 600) for n in range(3)], {"site": [f"S{n}" for n in range(10)], "pon": ["S0", "S1", "S2"]})
    assert set(both.values()) == {"pon"}            # the smallest that explains it


def test_a_minute_belongs_to_what_holds_half_of_it() -> None:
    assert painted([(30, 90)], 0, 3).tolist() == [True, True, False] and painted([(31, 89)], 0, 3).tolist() == [False, False, False]
    assert painted([(0, 15), (40, 55)], 0, 1).tolist() == [True] and painted([(0, 20), (10, 29)], 0, 1).tolist() == [False]
    assert painted([(-500, 60), (120, 9999)], 0, 4).tolist() == [True, False, True, True]


@given(st.lists(st.tuples(st.integers(-100, 700), st.integers(0, 300)), max_size=6))
def test_painted_is_what_counting_seconds_gives(spells: list[tuple[int, int]]) -> None:
    held = {second for begin, length in spells for second in range(begin, begin + length)}
    assert painted([(begin, begin + length) for begin, length in spells], 0, 10).tolist() == [
        sum(second in held for second in range(60 * n, 60 * n + 60)) >= 30 for n in range(10)]


def test_a_baseline_is_the_median_of_measured_minutes_of_four_weeks() -> None:
    values = np.zeros((1, 4, 120), np.int64)
    measured = np.ones((1, 4, 120), bool)
    values[0, :, :60] = np.arange(240).reshape(4, 60)
    assert baselines(values, measured).tolist() == [[119, 0]]
    measured[0, 2:, :60] = False
    assert baselines(values, measured)[0, 0] == 59
    measured[0, 1:, :60], measured[0, 0, 0] = False, False
    assert baselines(values, measured)[0, 0] == -1           # 59 minutes say nothing


# ---- the twin

def twin(block: Block, row: int, down: list[int], total: list[int]) -> tuple[list[int], list[int]]:
    """The same, one minute at a time, by the words of the rules."""
    count = block.active.shape[1]
    states, reasons = [], []

    def one(name: str, n: int) -> int:
        return int(getattr(block, name)[row, n])

    def is_unanswered(n: int) -> bool:
        usual_down = down[n // 60]
        return bool(one("covered", n) and one("active", n) and one("syn_up", n) >= 20 and one("servers", n) >= 5
                    and one("syn_ack_down", n) <= 0.05 * one("syn_up", n) and usual_down > 0 and one("down_bytes", n) <= 0.05 * usual_down)

    def goes_on(n: int) -> bool:
        way = "up" if one("directions", n) == 1 else "down"
        return one(f"{way}_packets", n) - one(f"{way}_again", n) > 4 * max(one("flows", n), one("syn_up", n)) + 20

    def is_quiet(n: int) -> bool:
        return bool(one("covered", n) and one("active", n) and not one("excluded", n) and one("down_bytes", n) + one("up_bytes", n) == 0
                    and total[n // 60] >= 375_000)

    for n in range(count):
        if not one("active", n):
            state, reason = slots.IDLE, 0
        elif one("excluded", n):
            state, reason = slots.EXCLUDED, one("excluded", n)
        elif one("link_down", n):
            state, reason = slots.DOWN, slots.LINK
        elif not one("covered", n):
            state, reason = slots.UNKNOWN, slots.SENSOR
        elif one("directions", n) in (1, 2) and (goes_on(n) or total[n // 60] >= 375_000 and not is_unanswered(n)):
            state, reason = slots.UNKNOWN, slots.ONE_SIDED
        elif one("blind", n):
            state, reason = slots.UNKNOWN, slots.BLIND
        elif is_unanswered(n):
            state, reason = slots.DOWN, slots.UNANSWERED
        else:
            state, reason = slots.UP, 0
        states.append(state)
        reasons.append(reason)
    found = list(reasons)
    n = 0
    while n < count:
        end = n
        while end < count and is_quiet(end):
            end += 1
        if end - n >= 3:
            near = range(max(0, n - 2), min(count, end + 2))
            why = (slots.SILENT_LINK if any(one("link_down", k) for k in near) else
                   slots.SILENT_UNANSWERED if any(reasons[k] == slots.UNANSWERED for k in near) else slots.SILENT)
            for k in range(n, end):
                if states[k] == slots.UP:
                    states[k], found[k] = slots.UNKNOWN if why == slots.SILENT else slots.DOWN, why
        n = max(end, n + 1)
    return states, found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2 ** 32 - 1), st.floats(0, 1))
def test_all_rules_at_once_are_those_of_the_twin(seed: int, odd: float) -> None:
    chance = np.random.default_rng(seed)
    block = quiet_block(4, 150)
    for _ in range(int(1 + 12 * odd)):
        row, begin = int(chance.integers(4)), int(chance.integers(150))
        part = slice(begin, begin + int(chance.integers(1, 20)))
        kind = int(chance.integers(8))
        if kind == 0:
            silent(block, part, row)
        elif kind == 1:
            for name, values in (("syn_up", (10, 60)), ("servers", (3, 8)), ("syn_ack_down", (0, 4)), ("directions", (1, 4)), ("down_packets", (0, 50))):
                getattr(block, name)[row, part] = chance.integers(*values)
            block.down_bytes[row, part] = chance.choice([0, USUAL // 40, USUAL // 3])
            block.up_packets[row, part] = chance.choice([30, 150, 5000])
        elif kind == 2:
            block.directions[row, part] = chance.integers(0, 4)
        else:
            name = ("link_down", "covered", "blind", "excluded", "active")[kind - 3]
            getattr(block, name)[row, part] = chance.integers(0, 5) if name == "excluded" else name in ("link_down", "blind")
    down, total = (chance.choice([-1, 0, BUSY - 1, BUSY, USUAL], (4, 3)) for _ in range(2))
    found: Judged = judge(block, down, total)
    for row in range(4):
        states, reasons = twin(block, row, down[row].tolist(), total[row].tolist())
        assert found.state[row].tolist() == states and [r for r, s in zip(found.reason[row].tolist(), states, strict=True) if s != slots.IDLE] == [
            r for r, s in zip(reasons, states, strict=True) if s != slots.IDLE]


def test_runs() -> None:
    where = np.array([[1, 1, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0], [1, 0, 1, 1, 1, 1]], bool)
    assert runs(where, 3).tolist() == [[0, 3, 6], [2, 2, 6]] and runs(where, 1)[:, 0].tolist() == [0, 0, 2, 2]


def test_days_of_a_month_are_those_on_which_a_service_was_active_however_shortly() -> None:
    """Ten minutes on each of five days, in the operator's zone: five days are charged, and so are credited."""
    zone = ZoneInfo("Asia/Shanghai")
    since = datetime(2026, 11, 1, tzinfo=zone)
    spans = [(since + timedelta(days=n, hours=12), since + timedelta(days=n, hours=12, minutes=10)) for n in range(5)]
    counted = count(spans, [], since.astimezone(UTC), datetime(2026, 12, 1, tzinfo=zone).astimezone(UTC), zone)
    assert (counted.minutes.total, counted.days) == (50, 5)
    midnight = [(since + timedelta(hours=23, minutes=50), since + timedelta(days=1, minutes=10))]
    assert count(midnight, [], since.astimezone(UTC), datetime(2026, 12, 1, tzinfo=zone).astimezone(UTC), zone).days == 2
