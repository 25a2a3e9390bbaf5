"""AES-128 encryption (FIPS 197): key schedule, single blocks, and eight counter blocks at once.

With the processor's AES instructions where it has them, else by table. A schedule is uint8[176]: eleven round keys of 16 bytes.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dpi.classify.wire.scratch import scratch_bytes
from dpi.jit import Kernel, intrinsic, kernel

Array = np.ndarray[Any, Any]


def _box() -> Array:
    """The S-box: inverse in GF(2^8), then the affine map."""
    box = np.zeros(256, np.uint8)
    p = q = 1
    while True:
        p = (p ^ p << 1 ^ (0x11B if p & 0x80 else 0)) & 0xFF    # p times 3
        q ^= q << 1                                             # q divided by 3
        q ^= q << 2
        q ^= q << 4
        q &= 0xFF
        if q & 0x80:
            q ^= 0x09
        box[p] = q ^ (q << 1 | q >> 7) & 0xFF ^ (q << 2 | q >> 6) & 0xFF ^ (q << 3 | q >> 5) & 0xFF ^ (q << 4 | q >> 4) & 0xFF ^ 0x63
        if p == 1:
            break
    box[0] = 0x63
    return box


BOX = _box()
TURNS = (1, 2, 4, 8, 16, 32, 64, 128, 27, 54)
TURN = np.array(TURNS, np.int64)


# ---------------------------------------------------------------- without the instructions

def _plain_expand(key: Array, at: int, schedule: Array) -> int:
    for i in range(16):
        schedule[i] = key[at + i]
    for r in range(10):
        p = 16 * r
        for i in range(4):
            word = np.int64(BOX[np.int64(schedule[p + 12 + (i + 1) % 4])])
            if i == 0:
                word ^= TURN[r]
            schedule[p + 16 + i] = np.int64(schedule[p + i]) ^ word
        for i in range(4, 16):
            schedule[p + 16 + i] = np.int64(schedule[p + i]) ^ np.int64(schedule[p + 12 + i])
    return 0


def _plain_encrypt(schedule: Array, source: Array, at: int, out: Array, to: int) -> int:
    one = scratch_bytes(16)
    two = scratch_bytes(16)
    for i in range(16):
        one[i] = np.int64(source[at + i]) ^ np.int64(schedule[i])
    for r in range(1, 11):
        for i in range(16):
            two[i] = BOX[np.int64(one[(i + 4 * (i % 4)) % 16])]     # bytes and rows in one step
        if r < 10:
            for c in range(0, 16, 4):
                every = np.int64(two[c]) ^ np.int64(two[c + 1]) ^ np.int64(two[c + 2]) ^ np.int64(two[c + 3])
                for i in range(4):
                    pair = np.int64(two[c + i]) ^ np.int64(two[c + (i + 1) % 4])
                    one[c + i] = np.int64(two[c + i]) ^ every ^ (pair << 1 ^ (pair >> 7) * 0x11B)
        else:
            for i in range(16):
                one[i] = two[i]
        for i in range(16):
            one[i] = np.int64(one[i]) ^ np.int64(schedule[16 * r + i])
    for i in range(16):
        out[to + i] = one[i]
    return 0


_portable_encrypt = kernel(_plain_encrypt)


def _plain_counter(schedule: Array, nonce: Array, counter: int, source: Array, at: int, out: Array, to: int) -> int:
    block = scratch_bytes(16)
    for k in range(8):
        for i in range(12):
            block[i] = nonce[i]
        for i in range(4):
            block[12 + i] = (counter + k) >> (24 - 8 * i) & 0xFF
        _portable_encrypt(schedule, block, 0, block, 0)
        for i in range(16):
            out[to + 16 * k + i] = np.int64(source[at + 16 * k + i]) ^ np.int64(block[i])
    return 0


# ---------------------------------------------------------------- with them

def _made(plain: Callable[..., Any], names: tuple[str, ...], generate: Callable[..., Any]) -> Any:
    """A numba intrinsic over `names` arguments, or the plain kernel where the processor lacks AES."""
    from dpi.classify.wire import instructions as asm

    if not asm.has("aes", "ssse3"):
        return Kernel(plain).dispatcher()
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic as numba_intrinsic

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        generate(asm, ir, context, builder, signature, args)
        return ir.Constant(ir.IntType(64), 0)

    lines = f"def {plain.__name__}(typing, {', '.join(names)}):\n    return signature(({', '.join(names)},)), emit\n"
    def signature(kinds: Sequence[Any]) -> Any:
        return types.int64(*(types.int64 if isinstance(k, types.Integer) else k for k in kinds))

    space: dict[str, Any] = {"emit": emit, "signature": signature}
    exec(compile(lines, __file__, "exec"), space)       # numba reads the argument names of an intrinsic from its definition
    return numba_intrinsic(space[plain.__name__])


def _round_keys(asm: Any, ir: Any, context: Any, builder: Any, kind: Any, schedule: Any) -> list[Any]:
    two = ir.VectorType(ir.IntType(64), 2)
    return [asm.load(builder, asm.item(context, builder, kind, schedule, ir.Constant(ir.IntType(64), 16 * k)), two) for k in range(11)]


@intrinsic(_plain_expand)
def _expand() -> Any:
    def generate(asm: Any, ir: Any, context: Any, builder: Any, signature: Any, args: Any) -> None:
        four, two = ir.VectorType(ir.IntType(32), 4), ir.VectorType(ir.IntType(64), 2)
        zero = ir.Constant(four, None)
        key = asm.load(builder, asm.item(context, builder, signature.args[0], args[0], args[1]), four)
        for r in range(11):
            asm.store(builder, key, asm.item(context, builder, signature.args[2], args[2], ir.Constant(ir.IntType(64), 16 * r)))
            if r < 10:
                made = asm.call(builder, "llvm.x86.aesni.aeskeygenassist", [builder.bitcast(key, two), ir.Constant(ir.IntType(8), TURNS[r])], two)
                last = asm.shuffle(builder, builder.bitcast(made, four), zero, (3, 3, 3, 3))
                for lanes in ((4, 0, 1, 2), (4, 4, 0, 1)):      # key ^ key << 32, then that ^ that << 64: every prefix sum
                    key = builder.xor(key, asm.shuffle(builder, key, zero, lanes))
                key = builder.xor(key, last)
    return _made(_plain_expand, ("key", "at", "schedule"), generate)


@intrinsic(_plain_encrypt)
def _encrypt() -> Any:
    def generate(asm: Any, ir: Any, context: Any, builder: Any, signature: Any, args: Any) -> None:
        two = ir.VectorType(ir.IntType(64), 2)
        keys = _round_keys(asm, ir, context, builder, signature.args[0], args[0])
        value = builder.xor(asm.load(builder, asm.item(context, builder, signature.args[1], args[1], args[2]), two), keys[0])
        for r in range(1, 11):
            value = asm.call(builder, "llvm.x86.aesni.aesenc" if r < 10 else "llvm.x86.aesni.aesenclast", [value, keys[r]], two)
        asm.store(builder, value, asm.item(context, builder, signature.args[3], args[3], args[4]))
    return _made(_plain_encrypt, ("schedule", "source", "at", "out", "to"), generate)


@intrinsic(_plain_counter)
def _counter() -> Any:
    def generate(asm: Any, ir: Any, context: Any, builder: Any, signature: Any, args: Any) -> None:
        four, two, word = ir.VectorType(ir.IntType(32), 4), ir.VectorType(ir.IntType(64), 2), ir.IntType(64)
        keys = _round_keys(asm, ir, context, builder, signature.args[0], args[0])
        nonce = asm.load(builder, asm.item(context, builder, signature.args[1], args[1], ir.Constant(word, 0)), four)
        blocks = []
        for k in range(8):
            count = builder.trunc(builder.add(args[2], ir.Constant(word, k)), ir.IntType(32))
            count = asm.call(builder, "llvm.bswap.i32", [count], ir.IntType(32))
            whole = builder.insert_element(nonce, count, ir.Constant(ir.IntType(32), 3))
            blocks.append(builder.xor(builder.bitcast(whole, two), keys[0]))
        for r in range(1, 11):
            name = "llvm.x86.aesni.aesenc" if r < 10 else "llvm.x86.aesni.aesenclast"
            blocks = [asm.call(builder, name, [value, keys[r]], two) for value in blocks]
        source = asm.item(context, builder, signature.args[3], args[3], args[4])
        out = asm.item(context, builder, signature.args[5], args[5], args[6])
        plain = [asm.load(builder, builder.gep(source, [ir.Constant(word, 16 * k)]), two) for k in range(8)]
        for k in range(8):
            asm.store(builder, builder.xor(plain[k], blocks[k]), builder.gep(out, [ir.Constant(word, 16 * k)]))
    return _made(_plain_counter, ("schedule", "nonce", "counter", "source", "at", "out", "to"), generate)


# ---------------------------------------------------------------- what others call

@kernel
def expand_key(key: Array, at: int, schedule: Array) -> None:
    """The schedule (uint8[176]) of the key key[at:at + 16]. Nothing happens where either is too short."""
    if at >= 0 and at + 16 <= key.size and schedule.size >= 176:
        _expand(key, at, schedule)


@kernel
def encrypt(schedule: Array, source: Array, at: int, out: Array, to: int) -> None:
    """out[to:to + 16] = AES(source[at:at + 16]); the two may be the same place. Nothing happens where a range does not exist."""
    if at >= 0 and at + 16 <= source.size and to >= 0 and to + 16 <= out.size and schedule.size >= 176:
        _encrypt(schedule, source, at, out, to)


@kernel
def counter_mode(schedule: Array, nonce: Array, counter: int, source: Array, start: int, stop: int, out: Array, to: int) -> None:
    """Encrypt or decrypt source[start:stop] into out[to:] with the blocks nonce[0:12] + counter, counter + 1, ... (big-endian, 32 bits).

    nonce is uint8[16] (the last four are not read). Nothing happens where a range does not exist.
    """
    if start < 0 or stop > source.size or to < 0 or to + stop - start > out.size or nonce.size < 16 or schedule.size < 176:
        return
    while stop - start >= 128:
        _counter(schedule, nonce, counter, source, start, out, to)
        counter += 8
        start += 128
        to += 128
    if start < stop:
        rest = stop - start
        part = scratch_bytes(128)
        for i in range(rest):
            part[i] = source[start + i]
        for i in range(rest, 128):
            part[i] = 0
        _counter(schedule, nonce, counter, part, 0, part, 0)
        for i in range(rest):
            out[to + i] = part[i]
