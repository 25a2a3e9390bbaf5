"""`fullspan doctor` looks at everything, and says what would mend it."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from dpi.cli import doctor
from dpi.cli.main import run

NAMES = ["python", "numpy", "numba", "pyarrow", "settings", "kernels", "rules", "chdb", "store", "tshark", "disk", "open files", "machine"]


def test_every_check_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["doctor", "--store", f"chdb://{tmp_path}/absent", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in found["findings"]] == NAMES
    assert found["ok"] == (code == 0) and all(one["state"] in ("ok", "note", "bad") for one in found["findings"])
    assert next(one for one in found["findings"] if one["name"] == "store")["state"] == "note"
    assert not (tmp_path / "absent").exists()


def test_what_is_bad_is_told_with_its_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    monkeypatch.setattr(doctor, "_engine", lambda: (_ for _ in ()).throw(ImportError("no engine")))
    assert run(["doctor", "--store", f"chdb://{tmp_path}/file"]) == 1
    out = capsys.readouterr().out
    assert "this is a file" in out and "apt-get install tshark" in out and "ImportError: no engine" in out
