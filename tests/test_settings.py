"""Settings: file, environment, and every way of writing them wrong."""
from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from dpi.errors import UserError
from dpi.settings import Settings, load


def test_defaults_file_and_environment_in_that_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(environment={}) == Settings()
    (tmp_path / "fullspan.toml").write_text('[flow]\nidle_tcp = 100\nidle_udp = 50\n[report]\nlang = "zh"\n')
    read = load(environment={"FULLSPAN_FLOW_IDLE_UDP": "60", "FULLSPAN_CACHE": "/x", "FULLSPAN_JIT": "off", "OTHER": "1"})
    assert (read.flow.idle_tcp, read.flow.idle_udp, read.report.lang, read.origin) == (100, 60, "zh", "fullspan.toml")
    (tmp_path / "named.toml").write_text('[store]\nurl = "none"\n')
    assert load(environment={"FULLSPAN_CONFIG": str(tmp_path / "named.toml")}).store.url == "none"
    with pytest.raises(FrozenInstanceError):
        read.flow.idle_tcp = 1      # type: ignore[misc]


@pytest.mark.parametrize(("text", "words"), [
    ("[flow]\nidle_tpc = 1\n", "no setting 'idle_tpc'"), ("[floww]\n", r"unknown section \[floww\]"), ("flow = 1\n", "unknown section"),
    ("[flow]\nidle_tcp = 0\n", "it may be 1 to 86400"), ('[flow]\nidle_tcp = "soon"\n', "a whole number is needed"),
    ("[flow]\nidle_tcp = true\n", "whole number"),
    ('[report]\nlang = "fr"\n', "it may be en or zh"), ("[store]\nurl = 3\n", "text is needed"), ("[flow\n", "not TOML"),
])
def test_what_is_wrong_is_told_with_the_file(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(UserError, match=words) as caught:
        load(file, {})
    assert str(caught.value).startswith(str(file))


def test_a_file_that_is_not_there_or_a_wrong_variable() -> None:
    with pytest.raises(UserError, match="cannot be read"):
        load("/nowhere/fullspan.toml", {})
    with pytest.raises(UserError, match="FULLSPAN_FLOW_IDLE_TCP: flow.idle_tcp is 'x'"):
        load(None, {"FULLSPAN_FLOW_IDLE_TCP": "x"})
