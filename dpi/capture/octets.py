"""Numbers out of wire bytes, in network order.

In the fast build each is one load (and a byte swap) at data + index: the caller has checked index and length. The `checked` build and the
one without JIT read byte by byte through bounds-checked indexing, so that a missing check is an IndexError there.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.jit import BUILD, intrinsic, kernel


def _octet(data: Any, index: int) -> Any:
    # a negative index would count from the end: make it as bad as one past the end
    return np.int64(data[index if index >= 0 else data.size])


def _be16(data: Any, index: int) -> Any:
    return (octet(data, index) << 8) | octet(data, index + 1)


def _be32(data: Any, index: int) -> Any:
    return (be16(data, index) << 16) | be16(data, index + 2)


def _be64(data: Any, index: int) -> Any:
    return (np.uint64(be32(data, index)) << np.uint64(32)) | np.uint64(be32(data, index + 4))


def _make(bits: int) -> Any:
    """A maker of the raw load of `bits` bits: int64 (uint64 for 64 bits)."""
    def make() -> Any:
        from llvmlite import ir
        from numba.core import types
        from numba.extending import intrinsic as numba_intrinsic

        result = types.uint64 if bits == 64 else types.int64

        @numba_intrinsic
        def load(typing_context: Any, data: Any, index: Any) -> Any:
            def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                array = context.make_array(signature.args[0])(context, builder, args[0])
                address = builder.gep(builder.bitcast(array.data, ir.IntType(8).as_pointer()), [args[1]])
                value = builder.load(builder.bitcast(address, ir.IntType(bits).as_pointer()))
                value.align = 1
                if bits > 8:
                    value = builder.bswap(value)
                return value if bits == 64 else builder.zext(value, ir.IntType(64))
            return result(data, types.int64), generate
        return load
    return make


if BUILD == "on":
    #: `octet(data uint8[n], index int64) -> int64`, and the same for two, four and eight bytes (`be64` gives uint64)
    octet: Any = intrinsic(_octet)(_make(8))
    be16: Any = intrinsic(_be16)(_make(16))
    be32: Any = intrinsic(_be32)(_make(32))
    be64: Any = intrinsic(_be64)(_make(64))
else:
    octet, be16, be32, be64 = kernel(_octet), kernel(_be16), kernel(_be32), kernel(_be64)
