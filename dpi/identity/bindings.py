"""The bindings file: which service and customer a prefix, VLAN, MAC address, user or circuit is, from when until when, and where that is metered.

CSV (RFC 4180) with a header; docs/identity.md has the format and its rules. All of the file is good or none of it is taken: the first error is a UserError with
file, line and mend. A hundred thousand lines take about half a second.
"""
from __future__ import annotations

import csv
import hashlib
import os
import socket
from collections.abc import Iterator
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.flow.table import ANY_VLAN
from dpi.jit import records

COLUMNS = ("service_id", "customer_id", "prefix", "vlan", "inner_vlan", "mac", "user", "circuit", "valid_from", "valid_to", "probe", "interface")
PREFIX, MAC, VLAN, USER, CIRCUIT = 1, 2, 3, 4, 5
KINDS = ("", "prefix", "mac", "vlan", "user", "circuit")
ALWAYS, NEVER = -(1 << 62), 1 << 62     # valid_from and valid_to where they are not given, us
LONGEST = 255                           # characters of a name
_MAPPED = 0xFFFF << 32
_WORD = (1 << 64) - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: A line. Numbers of words are places in the lists of `Bindings`, 0 for none; record 0 is no line. Addresses as (high word, low word), IPv4 mapped.
BINDING = np.dtype((np.record, [
    ("valid_from", "i8"), ("valid_to", "i8"),           # us, half-open
    ("low", "u8", (2,)), ("high", "u8", (2,)),          # first and last address; all of them where there is no prefix
    ("mac", "u8"), ("digest", "u8"),                    # digest: of the line's text
    ("vlan", "i4"), ("inner_vlan", "i4"),               # ANY_VLAN: not given
    ("service", "u4"), ("customer", "u4"), ("probe", "u4"), ("interface", "u4"), ("user", "u4"), ("circuit", "u4"),
    ("line", "u4"), ("kind", "u2"), ("length", "u2"),   # of the prefix, of 32 for IPv4 or 128
]))
_SORTED_BY = ("kind", "vlan", "inner_vlan", "low", "high", "mac", "user", "circuit")


class Wrong(Exception):
    """A cell that can't be read: what is wrong with it, and the mend."""


class _Words:
    """Distinct strings and their numbers; 0 is ''."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {"": 0}

    def __call__(self, text: str) -> int:
        found = self.numbers.get(text)
        if found is None:
            if len(text) > LONGEST or not text.isprintable():
                raise Wrong("not a name", f"write it in at most {LONGEST} printable characters")
            found = self.numbers[text] = len(self.numbers)
        return found


@dataclass
class Bindings:
    """A file as read. `lines` BINDING[n + 1] in groups of the same key (see `keys`), each in the order of time."""
    path: str = ""
    lines: Any = field(default_factory=lambda: records(1, BINDING))
    services: list[str] = field(default_factory=lambda: [""])
    customers: list[str] = field(default_factory=lambda: [""])
    probes: list[str] = field(default_factory=lambda: [""])
    interfaces: list[str] = field(default_factory=lambda: [""])
    users: list[str] = field(default_factory=lambda: [""])
    circuits: list[str] = field(default_factory=lambda: [""])
    warnings: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        """Lines of the file but its header."""
        return len(self.lines) - 1

    def groups(self) -> Any:
        """int64[k]: where in `lines` each key's lines begin; they end where the next begins."""
        plain = self.lines.view(np.ndarray)[1:]
        return np.flatnonzero(np.concatenate([np.ones(min(len(plain), 1), bool), ~_same(plain)])) + 1

    def in_force(self, time: int) -> int:
        """How many lines hold at `time`, us."""
        plain = self.lines.view(np.ndarray)[1:]
        return int(((plain["valid_from"] <= time) & (time < plain["valid_to"])).sum())

    def words(self, number: int) -> dict[str, str]:
        """Line `number` of `lines` as the file has it: what is given, by column; and `line`."""
        one = self.lines[number]
        kind = int(one["kind"])
        found = {"service_id": self.services[one["service"]], "customer_id": self.customers[one["customer"]], "user": self.users[one["user"]],
                 "circuit": self.circuits[one["circuit"]], "probe": self.probes[one["probe"]], "interface": self.interfaces[one["interface"]],
                 "prefix": prefix_text(one) if kind == PREFIX else "", "mac": int(one["mac"]).to_bytes(6, "big").hex(":") if kind == MAC else "",
                 "vlan": str(one["vlan"]) if one["vlan"] != ANY_VLAN else "", "inner_vlan": str(one["inner_vlan"]) if one["inner_vlan"] != ANY_VLAN else "",
                 "valid_from": time_text(int(one["valid_from"])), "valid_to": time_text(int(one["valid_to"]))}
        return {"line": str(one["line"]), **{name: found[name] for name in COLUMNS if found[name]}}


def _same(plain: Any) -> Any:
    """bool[n - 1]: whether a line has the key of the one before it."""
    same = np.ones(max(len(plain) - 1, 0), bool)
    for name in _SORTED_BY:
        equal = plain[name][1:] == plain[name][:-1]
        same &= equal.all(axis=1) if equal.ndim > 1 else equal
    return same


def prefix_text(one: Any) -> str:
    """The prefix of a line as people write it."""
    high, low, length = int(one["low"][0]), int(one["low"][1]), int(one["length"])
    if not high and low >> 32 == 0xFFFF:
        return f"{socket.inet_ntop(socket.AF_INET, (low & 0xFFFFFFFF).to_bytes(4, 'big'))}/{length}"
    return f"{socket.inet_ntop(socket.AF_INET6, (high << 64 | low).to_bytes(16, 'big'))}/{length}"


def time_text(us: int) -> str:
    """ISO 8601, UTC; '' for a bound that is not given."""
    if us in (ALWAYS, NEVER):
        return ""
    return datetime.fromtimestamp(us // 1_000_000, UTC).replace(microsecond=us % 1_000_000, tzinfo=None).isoformat() + "Z"


def prefix(text: str) -> tuple[int, int, int]:
    """(first, last address as numbers of 128 bits with IPv4 mapped, length) of '192.0.2.0/24', '2001:db8::/48' or an address."""
    address, slash, size = text.partition("/")
    six = ":" in address
    try:
        number = int.from_bytes(socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, address), "big")
    except OSError:
        raise Wrong(f"not a network: {text!r}", "write it as 192.0.2.0/24 or 2001:db8::/48") from None
    bits = 128 if six else 32
    length = bits
    if slash:
        if not size.isascii() or not size.isdigit() or len(size) > 3 or int(size) > bits:
            raise Wrong(f"not a network: {text!r}", f"its length is 0 to {bits}")
        length = int(size)
    hosts = (1 << bits - length) - 1
    if number & hosts:
        right = (number & ~hosts).to_bytes(bits // 8, "big")
        raise Wrong(f"{text!r} has bits beyond its length",
                     f"write {socket.inet_ntop(socket.AF_INET6 if six else socket.AF_INET, right)}/{length}, or the address alone")
    if six and number <= _MAPPED | 0xFFFFFFFF and number | hosts >= _MAPPED:
        raise Wrong(f"{text!r} holds IPv4 as well, which is ::ffff:0:0/96", "write it as IPv4; 2000::/3 is all of IPv6 that is routed")
    number |= 0 if six else _MAPPED
    return number, number | hosts, length


def mac(text: str) -> int:
    """48 bits of 'aa:bb:cc:dd:ee:ff', 'aa-bb-...' or 'aabb.ccdd.eeff'."""
    digits = text.replace(":", "").replace("-", "").replace(".", "")
    try:
        if len(digits) != 12 or not digits.isalnum() or not (number := int(digits, 16)):
            raise ValueError
    except ValueError:
        raise Wrong(f"not a MAC address: {text!r}", "write it as aa:bb:cc:dd:ee:ff") from None
    return number


def vlan(text: str) -> int:
    """A VLAN id."""
    if not text.isascii() or not text.isdigit() or len(text) > 4 or not 1 <= int(text) <= 4094:
        raise Wrong(f"not a VLAN id: {text!r}", "it is 1 to 4094")
    return int(text)


def moment(text: str) -> int:
    """us of ISO 8601; UTC where no offset is given."""
    try:
        when = datetime.fromisoformat(text)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        span = when - _EPOCH
    except (ValueError, OverflowError):
        raise Wrong(f"not a time: {text!r}", "write it as 2026-05-01T12:30:00Z or 2026-05-01T20:30:00+08:00") from None
    return (span.days * 86400 + span.seconds) * 1_000_000 + span.microseconds


def read(path: str | os.PathLike[str]) -> Bindings:
    """Read and check a file. UserError names the file, the line and the mend."""
    file = Path(path)
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode & 0o777
            text = opened.read().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"the bindings can't be read: {error.strerror}", str(file), "name a file that this user may read") from None
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8 at byte {error.start}", str(file), "save it as UTF-8") from None
    found = Bindings(str(file))
    if mode & 0o077:
        found.warnings.append(f"{file}: mode {mode:04o}: others may read who has which address (chmod 600)")
    _Reading(found, str(file)).read(text)
    return found


class _Reading:
    """One file on its way into Bindings."""

    def __init__(self, into: Bindings, path: str) -> None:
        self._into, self._path = into, path
        self._words = {name: _Words() for name in ("service_id", "customer_id", "probe", "interface", "user", "circuit")}
        self._times: dict[str, int] = {}

    def _error(self, line: int, problem: str, mend: str) -> UserError:
        return UserError(problem, f"{self._path}:{line}", mend)

    def read(self, text: str) -> None:
        """All lines; they are sorted, and what overlaps is refused."""
        rows = self._rows(text)
        _, header = next(rows, (1, []))
        names = [cell.strip() for cell in header]
        unknown = [name for name in names if name not in COLUMNS]
        if "service_id" not in names or unknown or len(set(names)) < len(names):
            what = f"no column {unknown[0]!r} is known" if unknown else "a column is there twice" if "service_id" in names else "the header is missing"
            raise self._error(1, what, f"begin with: {','.join(COLUMNS)}")
        order = [names.index(name) if name in names else len(names) for name in COLUMNS]
        taken = []
        for line, cells in rows:
            if len(cells) != len(names):
                raise self._error(line, f"{len(cells)} cells, {len(names)} are needed", "write each line with as many commas as the header has")
            cells = [*(cell.strip() for cell in cells), ""]
            try:
                taken.append((*self._line([cells[place] for place in order]), line))
            except Wrong as wrong:
                raise self._error(line, *wrong.args) from None
        self._settle(taken)

    def _rows(self, text: str) -> Iterator[tuple[int, list[str]]]:
        """(number of its line, cells) of each line that is not empty."""
        reader = csv.reader(text.splitlines(keepends=True), strict=True)
        try:
            for cells in reader:
                if cells:
                    yield reader.line_num, cells
        except csv.Error as error:
            raise self._error(reader.line_num, f"not CSV: {error}", "a cell with commas or quotes is put in double quotes, quotes in it are doubled") from None

    def _line(self, cells: list[str]) -> tuple[int, ...]:
        """The fields of a BINDING but its line, addresses as numbers."""
        service, customer, network, outer, inner, address, user, circuit, valid_from, valid_to, probe, interface = cells
        if not service:
            raise Wrong("no service_id", "name the service, or take the line out")
        given = [kind for kind, cell in ((PREFIX, network), (MAC, address), (USER, user), (CIRCUIT, circuit)) if cell]
        if len(given) > 1:
            raise Wrong(f"{' and '.join(KINDS[kind] for kind in given)} in one line", "give each a line of its own")
        kind = given[0] if given else VLAN
        if kind == VLAN and not outer:
            raise Wrong("nothing says what it binds", "give a prefix, vlan, mac, user or circuit")
        if outer and kind not in (PREFIX, VLAN):
            raise Wrong(f"a VLAN and a {KINDS[kind]} in one line", "a vlan stands alone or with a prefix")
        if inner and not outer:
            raise Wrong("an inner VLAN without an outer one", "give vlan as well")
        first, last, length = prefix(network) if network else (0, (1 << 128) - 1, 0)
        since = self._time(valid_from) if valid_from else ALWAYS
        until = self._time(valid_to) if valid_to else NEVER
        if until <= since:
            raise Wrong("it ends before it begins", "valid_to is the first moment at which it no longer holds")
        words = self._words
        digest = int.from_bytes(hashlib.blake2b("\0".join(cells).encode(), digest_size=8).digest(), "little")
        return (since, until, first, last, mac(address) if address else 0, digest, vlan(outer) if outer else ANY_VLAN, vlan(inner) if inner else ANY_VLAN,
                words["service_id"](service), words["customer_id"](customer), words["probe"](probe), words["interface"](interface), words["user"](user),
                words["circuit"](circuit), kind, length)

    def _time(self, text: str) -> int:
        found = self._times.get(text)
        if found is None:
            found = self._times[text] = moment(text)
        return found

    def _settle(self, taken: list[tuple[int, ...]]) -> None:
        into = self._into
        lines = records(len(taken) + 1, BINDING)
        plain = lines.view(np.ndarray)[1:]
        if taken:
            columns = list(zip(*taken, strict=True))
            fields = ("valid_from", "valid_to", "low", "high", "mac", "digest", "vlan", "inner_vlan", "service", "customer", "probe", "interface", "user",
                      "circuit", "kind", "length", "line")
            for name, values in zip(fields, columns, strict=True):
                if name in ("low", "high"):
                    plain[name][:, 0] = np.array([value >> 64 for value in values], np.uint64)
                    plain[name][:, 1] = np.array([value & _WORD for value in values], np.uint64)
                else:
                    plain[name] = np.array(values, plain.dtype[name])
        keys = [column for name in _SORTED_BY for column in ([plain[name][:, 0], plain[name][:, 1]] if plain[name].ndim > 1 else [plain[name]])]
        # of two networks that begin with the same address the larger one comes first: it is around the other
        keys[5], keys[6] = ~keys[5], ~keys[6]
        plain[:] = plain[np.lexsort((plain["valid_from"], *reversed(keys)))]
        over = np.flatnonzero(_same(plain) & (plain["valid_from"][1:] < plain["valid_to"][:-1]))
        into.lines = lines
        for name, words in self._words.items():
            setattr(into, name.removesuffix("_id") + "s", list(words.numbers))
        if len(over):
            one, two = sorted((int(plain["line"][over[0]]), int(plain["line"][over[0] + 1])))
            raise self._error(two, f"overlaps in time with line {one}, which binds the same {KINDS[int(plain['kind'][over[0]])]}",
                              "end the one with valid_to where the other begins with valid_from")


