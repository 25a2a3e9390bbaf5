"""The slow twin of the packet filter machine: classic BPF in plain integers, one line an instruction."""
from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

LOW32 = 0xFFFFFFFF
LOOPS = 256
Instruction = tuple[int, int, int, int]         # code, jt, jf, k

ARITHMETIC: dict[int, Callable[[int, int], int]] = {
    0x00: operator.add, 0x10: operator.sub, 0x20: operator.mul, 0x30: operator.floordiv, 0x40: operator.or_, 0x50: operator.and_,
    0x60: lambda a, b: a << b if b < 32 else 0, 0x70: lambda a, b: a >> b if b < 32 else 0, 0x80: lambda a, _: -a, 0x90: operator.mod, 0xA0: operator.xor}
CONDITIONS: dict[int, Callable[[int, int], bool]] = {0x10: operator.eq, 0x20: operator.gt, 0x30: operator.ge, 0x40: lambda a, b: bool(a & b)}
SIZES = {0x00: 4, 0x08: 2, 0x10: 1}


def answer(program: Sequence[Instruction], frame: bytes, wire: int) -> int:
    """What the program returns for a frame."""
    a = x = at = loops = 0
    memory = [0] * 16

    def packet(place: int, size: int) -> int:
        if place + size > len(frame):
            raise IndexError(place)
        return int.from_bytes(frame[place:place + size], "big")

    try:
        while True:
            code, true, false, k = program[at]
            at += 1
            family, operand = code & 7, x if code & 8 else k
            if family in (0, 1):
                match code & 0xE0:
                    case 0x00:
                        value = k
                    case 0x20:
                        value = packet(k, SIZES[code & 0x18])
                    case 0x40:
                        value = packet(x + k, SIZES[code & 0x18])
                    case 0x60:
                        value = memory[k]
                    case 0x80:
                        value = wire
                    case _:
                        value = (packet(k, 1) & 15) * 4
                a, x = (value, x) if family == 0 else (a, value)
            elif family in (2, 3):
                memory[k] = a if family == 2 else x
            elif family == 4:
                a = ARITHMETIC[code & 0xF0](a, operand) & LOW32
            elif code == 5:
                far = k - (1 << 32) if k >> 31 else k
                loops += far < 0
                if loops > LOOPS:
                    return 0
                at += far
            elif family == 5:
                at += true if CONDITIONS[code & 0xF0](a, operand) else false
            elif family == 6:
                return {0x00: k, 0x08: x, 0x10: a}[code & 0x18]
            elif code == 7:
                x = a
            else:
                a = x
    except (IndexError, ZeroDivisionError):
        return 0
