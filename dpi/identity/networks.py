"""The local networks: which end of a flow is the operator's side."""
from __future__ import annotations

from dpi.errors import UserError
from dpi.identity.bindings import Wrong, prefix


def local(words: str, where: str) -> tuple[tuple[int, int], ...]:
    """(first, last address of 128 bits, IPv4 mapped) of '10.0.0.0/8,2001:db8::/32'. UserError at `where` for what is no network."""
    found = []
    for word in words.replace(" ", "").split(","):
        if word:
            try:
                found.append(prefix(word)[:2])
            except Wrong as wrong:
                raise UserError(wrong.args[0], where, wrong.args[1]) from None
    return tuple(found)
