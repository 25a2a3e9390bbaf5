"""The numbers of lines: of links and VLANs, of local networks, of services out of the columns of a batch; their names, kinds and customers.

State: about 250 bytes a line, most of it its name and the two tables that it is found by; at most MOST lines.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dpi.batch import coded
from dpi.grouping import groups
from dpi.security.fault import LINK, NET, SERVICE, VLAN
from dpi.security.firing import address_of
from dpi.security.gauge import SERVER_NET

MOST = 1 << 17              # lines; what comes beyond has none, and is counted
LINKS, NETS = 256, 4096     # of the lines, links and local networks at most
ROOM = 4096                 # lines for which there is room at first


class Register:
    """Of `count` lines, numbered from 0 as they are first heard of. Never more than `most`. kinds uint8[room]; links: lines that are links, rising."""

    def __init__(self) -> None:
        self.most = MOST
        self.room = min(ROOM, MOST)
        self.names: list[str] = []
        self.customers: list[str] = []                      # of lines, '' none
        self.kinds = np.zeros(self.room, np.uint8)
        self.links: list[int] = []
        self.full = 0                                       # lines without room
        self._nets = 0
        self._numbers: tuple[dict[str, int], ...] = ({}, {}, {"": -1}, {})      # by kind and name; a service without a name is none
        self._words: Sequence[str] | None = None            # of the services of the batch before
        self._lines = np.zeros(0, np.int32)                 # of those words: line + 1, -1 it has none yet
        self._vlans = np.zeros(1 << 16, np.uint32)          # line + 1
        self._places: dict[str, int] = {}                   # of customers in `_ordered`
        self._ordered: list[str] = []
        self._customer = np.zeros(0, np.int64)              # of lines, such a place

    @property
    def count(self) -> int:
        """How many lines there are."""
        return len(self.names)

    def line(self, kind: int, name: str) -> int:
        """The number of a line; -1 where there is no room."""
        number = self._numbers[kind].get(name, -1)
        if number >= 0:
            return number
        if (kind == LINK and len(self.links) >= LINKS) or (kind == NET and self._nets >= NETS):
            self.full += 1
            return -1
        number = self.count
        if not self._new(kind, [name], [""]):
            return -1
        self._nets += kind == NET
        if kind == LINK:
            self.links.append(number)
        return number

    def of(self, kind: int, name: str) -> int:
        """The number of a line that there is; -1 where there is none."""
        return self._numbers[kind].get(name, -1)

    def services(self, columns: Any, side: str, count: int) -> Any:
        """uint32[n]: lines of one side's services, + 1. Of words that are the same list as those before, only what is new is looked up by its name."""
        column: Any = columns.get(f"{side}_service_id")
        if column is None:
            return np.zeros(count, np.uint32)
        words, codes = coded(column).lookup
        if words is not self._words:        # bindings were read anew: lines go on by their names
            self._words, self._lines = words, np.full(len(words), -1, np.int32)
        found = self._lines[codes]
        rows = np.flatnonzero(found < 0)
        if len(rows):
            self._name(words, codes[rows], rows, columns.get(f"{side}_customer_id"))
            found = np.maximum(self._lines[codes], 0)       # what has no room is counted again with each batch
        return found.astype(np.uint32)

    def tagged(self, vlans: Any) -> Any:
        """uint32[n]: lines of VLANs, + 1; untagged rows have none."""
        ids = np.ascontiguousarray(vlans)
        found = self._vlans[ids]
        fresh = ids[(found == 0) & (ids != 0)]
        if not len(fresh):
            return found
        for vlan in np.flatnonzero(np.bincount(fresh)).tolist():
            self._vlans[vlan] = self.line(VLAN, str(vlan)) + 1
        return self._vlans[ids]

    def networks(self, rows: Any, local: Any) -> Any:
        """uint32[n]: lines of the /24 or /48 of the local side, + 1; rows of which none or both are local have none. local: 0 of a side with a service."""
        out = np.zeros(len(local), np.uint32)
        sided = np.flatnonzero((local == 1) | (local == 2))
        if not len(sided):
            return out
        plain, at_server = rows.view(np.ndarray), (local[sided] == 2)[:, None]
        ends = np.where(at_server, plain["server_ip"][sided], plain["client_ip"][sided])
        four = (ends[:, 0] == 0) & (ends[:, 1] & np.uint64(0xFFFFFFFF) == np.uint64(0xFFFF0000))
        high = np.where(four, ends[:, 0], ends[:, 0] & np.uint64(0x0000FFFFFFFFFFFF))
        low = np.where(four, ends[:, 1] & np.uint64(0x00FFFFFFFFFFFFFF), np.uint64(0))
        first, which = groups(high * np.uint64(0x9E3779B97F4A7C15) ^ low)
        lines = [self.line(NET, address_of(int(high[k]), int(low[k]), SERVER_NET)) + 1 for k in first.tolist()]
        out[sided] = np.array(lines, np.uint32)[which]
        return out

    def sharing(self, lines: Any) -> tuple[str, ...]:
        """Customers of lines int64[m], in their order."""
        whose = self.whose(lines)
        shared = np.zeros(len(self._ordered), np.bool_)
        shared[whose] = True
        return tuple([name for k in np.flatnonzero(shared).tolist() if (name := self._ordered[k])])

    def whose(self, lines: Any) -> Any:
        """Of lines int64[m], the place of the customer among all of them in their order, int64[m]. These may be a hundred thousand, who are put in order when
        lines have come, not for each fault that they share."""
        if len(self._customer) < self.count:
            self._ordered = sorted({*self._places, *self.customers[len(self._customer):]})
            self._places = {name: k for k, name in enumerate(self._ordered)}
            self._customer = np.array([self._places[name] for name in self.customers], np.int64)
        return self._customer[lines]

    def _name(self, words: Sequence[str], codes: Any, rows: Any, customers: Any) -> None:
        """Give codes[m], of rows int64[m], the lines of their words, new ones where there are none; of the customers of the first row that has them."""
        first, numbers = groups(codes)[0], self._numbers[SERVICE]
        names = [words[code] for code in codes[first].tolist()]
        fresh = [k for k, name in enumerate(names) if name not in numbers]
        if fresh:
            new, owners = [names[k] for k in fresh], [""] * len(fresh)
            if customers is not None:
                known, of = coded(customers).lookup
                owners = [known[code] for code in of[rows[first[fresh]]].tolist()]
            once = dict.fromkeys(new, "")
            if len(once) < len(new):        # words with a name twice: it is the customer's of its first row
                once.update(zip(reversed(new), reversed(owners), strict=True))
                new, owners = list(once), list(once.values())
            self._new(SERVICE, new, owners)
        self._lines[codes[first]] = [numbers.get(name, -2) + 1 for name in names]

    def _new(self, kind: int, names: list[str], customers: list[str]) -> int:
        """Lines of names that have none yet, numbered one after the other: how many there was room for."""
        begin = self.count
        count = min(len(names), self.most - begin)
        self.full += len(names) - count
        self.names += names[:count]
        self.customers += customers[:count]
        self._numbers[kind].update(zip(self.names[begin:], range(begin, begin + count), strict=True))
        while begin + count > self.room:
            more, self.room = min(self.room, self.most - self.room), min(2 * self.room, self.most)
            self.kinds = np.concatenate([self.kinds, np.zeros(more, np.uint8)])
        self.kinds[begin:begin + count] = kind
        return count
