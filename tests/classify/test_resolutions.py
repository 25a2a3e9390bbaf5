"""What DNS answers said, against a list of all answers."""
from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.classify.inspection import INSPECTION
from dpi.classify.resolutions import ANSWER, LIFETIME_US, RESOLUTION, SPACING_US, WAYS, Resolutions, learn, note, resolve
from dpi.flow.table import SHARD
from dpi.jit import entry, records

U1, U8, I8 = np.dtype("u1"), np.dtype("u8"), np.dtype("i8")
SEED = np.array([1, 2, 3, 5], np.uint64)      # by which the two addresses have buckets of their own
HOUR = 3600 * 1_000_000
NAMES = ("a.example", "a.example.net", "cdn.example.net")


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


def expected(answers: list[tuple[int, int, int]], address: int, before: int) -> str:
    """The name of the newest answer (time, address, name), in order of time, of which those within SPACING_US of the same name count as the first."""
    candidates = []
    for name, word in enumerate(NAMES):
        kept: list[int] = []
        since = last = -LIFETIME_US
        for time in (time for time, of, which in answers if of == address and which == name):
            if time - last >= LIFETIME_US:
                since, kept = time, []
            if not kept or time - kept[-1] >= SPACING_US:
                kept.append(time)
            last = time
        if kept and since <= before and before - last < LIFETIME_US:
            candidates.append((max(time for time in kept if time <= before), since, word))
    return max(candidates)[2] if candidates else ""


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0, 1, 3_000_000, 4_000_000, HOUR, 3 * HOUR, 7 * HOUR]), st.integers(0, 1), st.integers(0, len(NAMES) - 1)),
                max_size=14), st.integers(0, 2), st.integers(0, 30 * HOUR) | st.integers(0, 13), st.integers(1, 2), st.data())
def test_the_name_a_client_was_told(steps, address, before, together, data):
    """Asked after all answers came, for a flow that began anywhere between them; a neighbour may be learned first. So few names and answers that none has
    to make room. together: how many are noted before they are learned."""
    table, seed = Resolutions(64, 4096), SEED
    inspection, time, answers = records(1, INSPECTION), HOUR, []
    list_, shard = records(2, ANSWER), records(1, SHARD)
    plain = inspection.view(np.ndarray)
    for step, of, name in steps:
        time += step
        answers.append((time, of, name))
    told = list(answers)
    for k in range(len(told) - 1):
        if told[k + 1][0] - told[k][0] <= 1 and data.draw(st.booleans()):
            told[k], told[k + 1] = told[k + 1], told[k]
    for time, of, name in told:
        word = NAMES[name].encode()
        plain["time"][0], plain["name_length"][0], plain["name_count"][0] = time, len(word), 1
        plain["name"][0][:len(word)] = list(word)
        plain["addresses"][0][:16] = [of + 1] * 16
        noted(list_, shard, inspection)
        if shard[0].answers == together:
            learned(table.buckets, table.text, table.head, seed, list_, shard)
    learned(table.buckets, table.text, table.head, seed, list_, shard)
    if before < 14:
        before = answers[before % len(answers)][0] if answers else before
    found = resolved(table.buckets, table.text, table.head, seed, np.full(16, address + 1, np.uint8), np.array([before]))
    said = table.text[found >> 16:(found >> 16) + (found & 0xFFFF)].tobytes().decode() if found else ""
    assert said == expected(answers, address, before)


def test_of_more_names_than_a_bucket_has_room_for_the_one_told_longest_ago_goes():
    table, list_, shard, inspection = Resolutions(WAYS, 4096), records(1, ANSWER), records(1, SHARD), records(1, INSPECTION)
    plain = inspection.view(np.ndarray)

    def tell(word: bytes, time: int) -> None:
        plain["time"][0], plain["name_length"][0], plain["name_count"][0] = time, len(word), 1
        plain["name"][0][:len(word)] = list(word)
        plain["addresses"][0][:16] = [1] * 16
        noted(list_, shard, inspection)
        learned(table.buckets, table.text, table.head, SEED, list_, shard)

    def said(before: int) -> str:
        found = resolved(table.buckets, table.text, table.head, SEED, np.full(16, 1, np.uint8), np.array([before]))
        return table.text[found >> 16:(found >> 16) + (found & 0xFFFF)].tobytes().decode()

    for k in range(WAYS):
        tell(b"%d.example" % k, HOUR + k)
    tell(b"0.example", HOUR + 20)                   # told again: now 1.example is the one told longest ago
    assert said(HOUR + 1) == "1.example"
    tell(b"new.example", HOUR + 5)                  # of a capture whose times lie before: what was told last is kept all the same
    assert (said(HOUR + 1), said(HOUR + 3), said(HOUR + 5)) == ("0.example", "3.example", "new.example")
