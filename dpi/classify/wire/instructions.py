"""Which processor instructions kernels may use, and the LLVM pieces that reach them.

Only used while a kernel is being compiled, so nothing here is imported when the cache is warm. The cache's key holds the processor's flags:
an object compiled with these instructions is never loaded on a machine without them.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def has(*names: str) -> bool:
    """True if this processor has all the named LLVM features ("aes", "pclmul", "sha", "ssse3") and numba may use them."""
    import platform

    import llvmlite.binding as llvm
    from numba.core import config

    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    if config.CPU_NAME is not None or config.CPU_FEATURES is not None:
        return False    # somebody asked for the code of another processor
    try:
        features = llvm.get_host_cpu_features()
    except RuntimeError:
        return False
    return all(features.get(name, False) for name in names)


def call(builder: Any, name: str, arguments: Sequence[Any], result: Any) -> Any:
    """Call the LLVM intrinsic `name`, declaring it in the builder's module if need be."""
    from llvmlite import ir

    module = builder.module
    function = module.globals.get(name)
    if function is None:
        function = ir.Function(module, ir.FunctionType(result, [a.type for a in arguments]), name)
    return builder.call(function, list(arguments))


def shuffle(builder: Any, left: Any, right: Any, lanes: Sequence[int]) -> Any:
    """The vector of the numbered lanes of left and right together."""
    from llvmlite import ir

    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), [ir.Constant(ir.IntType(32), k) for k in lanes])
    return builder.shuffle_vector(left, right, mask)


def item(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """The address of array[index], unchecked."""
    made = context.make_array(array_type)(context, builder, array)
    return builder.gep(made.data, [index])


def load(builder: Any, pointer: Any, kind: Any) -> Any:
    """A vector read from any address."""
    value = builder.load(builder.bitcast(pointer, kind.as_pointer()))
    value.align = 1
    return value


def store(builder: Any, value: Any, pointer: Any) -> None:
    """A vector written to any address."""
    done = builder.store(value, builder.bitcast(pointer, value.type.as_pointer()))
    done.align = 1
