"""dpi.classify.names against its slow twins."""
from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dpi.classify.names import agent_reason, agent_table, name_reason, table
from tests.oracle import names as twin

LABEL = st.text("ab-1", min_size=1, max_size=3)
RULE = st.lists(LABEL, min_size=1, max_size=4).map(".".join)
RULES = st.dictionaries(RULE, st.integers(1, 1000), max_size=20)
ASKED = st.lists(st.text("aAbB-1", min_size=0, max_size=3), min_size=1, max_size=6).map(".".join)
AGENTS = st.dictionaries(st.text("ab/é", min_size=1, max_size=4), st.integers(1, 1000), max_size=8)


def find(name: str, names: np.ndarray) -> int:
    data = np.frombuffer(f"x{name}x".encode(), np.uint8).copy()
    return name_reason(data, 1, data.size - 1, names)


@settings(max_examples=200, deadline=None)
@given(RULES, RULES, st.lists(ASKED, min_size=1, max_size=20))
def test_the_longest_suffix_wins(suffixes, exact, asked):
    names = table(suffixes, exact)
    for name in [*asked, *suffixes, *exact, *(f"a.{rule}." for rule in suffixes)]:
        assert find(name, names) == twin.find_name(name, suffixes, exact), name


def test_label_boundaries_and_spelling():
    names = table({"youtube.com": 1, "music.youtube.com": 2}, {"www.google.com": 3})
    asked = ("youtube.com", "WWW.YouTube.Com.", "notyoutube.com", "a.music.youtube.com", "youtube.com.cn")
    assert [find(name, names) for name in asked] == [1, 1, 0, 2, 0]
    assert [find(name, names) for name in ("www.google.com", "a.www.google.com", "google.com", "", ".", "com")] == [3, 0, 0, 0, 0, 0]


def test_bounds_outside_the_text_are_refused():
    names = table({"a": 1})
    data = np.frombuffer(b"a", np.uint8).copy()
    assert [name_reason(data, start, stop, names) for start, stop in ((0, 1), (-1, 1), (0, 2), (1, 1), (1, 0))] == [1, 0, 0, 0, 0]


def test_many_names_and_a_fresh_seed_each_time():
    suffixes = {f"host{i}.example{i % 97}.com": i + 1 for i in range(3000)}
    one, other = table(suffixes), table(suffixes)
    assert (one[0].low, one[0].high) != (other[0].low, other[0].high)
    for i in range(0, 3000, 131):
        name = f"cdn.HOST{i}.example{i % 97}.com"
        assert find(name, one) == find(name, other) == i + 1


@settings(max_examples=200, deadline=None)
@given(AGENTS, st.lists(st.text("ab/é", max_size=12), min_size=1, max_size=5))
def test_agents(patterns, texts):
    agents, agent_bytes = agent_table(patterns)
    for text in texts:
        data = np.frombuffer(text.encode() + b"!", np.uint8).copy()
        assert agent_reason(data, 0, data.size - 1, agents, agent_bytes) == twin.find_agent(text.encode(), patterns)
