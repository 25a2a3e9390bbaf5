"""The Huffman code of HPACK and QPACK (RFC 7541, section 5.2 and appendix B).

The code is canonical: codes of one length follow each other in the order of their symbols, so the lengths alone define it.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.jit import kernel

Array = np.ndarray[Any, Any]

#: Bits of the code of each byte, and of EOS (the last)
LENGTHS = (
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30)

SYMBOLS = np.array(sorted(range(257), key=lambda symbol: (LENGTHS[symbol], symbol)), np.int64)     # in the order of their codes
COUNTS = np.array([LENGTHS.count(bits) for bits in range(31)], np.int64)                            # codes of each length


@kernel
def huffman_text(data: Array, at: int, stop: int, out: Array, begin: int, limit: int) -> int:
    """Decode data[at:stop] into out[begin:begin + limit] (what does not fit is left out). Returns the decoded length, -1 where the code is broken."""
    length = 0
    code = 0        # bits read since the last symbol, less the first code of this length
    bits = 0
    index = 0       # place in SYMBOLS of the first code of this length
    ones = 1
    for i in range(at, stop):
        value = np.int64(data[i])
        for shift in range(7, -1, -1):
            bit = value >> shift & 1
            code = code << 1 | bit
            ones &= bit
            bits += 1
            if bits > 30:
                return -1
            count = COUNTS[bits]
            if code < count:
                symbol = SYMBOLS[index + code]
                if symbol == 256:
                    return -1
                if length < limit:
                    out[begin + length] = symbol
                length += 1
                code = 0
                bits = 0
                index = 0
                ones = 1
            else:
                code -= count
                index += count
    return -1 if bits > 7 or (bits > 0 and ones == 0) else length
