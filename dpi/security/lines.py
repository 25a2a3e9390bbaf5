"""The lines that faults are looked for on: links, VLANs, local networks and services; what rows and `coverage` say of each, slot by slot, and who is at fault.

A link is a source of rows: an interface of the probe, or a capture. Rows are summed by one kernel (dpi/security/metering.py); a slot is judged when it is
closed, slots in their order, by every detector that asks for lines, over arrays of all lines at once. What a whole link has is told once, with the customers
who share it: services of it that have the same are not told beside. Where one customer alone has it, that customer's line is told and not the link.

State: the meters (dpi/security/meters.py; slots are open 4 of a probe, 24 of a replay), names (dpi/security/register.py), 120 bytes a line beside, and 8 a line
for each number that detectors keep.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_network
from typing import Any

import numpy as np

from dpi.batch import Batch
from dpi.dataclass import dataclass
from dpi.security.fault import LINK, NET, SERVICE, VLAN, Fault, Found, Look, fault
from dpi.security.firing import address_of
from dpi.security.metering import FREE, PLACES, SLOT, gather
from dpi.security.meters import Meters
from dpi.security.register import LINKS, Register
from dpi.security.registry import Asked
from dpi.security.usual import Usual

TOLD = 0.95                 # share of a link's bytes whose direction must be known for its two directions to be told apart
FIRINGS = 1000              # of a kind and slot that are told; beyond, the weakest are counted
ENOUGH = {"lost": 100, "rtt": 5, "response": 5}         # packets or samples of a slot to learn from
_MINUTE = 60_000_000
_NO_OCTETS = (0.0, 0.0, 0.0)
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
        self.full = self.given_up = 0       # lines without room, of what is forgotten; firings that were not told
        self._begin()

    def _begin(self) -> None:
        """Nothing is known."""
        self._register = Register()
        room = self._register.room
        self._meters, self._usual = Meters(room, self._register.most), Usual(room)
        self._head = self._meters.head
        self._plain = {name: np.zeros(room, np.int64) for name in ("spoken", "silent", "asked")}
        self._plain["link"] = np.full(room, -1, np.int64)
        self._address = np.zeros((room, 2), np.uint64)
        self._capacity: dict[int, int] = {}                 # of links
        self._minutes: dict[tuple[int, int], _Minute] = {}  # slot that ends the minute, link
        self._kept: dict[str, dict[str, Any]] = {}
        self._last = FREE
        self._before: tuple[int, dict[int, tuple[float, float, float]]] = (FREE, {})    # a slot; of links near, far and untold octets in it
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
        link = self._link(str(source[0]) if source is not None and len(source) else "") + 1
        sides = [self._register.services(columns, side, count) for side in ("client", "server")]
        local = np.zeros(count, np.uint8)
        for bit, side in enumerate(("client", "server")):
            flag: Any = columns.get(f"{side}_local")
            here = sides[bit] != 0 if flag is None else (sides[bit] != 0) | (np.asarray(flag) != 0)
            local |= here.astype(np.uint8) << np.uint8(bit)
        free = np.where(np.where(local == 2, sides[1], sides[0]) == 0, local, 0)
        place, vlans, nets = 0, self._register.tagged(rows["vlan"]), self._register.networks(rows, free)
        self._fit()
        while place < count:
            place = self._meters.gather(rows, sides[0], sides[1], vlans, nets, local, link, place, count)
            if place < count:
                wanted, oldest = int(self._head["wanted"]), int(self._meters.slots.min())
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
            link = self._link(str(columns["source"][k]))
            if link < 0:
                continue
            one = self._minutes.setdefault((slot, link), _Minute())
            one.octets, one.frames, one.unread = one.octets + octets, one.frames + frames, one.unread + unread
            if second == one.second:
                one.busiest += busiest              # of several workers: the same second
            elif busiest > one.busiest:
                one.second, one.busiest = second, busiest
            for empty in (slot - 1, slot) if not frames else ():        # no row may come to make them slots that are judged
                if empty > int(self._head["closed"]):
                    self._meters.open(empty)
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
        self.full += self._register.full
        self._begin()
        self._head["late"] = late
        return out

    def counters(self) -> dict[str, int]:
        """Lines known and without room, firings that were not told, parts of rows that came late."""
        lines = {"lines": self._register.count, "lines_full": self.full + self._register.full}
        return lines | {"faults_given_up": self.given_up, "lines_late": int(self._head["late"])}

    def _link(self, name: str) -> int:
        """The line of a link; -1 where there is no room."""
        link = self._register.line(LINK, name)
        if link >= 0 and link not in self._capacity:
            self._capacity[link] = self.places(self._probe, name)[1]
        return link

    def _fit(self) -> None:
        """Room for all lines that there are."""
        more = self._register.room - self._meters.room
        if more > 0:
            self._meters.grow(self._register.room)
            self._plain = {name: np.concatenate([one, np.full(more, -1 if name == "link" else 0, np.int64)]) for name, one in self._plain.items()}
            self._address = np.concatenate([self._address, np.zeros((more, 2), np.uint64)])
            self._usual.grow(self._register.room)

    # ---- slots that are over

    def _close_upto(self, upto: int) -> list[Fault]:
        self._fit()
        slots = self._meters.slots
        out: list[Fault] = []
        for slot in sorted({*(int(one) for one in slots[slots != FREE]), *(one for one, _ in self._minutes)}):
            if slot > upto:
                break
            out += self._judge(slot, *self._meters.of(slot, self._register.count))      # the end of a minute may be without a row
            self._meters.close(slot, self._register.count)
        return out

    def _judge(self, slot: int, met: Any, now: Any) -> list[Fault]:
        look = self._look(slot, met, now)
        out: list[Fault] = []
        faulty = np.zeros(look.n, bool)
        for one in sorted(self.asked, key=lambda asked: bool(asked.detector.unless)):
            assert one.detector.faults is not None
            look.kept = self._kept.setdefault(one.detector.kind, {})
            found = one.detector.faults(one.options, look)
            faulty[found.lines] = faulty[found.doubtful] = True
            out += self._fold(one, found, look)
        self._learn(look, faulty)
        self._last = slot
        return out

    def _look(self, slot: int, met: Any, now: Any) -> Look:
        """A slot, of METER[k] of the lines met int64[k]; what was silent is so for one slot more."""
        n = self._register.count
        kinds, plain = self._register.kinds[:n], {name: one[:n] for name, one in self._plain.items()}
        at, spoken, silent, asked = (plain[name] for name in ("link", "spoken", "silent", "asked"))
        placed = now["link"] > 0
        at[met[placed]] = now["link"][placed].astype(np.int64) - 1
        address = now["address"]
        known = (address[:, 0] | address[:, 1]) != 0
        self._address[met[known]] = address[known]
        covered, minute = self._covered(slot, met, now)
        capacity = np.array([self._capacity[link] for link in covered.tolist()], np.float64)
        packets, spoke, links = np.zeros(n, bool), np.zeros(n, bool), self._register.links
        packets[met], spoke[met] = (now["near_packets"] + now["far_packets"]) > 0, now["spoke"] > 0
        spoke[links] = packets[links]
        spoke[covered[minute[3] > 0]] = True
        partial = (slot + 1) * SLOT > int(self._head["clock"])
        if slot != self._last + 1:          # nobody knows what was between
            spoken[:] = silent[:] = asked[:] = 0
        live = packets[np.maximum(at, 0)] & (at >= 0)
        live[links] = packets[links]
        still = live & ~spoke & (not partial)
        still[links] = False
        hushed = covered[(minute[3] == 0) & ~spoke[covered]]
        still[hushed] = True
        said = np.flatnonzero(spoke)
        spoken[said] = np.where(silent[said] > 0, 1, spoken[said] + 1)
        silent += still
        silent[hushed] += _MINUTE // SLOT - 1
        asked[met] += still[met] * now["asked"]
        silent[said] = asked[said] = 0
        return Look(slot, met, now, self._usual, kinds, at, live, covered, minute, capacity, spoken, silent, asked, partial, {})

    def _covered(self, slot: int, met: Any, now: Any) -> tuple[Any, Any]:
        """Look.covered and Look.minute."""
        mine = np.flatnonzero(self._register.kinds[met] == LINK)
        columns = [now[name][mine].astype(np.float64).tolist() for name in ("near_octets", "far_octets", "untold")]
        octets = dict(zip(met[mine].tolist(), zip(*columns, strict=True), strict=True))
        links, minute = [], []
        for link in self._register.links if self._minutes else ():
            told = self._minutes.pop((slot, link), None)
            if told is not None and not told.unread:
                links.append(link)
                minute.append((told.octets, told.busiest, self._busier(slot, octets, link), told.frames))
        for key in [one for one in self._minutes if one[0] < slot]:
            del self._minutes[key]
        self._before = slot, octets
        return np.array(links, np.int64), np.array(minute, np.float64).reshape(-1, 4).T

    def _busier(self, slot: int, octets: dict[int, Any], link: int) -> float:
        """Octets of the busier direction in the minute that a slot ends; -1 where directions can't be told apart."""
        near, far, untold = octets.get(link, _NO_OCTETS)
        if self._before[0] == slot - 1:
            more = self._before[1].get(link, _NO_OCTETS)
            near, far, untold = near + more[0], far + more[1], untold + more[2]
        return max(near, far) if near + far > 0 and untold <= (1 - TOLD) * (near + far) else -1.0

    def _learn(self, look: Look, faulty: Any) -> None:
        for side in ("near", "far"):
            lines, share = look.share(side, ENOUGH["lost"])
            self._usual.learn(f"{side}_lost", lines, share, faulty[lines])
        for name in ("near_rtt", "far_rtt", "response"):
            lines, value = look.middle(name, ENOUGH["rtt" if name != "response" else name])
            self._usual.learn(name, lines, value, faulty[lines])
        busy = look.minute[1] > 0
        self._usual.learn("busiest", look.covered[busy], np.log2(np.maximum(look.minute[1][busy], 1.0)), faulty[look.covered[busy]])

    # ---- who is told of

    def _fold(self, one: Asked, found: Found, look: Look) -> list[Fault]:
        """Firings of a detector's slot: a link that several customers share in place of their services, a service in place of a link that is its alone."""
        lines, told, kind = found.lines, np.ones(len(found.lines), np.bool_), one.detector.kind
        if not len(lines):
            return []
        kinds, at = look.kind[lines], look.link[lines]
        for k in np.flatnonzero(kinds == LINK).tolist():
            link = int(lines[k])
            own = self._register.whose(lines[told & (kinds == SERVICE) & (at == link)])
            if len(own) and (own == own[0]).all():
                told[k] = False                 # the fault of one customer, which is most of what the link has
            else:
                self._recent[kind, link] = look.slot
        for about in (kind, *one.detector.unless):
            folded = np.zeros(look.n + 1, np.bool_)         # the last: of what has no link, -1
            folded[[link for (name, link), slot in self._recent.items() if name == about and look.slot - slot <= 1]] = True
            folded[-1] = False
            told &= ~((kinds != LINK) & folded[at])
        found = found.only(told)
        if len(found.lines) > FIRINGS:
            strength = found.value / np.maximum(found.limit, 1e-9)
            self.given_up += len(found.lines) - FIRINGS
            keys = sorted(range(len(strength)), key=lambda k: (-float(strength[k]), self._register.names[int(found.lines[k])]))
            found = found.only(np.array(keys[:FIRINGS]))
        made = [self._fault(one, found, look, k) for k in range(len(found.lines))]
        return sorted(made, key=lambda each: each.line)

    def _fault(self, one: Asked, found: Found, look: Look, k: int) -> Fault:
        """Of the line that is found.lines[k]."""
        line, value, limit, since = int(found.lines[k]), float(found.value[k]), float(found.limit[k]), int(found.since[k])
        now, kind, name, customer = look.meter(line), int(look.kind[line]), self._register.names[line], self._register.customers[line]
        customers: tuple[str, ...] = (customer,) if customer else ()
        service, target, place = (name, address_of(int(self._address[line][0]), int(self._address[line][1]), 0), "") if kind == SERVICE else ("", "", name)
        where = f"(client_service_id = {_quoted(name)} OR server_service_id = {_quoted(name)})"
        if kind == LINK:
            place = self.places(self._probe, name)[0]
            where = f"(source = {_quoted(name)} OR interface = {_quoted(name)})"
            spoke = np.zeros(look.n, np.bool_)
            spoke[look.met] = look.now["spoke"] > 0
            members = np.flatnonzero((look.kind == SERVICE) & (look.link == line) & (spoke | (look.silent > 0) | ~look.live[line]))
            customers = self._register.sharing(members)
            service = self._register.names[int(members[0])] if len(members) == 1 else ""
        elif kind == NET:
            net = ip_network(name)
            inside = f"BETWEEN toIPv6('{net.network_address}') AND toIPv6('{net.broadcast_address}')"
            target, place, where = name, name, f"(client_ip {inside} OR server_ip {inside})"
        elif kind == VLAN:
            place, where = f"VLAN {name}", f"vlan = {int(name)}"
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
