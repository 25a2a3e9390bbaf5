"""How commands end: one line, the right exit code, and nothing heavy imported for --help."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from dpi.cli import main
from dpi.errors import UserError


def _ending(monkeypatch: pytest.MonkeyPatch, error: BaseException | None, result: object = None) -> int:
    def does() -> object:
        if error is not None:
            raise error
        return result

    monkeypatch.setitem(main.cli.commands, "does", click.Command("does", callback=does))
    return main.run(["does"])


@pytest.mark.parametrize(("error", "code", "words"), [
    (UserError("it is wrong", "here.toml", "mend it"), 2, "fullspan: here.toml: it is wrong (mend it)\n"),
    (click.UsageError("odd"), 2, "fullspan: odd"),
    (KeyboardInterrupt(), 130, "interrupted"),
    (SystemExit(1), 1, ""), (SystemExit(None), 0, ""), (SystemExit("words"), 1, ""),
])
def test_each_ending_has_its_code_and_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int,
                                           words: str) -> None:
    assert _ending(monkeypatch, error) == code
    assert words in capsys.readouterr().err


def test_a_commands_result_is_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _ending(monkeypatch, None, 1) == 1
    assert _ending(monkeypatch, None, None) == 0


def test_wrong_use_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (["nonsense"], ["query", "--nonsense"], ["doctor", "too", "many"]):
        assert main.run(wrong) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    code = ("import sys; from dpi.cli.main import run; code = run(['--help']); "
            "heavy = {'numpy', 'numba', 'chdb', 'pyarrow', 'pandas', 'rich', 'jinja2'} & set(sys.modules); sys.exit(repr(heavy) if heavy else code)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for name in main.OWN:
        assert f"\n  {name} " in done.stdout


def test_settings_give_options_their_defaults(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FULLSPAN_STORE_URL", "none")
    assert main.run(["query", "SELECT 1"]) == 2
    assert "there is no store to ask" in capsys.readouterr().err
    monkeypatch.setenv("FULLSPAN_FLOW_MAX_FLOWS", "many")
    assert main.run(["query", "SELECT 1"]) == 2
    assert "a whole number is needed" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    code = "from dpi.cli.main import main; import sys; sys.argv = ['fullspan', 'rules', 'list']; main()"
    done = subprocess.run(f"{sys.executable} -c \"{code}\" | head -1", shell=True, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""


def test_output_that_cannot_be_written_is_one_line() -> None:
    """A full disk under standard output."""
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "dpi.cli.main", "--version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2 and done.stderr == "fullspan: standard output: No space left on device (see that it can be written)\n"
