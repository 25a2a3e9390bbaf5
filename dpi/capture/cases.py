"""Cases: for whom the packet ring may keep content, because of what, who agreed, and until when.

The file (TOML) is written by the operator for as long as a case needs it, and read at the start and at SIGHUP. Without a case only headers are kept.

    [[case]]
    number = "2026-0131"
    reason = "spam from a leased line, order of the security desk"
    approved_by = ["Li Na", "Wang Wei"]             # two people at least
    addresses = ["192.0.2.7", "2001:db8:1::/64"]    # of either end of the innermost conversation
    filter = "tcp port 25"                          # optional, narrows: tcpdump's language
    until = 2026-12-01T18:00:00+08:00               # at most 31 days ahead
"""
from __future__ import annotations

import ipaddress
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from dpi.capture.bpf import INSTRUCTION, BadFilter, accepts, assemble
from dpi.capture.octets import be32, be64
from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.jit import kernel, records

MOST_CASES, MOST_PREFIXES, MOST_DAYS = 16, 64, 31
NARROWEST = {4: 24, 6: 48}      # bits that a prefix has at least: a case is about someone, not about everyone
_TEXT = 500                     # characters of a text in the file
_KEYS = ("number", "reason", "approved_by", "addresses", "filter", "until")
_EXAMPLE = "see docs/probe.md for one that is whole"

#: A case as kernels see it: end (us), program instructions [start, stop) (none: every frame), packets opened so far.
CASE = np.dtype((np.record, [("until", "i8"), ("start", "i8"), ("stop", "i8"), ("packets", "i8")]))
#: An address range of a case: of IP version 4 the address is in `low`.
PREFIX = np.dtype((np.record, [("case", "i8"), ("version", "i8"), ("high", "u8"), ("low", "u8"), ("high_mask", "u8"), ("low_mask", "u8")]))


@kernel
def within(high: Any, low: Any, prefix: Any) -> Any:
    """Is an address, its upper and lower 64 bits, in a PREFIX?"""
    return high & prefix.high_mask == prefix.high and low & prefix.low_mask == prefix.low


@kernel
def case_of(data: Any, p: Any, cases: Any, prefixes: Any, count: Any, instructions: Any, memory: Any) -> Any:
    """The number, from 1, of a case that opens a decoded packet at its time; 0 none.

    cases CASE[n], prefixes PREFIX[at least count], instructions INSTRUCTION[m], memory int64[16], overwritten.
    """
    base = np.int64(p.offset)
    captured = np.int64(p.captured)
    version = np.int64(p.version)
    at = np.int64(p.ip_at)
    zero = np.uint64(0)
    if version == 4:
        if at + 20 > captured:
            return np.int64(0)
        at += base
        one_high, other_high = zero, zero
        one_low, other_low = np.uint64(be32(data, at + 12)), np.uint64(be32(data, at + 16))
    else:
        if version != 6 or at + 40 > captured:
            return np.int64(0)
        at += base
        one_high, one_low = be64(data, at + 8), be64(data, at + 16)
        other_high, other_low = be64(data, at + 24), be64(data, at + 32)
    for i in range(count):
        prefix = prefixes[np.uint64(i)]
        if prefix.version != version or not (within(one_high, one_low, prefix) or within(other_high, other_low, prefix)):
            continue
        number = np.int64(prefix.case)
        case = cases[np.uint64(number)]
        if p.time >= case.until:
            continue
        if case.start == case.stop:
            return number + 1
        for word in range(memory.size):
            memory[word] = 0
        if accepts(data, base, captured, max(np.int64(p.wire), captured), instructions, np.int64(case.start), np.int64(case.stop), memory):
            return number + 1
    return np.int64(0)


@dataclass(frozen=True)
class Case:
    """One case. until: us since the epoch."""
    number: str
    reason: str
    approved_by: tuple[str, ...]
    addresses: tuple[str, ...]
    filter: str
    until: int

    @property
    def words(self) -> dict[str, str]:
        """It in a log's words."""
        return {"case": self.number, "reason": self.reason, "approved_by": ", ".join(self.approved_by), "addresses": ", ".join(self.addresses),
                "filter": self.filter, "until": datetime.fromtimestamp(self.until / 1e6, UTC).isoformat(timespec="seconds")}


class Tables:
    """Cases for the frames of one link type, as kernels want them."""

    def __init__(self, cases: Sequence[Case], link: int) -> None:
        """UserError: a filter that libpcap refuses."""
        self.cases = tuple(cases)
        self.rows = records(max(len(cases), 1), CASE)
        self.prefixes = records(MOST_PREFIXES, PREFIX)
        self.count = 0
        programs: list[Any] = []
        stop = 0
        for number, case in enumerate(cases):
            start = stop
            if case.filter:
                try:
                    programs.append(assemble(case.filter, link).view(np.ndarray))
                except BadFilter as refused:
                    raise UserError(f"the filter of case {case.number}: {refused}", "[probe] case_file",
                                    "write it as for tcpdump; see man pcap-filter") from None
                stop += len(programs[-1])
            self.rows.view(np.ndarray)[number] = (case.until, start, stop, 0)
            for text in case.addresses:
                network = ipaddress.ip_network(text)
                address, mask = int(network.network_address), int(network.netmask)
                self.prefixes.view(np.ndarray)[self.count] = (number, network.version, address >> 64, address & (1 << 64) - 1, mask >> 64, mask & (1 << 64) - 1)
                self.count += 1
        self.instructions = records(max(stop, 1), INSTRUCTION)
        if programs:
            self.instructions.view(np.ndarray)[:] = np.concatenate(programs)

    def opened(self) -> dict[Case, int]:
        """Packets that each case has opened."""
        return {case: int(self.rows[number]["packets"]) for number, case in enumerate(self.cases)}


def read(path: str | os.PathLike[str], now: float | None = None) -> tuple[Case, ...]:
    """The cases of a file that are not over; none where there is no file. UserError: what is wrong with it; then nothing of it holds."""
    import tomllib

    now = time.time() if now is None else now
    file = Path(path)
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            content = tomllib.load(opened)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise UserError(f"the cases can't be read: {error.strerror}", str(file), "let the probe's user read it") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"not TOML: {error}", str(file), _EXAMPLE) from None
    if mode & 0o022:
        raise UserError("others may write it, and so open content", str(file), f"chmod 600 {file}")
    entries = content.get("case", [])
    if set(content) - {"case"} or not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError("it holds something else than tables [[case]]", str(file), _EXAMPLE)
    cases = [_checked(entry, str(file), now) for entry in entries]
    if len({case.number for case in cases}) != len(cases):
        raise UserError("two cases have the same number", str(file), "give each its own")
    running = tuple(case for case in cases if case.until > now * 1e6)
    if len(running) > MOST_CASES or sum(len(case.addresses) for case in running) > MOST_PREFIXES:
        raise UserError(f"more than {MOST_CASES} cases or {MOST_PREFIXES} addresses", str(file), "take out those that are over")
    return running


def _checked(entry: dict[str, Any], file: str, now: float) -> Case:
    number = entry.get("number")
    if not _text(number):
        raise UserError("a case has no number", file, f'number = "..."; {_EXAMPLE}')
    where = f"{file}, case {number}"
    unknown = sorted(set(entry) - set(_KEYS))
    if unknown:
        raise UserError(f"unknown: {', '.join(unknown)}", where, f"there are {', '.join(_KEYS)}")
    if not _text(entry.get("reason")):
        raise UserError("no reason", where, 'reason = "why content is needed"')
    people = entry.get("approved_by")
    if not isinstance(people, list) or not all(map(_text, people)) or len({str(one).strip().casefold() for one in people}) < 2:
        raise UserError("it takes two people to open content", where, 'approved_by = ["one name", "another name"]')
    words = entry.get("filter", "")
    if not isinstance(words, str) or len(words) > _TEXT or "\0" in words:
        raise UserError("filter is no text", where, 'filter = "tcp port 25", or none')
    until = entry.get("until")
    if not isinstance(until, datetime) or until.tzinfo is None:
        raise UserError("no end, or one without its offset from UTC", where, "until = 2026-12-01T18:00:00+08:00")
    if until.timestamp() > now + MOST_DAYS * 86400:
        raise UserError(f"its end is more than {MOST_DAYS} days away", where, "give an earlier end; it can be opened again")
    return Case(str(number).strip(), str(entry["reason"]).strip(), tuple(str(one).strip() for one in people), _addresses(entry.get("addresses"), where),
                words.strip(), round(until.timestamp() * 1e6))


def _addresses(given: Any, where: str) -> tuple[str, ...]:
    if not isinstance(given, list) or not given:
        raise UserError("no addresses", where, 'addresses = ["192.0.2.7"]')
    found = []
    for one in given:
        try:
            network = ipaddress.ip_network(one if isinstance(one, str) else "")
        except ValueError:
            raise UserError(f"no address or prefix: {one!r}", where, 'write it as "192.0.2.7" or "192.0.2.0/28"') from None
        if network.prefixlen < NARROWEST[network.version]:
            raise UserError(f"{network} is too wide for a case", where, f"/{NARROWEST[network.version]} at least")
        found.append(str(network))
    return tuple(found)


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and len(value) <= _TEXT and value.isprintable()
