"""Where rows wait for a server."""
from __future__ import annotations

from pathlib import Path

import pytest

from dpi.cli.probe import _deliver
from dpi.settings import Probe

NOBODY = "clickhouse://probe@127.0.0.1:1/traffic"      # nothing listens there: rows wait


@pytest.mark.parametrize(("under_systemd", "asked", "place"), [(True, "", "state"), (False, "", "here"), (True, "named", "named")])
def test_the_spool_is_where_it_may_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, under_systemd: bool, asked: str, place: str) -> None:
    for name in ("state", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    if under_systemd:
        monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    _, delivery, _ = _deliver(NOBODY, Probe(name="box", spool=str(tmp_path / asked) if asked else ""), None)
    delivery.close()
    assert (tmp_path / place / ("" if asked else "fullspan.spool")).is_dir()
    assert [one.name for one in (tmp_path / "here").iterdir()] == (["fullspan.spool"] if place == "here" else [])
