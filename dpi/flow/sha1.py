"""SHA-1 (FIPS 180-4 section 6.1) of sixteen one-block messages side by side: each step is done for all of them in one vector."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.jit import intrinsic

LANES = 16
START = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)
STEPS = (0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6)        # for twenty rounds each
_MASK = 0xFFFFFFFF


def _turned(word: int, bits: int) -> int:
    return (word << bits | word >> (32 - bits)) & _MASK


def _plain(blocks: Any, digests: Any) -> int:
    for lane in range(LANES):
        words = [int(blocks[LANES * i + lane]) for i in range(16)]
        for i in range(16, 80):
            words.append(_turned(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1))
        a, b, c, d, e = START
        for i in range(80):
            f = (d ^ b & (c ^ d), b ^ c ^ d, b & c | d & (b | c), b ^ c ^ d)[i // 20]
            a, b, c, d, e = (f + STEPS[i // 20] + _turned(a, 5) + e + words[i]) & _MASK, a, _turned(b, 30), c, d
        for i, (start, word) in enumerate(zip(START, (a, b, c, d, e), strict=True)):
            digests[LANES * i + lane] = np.uint32((start + word) & _MASK)
    return 0


@intrinsic(_plain)
def sha1_blocks() -> Any:
    """`sha1_blocks(blocks, digests)`: blocks uint32[16 * LANES], word i of message k (padded) at LANES * i + k; digests uint32[5 * LANES] the same
    way. Sizes are not checked: both are arrays of the caller's own."""
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic as numba_intrinsic

    vector = ir.VectorType(ir.IntType(32), LANES)

    def every(value: int) -> Any:
        return ir.Constant(vector, [value] * LANES)

    @numba_intrinsic  # type: ignore[untyped-decorator]
    def blocks(typing_context: Any, blocks: Any, digests: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            def place(which: int, i: int) -> Any:
                array = context.make_array(signature.args[which])(context, builder, args[which])
                return builder.bitcast(builder.gep(array.data, [ir.Constant(ir.IntType(64), LANES * i)]), vector.as_pointer())

            def turned(word: Any, bits: int) -> Any:
                return builder.or_(builder.shl(word, every(bits)), builder.lshr(word, every(32 - bits)))

            def load(i: int) -> Any:
                value = builder.load(place(0, i))
                value.align = 4
                return value

            words = [load(i) for i in range(16)]
            state = [every(word) for word in START]
            a, b, c, d, e = state
            for i in range(80):
                if i >= 16:
                    mixed = builder.xor(builder.xor(words[-3], words[-8]), builder.xor(words[-14], words[-16]))
                    words = [*words[1:], turned(mixed, 1)]
                word = words[i] if i < 16 else words[-1]
                if i < 20:
                    f = builder.xor(d, builder.and_(b, builder.xor(c, d)))
                elif 40 <= i < 60:
                    f = builder.or_(builder.and_(b, c), builder.and_(d, builder.or_(b, c)))
                else:
                    f = builder.xor(b, builder.xor(c, d))
                sum_ = builder.add(builder.add(builder.add(f, every(STEPS[i // 20])), builder.add(word, e)), turned(a, 5))
                a, b, c, d, e = sum_, a, turned(b, 30), c, d
            for i, (start, word) in enumerate(zip(state, (a, b, c, d, e), strict=True)):
                done = builder.store(builder.add(start, word), place(1, i))
                done.align = 4
            return ir.Constant(ir.IntType(64), 0)
        return types.int64(blocks, digests), generate
    return blocks
