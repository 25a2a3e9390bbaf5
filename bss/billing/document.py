"""A bill as its customer gets it: a page to print, in one language, and the same as PDF. Others see the customer masked, unless they said why."""
from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from sqlalchemy import select

from bss.billing.bill import find, lines_of, taxes_of
from bss.charges.capital import capital
from bss.desk import Desk
from bss.language import LANGUAGES, state, words
from bss.printing import printed
from bss.refusal import Refusal
from bss.sealing import masked
from bss.tables import Bill, BillingAccount, BillLine, Customer, Service

TEMPLATES = Path(__file__).resolve().parents[1] / "samples" / "documents"
PARTY = ("name", "number", "address", "bank", "customer")
PERSONAL = ("name", "number", "address", "bank")


def shown(desk: Desk, key: str, lang: str = "", unmasked: bool = False) -> str:
    """A bill as a page. Its reading is put on record. unmasked: the buyer as he is, which who asks has said why of (`Desk.unmask`)."""
    row = find(desk, key)
    account = desk.session.get_one(BillingAccount, row.account_id)
    language = lang or account.lang
    if language not in LANGUAGES:
        raise Refusal("invalid", f"{language!r} is no language of bills", "lang", f"write {' or '.join(LANGUAGES)}")
    desk.record("bill.read", row)
    lines = lines_of(desk, row.id)
    circuits = dict(desk.session.execute(select(Service.id, Service.circuit).where(Service.id.in_({one.service_id for one in lines if one.service_id})))
                    .tuples().all())
    say = words(language)
    environment = ImmutableSandboxedEnvironment(loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, autoescape=True)
    zone = desk.office.settings.zone
    return environment.get_template("bill.j2").render(
        lang=language, t=say, state=lambda name: state(language, name), bill=_figures(row), account=account.number,
        parties=parties_of(desk, row, unmasked or desk.actor.outside),
        issued=row.issued.astimezone(zone).date() if row.issued else "", open=_money(Decimal(0) if row.credited else row.gross - row.paid),
        words=capital(row.gross) if row.currency == "CNY" else "", lines=[_line(one, circuits, language, say) for one in lines],
        rates=[{"rate": percent(one["rate"]), **{name: _money(one[name]) for name in ("net", "tax", "gross")}} for one in taxes_of(lines)])


def pdf(desk: Desk, key: str, lang: str = "", unmasked: bool = False) -> bytes:
    """The same as PDF. Refusal `away`: what sets the text is not on the machine."""
    return printed(shown(desk, key, lang, unmasked))


def parties_of(desk: Desk, row: Bill, unmasked: bool) -> dict[str, dict[str, str]]:
    """Seller and buyer: as they were when it was sent, else as they are now."""
    told: dict[str, dict[str, str]] = json.loads(row.parties or "{}")
    if not told:
        customer = desk.session.get_one(Customer, row.customer_id)
        told = {"seller": {"name": desk.office.settings.operator}, "buyer": {"name": customer.party.name, "customer": customer.number}}
    found = {side: {name: told.get(side, {}).get(name, "") for name in PARTY} for side in ("seller", "buyer")}
    if not unmasked:
        found["buyer"] |= {name: masked(found["buyer"][name]) or "" for name in PERSONAL}
    return found


def percent(rate: Decimal) -> str:
    """A rate of tax in per cent."""
    return f"{(rate * 100).normalize():f}"


def _money(amount: Decimal) -> str:
    return f"{amount:,.2f}"


def _figures(row: Bill) -> dict[str, Any]:
    return {"id": row.id, "number": row.number, "begin": row.begin, "end": row.end, "due": row.due, "currency": row.currency, "credited": row.credited,
            **{name: _money(getattr(row, name)) for name in ("net", "tax", "gross", "paid")}}


def _line(one: BillLine, circuits: dict[str, str], lang: str, say: Any) -> dict[str, Any]:
    unit = say(f"document.{one.unit}") if one.unit in ("day", "month") else one.unit
    evidence = one.evidence
    told = []
    if one.unit == "day" and evidence.get("of"):
        told.append(f"{evidence.get('monthly') or evidence['yearly']} × {evidence['days']} / {evidence['of']}")
    elif one.kind == "penalty" and evidence.get("months_left"):
        told.append(f"{evidence['monthly']} × {evidence['share']} × {evidence['months_left']}")
    return {"number": one.number, "name": one.name, "kind": one.kind, "circuit": circuits.get(one.service_id or "", ""), "original": one.original_period,
            "begin": one.begin, "end": one.end, "quantity": f"{one.quantity.normalize():f}", "unit": unit, "net": _money(one.net), "tax": _money(one.tax),
            "gross": _money(one.gross), "rate": percent(one.tax_rate), "mode": one.tax_mode, "said": told}
