"""What a charge computes with and what comes out: a price without anything of the catalogue, an amount that is not rounded, and how it came about."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple


class Tier(NamedTuple):
    """Of a quantity the part above the tier before and up to `to` (that one still in it); None: all above. amount: for one unit."""
    to: Decimal | None
    amount: Decimal


class Price(NamedTuple):
    """amount: for one unit, or for one package of `size` units; tiers: in order, of tiered and volume prices."""
    amount: Decimal
    tiers: tuple[Tier, ...] = ()
    size: Decimal | None = None


class Charged(NamedTuple):
    """amount: exact, it is rounded where a line of a bill is made. detail: what a person needs to compute it again."""
    amount: Decimal
    detail: Mapping[str, Any]


#: Of a price by its quantity: `charge(price, quantity)`.
ByQuantity = Callable[[Price, Decimal], Charged]


def checked(tiers: tuple[Tier, ...]) -> tuple[Tier, ...]:
    """Tiers that grow and end open. ValueError: they don't."""
    limits = [one.to for one in tiers]
    if not tiers or limits[-1] is not None or None in limits[:-1]:
        raise ValueError("the last tier, and no other, has no end")
    before = Decimal(0)
    for limit in limits[:-1]:
        assert limit is not None
        if limit <= before:
            raise ValueError("each tier ends above the one before")
        before = limit
    return tiers


def text(value: Decimal) -> str:
    """A number as it is written down: without an exponent and without zeros at its end."""
    return format(value.normalize(), "f") if value else "0"
