"""What an entry's object depends on: source files, and the entries it calls by symbol.

A kernel sees what its module imports, so the files are those of its module and of everything that imports, as far as the package reaches. Where
a module takes nothing but entries from another, their code is not compiled into its own: only what they are called with matters, and the other
file may change without it.
"""
from __future__ import annotations

import ast
import functools
import hashlib
import os
import sys
from pathlib import Path

from dpi.dataclass import dataclass
from dpi.jit import ENTRIES, Entry

_PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Dependencies:
    """Sorted files, and labels of entries that may be called (each module's imports, called or not)."""
    files: tuple[Path, ...]
    entries: tuple[str, ...]

    @property
    def watched(self) -> tuple[Path, ...]:
        """The files, and those where the entries are declared: while all of them are as they were, so is the entry's object."""
        declared = {_source(label.rpartition(".")[0]) for label in self.entries}
        return tuple(sorted({*self.files, *(path for path in declared if path)}))


def dependencies(module: str) -> Dependencies:
    """Of the kernels of a module."""
    ours = {"dpi", module.split(".")[0]}
    files: dict[str, Path] = {}
    called: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        path = _source(name)
        if name in files or path is None:
            continue
        files[name] = path
        now = os.stat(path)
        for source, names in _imports(path, now.st_mtime_ns, now.st_size):
            if source.split(".")[0] not in ours:
                continue
            entries = [_entry(source, one) for one in names]
            called.update(label for label in entries if label)
            if not entries or not all(entries):
                todo += [source, *(f"{source}.{one}" for one in names)]
    return Dependencies(tuple(sorted(set(files.values()))), tuple(sorted(called)))


@functools.cache
def key(label: str) -> str:
    """What an entry's object file is called: the hash of all it depends on but the machine, 32 hex digits. Its module is imported.

    Asked once per process: what is compiled is the code that was imported.
    """
    entry = ENTRIES[label]
    found = dependencies(entry.__module__)
    digest = hashlib.sha256(f"{label} {entry.arguments}".encode())
    for other in found.entries:
        digest.update(f"{other} {ENTRIES[other].arguments}".encode())
    for path in found.files:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def _entry(module: str, name: str) -> str | None:
    """The label of the entry that this name in this module is, if it is one."""
    value = getattr(sys.modules.get(module), name, None)
    return value.label if isinstance(value, Entry) else None


@functools.lru_cache(4096)
def _imports(path: Path, stamp: int, size: int) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(module, names taken from it) of each absolute import in a file, wherever it stands. Stamp and size are those of the file now."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append((node.module, tuple(alias.name for alias in node.names)))
        elif isinstance(node, ast.Import):
            found += [(alias.name, ()) for alias in node.names]
    return tuple(found)


def _source(module: str) -> Path | None:
    loaded = sys.modules.get(module)
    if loaded is not None and getattr(loaded, "__file__", None):
        return Path(str(loaded.__file__))
    if module.split(".")[0] != "dpi":
        return None
    path = _PACKAGE.joinpath(*module.split(".")[1:])
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None
