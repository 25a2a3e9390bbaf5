"""Money: decimal amounts, rounded half away from zero to the currency's minor unit, where a line of a bill is made and nowhere before."""
from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal

#: Digits after the point of a currency's minor unit (ISO 4217); 2 where it is not named.
MINOR = {"CNY": 2, "USD": 2, "EUR": 2, "HKD": 2, "MOP": 2, "JPY": 0, "KRW": 0}
EXACT = Context(prec=60)        # of sums and products: nothing that occurs here is cut


def rounded(amount: Decimal, currency: str = "CNY") -> Decimal:
    """An amount in whole minor units; half of one goes away from zero, so that a reversal is exact."""
    return amount.quantize(Decimal(1).scaleb(-MINOR.get(currency, 2)), ROUND_HALF_UP, EXACT)
