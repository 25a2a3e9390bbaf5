"""Where a probe's frames come from: the kernel's ring, or libpcap for what the ring can't read."""
from __future__ import annotations

from typing import Any, Protocol

from dpi.capture.block import Block
from dpi.capture.packet_socket import LINKS, kind_of, ring_missing
from dpi.dataclass import dataclass
from dpi.errors import UserError

PREFIX = "pcap:"            # of an interface that is to be read through libpcap
EVERY = "any"               # libpcap's name of all interfaces


class Source(Protocol):
    """One interface's frames, block after block. `next` hands out one; it must be given back with `release` before the next is asked for."""
    interface: str
    tallies: Any                # recarray TALLY[1] of dpi.capture.live

    def next(self, timeout: float) -> Block | None:
        """The next block, None where none came within `timeout` seconds."""
        ...

    def release(self) -> None:
        """The block has been read."""
        ...

    def detach(self) -> None:
        """No further frame is wanted; those that wait are."""
        ...

    def close(self) -> None:
        """Give everything back. Arrays of its blocks must be gone."""
        ...

    def filter(self, program: Any, words: str) -> None:
        """Only frames that match from now on. program: the filter `words` for its link type, assembled; None for all frames."""
        ...

    @property
    def link(self) -> int:
        """LINKTYPE of its frames."""
        ...

    @property
    def drops(self) -> int:
        """Frames that the kernel dropped because nobody took them in time."""
        ...

    @property
    def full(self) -> float:
        """The part of the memory for waiting frames that is in use, 0 to 1."""
        ...

    @property
    def trouble(self) -> str:
        """Why the interface gives nothing, '' where it could."""
        ...


@dataclass(frozen=True)
class Place:
    """An interface and the way it is read. link: its LINKTYPE, 0 where libpcap will say. why: the ring can't read it; '' where libpcap was asked for."""
    interface: str
    link: int = 0
    libpcap: bool = False
    why: str = ""

    def __str__(self) -> str:
        return f"{self.interface} (through libpcap)" if self.libpcap else self.interface


def places_of(names: str) -> list[Place]:
    """The interfaces whose names commas separate, each once. UserError: none is named, or there is none of that name."""
    found: dict[str, Place] = {}
    for name in filter(None, map(str.strip, names.split(","))):
        place = _place(name)
        found.setdefault(place.interface, place)
    if not found:
        raise UserError("no interface is named", "probe", "name one with --interface, or in [probe] interfaces of fullspan.toml")
    return list(found.values())


def _place(name: str) -> Place:
    bare = name.removeprefix(PREFIX)
    if bare == EVERY:
        return Place(bare, libpcap=True, why="" if bare != name else "all interfaces at once have no ring")
    kind = kind_of(bare)            # none of that name: nobody can read it
    if bare != name:
        return Place(bare, libpcap=True)
    if kind not in LINKS:
        return Place(bare, libpcap=True, why=f"interfaces of its kind (ARPHRD {kind}) have no ring here")
    why = ring_missing()
    return Place(bare, LINKS[kind], bool(why), why)


def open_source(place: Place, *, ring_bytes: int, promiscuous: bool, fanout: int | None = None, program: Any = None, words: str = "") -> Source:
    """Begin to read. program: the filter `words` for a ring, see PacketSocket. UserError: no permission, no memory, a filter that libpcap refuses."""
    if place.libpcap:
        from dpi.capture.libpcap import Libpcap

        return Libpcap(place.interface, ring_bytes=ring_bytes, promiscuous=promiscuous, words=words)
    from dpi.capture.live import Live

    return Live(place.interface, ring_bytes=ring_bytes, promiscuous=promiscuous, fanout=fanout, program=program)
