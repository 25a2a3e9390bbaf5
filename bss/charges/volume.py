"""Volume: the whole quantity costs what the tier says that its last unit lies in."""
from __future__ import annotations

from decimal import Decimal

from bss.charges.money import EXACT
from bss.charges.price import Charged, Price, checked, text

KIND = "volume"


def charge(price: Price, quantity: Decimal) -> Charged:
    """amount = quantity x (price of the tier that it ends in). Tiers are (from, to], so a quantity that is a tier's end is still in it."""
    rate = next(one.amount for one in checked(price.tiers) if one.to is None or quantity <= one.to)
    return Charged(EXACT.multiply(quantity, rate), {"quantity": text(quantity), "rate": text(rate)})
