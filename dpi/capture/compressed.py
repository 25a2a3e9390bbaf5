"""Bytes that cannot be mapped: pipes and standard input as they come, gzip and zstd opened on the way.

Every source fills a buffer of the reader's: `readinto(view) -> int`, 0 at the end. `position` counts the stored bytes consumed; `damage` is
one sentence where the data ended in a way it should not, else ''.
"""
from __future__ import annotations

import hashlib
import zlib
from typing import Any, BinaryIO

CHUNK = 1 << 16
STEP = 1 << 17      # what one call of the zstd library may give: an error loses no more than that
ZSTD = b"\x28\xb5\x2f\xfd"
GZIP = b"\x1f\x8b"


def compression(head: bytes) -> str:
    """'gzip', 'zstd' or '' by the first bytes (RFC 1952 section 2.3.1, RFC 8878 section 3.1)."""
    if head[:2] == GZIP:
        return "gzip"
    if head[:4] == ZSTD or (len(head) >= 4 and head[0] & 0xF0 == 0x50 and head[1:4] == b"\x2a\x4d\x18"):
        return "zstd"
    return ""


class Feed:
    """A stream of stored bytes, counted and, where asked, hashed."""

    def __init__(self, stream: BinaryIO, hashed: bool) -> None:
        self._stream = stream
        self._read: Any = getattr(stream, "read1", stream.read)     # read1 gives what is there instead of waiting for all
        self._held = b""
        self.position = 0
        self.damage = ""
        self.digest = hashlib.sha256() if hashed else None

    def peek(self, count: int) -> bytes:
        """The next `count` bytes, or fewer at the end; they stay to be read."""
        while len(self._held) < count:
            piece = self._fetch(CHUNK)
            if not piece:
                break
            self._held += piece
        return self._held[:count]

    def read(self, count: int = CHUNK) -> bytes:
        """At most `count` bytes; b'' at the end."""
        if self._held:
            piece, self._held = self._held[:count], self._held[count:]
        else:
            piece = self._fetch(count)
        self.position += len(piece)
        return piece

    def readinto(self, view: memoryview) -> int:
        piece = self.read(len(view))
        view[:len(piece)] = piece
        return len(piece)

    def _fetch(self, count: int) -> bytes:
        try:
            piece: bytes = self._read(count) or b""
        except OSError as error:
            self.damage = f"reading failed at byte {self.position}: {error.strerror or error}"
            piece = b""
        if self.digest is not None:
            self.digest.update(piece)
        return piece


class Gzip:
    """One or more gzip members, one after the other; zero bytes after the last are padding."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._rest = b""
        self._inside: Any = None
        self._first = True
        self._ended = False
        self.damage = ""

    @property
    def position(self) -> int:
        return self._feed.position

    def readinto(self, view: memoryview) -> int:
        while not self._ended:
            if not self._rest:
                self._rest = self._feed.read()
            if self._inside is None and not self._member():
                break
            before = self._inside.copy()
            try:
                piece = self._inside.decompress(self._rest, len(view))
            except zlib.error as error:
                self._stop(f"the gzip data is corrupt near byte {self.position - len(self._rest)}: {str(error).rpartition(': ')[2]}")
                piece = _salvage(before, self._rest)[:len(view)]
                view[:len(piece)] = piece
                return len(piece)
            starved = not self._rest
            self._rest = self._inside.unconsumed_tail
            if self._inside.eof:
                self._rest, self._inside = self._inside.unused_data, None
            if piece:
                view[:len(piece)] = piece
                return len(piece)
            if starved and self._inside is not None:
                return self._stop(self._feed.damage or f"the gzip data is cut at byte {self.position}")
        return 0

    def _member(self) -> bool:
        """Begin the next member, if there is one."""
        if self._first:
            self._first = False
        else:
            while self._rest and not self._rest.strip(b"\0"):
                self._rest = self._feed.read()
            if not self._rest:
                self._stop(self._feed.damage)
                return False
            if len(self._rest) == 1:
                self._rest += self._feed.read()
            if self._rest[:2] != GZIP:
                self._stop(f"what follows the gzip data from byte {self.position - len(self._rest)} on is no gzip data")
                return False
        self._inside = zlib.decompressobj(31)
        return True

    def _stop(self, damage: str) -> int:
        self._ended, self.damage = True, damage
        return 0


def _salvage(engine: Any, data: bytes) -> bytes:
    """What `engine` makes of data byte by byte until it fails: the failing call itself returned nothing."""
    pieces = []
    try:
        for i in range(len(data)):
            pieces.append(engine.decompress(data[i:i + 1]))
    except zlib.error:
        pass
    return b"".join(pieces)


class _ZstdFrames:
    """Follows frame and block headers (RFC 8878 section 3.1.1), to tell an end between two frames from a cut: the library does not."""

    def __init__(self) -> None:
        self._stage = "magic"
        self._head = b""
        self._skip = 0
        self._checksum = 0

    @property
    def whole(self) -> bool:
        return self._stage == "magic" and not self._head and not self._skip

    def follow(self, data: bytes) -> None:
        at = 0
        while at < len(data) and self._stage != "lost":
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
                continue
            want = {"magic": 4, "skippable": 4, "frame": 1, "block": 3}[self._stage]
            piece = data[at:at + want - len(self._head)]
            at += len(piece)
            self._head += piece
            if len(self._head) == want:
                head, self._head = self._head, b""
                self._step(head)

    def _step(self, head: bytes) -> None:
        number = int.from_bytes(head, "little")
        if self._stage == "magic":
            self._stage = "frame" if head == ZSTD else "skippable" if compression(head) else "lost"
        elif self._stage == "skippable":
            self._skip, self._stage = number, "magic"
        elif self._stage == "frame":
            single = number >> 5 & 1
            size = (1 if single else 0, 2, 4, 8)[number >> 6]
            self._skip = (1 - single) + (0, 1, 2, 4)[number & 3] + size
            self._checksum = 4 if number >> 2 & 1 else 0
            self._stage = "block"
        else:
            last, kind, size = number & 1, number >> 1 & 3, number >> 3
            self._skip = 1 if kind == 1 else size      # one byte repeated, or so many bytes
            if last:
                self._skip += self._checksum
                self._stage = "magic"


class Zstd:
    """One or more zstd frames; windows up to 128 MB."""

    def __init__(self, feed: Feed) -> None:
        import zstandard

        self._feed = feed
        self._frames = _ZstdFrames()
        self._error: type[Exception] = zstandard.ZstdError
        self._reader = zstandard.ZstdDecompressor().stream_reader(self, read_size=CHUNK, read_across_frames=True)    # type: ignore[arg-type]
        self._ended = False
        self.damage = ""

    @property
    def position(self) -> int:
        return self._feed.position

    def read(self, count: int) -> bytes:
        """What the decompressor calls for stored bytes."""
        piece = self._feed.read(count)
        self._frames.follow(piece)
        return piece

    def readinto(self, view: memoryview) -> int:
        if self._ended:
            return 0
        try:
            count = self._reader.readinto1(view[:STEP])
        except self._error as error:
            count = 0
            self.damage = f"the zstd data is corrupt near byte {self.position}: {str(error).rpartition(': ')[2]}"
        else:
            if not count:
                self.damage = self._feed.damage or ("" if self._frames.whole else f"the zstd data is cut at byte {self.position}")
        self._ended = not count
        return count


Source = Feed | Gzip | Zstd


def opened(feed: Feed) -> Source:
    """The source of uncompressed bytes for stored ones: what the first bytes say."""
    kind = compression(feed.peek(4))
    return Gzip(feed) if kind == "gzip" else Zstd(feed) if kind == "zstd" else feed
