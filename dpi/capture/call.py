"""Calling the long way of the decoder through its address, so that its many layers are not compiled again within every caller."""
from __future__ import annotations

from typing import Any

from dpi.jit import intrinsic, plain_call


@intrinsic(plain_call)
def call_any() -> Any:
    """`call_any(address, data, frames, number, packets, place, fragments, seed, decoder) -> int64`: `decode_any` at that address.

    The address (uint64) is trusted: it comes from `Entry.address` by way of DECODER.any_way.
    """
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic as numba_intrinsic

    @numba_intrinsic
    def call(typing_context: Any, address: Any, data: Any, frames: Any, number: Any, packets: Any, place: Any, fragments: Any, seed: Any,
             decoder: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            byte = ir.IntType(8).as_pointer()
            word = ir.IntType(64)
            flat: list[Any] = []
            for kind, value in zip(signature.args[1:], args[1:], strict=True):
                if isinstance(kind, types.Array):
                    array = context.make_array(kind)(context, builder, value)
                    flat += [builder.bitcast(array.data, byte), array.nitems]
                else:
                    flat.append(value)
            function = ir.FunctionType(word, [one.type for one in flat])
            return builder.call(builder.inttoptr(args[0], function.as_pointer()), flat)
        return types.int64(types.uint64, data, frames, types.int64, packets, types.int64, fragments, seed, decoder), generate
    return call
