"""Issuing bills: numbers, postings, what was prepaid, what is used up by them. In lots, each one transaction: a bill has its number when it is sent and not
before, and numbers have no gap, since whoever takes them holds the counter until they are given."""
from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from bss import identifier
from bss.billing import joints, journal, run, settling, states
from bss.billing.account import balances
from bss.billing.journal import today
from bss.database import lots
from bss.desk import Desk
from bss.office import Office
from bss.people.scope import SYSTEM, Actor
from bss.refusal import Refusal
from bss.running import bulk
from bss.tables import Bill, BillCounter, BillingAccount, BillLine, BillRun, Credit, Customer, JournalEntry, Outbox, Party, Payment
from bss.working import job

LOT = 500
SERIES = {"bill": "ZD", "credit_note": "HZ"}


def numbers(desk: Desk, series: str, count: int) -> list[str]:
    """The next numbers of a series, which are the act's alone until it ends."""
    insert: Any = sqlite.insert if desk.office.database.lite else postgresql.insert
    desk.session.execute(insert(BillCounter).on_conflict_do_nothing(), {"series": series, "next": 1})
    counter = desk.session.get_one(BillCounter, series, with_for_update=True, populate_existing=True)
    first, counter.next = counter.next, counter.next + count
    return [f"{SERIES[series]}{first + k:010d}" for k in range(count)]


def lot(desk: Desk, run_id: str) -> int:
    """Issue the next bills of a run that is approved; how many, 0 where all of them are."""
    with desk.answering("bill_run.issue", ("bill_run", run_id)):
        desk.demand("bill.approve")
        row = desk.find(BillRun, run_id, lock=True)
        if row.state == "issued":
            return 0
        if row.state != "approved":
            raise Refusal("conflict", f"the run is {row.state}: {states.RUN.meaning[row.state]}", f"run {row.id}", "have it approved by a second person")
        bills = list(desk.session.execute(select(Bill).where(Bill.run_id == row.id, Bill.state == "validated").order_by(Bill.id).limit(LOT)
                                          .with_for_update().execution_options(populate_existing=True)).scalars())
        if not bills:
            row.issued = desk.now
            run.step(desk, row, "issued")
            desk.record("bill_run.issue", row, after={"bills": run.totals(desk, row.id)["bills"]})
            return 0
        issue(desk, bills)
        desk.record("bill.issue", row, after={"first": bills[0].number, "last": bills[-1].number, "bills": len(bills)})
        return len(bills)


def applicable(desk: Desk, run_id: str = "", bill_id: str = "") -> None:
    """Refusal where bills that would be sent hold SLA credits and the actor may not apply these: sending a bill applies the credits on it, and who approves
    credits is not who applies them. Said before anything is sent, whoever sends it in the end."""
    query = select(BillLine.evidence).join(Bill, Bill.id == BillLine.bill_id).where(Bill.state == "validated", BillLine.kind == "credit")
    query = query.where(Bill.run_id == run_id) if run_id else query.where(Bill.id == bill_id)
    ids = [evidence["credit"] for evidence in desk.session.execute(query).scalars() if "carried_from" not in evidence]
    where, mend = f"run {run_id}" if run_id else f"bill {bill_id}", "approve it, and have one with the role billing send it"
    if ids and not desk.may("credit.apply"):
        raise Refusal("forbidden", f"{len(ids)} SLA credits stand on what would be sent: sending applies them, which needs the permission 'credit.apply'",
                      where, mend)
    for some in lots(ids) if desk.actor.id else ():
        if own := desk.session.execute(select(Credit.id).where(Credit.id.in_(some), Credit.decided_by == desk.actor.id).limit(1)).scalar():
            raise Refusal("forbidden", f"credit {own} stands on what would be sent: sending applies it, and takes a second person beside who approved it",
                          where, mend)


def issue_all(office: Office, actor: Actor, run_id: str, told: Callable[[int], None] = lambda _count: None) -> None:
    """Issue all bills of a run, lot by lot, from where it stands."""
    office.act(actor, lambda desk: _may(desk, run_id))
    while count := office.act(actor, lambda desk: lot(desk, run_id)):
        told(count)


def _may(desk: Desk, run_id: str) -> None:
    with desk.answering("bill_run.issue", ("bill_run", run_id)):
        applicable(desk, run_id=run_id)


def later(desk: Desk, run_id: str) -> None:
    """Have the worker issue them; a few are issued at once."""
    with desk.answering("bill_run.issue", ("bill_run", run_id)):
        desk.demand("bill.approve")
        row = desk.find(BillRun, run_id)
        if why := "" if row.state == "approved" else states.refusal(states.RUN, row.state, "issued"):
            raise Refusal("conflict", why, f"run {row.id}")
        applicable(desk, run_id=row.id)
        if row.whole or len(row.customers) > run.FEW:
            job.add(desk, "billing.issue", f"issue {row.id} {row.version}", {"run": row.id})
            return
        while lot(desk, run_id):
            continue


def issue_job(_office: Office, argument: dict[str, Any]) -> None:
    """A worker's: issue the bills of a run."""
    issue_all(_office, SYSTEM, str(argument["run"]))


def take(desk: Desk, run_id: str, step: str, reason: str = "", customers: Sequence[str] = ()) -> None:
    """One step of a run. Refusal: there is no such step, or it can't be taken."""
    if step == "build":
        run.later(desk, run.find(desk, run_id))
    elif step == "audit":
        run.look_over(desk, run_id)
    elif step == "approve":
        run.approve(desk, run_id)
    elif step == "issue":
        later(desk, run_id)
    elif step == "cancel":
        run.cancel(desk, run_id, reason)
    elif step == "again":
        run.again(desk, run_id, customers, reason)
    else:
        raise Refusal("invalid", f"{step!r} is no step of a run", "step", "build, audit, approve, issue, cancel or again")


def issue(desk: Desk, bills: Sequence[Bill]) -> None:
    """Send these bills, which are validated and held by the caller."""
    ids = [one.id for one in bills]
    accounts = {one.id: one for one in desk.session.execute(select(BillingAccount).where(BillingAccount.id.in_([one.account_id for one in bills]))).scalars()}
    parties = _parties(desk, bills, accounts)
    lines: dict[str, list[Any]] = defaultdict(list)
    for line in desk.session.execute(select(BillLine.bill_id, BillLine.number, BillLine.kind, BillLine.net, BillLine.source, BillLine.evidence).where(
            BillLine.bill_id.in_(ids)).order_by(BillLine.bill_id, BillLine.number)):
        lines[line.bill_id].append(line)
    postings: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    charged: dict[str, str] = {}
    day = today(desk)
    for bill, number in zip(bills, numbers(desk, "bill", len(bills)), strict=True):
        if why := states.refusal(states.BILL, bill.state, "sent"):
            raise Refusal("conflict", why, f"bill {bill.id}")
        bill.number, bill.issued, bill.state, bill.parties = number, desk.now, "sent", parties[bill.account_id]
        bill.due, bill.version = day + timedelta(days=accounts[bill.account_id].due_days), bill.version + 1
        net: dict[str, Decimal] = defaultdict(Decimal)
        for line in lines[bill.id]:
            net[line.kind] += line.net
        postings += journal.lines(f"bill/{bill.id}", journal.of_bill(bill.gross, bill.tax, net), day=day, currency=bill.currency, customer_id=bill.customer_id,
                                  entity="bill", entity_id=bill.id)
        told = {"id": bill.id, "number": number, "account": bill.account_id, "period": bill.period, "gross": str(bill.gross), "currency": bill.currency}
        events.append({"id": identifier.fresh("Z"), "type": "fullspan.customerBill.create", "subject": bill.id, "time": desk.now, "data": told})
        charged |= {line.evidence["rated"]: bill.id for line in lines[bill.id] if line.source.startswith("rated/") and "carried_from" not in line.evidence}
        joints.applied(desk, [(line.evidence["credit"], line.number) for line in lines[bill.id]
                              if line.kind == "credit" and "carried_from" not in line.evidence], bill.id)
    desk.session.flush()
    joints.charged(desk, charged)
    bulk.write(desk, JournalEntry, postings)
    bulk.write(desk, Outbox, events)
    _settle(desk, bills)


def _parties(desk: Desk, bills: Sequence[Bill], accounts: dict[str, BillingAccount]) -> dict[str, str]:
    """Seller and buyer of each account's bills as they are now, JSON."""
    seller = desk.office.settings.seller.model_dump()
    seller["name"] = seller["name"] or desk.office.settings.operator
    rows = desk.session.execute(select(Customer.id, Customer.number, Party.name, Party.tax).join(Party, Party.id == Customer.party_id).where(
        Customer.id.in_([one.customer_id for one in bills])))
    known = {row.id: row for row in rows}
    found = {}
    for bill in bills:
        account, row = accounts[bill.account_id], known[bill.customer_id]
        buyer = json.loads(account.tax or row.tax or "{}")
        buyer = {"name": account.name or row.name, **{name: value for name, value in buyer.items() if value}, "customer": row.number, "account": account.number}
        found[bill.account_id] = json.dumps({"seller": seller, "buyer": buyer}, ensure_ascii=False)
    return found


def _settle(desk: Desk, bills: Sequence[Bill]) -> None:
    """Bills that come to nothing or less are settled at once, and what is owed to the customer is his balance; others are paid out of what he has there."""
    for bill in bills:
        if bill.gross < 0:
            payment = desk.add(Payment(source=f"credit/{bill.id}", account_id=bill.account_id, customer_id=bill.customer_id, method="credit", state="posted",
                                       amount=-bill.gross, matched=Decimal(0), refunded=Decimal(0), currency=bill.currency, received=desk.now,
                                       created=desk.now, user_id=desk.actor.id or None))
            journal.post(desk, f"payment/{payment.id}", [journal.Side("receivable", -bill.gross), journal.Side("advance", bill.gross)], currency=bill.currency,
                         customer_id=bill.customer_id, entity="payment", entity_id=payment.id)
        if bill.gross <= 0:
            settling.follow(desk, bill)
    having = balances(desk, [one.account_id for one in bills])
    waiting = {one.account_id: one for one in bills if one.state == "sent" and one.account_id in having}
    if not waiting:
        return
    query = select(Payment).where(Payment.account_id.in_(list(waiting)), Payment.state == "posted").order_by(Payment.received, Payment.id).with_for_update()
    for payment in desk.session.execute(query).scalars():
        bill = waiting[str(payment.account_id)]
        if bill.state in settling.OPEN and bill.currency == payment.currency and settling.left_of(payment):
            settling.match(desk, payment, bill)
    desk.session.flush()
