"""The journal: a posting for each bill, payment, match, refund and credit note, whose debits are its credits. Amounts are never negative: what would be goes to
the other side. A posting is made with what it is of, in one transaction, and once (its name is unique)."""
from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Select, select

from bss.desk import Desk
from bss.refusal import Refusal
from bss.tables import JournalEntry

#: Our accounts -> those of the Chinese chart of accounts (会计科目), as an export names them.
ACCOUNTS: dict[str, tuple[str, str, str]] = {
    "receivable": ("1122", "Trade receivables", "应收账款"), "advance": ("2203", "Advances from customers", "预收账款"),
    "bank": ("1002", "Bank", "银行存款"), "cash": ("1001", "Cash", "库存现金"), "tax": ("222101", "Output tax", "应交税费-应交增值税(销项税额)"),
    "revenue.recurring": ("600101", "Recurring revenue", "主营业务收入-月租"), "revenue.one_time": ("600102", "One-off revenue", "主营业务收入-一次性费用"),
    "revenue.usage": ("600103", "Usage revenue", "主营业务收入-用量"), "revenue.percentile": ("600104", "Burst revenue", "主营业务收入-突发带宽"),
    "revenue.credit": ("600105", "SLA credits", "主营业务收入-服务补偿"), "revenue.adjustment": ("600106", "Adjustments", "主营业务收入-调整"),
    "bad_debt": ("1231", "Allowance for bad debts", "坏账准备"),
    "revenue.penalty": ("600107", "Early termination", "主营业务收入-违约金"),
}
COLUMNS = ("posting", "line", "date", "account", "name", "debit", "credit", "currency", "customer", "of", "id")


class Side(NamedTuple):
    """An amount on an account: a debit, or where it is negative a credit."""
    account: str
    amount: Decimal


def lines(posting: str, sides: Iterable[Side], **shared: Any) -> list[dict[str, Any]]:
    """The rows of a posting; none where nothing is moved. ValueError: debits are not credits."""
    moved = [one for one in sides if one.amount]
    if sum((one.amount for one in moved), Decimal(0)):
        raise ValueError(f"{posting} is not balanced: {moved}")
    return [{"posting": posting, "line": number, "account": one.account, "debit": max(one.amount, Decimal(0)), "credit": max(-one.amount, Decimal(0)), **shared}
            for number, one in enumerate(moved, 1)]


def of_bill(gross: Decimal, tax: Decimal, net: Mapping[str, Decimal]) -> list[Side]:
    """Of a bill that is issued. net: by kind of line."""
    return [Side("receivable", gross), *(Side(f"revenue.{kind}", -amount) for kind, amount in sorted(net.items())), Side("tax", -tax)]


def turned(sides: Iterable[Side]) -> list[Side]:
    """The same taken back."""
    return [Side(one.account, -one.amount) for one in sides]


def post(desk: Desk, posting: str, sides: Iterable[Side], *, currency: str, customer_id: str | None, entity: str, entity_id: str) -> None:
    """Write a posting of today."""
    for row in lines(posting, sides, day=today(desk), currency=currency, customer_id=customer_id, entity=entity, entity_id=entity_id):
        desk.session.add(JournalEntry(**row))


def today(desk: Desk) -> date:
    """The operator's day."""
    return desk.now.astimezone(desk.office.settings.zone).date()


def listed(desk: Desk, since: date | None = None, until: date | None = None, account: str = "") -> Select[tuple[JournalEntry]]:
    """A query of lines of days from `since` on and before `until`, in the order of days."""
    desk.demand("journal.read")
    query = desk.select(JournalEntry)
    if since is not None:
        query = query.where(JournalEntry.day >= since)
    if until is not None:
        query = query.where(JournalEntry.day < until)
    if account:
        query = query.where(JournalEntry.account == account)
    return query.order_by(JournalEntry.day, JournalEntry.posting, JournalEntry.line)


def told(row: JournalEntry, lang: str = "en") -> dict[str, Any]:
    """A line as an export has it."""
    code, en, zh = ACCOUNTS[row.account]
    return {"posting": row.posting, "line": row.line, "date": row.day.isoformat(), "account": code, "name": zh if lang == "zh" else en,
            "debit": f"{row.debit:.2f}", "credit": f"{row.credit:.2f}", "currency": row.currency, "customer": row.customer_id or "", "of": row.entity,
            "id": row.entity_id}


def export(desk: Desk, since: date, until: date, lang: str = "zh") -> str:
    """The journal of [since, until) as CSV; taking it is put on record. Refusal `conflict`: it is not balanced, which nothing here can bring about."""
    found: Any = desk.session.execute(listed(desk, since, until)).scalars()
    rows = [told(one, lang) for one in found]
    debit, credit = (sum((Decimal(one[side]) for one in rows), Decimal(0)) for side in ("debit", "credit"))
    if debit != credit and not desk.actor.limited:
        raise Refusal("conflict", f"the journal is not balanced: debits {debit}, credits {credit}", "journal", "look for rows that were edited")
    desk.record("journal.export", ("journal_entry", f"{since} {until}"), after={"rows": len(rows), "debit": str(debit), "credit": str(credit)})
    return _csv(COLUMNS, rows)


def _csv(columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(columns), lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def sums(desk: Desk, since: date, until: date) -> list[dict[str, Any]]:
    """Debits and credits of each account in [since, until)."""
    found: dict[str, list[Decimal]] = {}
    for account, debit, credit in desk.session.execute(
            listed(desk, since, until).with_only_columns(JournalEntry.account, JournalEntry.debit, JournalEntry.credit).order_by(None)).tuples():
        both = found.setdefault(account, [Decimal(0), Decimal(0)])
        both[0], both[1] = both[0] + debit, both[1] + credit
    return [{"account": ACCOUNTS[name][0], "name": ACCOUNTS[name][1], "name_zh": ACCOUNTS[name][2], "debit": f"{debit:.2f}", "credit": f"{credit:.2f}"}
            for name, (debit, credit) in sorted(found.items())]


def rows_of(desk: Desk, entity_id: str) -> list[JournalEntry]:
    """Lines of what belongs to one thing."""
    query = select(JournalEntry).where(JournalEntry.entity_id == entity_id).order_by(JournalEntry.posting, JournalEntry.line)
    return list(desk.session.execute(query).scalars())
