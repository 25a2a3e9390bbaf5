"""The modules a command imports, kept together: their code out of one file, so that a start does not look for hundreds of them.

Python looks for each module along its path, reads its compiled file and rebuilds it by itself. Which ones a command imports hardly changes from start to
start: they are kept in one file for each command (`Bundle.keep`), which is read and rebuilt in one go. A module comes from there only while its source has
the size and the time that it was kept with, as Python asks of compiled files; all else is found as ever. What is imported here costs every start.
"""
from __future__ import annotations

import gc
import marshal
import mmap
import os
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader

from dpi import cache

TYPE_CHECKING = False           # typing takes longer to import than all that is here
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import CodeType, ModuleType

_SPARE = 0.25                   # of what is kept: a start may do without that
_KEPT = 8                       # files of a command: one for each environment
_MODULUS = (1 << 61) - 1        # a prime: a file is named by what the key leaves of it
_PACKAGE = os.path.dirname(os.path.abspath(__file__))


class _Loader(SourceFileLoader):
    """Of a module whose code may be at hand."""

    code: CodeType | None = None

    def get_code(self, fullname: str) -> CodeType | None:
        code, self.code = self.code, None           # asked again, it is read again
        return code or super().get_code(fullname)


class Kept:
    """A module as it was kept."""

    __slots__ = ("code", "compiled", "name", "package", "size", "source", "time")

    def __init__(self, name: str, source: str, package: bool, compiled: str | None, time: int, size: int, code: CodeType) -> None:
        self.name, self.source, self.package, self.compiled, self.time, self.size, self.code = name, source, package, compiled, time, size, code

    @property
    def unchanged(self) -> bool:
        """Whether its source is what it was made from."""
        try:
            now = os.stat(self.source)
        except OSError:
            return False
        return now.st_mtime_ns == self.time and now.st_size == self.size

    def same(self, other: Kept | None) -> bool:
        """Whether that is of the same source."""
        return other is not None and (self.source, self.time, self.size) == (other.source, other.time, other.size)

    def spec(self) -> ModuleSpec:
        """As Python would find it."""
        loader = _Loader(self.name, self.source)
        loader.code = self.code
        spec = ModuleSpec(self.name, loader, origin=self.source, is_package=self.package)
        spec.has_location, spec.cached = True, self.compiled
        if self.package:
            spec.submodule_search_locations = [os.path.dirname(self.source)]
        return spec

    def words(self) -> tuple[object, ...]:
        """What it is made from again."""
        return self.name, self.source, self.package, self.compiled, self.time, self.size, self.code


class Bundle:
    """Finds the modules that were kept for a command, and keeps those that it imports."""

    def __init__(self, command: str) -> None:
        self._before = set(sys.modules)             # nobody looked for them here
        # where `python -m` is called is not where modules are looked for, but for this package itself
        here = _here()
        self._places = [place for place in sys.path if place not in ("", here)]
        self._key = (sys.version, sys.flags.optimize, _PACKAGE, self._places)
        self._command = command
        self._path = f"{cache.place()}/modules/{command}-{int.from_bytes(marshal.dumps(self._key), 'little') % _MODULUS:x}"
        self._kept: dict[str, Kept] = self._read()

    def _read(self) -> dict[str, Kept]:
        if not os.path.isabs(self._path):           # nobody knows whose that is
            return {}
        collecting = gc.isenabled()
        gc.disable()                                # a hundred thousand objects, none of them garbage
        try:
            with open(self._path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as kept:      # seven megabytes need no second place
                key, modules = marshal.loads(kept)
            found = {words[0]: Kept(*words) for words in modules} if key == self._key else {}
            gc.freeze()                             # nor is any looked at when garbage is
            return found
        except Exception:                           # none yet, or not whole: what that raises is anybody's guess
            return {}
        finally:
            if collecting:
                gc.enable()

    def find_spec(self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None) -> ModuleSpec | None:
        """As sys.meta_path asks."""
        kept = self._kept.get(name)
        return kept.spec() if kept is not None and kept.unchanged else None

    def keep(self) -> None:
        """Keep what was imported, if some of it did not come from here. What was kept and not needed this time stays, if it is little: another start may
        need it."""
        imported = dict(self._imported())
        fresh = [kept for name, spec in imported.items() if type(spec.loader) is SourceFileLoader and (kept := _kept(name, spec)) is not None]
        if not os.path.isabs(self._path) or all(one.same(self._kept.get(one.name)) for one in fresh):
            return
        idle = self._kept.keys() - imported.keys()
        spare = len(idle) <= len(self._kept) * _SPARE
        modules = {name: kept for name, kept in self._kept.items() if kept.unchanged and (spare or name not in idle)} | {one.name: one for one in fresh}
        from pathlib import Path

        cache.keep(Path(self._path), marshal.dumps((self._key, [kept.words() for kept in modules.values()])))
        old = sorted(Path(self._path).parent.glob(f"{self._command}-*"), key=lambda one: one.stat().st_mtime_ns)[:-_KEPT]
        for one in old:                             # of environments that may be gone
            one.unlink()

    def _imported(self) -> Iterator[tuple[str, ModuleSpec]]:
        """Modules that were imported since this bundle was made, out of sources in the places that it is for."""
        places = tuple(f"{place}/" for place in (*self._places, _PACKAGE))
        for name, module in sys.modules.copy().items():
            spec = getattr(module, "__spec__", None)
            if name not in self._before and spec is not None and spec.name == name and str(spec.origin).startswith(places):
                yield name, spec


def _here() -> str:
    """The working directory; '' where it is gone."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def _kept(name: str, spec: ModuleSpec) -> Kept | None:
    """A module as it is kept; None where it is not what was imported any more."""
    source, loader = str(spec.origin), spec.loader
    try:
        now = os.stat(source)
        code = loader.get_code(name) if isinstance(loader, SourceFileLoader) else None
    except (OSError, ImportError, SyntaxError):
        return None
    package = spec.submodule_search_locations is not None
    return Kept(name, source, package, spec.cached, now.st_mtime_ns, now.st_size, code) if code is not None else None


def used(command: str) -> Bundle:
    """The bundle of a command, which imports come from, where they can, from now on."""
    bundle = Bundle(command)
    sys.meta_path.insert(0, bundle)
    return bundle
