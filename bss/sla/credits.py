"""What is given back for a month that was breached: by bands of availability, or by hours of downtime, never more than the cap. Pure; amounts are exact until
they are a line.

Nothing is given where the target is not surely missed (verdict.py): what is unknown is no downtime. By hours the down minutes alone count. By bands it is the
availability of what was measured, in which unknown minutes are in neither number, or where the contract says so (`basis = "best"`) the one in which they were
all up.
"""
from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from bss.catalogue.document import CreditTerms
from bss.charges.money import EXACT, rounded
from bss.sla.verdict import BREACHED, UNDECIDED, Minutes, percent, verdict


class Charge(NamedTuple):
    """What a service costs a month by one price line or several of one tax: the amount for a whole month, its currency, tax and rate, the days of the month,
    on how many of them the service was active."""
    amount: Decimal
    days: int
    active_days: int
    currency: str = "CNY"
    tax: str = "exclusive"
    tax_rate: Decimal = Decimal(0)

    @property
    def charged(self) -> Decimal:
        """What of it is charged for this month."""
        return EXACT.divide(EXACT.multiply(self.amount, Decimal(self.active_days)), Decimal(self.days))


class Credited(NamedTuple):
    """amount: to be given back, rounded as a line; why: how it was reached, in figures, or why nothing is given."""
    amount: Decimal
    why: dict[str, Any]


def credit(terms: CreditTerms | None, target_percent: Decimal | None, minutes: Minutes, lasted: Sequence[int], charge: Charge) -> Credited:
    """The credit of a month. lasted: minutes of each fault."""
    found = verdict(minutes, target_percent)
    why: dict[str, Any] = {"verdict": found, "availability_percent": percent(minutes.availability), "best_percent": percent(minutes.best),
                           "worst_percent": percent(minutes.worst), "target_percent": None if target_percent is None else str(target_percent)}
    if found != BREACHED:
        reason = {UNDECIDED: "whether the target is missed hangs on minutes that are not known"}.get(found, "the target is not missed")
        return Credited(Decimal(0), {**why, "reason": reason})
    if terms is None:
        return Credited(Decimal(0), {**why, "reason": "the contract gives no credit"})
    exact, told = _tier(terms, minutes, charge) if terms.model == "tier" else _hour(terms, lasted, charge)
    cap = EXACT.divide(EXACT.multiply(charge.charged, terms.cap_percent), Decimal(100))
    amount = rounded(min(exact, cap), charge.currency)
    return Credited(amount, {**why, "model": terms.model, **told, "month_charge": _text(charge.amount),
                             "charged": _text(rounded(charge.charged, charge.currency)), "cap_percent": str(terms.cap_percent), "capped": exact > cap})


def largest(ways: Sequence[Sequence[tuple[Charge, Credited]]]) -> Sequence[tuple[Charge, Credited]]:
    """Of several breaches of a month, each with what it gives back by tax, the one that gives most: they are not added. Empty where nothing is given."""
    found = max(ways, key=lambda way: sum(one.amount for _, one in way), default=())
    return found if any(one.amount > 0 for _, one in found) else ()


def _tier(terms: CreditTerms, minutes: Minutes, charge: Charge) -> tuple[Decimal, dict[str, Any]]:
    share = minutes.best if terms.basis == "best" else minutes.availability
    assert share is not None            # a month that is breached has minutes
    for band in terms.bands:
        if Fraction(band.low) <= share * 100 < Fraction(band.high):
            told = {"basis": terms.basis, "band": f"[{band.low}, {band.high})", "share_percent": str(band.share_percent)}
            return EXACT.divide(EXACT.multiply(charge.charged, band.share_percent), Decimal(100)), told
    return Decimal(0), {"basis": terms.basis, "band": "", "share_percent": "0", "reason": "no band holds this availability"}


def _hour(terms: CreditTerms, lasted: Sequence[int], charge: Charge) -> tuple[Decimal, dict[str, Any]]:
    if terms.hours == "total":
        hours = -(-sum(lasted) // 60)
    else:
        hours = sum(-(-one // 60) for one in lasted)
    if terms.hour_percent is None:
        exact = EXACT.divide(EXACT.multiply(charge.amount, Decimal(hours)), Decimal(charge.days))
        return exact, {"hours": hours, "hours_of": terms.hours, "each": "a day's charge", "down_minutes": sum(lasted)}
    exact = EXACT.divide(EXACT.multiply(EXACT.multiply(charge.amount, terms.hour_percent), Decimal(hours)), Decimal(100))
    return exact, {"hours": hours, "hours_of": terms.hours, "each": f"{terms.hour_percent} %", "down_minutes": sum(lasted)}


def _text(amount: Decimal) -> str:
    return format(amount, "f")
