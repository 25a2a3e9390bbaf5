"""First bytes, slowly: the twin of dpi/classify/signatures.py. It reads the signatures themselves, never the tables."""
from __future__ import annotations

from collections.abc import Sequence

from dpi.classify.signature_table import Piece, Signature
from dpi.classify.signatures import BYTES, FIELD, FIND, FROM_END


def holds(piece: Piece, data: bytes) -> bool:
    """One condition on the bytes."""
    def same(at: int) -> bool:
        return at >= 0 and at + len(piece.value) <= len(data) and all(
            data[at + i] & mask == value for i, (value, mask) in enumerate(zip(piece.value, piece.mask, strict=True)))

    if piece.kind == BYTES:
        return same(piece.at)
    if piece.kind == FROM_END:
        return same(len(data) - piece.at)
    if piece.kind == FIND:
        stop = min(len(data), piece.at + piece.within) if piece.within else len(data)
        return any(same(at) for at in range(piece.at, stop - len(piece.value) + 1))
    if piece.at + piece.size > len(data):
        return False
    value = int.from_bytes(data[piece.at:piece.at + piece.size], "little" if piece.little else "big") + piece.add
    return len(data) == value if piece.kind == FIELD else len(data) >= value


def fits(one: Signature, data: bytes, ports: tuple[int, int]) -> bool:
    """Everything but transport, direction and packets. ports: (client, server)."""
    return (any(low <= len(data) <= high for low, high in one.lengths)
            and (not one.ports or any(low <= port <= high for low, high in one.ports for port in ports))
            and all(holds(piece, data) for piece in one.pieces))


def rows(signatures: Sequence[Signature], data: bytes, ip_protocol: int, direction: int, ports: tuple[int, int], packets: int) -> list[int]:
    """The numbers (in order of weight) of all rows that fit."""
    ordered = sorted(signatures, key=lambda one: -one.weight())
    return [number for number, one in enumerate(ordered)
            if one.ip_protocol == ip_protocol and one.direction in (2, direction) and not (packets > 1 and one.packets > 1)
            and fits(one, data, ports)]
