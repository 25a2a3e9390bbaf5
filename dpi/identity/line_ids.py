"""Which line a message came by: circuit id and remote id, as a relay or an access node writes them into DHCP (option 82) and PPPoE discovery (vendor tag of
the Broadband Forum). RFC 3046 section 2.0; TR-101 section 3.9.2."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.capture.octets import octet
from dpi.identity.digest import CIRCUIT, digest
from dpi.jit import kernel

_MOST = 128             # sub-options that are looked at


@kernel
def line_ids(data: Any, begin: Any, end: Any, tap: Any) -> Any:
    """(1, digest of the circuit id, that of the remote id), 0 for one that is not there; (-1, 0, 0): against the grammar."""
    circuit, remote = np.uint64(0), np.uint64(0)
    at = begin
    for _ in range(_MOST):
        if at + 2 > end:
            break
        size = octet(data, at + 1)
        if at + 2 + size > end:
            return -1, np.uint64(0), np.uint64(0)
        if octet(data, at) == 1 and size > 0:
            circuit = digest(data, at + 2, size, CIRCUIT, tap.key0, tap.key1)
        elif octet(data, at) == 2 and size > 0:
            remote = digest(data, at + 2, size, CIRCUIT, tap.key0, tap.key1)
        at += 2 + size
    return 1, circuit, remote
