"""Calling a parser through its address, so that what calls is not recompiled when a protocol changes."""
from __future__ import annotations

from typing import Any

from dpi.jit import intrinsic, plain_call


@intrinsic(plain_call)
def call_parser() -> Any:
    """call_parser(address u64, data, inspection, facts, outbox, memory) -> int64. The address is trusted: it comes from `Entry.address`."""
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic as numba_intrinsic

    @numba_intrinsic  # type: ignore[untyped-decorator]
    def call(typingctx: Any, address: Any, data: Any, inspection: Any, facts: Any, outbox: Any, memory: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            byte = ir.IntType(8).as_pointer()
            word = ir.IntType(64)
            flat = []
            for kind, value in zip(signature.args[1:], args[1:], strict=True):
                array = context.make_array(kind)(context, builder, value)
                flat += [builder.bitcast(array.data, byte), array.nitems]
            function = ir.FunctionType(word, [byte, word] * 5)
            return builder.call(builder.inttoptr(args[0], function.as_pointer()), flat)

        return types.int64(address, data, inspection, facts, outbox, memory), codegen

    return call
