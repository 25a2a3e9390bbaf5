"""Compiled kernels on disk: what they depend on, how they are loaded, and the cold compile.

The key of an object is the hash of the sources its module imports (transitively, inside `dpi`), the versions of numba, llvmlite and numpy,
the processor and the build. An index of file times spares a warm start the hashing. Objects are loaded with llvmlite alone.
"""
from __future__ import annotations

import ast
import contextlib
import ctypes
import hashlib
import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dpi.jit import BUILD, Entry, cache_directory

_PACKAGE = Path(__file__).resolve().parent


def closure(module: str) -> list[Path]:
    """The source files of `module` and of everything in `dpi` it imports."""
    seen: dict[str, Path] = {}
    todo = [module]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        path = _source(name)
        if path is None:
            continue
        seen[name] = path
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                if node.module.split(".")[0] == module.split(".")[0]:
                    todo.append(node.module)
                    todo.extend(f"{node.module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.Import):
                todo.extend(alias.name for alias in node.names if alias.name.split(".")[0] == module.split(".")[0])
    return sorted(set(seen.values()))


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


def _machine() -> str:
    import llvmlite

    cpu = ""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "flags", "Features")):
                cpu += line
            if not line and cpu:
                break
    except OSError:
        import platform
        cpu = platform.processor()
    from importlib.metadata import version
    return "|".join((version("numba"), llvmlite.__version__, np.__version__, sys.version.split()[0], cpu, BUILD))


class ObjectCache:
    """Objects on disk, and the engine that holds the loaded ones."""

    def __init__(self) -> None:
        self.folder = cache_directory() / f"kernels-{hashlib.sha256(_machine().encode()).hexdigest()[:16]}"
        self.index = self.folder / "index.json"
        self.known: dict[str, Any] = {}
        self.reread()
        self._engine: Any = None
        self._keep: list[Any] = []
        self._stats: dict[str, tuple[int, int]] = {}

    def reread(self) -> None:
        """Take up what other processes have kept."""
        with contextlib.suppress(OSError, ValueError):
            self.known = json.loads(self.index.read_text())

    def _stat(self, path: str) -> tuple[int, int]:
        """Time and size of a source; asked once per process."""
        if path not in self._stats:
            now = os.stat(path)
            self._stats[path] = now.st_mtime_ns, now.st_size
        return self._stats[path]

    def find(self, entry: Entry) -> tuple[str, bytes] | None:
        row = self.known.get(entry.label)
        try:
            if row is None:
                raise KeyError(entry.label)
            for path, stamp, size in row["files"]:
                if self._stat(path) != (stamp, size):
                    raise KeyError(path)
            return row["symbol"], (self.folder / row["object"]).read_bytes()
        except (KeyError, OSError):
            pass
        key = entry.key()
        try:
            symbol = (self.folder / f"{key}.sym").read_text()
            code = (self.folder / f"{key}.o").read_bytes()
        except OSError:
            return None
        self._remember(entry, key, symbol)
        return symbol, code

    def _remember(self, entry: Entry, key: str, symbol: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self.known = {**json.loads(self.index.read_text()), **self.known}
        files = [(str(p), os.stat(p).st_mtime_ns, os.stat(p).st_size) for p in closure(entry.__module__)]
        self.known[entry.label] = {"files": files, "symbol": symbol, "object": f"{key}.o"}
        self._write(self.index, json.dumps(self.known).encode())

    def keep(self, entry: Entry, symbol: str, code: bytes) -> None:
        key = entry.key()
        self._write(self.folder / f"{key}.o", code)
        self._write(self.folder / f"{key}.sym", symbol.encode())
        self._remember(entry, key, symbol)

    def _write(self, path: Path, data: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"{path.name}.{os.getpid()}")
            part.write_bytes(data)
            part.replace(path)
        except OSError:
            pass    # a cache that cannot be written costs time, never a result

    def load(self, symbol: str, code: bytes) -> int:
        import llvmlite.binding as llvm

        if self._engine is None:
            llvm.initialize_native_target()
            llvm.initialize_native_asmprinter()
            if BUILD == "checked":
                _register_numba_symbols()
            else:
                self._stub_symbols(llvm)
            machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
            self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        address = int(self._engine.get_function_address(symbol))
        if not address:
            raise RuntimeError(f"kernel cache {self.folder}: {symbol} is missing; remove the folder")
        return address

    def _stub_symbols(self, llvm: Any) -> None:
        """numba's runtime names that unchecked kernels mention on paths they never take."""
        def unreachable() -> None:
            os.abort()
        stub = ctypes.CFUNCTYPE(None)(unreachable)
        self._keep.append(stub)
        address = ctypes.cast(stub, ctypes.c_void_p).value
        for name in ("numba_unpickle", "numba_gil_ensure", "numba_gil_release", "numba_do_raise", "NRT_MemInfo_call_dtor", "NRT_incref",
                     "NRT_decref", "NRT_Allocate", "NRT_Free", "numba_recreate_record", "numba_attempt_nocopy_reshape",
                     "numba_runtime_build_excinfo_struct"):
            llvm.add_symbol(name, address)


def _register_numba_symbols() -> None:
    from numba.core.registry import cpu_target

    cpu_target.target_context.refresh()
    from numba.core.runtime import rtsys
    rtsys.initialize(cpu_target.target_context)


_cache: ObjectCache | None = None


def the_cache() -> ObjectCache:
    """The cache of this process."""
    global _cache
    if _cache is None:
        _cache = ObjectCache()
    return _cache


def stale(entries: Sequence[Entry]) -> list[Entry]:
    """Those that would have to be compiled."""
    return [] if BUILD == "off" else [e for e in entries if not e._address and the_cache().find(e) is None]


def warm(entries: Sequence[Entry], say: Callable[[str], None] | None = None) -> None:
    """Compile what is stale, in two processes, and load all."""
    missing = stale(entries)
    if missing and say:
        say(f"compiling {len(missing)} of {len(entries)} kernels (once; kept in {cache_directory()})")
    if len(missing) > 3 and (os.cpu_count() or 1) > 1:
        _compile_beside(missing)
        the_cache().reread()
    for one in entries:
        one.address()


def _compile_beside(missing: Sequence[Entry]) -> None:
    """Two child processes share the work; what they leave undone is compiled by the caller."""
    import subprocess

    ranked = sorted(missing, key=lambda e: -sum(p.stat().st_size for p in closure(e.__module__)))
    halves: list[list[str]] = [[], []]
    for i, one in enumerate(ranked):
        halves[(i + 1) // 2 % 2].append(one.label)
    children = [subprocess.Popen([sys.executable, "-m", "dpi.native", *half], stdin=subprocess.DEVNULL) for half in halves if half]
    for child in children:
        child.wait()


def main(labels: Sequence[str]) -> None:
    """Compile the named entries into the cache."""
    import gc

    from dpi.jit import ENTRIES

    gc.disable()            # a compiler's garbage is its working set
    for label in labels:
        module = label.rpartition(".")[0]
        importlib.import_module(module)
        one = ENTRIES[label]
        if the_cache().find(one) is None:
            the_cache().keep(one, *one.compile())


if __name__ == "__main__":
    main(sys.argv[1:])
