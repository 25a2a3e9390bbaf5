"""The lines that faults are looked for on: links, VLANs, local networks and services; what rows and `coverage` say of each, slot by slot, and who is at fault.

A link is a source of rows: an interface of the probe, or a capture. Rows are summed by one kernel (dpi/security/metering.py); a slot is judged when it is
closed, slots in their order, by every detector that asks for lines, over arrays of all lines at once. What a whole link has is told once, with the customers
who share it: services of it that have the same are not told beside. Where one customer alone has it, that customer's line is told and not the link.

State: 136 bytes a line and open slot (of a probe at most 4 of them, of a replay 24), about 130 bytes a line beside; at most MOST lines.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Any

import numpy as np

from dpi.batch import Batch, Coded
from dpi.jit import point, records, world
from dpi.security.fault import LINK, NET, SERVICE, VLAN, Fault, Found, Look, fault
from dpi.security.firing import address_of
from dpi.security.gauge import SERVER_NET
from dpi.security.metering import ARRAYS, FREE, HEAD, METER, PLACES, SLOT, WORLD, gather
from dpi.security.registry import Asked
from dpi.security.usual import Usual

MOST = 1 << 17              # lines; what comes beyond has none, and is counted
LINKS, NETS = 256, 4096     # of the lines, links and local networks at most
TOLD = 0.95                 # share of a link's bytes whose direction must be known for its two directions to be told apart
FIRINGS = 1000              # of a kind and slot that are told; beyond, the weakest are counted
ENOUGH = {"lost": 100, "rtt": 5, "response": 5}         # packets or samples of a slot to learn from
_MINUTE = 60_000_000
#: The capacity of a link in bits a second, and its name, by probe and interface.
Places = Callable[[str, str], tuple[str, int]]


@dataclass
class _Minute:
    """What coverage tells of a link's minute, of all workers. second: the busiest."""
    octets: int = 0
    second: int = 0
    busiest: int = 0
    frames: int = 0
    unread: int = 0


class Lines:
    """asked: detectors with `faults`. places: what the settings say of links."""

    kernels = (gather,)

    def __init__(self, asked: Sequence[Asked], places: Places | None = None) -> None:
        self.asked = [one for one in asked if one.detector.faults is not None]
        self.places: Places = places or (lambda probe, interface: (interface, 0))
        self.full = self.given_up = 0       # lines without room; firings that were not told
        self._begin()

    def _begin(self) -> None:
        """Nothing is known."""
        self._room = 256
        self._arrays: dict[str, Any] = {"head": records(1, HEAD), "slots": np.full(PLACES, FREE, np.int64), "meters": records(PLACES * self._room, METER)}
        self._world = world(WORLD, {name: self._arrays[name] for name in ARRAYS})
        self._head = self._arrays["head"].view(np.ndarray)[0]
        self._head["closed"], self._head["lines"], self._head["clock"] = FREE, self._room, FREE
        self._numbers: dict[tuple[int, str], int] = {}      # kind and name -> line
        self._about: list[tuple[int, str, str]] = []        # kind, name, customer of a line
        self._usual = Usual(self._room)
        self._plain = {name: np.zeros(self._room, np.int64) for name in ("spoken", "silent", "asked")}
        self._plain["link"] = np.full(self._room, -1, np.int64)
        self._address = np.zeros((self._room, 2), np.uint64)
        self._kinds = np.zeros(self._room, np.uint8)
        self._customer = np.zeros(self._room, np.int64)     # number of the customer, 0 none
        self._customers: dict[str, int] = {"": 0}
        self._capacity = np.zeros(self._room)
        self._minutes: dict[tuple[int, int], _Minute] = {}  # slot that ends the minute, link
        self._vlans = np.zeros(1 << 16, np.uint32)
        self._words: Sequence[str] | None = None
        self._codes = np.zeros(0, np.int64)                 # of those words: line + 1, -1 not looked at
        self._kept: dict[str, dict[str, Any]] = {}
        self._links = self._nets = 0
        self._last = FREE
        self._before: Any = None                            # octets of links in the slot before
        self._recent: dict[tuple[str, int], int] = {}       # kind and link -> newest slot in which it was told
        self._probe, self._capture_id = "", 0

    # ---- what comes

    def take(self, batch: Batch, rows: Any) -> list[Fault]:
        """Rows of flows, ROW[n]; the firings of slots that had to be closed for them."""
        out: list[Fault] = []
        count, columns = batch.count, batch.columns
        source: Any = columns.get("source")
        self._probe = self._probe or (str(columns["probe"][0]) if "probe" in columns else "")
        capture: Any = columns.get("capture_id")
        self._capture_id = self._capture_id or (int(capture[0]) if capture is not None else 0)
        link = self._line(LINK, str(source[0]) if source is not None and len(source) else "") + 1
        sides = [self._services(columns, side, count) for side in ("client", "server")]
        local = np.zeros(count, np.uint8)
        for bit, side in enumerate(("client", "server")):
            flag: Any = columns.get(f"{side}_local")
            here = sides[bit] != 0 if flag is None else (sides[bit] != 0) | (np.asarray(flag) != 0)
            local |= here.astype(np.uint8) << np.uint8(bit)
        place, vlans, nets = 0, self._tagged(rows["vlan"]), self._networks(rows, np.where(np.where(local == 2, sides[1], sides[0]) == 0, local, 0))
        while place < count:
            place = gather(rows, sides[0], sides[1], vlans, nets, local, link, place, count, self._world)
            if place < count:
                slots = self._arrays["slots"]
                wanted, oldest = int(self._head["wanted"]), int(slots.min())
                # the oldest makes room; a row older than all of them is late
                self._head["closed"] = max(int(self._head["closed"]), wanted if wanted < oldest else oldest)
                out += self._close_upto(int(self._head["closed"]))
        return out

    def cover(self, batch: Batch) -> None:
        """Rows of coverage."""
        columns: Any = batch.columns
        for k in range(batch.count):
            slot = int(columns["time"][k]) // SLOT + _MINUTE // SLOT - 1
            frames, unread, octets, second, busiest = (
                int(columns[name][k]) if name in columns else 0 for name in ("frames", "unread_us", "wire_bytes", "busiest_second", "busiest_bytes"))
            if slot <= int(self._head["closed"]) or (unread and not frames):
                continue
            self._probe = self._probe or str(columns["probe"][k])
            link = self._line(LINK, str(columns["source"][k]))
            if link < 0:
                continue
            one = self._minutes.setdefault((slot, link), _Minute())
            one.octets, one.frames, one.unread = one.octets + octets, one.frames + frames, one.unread + unread
            if second == one.second:
                one.busiest += busiest              # of several workers: the same second
            elif busiest > one.busiest:
                one.second, one.busiest = second, busiest
            slots = self._arrays["slots"]
            for empty in (slot - 1, slot) if not frames else ():        # no row may come to make them slots that are judged
                if empty > int(self._head["closed"]) and empty not in slots and (slots == FREE).any():
                    slots[int(np.flatnonzero(slots == FREE)[0])] = empty
            while len(self._minutes) > LINKS * PLACES:
                del self._minutes[next(iter(self._minutes))]

    def close(self, moment: int) -> list[Fault]:
        """Judge the slots that ended before `moment`, us; later rows of them are late."""
        upto = min(moment // SLOT - 1, 1 << 40)
        if upto > int(self._head["closed"]):
            self._head["closed"], self._head["clock"] = upto, max(int(self._head["clock"]), moment)
            return self._close_upto(upto)
        return []

    def end(self) -> list[Fault]:
        """Judge all, and forget everything."""
        out, late = self._close_upto(1 << 62), int(self._head["late"])
        self._begin()
        self._head["late"] = late
        return out

    def counters(self) -> dict[str, int]:
        """Lines known and without room, firings that were not told, parts of rows that came late."""
        return {"lines": len(self._about), "lines_full": self.full, "faults_given_up": self.given_up, "lines_late": int(self._head["late"])}

    # ---- numbers of lines

    def _line(self, kind: int, name: str, customer: str = "") -> int:
        """The number of a line; -1 where there is no room."""
        number = self._numbers.get((kind, name), -1)
        if number >= 0:
            return number
        number = len(self._about)
        if number >= MOST or (kind == LINK and self._links >= LINKS) or (kind == NET and self._nets >= NETS):
            self.full += 1
            return -1
        if number >= self._room:
            self._grow()
        self._numbers[kind, name] = number
        self._about.append((kind, name, customer))
        self._kinds[number] = kind
        self._customer[number] = self._customers.setdefault(customer, len(self._customers))
        self._nets += kind == NET
        if kind == LINK:
            self._links += 1
            self._capacity[number] = self.places(self._probe, name)[1]
        return number

    def _grow(self) -> None:
        old, self._room = self._room, min(2 * self._room, MOST)
        meters = records(PLACES * self._room, METER)
        for place in np.flatnonzero(self._arrays["slots"] != FREE).tolist():        # the others are empty, and stay untouched
            meters[place * self._room:place * self._room + old] = self._arrays["meters"][place * old:(place + 1) * old]
        self._arrays["meters"] = meters
        point(self._world, "meters", meters)
        self._head["lines"] = self._room
        more = self._room - old
        self._plain = {name: np.concatenate([one, np.full(more, -1 if name == "link" else 0, np.int64)]) for name, one in self._plain.items()}
        self._address = np.concatenate([self._address, np.zeros((more, 2), np.uint64)])
        self._kinds, self._customer, self._capacity = (np.concatenate([one, np.zeros(more, one.dtype)])
                                                       for one in (self._kinds, self._customer, self._capacity))
        self._usual.grow(self._room)

    def _services(self, columns: Any, side: str, count: int) -> Any:
        """uint32[n]: lines of one side's services, + 1."""
        column: Any = columns.get(f"{side}_service_id")
        if column is None:
            return np.zeros(count, np.uint32)
        column = column if isinstance(column, Coded) else Coded.of(column)
        if column.words is not self._words:
            self._words, self._codes = column.words, np.full(len(column.words), -1, np.int64)
        codes = np.asarray(column.codes).astype(np.int64)
        found = self._codes[codes]
        if (found < 0).any():
            customers: Any = columns.get(f"{side}_customer_id")
            fresh, first = np.unique(codes[found < 0], return_index=True)
            rows = np.flatnonzero(found < 0)[first]
            for code, row in zip(fresh.tolist(), rows.tolist()):
                word = str(column.words[code])
                number = self._numbers.get((SERVICE, word), -1) if word else -1
                if word and number < 0:
                    number = self._line(SERVICE, word, "" if customers is None else str(customers[row]))
                self._codes[code] = number + 1
            found = self._codes[codes]
        return found.astype(np.uint32)

    def _tagged(self, vlans: Any) -> Any:
        """uint32[n]: lines of VLANs, + 1; untagged rows have none."""
        ids = np.asarray(vlans)
        if not ids.any():
            return np.zeros(len(ids), np.uint32)
        for vlan in np.unique(ids[self._vlans[ids] == 0]).tolist():
            if vlan:
                self._vlans[vlan] = self._line(VLAN, str(vlan)) + 1
        return self._vlans[ids]

    def _networks(self, rows: Any, local: Any) -> Any:
        """uint32[n]: lines of the /24 or /48 of the local side, + 1; rows of which none or both are local have none. local: 0 of a side with a service."""
        out = np.zeros(len(local), np.uint32)
        sided = np.flatnonzero((local == 1) | (local == 2))
        if not len(sided):
            return out
        plain = rows.view(np.ndarray)[sided]
        ends = np.where((local[sided] == 2)[:, None], plain["server_ip"], plain["client_ip"])
        four = (ends[:, 0] == 0) & (ends[:, 1] & np.uint64(0xFFFFFFFF) == np.uint64(0xFFFF0000))
        high = np.where(four, ends[:, 0], ends[:, 0] & np.uint64(0x0000FFFFFFFFFFFF))
        low = np.where(four, ends[:, 1] & np.uint64(0x00FFFFFFFFFFFFFF), np.uint64(0))
        _, first, which = np.unique(high * np.uint64(0x9E3779B97F4A7C15) ^ low, return_index=True, return_inverse=True)
        lines = [self._line(NET, address_of(int(high[k]), int(low[k]), SERVER_NET)) + 1 for k in first.tolist()]
        out[sided] = np.array(lines, np.uint32)[which]
        return out

    # ---- slots that are over

    def _close_upto(self, upto: int) -> list[Fault]:
        slots = self._arrays["slots"]
        out: list[Fault] = []
        for slot in sorted({*(int(one) for one in slots[slots != FREE]), *(one for one, _ in self._minutes)}):
            if slot > upto:
                break
            if slot not in slots:           # the end of a minute without a row
                out += self._judge(slot, np.zeros(len(self._about), METER).view(np.ndarray))
                continue
            place = int(np.flatnonzero(slots == slot)[0])
            out += self._judge(slot, self._arrays["meters"].view(np.ndarray)[place * self._room:place * self._room + len(self._about)])
            self._arrays["meters"][place * self._room:place * self._room + len(self._about)].view(np.uint8)[:] = 0
            slots[place] = FREE
        return out

    def _judge(self, slot: int, now: Any) -> list[Fault]:
        look = self._look(slot, now)
        out: list[Fault] = []
        faulty = np.zeros(look.n, bool)
        for one in sorted(self.asked, key=lambda asked: bool(asked.detector.unless)):
            assert one.detector.faults is not None
            found = one.detector.faults(one.options, replace(look, kept=self._kept.setdefault(one.detector.kind, {})))
            faulty |= found.mask if found.doubtful is None else found.mask | found.doubtful
            out += self._fold(one, found, look)
        self._learn(look, faulty)
        self._before = (slot, *(now[name].astype(np.float64) for name in ("near_octets", "far_octets", "untold")))
        self._last = slot
        return out

    def _look(self, slot: int, now: Any) -> Look:
        """The arrays of a slot; what was silent is so for one slot more."""
        n, plain = len(self._about), {name: one[:len(self._about)] for name, one in self._plain.items()}
        kinds = self._kinds[:n]
        placed = now["link"] > 0
        plain["link"][placed] = now["link"][placed].astype(np.int64) - 1
        met = (now["address"] != 0).any(axis=1)
        self._address[:n][met] = now["address"][met]
        covered, minute = np.zeros(n, bool), np.zeros((4, n))
        packets = (now["near_packets"] + now["far_packets"]) > 0
        seen, hushed = packets.copy(), np.zeros(n, bool)
        for link in np.flatnonzero(kinds == LINK).tolist():
            told = self._minutes.pop((slot, link), None)
            if told is None or told.unread:
                continue
            covered[link], minute[:, link] = True, (told.octets, told.busiest, self._busier(slot, now, link), told.frames)
            seen[link] |= told.frames > 0
            hushed[link] = not told.frames
        for key in [one for one in self._minutes if one[0] < slot]:
            del self._minutes[key]
        partial = (slot + 1) * SLOT > int(self._head["clock"])
        if slot != self._last + 1:          # nobody knows what was between
            for name in ("spoken", "silent", "asked"):
                plain[name][:] = 0
        at = plain["link"]
        live = np.where(kinds == LINK, packets, packets[np.maximum(at, 0)] & (at >= 0))
        spoke = np.where(kinds == LINK, seen, now["spoke"] > 0)
        plain["spoken"][spoke] = np.where(plain["silent"] > 0, 1, plain["spoken"] + 1)[spoke]
        silent = ~spoke & np.where(kinds == LINK, hushed, live & (not partial))
        plain["silent"][:] = np.where(spoke, 0, plain["silent"] + silent * np.where(kinds == LINK, _MINUTE // SLOT, 1))
        plain["asked"][:] = np.where(spoke, 0, plain["asked"] + silent * now["asked"])
        return Look(slot, now, self._usual, kinds, at, live, covered, minute, self._capacity[:n], plain["spoken"], plain["silent"], plain["asked"], partial, {})

    def _busier(self, slot: int, now: Any, link: int) -> float:
        """Octets of the busier direction in the minute that a slot ends; -1 where directions can't be told apart."""
        near, far, untold = (float(now[name][link]) for name in ("near_octets", "far_octets", "untold"))
        if self._before is not None and self._before[0] == slot - 1 and link < len(self._before[1]):
            near, far, untold = near + self._before[1][link], far + self._before[2][link], untold + self._before[3][link]
        return max(near, far) if near + far > 0 and untold <= (1 - TOLD) * (near + far) else -1.0

    def _learn(self, look: Look, faulty: Any) -> None:
        for side in ("near", "far"):
            share, packets = look.share(side)
            self._usual.learn(f"{side}_lost", share, packets >= ENOUGH["lost"], faulty)
        for name in ("near_rtt", "far_rtt", "response"):
            value, count = look.middle(name)
            self._usual.learn(name, value, count >= ENOUGH["rtt" if name != "response" else name], faulty)
        self._usual.learn("busiest", np.log2(np.maximum(look.minute[1], 1.0)), look.covered & (look.minute[1] > 0), faulty)

    # ---- who is told of

    def _fold(self, one: Asked, found: Found, look: Look) -> list[Fault]:
        """Firings of a detector's slot: a link that several customers share in place of their services, a service in place of a link that is its alone."""
        mask, kinds, at, kind = found.mask.copy(), look.kind, look.link, one.detector.kind
        for link in np.flatnonzero(mask & (kinds == LINK)).tolist():
            if len(np.unique(self._customer[:look.n][mask & (kinds == SERVICE) & (at == link)])) == 1:
                mask[link] = False              # the fault of one customer, which is most of what the link has
            else:
                self._recent[kind, link] = look.slot
        for about in (kind, *one.detector.unless):
            folded = [link for (name, link), slot in self._recent.items() if name == about and look.slot - slot <= 1]
            mask &= ~((kinds != LINK) & np.isin(at, folded))
        lines = np.flatnonzero(mask)
        if len(lines) > FIRINGS:
            strength = found.value[lines] / np.maximum(found.limit[lines], 1e-9)
            self.given_up += len(lines) - FIRINGS
            keys = sorted(range(len(lines)), key=lambda k: (-float(strength[k]), self._about[int(lines[k])][1]))
            lines = lines[keys[:FIRINGS]]
        made = [self._fault(one, found, look, line) for line in lines.tolist()]
        return sorted(made, key=lambda each: each.line)

    def _fault(self, one: Asked, found: Found, look: Look, line: int) -> Fault:
        kind, name, customer = self._about[line]
        now, value, limit = look.now[line], float(found.value[line]), float(found.limit[line])
        customers: tuple[str, ...] = (customer,) if customer else ()
        service, target, place = (name, address_of(int(self._address[line][0]), int(self._address[line][1]), 0), "") if kind == SERVICE else ("", "", name)
        where = f"(client_service_id = {_quoted(name)} OR server_service_id = {_quoted(name)})"
        if kind == LINK:
            place = self.places(self._probe, name)[0]
            where = f"(source = {_quoted(name)} OR interface = {_quoted(name)})"
            members = np.flatnonzero((look.kind == SERVICE) & (look.link == line) & ((look.now["spoke"] > 0) | (look.silent > 0) | ~look.live[line]))
            customers = tuple(sorted({self._about[each][2] for each in members.tolist()} - {""}))
            service = self._about[int(members[0])][1] if len(members) == 1 else ""
        elif kind == NET:
            net = ip_network(name)
            inside = f"BETWEEN toIPv6('{net.network_address}') AND toIPv6('{net.broadcast_address}')"
            target, place, where = name, name, f"(client_ip {inside} OR server_ip {inside})"
        elif kind == VLAN:
            place, where = f"VLAN {name}", f"vlan = {int(name)}"
        since = 0 if found.since is None else int(found.since[line])
        begin, end = (look.slot - since) * SLOT, (look.slot + 1) * SLOT
        packets = int(now["near_packets"] + now["far_packets"])
        counted = (f"value {value:.4g} (limit {limit:.4g})", f"{packets:,} packets in its last 30 s", f"lasting {(end - begin) // 1_000_000} s")
        line_name = f"{('link', 'vlan', 'service', 'network')[kind]} {name}"
        last = min(end - 1, max(int(self._head["clock"]), begin))
        return fault(detector=one.detector, number=255, slot=look.slot, begin=begin, end=end, first=begin, last=last, target=target, packets=packets,
                     bytes=int(now["near_octets"] + now["far_octets"]), flows=int(now["near_rtts"]), flow_id=int(now["flow_id"]), customers=customers,
                     service_id=service, strength=value / limit if limit > 0 else 1.0, probe=self._probe, capture_id=self._capture_id, place=place,
                     line=line_name, value=value, limit=limit, where=where, counted=counted)


def _quoted(word: str) -> str:
    return "'" + word.replace("\\", "\\\\").replace("'", "\\'") + "'"
