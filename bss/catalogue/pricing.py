"""Prices frozen for an item of an order: the version that is sold then, what it costs at the ordered rate, with tax taken out or put on, and what a
contract says otherwise. What is frozen is kept on the item and does not change with the catalogue."""
from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sqlalchemy import or_, select

from bss.catalogue.document import MBPS, Price, Sla
from bss.catalogue.document import Offering as Document
from bss.catalogue.publishing import document_of, holding
from bss.desk import Desk
from bss.refusal import Refusal
from bss.tables import Offering, SlaTerms

CENT = Decimal("0.01")


def cents(amount: Decimal) -> Decimal:
    """Rounded to the minor unit, half away from zero."""
    return amount.quantize(CENT, ROUND_HALF_UP)


def split(amount: Decimal, tax: str, rate: Decimal) -> tuple[Decimal, Decimal]:
    """Net and tax of an amount that includes tax, or does not."""
    if tax == "inclusive":
        net = cents(amount / (1 + rate))
        return net, cents(amount) - net
    return cents(amount), cents(cents(amount) * rate)


def rates_of(document: Document, down_bps: int = 0, up_bps: int = 0) -> tuple[int, int]:
    """The rates that an item has: as asked, or as the offering says. Refusal: it is not sold with these."""
    if document.rates is None:
        return down_bps, up_bps
    least, most = document.rates.down_mbps * MBPS, max(document.rates.most_mbps, document.rates.down_mbps) * MBPS
    down = down_bps or least
    if not least <= down <= most or down % MBPS:
        sold = f"{document.rates.down_mbps} Mbit/s" if least == most else f"{document.rates.down_mbps} to {most // MBPS} Mbit/s, whole ones"
        raise Refusal("invalid", f"{document.code} is sold with {sold}, not {down / MBPS:g}", "wanted.down_bps", "order another rate or offering")
    default = document.rates.up_mbps * MBPS if least == most and document.rates.up_mbps else down
    up = up_bps or default
    if up > max(down, default):
        raise Refusal("invalid", f"{document.code} is not sold with more upstream than downstream", "wanted.up_bps", "leave it out")
    return down, up


def freeze(desk: Desk, code: str, at: datetime, down_bps: int = 0, count: int = 1, terms: Mapping[str, Any] | None = None,
           included_in: str = "") -> tuple[Offering, dict[str, Any]]:
    """The version of an offering that holds at a time, and its price then. terms: of a contract, whose `prices` (code -> key -> amount) come first;
    included_in: the bundle that it is a part of, which has the recurring and one-time price."""
    row = holding(desk, code, at)
    document = document_of(row)
    lines = priced(document, down_bps, count, terms, included_in)
    totals = {kind: sum((Decimal(one["gross"]) for one in lines if one["type"] == kind and one["period"] in ("", "month")), Decimal())
              for kind in ("recurring", "one_time")}
    frozen = {"offering": row.code, "version": row.version, "at": at.isoformat(), "currency": document.prices[0].currency if document.prices else "",
              "lines": lines, "monthly": str(cents(totals["recurring"])), "one_time": str(cents(totals["one_time"])), "included_in": included_in,
              "commitment_months": document.commitment.months if document.commitment else 0}
    return row, frozen


def priced(document: Document, down_bps: int = 0, count: int = 1, terms: Mapping[str, Any] | None = None, included_in: str = "") -> list[dict[str, Any]]:
    """What a version of an offering costs at a rate, line by line, as it is frozen. Refusal: the contract's price is no amount."""
    own = agreed(terms, document.code)
    return [_line(one, down_bps, count, own.get(one.key)) for one in document.prices if not included_in or one.type == "usage"]


def agreed(terms: Mapping[str, Any] | None, code: str) -> dict[str, Decimal]:
    """The prices of an offering that a contract says, by key. Refusal: one is no amount of money."""
    prices = (terms or {}).get("prices") or {}
    told = (prices.get(code) or {}) if isinstance(prices, Mapping) else None
    if not isinstance(told, Mapping):
        raise Refusal("invalid", "the contract's prices are no table", "terms.prices", 'write {"prices": {"offering": {"key": "80.00"}}}')
    found = {}
    for key, amount in told.items():
        if isinstance(amount, bool) or not isinstance(amount, str | int | Decimal) or not re.fullmatch(r"\d{1,10}(\.\d{1,8})?", str(amount)):
            raise Refusal("invalid", f"the contract's price {str(amount)[:40]!r} is no amount", f"terms.prices.{code}.{key}", "write it as \"80.00\"")
        found[str(key)] = Decimal(str(amount))
    return found


def _line(price: Price, down_bps: int, count: int, own: Decimal | None) -> dict[str, Any]:
    rate = price.amount if own is None else own
    quantity = Decimal(0) if price.type == "usage" else Decimal(count) * (Decimal(down_bps) / MBPS if price.unit == "Mbps" else 1)
    amount = cents(rate * quantity)
    net, tax = split(amount, price.tax, price.tax_rate)
    return {"key": price.key, "name": price.name.model_dump(), "type": price.type, "period": price.period, "unit": price.unit, "rate": str(rate),
            "quantity": format(quantity.normalize(), "f"), "amount": str(amount), "tax": price.tax, "tax_rate": str(price.tax_rate), "net": str(net),
            "tax_amount": str(tax), "gross": str(net + tax), "by_contract": own is not None}


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    """What one frozen price differs from another by, gross."""
    return {name: str(Decimal(after.get(name) or "0") - Decimal(before.get(name) or "0")) for name in ("monthly", "one_time")}


def sla_of(desk: Desk, code: str, version: int, at: datetime | None = None) -> Sla | None:
    """The promises of a version of an offering, as they hold at a time (now). None: it has none."""
    row = desk.session.get(Offering, (code, version))
    key = "" if row is None else str(row.document.get("sla") or "")
    if not key:
        return None
    when = at or desk.now
    query = select(SlaTerms).where(SlaTerms.key == key, SlaTerms.valid_from <= when, or_(SlaTerms.valid_to.is_(None), SlaTerms.valid_to > when))
    found = desk.session.execute(query.order_by(SlaTerms.version.desc()).limit(1)).scalar_one_or_none()
    return None if found is None else Sla.model_validate(found.document)
