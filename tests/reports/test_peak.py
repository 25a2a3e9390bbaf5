"""The busiest second, and what was given up: a report from the store says what the replay said."""
from __future__ import annotations

from pathlib import Path

import pytest

from dpi.flow.summary import Summary
from dpi.replaying import ReplayOptions, run
from dpi.reports.figures import figures_from_store
from dpi.store import open_store
from tests.golden.rows import PCAPS


@pytest.mark.parametrize("name", ["web-users", "demo"])
def test_the_peak_is_the_one_the_replay_saw(tmp_path: Path, name: str) -> None:
    summary, store = Summary(), open_store(f"chdb://{tmp_path}/store")
    try:
        outcome = run([str(PCAPS / f"{name}.pcap")], sinks=[summary, store])
        store.flush()
        seen, asked = summary.figures(outcome), figures_from_store(store)
        rows = store.query("SELECT toUnixTimestamp64Micro(time), toUnixTimestamp64Micro(busiest_second), busiest_bytes, busiest_frames FROM coverage").rows
    finally:
        store.close()
    assert seen.peak_bits > 0 and seen.peak_width == 1
    for figure in ("peak_bits", "peak_time", "peak_width", "peak_packets"):
        assert getattr(asked, figure) == getattr(seen, figure), figure
    seconds = outcome.per_second
    for minute, second, octets, frames in ((int(one) for one in row) for row in rows):
        within = seconds[seconds[:, 0] // 60 == minute // 60_000_000]
        k = int(within[:, 2].argmax())
        assert [second // 1_000_000, octets, frames] == [within[k, 0], within[k, 2], within[:, 1].max()]


def test_what_was_given_up_is_what_the_replay_gave_up(tmp_path: Path) -> None:
    """With a table so small that flows are evicted."""
    summary, kept = Summary(), open_store(f"chdb://{tmp_path}/store")
    try:
        outcome = run([str(PCAPS / "demo.pcap"), str(PCAPS / "web-users.pcap")], sinks=[summary, kept], options=ReplayOptions(max_flows=4, workers=1))
        kept.flush()
        seen, asked = summary.figures(outcome), figures_from_store(kept)
    finally:
        kept.close()
    assert seen.coverage == asked.coverage and asked.coverage.evicted > 10
