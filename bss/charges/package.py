"""Package: units are sold by so many at once, and a package that was begun is paid for."""
from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from bss.charges.money import EXACT
from bss.charges.price import Charged, Price, text

KIND = "package"


def charge(price: Price, quantity: Decimal) -> Charged:
    """amount = ceil(quantity / size) x price. ValueError: the price has no size."""
    if price.size is None or price.size <= 0:
        raise ValueError("a package has a size")
    count = EXACT.divide(quantity, price.size).to_integral_value(ROUND_CEILING)
    return Charged(EXACT.multiply(count, price.amount),
                   {"quantity": text(quantity), "packages": text(count), "size": text(price.size), "rate": text(price.amount)})
