"""How kernels are compiled, kept and called.

A *kernel* is a function over numpy arrays that numba compiles. Three kinds exist:

``@kernel``
    an inner function, called by other kernels; never compiled alone.
``@entry(...)``
    a kernel that Python calls; it becomes one native object in the cache directory.
``@parser``
    an entry of one fixed signature, called by other kernels through its address, so that editing one protocol recompiles that protocol
    and nothing above it (see ``dpi/classify/inspection.py``).

The cached object is loaded with llvmlite alone: a start with a warm cache never imports numba. The key of an object is the hash of the
sources its module imports (transitively, inside ``dpi``), the versions of numba, llvmlite and numpy, and the processor.

``FULLSPAN_JIT`` (or numba's own variables) chooses the build: ``on``, ``off`` (plain Python: NUMBA_DISABLE_JIT=1) or ``checked``
(every index checked: NUMBA_BOUNDSCHECK=1; a failed check raises ``IndexError`` from the call).

Rules for kernel code, so that all three builds agree:
  * arrays are one-dimensional and contiguous; records are ``np.record`` dtypes, fields by attribute (``row.packets[0]``);
  * integers read from arrays are widened first (``np.int64(data[i])``) before arithmetic; nothing relies on wrap-around of small types
    (mask explicitly: ``(a - b) & 0xFFFFFFFF``);
  * no allocation, no exceptions, no Python objects.
"""
from __future__ import annotations

import ast
import ctypes
import hashlib
import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

I64 = "i64"
U64 = "u64"
_PACKAGE = Path(__file__).resolve().parent
_CTYPES = {"i64": ctypes.c_int64, "u64": ctypes.c_uint64}


def build() -> str:
    """The build in force: 'on', 'off' or 'checked'."""
    mode = os.environ.get("FULLSPAN_JIT", "")
    if mode in ("on", "off", "checked"):
        return mode
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return "off"
    if os.environ.get("NUMBA_BOUNDSCHECK", "0") not in ("", "0"):
        return "checked"
    return "on"


BUILD = build()


def cache_directory() -> Path:
    """Where compiled kernels live: $FULLSPAN_CACHE, else the user's cache directory."""
    own = os.environ.get("FULLSPAN_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fullspan"


class _Row(np.record):
    """A record whose fields win over numpy's attributes of the same name (`flags`, `size`), as they do in compiled code."""

    def __getattribute__(self, name: str) -> Any:
        if name in (np.void.__getattribute__(self, "dtype").fields or ()):
            return self[name]
        return np.record.__getattribute__(self, name)


class _Rows(np.recarray[Any, Any]):
    """A record array that keeps `_Row` (a plain one turns its rows into np.record)."""

    def __array_finalize__(self, origin: Any) -> None:
        """Nothing to set."""


def records(count: int, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """A zeroed 1-D record array (pages are touched when first used)."""
    if BUILD == "off":
        return np.zeros(count, np.dtype((_Row, dtype))).view(_Rows)
    return np.zeros(count, dtype).view(np.recarray)


class Kernel:
    """An inner kernel: plain Python until something above it is compiled."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.py_func = function
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self._dispatcher: Any = None
        self._direct: Any = None        # with a wrapper for Python, for tests

    def dispatcher(self) -> Any:
        """The numba dispatcher for other kernels (numba is imported here, not before)."""
        if self._dispatcher is None:
            import numba

            _teach_numba()
            self._dispatcher = _plain_types(numba.njit(nogil=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy", boundscheck=BUILD == "checked")(self.py_func))
        return self._dispatcher

    def __call__(self, *args: Any) -> Any:
        if BUILD == "off":
            return self.py_func(*args)
        if self._direct is None:
            import numba

            _teach_numba()
            self._direct = numba.njit(nogil=True, error_model="numpy", boundscheck=BUILD == "checked")(self.py_func)
        return self._direct(*args)


def _plain_types(dispatcher: Any) -> Any:
    """Stop numba from compiling an inner kernel anew for each constant it is called with: LLVM carries constants into calls by itself."""
    from numba.core import types

    resolve = dispatcher.get_call_template

    def plain(args: Any, kws: Any) -> Any:
        return resolve(tuple(types.unliteral(a) for a in args), {k: types.unliteral(a) for k, a in kws.items()})

    dispatcher.get_call_template = plain
    return dispatcher


def kernel(function: Callable[..., Any]) -> Any:
    """Mark an inner kernel."""
    return function if BUILD == "off" else Kernel(function)


class Intrinsic(Kernel):
    """A kernel whose body is LLVM: `make()` builds the numba intrinsic, `plain` is what it means."""

    def __init__(self, make: Callable[[], Any], plain: Callable[..., Any]) -> None:
        super().__init__(plain)
        self._make = make

    def dispatcher(self) -> Any:
        if self._dispatcher is None:
            _teach_numba()
            self._dispatcher = self._make()
        return self._dispatcher


def intrinsic(plain: Callable[..., Any]) -> Callable[[Callable[[], Any]], Any]:
    """Decorate a maker of a numba intrinsic; `plain` stands in for it when the JIT is off."""
    def wrap(make: Callable[[], Any]) -> Any:
        return plain if BUILD == "off" else Intrinsic(make, plain)
    return wrap


def pointed(name: str, dtype: Any) -> Any:
    """A kernel `f(w) -> array of dtype` that finds one array of a world: see `world`."""
    dtype = np.dtype(dtype)

    @intrinsic(lambda w: _ARRAYS[int(w[name])])
    def find() -> Any:
        from numba import from_dtype
        from numba.core import cgutils, types
        from numba.extending import intrinsic as numba_intrinsic
        from numba.np.arrayobj import make_array, populate_array

        kind = types.Array(from_dtype(dtype), 1, "C")

        @numba_intrinsic  # type: ignore[untyped-decorator]
        def find(typing_context: Any, w: Any) -> Any:
            def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                word = context.get_value_type(types.intp)
                where = builder.load(cgutils.get_record_member(builder, args[0], w.offset(name), word), align=1)
                size = builder.load(cgutils.get_record_member(builder, args[0], w.offset(name + "_n"), word), align=1)
                array = make_array(kind)(context, builder)
                step = context.get_constant(types.intp, dtype.itemsize)
                data = builder.inttoptr(where, context.get_data_type(kind.dtype).as_pointer())
                populate_array(array, data=data, shape=[size], strides=[step], itemsize=step, meminfo=None)
                return array._getvalue()
            return kind(w), generate
        return find
    return find


_ARRAYS: dict[int, Any] = {}


def world_dtype(names: Sequence[str]) -> np.dtype[Any]:
    """The record that says where each named array lies: its address and its length."""
    return np.dtype((np.record, [field for name in names for field in ((name, "u8"), (name + "_n", "i8"))]))


def world(dtype: np.dtype[Any], arrays: Mapping[str, Any]) -> Any:
    """A world of these arrays, recarray[1]: handing a kernel one pointer instead of forty arrays keeps calls cheap and compiling quick.

    The caller keeps the arrays alive (and the world with them).
    """
    made = records(1, dtype)
    for name, array in arrays.items():
        if not array.flags.c_contiguous or array.ndim != 1:
            raise TypeError(f"{name}: a world holds 1-D contiguous arrays")
        made[0][name], made[0][name + "_n"] = array.ctypes.data, array.size
        if BUILD == "off":
            _ARRAYS[array.ctypes.data] = array
    return made


_taught = False


def _teach_numba() -> None:
    """Let numba see a Kernel held in a module global as its dispatcher."""
    global _taught
    if _taught:
        return
    _taught = True
    from numba.core import types
    from numba.extending import typeof_impl

    @typeof_impl.register(Kernel)
    def _of_kernel(value: Kernel, context: Any) -> Any:
        return types.Dispatcher(value.dispatcher())

    @typeof_impl.register(Intrinsic)
    def _of_intrinsic(value: Intrinsic, context: Any) -> Any:
        from numba.core.registry import cpu_target

        inner = value.dispatcher()
        cpu_target.typing_context.refresh()     # an intrinsic is known by a table of globals, not by typeof
        return cpu_target.typing_context._lookup_global(inner)


# ---------------------------------------------------------------- closure and key

def _closure(module: str) -> list[Path]:
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


class _Cache:
    """Objects on disk, and the engine that holds the loaded ones."""

    def __init__(self) -> None:
        self.folder = cache_directory() / f"kernels-{hashlib.sha256(_machine().encode()).hexdigest()[:16]}"
        self.index = self.folder / "index.json"
        try:
            self.known: dict[str, Any] = json.loads(self.index.read_text())
        except (OSError, ValueError):
            self.known = {}
        self._engine: Any = None
        self._keep: list[Any] = []

    def find(self, entry: Entry) -> tuple[str, bytes] | None:
        row = self.known.get(entry.label)
        try:
            if row is None:
                raise KeyError(entry.label)
            for path, stamp, size in row["files"]:
                now = os.stat(path)
                if now.st_mtime_ns != stamp or now.st_size != size:
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
        try:
            self.known = {**json.loads(self.index.read_text()), **self.known}
        except (OSError, ValueError):
            pass
        files = [(str(p), os.stat(p).st_mtime_ns, os.stat(p).st_size) for p in _closure(entry.__module__)]
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


_cache: _Cache | None = None


def _the_cache() -> _Cache:
    global _cache
    if _cache is None:
        _cache = _Cache()
    return _cache


# ---------------------------------------------------------------- entries

class Entry:
    """A kernel Python can call. Arguments are 1-D arrays of the declared dtypes, or integers."""

    def __init__(self, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
        self.py_func = function
        self.arguments = tuple(arguments)
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.label = f"{function.__module__}.{function.__qualname__}"
        self._inner: Any = None
        self._address = 0
        self._native: Any = None
        ENTRIES[self.label] = self

    def key(self) -> str:
        digest = hashlib.sha256(self.label.encode())
        digest.update(repr(self.arguments).encode())
        for path in _closure(self.__module__):
            digest.update(path.name.encode())
            digest.update(path.read_bytes())
        return digest.hexdigest()[:32]

    def inner(self) -> Kernel:
        if self._inner is None:
            self._inner = Kernel(self.py_func)
        return self._inner

    def address(self) -> int:
        """The native address (compiling first if need be). With the JIT off: a handle that `plain_call` understands."""
        if not self._address:
            if BUILD == "off":
                _PLAIN.append(self)
                self._address = len(_PLAIN)
            else:
                cache = _the_cache()
                found = cache.find(self)
                if found is None:
                    found = self.compile()
                    cache.keep(self, *found)
                self._address = cache.load(*found)
        return self._address

    def compile(self) -> tuple[str, bytes]:
        """(symbol, object code) of this entry, compiled now."""
        from numba import carray, from_dtype, types
        from numba.core import sigutils
        from numba.core.ccallback import CFunc

        _teach_numba()
        parameters: list[str] = []
        calls: list[str] = []
        kinds: list[Any] = []
        for i, argument in enumerate(self.arguments):
            if argument in _CTYPES:
                parameters.append(f"s{i}")
                calls.append(f"s{i}")
                kinds.append(types.int64 if argument == I64 else types.uint64)
            else:
                parameters += [f"p{i}", f"n{i}"]
                calls.append(f"carray(p{i}, n{i})")
                kinds += [types.CPointer(from_dtype(np.dtype(argument))), types.int64]
        source = f"def wrapper({', '.join(parameters)}):\n    return function({', '.join(calls)})\n"
        names: dict[str, Any] = {"carray": carray, "function": self.inner()}
        exec(compile(source, f"<{self.label}>", "exec"), names)  # noqa: S102 - the wrapper is generated from the declared signature

        class Collected(CFunc):
            def _compile_uncached(self) -> Any:
                result = super()._compile_uncached()
                result.library.enable_object_caching()
                return result

        signature = sigutils.normalize_signature(types.int64(*kinds))
        _optimise_once()
        compiled = Collected(names["wrapper"], signature, locals={}, options={
            "nopython": True, "nogil": True, "error_model": "numpy", "boundscheck": BUILD == "checked"})
        compiled.compile()
        return compiled._wrapper_name, compiled._library._get_compiled_object()

    def _bind(self) -> Any:
        kinds: list[Any] = []
        for argument in self.arguments:
            kinds += [_CTYPES[argument]] if argument in _CTYPES else [ctypes.c_void_p, ctypes.c_int64]
        self._native = ctypes.CFUNCTYPE(ctypes.c_int64, *kinds)(self.address())
        return self._native

    def bind(self, *args: Any) -> Callable[[], int]:
        """The call with these arguments, ready to repeat without looking at them again (scalars included)."""
        if BUILD == "off":
            return lambda: int(self.py_func(*args) or 0)
        native = self._native or self._bind()
        flat = self._flatten(args)
        if BUILD == "checked":
            return lambda: _checked(native, flat)
        return lambda: int(native(*flat)) if args is not None else 0

    def _flatten(self, args: tuple[Any, ...]) -> list[Any]:
        if len(args) != len(self.arguments):
            raise TypeError(f"{self.label} takes {len(self.arguments)} arguments, got {len(args)}")
        flat: list[Any] = []
        for argument, value in zip(self.arguments, args, strict=True):
            if argument in _CTYPES:
                flat.append(int(value))
            else:
                if value.dtype.itemsize != np.dtype(argument).itemsize or not value.flags.c_contiguous:
                    raise TypeError(f"{self.label}: an array of {argument} was expected, got {value.dtype}")
                flat += [value.ctypes.data, value.size]
        return flat

    def __call__(self, *args: Any) -> int:
        if BUILD == "off":
            return int(self.py_func(*args) or 0)
        native = self._native or self._bind()
        flat = self._flatten(args)
        return _checked(native, flat) if BUILD == "checked" else int(native(*flat))


def _optimise_once() -> None:
    """Let LLVM optimise an entry's whole code once, not each inner kernel again at every level above it (about a third of a cold compile).

    numba links a kernel's code into each of its callers and optimises there again; only the last of these, the entry's own library, counts.
    Should numba change, the attribute is gone and kernels compile as slowly as they would without this.
    """
    from numba.core import codegen

    library = getattr(codegen, "CPUCodeLibrary", None)
    optimise = getattr(library, "_optimize_final_module", None)
    if library is None or optimise is None or hasattr(optimise, "of_entries"):
        return

    def only_entries(self: Any) -> None:
        if self.name.startswith("wrapper"):
            optimise(self)

    only_entries.of_entries = True      # type: ignore[attr-defined]
    library._optimize_final_module = only_entries


ENTRIES: dict[str, Entry] = {}
_PLAIN: list[Entry] = []


def plain_call(address: int, *args: Any) -> int:
    """What calling an address means when the JIT is off."""
    return int(_PLAIN[int(address) - 1].py_func(*args) or 0)


def _checked(native: Any, flat: Sequence[Any]) -> int:
    """Call a checked kernel; numba reports a failed check as unraisable, here it is raised."""
    caught: list[BaseException] = []
    before = sys.unraisablehook
    sys.unraisablehook = lambda report: caught.append(report.exc_value or RuntimeError("kernel failed"))
    try:
        result = int(native(*flat))
    finally:
        sys.unraisablehook = before
    if caught:
        raise caught[0]
    return result


def entry(*arguments: Any) -> Callable[[Callable[..., Any]], Entry]:
    """Declare a kernel that Python calls: numpy dtypes for arrays, I64 or U64 for integers. It returns an int64."""
    return lambda function: Entry(function, arguments)


# ---------------------------------------------------------------- cold compile

def stale(entries: Sequence[Entry]) -> list[Entry]:
    """Those that would have to be compiled."""
    return [] if BUILD == "off" else [e for e in entries if not e._address and _the_cache().find(e) is None]


def warm(entries: Sequence[Entry], say: Callable[[str], None] | None = None) -> None:
    """Compile what is stale, in two processes, and load all."""
    missing = stale(entries)
    if missing and say:
        say(f"compiling {len(missing)} of {len(entries)} kernels (once; kept in {cache_directory()})")
    if len(missing) > 3 and (os.cpu_count() or 1) > 1:
        _compile_beside(missing)
        _the_cache().known.clear()
        _the_cache().__init__()  # type: ignore[misc]
    for one in entries:
        one.address()


def _compile_beside(missing: Sequence[Entry]) -> None:
    """Two child processes share the work; what they leave undone is compiled by the caller."""
    import subprocess

    ranked = sorted(missing, key=lambda e: -sum(p.stat().st_size for p in _closure(e.__module__)))
    halves: list[list[str]] = [[], []]
    for i, one in enumerate(ranked):
        halves[(i + 1) // 2 % 2].append(one.label)
    children = [subprocess.Popen([sys.executable, "-m", "dpi.jit", *half], stdin=subprocess.DEVNULL) for half in halves if half]
    for child in children:
        child.wait()


def main(labels: Sequence[str]) -> None:
    """Compile the named entries into the cache."""
    import gc

    from dpi import jit     # the module other modules registered with, not __main__

    gc.disable()            # a compiler's garbage is its working set
    for label in labels:
        module = label.rpartition(".")[0]
        importlib.import_module(module)
        one = jit.ENTRIES[label]
        if jit._the_cache().find(one) is None:
            jit._the_cache().keep(one, *one.compile())


if __name__ == "__main__":
    main(sys.argv[1:])
