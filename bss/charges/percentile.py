"""95th percentile: a line is paid by how fast it was in all but its 5 % busiest slots of 5 minutes.

The sorted array is kept to: rank k = N - floor(5 N / 100), the k-th smallest. No sketch, no interpolation; k, N, the value and the slot are told. A slot whose
minutes were all looked at counts, also with nothing in it; one that is not known does not count, and N is smaller by it. Where more than 5 % of the slots are
not known, or all, the bill is held, and the reason is said.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Any, Literal, NamedTuple

from bss.charges.money import EXACT
from bss.charges.price import Charged, text

KIND = "percentile"
SLOT = 300
MBPS = 10 ** 6
MOST_UNKNOWN = 5                # percent of a period's slots
Direction = Literal["max", "sum", "in", "out"]


class Slot(NamedTuple):
    """Bytes of 5 minutes of all lines that are measured together, towards the customer (down) and from him. known: all of it was looked at."""
    at: int
    down: int
    up: int
    known: bool = True


class Terms(NamedTuple):
    """base: the fee for the committed rate; cir: that rate, Mbit/s; overage: of a Mbit/s above; whole: what is above is rounded up to whole Mbit/s."""
    base: Decimal
    cir: Decimal
    overage: Decimal
    direction: Direction = "max"
    whole: bool = True


class Percentile(NamedTuple):
    """bytes: of the slot at rank k; slot: when it began, s; at several of the same rate the first of them."""
    k: int
    n: int
    bytes: int
    slot: int

    @property
    def mbps(self) -> Decimal:
        """bytes x 8 / 300 s."""
        return EXACT.divide(Decimal(self.bytes * 8), Decimal(SLOT * MBPS))


class Measured(NamedTuple):
    """What was measured of a period. billed: the percentile that is paid by, None where there is none; both: by direction; hold: why it may not be billed."""
    billed: Percentile | None
    both: Mapping[str, Percentile]
    direction: str
    known: int
    slots: int
    above: int
    hold: str

    @property
    def hours_above(self) -> Decimal:
        """In which slots were faster than the committed rate."""
        return EXACT.divide(Decimal(self.above * SLOT), Decimal(3600))


def rank(n: int) -> int:
    """The place of the 95th percentile among n in order, from 1: what is left at the top when 5 % of them, rounded down, are dropped."""
    return n - 5 * n // 100


def of_values(values: Sequence[tuple[int, int]]) -> Percentile:
    """Of (bytes, slot). ValueError: of none."""
    if not values:
        raise ValueError("no slot is known")
    ordered = sorted(values)
    k = rank(len(ordered))
    return Percentile(k, len(ordered), ordered[k - 1][0], min(at for octets, at in ordered if octets == ordered[k - 1][0]))


def together(lines: Sequence[Sequence[Slot]]) -> list[Slot]:
    """Several lines of one contract: summed slot by slot, before any percentile. A slot is known where it is of every line that has it."""
    found: dict[int, Slot] = {}
    for line in lines:
        for one in line:
            other = found.get(one.at)
            found[one.at] = one if other is None else Slot(one.at, one.down + other.down, one.up + other.up, one.known and other.known)
    return [found[at] for at in sorted(found)]


def measure(slots: Sequence[Slot], terms: Terms) -> Measured:
    """The percentile of a period's slots."""
    known = [one for one in slots if one.known]
    if not known:
        return Measured(None, {}, terms.direction, 0, len(slots), 0, "nothing of the period is known")
    ways = {"in": [(one.down, one.at) for one in known], "out": [(one.up, one.at) for one in known]}
    if terms.direction == "sum":
        ways = {"sum": [(one.down + one.up, one.at) for one in known]}
    elif terms.direction in ways:
        ways = {terms.direction: ways[terms.direction]}
    both = {name: of_values(values) for name, values in ways.items()}
    taken = max(both, key=lambda name: (both[name].bytes, name == "in"))
    limit = terms.cir * MBPS * SLOT / 8
    above = sum(octets > limit for octets, _ in ways[taken])
    unknown = len(slots) - len(known)
    hold = f"{unknown} of {len(slots)} slots are not known" if unknown * 100 > MOST_UNKNOWN * len(slots) else ""
    return Measured(both[taken], both, taken, len(known), len(slots), above, hold)


def charge(measured: Measured, terms: Terms, days: int = 1, of: int = 1) -> Charged:
    """fee = (base + max(0, ceil(p95 - CIR)) x overage) x days / of. The fee as a whole is for valid days of the month, and is not prorated again. Where it is
    held the bill is, with this fee of what is known. ValueError: nothing was measured."""
    if measured.billed is None:
        raise ValueError(measured.hold)
    if not 0 <= days <= of:
        raise ValueError(f"{days} of {of} days")
    over = max(Decimal(0), EXACT.subtract(measured.billed.mbps, terms.cir))
    if terms.whole:
        over = over.to_integral_value(ROUND_CEILING)
    full = EXACT.add(terms.base, EXACT.multiply(over, terms.overage))
    amount = full if days == of else EXACT.divide(EXACT.multiply(full, Decimal(days)), Decimal(of))
    return Charged(amount, {**told(measured, terms), "over_mbps": text(over), "base": text(terms.base), "rate": text(terms.overage), "days": days, "of": of})


def told(measured: Measured, terms: Terms) -> dict[str, Any]:
    """The figures of a measurement as they are kept and printed."""
    found: dict[str, Any] = {"cir_mbps": text(terms.cir), "direction": measured.direction, "slots": measured.slots, "known": measured.known,
                             "hours_above": text(measured.hours_above.quantize(Decimal("0.01")))}
    if measured.billed is not None:
        found |= {"k": measured.billed.k, "n": measured.billed.n, "mbps": text(measured.billed.mbps), "bytes": measured.billed.bytes,
                  "slot": measured.billed.slot, "both": {name: text(one.mbps) for name, one in measured.both.items()}}
    return found | ({"hold": measured.hold} if measured.hold else {})
