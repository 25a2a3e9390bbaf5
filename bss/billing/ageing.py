"""The ageing report: what is open of bills, by how long it is overdue, for each account."""
from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from bss.billing.account import balances
from bss.billing.journal import today
from bss.desk import Desk
from bss.tables import Bill, BillingAccount

#: Days overdue from which a column counts; the last has no end.
BANDS = ((None, 1, "current"), (1, 31, "1-30"), (31, 61, "31-60"), (61, 91, "61-90"), (91, None, "90+"))
NAMES = tuple(name for _, _, name in BANDS)
ACCOUNTS = 5000         # whose balances are asked for at once


def band_of(due: date | None, day: date) -> str:
    """The column of what was due on a day."""
    over = (day - due).days if due is not None else 0
    return next(name for low, high, name in BANDS if (low is None or over >= low) and (high is None or over < high))


def report(desk: Desk, day: date | None = None, customer_id: str = "") -> list[dict[str, Any]]:
    """A row an account and currency that owes something: its bands, all of it, and the balance that it has with us. The largest first. day: as of which it is
    overdue; what is paid is as it is now."""
    desk.demand("bill.read")
    when = day or today(desk)
    query = desk.select(Bill).where(Bill.state.in_(("sent", "partiallyPaid")))
    if customer_id:
        query = query.where(Bill.customer_id == customer_id)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    columns = query.with_only_columns(Bill.account_id, Bill.customer_id, Bill.currency, Bill.due, Bill.gross, Bill.paid)
    for account, customer, currency, due, gross, paid in desk.session.execute(columns).tuples():
        row = found.setdefault((account, currency), {"account": account, "customer": customer, "currency": currency, **dict.fromkeys(NAMES, Decimal(0)),
                                                     "open": Decimal(0), "bills": 0})
        row[band_of(due, when)] += gross - paid
        row["open"] += gross - paid
        row["bills"] += 1
    ids = sorted({account for account, _ in found})
    numbers: dict[str, str] = {}
    having: dict[str, Decimal] = {}
    for k in range(0, len(ids), ACCOUNTS):
        numbers.update(desk.session.execute(select(BillingAccount.id, BillingAccount.number).where(BillingAccount.id.in_(ids[k:k + ACCOUNTS]))).tuples().all())
        having.update(balances(desk, ids[k:k + ACCOUNTS]))
    rows = sorted(found.values(), key=lambda one: (-one["open"], one["account"]))
    for row in rows:
        row["number"], row["balance"] = numbers[row["account"]], having.get(row["account"], Decimal(0))
    return rows


def told(row: dict[str, Any]) -> dict[str, Any]:
    """A row with amounts as text."""
    return {name: f"{value:.2f}" if isinstance(value, Decimal) else value for name, value in row.items()}
