"""Words of either byte order inside a buffer, for the kernels that walk captures. The caller has checked the bounds."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.octets import be16, be32, le16, le32
from dpi.jit import kernel


@kernel
def word16(data: Any, position: Any, swapped: Any) -> Any:
    """The uint16 at `position` (uint64) of data uint8[n], as uint64; little-endian, or big-endian where `swapped` is not 0."""
    return np.uint64(be16(data, np.int64(position)) if swapped else le16(data, np.int64(position)))


@kernel
def word32(data: Any, position: Any, swapped: Any) -> Any:
    """The uint32 at `position` (uint64) of data uint8[n], as uint64; little-endian, or big-endian where `swapped` is not 0."""
    return np.uint64(be32(data, np.int64(position)) if swapped else le32(data, np.int64(position)))
