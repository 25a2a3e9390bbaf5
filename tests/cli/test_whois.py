"""`fullspan whois`: what it says is what a row would be stamped with."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dpi.cli.main import run


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Ask; (exit code, what was printed, what was complained of)."""
    file = tmp_path / "bindings.csv"
    file.write_text("service_id,customer_id,prefix,vlan,valid_from,valid_to,probe\n"
                    "S1,C1,10.0.0.0/24,,,2026-06-01T12:00:30Z,north\nS2,C2,10.0.0.0/24,,2026-06-01T12:00:30Z,,\nS3,C3,10.0.0.0/24,5,,,\n")
    monkeypatch.setenv("FULLSPAN_IDENTITY_BINDINGS", str(file))

    def ask(*words: str) -> tuple[int, str, str]:
        code = run(["whois", *words])
        said = capsys.readouterr()
        return code, said.out, said.err
    return ask


@pytest.mark.parametrize("words, line, service", [
    (["10.0.0.9", "--at", "2026-06-01T12:00:29.999999Z"], "2", "S1"), (["10.0.0.9", "--at", "2026-06-01T12:00:30Z"], "3", "S2"),
    (["::ffff:10.0.0.9", "--vlan", "5"], "4", "S3"), (["10.0.1.9"], None, ""), (["2001:db8::1"], None, "")])
def test_it_says_the_line(asked: Any, words: list[str], line: str | None, service: str) -> None:
    code, said, _ = asked(*words, "--json")
    found = json.loads(said)
    assert (code, found["service_id"], found["line"] and found["line"]["line"]) == (0, service, line)


def test_in_words(asked: Any, tmp_path: Path) -> None:
    code, said, _ = asked("10.0.0.9", "--at", "2026-06-01", "--local-networks", "10.0.0.0/8")
    assert code == 0 and said.splitlines() == [
        "10.0.0.9 at 2026-06-01T00:00:00Z", "service   S1", "customer  C1",
        f"by        {tmp_path}/bindings.csv:2: prefix 10.0.0.0/24, valid_to 2026-06-01T12:00:30Z", "metered   at probe north", "local     yes"]
    assert f"none: no line of {tmp_path}/bindings.csv binds it then" in asked("10.9.9.9")[1]


def test_what_is_wrong(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked("10.0.0")[0] == 2 and "not an address" in asked("10.0.0")[2]
    monkeypatch.delenv("FULLSPAN_IDENTITY_BINDINGS")
    code, _, complaint = asked("10.0.0.1")
    assert code == 2 and "nobody has said whose addresses are" in complaint
