"""How numba compiles kernels: a short list of passes, one optimisation and one native object for each entry.

numba as it comes treats every function as one that Python may call: each kernel is optimised, linked with what it calls and made native, then
again inside each caller. Only the entries are ever called, so here the inner kernels stay LLVM code until the entry above them is complete.
With that, and without the passes that kernels do not need, a cold compile takes half the processor time.

All of it leans on the inside of one numba release, which setup.py pins. Nothing here is imported when the cache is warm.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numba import carray, from_dtype, njit
from numba.core import codegen, compiler, sigutils, typed_passes, types, untyped_passes
from numba.core.ccallback import CFunc
from numba.core.compiler_machinery import PassManager
from numba.core.dispatcher import Dispatcher
from numba.core.registry import cpu_target
from numba.core.types.functions import BaseFunction
from numba.extending import intrinsic, typeof_impl
from numba.np import arrayobj

from dpi.jit import BUILD, ENTRIES, I64, SCALARS, Entry, Intrinsic, Kernel

CHECKED = BUILD == "checked"


class Passes(PassManager):
    """A list of passes; numba's own checks between them (a quarter of their time) are left out."""
    _ENFORCING = False


class KernelCompiler(compiler.CompilerBase):
    """The passes a kernel needs. Closures, with-blocks, literal unrolling, array expressions and parallel loops are not kernel code."""

    PASSES = (untyped_passes.TranslateByteCode, untyped_passes.FixupArgs, untyped_passes.IRProcessing, untyped_passes.RewriteSemanticConstants,
              untyped_passes.DeadBranchPrune, untyped_passes.GenericRewrites, untyped_passes.ReconstructSSA, typed_passes.NopythonTypeInference,
              typed_passes.PreLowerStripPhis, typed_passes.IRLegalization, typed_passes.NativeLowering, typed_passes.NoPythonBackend)

    def define_pipelines(self) -> list[Passes]:
        """One pipeline, as numba asks for it."""
        passes = Passes("kernel")
        for one in self.PASSES:
            passes.add_pass(one, one.__name__)
        passes.finalize()
        return [passes]


class Unlinked(codegen.JITCodeLibrary):
    """The code of one kernel: simplified, neither linked with what it calls nor made native until `native` is called on an entry's."""

    def _optimize_functions(self, module: Any) -> None:
        """Simplify before linking, which is cheaper than after it."""
        module.data_layout = self._codegen._data_layout
        own = [function for function in module.functions if not function.is_declaration]
        if own:
            passes, builder = self._codegen._function_pass_manager(opt=1)
            for function in own:
                passes.run(function, builder)

    def finalize(self) -> None:
        """Nothing more can be added; nothing is done yet."""
        self._raise_if_finalized()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """None is native."""
        self._ensure_finalized()
        return 0

    def _get_module_for_linking(self) -> Any:
        """This kernel with all it calls, for numba's own libraries: those of kernels that tests call from Python."""
        whole = super()._get_module_for_linking().clone()
        self._link_all(whole)
        return whole

    def _link_all(self, module: Any) -> None:
        """Put in the module what is called from here, each kernel once."""
        seen, todo = {id(self)}, list(self._linking_libraries)
        while todo:
            library = todo.pop()
            if id(library) in seen:
                continue
            seen.add(id(library))
            if isinstance(library, Unlinked):
                todo += library._linking_libraries
                module.link_in(super(Unlinked, library)._get_module_for_linking(), preserve=True)
            else:
                module.link_in(library._get_module_for_linking(), preserve=True)

    def native(self, function: str, label: str) -> tuple[bytes, list[str]]:
        """The object code of this kernel and all it calls, with `function` under the name `label`; and the labels of the entries it calls."""
        self._ensure_finalized()
        module = self._final_module
        self._link_all(module)
        module.get_function(function).name = label
        for inner in module.functions:
            if not inner.is_declaration and inner.name != label:
                inner.linkage = "internal"          # nobody else calls it: what its only caller does not need goes, and mostly the call itself
        passes, builder = self._codegen._module_pass_manager()
        passes.run(module, builder)
        module.verify()
        return self._codegen._tm.emit_object(module), [one.name for one in module.functions if one.is_declaration and one.name in ENTRIES]


@contextmanager
def _unlinked() -> Iterator[None]:
    """While this lasts, numba keeps what it compiles as `Unlinked`."""
    _know()
    ours = cpu_target.target_context.codegen()
    ours._library_class, ours.set_env = Unlinked, lambda name, environment: None
    try:
        yield
    finally:
        del ours._library_class, ours.set_env


def dispatcher(kernel: Kernel) -> Any:
    """The numba dispatcher of an inner kernel, for kernels that call it."""
    _know()
    made = njit(nogil=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy", boundscheck=CHECKED,
                pipeline_class=KernelCompiler)(kernel.py_func)
    resolve = made.get_call_template

    def plain(args: Any, kws: Any) -> Any:
        """Compile once for all constants an argument can be: LLVM carries constants into calls by itself."""
        return resolve(tuple(types.unliteral(a) for a in args), {k: types.unliteral(a) for k, a in kws.items()})

    made.get_call_template = plain
    return made


def callable_from_python(kernel: Kernel) -> Any:
    """An inner kernel as numba makes it for Python, for tests."""
    _know()
    return njit(nogil=True, error_model="numpy", boundscheck=CHECKED)(kernel.py_func)


def compile_entry(entry: Entry) -> tuple[bytes, list[str]]:
    """The object code of an entry, compiled now, whose symbol is its label; and the labels of the entries it calls."""
    parameters: list[str] = []
    arguments: list[str] = []
    kinds: list[Any] = []
    for i, argument in enumerate(entry.arguments):
        if argument in SCALARS:
            parameters.append(f"s{i}")
            arguments.append(f"s{i}")
            kinds.append(_scalar(argument))
        else:
            parameters += [f"p{i}", f"n{i}"]
            arguments.append(f"carray(p{i}, n{i})")
            kinds += [types.CPointer(from_dtype(np.dtype(argument))), types.int64]
    source = f"def wrapper({', '.join(parameters)}):\n    return function({', '.join(arguments)})\n"
    names: dict[str, Any] = {"carray": carray, "function": entry.inner()}
    exec(compile(source, f"<{entry.label}>", "exec"), names)      # the wrapper is generated from the declared signature
    with _unlinked():
        made = CFunc(names["wrapper"], sigutils.normalize_signature(types.int64(*kinds)), locals={}, pipeline_class=KernelCompiler,
                     options={"nopython": True, "nogil": True, "error_model": "numpy", "boundscheck": CHECKED})
        made.compile()
        native: tuple[bytes, list[str]] = made._library.native(made._wrapper_name, entry.label)
    return native


def call_of(entry: Entry) -> Any:
    """The numba intrinsic that calls another entry by its symbol: its own object holds it, and whoever loads the caller's loads both."""
    from llvmlite import ir

    def make(given: tuple[Any, ...]) -> Any:
        kinds: list[Any] = []
        for kind, argument in zip(given, entry.arguments, strict=True):
            if argument in SCALARS:
                kinds.append(_scalar(argument))
            elif isinstance(kind, types.Array) and kind.ndim == 1 and kind.layout == "C" and kind.dtype == from_dtype(np.dtype(argument)):
                kinds.append(kind)
            else:
                return None

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            byte, word = ir.IntType(8).as_pointer(), ir.IntType(64)
            flat: list[Any] = []
            for kind, value in zip(signature.args, args, strict=True):
                if isinstance(kind, types.Array):
                    array = context.make_array(kind)(context, builder, value)
                    flat += [builder.bitcast(array.data, byte), array.nitems]
                else:
                    flat.append(value)
            function = builder.module.globals.get(entry.label)
            if function is None:
                function = ir.Function(builder.module, ir.FunctionType(word, [one.type for one in flat]), entry.label)
            return builder.call(function, flat)

        return types.int64(*kinds), generate

    names = ", ".join(f"a{i}" for i in range(len(entry.arguments)))
    scope: dict[str, Any] = {"make": make}
    exec(compile(f"def call(typing_context, {names}):\n    return make(({names},))\n", f"<{entry.label}>", "exec"), scope)
    return intrinsic(scope["call"])


def _scalar(argument: str) -> Any:
    return types.int64 if argument == I64 else types.uint64


def _remember_operators() -> None:
    """Look up once what an operator or function of numbers gives; numba goes through all its overloads at each place (a tenth of the time)."""
    resolve: Callable[..., Any] = BaseFunction.get_call_type
    known: dict[Any, tuple[Any, Any]] = {}

    def get_call_type(self: Any, context: Any, args: Any, kws: Any) -> Any:
        if kws or not all(isinstance(kind, types.Number | types.Boolean) for kind in args):
            return resolve(self, context, args, kws)
        key = (id(self), args)
        if key not in known:
            known[key] = resolve(self, context, args, kws), self        # self is kept, so that its id stays its own
        return known[key][0]

    BaseFunction.get_call_type = get_call_type


def _count_from_the_front() -> None:
    """An index is what it is: numba lets a negative one count from the end, which costs three instructions an access and keeps loops from becoming
    vector code. No kernel has one; where every index is checked, a negative one fails."""
    def index(context: Any, builder: Any, kind: Any, value: Any, _size: Any) -> Any:
        return context.cast(builder, value, kind, types.intp if kind.signed else types.uintp)

    arrayobj.fix_integer_index = index


_known = False


def _know() -> None:
    """Let numba see a Kernel, Intrinsic or Entry held in a module's global as what it compiles them to."""
    global _known
    if _known:
        return
    _known = True
    _remember_operators()
    _count_from_the_front()

    @typeof_impl.register(Kernel)
    def _of_kernel(value: Kernel, context: Any) -> Any:
        return types.Dispatcher(value.dispatcher())

    def seen(inner: Any) -> Any:
        """An intrinsic is known by a table of globals, not by typeof. One that this processor does without is a kernel."""
        if isinstance(inner, Dispatcher):
            return types.Dispatcher(inner)
        typing_context = cpu_target.typing_context
        if typing_context._lookup_global(inner) is None:
            typing_context.refresh()
        return typing_context._lookup_global(inner)

    @typeof_impl.register(Intrinsic)
    def _of_intrinsic(value: Intrinsic, context: Any) -> Any:
        return seen(value.dispatcher())

    @typeof_impl.register(Entry)
    def _of_entry(value: Entry, context: Any) -> Any:
        return seen(value.caller())
