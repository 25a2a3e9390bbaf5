"""Frames sent into an interface as fast as the kernel takes them: AF_PACKET with a ring that it reads (PACKET_TX_RING) and no queue before the device.

A call for a ring of thousands of frames costs a third of one for each batch of them (sendmmsg): nothing is copied from here but by the kernel's own reader.
"""
from __future__ import annotations

import ctypes
import mmap
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

SOL_PACKET, PACKET_VERSION, PACKET_TX_RING, PACKET_QDISC_BYPASS = 263, 10, 13, 20
TPACKET_V2 = 1
HEADER = 32                     # struct tpacket2_hdr, and where the frame begins
BLOCK = 1 << 16
SEND_REQUEST = 1                # tp_status


class Ring:
    """A ring of frames; each `send` lets the kernel send the next of them, round and round."""

    def __init__(self, interface: str, frames: Sequence[bytes]) -> None:
        """frames: repeated until a block of the ring is full."""
        self.slot = 128 if max(map(len, frames)) <= 128 - HEADER else 2048
        each = BLOCK // self.slot
        self.count = -(-len(frames) // each) * each
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V2)
        self._socket.setsockopt(SOL_PACKET, PACKET_TX_RING, struct.pack("IIII", BLOCK, self.count // each, self.slot, self.count))
        self._socket.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        self._socket.bind((interface, 0))
        ring = mmap.mmap(self._socket.fileno(), self.count * self.slot, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self.slots: np.ndarray[Any, Any] = np.frombuffer(ring, np.uint8).reshape(self.count, self.slot)
        self._status: np.ndarray[Any, Any] = np.frombuffer(ring, np.uint32)[::self.slot // 4]
        self.lengths: np.ndarray[Any, Any] = np.frombuffer(ring, np.uint32)[1::self.slot // 4]
        for k in range(self.count):
            self.put(k, frames[k % len(frames)])
        self._call = ctypes.CDLL(None, use_errno=True).send
        self._call.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        self._at = 0

    def put(self, place: int, frame: bytes) -> None:
        """Another frame in a slot that is not being sent."""
        self.lengths[place] = len(frame)
        self.slots[place, HEADER:HEADER + len(frame)] = np.frombuffer(frame, np.uint8)

    @property
    def frames(self) -> np.ndarray[Any, Any]:
        """The frames uint8[count, room], to be changed between two calls of `send`."""
        return self.slots[:, HEADER:]

    def send(self, count: int | None = None) -> int:
        """Send the next `count` frames, or all; returns how many went out, when the kernel is done with them. OSError where it refuses one."""
        places = (self._at + np.arange(self.count if count is None else count)) % self.count
        self._status[places] = SEND_REQUEST
        if self._call(self._socket.fileno(), None, 0, 0) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._at = (self._at + len(places)) % self.count
        left = int((self._status[places] != 0).sum())
        if left:
            raise OSError(f"{left} of {len(places)} frames were not sent")
        return len(places)
