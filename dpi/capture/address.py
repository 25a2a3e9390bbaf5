"""Memory that others own, as arrays: what a C library hands to a callback."""
from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from dpi.jit import intrinsic


def lying_at(dtype: Any) -> Any:
    """A kernel `f(address, count) -> array of dtype`: so many elements that lie at an address, both int64. They are trusted, and the memory is the
    owner's, good as long as that says."""
    dtype = np.dtype(dtype)

    def plain(address: int, count: int) -> Any:
        return np.frombuffer((ctypes.c_uint8 * (int(count) * dtype.itemsize)).from_address(int(address)), dtype)

    @intrinsic(plain)
    def find() -> Any:
        from numba import from_dtype
        from numba.core import types
        from numba.extending import intrinsic as numba_intrinsic
        from numba.np.arrayobj import make_array, populate_array

        kind = types.Array(from_dtype(dtype), 1, "C")

        @numba_intrinsic  # type: ignore[untyped-decorator]
        def find(typing_context: Any, address: Any, count: Any) -> Any:
            def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                array = make_array(kind)(context, builder)
                step = context.get_constant(types.intp, dtype.itemsize)
                data = builder.inttoptr(args[0], context.get_data_type(kind.dtype).as_pointer())
                populate_array(array, data=data, shape=[args[1]], strides=[step], itemsize=step, meminfo=None)
                return array._getvalue()
            return kind(types.int64, types.int64), generate
        return find
    return find
