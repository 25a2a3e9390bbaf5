"""How kernels are compiled, kept and called.

A *kernel* is a function over numpy arrays that numba compiles. Three kinds exist:

``@kernel``
    an inner function, called by other kernels; never compiled alone.
``@entry(...)``
    a kernel that Python calls; it becomes one native object in the cache directory.
``@parser``
    an entry of one fixed signature, called by other kernels through its address, so that editing one protocol recompiles that protocol
    and nothing above it (see ``dpi/classify/inspection.py``).

A kernel may call an entry by its name like any kernel. It is then not compiled into the caller: both objects are loaded, and linked by symbol.
What is large and called from several entries (a ClientHello) is therefore an entry.

The cached object is loaded with llvmlite alone (``dpi/native.py``): a start with a warm cache never imports numba, nor ``dpi/compilation.py``.

``FULLSPAN_JIT`` (or numba's own variables) chooses the build: ``on``, ``off`` (plain Python: NUMBA_DISABLE_JIT=1) or ``checked``
(every index checked: NUMBA_BOUNDSCHECK=1; a failed check raises ``IndexError`` from the call).

Rules for kernel code, so that all three builds agree:
  * arrays are one-dimensional and contiguous; records are ``np.record`` dtypes, fields by attribute (``row.packets[0]``);
  * no index is negative: compiled, it would lie before the array (the checked build says so);
  * integers read from arrays are widened first (``np.int64(data[i])``) before arithmetic; nothing relies on wrap-around of small types
    (mask explicitly: ``(a - b) & 0xFFFFFFFF``);
  * no allocation, no exceptions, no Python objects.
"""
from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

I64 = "i64"
U64 = "u64"
LINE = 64               # bytes of a cache line
SCALARS = {I64: ctypes.c_int64, U64: ctypes.c_uint64}


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
    """A zeroed 1-D record array (pages are touched when first used). It begins at a cache line, so that no record lies in one line more than needed."""
    if BUILD == "off":
        return np.zeros(count, np.dtype((_Row, dtype))).view(_Rows)
    size = count * dtype.itemsize
    raw = np.zeros(size + LINE, np.uint8)
    begin = -raw.ctypes.data % LINE
    return raw[begin:begin + size].view(dtype).view(np.recarray)


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
        """The numba dispatcher for other kernels (numba is imported then, not before)."""
        if self._dispatcher is None:
            from dpi.compilation import dispatcher

            self._dispatcher = dispatcher(self)
        return self._dispatcher

    def __call__(self, *args: Any) -> Any:
        if BUILD == "off":
            return self.py_func(*args)
        if self._direct is None:
            from dpi.compilation import callable_from_python

            self._direct = callable_from_python(self)
        return self._direct(*args)


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


#: What an array says of itself, asked of numpy's own class: a record array looks for a field of that name first, in Python
_kind, _flags, _memory, _length = (vars(np.ndarray)[name].__get__ for name in ("dtype", "flags", "ctypes", "size"))


def world_dtype(names: Sequence[str]) -> np.dtype[Any]:
    """The record that says where each named array lies: its address and its length."""
    return np.dtype((np.record, [field for name in names for field in ((name, "u8"), (name + "_n", "i8"))]))


def world(dtype: np.dtype[Any], arrays: Mapping[str, Any]) -> Any:
    """A world of these arrays, recarray[1]: handing a kernel one pointer instead of forty arrays keeps calls cheap and compiling quick.

    The caller keeps the arrays alive (and the world with them).
    """
    made = records(1, dtype)
    for name, array in arrays.items():
        point(made, name, array)
    return made


def point(made: Any, name: str, array: Any) -> None:
    """Put an array in the place of the one of that name, which no kernel may be using."""
    if not _flags(array).c_contiguous or array.ndim != 1:
        raise TypeError(f"{name}: a world holds 1-D contiguous arrays")
    at, words = _memory(array).data, np.ndarray.view(made, np.ndarray)
    words[name], words[name + "_n"] = at, _length(array)
    if BUILD == "off":
        _ARRAYS[at] = array


class Entry:
    """A kernel that Python can call, and kernels by its symbol. Arguments are 1-D arrays of the declared dtypes, or integers."""

    def __init__(self, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
        self.py_func = function
        self.arguments = tuple(arguments)
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.label = f"{function.__module__}.{function.__qualname__}"
        self._inner: Any = None
        self._caller: Any = None
        self._address = 0
        self._native: Any = None
        self._sizes = [0 if argument in SCALARS else np.dtype(argument).itemsize for argument in self.arguments]     # of an item of an array; 0: a number
        ENTRIES[self.label] = self

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
                from dpi.native import the_cache

                self._address, = the_cache().addresses([self.label])
        return self._address

    def caller(self) -> Any:
        """The numba intrinsic for kernels that call this entry."""
        if self._caller is None:
            from dpi.compilation import call_of

            self._caller = call_of(self)
        return self._caller

    def _bind(self) -> Any:
        kinds: list[Any] = []
        for argument in self.arguments:
            kinds += [SCALARS[argument]] if argument in SCALARS else [ctypes.c_void_p, ctypes.c_int64]
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
        for k, (size, value) in enumerate(zip(self._sizes, args, strict=True)):
            if not size:
                flat.append(int(value))
            elif _kind(value).itemsize != size or not _flags(value).c_contiguous:
                raise TypeError(f"{self.label}: an array of {self.arguments[k]} was expected, got {value.dtype}")
            else:
                flat += [_memory(value).data, _length(value)]
        return flat

    def __call__(self, *args: Any) -> int:
        if BUILD == "off":
            return int(self.py_func(*args) or 0)
        native = self._native or self._bind()
        flat = self._flatten(args)
        return _checked(native, flat) if BUILD == "checked" else int(native(*flat))


ENTRIES: dict[str, Entry] = {}
_PLAIN: list[Entry] = []


def plain_call(address: int, *args: Any) -> int:
    """What calling an address means when the JIT is off."""
    return int(_PLAIN[int(address) - 1].py_func(*args) or 0)


class _Caught(threading.local):
    """What failed in kernels that this thread has called."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []


_CAUGHT = _Caught()
_HOOK = threading.RLock()
_HOOKED: list[Any] = []         # one for each checked kernel that runs: the hook that was there before the first


def _checked(native: Any, flat: Sequence[Any]) -> int:
    """Call a checked kernel; numba reports a failed check as unraisable, here it is raised."""
    with _HOOK:
        if not _HOOKED:
            sys.unraisablehook, before = (lambda report: _CAUGHT.errors.append(report.exc_value or RuntimeError("kernel failed"))), sys.unraisablehook
        else:
            before = _HOOKED[0]
        _HOOKED.append(before)
    try:
        result = int(native(*flat))
    finally:
        with _HOOK:
            if not _HOOKED[1:]:
                sys.unraisablehook = _HOOKED[0]
            _HOOKED.pop()
    caught, _CAUGHT.errors = _CAUGHT.errors, []
    if caught:
        raise caught[0]
    return result


def entry(*arguments: Any) -> Callable[[Callable[..., Any]], Entry]:
    """Declare a kernel that Python calls: numpy dtypes for arrays, I64 or U64 for integers. It returns an int64."""
    return lambda function: Entry(function, arguments)
