"""The decoder alone, for tests."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.decode import decode_batch
from dpi.capture.fragments import FRAGMENT
from dpi.capture.frame import FRAME, PACKET
from dpi.capture.tunnel import DECODER
from dpi.jit import I64, entry


@entry(np.dtype("u1"), FRAME, I64, I64, PACKET, FRAGMENT, np.dtype("u8"), DECODER)
def decode(data: Any, frames: Any, start: int, count: int, packets: Any, fragments: Any, seed: Any, decoder: Any) -> Any:
    """`decode_batch` for Python. Returns how many of the frames were decoded."""
    return decode_batch(data, frames, start, count, packets, fragments, seed, decoder)
