"""The same rows, folded in memory and asked of the store, give the same figures."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dpi.batch import Batch, Coded, Lists, Texts
from dpi.flow.figures import Figures
from dpi.flow.summary import Summary
from dpi.reports.figures import QUESTIONS, figures_from_store
from dpi.store import Store, open_store
from tests.reports import rows

BATCHES = [rows.flows(700, 1), rows.flows(500, 2, first_id=10_000, minutes=9), rows.dns(300), rows.tls(300), rows.http(300)]
OTHER = [rows.flows(90, 7, first_id=50_000, capture_id=2), rows.dns(40, 8, capture_id=2)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path: Path = tmp_path_factory.mktemp("figures")
    opened = open_store(f"chdb://{path}/store")
    for batch in (*BATCHES, *OTHER):
        opened.write(batch)
    for number, name in ((1, "a.pcap"), (2, "b.pcap")):
        opened.write(Batch("captures", 1, {
            "capture_id": np.array([number], np.uint64), "source": Coded.of([name]), "path": Texts.of([f"/x/{name}"]), "size": np.array([9], np.uint64),
            "sha256": Texts.of(["00"]), "link_types": Lists.of([["EN10MB"]]), "first_time": np.array([rows.BEGIN]), "last_time": np.array([rows.BEGIN + 5]),
            "packets": np.array([100 * number], np.uint64), "refused_reasons": Lists.of([["not_ip", "bad_ip"]]),
            "refused_counts": Lists(np.array([0, 2]), np.array([3, number], np.uint64)), "damage": Texts.of(["cut" if number == 2 else ""])}))
    opened.flush()
    yield opened
    opened.close()


def folded(batches: list[Batch]) -> Figures:
    summary = Summary()
    for batch in batches:
        summary.write(batch)
    captures = [SimpleNamespace(name=name, path=f"/x/{name}", size=9, sha256="00", link_types=["EN10MB"], first_time=rows.BEGIN, last_time=rows.BEGIN + 5,
                                packets=100 * number, refused={"not_ip": 3, "bad_ip": number}, damage="cut" if number == 2 else "")
                for number, name in ((1, "a.pcap"), (2, "b.pcap")) if number == 1 or len(batches) > len(BATCHES)]
    return summary.figures(SimpleNamespace(captures=captures, counters={}, per_second=None, interrupted=False, skipped=[]))


def same(asked: Figures, want: Figures) -> None:
    for capture in asked.captures:
        capture.capture_id = ""
    # a sample and a server's name are any that fit
    for one in (asked, want):
        assert {line.confidence for line in one.samples} == {share.name for share in one.confidences if share.name}
        one.samples = []
        for host in one.servers:
            host.name = ""
    # of a flow of several rows the summary shows one, the store the last
    sizes = [[(line.flow_id, line.bytes, line.packets) for line in one.largest] for one in (asked, want)]
    assert sizes[0] == sizes[1]
    asked.largest, want.largest = [], []
    left, right = asdict(asked), asdict(want)
    for name in ("total", "series"):
        assert np.allclose(left["timeline"].pop(name), right["timeline"].pop(name), atol=0.01), name
    assert left.pop("peak_bits") == pytest.approx(right.pop("peak_bits"))
    for name, value in right.items():
        assert left[name] == value, name


def test_one_capture(store: Store) -> None:
    same(figures_from_store(store, [1]), folded(BATCHES))


def test_everything(store: Store) -> None:
    same(figures_from_store(store), folded([*BATCHES, *OTHER]))


def test_a_span(store: Store) -> None:
    figures = figures_from_store(store, [1], rows.BEGIN + rows.MINUTE, rows.BEGIN + 2 * rows.MINUTE)
    kept = [(batch.columns["interval_start"] >= rows.BEGIN + rows.MINUTE) & (batch.columns["interval_start"] < rows.BEGIN + 2 * rows.MINUTE)   # type: ignore[operator]
            for batch in BATCHES[:2]]
    assert figures.rows == sum(int(one.sum()) for one in kept) > 0
    assert len(figures.timeline.total) <= 61


def test_nothing_there(store: Store) -> None:
    figures = figures_from_store(store, [999])
    assert figures.rows == 0 and figures.captures == [] and figures.timeline.total == [] and len(QUESTIONS) == 13
