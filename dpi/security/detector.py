"""What a detector's file declares: words, options, and rules that say which rows are counted by which key, and how much is too much."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from dpi.dataclass import dataclass
from dpi.security.gauge import BOTH, CLIENT, NO_PORT, NOTHING, PAIR, TABLES
from dpi.security.rhythm import Rhythm

if TYPE_CHECKING:
    from dpi.security.fault import Found, Look

SEVERITIES = ("low", "medium", "high", "critical")


@dataclass(frozen=True)
class Words:
    """The same in English and Chinese."""
    en: str
    zh: str


@dataclass(frozen=True)
class Limits:
    """What is too much in one slot; 0: does not count. distinct: values of what the rule asks for."""
    distinct: int = 0
    packets: int = 0
    bytes: int = 0
    flows: int = 0

    def __bool__(self) -> bool:
        return bool(self.distinct or self.packets or self.bytes or self.flows)


@dataclass(frozen=True)
class Sort:
    """Rows of one of these protocols, applications or categories, or of one of these server ports. Rules share the same sort."""
    protocols: tuple[str, ...] = ()
    applications: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.protocols or self.applications or self.categories or self.ports)


@dataclass(frozen=True)
class Rule:
    """Counts the rows that have all bits of `all`, one of `any` where there are some, and none of `none` (dpi.security.conversation).

    key: of what address; of: what is distinct; port: which port is part of the key; sent: whose packets and bytes are counted (dpi.security.gauge).
    window: length of a slot, s. every: all limits must be reached, not one. sort: which rows by name or port; beside: which not.
    floor and times: the learned limit: a slot fires as well where it has `floor` and more than `times` the usual (dpi.security.baseline).
    usual: the fixed limits hold as long as what is usual is not known, the learned ones then. rhythm: starts of flows (`of=STARTS`) must keep it.
    acquaint: a key is told in the first slot it has, not in later ones; so many s after the first row keys are only learned; -1: no matter.
    victim: True: the key is the target, False: it is the source. where: the condition of the rows it counts, in SQL, for people.
    table: of what rows are (dpi.security.gauge.TABLES); bits of messages of DNS are those of names.py, of frames those of segment.py.
    outweigh: packets must be more than bytes. called: what measures are, in evidence, where they are something else. learn: s from the first server of
    a segment on in which others are taken as known (segment.py). spared: addresses, networks and domains that are not told.
    """
    all: int
    where: str
    window: int
    limits: Limits
    any: int = 0
    none: int = 0
    key: int = CLIENT
    of: int = NOTHING
    port: int = NO_PORT
    sent: int = BOTH
    every: bool = False
    sort: Sort = Sort()
    beside: Sort = Sort()
    floor: Limits = Limits()
    times: float = 0.0
    usual: bool = False
    rhythm: Rhythm | None = None
    acquaint: int = -1
    victim: bool = False
    table: str = "flows"
    outweigh: bool = False
    called: tuple[tuple[str, str], ...] = ()
    learn: int = 0
    spared: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.limits and not self.floor:
            raise ValueError("a rule without limits never fires")
        if self.table not in TABLES:
            raise ValueError(f"rows are of {', '.join(TABLES)}")

    @property
    def pair(self) -> bool:
        """Whether both ends are the same in all rows of a key."""
        return self.key == PAIR


def no_rules(options: Any) -> Sequence[Rule]:
    """Of a detector that counts no rows by a key."""
    return ()


@dataclass(frozen=True)
class Detector:
    """One kind of detection.

    kind: its name in `detections`, snake_case. technique: of MITRE ATT&CK, '' for a fault. summary: a sentence with the places {source}, {target},
    {port}, {packets}, {bytes}, {flows}, {distinct}, {addresses} (in English, how many) and {seconds}.
    rules: made of the options. faults: of a detector of faults: which lines have it in a slot (dpi.security.fault); its summary has the places {line}, {value},
    {limit}, {packets}, {flows}, {customers} and {seconds}. by_port: alerts of different ports are different alerts.
    unless: kinds that say more: where one of them fired for the same address within the slot, this one is not told.
    """
    kind: str
    title: Words
    severity: str
    technique: str
    technique_name: str
    summary: Words
    options: type[Any]
    rules: Callable[[Any], Sequence[Rule]] = no_rules
    by_port: bool = False
    unless: tuple[str, ...] = ()
    faults: Callable[[Any, Look], Found] | None = None
    words: str = field(default="", compare=False)       # the file's docstring
    file: str = field(default="", compare=False)


def option(default: int, words: str, least: int, most: int) -> Any:
    """A whole number that a person may set in `[detect.KIND]`."""
    return field(default=default, metadata={"words": words, "least": least, "most": most})


def listed(words: str, default: str = "") -> Any:
    """Words separated by commas that a person may set in `[detect.KIND]`."""
    return field(default=default, metadata={"words": words, "least": None, "most": None})


def parts(words: str) -> tuple[str, ...]:
    """The words of such an option."""
    return tuple(word.strip().lower().rstrip(".") for word in words.split(",") if word.strip())


#: Options of kinds as they were given: kind -> name -> value.
Given = Mapping[str, Mapping[str, Any]]
