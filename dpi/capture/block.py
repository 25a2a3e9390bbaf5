"""What a source hands to the decoder, and the state of a walk over record headers."""
from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Protocol

import numpy as np

from dpi.dataclass import dataclass
from dpi.jit import Entry

#: Captured bytes above this are no packet but a broken header (libpcap's MAXIMUM_SNAPLEN).
LARGEST_CAPTURED = 262144

_SETS = 64          # of arguments that a Bound keeps
SCOUTS = 24         # of a walk over pcap records, see dpi/capture/scout.py

# Why a walk stopped: WALK.status
FULL = 0            # no room for another frame
MORE = 1            # `need` further bytes are wanted after `end` (0: the data ends between two records)
HEADER = 2          # pcapng: a section or interface header at `start` wants to be read
TOO_LONG = 3        # captured length above LARGEST_CAPTURED
BAD_LENGTH = 4      # pcapng: block length impossible, or its two copies differ
NO_INTERFACE = 5    # pcapng: a packet of an interface that was not declared

#: State of a walk, kept between blocks. Positions count from the start of the data handed over.
WALK = np.dtype((np.record, [
    ("position", "u8"),     # of the next record; beyond `end` where a block of no interest is to be skipped
    ("end", "u8"),          # bytes that are there
    ("start", "u8"),        # of the record that stopped the walk
    ("number", "u8"),       # packets so far
    ("need", "u8"),
    ("status", "u8"),
    ("time", "i8"),         # us, of the last packet
    ("first", "u8"),        # pcapng: row of the section's first interface
    ("interfaces", "u8"),   # pcapng: interfaces of the section
    ("link", "u2"),         # pcap: LINKTYPE_*
    ("swapped", "u1"),      # 1: the writer was big-endian
    ("nano", "u1"),         # pcap: 1: the fraction counts nanoseconds
    ("header", "u1"),       # pcap: 16, or 24 in the modified form
    ("exchanged", "u1"),    # pcap: the two lengths of a record are in the other order: 1 always, 2 where the first is the greater
    ("pad", "u1", (2,)),
    # pcap: of each of dpi/capture/scout.py where it began, where it stands, how many records it has found
    ("starts", "u8", (SCOUTS,)), ("scouts", "u8", (SCOUTS,)), ("found", "u8", (SCOUTS,)),
]))
assert WALK.itemsize == 656, WALK.itemsize

# The first fields as words of `Walker.words`: a record's attributes are slow to read from Python
POSITION, END, START, NUMBER, NEED, STATUS = range(6)


def words_of(record: Any, signed: bool = False) -> memoryview:
    """A view of a record array of one, whose fields are slow to read from Python, as 64-bit words."""
    return record.view(np.ndarray).view(np.int64 if signed else np.uint64).data  # type: ignore[no-any-return]


@dataclass
class Block:
    """Frames and the bytes they lie in.

    Both arrays belong to the source and are valid until its next block is asked for: `frames` is reused from block to block, and so is
    `data` unless the file is mapped. Who keeps something longer copies it.
    """
    data: np.ndarray[Any, np.dtype[np.uint8]]       # uint8[n]: the mapped file, or a buffer
    frames: Any                                     # recarray FRAME[at least count]
    count: int
    first_number: int                               # packet number, in its capture and from 1, of frames[0]
    packets: Any = None                             # recarray PACKET[at least count] where the frames have been decoded already


#: Makes a generator of blocks that writes each block's frames into the array it is handed by the function.
Blocks = Callable[[Callable[[], Any]], Generator[Block, None, None]]


class Bound:
    """A kernel called again and again with the same few sets of arguments: the addresses of each set are looked up once."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        # by identity; the arguments are kept with the call, so that an address or an identity is not used again meanwhile
        self._calls: dict[tuple[int, ...], tuple[Callable[[], int], tuple[Any, ...]]] = {}

    def __call__(self, *arguments: Any) -> int:
        """Call the kernel. Numbers must be small or the same objects each time."""
        key = tuple(map(id, arguments))
        known = self._calls.get(key)
        if known is None:
            if len(self._calls) == _SETS:
                self._calls.clear()
            known = self._calls[key] = self._entry.bind(*arguments), arguments
        return known[0]()

    def forget(self) -> None:
        """Let go of all arguments."""
        self._calls.clear()


class Walker(Protocol):
    """Reads the records of one format."""
    state: Any                  # recarray WALK[1]
    words: memoryview           # of the state, see POSITION to STATUS
    link_types: set[int]        # declared so far
    interfaces: list[str]       # names of the interfaces declared so far, '' where unnamed; the index is FRAME.interface

    def walk(self, data: np.ndarray[Any, np.dtype[np.uint8]], frames: Any, room: int) -> int:
        """Fill up to `room` rows of `frames` from `data[state.position:state.end]`; the count. `state.status` says why it ended."""
        ...

    def forget(self) -> None:
        """Let go of the arrays of the last walk."""
        ...
