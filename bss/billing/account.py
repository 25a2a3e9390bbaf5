"""Billing accounts (TMF666): who pays, by which anchor day, ahead or afterwards; and the rates of tax."""
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, func, select, type_coerce

from bss import identifier
from bss.billing import choosing
from bss.charges.money import MINOR
from bss.charges.tax import Rule
from bss.desk import Desk
from bss.refusal import Refusal
from bss.tables import Bill, BillingAccount, Customer, Payment, TaxRate
from bss.tables.billing import ACCOUNT_KINDS, LINE_KINDS, Money
from bss.tables.catalogue import KINDS

PAYERS = ("individual", "organization")
TAX_FIELDS = ("name", "number", "address", "bank")
CHANGED = ("name", "kind", "state", "anchor", "payer", "tax", "lang", "due_days")
STATES = ("active", "closed")


def number_of(key: str) -> str:
    """What people call an account by."""
    return f"ZH{key[1:]}"


def payer_of(kind: str) -> str:
    """What a party pays as, by its kind."""
    return "individual" if kind in ("individual", "household") else "organization"


def open_(desk: Desk, customer_id: str, **given: Any) -> BillingAccount:
    """A new account of a customer. given: of CHANGED, and currency."""
    desk.demand("bill.write")
    customer = desk.find(Customer, customer_id)
    if customer.merged_into is not None or customer.state == "closed":
        raise Refusal("conflict", f"customer {customer.number} is {'merged into another one' if customer.merged_into else 'closed'}", "customer")
    values = _checked({"payer": payer_of(customer.party.kind), "lang": desk.office.settings.lang, **given})
    key = identifier.fresh(BillingAccount.LETTER)
    row = desk.add(BillingAccount(id=key, number=number_of(key), customer_id=customer_id, created=desk.now, **values))
    desk.record("billing_account.create", row, after={"customer": customer_id, "number": row.number, "anchor": row.anchor, "kind": row.kind})
    desk.emit("billingAccount.create", row.id, {"id": row.id, "customer": customer_id})
    return row


def change(desk: Desk, account_id: str, version: int | None = None, **given: Any) -> BillingAccount:
    """Change an account: fields of CHANGED. Its anchor is kept while bills of it are on the way, or a day would be charged twice."""
    desk.demand("bill.write")
    row = desk.find(BillingAccount, account_id, lock=True)
    values = _checked(given)
    differing = {name: value for name, value in values.items() if getattr(row, name) != value}
    if "anchor" in differing and desk.session.scalar(select(func.count()).select_from(Bill).where(Bill.account_id == row.id, Bill.state != "void")):
        raise Refusal("conflict", "the account has bills: another anchor would charge days twice or never", f"account {row.number}", "open another account")
    if differing.get("state") == "closed" and desk.session.scalar(select(func.count()).select_from(Bill).where(
            Bill.account_id == row.id, Bill.state.in_(("new", "onHold", "validated", "sent", "partiallyPaid")))):
        raise Refusal("conflict", "the account has bills that are not settled", f"account {row.number}", "settle or credit them first")
    if differing.get("state") == "closed":
        choosing.closing(desk, row)
    if not differing:
        return row
    desk.fresh(row, version)
    before = {name: getattr(row, name) for name in differing}
    for name, value in differing.items():
        setattr(row, name, value)
    desk.session.flush()
    desk.record("billing_account.change", row, before, differing)
    desk.emit("billingAccount.attributeValueChange", row.id, {"id": row.id, "changed": sorted(differing)})
    return row


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Values as they are kept. Refusal: one is none."""
    found = {name: value for name, value in given.items() if value is not None}
    if unknown := sorted(set(found) - {*CHANGED, "currency"}):
        raise Refusal("invalid", f"{unknown[0]} of an account can't be changed", unknown[0], f"these can: {', '.join(CHANGED)}")
    for name, choices in (("kind", ACCOUNT_KINDS), ("payer", PAYERS), ("state", STATES), ("lang", ("en", "zh")), ("currency", tuple(MINOR))):
        if name in found and found[name] not in choices:
            raise Refusal("invalid", f"{found[name]!r} is no {name} of an account", name, f"write one of {', '.join(choices)}")
    for name, lowest, highest in (("anchor", 1, 31), ("due_days", 0, 365)):
        if name in found and not lowest <= int(found[name]) <= highest:
            raise Refusal("invalid", f"{found[name]} is no {name}", name, f"it is {lowest} to {highest}")
    if isinstance(tax := found.get("tax"), Mapping):
        if unknown := sorted(set(tax) - set(TAX_FIELDS)):
            raise Refusal("invalid", f"an invoice has no {unknown[0]!r}", "tax", f"fields are {', '.join(TAX_FIELDS)}")
        found["tax"] = json.dumps({name: str(tax[name])[:200] for name in TAX_FIELDS if tax.get(name)}, ensure_ascii=False)
    return found


def listed(desk: Desk, customer_id: str = "", kind: str = "", state: str = "") -> Select[tuple[BillingAccount]]:
    """A query of accounts, the newest first."""
    desk.demand("bill.read")
    query = desk.select(BillingAccount)
    for column, wanted in ((BillingAccount.customer_id, customer_id), (BillingAccount.kind, kind), (BillingAccount.state, state)):
        if wanted:
            query = query.where(column == wanted)
    return query.order_by(BillingAccount.created.desc(), BillingAccount.id.desc())


def balance(desk: Desk, account_id: str) -> Decimal:
    """What was paid on an account and is neither for a bill nor given back: what is prepaid, or was paid too much."""
    return balances(desk, [account_id]).get(account_id, Decimal(0))


def balances(desk: Desk, account_ids: Sequence[str]) -> dict[str, Decimal]:
    """The same of many: those that have one."""
    left = type_coerce(func.sum(Payment.amount - Payment.matched - Payment.refunded), Money)
    query = select(Payment.account_id, left).where(Payment.account_id.in_(account_ids), Payment.state == "posted").group_by(Payment.account_id)
    return {str(key): amount for key, amount in desk.session.execute(query).tuples() if amount}


def owed(desk: Desk, account_id: str) -> Decimal:
    """What is open of an account's bills."""
    rows = desk.session.execute(select(Bill.gross, Bill.paid).where(Bill.account_id == account_id, Bill.state.in_(("sent", "partiallyPaid")))).tuples()
    return sum((gross - paid for gross, paid in rows), Decimal(0))


def rates(desk: Desk) -> list[Rule]:
    """All rates of tax that were entered."""
    rows = desk.session.execute(select(TaxRate).order_by(TaxRate.charge, TaxRate.customer, TaxRate.valid_from)).scalars()
    return [Rule(one.charge, one.customer, one.valid_from, one.valid_to, one.rate) for one in rows]


def enter_rate(desk: Desk, charge: str, customer: str, valid_from: date, rate: Decimal, valid_to: date | None = None) -> TaxRate:
    """A rate of tax. charge: a kind of line or of offering, '' any; customer: individual or organization, '' any. The one before it ends where it begins."""
    desk.demand("catalogue.write")
    if charge not in ("", *LINE_KINDS, *KINDS):
        raise Refusal("invalid", f"{charge[:40]!r} is no kind of charge: the rate would be of nothing", "charge",
                      f"kinds are {', '.join((*LINE_KINDS, *KINDS))}")
    if customer not in ("", *PAYERS) or not 0 <= rate < 1 or (valid_to is not None and valid_to <= valid_from):
        raise Refusal("invalid", "it is no rate of tax", "rate", "0.06 is 6 %; a customer is individual or organization; it ends after it begins")
    for one in desk.session.execute(select(TaxRate).where(TaxRate.charge == charge, TaxRate.customer == customer, TaxRate.valid_from < valid_from)).scalars():
        if one.valid_to is None or one.valid_to > valid_from:
            one.valid_to = valid_from
    row = desk.add(TaxRate(charge=charge, customer=customer, valid_from=valid_from, valid_to=valid_to, rate=rate, created=desk.now,
                           user_id=desk.actor.id or None))
    desk.record("tax_rate.create", row, after={"charge": charge, "customer": customer, "valid_from": str(valid_from), "rate": str(rate)})
    return row
