"""SHA-256 (FIPS 180-4), with the processor's SHA instructions where it has them: about 60 ns a block against 350.

A state is uint32[8] (a..h). Callers give whole ranges; digests are written as 32 big-endian bytes.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.wire.scratch import scratch_bytes, scratch_words
from dpi.jit import intrinsic, kernel

Array = np.ndarray[Any, Any]


def _roots(power: float, count: int) -> list[int]:
    """The first 32 fractional bits of prime ** power for the first primes."""
    primes = [p for p in range(2, 312) if all(p % q for q in range(2, int(p ** 0.5) + 1))][:count]
    scale = 1 << 32
    out = []
    for p in primes:
        root = round(p ** power * scale)
        grade = 2 if power == 0.5 else 3
        while root ** grade > p << (32 * grade):    # settle the last bit exactly
            root -= 1
        while (root + 1) ** grade <= p << (32 * grade):
            root += 1
        out.append(root % scale)
    return out


START = np.array(_roots(0.5, 8), np.uint32)
ROUNDS = np.array(_roots(1 / 3, 64), np.uint32)


def _plain_block(state: Array, data: Array, at: int) -> int:
    """One block: state is changed by data[at:at + 64], which must exist."""
    w = scratch_words(64)
    for i in range(16):
        k = at + 4 * i
        w[i] = np.int64(data[k]) << 24 | np.int64(data[k + 1]) << 16 | np.int64(data[k + 2]) << 8 | np.int64(data[k + 3])
    for i in range(16, 64):
        x = np.int64(w[i - 15])
        y = np.int64(w[i - 2])
        x = (x >> 7 | x << 25) ^ (x >> 18 | x << 14) ^ x >> 3
        y = (y >> 17 | y << 15) ^ (y >> 19 | y << 13) ^ y >> 10
        w[i] = ((x & 0xFFFFFFFF) + (y & 0xFFFFFFFF) + np.int64(w[i - 16]) + np.int64(w[i - 7])) & 0xFFFFFFFF
    a = np.int64(state[0])
    b = np.int64(state[1])
    c = np.int64(state[2])
    d = np.int64(state[3])
    e = np.int64(state[4])
    f = np.int64(state[5])
    g = np.int64(state[6])
    h = np.int64(state[7])
    for i in range(64):
        s1 = ((e >> 6 | e << 26) ^ (e >> 11 | e << 21) ^ (e >> 25 | e << 7)) & 0xFFFFFFFF
        one = h + s1 + (e & f ^ (e ^ 0xFFFFFFFF) & g) + np.int64(ROUNDS[i]) + np.int64(w[i])
        s0 = ((a >> 2 | a << 30) ^ (a >> 13 | a << 19) ^ (a >> 22 | a << 10)) & 0xFFFFFFFF
        two = s0 + (a & b ^ a & c ^ b & c)
        h = g
        g = f
        f = e
        e = (d + one) & 0xFFFFFFFF
        d = c
        c = b
        b = a
        a = (one + two) & 0xFFFFFFFF
    state[0] = (np.int64(state[0]) + a) & 0xFFFFFFFF
    state[1] = (np.int64(state[1]) + b) & 0xFFFFFFFF
    state[2] = (np.int64(state[2]) + c) & 0xFFFFFFFF
    state[3] = (np.int64(state[3]) + d) & 0xFFFFFFFF
    state[4] = (np.int64(state[4]) + e) & 0xFFFFFFFF
    state[5] = (np.int64(state[5]) + f) & 0xFFFFFFFF
    state[6] = (np.int64(state[6]) + g) & 0xFFFFFFFF
    state[7] = (np.int64(state[7]) + h) & 0xFFFFFFFF
    return 0


@intrinsic(_plain_block)
def _block() -> Any:
    from dpi.classify.wire import instructions as asm

    if not asm.has("sha", "ssse3", "sse4.1"):
        from dpi.jit import Kernel
        return Kernel(_plain_block).dispatcher()

    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic as numba_intrinsic

    four = ir.VectorType(ir.IntType(32), 4)
    byte, word = ir.IntType(8).as_pointer(), ir.IntType(64)

    def body(module: Any) -> Any:
        """The block as a function of its own. These instructions have no AVX form: were they mixed with a caller's wide vectors, each of them
        would wait for the upper halves, tenfold in all. So it is never inlined, and clears the halves first."""
        name = "fullspan.sha256.block"
        function = module.globals.get(name)
        if function is not None:
            return function
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), [byte, byte]), name)
        function.linkage = "linkonce_odr"
        function.attributes.add("noinline")
        builder = ir.IRBuilder(function.append_basic_block())
        start, source = function.args
        half = builder.gep(start, [ir.Constant(word, 16)])
        if asm.has("avx"):
            asm.call(builder, "llvm.x86.avx.vzeroupper", [], ir.VoidType())
        low, high = asm.load(builder, start, four), asm.load(builder, half, four)
        s0 = asm.shuffle(builder, low, high, (5, 4, 1, 0))      # the instructions want f e b a and h g d c
        s1 = asm.shuffle(builder, low, high, (7, 6, 3, 2))
        first0, first1 = s0, s1
        w: list[Any] = []
        for k in range(16):
            if k < 4:
                raw = asm.load(builder, builder.gep(source, [ir.Constant(word, 16 * k)]), four)
                w.append(asm.call(builder, "llvm.bswap.v4i32", [raw], four))
            else:
                sums = builder.add(asm.call(builder, "llvm.x86.sha256msg1", [w[k - 4], w[k - 3]], four),
                                   asm.shuffle(builder, w[k - 2], w[k - 1], (1, 2, 3, 4)))
                w.append(asm.call(builder, "llvm.x86.sha256msg2", [sums, w[k - 1]], four))
            constants = ir.Constant(four, [ir.Constant(ir.IntType(32), int(v)) for v in ROUNDS[4 * k:4 * k + 4]])
            message = builder.add(w[k], constants)
            s1 = asm.call(builder, "llvm.x86.sha256rnds2", [s1, s0, message], four)
            message = asm.shuffle(builder, message, message, (2, 3, 2, 3))
            s0 = asm.call(builder, "llvm.x86.sha256rnds2", [s0, s1, message], four)
        s0, s1 = builder.add(s0, first0), builder.add(s1, first1)
        asm.store(builder, asm.shuffle(builder, s0, s1, (3, 2, 7, 6)), start)
        asm.store(builder, asm.shuffle(builder, s0, s1, (1, 0, 5, 4)), half)
        builder.ret_void()
        return function

    @numba_intrinsic
    def block(typing: Any, state: Any, data: Any, at: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            start = asm.item(context, builder, signature.args[0], args[0], ir.Constant(word, 0))
            source = asm.item(context, builder, signature.args[1], args[1], args[2])
            builder.call(body(builder.module), [builder.bitcast(start, byte), source])
            return ir.Constant(word, 0)

        return types.int64(state, data, types.int64), generate

    return block


@kernel
def absorb(state: Array, data: Array, at: int) -> None:
    """Change the state by the block data[at:at + 64]; nothing happens where the block does not exist."""
    if at >= 0 and at + 64 <= data.size and state.size >= 8:
        _block(state, data, at)


@kernel
def begin(state: Array) -> None:
    """The state before the first block."""
    for i in range(8):
        state[i] = START[i]


@kernel
def finish(state: Array, data: Array, start: int, stop: int, total: int, out: Array, at: int) -> None:
    """Absorb the rest data[start:stop] of a message of `total` bytes in all, pad, and write the digest to out[at:at + 32]."""
    while stop - start >= 64:
        absorb(state, data, start)
        start += 64
    last = scratch_bytes(128)
    rest = stop - start
    for i in range(128):
        last[i] = 0
    for i in range(rest):
        last[i] = data[start + i]
    last[rest] = 0x80
    end = 64 if rest < 56 else 128
    bits = total * 8
    for i in range(8):
        last[end - 1 - i] = bits >> (8 * i) & 0xFF
    absorb(state, last, 0)
    if end == 128:
        absorb(state, last, 64)
    for i in range(8):
        value = np.int64(state[i])
        out[at + 4 * i] = value >> 24
        out[at + 4 * i + 1] = value >> 16 & 0xFF
        out[at + 4 * i + 2] = value >> 8 & 0xFF
        out[at + 4 * i + 3] = value & 0xFF


@kernel
def sha256(data: Array, start: int, stop: int, out: Array, at: int) -> None:
    """Write the digest of data[start:stop] to out[at:at + 32] (uint8). Nothing happens where a range lies outside its array."""
    if start < 0 or stop > data.size or stop < start or at < 0 or at + 32 > out.size:
        return
    state = scratch_words(8)
    begin(state)
    finish(state, data, start, stop, stop - start, out, at)
