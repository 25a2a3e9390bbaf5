"""The tables in which rows are counted for a list of rules, and the kernels at work on them (gauge.py, ledger.py)."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dpi.batch import Batch
from dpi.capture.key import fresh_seed
from dpi.jit import LINE, point, records, world
from dpi.security.conversation import DENIED, port_classes
from dpi.security.counted import KEY, Counted, Key, counted
from dpi.security.denials import Denials
from dpi.security.detector import Rule
from dpi.security.distinct import WORDS, linear
from dpi.security.gauge import PENDINGS, SLOTS, TABLES, measure
from dpi.security.ledger import ARRAYS, ENTRY, HEAD, MATCH, MATCHES, MEASURES, NUMBER, NUMBER_BITS, PENDING, RULE, WAYS, WORLD, close_slots, forget
from dpi.security.sorts import Sorts

SECOND = 1_000_000
NEVER = -(1 << 62)


class Counting:
    """keys: entries at once; grace: us of the packet clock that rows of a slot may come late. `head` is HEAD[0], with the clock and the counters."""

    kernels = (measure, close_slots, forget)

    def __init__(self, rules: Sequence[Rule], keys: int, grace: int) -> None:
        if len(rules) > 255:
            raise ValueError("a rule's number has 8 bits")
        keys = max(WAYS, 1 << (keys - 1).bit_length())
        if keys > 1 << NUMBER_BITS:
            raise ValueError(f"an entry's number has {NUMBER_BITS} bits")
        self.sorts = Sorts()
        at_once = PENDINGS + SLOTS * len(rules)
        self.arrays: dict[str, Any] = {
            "head": records(1, HEAD), "rules": records(len(rules), RULE), "tags": _tags(keys), "entries": records(keys, ENTRY),
            "blocks": np.zeros((keys // 2 + 1) * WORDS, np.uint32), "found": np.zeros(max(1 << 13, 8 * at_once), np.int64),
            "pending": records(at_once, PENDING), "seed": fresh_seed(), "ports": port_classes(), "linear": linear(), "beside": np.zeros(0, np.uint32),
            "matches": records(MATCHES, MATCH),
            **self.sorts.arrays}
        for number, rule in enumerate(rules):
            self._put(number, rule)
        self.entries = self.arrays["entries"].view(np.ndarray).view(np.dtype(ENTRY.descr))      # as `tolist` wants it
        self.world = world(WORLD, {name: self.arrays[name] for name in ARRAYS})
        self.head = self.arrays["head"].view(np.ndarray)[0]
        self.head["first"], self.head["clock"], self.head["grace"] = 1 << 62, NEVER, grace
        self.denials = Denials() if any(rule.all & DENIED for rule in rules) else None

    def begin(self) -> None:
        """Another capture, or another clock, comes next."""
        self.arrays["rules"].view(np.ndarray)["closed"] = NEVER
        self.head["first"], self.head["clock"] = 1 << 62, NEVER

    @property
    def full(self) -> bool:
        """More than half of the places are taken."""
        return 2 * int(self.head["used"]) > len(self.arrays["tags"])

    def marks(self, entry: Counted) -> Any:
        """What of an entry is distinct, as far as it is kept."""
        return entry.marks(self.arrays["blocks"])

    def counted(self, places: Any) -> list[Counted]:
        """The entries at places int64[n]."""
        return counted(self.entries[self._numbers(places)])

    def fired(self, places: Any) -> list[Counted]:
        """Those of them that fired."""
        return self.counted(places[self.entries["fired"][self._numbers(places)] != 0])

    def keys(self, places: Any) -> list[Key]:
        """The keys of the entries at places int64[n]."""
        held = self.entries[self._numbers(places)]
        return list(zip(*(held[name].tolist() for name in KEY)))

    def _numbers(self, places: Any) -> Any:
        """Of the entries that places stand for."""
        return (self.arrays["tags"][places] & NUMBER).astype(np.int64)

    def beside(self, batch: Batch, found: Any) -> None:
        """What is known of rows of flows beside what they say: who is local, how often they were denied."""
        local = "client_local" in batch.columns
        denied = self.denials.of(found.view(np.ndarray)["flow_id"]) if self.denials is not None else None
        if not local and denied is None:
            if len(self.arrays["beside"]):
                self._point(np.zeros(0, np.uint32))
            return
        held = np.zeros(batch.count, np.uint32) if denied is None else denied << np.uint32(2)
        if local:
            client: Any = batch.columns["client_local"]
            server: Any = batch.columns["server_local"]
            held |= (np.asarray(client) != 0).astype(np.uint32) | (np.asarray(server) != 0).astype(np.uint32) << np.uint32(1)
        self._point(held)

    def count(self, rows: Any) -> Iterator[tuple[Any, Any]]:
        """Count ROW[n]; places of entries that reach a limit or half of it, and the rows that took them there, int64[k] each, as often as there is room."""
        place = 0
        while place < len(rows):
            place = measure(rows, place, len(rows), self.world)
            yield self._found()
            self.head["found"] = 0

    def close(self, moment: int) -> Iterator[list[Counted]]:
        """Close the slots that ended before `moment`: entries that fired or passed a floor, in lots, whose blocks are given back when the next is asked."""
        place = 0
        while place < len(self.arrays["tags"]):
            place = close_slots(place, moment, self.world)
            places, _ = self._found()
            yield self.counted(places)
            forget(len(places), self.world)

    def _put(self, number: int, rule: Rule) -> None:
        """A rule as the kernel knows it."""
        row = self.arrays["rules"].view(np.ndarray)[number:number + 1]
        bits, none = rule.all | self.sorts.bit(rule.sort), rule.none | self.sorts.bit(rule.beside)
        row["all"], row["any"], row["none"], row["window"], row["closed"] = bits, rule.any, none, rule.window * SECOND, NEVER
        for name in MEASURES:
            row[f"limit_{name}"] = getattr(rule.limits, name)
            row[f"floor_{name}"] = -(-getattr(rule.floor, name) // 4)
        row["table"], row["outweigh"] = TABLES.index(rule.table), rule.outweigh
        row["key"], row["distinct_of"], row["port"], row["sent"], row["every"] = rule.key, rule.of, rule.port, rule.sent, rule.every

    def _point(self, held: Any) -> None:
        self.arrays["beside"] = held
        point(self.world, "beside", held)

    def _found(self) -> tuple[Any, Any]:
        count = int(self.head["found"])
        pairs = self.arrays["found"][:count].reshape(-1, 2).copy()
        return pairs[:, 0], pairs[:, 1]


def _tags(count: int) -> Any:
    """uint64[count] that begins at a cache line: a bucket is one."""
    raw: Any = np.zeros(count + LINE // 8, np.uint64)
    begin = -raw.ctypes.data % LINE // 8
    return raw[begin:begin + count]
