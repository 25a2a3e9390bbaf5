"""Numbers out of wire bytes, in network order or a capture's own.

In the fast build each is one load (and a byte swap) at data + index: the caller has checked index and length. The `checked` build and the
one without JIT read byte by byte through bounds-checked indexing, so that a missing check is an IndexError there.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.jit import BUILD, intrinsic, kernel


def _octet(data: Any, index: int) -> Any:
    # in plain Python a negative index would count from the end: make it as bad as one past the end
    return np.int64(data[index if index >= 0 else data.size])


def _be16(data: Any, index: int) -> Any:
    return (octet(data, index) << 8) | octet(data, index + 1)


def _be32(data: Any, index: int) -> Any:
    return (be16(data, index) << 16) | be16(data, index + 2)


def _be64(data: Any, index: int) -> Any:
    return (np.uint64(be32(data, index)) << np.uint64(32)) | np.uint64(be32(data, index + 4))


def _place16(data: Any, index: int, value: int) -> Any:
    for i in range(16):
        if octet(data, index + i) == value:
            return np.int64(i)
    return np.int64(16)


def _make_place16() -> Any:
    """A maker of the comparison of sixteen bytes at once."""
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic as numba_intrinsic

    @numba_intrinsic
    def place(typing_context: Any, data: Any, index: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, args[0])
            address = builder.gep(builder.bitcast(array.data, ir.IntType(8).as_pointer()), [args[1]])
            sixteen, word = ir.VectorType(ir.IntType(8), 16), ir.IntType(32)
            seen = builder.load(builder.bitcast(address, sixteen.as_pointer()))
            seen.align = 1
            one = builder.insert_element(ir.Constant(sixteen, ir.Undefined), builder.trunc(args[2], ir.IntType(8)), ir.Constant(word, 0))
            all_of_it = builder.shuffle_vector(one, ir.Constant(sixteen, ir.Undefined), ir.Constant(ir.VectorType(word, 16), [0] * 16))
            equal = builder.bitcast(builder.icmp_unsigned("==", seen, all_of_it), ir.IntType(16))
            bits = builder.or_(builder.zext(equal, word), word(1 << 16))        # a bit beyond stands for none
            return builder.zext(builder.cttz(bits, ir.IntType(1)(1)), ir.IntType(64))
        return types.int64(data, types.int64, types.int64), generate
    return place


def _copy8(out: Any, to: int, data: Any, index: int) -> Any:
    value = np.uint64(0)
    for i in range(8):
        one = octet(data, index + i)
        out[to + i if to >= 0 else out.size] = np.uint8(one)
        value |= np.uint64(one) << np.uint64(8 * i)
    return value


def _make_copy8() -> Any:
    """A maker of the copy of eight bytes at once."""
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic as numba_intrinsic

    @numba_intrinsic
    def copy(typing_context: Any, out: Any, to: Any, data: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            octets, word = ir.IntType(8).as_pointer(), ir.IntType(64).as_pointer()
            target, source = (builder.bitcast(builder.gep(builder.bitcast(context.make_array(signature.args[at])(context, builder, args[at]).data, octets),
                                                          [args[at + 1]]), word) for at in (0, 2))
            value = builder.load(source)
            value.align = 1
            builder.store(value, target).align = 1
            return value
        return types.uint64(out, types.int64, data, types.int64), generate
    return copy


def _le16(data: Any, index: int) -> Any:
    return (octet(data, index + 1) << 8) | octet(data, index)


def _le32(data: Any, index: int) -> Any:
    return (le16(data, index + 2) << 16) | le16(data, index)


def _make(bits: int, little: bool = False) -> Any:
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
                if bits > 8 and not little:
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
    #: the same in the order of little-endian writers
    le16: Any = intrinsic(_le16)(_make(16, True))
    le32: Any = intrinsic(_le32)(_make(32, True))
    #: `place16(data, index, value) -> int64`: which of the sixteen bytes from `index` on is the first that is `value`, 16 where none is
    place16: Any = intrinsic(_place16)(_make_place16)
    #: `copy8(out, to, data, index) -> uint64`: eight bytes from `index` on to `out[to]` on, and the number that they are, the first the lowest
    copy8: Any = intrinsic(_copy8)(_make_copy8)
else:
    octet, be16, be32, be64, place16 = kernel(_octet), kernel(_be16), kernel(_be32), kernel(_be64), kernel(_place16)
    le16, le32, copy8 = kernel(_le16), kernel(_le32), kernel(_copy8)
