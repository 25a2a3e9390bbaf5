"""Rules: rules/apps/*.toml and the protocol files, loaded and checked into the arrays the kernels read; and rules/tags/*.toml (dpi.tagging).

`load()` reads the package's rules and any further directories, and keeps what it compiled in the cache directory, keyed by the state of the rule
files and of the sources involved: a warm start reads one file. What a stanza may hold is in docs/rules.md.
"""
from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np

from dpi.cache import cache_directory, keep
from dpi.classify.verdict import CONFIDENCE, WORDS
from dpi.dataclass import dataclass
from dpi.errors import UserError
from dpi.jit import BUILD, Entry

if TYPE_CHECKING:
    from dpi.tagging import Tagging

_PACKAGE = Path(__file__).resolve().parent
_KEPT = 8               # compiled rule sets kept in the cache directory
_MAGIC = b"fullspan rules 2"


class Reason(NamedTuple):
    """Why a flow got a name. `words` go into the `evidence` column."""
    number: int
    protocol: int           # index in RuleSet.protocols, 0 none
    application: int        # index in RuleSet.applications, 0 none
    confidence: str
    words: str
    file: str               # rule file, or the RFC a parser follows
    line: int               # 0 where the reason is a parser


@dataclass(frozen=True)
class RuleSet:
    """Every rule in force. Numbers index the lists; 0 means none. Arrays are what the kernels in dpi/classify take.

    Arrays named parser_* are indexed by ROW.parser (slot 0 unused); `parsers[k - 1]` and `address_array()[k]` are parser k.
    parser_also[k * 16 + i]: protocol number of parser k's further name `also[i]` (the parser says it with inspection.protocol = i + 1);
    parser_also_reason likewise; a name "STUN.WhatsAppCall" gives protocol and application. parser_memory: bytes of private memory it wants.
    parser_starts[k * 256 + byte]: whether a single packet that begins with this byte is worth showing to parser k.
    """
    version: str                        # 12 hex digits over all rule files
    protocols: list[str]
    protocol_categories: list[str]
    applications: list[str]
    categories: list[str]               # of each application
    notes: list[str]                    # what `rules check` tells without refusing
    files: list[Path]                   # rule files read
    values: list[str]
    places: list[str]
    parser_labels: list[str]            # of the parsers' entries: a warm start loads them without importing the protocol files
    arrays: dict[str, Any]

    reason_table: Any                   # REASON[]
    reason_dns: Any                     # uint32[]: the same rule reached through a DNS answer, 0 where it is no name rule
    rows: Any
    pieces: Any
    pattern_bytes: Any
    buckets: Any
    names: Any
    certificate_names: Any
    alpns: Any                          # NAME[]: exact ALPN values, for find_name
    agents: Any
    agent_bytes: Any
    networks4: Any
    networks6: Any
    carriers: Any                       # uint8[] by protocol: bit 1, a network rule may name the application of its flows
    ports: Any                          # uint32[3 * 65536]
    parser_protocol: Any                # uint16[]
    parser_reason: Any                  # uint32[]
    parser_memory: Any                  # uint16[]
    parser_starts: Any                  # uint8[]
    parser_also: Any                    # uint16[]
    parser_also_reason: Any             # uint32[]
    tagging: Tagging | None = None      # rules that add tags; None: there are none

    @functools.cached_property
    def reasons(self) -> Reasons:
        """Reason of each number, made when asked for."""
        return Reasons(self)

    @functools.cached_property
    def parsers(self) -> list[Entry]:
        """The parsers' entries (imports the protocol files)."""
        from dpi.classify import registry
        return [one.parse for one in registry.parsers()]

    def address_array(self) -> Any:
        """uint64[]: native address of each parser by number; slot 0 is 0. Compiles what is not in the cache."""
        if BUILD == "off":
            return np.array([0, *(one.address() for one in self.parsers)], np.uint64)
        from dpi.native import the_cache
        return np.array([0, *the_cache().addresses(self.parser_labels)], np.uint64)

    def identities(self) -> list[tuple[Any, ...]]:
        """What makes each reason the same in another rule set: what it names, how, by which value and from which file (not from which line)."""
        kinds, values, files, _ = self._columns
        table = self.reason_table.view(np.ndarray)
        return [(self.protocols[protocol], self.applications[application], confidence, kind, self.values[value], self.places[file])
                for protocol, application, confidence, kind, value, file
                in zip(table["protocol"].tolist(), table["application"].tolist(), table["confidence"].tolist(), kinds, values, files, strict=True)]

    def evidence(self) -> list[str]:
        """The words of every reason, by number."""
        return [self.words(number) for number in range(self.reason_table.size)]

    def words(self, number: int) -> str:
        """Why a flow got a name, as a person can check it: the `evidence` column. Empty for 0."""
        kinds, values, files, lines = self._columns
        said = WORDS[kinds[number]].format(self.values[values[number]])
        place = self.places[files[number]]
        return said if not place else f"{said} ({place}:{lines[number]})" if lines[number] else f"{said} ({place})"

    @functools.cached_property
    def _columns(self) -> tuple[list[int], ...]:
        return tuple(self.arrays[key].tolist() for key in ("reason_kind", "reason_value", "reason_file", "reason_line"))


class Reasons(Sequence[Reason]):
    """The reasons of a rule set; each is put into words when it is asked for."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules

    def __len__(self) -> int:
        return int(self._rules.reason_table.size)

    @overload
    def __getitem__(self, number: int) -> Reason: ...
    @overload
    def __getitem__(self, number: slice) -> list[Reason]: ...

    def __getitem__(self, number: int | slice) -> Reason | list[Reason]:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(number)
        return self._make(int(number) % len(self))

    def __iter__(self) -> Iterator[Reason]:
        return (self._make(i) for i in range(len(self)))

    def _make(self, number: int) -> Reason:
        rules, row = self._rules, self._rules.reason_table[number]
        _, _, files, lines = rules._columns
        return Reason(number, int(row["protocol"]), int(row["application"]), CONFIDENCE[int(row["confidence"])], rules.words(number),
                      rules.places[files[number]], lines[number])


# ---------------------------------------------------------------- where rules are

def rules_directory() -> Path:
    """The rules that come with Fullspan: beside the package in a checkout, else where the installation put them."""
    for candidate in (_PACKAGE.parent / "rules", Path(sys.prefix) / "share" / "fullspan" / "rules"):
        if (candidate / "apps").is_dir():
            return candidate
    raise UserError("the application rules are missing", str(Path(sys.prefix) / "share" / "fullspan" / "rules"), "install Fullspan again")


def rule_files(directories: Sequence[Path | str] = ()) -> list[list[tuple[Path, str]]]:
    """For the package's rules and each further directory: its (path, name shown to people), sorted."""
    layers = [[(path, f"rules/apps/{path.name}") for path in sorted((rules_directory() / "apps").glob("*.toml"))]]
    for directory in map(Path, directories):
        if not directory.is_dir():
            raise UserError("not a directory of rules", str(directory), "give --rules a directory that holds *.toml files")
        found = sorted({*directory.glob("*.toml"), *(directory / "apps").glob("*.toml")})
        if not found and not any((directory / "tags").glob("*.toml")):
            raise UserError("holds no *.toml file", str(directory), "put rule files there; docs/rules.md shows the format")
        layers.append([(path, str(path)) for path in found])
    return layers


# ---------------------------------------------------------------- loading

def load(directories: Sequence[Path | str] = (), *, cache: bool = True) -> RuleSet:
    """The package's rules and those of further directories (which override). Raises UserError naming file, line and the fix."""
    layers = rule_files(directories)
    store = cache_directory() / f"rules-{_state(layers)}.bin"
    kept = _read(store) if cache else None
    if kept is None:
        kept = _compile(layers)
        if cache:
            _write(store, *kept)
    lists, arrays = kept
    return _assemble(lists["version"][0], [path for layer in layers for path, _ in layer], lists, arrays, _tagging(directories))


def _tagging(directories: Sequence[Path | str], errors: list[UserError] | None = None) -> Tagging | None:
    """The tag rules of tags/*.toml; None where there is no such file."""
    places = [(rules_directory(), True), *((Path(one), False) for one in directories)]
    if not any(any((place / "tags").glob("*.toml")) for place, _ in places):
        return None
    from dpi.tagging import stanzas

    return stanzas.load([file for place, package in places for file in stanzas.files_of(place, package)], errors) or None


def _state(layers: list[list[tuple[Path, str]]]) -> str:
    """What a compiled rule set is called: by size and time of the last change, which no copying tool sets back, of all that it depends on."""
    digest = hashlib.sha256(_MAGIC)
    sources = [(Path(__file__), "")]
    for folder in (_PACKAGE / "classify", _PACKAGE / "classify" / "protocols"):
        sources += [(path, path.name) for path in sorted(folder.glob("*.py"))]
    for layer in (*layers, sources):
        for path, shown in layer:
            try:
                now = os.stat(path)
            except OSError as error:
                raise _unreadable(shown, error) from None
            digest.update(f"{path}\0{shown}\0{now.st_ctime_ns} {now.st_size}\0".encode())
        digest.update(b"\1")
    return digest.hexdigest()[:24]


def _unreadable(shown: str, error: OSError) -> UserError:
    return UserError(f"can't be read: {error.strerror}", shown, "check that it exists and may be read")


def check(directories: Sequence[Path | str] = ()) -> list[UserError]:
    """Every error in the rule files, where `load` stops at the first; empty if `load` succeeds."""
    from dpi.classify import registry, rulebook, stanzas

    errors: list[UserError] = []
    layers: list[list[stanzas.Stanza]] = []
    for files in rule_files(directories):
        layers.append([])
        for path, shown in files:
            try:
                layers[-1] += stanzas.read(path, shown, errors)
            except UserError as error:
                errors.append(error)
    rulebook.compile_rules(layers, registry.parsers(), errors)
    _tagging(directories, errors)
    return errors


def _compile(layers: list[list[tuple[Path, str]]]) -> tuple[dict[str, list[str]], dict[str, Any]]:
    from dpi.classify import registry, rulebook, stanzas

    book = rulebook.compile_rules([[one for path, shown in layer for one in stanzas.read(path, shown)] for layer in layers], registry.parsers())
    return {**book.lists, "version": [_version(layers)]}, book.arrays


def _version(layers: list[list[tuple[Path, str]]]) -> str:
    """12 hex digits over the content of all rule files."""
    version = hashlib.sha256()
    for layer in layers:
        for path, shown in layer:
            try:
                version.update(hashlib.sha256(path.read_bytes()).digest())
            except OSError as error:
                raise _unreadable(shown, error) from None
    return version.hexdigest()[:12]


def _assemble(version: str, files: list[Path], lists: dict[str, list[str]], arrays: dict[str, Any], tagging: Tagging | None = None) -> RuleSet:
    from dpi.classify.ports import table

    named = {name: arrays[name] for name in (
        "reason_table", "reason_dns", "rows", "pieces", "pattern_bytes", "buckets", "names", "certificate_names", "alpns", "agents", "agent_bytes",
        "networks4", "networks6", "carriers", "parser_protocol", "parser_reason", "parser_memory", "parser_starts", "parser_also", "parser_also_reason")}
    ranges = arrays["port_ranges"].reshape(-1, 4).tolist()
    return RuleSet(version, lists["protocols"], lists["protocol_categories"], lists["applications"], lists["categories"], lists["notes"], files,
                   lists["values"], lists["files"], lists["parsers"], arrays, ports=table(tuple(row) for row in ranges), tagging=tagging, **named)


# ---------------------------------------------------------------- the cache file: a line of JSON, then the arrays one after the other

def _dtypes() -> dict[str, np.dtype[Any]]:
    from dpi.classify.names import AGENT, NAME
    from dpi.classify.networks import NET4, NET6
    from dpi.classify.signatures import PIECE, ROW
    from dpi.classify.verdict import REASON

    return {"rows": ROW, "pieces": PIECE, "names": NAME, "certificate_names": NAME, "alpns": NAME, "agents": AGENT, "networks4": NET4,
            "networks6": NET6, "reason_table": REASON}


def _write(path: Path, lists: dict[str, list[str]], arrays: dict[str, Any]) -> None:
    """Keep what was compiled, and let go of what is old."""
    shape = [(name, array.dtype.str if array.dtype.names is None else "", int(array.size)) for name, array in arrays.items()]
    head = json.dumps({"lists": lists, "arrays": shape}).encode() + b"\n"
    keep(path, _MAGIC + len(head).to_bytes(8, "little") + head + b"".join(array.tobytes() for array in arrays.values()))
    with contextlib.suppress(OSError):
        for old in sorted(path.parent.glob("rules-*.bin"), key=lambda one: -one.stat().st_mtime_ns)[_KEPT:]:
            old.unlink(missing_ok=True)


def _read(path: Path) -> tuple[dict[str, list[str]], dict[str, Any]] | None:
    """What was kept; None where there is nothing usable."""
    try:
        data = bytearray(path.read_bytes())
    except OSError:
        return None
    start = len(_MAGIC) + 8
    if data[:len(_MAGIC)] != _MAGIC or len(data) < start:
        return None
    at = start + int.from_bytes(data[len(_MAGIC):start], "little")
    try:
        head = json.loads(data[start:at])
        arrays, dtypes = {}, _dtypes()
        for name, code, count in head["arrays"]:
            dtype = np.dtype(code) if code else dtypes[name]
            array = np.frombuffer(data, dtype, count, at)
            arrays[name] = array if code else array.view(np.recarray)
            at += dtype.itemsize * count
    except (ValueError, KeyError, TypeError):
        return None
    return (head["lists"], arrays) if at == len(data) else None
