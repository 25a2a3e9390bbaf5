"""Tiered (graduated): each part of a quantity costs what the tier says that it lies in."""
from __future__ import annotations

from decimal import Decimal

from bss.charges.money import EXACT
from bss.charges.price import Charged, Price, checked, text

KIND = "tiered"


def charge(price: Price, quantity: Decimal) -> Charged:
    """amount = sum over tiers of (part of the quantity in it) x (its price). Tiers are (from, to]."""
    amount, before, parts = Decimal(0), Decimal(0), []
    for one in checked(price.tiers):
        upper = quantity if one.to is None else min(quantity, one.to)
        if upper <= before:
            break
        amount = EXACT.add(amount, EXACT.multiply(upper - before, one.amount))
        parts.append({"from": text(before), "to": text(upper), "rate": text(one.amount)})
        before = upper
    return Charged(amount, {"quantity": text(quantity), "tiers": parts})
