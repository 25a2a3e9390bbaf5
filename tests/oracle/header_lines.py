"""Field lines of text protocols, slowly: the twin of dpi/classify/wire/header_lines.py."""
from __future__ import annotations


def fields(data: bytes) -> list[tuple[bytes, bytes]]:
    """(lower-case name, value) of each field line up to the blank line; lines that are no field are left out. The last line need not end."""
    found = []
    for line in data.split(b"\n"):
        if line in (b"", b"\r"):
            break
        name, colon, value = line.partition(b":")
        if colon and name and len(name) < 48 and name[:1] not in (b" ", b"\t"):
            value = value.lstrip(b" \t")
            found.append((name.lower(), value.rstrip(b"\r \t")))
    return found


def head_end(data: bytes) -> int:
    """Where the head ends, -1 where it does not."""
    for i in range(1, len(data)):
        if data[i:i + 1] == b"\n" and (data[i - 1:i] == b"\n" or (i > 1 and data[i - 2:i] == b"\n\r")):
            return i + 1
    return -1
