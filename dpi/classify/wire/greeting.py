"""Greetings and commands of mail and file servers: a server speaks first, commands are a word at the start of a line."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.inspection import NAME_HOST
from dpi.classify.wire.flow_facts import set_name
from dpi.classify.wire.header_lines import host_end, until, word_hash
from dpi.jit import kernel

Array = np.ndarray[Any, Any]


@kernel
def command(data: Array, n: int) -> int:
    """The hash of the first word of a line of text, 0 where there is none or its line holds control bytes within the first 64."""
    stop = 0
    while stop < n and stop < 17 and (65 <= data[stop] <= 90 or 97 <= data[stop] <= 122):
        stop += 1
    if stop < 3 or stop > 16 or stop >= n or (data[stop] != 32 and data[stop] != 13 and data[stop] != 10):
        return 0
    for i in range(stop, min(n, 64)):
        if data[i] == 10:
            break
        if data[i] < 32 and data[i] != 13:
            return 0
    return word_hash(data, 0, stop)


@kernel
def set_greeting_name(facts: Array, inspection: Array, data: Array, at: int, stop: int) -> None:
    """server_name := the word at `at`, if it is a host name with a dot."""
    end = stop
    for i in range(at, stop):
        if data[i] <= 32:
            end = i
            break
    if host_end(data, at, end) == end and until(data, at, end, 46) < end and end - at >= 4:
        set_name(facts, inspection, data, at, end, NAME_HOST)
