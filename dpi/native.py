"""Compiled kernels on disk: found, loaded, and compiled in child processes where they are missing.

An object is kept under the hash of all it depends on (`dpi/dependencies.py`), in a folder for this processor and these versions of numba, llvmlite
and numpy. An index of file times spares a warm start the hashing. Objects are loaded with llvmlite alone; the symbol of an entry is its label.
"""
from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dpi.jit import BUILD, ENTRIES, Entry, cache_directory

_PROCESSES = 8                  # more would find nothing to do
_SECONDS_PER_BYTE = 2e-5        # of source, where an entry was never compiled before: a guess, to begin with what takes longest


def _machine() -> str:
    """What objects are good for: processor, versions, build."""
    from importlib.util import find_spec

    import llvmlite

    cpu = ""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith(("model name", "flags", "Features")):
                    cpu += line
                if not line.strip() and cpu:
                    break
    except OSError:
        import platform
        cpu = platform.processor()
    numba = find_spec("numba")      # found, not imported
    version = Path(str(numba.origin)).with_name("_version.py").read_text(encoding="utf-8") if numba else ""
    return "|".join((version, llvmlite.__version__, np.__version__, sys.version.split()[0], cpu, BUILD))


class Known(NamedTuple):
    """What the index says of an entry's object."""
    key: str
    sources: tuple[tuple[str, int, int], ...]       # path, time in ns, size
    calls: tuple[str, ...]                          # labels of the entries it calls
    seconds: float                                  # what compiling took


class ObjectCache:
    """Objects on disk, and the engine that holds the loaded ones."""

    def __init__(self) -> None:
        self.folder = cache_directory() / f"kernels-{hashlib.sha256(_machine().encode()).hexdigest()[:16]}"
        # of this checkout: another one beside it has sources, and times, of its own
        self._index = self.folder / f"{hashlib.sha256(str(Path(__file__).resolve().parent).encode()).hexdigest()[:16]}.json"
        self._known = self._read_index()
        self._changed = False
        self._engine: Any = None
        self._stub: Any = None
        self._stats: dict[str, tuple[int, int]] = {}

    # ---------------------------------------------------------------- the index

    def _read_index(self) -> dict[str, Known]:
        try:
            said = json.loads(self._index.read_bytes())
            sources = [(path, stamp, size) for path, stamp, size in said["sources"]]
            return {label: Known(key, tuple(sources[i] for i in places), tuple(calls), seconds)
                    for label, (key, places, calls, seconds) in said["entries"].items()}
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return {}

    def save(self) -> None:
        """Keep the index, with what other processes have added since it was read."""
        if not self._changed:
            return
        self._known = {**self._read_index(), **self._known}
        places: dict[tuple[str, int, int], int] = {}
        entries = {label: (one.key, [places.setdefault(source, len(places)) for source in one.sources], one.calls, round(one.seconds, 2))
                   for label, one in self._known.items()}
        self._write(self._index, json.dumps({"sources": list(places), "entries": entries}).encode())
        self._changed = False

    def _write(self, path: Path, data: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"{path.name}.{os.getpid()}")
            part.write_bytes(data)
            part.replace(path)
        except OSError:
            pass    # a cache that cannot be written costs time, never a result

    def _stat(self, path: str) -> tuple[int, int]:
        """Time and size of a source; asked once per process."""
        if path not in self._stats:
            now = os.stat(path)
            self._stats[path] = now.st_mtime_ns, now.st_size
        return self._stats[path]

    # ---------------------------------------------------------------- objects

    def find(self, entry: Entry) -> Known | None:
        """The entry's object of the sources as they are, None where there is none."""
        known = self._known.get(entry.label)
        with contextlib.suppress(OSError):
            if known and all(self._stat(path) == (stamp, size) for path, stamp, size in known.sources) and self._object(known.key).exists():
                return known
        return self._look_up(entry)

    def _look_up(self, entry: Entry) -> Known | None:
        """Find the object by the content of the sources, and let the index know of it."""
        from dpi.dependencies import dependencies, key

        name = key(entry)
        try:
            said = json.loads(self._object(name).with_suffix(".json").read_bytes())
            sources = tuple((str(path), *self._stat(str(path))) for path in dependencies(entry.__module__).files)
            known = Known(name, sources, tuple(said["calls"]), float(said["seconds"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if not self._object(name).exists():
            return None
        self._known[entry.label] = known
        self._changed = True
        return known

    def _object(self, key: str) -> Path:
        return self.folder / f"{key}.o"

    def compile(self, entry: Entry) -> tuple[bytes, Sequence[str]]:
        """Compile an entry now, in this process, and keep its object: its code, and labels of the entries it calls."""
        from dpi.compilation import compile_entry
        from dpi.dependencies import key

        name, started = key(entry), time.process_time()
        code, calls = compile_entry(entry)
        self._write(self._object(name), code)
        self._write(self._object(name).with_suffix(".json"), json.dumps({"calls": calls, "seconds": time.process_time() - started}).encode())
        return code, calls

    def cost(self, entries: Sequence[Entry]) -> float:
        """About how many seconds compiling these together takes."""
        from dpi.dependencies import dependencies

        known = [self._known.get(one.label) for one in entries]
        files = {path for one in entries for path in dependencies(one.__module__).files}
        return max(sum(one.seconds for one in known if one), _SECONDS_PER_BYTE * sum(path.stat().st_size for path in files))

    def load(self, entries: Iterable[Entry]) -> None:
        """Load the objects of these entries and of those they call, all in one go, compiling what is missing. Sets their addresses."""
        codes: dict[str, bytes] = {}
        fresh: list[Entry] = []
        todo = list(entries)
        while todo:
            entry = todo.pop()
            if not entry.loaded and entry.label not in codes:
                codes[entry.label], calls = self._code(entry)
                fresh.append(entry)
                todo += map(by_label, calls)
        if not codes:
            return
        import llvmlite.binding as llvm

        engine = self._engine = self._engine or self._new_engine(llvm)
        for code in codes.values():
            engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        for entry in fresh:
            entry.loaded = int(engine.get_function_address(entry.label))
            if not entry.loaded:
                raise RuntimeError(f"kernel cache {self.folder}: {entry.label} is missing; remove the folder")
        self.save()

    def _code(self, entry: Entry) -> tuple[bytes, Sequence[str]]:
        """Object code and labels of the entries called; compiled here if need be."""
        known = self.find(entry)
        with contextlib.suppress(OSError):
            if known:
                return self._object(known.key).read_bytes(), known.calls
        return self.compile(entry)

    def _new_engine(self, llvm: Any) -> Any:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        if BUILD == "checked":
            _register_numba_symbols()
        else:
            self._stub_symbols(llvm)
        machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
        return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)

    def _stub_symbols(self, llvm: Any) -> None:
        """numba's runtime names that unchecked kernels mention on paths they never take."""
        def unreachable() -> None:
            os.abort()
        self._stub = ctypes.CFUNCTYPE(None)(unreachable)
        address = ctypes.cast(self._stub, ctypes.c_void_p).value
        for name in ("numba_unpickle", "numba_gil_ensure", "numba_gil_release", "numba_do_raise", "NRT_MemInfo_call_dtor", "NRT_incref",
                     "NRT_decref", "NRT_Allocate", "NRT_Free", "numba_recreate_record", "numba_attempt_nocopy_reshape",
                     "numba_runtime_build_excinfo_struct"):
            llvm.add_symbol(name, address)


def _register_numba_symbols() -> None:
    from numba.core.registry import cpu_target

    cpu_target.target_context.refresh()
    from numba.core.runtime import rtsys
    rtsys.initialize(cpu_target.target_context)


def by_label(label: str) -> Entry:
    """The entry of that label; its module is imported if need be."""
    if label not in ENTRIES:
        importlib.import_module(label.rpartition(".")[0])
    return ENTRIES[label]


_cache: ObjectCache | None = None


def the_cache() -> ObjectCache:
    """The cache of this process."""
    global _cache
    if _cache is None:
        _cache = ObjectCache()
    return _cache


def stale(entries: Sequence[Entry]) -> list[Entry]:
    """Those that would have to be compiled, and those they call."""
    if BUILD == "off":
        return []
    missing: dict[str, Entry] = {}
    seen: set[str] = set()
    todo = list(entries)
    while todo:
        entry = todo.pop()
        if entry.label in seen or entry.loaded:
            continue
        seen.add(entry.label)
        known = the_cache().find(entry)
        if known is None:
            from dpi.dependencies import dependencies

            missing[entry.label] = entry
            todo += map(by_label, dependencies(entry.__module__).entries)
        else:
            todo += map(by_label, known.calls)
    return list(missing.values())


def warm(entries: Sequence[Entry], say: Callable[[str], None] | None = None) -> None:
    """Compile what is stale, in as many processes as are of use, and load all."""
    if BUILD == "off":
        return
    missing = stale(entries)
    if missing and say:
        say(f"compiling {len(missing)} kernels (once; kept in {cache_directory()})")
    if len(missing) > 1 and (os.cpu_count() or 1) > 1:
        _compile_beside(missing)
    the_cache().load(entries)


def _compile_beside(missing: Sequence[Entry]) -> None:
    """Child processes share the work; what they leave undone is compiled by the caller."""
    import subprocess

    from dpi.dependencies import dependencies

    alike: dict[Any, list[Entry]] = {}      # entries of the same inner kernels stay together: those are compiled once in a process
    for one in missing:
        own = Path(str(sys.modules[one.__module__].__file__))
        alike.setdefault(frozenset(dependencies(one.__module__).files) - {own}, []).append(one)
    ranked = sorted(alike.values(), key=lambda group: -the_cache().cost(group))
    subprocess.run([sys.executable, "-m", "dpi.native", *(" ".join(one.label for one in group) for group in ranked)], stdin=subprocess.DEVNULL,
                   check=False)


def main(groups: Sequence[str]) -> None:
    """Compile the named entries into the cache, group after group. numba is imported once, then processes share what is to do.

    The queue is a pipe of numbers: whoever is free reads the next one.
    """
    import gc

    import dpi.compilation  # noqa: F401 (before the fork, so that it is imported once)

    gc.disable()                # a compiler's garbage is its working set
    work = [[by_label(label) for label in group.split()] for group in groups]
    queue, feed = os.pipe()
    os.write(feed, b"".join(i.to_bytes(2, "little") for i in range(len(work))))
    os.close(feed)
    children: list[int] = []
    for _ in range(min(os.cpu_count() or 1, len(work), _PROCESSES) - 1):
        child = os.fork()
        if not child:
            children = []
            break
        children.append(child)
    while number := os.read(queue, 2):
        for one in work[int.from_bytes(number, "little")]:
            the_cache().compile(one)
    for child in children:
        os.waitpid(child, 0)
    os._exit(0)                 # what a compiler leaves in memory takes long to take down in order


if __name__ == "__main__":
    main(sys.argv[1:])
