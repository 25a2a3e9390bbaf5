"""Small arrays that live on the stack of one kernel call, for digests, keys and sorted lists.

``scratch_bytes(n)``, ``scratch_words(n)`` and ``scratch_numbers(n)`` give uint8[n], uint32[n] and int64[n]. The length must be a constant.
The content is undefined at first (as with numpy.empty), and the array must not outlive the kernel that made it: pass it down, never return
it. Nothing is allocated: a parser that needs room for a moment takes none from the flow's memory.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dpi.jit import intrinsic

Array = np.ndarray[Any, Any]


def _maker(kind: str) -> Callable[[], Any]:
    """The maker of a numba intrinsic giving a stack array of the numba type `kind`."""
    def make() -> Any:
        from llvmlite import ir
        from numba.core import types
        from numba.core.errors import RequireLiteralValue
        from numba.extending import intrinsic as numba_intrinsic

        item = getattr(types, kind)

        @numba_intrinsic(prefer_literal=True)
        def scratch(typing: Any, count: Any) -> Any:
            if not isinstance(count, types.IntegerLiteral):
                raise RequireLiteralValue("the length of a scratch array must be a constant")
            length = int(count.literal_value)
            array = types.Array(item, 1, "C")

            def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                word = ir.IntType(64)
                with builder.goto_entry_block():
                    store = builder.alloca(context.get_data_type(item), size=ir.Constant(word, length))
                    store.align = 16
                width = ir.Constant(word, item.bitwidth // 8)
                made = context.make_array(array)(context, builder)
                context.populate_array(made, data=store, shape=[ir.Constant(word, length)], strides=[width], itemsize=width, meminfo=None)
                return made._getvalue()

            return array(count), generate

        return scratch
    return make


def _bytes(count: int) -> Array:
    return np.zeros(count, np.uint8)


def _words(count: int) -> Array:
    return np.zeros(count, np.uint32)


def _numbers(count: int) -> Array:
    return np.zeros(count, np.int64)


#: uint8[n] on the stack
scratch_bytes = intrinsic(_bytes)(_maker("uint8"))
#: uint32[n] on the stack
scratch_words = intrinsic(_words)(_maker("uint32"))
#: int64[n] on the stack
scratch_numbers = intrinsic(_numbers)(_maker("int64"))
