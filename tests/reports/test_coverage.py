"""What was lost, not read or given up is in every report, and so is that nothing was, or that it is not known."""
from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dpi.batch import Batch, Coded
from dpi.flow.figures import CaptureLine, Coverage, Figures
from dpi.reports import html
from dpi.reports.completeness import sentences, verdict
from dpi.reports.figures import figures_from_store
from dpi.reports.language import LANGUAGES, Language, catalogue
from dpi.reports.terminal import sections, show
from dpi.store import Store, open_store
from tests.reports import rows

FIRST = rows.BEGIN // rows.MINUTE


def minute(number: int, **columns: int) -> Batch:
    """A row of coverage of a minute of a probe, from its beginning; `worker` and whatever it counts."""
    data: dict[str, Any] = {"time": np.array([(FIRST + number) * rows.MINUTE], np.int64), "probe": Coded.of(["box"]), "source": Coded.of(["eth1"]),
                            "capture_id": np.zeros(1, np.uint64), "stored_time": np.array([rows.BEGIN], np.int64)}
    sizes = {"worker": "u2", "pressure": "u1"}
    return Batch("coverage", 1, {**data, **{name: np.array([count], sizes.get(name, "u8")) for name, count in columns.items()}})


LIVE = [
    minute(0, frames=100, unread_us=20_000_000), minute(0, frames=10, worker=1),
    minute(1, frames=200, dropped_nic=1, evicted=9, folded=7, folded_coarser=2), minute(1, frames=20, dropped_kernel=30, worker=1, arena_refused=5, pressure=2),
    # started again within this minute, 10 s after it had ended, and another time at once; a packet of it was told late
    minute(2, frames=300), minute(2, frames=20, unread_us=10_000_000, dropped_store=4, rows_given_up=6), minute(2, frames=9), minute(2, frames=1),
    # of two minutes there is nothing, of one that nothing was read
    minute(5, unread_us=60_000_000), minute(6, frames=400, dropped_ring=3, pressure=1),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store(f"chdb://{tmp_path_factory.mktemp('coverage')}/store")
    for batch in (rows.flows(200, minutes=7, capture_id=0), *LIVE):
        opened.write(batch)
    opened.flush()
    yield opened
    opened.close()


def told(figures: Figures, language: str = "en") -> str:
    """The page and the summary; what is said of coverage is in both."""
    say = Language(language)
    page, summary = html.render(figures, language, now=1_700_000_000), show(sections(figures, say), False)
    for one in (verdict(figures, say), *sentences(figures, say)):
        assert one.text in page and one.text in summary and f'class="{one.state}"' in page
    assert say("title.coverage") in page and say("title.coverage") in summary
    return summary


def test_a_probes_losses_are_added_up(store: Store) -> None:
    found = figures_from_store(store).coverage
    assert found == Coverage(frames=1060, nic=1, kernel=30, ring=3, store=4, evicted=9, folded=7, folded_coarser=2, arena_refused=5, rows_given_up=6, pressed=2,
                             unread=20_000_000 + 10_000_000 + 60_000_000, minutes=5, unknown=2)


def test_a_span_is_covered_or_not_known(store: Store) -> None:
    begin = FIRST * rows.MINUTE
    within = figures_from_store(store, since=begin + 90_000_000, until=begin + 3 * rows.MINUTE).coverage
    assert (within.frames, within.minutes, within.unknown, within.unread, within.lost) == (550, 2, 0, 10_000_000, 31)
    wider = figures_from_store(store, since=begin - 2 * rows.MINUTE, until=begin + 10 * rows.MINUTE).coverage
    assert (wider.frames, wider.minutes, wider.unknown) == (1060, 5, 7)
    assert figures_from_store(store, since=begin + 3 * rows.MINUTE, until=begin + 5 * rows.MINUTE).coverage == Coverage()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_report_says_what_is_missing(store: Store, language: str) -> None:
    say, figures = Language(language), figures_from_store(store)
    text = told(figures, language)
    assert verdict(figures, say).state == "bad" and {one.state for one in sentences(figures, say)} == {"bad", "unknown"}
    for amount in (34, 1, 30, 3, 4, 9, 7, 2, 5, 6):
        assert re.search(rf"(?<!\d){amount}(?!\d)", text.split(say("title.coverage"))[-1]), amount
    assert say.span(90) in text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("what, state, words", [
    (Figures(coverage=Coverage(frames=5, minutes=3)), "good", "coverage.none"),
    (Figures(), "unknown", "coverage.unknown"),
    (Figures(captures=[CaptureLine("a.pcap", packets=9)]), "unknown", "coverage.captured"),
])
def test_nothing_lost_and_not_known_are_said(what: Figures, state: str, words: str, language: str) -> None:
    say = Language(language)
    one = verdict(what, say)
    assert (one.state, one.text) == (state, say(words)) and one.text in told(what, language)
    assert not [told for told in sentences(what, say) if told.state == "bad"]


@pytest.mark.parametrize("what, part", [
    (Figures(coverage=Coverage(minutes=3, unknown=2)), "nothing is known: 2"),
    (Figures(coverage=Coverage(minutes=3, kernel=1)), "frames lost: 1"),
    (Figures(coverage=Coverage(minutes=3, unread=1_500_000)), "not read: 1.5 s"),
    (Figures(coverage=Coverage(minutes=3, store=2)), "rows not stored: 2"),
    (Figures(captures=[CaptureLine("a.pcap", packets=9, damage="cut")]), "damaged files: 1"),
    (Figures(captures=[CaptureLine("a.pcap", packets=9)], skipped=["b"]), "skipped inputs: 1"),
    (Figures(captures=[CaptureLine("a.pcap", packets=9)], interrupted=True), "interrupted"),
])
def test_no_loss_is_called_whole(what: Figures, part: str) -> None:
    one = verdict(what, Language("en"))
    assert one.state != "good" and part in one.text and one.text in told(what)


def test_every_word_of_coverage_is_used() -> None:
    """A sentence that nothing says would be one that was forgotten."""
    source = "".join(Path(html.__file__).parents[1].joinpath(f"{name}.py").read_text() for name in ("completeness",))
    for key in (key for key in catalogue("en") if key.startswith("coverage.")):
        assert f'"{key}"' in source or key.startswith("coverage.at_"), key
