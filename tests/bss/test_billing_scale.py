"""What `python -m benchmarks.bss_billing` proves, of a few customers: killed at random and gone on with, a run comes to the same bills."""
from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import bss_billing
from bss.billing import issuing, run


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_run_that_is_killed_comes_to_the_same_bills(database: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(run, "LOT", 5)
    monkeypatch.setattr(issuing, "LOT", 5)
    server = request.getfixturevalue("postgresql") if database == "postgresql" else ""
    assert bss_billing.prove(tmp_path, server, 60, 4, 0.4), capsys.readouterr().out
    assert "60 bills" in capsys.readouterr().out
