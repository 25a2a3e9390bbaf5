"""The whole probe through outages, in seconds: the proof `python -m benchmarks.proof outages` is the same in minutes, and more of it."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("case", ["server_killed", "embedded_killed", "embedded_disk_full"])
def test_what_was_sent_is_what_is_stored(case: str) -> None:
    command = [sys.executable, "-m", "benchmarks.outages", "--short", case]
    proof = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said, _ = proof.communicate(timeout=150)
    finally:
        proof.terminate()           # it ends what it started
        proof.wait(60)
    assert proof.returncode == 0 and "as it must be" in said, said
