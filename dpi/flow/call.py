"""Telling the layer above that a flow ends, through an address: what counts flows knows nothing of what names them."""
from __future__ import annotations

from typing import Any

from dpi.jit import intrinsic, plain_call


@intrinsic(lambda address, w, number: plain_call(address, [w], number))
def call_ending() -> Any:
    """`call_ending(address, w, number) -> int64`: an entry of (world, flow number) at that address, which is trusted (SHARD.ending)."""
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic as numba_intrinsic

    @numba_intrinsic
    def call(typing_context: Any, address: Any, w: Any, number: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            byte, word = ir.IntType(8).as_pointer(), ir.IntType(64)
            function = ir.FunctionType(word, [byte, word, word])
            return builder.call(builder.inttoptr(args[0], function.as_pointer()), [builder.bitcast(args[1], byte), word(1), args[2]])
        return types.int64(types.uint64, w, types.int64), generate
    return call
