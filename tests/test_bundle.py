"""Modules that are kept together for a command: they are what Python would find itself, and never older than their sources."""
from __future__ import annotations

import importlib
import inspect
import marshal
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from dpi import bundle, cli
from dpi.bundle import Bundle

NAMES = ("kept_for_a_test", "kept_for_a_test.inner")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with one module, on the path, and a cache of its own."""
    folder = tmp_path / "source" / NAMES[0]
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text('"""A package."""\n')
    (folder / "inner.py").write_text("def told():\n    return 1\n")
    monkeypatch.setenv("FULLSPAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(folder.parent))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield folder
    forget()


def forget() -> None:
    """Nothing of the package is imported any more."""
    for name in [one for one in sys.modules if one.partition(".")[0] == NAMES[0]]:
        del sys.modules[name]
    importlib.invalidate_caches()


def imported(kept: Bundle | None) -> ModuleType:
    """The inner module, anew: out of the bundle, or as Python finds it."""
    forget()
    sys.meta_path[:] = [one for one in sys.meta_path if not isinstance(one, Bundle)]
    if kept is not None:
        sys.meta_path.insert(0, kept)
    return importlib.import_module(NAMES[1])


def fresh() -> Bundle:
    """As a start has it: nothing of the package is imported yet."""
    forget()
    return Bundle("a")


def filled() -> Bundle:
    """A bundle, read again after one before it kept the package."""
    first = fresh()
    imported(first)
    first.keep()
    return fresh()


def comes_from(module: ModuleType) -> str:
    assert module.__spec__ is not None
    return type(module.__spec__.loader).__name__


def test_a_module_is_what_python_finds_itself(package: Path) -> None:
    plain = imported(None)
    kept = filled()
    assert kept.find_spec("json") is None                       # imported before: not its business
    found = imported(kept)
    assert comes_from(plain) == "SourceFileLoader" and comes_from(found) == "_Loader"
    assert found.told() == 1 and inspect.getsource(found) == inspect.getsource(plain)
    for name in ("__file__", "__cached__", "__package__", "__name__", "__doc__"):
        assert getattr(found, name) == getattr(plain, name)
    outer = sys.modules[NAMES[0]]
    assert comes_from(outer) == "_Loader" and list(outer.__path__) == [str(package)] and outer.__doc__ == "A package."
    assert importlib.reload(found).told() == 1                  # its code was given away: read again


@pytest.mark.parametrize("text", ["def told():\n    return 20\n", "def told():\n    return 2\n"])
def test_a_changed_source_is_read_and_kept_anew(package: Path, text: str) -> None:
    """Of another size, or of the same and of another time."""
    kept = filled()
    source = package / "inner.py"
    before = source.stat()
    source.write_text(text)
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns + (0 if len(text) != before.st_size else 2_000_000_000)))
    expected = int(text.split()[-1])
    if len(text) == before.st_size:
        assert kept.find_spec(NAMES[1]) is None
    found = imported(kept)
    assert found.told() == expected and comes_from(found) == "SourceFileLoader" and comes_from(sys.modules[NAMES[0]]) == "_Loader"
    kept.keep()
    again = imported(fresh())
    assert again.told() == expected and comes_from(again) == "_Loader"


def test_a_source_that_is_gone_is_gone(package: Path) -> None:
    kept = filled()
    (package / "inner.py").unlink()
    with pytest.raises(ModuleNotFoundError):
        imported(kept)


@pytest.mark.parametrize("content", [b"", b"nothing of that kind", marshal.dumps((1, 2, 3)), marshal.dumps((("another",), [])), marshal.dumps(7), bytes(5000)])
def test_a_file_that_is_not_whole_is_none(package: Path, tmp_path: Path, content: bytes) -> None:
    filled()
    path, = (tmp_path / "cache" / "modules").iterdir()
    whole = path.read_bytes()
    for some in (content, whole[:len(whole) // 2]):
        path.write_bytes(some)
        kept = fresh()
        assert kept.find_spec(NAMES[0]) is None and comes_from(imported(kept)) == "SourceFileLoader"
        kept.keep()
        assert comes_from(imported(fresh())) == "_Loader"


def test_another_path_has_another_file(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert fresh().find_spec(NAMES[0]) is None and Bundle("b").find_spec(NAMES[0]) is None
    monkeypatch.undo()


@pytest.mark.parametrize(("spare", "stays"), [(0.6, True), (bundle._SPARE, False)])
def test_what_is_not_needed_stays_if_it_is_little(package: Path, monkeypatch: pytest.MonkeyPatch, spare: float, stays: bool) -> None:
    """Of two modules one is not imported the next time: it stays as long as nothing else is to be kept, and after that if half of all is little."""
    other = f"{NAMES[0]}.other"
    (package / "other.py").write_text("")
    kept = filled()
    monkeypatch.setattr(bundle, "_SPARE", spare)
    importlib.import_module(NAMES[0])
    kept.keep()
    assert fresh().find_spec(NAMES[1]) is not None
    importlib.import_module(other)
    kept.keep()
    assert (fresh().find_spec(NAMES[1]) is not None) == stays and fresh().find_spec(other) is not None


def test_environments_that_are_gone_leave_few_files(package: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "modules"
    folder.mkdir(parents=True)
    for k in range(20):
        (folder / f"a-{k}").write_bytes(b"")
        os.utime(folder / f"a-{k}", (k, k))
    (folder / "another-1").write_bytes(b"")
    filled()
    assert len(list(folder.iterdir())) == bundle._KEPT + 1 and {"another-1", "a-19"} < {one.name for one in folder.iterdir()}
    assert fresh().find_spec(NAMES[0]) is not None


@pytest.mark.parametrize("raised", [SystemError, MemoryError, IndexError, OverflowError])
def test_whatever_marshal_makes_of_damage_no_start_ends_by_it(package: Path, monkeypatch: pytest.MonkeyPatch, raised: type[Exception]) -> None:
    """For bytes that are not its own it raises more than it says, by chance: here for sure."""
    def damaged(_given: object) -> object:
        raise raised

    filled()
    with monkeypatch.context() as patch:
        patch.setattr(marshal, "loads", damaged)
        assert fresh().find_spec(NAMES[0]) is None
    assert fresh().find_spec(NAMES[0]) is not None


def test_a_cache_of_nobody_knows_where_is_none(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FULLSPAN_CACHE", "here")
    assert comes_from(imported(filled())) == "SourceFileLoader" and not (tmp_path / "here").exists()


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FULLSPAN_CACHE", str(tmp_path / "file" / "cache"))
    assert comes_from(imported(filled())) == "SourceFileLoader"


def test_a_command_keeps_its_modules_once(tmp_path: Path) -> None:
    environment = {**os.environ, "FULLSPAN_CACHE": str(tmp_path / "cache")}
    modules = tmp_path / "cache" / "modules"

    def run(*words: str) -> str:
        done = subprocess.run([sys.executable, "-m", "dpi.cli.main", *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    said = run("--help")
    path, = modules.iterdir()
    assert path.name.startswith("fullspan-")
    written = path.stat()
    assert run("--help") == said and path.stat().st_mtime_ns == written.st_mtime_ns
    key, kept = marshal.loads(path.read_bytes())
    assert str(Path(bundle.__file__).parent) in key and "click.core" in {words[0] for words in kept} and "dpi.bundle" not in {words[0] for words in kept}
    run("rules", "check")
    assert sorted(one.name.split("-")[0] for one in modules.iterdir()) == ["fullspan", "rules"]


def test_what_lies_where_a_command_is_called_is_not_kept(tmp_path: Path) -> None:
    """A module there goes before those of the same name elsewhere, as ever with `python -m`: there alone. Where the directory is gone a command works."""
    environment = {**os.environ, "FULLSPAN_CACHE": str(tmp_path / "cache")}
    told = {}
    for name in ("with", "without", "gone"):
        (tmp_path / name).mkdir()
        (tmp_path / "with" / "uuid.py").write_text("print('mine')\nclass UUID: pass\n")
        gone = "import os; os.rmdir(os.getcwd()); " if name == "gone" else ""
        program = f"import runpy, sys; {gone}sys.argv[:] = ['-m', '--version']; sys.path.insert(0, '' if {bool(gone)} else {str(tmp_path / name)!r}); "
        done = subprocess.run([sys.executable, "-c", program + "runpy.run_module('dpi.cli.main', run_name='__main__', alter_sys=True)"], cwd=tmp_path / name,
                              env=environment, capture_output=True, text=True, check=False)
        told[name] = done.returncode, done.stdout.count("mine"), done.stderr
    assert told == {"with": (0, 1, ""), "without": (0, 0, ""), "gone": (0, 0, "")}
    assert len(list((tmp_path / "cache" / "modules").iterdir())) == 1          # all three looked into the same


def test_only_a_command_has_one() -> None:
    assert cli.modules is None          # this is not one
