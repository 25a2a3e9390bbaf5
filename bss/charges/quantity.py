"""Quantities that are priced: bytes stay whole numbers until then, and are rounded up once, to the unit that is charged by."""
from __future__ import annotations

from decimal import Decimal

#: Bytes of a unit of traffic. 1 GB is 10^9 bytes unless a plan says GiB.
BYTES = {"GB": 10 ** 9, "GiB": 1 << 30}
#: Bytes of the step that a priced quantity is rounded up to.
STEPS = {"kB": 10 ** 3, "MB": 10 ** 6, "MiB": 1 << 20, "GB": 10 ** 9, "GiB": 1 << 30}


def of_bytes(octets: int, unit: str = "GB", step: str = "MB") -> Decimal:
    """So many bytes as a quantity of the unit, rounded up to whole steps: done once for each price and period, never for each flow."""
    if octets < 0:
        raise ValueError(f"{octets} bytes")
    whole = -(-octets // STEPS[step]) * STEPS[step]
    return Decimal(whole) / BYTES[unit]


def bytes_of(quantity: Decimal, unit: str) -> int:
    """Whole bytes of a quantity; a part of one is none."""
    return int(quantity * BYTES[unit])


def share(octets: int, days: int, of: int, step: str = "MB") -> int:
    """Of what is included in a full period the part of so many days, in bytes, rounded down to whole steps. A full period is not cut."""
    if not 0 <= days <= of or of < 1:
        raise ValueError(f"{days} of {of} days")
    return octets if days == of else octets * days // of // STEPS[step] * STEPS[step]
