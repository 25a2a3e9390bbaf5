"""GHASH, the authenticator of AES-GCM (NIST SP 800-38D, section 6.4), by carry-less multiplication where the processor has it.

``powers`` is uint8[64]: what `prepare` makes of the hash key, for this machine only. ``sum`` is uint8[16], the running value.
With the instruction, blocks are read reversed and multiplied as POLYVAL does (RFC 8452, appendix A): one reduction for four blocks.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dpi.classify.wire.scratch import scratch_bytes
from dpi.jit import Kernel, intrinsic, kernel

Array = np.ndarray[Any, Any]


# ---------------------------------------------------------------- without the instruction

def _plain_prepare(key: Array, powers: Array) -> int:
    for i in range(16):
        powers[i] = key[i]
    return 0


def _plain_one(powers: Array, total: Array, data: Array, at: int) -> int:
    one = scratch_bytes(16)
    out = scratch_bytes(16)
    for i in range(16):
        one[i] = np.int64(total[i]) ^ np.int64(data[at + i])
        out[i] = 0
    # the powers of two of the key, halved step by step, as two 64-bit halves in four 32-bit words
    a = np.int64(0)
    b = np.int64(0)
    c = np.int64(0)
    d = np.int64(0)
    for i in range(4):
        a = a << 8 | np.int64(powers[i])
        b = b << 8 | np.int64(powers[4 + i])
        c = c << 8 | np.int64(powers[8 + i])
        d = d << 8 | np.int64(powers[12 + i])
    w = np.int64(0)
    x = np.int64(0)
    y = np.int64(0)
    z = np.int64(0)
    for i in range(128):
        if np.int64(one[i >> 3]) >> (7 - (i & 7)) & 1:
            w ^= a
            x ^= b
            y ^= c
            z ^= d
        carry = d & 1
        d = (c & 1) << 31 | d >> 1
        c = (b & 1) << 31 | c >> 1
        b = (a & 1) << 31 | b >> 1
        a = a >> 1 ^ carry * 0xE1000000
    for i in range(4):
        total[i] = w >> (24 - 8 * i) & 0xFF
        total[4 + i] = x >> (24 - 8 * i) & 0xFF
        total[8 + i] = y >> (24 - 8 * i) & 0xFF
        total[12 + i] = z >> (24 - 8 * i) & 0xFF
    return 0


_portable_one = kernel(_plain_one)


def _plain_four(powers: Array, total: Array, data: Array, at: int) -> int:
    for k in range(4):
        _portable_one(powers, total, data, at + 16 * k)
    return 0


# ---------------------------------------------------------------- with it

class _Field:
    """Emits arithmetic in the field of POLYVAL for one builder. Elements are <2 x i64>, lowest power in the lowest bit."""

    def __init__(self, asm: Any, ir: Any, builder: Any) -> None:
        self.asm, self.ir, self.builder = asm, ir, builder
        self.two = ir.VectorType(ir.IntType(64), 2)
        self.bytes = ir.VectorType(ir.IntType(8), 16)
        self.poly = self.constant(0xC200000000000000, 0xC200000000000000)

    def constant(self, low: int, high: int) -> Any:
        return self.ir.Constant(self.two, [self.ir.Constant(self.ir.IntType(64), v) for v in (low, high)])

    def reversed(self, value: Any) -> Any:
        raw = self.builder.bitcast(value, self.bytes)
        return self.builder.bitcast(self.asm.shuffle(self.builder, raw, raw, range(15, -1, -1)), self.two)

    def swapped(self, value: Any) -> Any:
        return self.asm.shuffle(self.builder, value, value, (1, 0))

    def times(self, one: Any, other: Any, halves: int) -> Any:
        return self.asm.call(self.builder, "llvm.x86.pclmulqdq", [one, other, self.ir.Constant(self.ir.IntType(8), halves)], self.two)

    def product(self, one: Any, other: Any) -> tuple[Any, Any, Any]:
        """(low, middle, high) of the 256-bit product."""
        middle = self.builder.xor(self.times(one, other, 0x01), self.times(one, other, 0x10))
        return self.times(one, other, 0x00), middle, self.times(one, other, 0x11)

    def reduced(self, low: Any, middle: Any, high: Any) -> Any:
        """The product divided by x^128 modulo the polynomial."""
        builder, zero = self.builder, self.ir.Constant(self.two, None)
        low = builder.xor(low, self.asm.shuffle(builder, middle, zero, (2, 0)))
        high = builder.xor(high, self.asm.shuffle(builder, middle, zero, (1, 2)))
        once = builder.xor(self.swapped(low), self.times(low, self.poly, 0x00))
        twice = builder.xor(self.swapped(once), self.times(once, self.poly, 0x00))
        return builder.xor(high, twice)


def _made(plain: Callable[..., Any], names: tuple[str, ...], generate: Callable[..., Any]) -> Any:
    """A numba intrinsic over `names` arguments, or the plain kernel where the processor lacks the instruction."""
    from dpi.classify.wire import instructions as asm

    if not asm.has("pclmul", "ssse3"):
        return Kernel(plain).dispatcher()
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic as numba_intrinsic

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def place(k: int, offset: int = 0) -> Any:
            return asm.item(context, builder, signature.args[k], args[k], ir.Constant(ir.IntType(64), offset))
        generate(_Field(asm, ir, builder), place, args)
        return ir.Constant(ir.IntType(64), 0)

    lines = f"def {plain.__name__}(typing, {', '.join(names)}):\n    return signature(({', '.join(names)},)), emit\n"
    def signature(kinds: Sequence[Any]) -> Any:
        return types.int64(*(types.int64 if isinstance(k, types.Integer) else k for k in kinds))

    space: dict[str, Any] = {"emit": emit, "signature": signature}
    exec(compile(lines, __file__, "exec"), space)       # numba reads the argument names of an intrinsic from its definition
    return numba_intrinsic(space[plain.__name__])


@intrinsic(_plain_prepare)
def _prepare() -> Any:
    def generate(field: _Field, place: Any, args: Any) -> None:
        ir, builder = field.ir, field.builder
        wide = ir.IntType(128)
        raw = builder.bitcast(field.reversed(field.asm.load(builder, place(0), field.two)), wide)
        over = builder.icmp_signed("<", raw, ir.Constant(wide, 0))
        fold = builder.select(over, ir.Constant(wide, 0xC2 << 120 | 1), ir.Constant(wide, 0))
        first = builder.bitcast(builder.xor(builder.shl(raw, ir.Constant(wide, 1)), fold), field.two)
        power = first
        for k in range(4):
            field.asm.store(builder, power, place(1, 16 * k))
            power = field.reduced(*field.product(power, first))
    return _made(_plain_prepare, ("key", "powers"), generate)


def _generate(blocks: int) -> Callable[..., None]:
    def generate(field: _Field, place: Any, args: Any) -> None:
        ir, builder = field.ir, field.builder
        source = builder.gep(place(2), [args[3]])
        low, middle, high = None, None, None
        for k in range(blocks):
            block = field.reversed(field.asm.load(builder, builder.gep(source, [ir.Constant(ir.IntType(64), 16 * k)]), field.two))
            if k == 0:
                block = builder.xor(block, field.reversed(field.asm.load(builder, place(1), field.two)))
            part = field.product(block, field.asm.load(builder, place(0, 16 * (blocks - 1 - k)), field.two))
            if low is None:
                low, middle, high = part
            else:
                low, middle, high = builder.xor(low, part[0]), builder.xor(middle, part[1]), builder.xor(high, part[2])
        field.asm.store(builder, field.reversed(field.reduced(low, middle, high)), place(1))
    return generate


@intrinsic(_plain_one)
def _one() -> Any:
    return _made(_plain_one, ("powers", "total", "data", "at"), _generate(1))


@intrinsic(_plain_four)
def _four() -> Any:
    return _made(_plain_four, ("powers", "total", "data", "at"), _generate(4))


# ---------------------------------------------------------------- what others call

@kernel
def prepare(key: Array, powers: Array) -> None:
    """powers (uint8[64]) of the hash key key[0:16]."""
    if key.size >= 16 and powers.size >= 64:
        _prepare(key, powers)


@kernel
def absorb(powers: Array, total: Array, data: Array, start: int, stop: int) -> None:
    """Take data[start:stop] into total (uint8[16]), the last block filled up with zeros. Nothing happens where the range does not exist."""
    if start < 0 or stop > data.size or powers.size < 64 or total.size < 16:
        return
    while stop - start >= 64:
        _four(powers, total, data, start)
        start += 64
    while stop - start >= 16:
        _one(powers, total, data, start)
        start += 16
    if start < stop:
        part = scratch_bytes(16)
        for i in range(16):
            part[i] = 0
        for i in range(stop - start):
            part[i] = data[start + i]
        _one(powers, total, part, 0)
