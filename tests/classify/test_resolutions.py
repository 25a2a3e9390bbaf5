"""What DNS answers said, against a list of all answers."""
from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.capture.key import fresh_seed
from dpi.classify.inspection import INSPECTION
from dpi.classify.resolutions import ANSWER, LIFETIME_US, RESOLUTION, Resolutions, learn, note, resolve
from dpi.flow.table import SHARD
from dpi.jit import entry, records

U1, U8, I8 = np.dtype("u1"), np.dtype("u8"), np.dtype("i8")
HOUR = 3600 * 1_000_000
NAMES = ("a.example", "cdn.example.net")


@entry(ANSWER, SHARD, INSPECTION)
def noted(answers, shard, inspection):
    return note(answers, shard, inspection)


@entry(RESOLUTION, U1, I8, U8, ANSWER, SHARD)
def learned(entries, text, head, seed, answers, shard):
    learn(entries, text, head, seed, answers, shard[0].answers)
    shard[0].answers = 0
    return 0


@entry(RESOLUTION, U1, I8, U8, U1, I8)
def resolved(entries, text, head, seed, address, before):
    return resolve(entries, text, head, seed, address, 0, before[0])


def expected(answers: list[tuple[int, int, int]], address: int, before: int) -> set[str]:
    """The names that may be given. answers: (time, address, name) in order of time."""
    found: dict[int, list[int]] = {}        # name: since when, when last
    for time, of, name in answers:
        if of != address:
            continue
        if name not in found or time - found[name][1] >= LIFETIME_US:
            found[name] = [time, time]
        found[name][1] = time
    known = {name: min(last, before) for name, (since, last) in found.items() if since <= before and before - last < LIFETIME_US}
    return {NAMES[name] for name, when in known.items() if when == max(known.values())}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4 * HOUR), st.integers(0, 1), st.integers(0, 1)), max_size=12), st.integers(0, 2),
       st.integers(0, 30 * HOUR), st.integers(1, 2))
def test_the_name_a_client_was_told(steps, address, before, together):
    """Asked after all answers came, for a flow that began anywhere between them. So few names that none has to make room. together: how many are noted
    before they are learned."""
    table, seed = Resolutions(64, 4096), fresh_seed()
    inspection, time, answers = records(1, INSPECTION), HOUR, []
    list_, shard = records(2, ANSWER), records(1, SHARD)
    plain = inspection.view(np.ndarray)
    for step, of, name in steps:
        time += step
        answers.append((time, of, name))
        word = NAMES[name].encode()
        plain["time"][0], plain["name_length"][0], plain["name_count"][0] = time, len(word), 1
        plain["name"][0][:len(word)] = list(word)
        plain["addresses"][0][:16] = [of + 1] * 16
        noted(list_, shard, inspection)
        if shard[0].answers == together:
            learned(table.entries, table.text, table.head, seed, list_, shard)
    learned(table.entries, table.text, table.head, seed, list_, shard)
    found = resolved(table.entries, table.text, table.head, seed, np.full(16, address + 1, np.uint8), np.array([before]))
    said = table.text[found >> 16:(found >> 16) + (found & 0xFFFF)].tobytes().decode() if found else ""
    allowed = expected(answers, address, before)
    assert said in allowed if allowed else said == ""
