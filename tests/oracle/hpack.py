"""HPACK, slowly and in full: the twin of dpi/classify/wire/hpack.py and huffman.py. Values are kept whole, tables are lists."""
from __future__ import annotations

from dpi.classify.wire.huffman import LENGTHS

STATIC = [tuple(line.split("|")) for line in """
    :authority| :method|GET :method|POST :path|/ :path|/index.html :scheme|http :scheme|https :status|200 :status|204 :status|206 :status|304
    :status|400 :status|404 :status|500 accept-charset| accept-encoding|gzip,~deflate accept-language| accept-ranges| accept|
    access-control-allow-origin| age| allow| authorization| cache-control| content-disposition| content-encoding| content-language|
    content-length| content-location| content-range| content-type| cookie| date| etag| expect| expires| from| host| if-match| if-modified-since|
    if-none-match| if-range| if-unmodified-since| last-modified| link| location| max-forwards| proxy-authenticate| proxy-authorization| range|
    referer| refresh| retry-after| server| set-cookie| strict-transport-security| transfer-encoding| user-agent| vary| via| www-authenticate|
    """.split()]  # noqa: SIM905 - a table is read more easily than a list


def _codes() -> dict[str, int]:
    codes: dict[str, int] = {}
    code = bits = 0
    for symbol in sorted(range(257), key=lambda s: (LENGTHS[s], s)):
        code <<= LENGTHS[symbol] - bits
        bits = LENGTHS[symbol]
        codes[format(code, f"0{bits}b")] = symbol
        code += 1
    return codes


CODES = _codes()
SPELLING = {symbol: code for code, symbol in CODES.items()}


def huffman_encode(text: bytes) -> bytes:
    bits = "".join(SPELLING[c] for c in text)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big") if bits else b""


def huffman_decode(data: bytes) -> bytes:
    out, code = bytearray(), ""
    for bit in "".join(format(c, "08b") for c in data):
        code += bit
        if code in CODES:
            if CODES[code] == 256:
                raise ValueError("EOS")
            out.append(CODES[code])
            code = ""
    if len(code) > 7 or "0" in code:
        raise ValueError("padding")
    return bytes(out)


def integer(value: int, bits: int, first: int) -> bytes:
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out = [first | most]
    value -= most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


class Decoder:
    def __init__(self) -> None:
        self.table: list[tuple[bytes, bytes]] = []
        self.limit = 4096

    def lookup(self, index: int) -> tuple[bytes, bytes]:
        if index == 0:
            raise ValueError("index 0")
        if index <= 61:
            name, value = STATIC[index - 1]
            return name.encode(), value.replace("~", " ").encode()
        if index - 62 >= len(self.table):
            raise ValueError("no such entry")
        return self.table[index - 62]

    def evict(self) -> None:
        while sum(len(n) + len(v) + 32 for n, v in self.table) > self.limit:
            self.table.pop()

    def decode(self, data: bytes) -> list[tuple[bytes, bytes]]:
        out: list[tuple[bytes, bytes]] = []
        at = 0

        def number(bits: int) -> int:
            nonlocal at
            most = (1 << bits) - 1
            value = data[at] & most
            at += 1
            shift = 0
            if value == most:
                while True:
                    if shift >= 21:
                        raise ValueError("integer")
                    value += (data[at] & 127) << shift
                    shift += 7
                    at += 1
                    if data[at - 1] < 128:
                        break
            return value

        def string() -> bytes:
            nonlocal at
            coded = data[at] >= 128
            size = number(7)
            if size > len(data) - at:
                raise ValueError("cut")
            raw = data[at:at + size]
            at += size
            return huffman_decode(raw) if coded else raw

        try:
            while at < len(data):
                first = data[at]
                if first >= 128:
                    out.append(self.lookup(number(7)))
                elif first >> 5 == 1:
                    self.limit = number(5)
                    if self.limit > 65536:
                        raise ValueError("table")
                    self.evict()
                else:
                    index = number(6 if first >= 64 else 4)
                    name = self.lookup(index)[0] if index else string()
                    value = string()
                    out.append((name, value))
                    if first >= 64:
                        self.table.insert(0, (name, value))
                        self.evict()
        except IndexError:
            raise ValueError("cut") from None
        return out


class Encoder:
    """Enough of an encoder to make every kind of field."""

    def __init__(self) -> None:
        self.twin = Decoder()

    def string(self, text: bytes, coded: bool) -> bytes:
        raw = huffman_encode(text) if coded else text
        return integer(len(raw), 7, 128 if coded else 0) + raw

    def encode(self, headers: list[tuple[bytes, bytes]], coded: bool = True, keep: bool = True) -> bytes:
        out = b""
        for name, value in headers:
            known = [(n.encode(), v.replace("~", " ").encode()) for n, v in STATIC] + self.twin.table
            if (name, value) in known:
                out += integer(known.index((name, value)) + 1, 7, 128)
                continue
            names = [n for n, _ in known]
            index = names.index(name) + 1 if name in names else 0
            piece = integer(index, 6 if keep else 4, 64 if keep else 0) + (b"" if index else self.string(name, coded)) + self.string(value, coded)
            self.twin.decode(piece)
            out += piece
        return out
