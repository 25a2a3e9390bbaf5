"""Memory that ends where a page begins that must not be touched.

Bytes placed `at_end` have the guard right behind their last byte, bytes placed `at_start` right before their first: one read beyond either
kills the process with SIGSEGV. Use it in a child process (`tests.hostile.child`), which is there to be killed.
"""
from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np


class Guard:
    """Room for `capacity` bytes between two PROT_NONE pages."""

    def __init__(self, capacity: int = 1 << 18) -> None:
        page = mmap.PAGESIZE
        size = -(-capacity // page) * page
        self._map = mmap.mmap(-1, size + 2 * page)
        self._whole: np.ndarray[Any, np.dtype[np.uint8]] = np.frombuffer(self._map, np.uint8)
        self.room = self._whole[page:page + size]
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        for offset in (0, page + size):
            if protect(ctypes.c_void_p(self._whole.ctypes.data + offset), ctypes.c_size_t(page), 0):
                raise OSError(ctypes.get_errno(), "mprotect")

    def at_end(self, data: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """`data` so that its last byte is the last that may be read."""
        view = self.room[self.room.size - len(data):]
        view[:] = np.frombuffer(data, np.uint8)
        return view

    def at_start(self, data: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """`data` so that its first byte is the first that may be read."""
        view = self.room[:len(data)]
        view[:] = np.frombuffer(data, np.uint8)
        return view


def own(data: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """`data` as an array of its own, for the bounds-checked build: an index past it is an IndexError."""
    return np.frombuffer(data, np.uint8)


PLACES = ("end", "start", "own")


def placer(place: str) -> Any:
    """The placing function of that name."""
    return {"end": lambda: Guard().at_end, "start": lambda: Guard().at_start, "own": lambda: own}[place]()
