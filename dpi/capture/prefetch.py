"""Ask the processor for a cache line before it is needed."""
from __future__ import annotations

from typing import Any

from dpi.jit import intrinsic


def _plain(data: Any, position: Any) -> None:
    """What a prefetch means without a compiler: nothing."""


def _line(octets: int) -> Any:
    """A maker of the prefetch of the line `octets` bytes into an element."""
    def make() -> Any:
        from llvmlite import ir  # type: ignore[import-untyped]
        from numba.core import types
        from numba.extending import intrinsic as numba_intrinsic

        @numba_intrinsic
        def prefetch(typing_context: Any, data: Any, position: Any) -> Any:
            def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
                array = context.make_array(signature.args[0])(context, builder, arguments[0])
                address = builder.bitcast(builder.gep(array.data, [arguments[1]]), ir.IntType(8).as_pointer())
                address = builder.gep(address, [ir.IntType(64)(octets)])
                word = ir.IntType(32)
                kind = ir.FunctionType(ir.VoidType(), [address.type, word, word, word])
                function = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
                builder.call(function, [address, word(0), word(3), word(1)])    # for reading, keep in all levels, data cache
                return context.get_dummy_value()
            return types.void(data, position), code
        return prefetch
    return make


#: Called in kernels as `prefetch(data, position)`: data any array, position any integer (of an element); `prefetch_second`, `_third`
#: and `_fourth` ask for further lines of the element. The position need not lie inside the array: a prefetch of an address that is not mapped is ignored by the
#: processor, never a fault.
prefetch: Any = intrinsic(_plain)(_line(0))
prefetch_second: Any = intrinsic(_plain)(_line(64))
prefetch_third: Any = intrinsic(_plain)(_line(128))
prefetch_fourth: Any = intrinsic(_plain)(_line(192))
