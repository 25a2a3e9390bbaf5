"""Bank files: each line a payment, matched to a bill by its number, by the account's or customer's number, or by amount and payer's name. What is sure is
posted; what is not waits for a person with what it may be; the same line is never taken twice (the bank's serial number)."""
from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from rapidfuzz import fuzz
from sqlalchemy import func, literal, select

from bss.billing import payment, settling, states
from bss.desk import Desk
from bss.parties import finding
from bss.refusal import Refusal
from bss.running.kind import Column, when
from bss.running.reading import Sheet
from bss.sealing import plain
from bss.tables import Bill, BillingAccount, Customer, Party, Payment
from bss.tables.billing import Money

COLUMNS = (
    Column("serial", "交易流水号", False, "the bank's number of the transaction; without one a line is known by all that it says"),
    Column("date", "交易日期", True, "when the money came in"),
    Column("amount", "金额", True, "in the currency's units, such as 8480.00"),
    Column("currency", "币种", False, "CNY where it is empty"),
    Column("payer", "对方户名", False, "who paid"),
    Column("remark", "摘要", False, "what the payer wrote: numbers of bills, accounts or customers are looked for in it"),
)
LIKELY = 75.0                       # of 100: how alike names are; sure are only those that are the same
MOST = 5                            # suggestions
#: Whole numbers: of a longer one the beginning is somebody else's.
_BILL, _ACCOUNT = re.compile(r"(?<![0-9A-Z])ZD\d{10}(?![0-9A-Z])"), re.compile(r"(?<![0-9A-Z])ZH[0-9A-Z]{15}(?![0-9A-Z])")
NAMES = 2000                        # open bills of one amount whose names are compared


class Likely(NamedTuple):
    """A bill that a payment may be for. by: number, account, customer or name; score: of 100; sure: nobody has to look at it."""
    bill_id: str
    account_id: str
    by: str
    score: float
    sure: bool


def bring(desk: Desk, sheet: Sheet) -> dict[str, int]:
    """Take a bank's file: a payment a line that was not taken before. How many were posted, suggested, left open, and known already. Refusal: the first line
    that can't be read, and nothing of the file is taken."""
    desk.demand("payment.write")
    zone, count = desk.office.settings.zone, {"posted": 0, "suggested": 0, "received": 0, "known": 0}
    for line in sheet.lines:
        cells, where = line.cells, f"{sheet.name}:{line.number}"
        serial = cells.get("serial", "").strip()
        said = "\0".join(cells.get(one.name, "") for one in COLUMNS)
        source = f"bank/{serial}" if serial else f"bank/{hashlib.sha256(said.encode()).hexdigest()[:40]}"
        if desk.session.execute(select(Payment.id).where(Payment.source == source[:120])).first():
            count["known"] += 1
            continue
        try:
            amount = Decimal(cells["amount"].replace(",", "").replace("¥", "").replace(",", "").strip())
            received: datetime = when(cells["date"], zone)
            currency = cells.get("currency", "").strip().upper() or "CNY"
            row = payment.record(desk, payment.amount_of(amount, currency), method="bank", received=received, source=source, payer=cells.get("payer", ""),
                                 remark=cells.get("remark", ""), currency=currency)
        except (InvalidOperation, Refusal) as error:
            why = error.what if isinstance(error, Refusal) else f"{cells['amount']!r} is no amount"
            raise Refusal("invalid", why, where, "correct the line; nothing of the file was taken") from None
        state = place(desk, row)
        count[state] += 1
    desk.record("payment.bring", ("payment", sheet.digest[:40]), after={"file": sheet.name, "lines": len(sheet.lines), **count})
    return count


def place(desk: Desk, row: Payment) -> str:
    """Post a payment where it is sure whose it is; else say whose it may be. Its state then."""
    found = likely(desk, row)
    sure = [one for one in found if one.sure]
    if sure and len({one.account_id for one in sure}) == 1:
        payment.post(desk, row, desk.session.get_one(BillingAccount, sure[0].account_id), [one.bill_id for one in sure])
        return row.state
    if found:
        if why := states.refusal(states.PAYMENT, row.state, "suggested"):
            raise Refusal("conflict", why, f"payment {row.id}")
        row.state = "suggested"
        row.suggestion = [{"bill": one.bill_id, "account": one.account_id, "by": one.by, "score": round(one.score, 1)} for one in found[:MOST]]
        desk.session.flush()
    return row.state


def likely(desk: Desk, row: Payment) -> list[Likely]:
    """Open bills that a payment may be for, the likeliest first."""
    remark, name = (row.remark or "").upper(), row.payer or ""
    found = _by_number(desk, row, remark) or _by_account(desk, row, remark)
    return found or _by_name(desk, row, name)


def _open(desk: Desk, currency: str) -> Any:
    return desk.select(Bill).where(Bill.state.in_(settling.OPEN), Bill.currency == currency)


def _by_number(desk: Desk, row: Payment, remark: str) -> list[Likely]:
    """Bills that the payer named. They are sure where the amount is theirs, or one alone is named; more that don't come to the amount a person looks at."""
    numbers = sorted(set(_BILL.findall(remark)))[:50]
    bills = list(desk.session.execute(_open(desk, row.currency).where(Bill.number.in_(numbers)).order_by(Bill.due, Bill.id)).scalars()) if numbers else []
    sure = len(bills) == len(numbers) == 1 or sum((one.gross - one.paid for one in bills), Decimal(0)) == row.amount
    return [Likely(one.id, one.account_id, "number", 100.0, sure) for one in bills]


def _by_account(desk: Desk, row: Payment, remark: str) -> list[Likely]:
    """Bills of the account or customer that the payer named: sure where all of them, or one, come to the amount."""
    numbers = sorted(set(_ACCOUNT.findall(remark)))[:50]
    words = sorted({one for one in re.split(r"[^\w./-]+", row.remark or "") if 2 <= len(one) <= 64})[:50]
    accounts = set(desk.session.execute(desk.select(BillingAccount).with_only_columns(BillingAccount.id).where(BillingAccount.number.in_(numbers))).scalars()
                   if numbers else ())
    by = "account" if accounts else "customer"
    if not accounts and words:
        accounts = set(desk.session.execute(desk.select(BillingAccount).with_only_columns(BillingAccount.id).join(
            Customer, Customer.id == BillingAccount.customer_id).where(Customer.number.in_(words))).scalars())
    if not accounts:
        return []
    bills = list(desk.session.execute(_open(desk, row.currency).where(Bill.account_id.in_(accounts)).order_by(Bill.due, Bill.id)).scalars())
    whole = sum((one.gross - one.paid for one in bills), Decimal(0)) == row.amount
    return [Likely(one.id, one.account_id, by, 95.0, len(accounts) == 1 and (whole or one.gross - one.paid == row.amount)) for one in bills[:50]]


def _by_name(desk: Desk, row: Payment, name: str) -> list[Likely]:
    """Bills of just this amount, by how alike the payer's name is: sure where it is the same name, of one such bill and of no other customer beside. Names
    that differ in a letter are those of two branches of one company as often as not."""
    if not plain(name):
        return []
    query = _open(desk, row.currency).with_only_columns(Bill.id, Bill.account_id, BillingAccount.name, Party.name).join(
        BillingAccount, BillingAccount.id == Bill.account_id).join(Customer, Customer.id == Bill.customer_id).join(Party, Party.id == Customer.party_id)
    found, looked = [], 0
    for bill, account, own, party in desk.session.execute(query.where(Bill.gross - Bill.paid == literal(row.amount, Money)).limit(NAMES + 1)).tuples():
        looked += 1
        score = max(alike(name, one) for one in (own, party) if one)
        if score >= LIKELY:
            found.append(Likely(bill, account, "name", score, plain(name) in {plain(one) for one in (own, party) if one}))
    found.sort(key=lambda one: (-one.score, one.bill_id))
    if len(found) > 1 or looked > NAMES or (found and _called(desk, name) > 1):
        found = [one._replace(sure=False) for one in found]
    return found


def _called(desk: Desk, name: str) -> int:
    """How many customers have just this name, whether they owe something or not."""
    parties = finding.having(*finding.way("name", [plain(name)]))
    return desk.session.execute(select(func.count()).select_from(Customer).where(Customer.party_id.in_(parties), Customer.merged_into.is_(None))).scalar_one()


def alike(one: str, other: str) -> float:
    """How alike two names are, of 100: however they are written, and whatever stands around."""
    first, second = plain(one), plain(other)
    if not first or not second:
        return 0.0
    return max(fuzz.ratio(first, second), fuzz.token_sort_ratio(first, second))


def confirm(desk: Desk, payment_id: str, account_id: str = "", bill_ids: Sequence[str] = (), version: int | None = None) -> Payment:
    """Say that a payment is for what was suggested, or for something else: the account, or its bills."""
    row = desk.find(Payment, payment_id, lock=True)
    account = account_id
    if not account and bill_ids:
        account = desk.find(Bill, bill_ids[0]).account_id
    if not account:
        told: list[Mapping[str, Any]] = row.suggestion
        if len({one["account"] for one in told}) != 1:
            raise Refusal("invalid", "it is said whose the payment is", "account", "name an account or its bills")
        account, bill_ids = str(told[0]["account"]), [str(one["bill"]) for one in told]
    return payment.assign(desk, payment_id, account, bill_ids, version)
