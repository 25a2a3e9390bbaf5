"""A bindings file that changes under a probe: taken once it is whole, within seconds, or not at all."""
from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dpi.errors import UserError
from dpi.identity import following
from dpi.identity.following import Following
from dpi.identity.stamper import Options

pytestmark = pytest.mark.compiled


def wait(done: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(0.02)
    return False


def write(file: Path, *lines: str) -> None:
    """As a whole, in the place of the former."""
    fresh = file.with_suffix(".new")
    fresh.write_text("\n".join(("service_id,prefix,valid_from", *lines)) + "\n")
    fresh.chmod(0o600)
    fresh.replace(file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write(tmp_path / "bindings.csv", "S1,10.0.0.1,")
    return tmp_path / "bindings.csv"


def test_a_change_is_taken_and_an_error_is_not(file: Path) -> None:
    taken: list[tuple[Any, Any]] = []
    one = Following(Options(str(file), "10.0.0.0/8"))
    assert one.identity is not None and one.health().lines == one.health().in_force == 1 and one.health().loaded > 1e9
    one.start(lambda identity, changes: taken.append((identity, changes)))
    try:
        write(file, "S1,10.0.0.1,", "S2,10.0.0.2,", "S3,10.0.0.3,2100-01-01")
        assert wait(lambda: bool(taken))
        identity, changes = taken[0]
        assert identity is one.identity and identity.options.local_networks == "10.0.0.0/8" and len(identity.arrays["locals"]) == 1
        # what begins now is cut now; what begins later has a bound of its own
        assert [int(low) & 0xFF for low in changes["low"][:, 1]] == [2] and len(identity.bounds) == 1
        assert (one.health().lines, one.health().in_force, one.health().reloads, one.health().trouble) == (3, 2, 1, "")
        write(file, "S1,10.0.0.1,", "S2,10.0.0.1,")
        assert wait(lambda: one.health().refused == 1)
        assert f"{file}:3: overlaps" in one.health().trouble and one.identity is identity and len(taken) == 1
        write(file, "S1,10.0.0.1,")
        assert wait(lambda: len(taken) == 2) and one.health().trouble == "" and one.health().lines == 1
        file.unlink()
        time.sleep(3 * following.LOOK)
        assert one.identity is taken[1][0] and one.health().refused == 1
    finally:
        one.close()


def test_a_file_that_is_being_written_is_waited_for(file: Path) -> None:
    taken: list[int] = []
    one = Following(Options(str(file)))
    one.start(lambda identity, _changes: taken.append(len(identity.bindings) if identity else 0))
    try:
        with file.open("w") as out:
            out.write("service_id,prefix,valid_from\n")
            for k in range(12):
                out.write(f"S{k},10.0.0.{k},\n")
                out.flush()
                time.sleep(following.LOOK / 3)
        assert wait(lambda: bool(taken)) and taken == [12] and one.health().refused == 0
    finally:
        one.close()


def test_hangup_reads_anew_and_takes_nothing_that_is_wrong(file: Path) -> None:
    taken: list[Any] = []
    one = Following(Options())
    assert one.identity is None and one.health() == following.IdentityHealth()
    one.start(lambda identity, changes: taken.append((identity, changes)))
    try:
        take = one.read(Options(str(file)))
        assert one.identity is None and not taken
        take()
        assert one.identity is taken[0][0] is not None and len(taken[0][1]) == 1
        with pytest.raises(UserError, match="not a network"):
            one.read(Options(str(file), "ours"))
        one.read(Options())()
        assert taken[1][0] is None and one.identity is None and len(taken[1][1]) == 1
        one.read(Options())()
        assert len(taken) == 2 and one.reloads == 2
    finally:
        one.close()


def test_what_ends_the_reader_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_CHILD", "raise MemoryError('none left')")
    with pytest.raises(UserError, match="MemoryError: none left"):
        Following(Options()).read(Options(str(file)))
    monkeypatch.setattr(following.sys, "executable", os.devnull)
    with pytest.raises(UserError, match="Permission denied"):
        Following(Options()).read(Options(str(file)))
