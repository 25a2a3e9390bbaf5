"""Kernels on disk: what is compiled again after an edit and what is not, entries that call entries, and what a warm start leaves out."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent.parent
INNER = """
import numpy as np
from dpi.jit import I64, entry, kernel

FACTOR = 3


@kernel
def scaled(value):
    return value * FACTOR


@kernel
def sum_of(data, start):
    total = 0
    for i in range(start, data.size):
        total += np.int64(data[i])
    return scaled(total)


@entry(np.dtype("u1"), I64)
def inner(data, start):
    return sum_of(data, start)
"""
OUTER = """
import numpy as np
from dpi.jit import entry
from shapes.inner import inner


@entry(np.dtype("u1"))
def outer(data):
    return inner(data, 1) + 1
"""
RUN = """
import json, sys
import numpy as np
from dpi.native import stale, the_cache, warm
from shapes.inner import inner
from shapes.outer import outer

missing = sorted(stale([outer]))
warm([outer])
imported = "numba" in sys.modules
print(json.dumps({"missing": missing, "numba": imported, "result": outer(np.array([9, 2, 3], np.uint8))}))
"""


COMPILED_HERE = """
import numpy as np
from dpi.native import the_cache
from shapes.inner import inner, scaled, sum_of

the_cache().compile(inner.label)
print(inner(np.array([1, 2], np.uint8), 0), sum_of(np.array([1, 2], np.uint8), 0), scaled(2))
"""


class Shapes:
    """A package of two kernels in a directory of its own, with a cache of its own, run in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache = folder, folder / "cache"
        self.package = folder / "shapes"
        self.package.mkdir()
        (self.package / "__init__.py").touch()
        self.write("inner", INNER)
        self.write("outer", OUTER)

    def write(self, module: str, text: str) -> None:
        (self.package / f"{module}.py").write_text(text)

    def run(self, build: str = "on") -> dict[str, object]:
        """What RUN prints."""
        found: dict[str, object] = json.loads(self.printed(RUN, build))
        return found

    def printed(self, script: str, build: str = "on") -> str:
        """What a script prints in a process of its own."""
        environment = {**os.environ, "PYTHONPATH": f"{self.folder}:{HERE}", "FULLSPAN_CACHE": str(self.cache), "FULLSPAN_JIT": build,
                       "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def libraries(self) -> list[Path]:
        return sorted(self.cache.glob("kernels-*/*.so"))

    def objects(self) -> set[str]:
        return {path.name for path in self.cache.glob("kernels-*/*.o")}


@pytest.fixture
def shapes(tmp_path: Path) -> Shapes:
    return Shapes(tmp_path)


BOTH = ["shapes.inner.inner", "shapes.outer.outer"]


def test_an_edit_compiles_what_holds_it_and_nothing_above(shapes: Shapes) -> None:
    first = shapes.run()
    assert first == {"missing": BOTH, "numba": False, "result": 16}         # compiled in a child, which leaves numba out of this process
    assert shapes.run() == {"missing": [], "numba": False, "result": 16}
    kept = shapes.objects()
    was = (shapes.package / "inner.py").stat()
    shapes.write("inner", INNER.replace("FACTOR = 3", "FACTOR = 5"))
    os.utime(shapes.package / "inner.py", ns=(was.st_atime_ns, was.st_mtime_ns))        # as a copying tool may leave it
    assert shapes.run() == {"missing": BOTH[:1], "numba": True, "result": 26}
    assert kept < shapes.objects() and len(shapes.objects()) == 3
    shapes.write("inner", INNER)
    assert shapes.run() == {"missing": [], "numba": False, "result": 16}     # known by its content
    shapes.write("outer", OUTER.replace("+ 1", "+ 2"))
    assert shapes.run()["missing"] == BOTH[1:]


def test_a_caller_is_compiled_again_when_the_signature_changes_or_it_takes_more_than_entries(shapes: Shapes) -> None:
    shapes.run()
    shapes.write("inner", INNER.replace("I64, entry", "I64, U64, entry").replace('"u1"), I64)', '"u1"), U64)'))
    assert shapes.run()["missing"] == BOTH
    shapes.write("outer", OUTER.replace("import inner\n", "import FACTOR, inner\n").replace("+ 1", "+ FACTOR"))
    assert shapes.run()["result"] == 18
    shapes.write("inner", INNER.replace("FACTOR = 3", "FACTOR = 5"))
    assert shapes.run() == {"missing": BOTH, "numba": False, "result": 30}


def test_what_is_damaged_is_made_again(shapes: Shapes) -> None:
    shapes.run()
    index = next(path for path in shapes.cache.glob("kernels-*/*.json") if not path.with_suffix(".o").exists())
    for content in (b"", b"{", b'{"sources": [], "entries": {"shapes.outer.outer": ["x", [7], [], 1]}}', b"[]"):
        index.write_bytes(content)
        assert shapes.run() == {"missing": [], "numba": False, "result": 16}
    for library in shapes.libraries():      # of the objects as they were
        library.unlink()
    for name in shapes.objects():
        (index.parent / name).write_bytes(b"not an object")
    assert shapes.run()["result"] == 16
    for name in shapes.objects():
        (index.parent / name).unlink()
    assert shapes.run() == {"missing": BOTH, "numba": False, "result": 16}


LOADED_HOW = RUN + """
print("llvmlite.binding" in sys.modules)
"""


def test_a_warm_start_loads_one_library_made_by_the_linker_of_the_system(shapes: Shapes) -> None:
    shapes.run()
    library, = shapes.libraries()
    before = library.stat().st_mtime_ns
    *_, answer, loaded = shapes.printed(LOADED_HOW).splitlines()
    assert json.loads(answer) == {"missing": [], "numba": False, "result": 16} and loaded == "False"
    assert library.stat().st_mtime_ns == before and not list(library.parent.glob("*.names"))
    for content in (b"", library.read_bytes()[:-1], library.read_bytes() + b"x", b"not a library" * 100):      # the disk was full, or somebody wrote over it
        library.unlink()
        library.write_bytes(content)
        assert shapes.run()["result"] == 16 and library.stat().st_size != len(content)


@pytest.mark.parametrize("linker", ["", "#!/bin/sh\nexit 1\n", "#!/bin/sh\nexec sleep 0\n"], ids=["none", "one that fails", "one that makes nothing"])
def test_without_a_linker_that_works_llvmlite_loads_the_objects(shapes: Shapes, linker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes.run()
    for library in shapes.libraries():
        library.unlink()
    bare = shapes.folder / "bin"
    bare.mkdir()
    if linker:
        (bare / "ld").write_text(linker)
        (bare / "ld").chmod(0o755)
    monkeypatch.setenv("PATH", str(bare))
    *_, answer, loaded = shapes.printed(LOADED_HOW).splitlines()
    assert json.loads(answer) == {"missing": [], "numba": False, "result": 16} and loaded == "True" and not shapes.libraries()


def test_the_newest_libraries_stay(shapes: Shapes) -> None:
    shapes.run()
    newest, = shapes.libraries()
    for k in range(30):
        old = newest.with_name(f"{k:032x}.so")
        old.write_bytes(b"")
        os.utime(old, (k, k))
    newest.unlink()
    assert shapes.run()["result"] == 16 and len(shapes.libraries()) == 16 and newest in shapes.libraries()


@pytest.mark.parametrize("build", ["off", "checked"])
def test_entries_call_entries_in_the_other_builds(shapes: Shapes, build: str) -> None:
    found = shapes.run(build)
    assert found["result"] == 16 and bool(found["missing"]) == (build == "checked")


@pytest.mark.parametrize("build", ["on", "checked"])
def test_kernels_of_an_entry_compiled_here_can_be_called_as_well(shapes: Shapes, build: str) -> None:
    assert shapes.printed(COMPILED_HERE, build) == "9 9 6\n"


def test_a_cache_that_cannot_be_written_costs_time_only(shapes: Shapes) -> None:
    shapes.cache.write_text("a file where the folder should be")
    assert shapes.run() == {"missing": BOTH, "numba": True, "result": 16}


def test_a_warm_start_imports_neither_numba_nor_the_protocols() -> None:
    script = ("import sys; from dpi.cli.main import run; code = run(['replay', sys.argv[1], '--store', 'none']);"
              "print(code, [name for name in sys.modules if name.startswith(('numba', 'dpi.classify.protocols.', 'importlib.metadata', 'rich', 'jinja2'))])")
    for _ in range(2):      # the first may compile
        done = subprocess.run([sys.executable, "-c", script, str(HERE / "pcaps" / "dns.pcap")], cwd=HERE, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr
