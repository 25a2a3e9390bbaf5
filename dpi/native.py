"""Compiled kernels on disk: found, loaded, and compiled in child processes where they are missing.

An object is kept under the hash of all it depends on (`dpi/dependencies.py`), in a folder for this processor and these versions of numba, llvmlite
and numpy. An index of file times spares a warm start the hashing. Objects are loaded as one library (dpi/linking.py), without a linker by llvmlite, never with
numba; the symbol of an entry is its label.
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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dpi.cache import cache_directory, keep
from dpi.jit import BUILD, ENTRIES, Entry
from dpi.linking import UNTAKEN, linked

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
    sources: frozenset[tuple[str, int, int]]        # path, time in ns, size
    calls: tuple[str, ...]                          # labels of the entries it calls
    seconds: float                                  # what compiling took
    size: int                                       # bytes of the object


class ObjectCache:
    """Objects on disk, and the engine that holds the loaded ones."""

    def __init__(self) -> None:
        self.folder = cache_directory() / f"kernels-{hashlib.sha256(_machine().encode()).hexdigest()[:16]}"
        self._place = str(self.folder)
        # of this checkout: another one beside it has sources, and times, of its own
        self._index = self.folder / f"{hashlib.sha256(str(Path(__file__).resolve().parent).encode()).hexdigest()[:16]}.json"
        self._known = self._read_index()
        self._changed = False
        self._engine: Any = None
        self._stub: Any = None
        self._stats: dict[str, tuple[int, int]] = {}
        self._current: frozenset[tuple[str, int, int]] | None = None       # the sources of the index that are as they were
        self._loaded: dict[str, int] = {}

    # ---------------------------------------------------------------- the index

    def _read_index(self) -> dict[str, Known]:
        try:
            said = json.loads(self._index.read_bytes())
            sources = [(path, stamp, size) for path, stamp, size in said["sources"]]
            return {label: Known(key, frozenset(map(sources.__getitem__, places)), tuple(calls), seconds, size)
                    for label, (key, places, calls, seconds, size) in said["entries"].items()}
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return {}

    def save(self) -> None:
        """Keep the index, with what other processes have added since it was read."""
        if not self._changed:
            return
        self._known = {**self._read_index(), **self._known}
        places: dict[tuple[str, int, int], int] = {}
        entries = {label: (one.key, [places.setdefault(source, len(places)) for source in one.sources], one.calls, round(one.seconds, 2), one.size)
                   for label, one in self._known.items()}
        keep(self._index, json.dumps({"sources": list(places), "entries": entries}).encode())
        self._changed = False

    def writable(self) -> bool:
        """Whether objects can be kept, so that another process may compile them."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
        return os.access(self.folder, os.W_OK)

    def _stat(self, path: str) -> tuple[int, int]:
        """Time of the last change (which no copying tool sets back) and size of a source; asked once per process."""
        if path not in self._stats:
            now = os.stat(path)
            self._stats[path] = now.st_ctime_ns, now.st_size
        return self._stats[path]

    # ---------------------------------------------------------------- objects

    def find(self, label: str) -> Known | None:
        """The entry's object of the sources as they are, None where there is none. Its module is imported only where the index does not know."""
        known = self._known.get(label)
        if known and known.sources <= self._unchanged() and self._has(known.key):
            return known
        return self._look_up(label)

    def _unchanged(self) -> frozenset[tuple[str, int, int]]:
        """The sources of the index that are as they were: many entries have the same."""
        if self._current is None:
            self._current = frozenset(one for one in frozenset().union(*(known.sources for known in self._known.values())) if self._is(*one))
        return self._current

    def _is(self, path: str, stamp: int, size: int) -> bool:
        with contextlib.suppress(OSError):
            return self._stat(path) == (stamp, size)
        return False

    def _look_up(self, label: str) -> Known | None:
        """Find the object by the content of the sources, and let the index know of it."""
        from dpi.dependencies import dependencies, key

        try:
            # before reading them: what changes meanwhile is seen the next time
            sources = frozenset((str(path), *self._stat(str(path))) for path in dependencies(by_label(label).__module__).watched)
            name = key(label)
            said = json.loads(self._object(name).with_suffix(".json").read_bytes())
            known = Known(name, sources, tuple(said["calls"]), float(said["seconds"]), int(said["size"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if not self._has(name):
            return None
        self._known[label] = known
        self._current = None
        self._changed = True
        return known

    def _object(self, key: str) -> Path:
        return self.folder / f"{key}.o"

    def _has(self, key: str) -> bool:
        return os.path.exists(f"{self._place}/{key}.o")        # asked for each entry of a start: a Path takes six times as long

    def compile(self, label: str) -> tuple[bytes, Sequence[str]]:
        """Compile an entry now, in this process, and keep its object: its code, and labels of the entries it calls."""
        from dpi.compilation import compile_entry
        from dpi.dependencies import key

        entry = by_label(label)
        name, started = key(label), time.process_time()
        code, calls = compile_entry(entry)
        keep(self._object(name), code)
        said = {"calls": calls, "seconds": time.process_time() - started, "size": len(code)}
        keep(self._object(name).with_suffix(".json"), json.dumps(said).encode())
        return code, calls

    def cost(self, labels: Sequence[str]) -> float:
        """About how many seconds compiling these together takes."""
        from dpi.dependencies import dependencies

        known = [self._known.get(label) for label in labels]
        files = {path for label in labels for path in dependencies(by_label(label).__module__).files}
        return max(sum(one.seconds for one in known if one), _SECONDS_PER_BYTE * sum(path.stat().st_size for path in files))

    def addresses(self, labels: Sequence[str]) -> list[int]:
        """The native addresses of entries: what is not loaded is loaded with what it calls, all in one go, and compiled where it is missing."""
        wanted: dict[str, Known | bytes] = {}
        todo = list(labels)
        while todo:
            label = todo.pop()
            if label not in self._loaded and label not in wanted:
                known = self.find(label)
                wanted[label], calls = (known, known.calls) if known else self.compile(label)
                todo += calls
        if wanted and not self._link(wanted):
            self._load({label: self._code(label, one) for label, one in wanted.items()})
        return [self._loaded[label] for label in labels]

    def is_loaded(self, label: str) -> bool:
        """Whether its code is in this process."""
        return label in self._loaded

    def _code(self, label: str, one: Known | bytes) -> bytes:
        """Object code; compiled here where the object is not whole."""
        if isinstance(one, bytes):
            return one
        with contextlib.suppress(OSError):
            if len(code := self._object(one.key).read_bytes()) == one.size:
                return code
        return self.compile(label)[0]

    def _link(self, wanted: Mapping[str, Known | bytes]) -> bool:
        """Load objects as a library. Not what was compiled a moment ago and not kept, nor in a process that numba or llvmlite loads kernels in."""
        kept = {label: self._object(one.key) for label, one in wanted.items() if isinstance(one, Known)}
        if BUILD != "on" or self._engine or "numba" in sys.modules or len(kept) < len(wanted):
            return False
        found = linked(self.folder, kept)
        self._loaded |= found or {}
        self.save()
        return found is not None

    def _load(self, codes: dict[str, bytes]) -> None:
        import llvmlite.binding as llvm

        engine = self._engine = self._engine or self._new_engine(llvm)
        for code in codes.values():
            engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        for label in codes:
            address = int(engine.get_function_address(label))
            if not address:
                raise RuntimeError(f"kernel cache {self.folder}: {label} is missing; remove the folder")
            self._loaded[label] = address
        self.save()

    def _new_engine(self, llvm: Any) -> Any:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        if BUILD == "checked" or "numba" in sys.modules:        # names are known to all of the process, to numba's own engine too
            _register_numba_symbols()
        else:
            self._stub_symbols(llvm)
        machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
        return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)

    def _stub_symbols(self, llvm: Any) -> None:
        """Names that nobody gets to: a process that does ends."""
        def unreachable() -> None:
            os.abort()
        self._stub = ctypes.CFUNCTYPE(None)(unreachable)
        address = ctypes.cast(self._stub, ctypes.c_void_p).value
        for name in UNTAKEN:
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


def stale(entries: Sequence[Entry | str]) -> list[str]:
    """Labels of those that would have to be compiled, and of those they call. An entry is named by itself or by its label."""
    if BUILD == "off":
        return []
    cache = the_cache()
    missing: list[str] = []
    seen: set[str] = set()
    todo = _labels(entries)
    while todo:
        label = todo.pop()
        if label in seen or cache.is_loaded(label):
            continue
        seen.add(label)
        known = cache.find(label)
        if known is None:
            from dpi.dependencies import dependencies

            missing.append(label)
            todo += dependencies(by_label(label).__module__).entries
        else:
            todo += known.calls
    return missing


def _labels(entries: Sequence[Entry | str]) -> list[str]:
    return [one if isinstance(one, str) else one.label for one in entries]


def warm(entries: Sequence[Entry | str], say: Callable[[str], None] | None = None) -> None:
    """Compile what is stale, in as many processes as are of use, and load all."""
    if BUILD == "off":
        return
    missing = stale(entries)
    if missing and say:
        say(f"compiling {len(missing)} kernels (once; kept in {cache_directory()})")
    if len(missing) > 1 and (os.cpu_count() or 1) > 1 and the_cache().writable():
        _compile_beside(missing)
    the_cache().addresses(_labels(entries))


def _compile_beside(missing: Sequence[str]) -> None:
    """Child processes share the work; what they leave undone is compiled by the caller."""
    import subprocess

    from dpi.dependencies import dependencies

    alike: dict[Any, list[str]] = {}        # entries of the same inner kernels stay together: those are compiled once in a process
    for label in missing:
        module = by_label(label).__module__
        own = Path(str(sys.modules[module].__file__))
        alike.setdefault(frozenset(dependencies(module).files) - {own}, []).append(label)
    ranked = sorted(alike.values(), key=lambda group: -the_cache().cost(group))
    subprocess.run([sys.executable, "-m", "dpi.native", *map(" ".join, ranked)], stdin=subprocess.DEVNULL, check=False)


def main(groups: Sequence[str]) -> None:
    """Compile the named entries into the cache, group after group. numba is imported once, then processes share what is to do.

    The queue is a pipe of numbers: whoever is free reads the next one.
    """
    import gc

    import dpi.compilation  # noqa: F401 (before the fork, so that it is imported once)
    from dpi.dependencies import key

    gc.disable()                # a compiler's garbage is its working set
    work = [group.split() for group in groups]
    for label in (label for group in work for label in group):
        by_label(label)
        key(label)              # of the sources as they were imported: they may be edited before their turn comes
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
        for label in work[int.from_bytes(number, "little")]:
            the_cache().compile(label)
    for child in children:
        os.waitpid(child, 0)
    os._exit(0)                 # what a compiler leaves in memory takes long to take down in order


if __name__ == "__main__":
    main(sys.argv[1:])
