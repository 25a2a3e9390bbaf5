"""Lines of a bill before tax is on them, and how they become a bill's lines."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from bss.charges.tax import Charged, Rule, rate_of, taxed
from bss.tables.billing import LINE_KINDS


class Draft(NamedTuple):
    """What is charged. amount: rounded to the minor unit, with tax in it or not (mode); source: what it is known by, once; begin, end: days that it is for;
    names: by which its rate of tax is looked up, the most telling first; none: `rate` stands as it is; original: the period it is of, where that is another."""
    kind: str
    service_id: str | None
    price_key: str
    name: Mapping[str, str]
    unit: str
    quantity: Decimal
    begin: date
    end: date
    amount: Decimal
    mode: str
    rate: Decimal
    source: str
    evidence: Mapping[str, Any]
    names: Sequence[str] = ()
    original: str = ""


class Summed(NamedTuple):
    """Lines as rows of `bill_line` without the bill's id, and their sums."""
    rows: list[dict[str, Any]]
    net: Decimal
    tax: Decimal
    gross: Decimal


def ordered(drafts: Iterable[Draft]) -> list[Draft]:
    """In the order of a bill: by service, kind and day; the same drafts always in the same order."""
    return sorted(drafts, key=lambda one: (one.service_id or "", LINE_KINDS.index(one.kind), one.begin, one.price_key, one.source))


def summed(drafts: Iterable[Draft], rules: Sequence[Rule], payer: str, currency: str = "CNY") -> Summed:
    """Number lines and put tax on them: once for each rate on their sum. payer: individual or organization, which rates may go by."""
    lines = ordered(drafts)
    rates = [rate_of(rules, one.names, payer, one.begin, one.rate) if one.names else one.rate for one in lines]
    found = taxed([Charged(one.amount, one.mode, rate) for one, rate in zip(lines, rates, strict=True)], currency)
    rows = [{"number": number, "kind": one.kind, "service_id": one.service_id, "price_key": one.price_key, "name": dict(one.name), "unit": one.unit,
             "quantity": one.quantity, "begin": one.begin, "end": one.end, "amount": one.amount, "tax_mode": one.mode, "tax_rate": rate, "net": each.net,
             "tax": each.tax, "gross": each.gross, "original_period": one.original, "source": one.source, "live": True, "evidence": dict(one.evidence)}
            for number, (one, rate, each) in enumerate(zip(lines, rates, found, strict=True), 1)]
    net, tax = sum((one.net for one in found), Decimal(0)), sum((one.tax for one in found), Decimal(0))
    return Summed(rows, net, tax, net + tax)
