"""Flat: every unit costs the same."""
from __future__ import annotations

from decimal import Decimal

from bss.charges.money import EXACT
from bss.charges.price import Charged, Price, text

KIND = "flat"


def charge(price: Price, quantity: Decimal) -> Charged:
    """amount = quantity x price."""
    return Charged(EXACT.multiply(price.amount, quantity), {"quantity": text(quantity), "rate": text(price.amount)})
