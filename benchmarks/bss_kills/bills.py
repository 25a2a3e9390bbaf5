"""Bills and payments while processes are killed: what is laid for them, two writers of bills who approve each other's, one of payments; what is looked for."""
from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from bss.billing import audit, bill, issuing, payment, run, settling
from bss.charges.proration import anchored
from bss.desk import Desk
from bss.tables import (
    Bill,
    BillCounter,
    BillingAccount,
    BillLine,
    BillRun,
    Credit,
    CreditNote,
    JournalEntry,
    Payment,
    PaymentMatch,
    Refund,
    Service,
    SlaMonth,
    Transition,
)

if TYPE_CHECKING:
    from benchmarks.bss_kills.writers import Life

BILLED, MONTHS = 6, 24
HELD = ("sent", "partiallyPaid", "settled")


def lay(desk: Desk, customers: list[str], services: list[str]) -> None:
    """These services were in use for two years; each month of them has a credit that was approved."""
    since = desk.now - timedelta(days=31 * (MONTHS + 2))
    desk.session.execute(update(Transition).where(Transition.entity_id.in_(services)).values(time=since))
    desk.session.execute(update(Service).where(Service.id.in_(services)).values(created=since, activated=since))
    for customer, service in zip(customers, services, strict=True):
        for name in months(desk):
            of = {"service_id": service, "customer_id": customer, "region": "贵阳", "month": name}
            desk.add(SlaMonth(**of, verdict="met", total=1000, down=0, state="closed", closed=desk.now, measured_until=desk.now, made=desk.now))
            row = desk.add(Credit(**of, state="approved", amount=Decimal("40.00"), currency="CNY", tax_mode="exclusive", tax_rate=Decimal("0.06"),
                                  evidence={"down_minutes": 0}, drafted=since))
            for step, told in (("credit.draft", "credit.create"), ("credit.approve", "credit.stateChange")):
                desk.record(step, row)
                desk.emit(told, row.id, {"id": row.id})


def months(desk: Desk) -> list[str]:
    """The last ones that are over."""
    return [f"{anchored(desk.now.year, desk.now.month - back, 1):%Y-%m}" for back in range(2, MONTHS + 2)]


def bills(life: Life) -> None:
    """Runs of one customer and month: made and audited in one act; approved by the other writer; issued; credited and made again."""
    chance = life.chance
    while True:
        with life.office.reading(life.actor) as desk:
            runs = [(one.id, one.state, one.begun_by)
                    for one in desk.session.scalars(select(BillRun).where(BillRun.state.in_(("audited", "approved"))).limit(40))]
            sent = list(desk.session.scalars(select(Bill.id).where(Bill.number.is_not(None), Bill.credited.is_(False)).limit(200)))
            notes = list(desk.session.scalars(select(CreditNote.id).where(CreditNote.state == "draft", CreditNote.written_by != life.actor.id).limit(20)))
            refunds = list(desk.session.scalars(select(Refund.id).where(Refund.state == "asked").limit(20)))
            period = chance.choice(months(desk))
        theirs = [key for key, state, by in runs if state == "audited" and by != life.actor.id]
        ready = [key for key, state, _ in runs if state == "approved"]
        how = chance.random()
        if ready and how < 0.4:
            key = chance.choice(ready)
            life.act(lambda desk: _issued(desk, key), _bills)               # noqa: B023
        elif theirs and how < 0.7:
            key = chance.choice(theirs)
            life.act(lambda desk: run.approve(desk, key).id)                # noqa: B023
        elif notes and how < 0.8:
            life.act(lambda desk: bill.decide_credit(desk, chance.choice(notes), True).id)          # noqa: B023
        elif sent and how < 0.84:
            life.act(lambda desk: bill.write_credit(desk, chance.choice(sent), "made anew").id)     # noqa: B023
        elif refunds and how < 0.88:
            life.act(lambda desk: payment.move_refund(desk, chance.choice(refunds), "approved").id)         # noqa: B023
        else:
            customer = chance.choice(life.ground.billed)
            life.act(lambda desk: _made(desk, customer, period))            # noqa: B023


def _made(desk: Desk, customer: str, period: str) -> str:
    one = run.start(desk, period, 1, [customer])
    run.later(desk, one)
    run.look_over(desk, one.id)
    for kind in audit.open_(desk, one.id):
        audit.clear(desk, one.id, "as it should be", kind=kind)
    return one.id


def _issued(desk: Desk, key: str) -> list[str]:
    issuing.later(desk, key)
    return list(desk.session.scalars(select(Bill.id).where(Bill.run_id == key, Bill.number.is_not(None))))


def _bills(ids: list[str]) -> dict[str, Any]:
    return {"bills": ids}


def payments(life: Life) -> None:
    """Payments of accounts that have bills: entered, used, taken back, given back."""
    chance = life.chance
    while True:
        with life.office.reading(life.actor) as desk:
            accounts = list(desk.session.scalars(select(Bill.account_id).where(Bill.state.in_(settling.OPEN)).distinct().limit(50)))
            paid = list(desk.session.execute(select(Payment.id, Payment.amount - Payment.matched - Payment.refunded).where(
                Payment.state == "posted", Payment.method != "credit").order_by(Payment.created.desc()).limit(20)).tuples())
            asked = list(desk.session.scalars(select(Refund.id).where(Refund.state == "approved").limit(10)))
        how = chance.random()
        if accounts and how < 0.55:
            account, amount = chance.choice(accounts), Decimal(chance.randrange(1, 2_000_000)).scaleb(-2)
            source = f"{life.name}-{os.getpid()}-{time.time_ns()}"
            life.act(lambda desk: payment.enter(desk, amount, account_id=account, source=source).id, lambda key: {"payments": [key]})         # noqa: B023
        elif paid and how < 0.8:
            life.act(lambda desk: payment.reverse(desk, chance.choice(paid)[0], "bounced").id)           # noqa: B023
        elif paid and how < 0.9:
            life.act(lambda desk: payment.ask_refund(desk, chance.choice(paid)[0], Decimal("0.01"), "too much").id)          # noqa: B023
        elif asked:
            life.act(lambda desk: payment.move_refund(desk, chance.choice(asked), "paid").id)            # noqa: B023
        else:
            life.rest()


# ---- what is true whatever was killed

def faults(session: Session, said: dict[str, set[str]]) -> Iterator[str]:
    """All that is not as it has to be of bills, credits and payments."""
    rows = {one.id: one for one in session.scalars(select(Bill))}
    sums: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 3)
    sources: Counter[str] = Counter()
    charged: dict[str, list[str]] = defaultdict(list)
    for line in session.scalars(select(BillLine)):
        known = sums[line.bill_id]
        sums[line.bill_id] = [known[0] + line.net, known[1] + line.tax, known[2] + line.gross]
        sources[line.source] += line.live
        if line.source.startswith("credit/") and rows[line.bill_id].number is not None:
            charged[line.source.removeprefix("credit/")].append(line.bill_id)
    matched: dict[str, Decimal] = defaultdict(Decimal)
    used: dict[str, Decimal] = defaultdict(Decimal)
    for match in session.scalars(select(PaymentMatch).where(PaymentMatch.undone.is_(None))):
        matched[match.bill_id] += match.amount
        used[match.payment_id] += match.amount
    holding: Counter[tuple[str, str]] = Counter()
    for key, one in rows.items():
        if sums[key] != [one.net, one.tax, one.gross]:
            yield f"bill {key} comes to {one.gross} and its lines to {sums[key][2]}"
        if (one.number is not None) != (one.state in HELD):
            yield f"bill {key} is {one.state} and has the number {one.number}"
        if one.paid != matched[key] or (one.number is not None and one.state != settling.state_of(one)):
            yield f"bill {key} is {one.state}: {one.paid} are paid by itself and {matched[key]} by its payments"
        holding[one.account_id, one.period] += one.state != "void" and not one.credited
    if twice := [key for key, count in (holding + sources).items() if count > 1]:           # type: ignore[operator]
        yield f"{twice} are there twice"
    yield from _numbers(session, rows)
    yield from _journal(session, rows)
    for key, state, where in session.execute(select(Credit.id, Credit.state, Credit.bill_id).where(
            func.coalesce(Credit.bill_id, "") != "Bproof")).tuples():          # those are of the writer of credits
        if (state == "applied") != bool(charged[key]) or (where is not None and where not in charged[key]):
            yield f"credit {key} is {state}, on bill {where} by itself and on {charged[key]} by the bills"
    given: dict[str, Decimal] = defaultdict(Decimal)
    for refund in session.scalars(select(Refund).where(Refund.state != "rejected")):
        given[refund.payment_id] += refund.amount
    there = set()
    for one_payment in session.scalars(select(Payment)):
        there.add(one_payment.id)
        if (one_payment.matched, one_payment.refunded) != (used[one_payment.id], given[one_payment.id]):
            yield f"payment {one_payment.id} has {one_payment.matched} matched by itself and {used[one_payment.id]} by its matches"
    for name, known_ids in (("bills", set(rows)), ("payments", there)):
        if lost := said[name] - known_ids:
            yield f"{len(lost)} {name} were said and are not there"
    if unsent := [key for key in said["bills"] & set(rows) if rows[key].number is None]:
        yield f"bills {unsent} were said to be sent, and are not"


def _numbers(session: Session, rows: dict[str, Bill]) -> Iterator[str]:
    """Numbers have no gap, and the next one is the one behind the last."""
    following = dict(session.execute(select(BillCounter.series, BillCounter.next)).tuples().all())
    notes = [str(one) for one in session.scalars(select(CreditNote.number).where(CreditNote.number.is_not(None)))]
    for series, head, given in (("bill", "ZD", [str(one.number) for one in rows.values() if one.number]), ("credit_note", "HZ", notes)):
        numbers = sorted(int(one.removeprefix(head)) for one in given)
        if numbers != list(range(1, len(numbers) + 1)) or following.get(series, 1) != len(numbers) + 1:
            yield f"numbers of the series {series} have a gap or are double: {len(numbers)} of {following.get(series, 1) - 1}"


def _journal(session: Session, rows: dict[str, Bill]) -> Iterator[str]:
    """Each posting is balanced, and there is one of each thing."""
    postings: dict[str, Decimal] = defaultdict(Decimal)
    for one in session.scalars(select(JournalEntry)):
        postings[one.posting] += one.debit - one.credit
    if wrong := [name for name, amount in postings.items() if amount]:
        yield f"postings {wrong[:5]} are not balanced"
    wanted = {f"bill/{key}" for key, one in rows.items() if one.number is not None and (one.gross or one.net)}
    wanted |= {f"payment/{key}" for key in session.scalars(select(Payment.id).where(Payment.account_id.is_not(None)))}
    wanted |= {f"payment/{key}/back" for key in session.scalars(select(Payment.id).where(Payment.state == "reversed", Payment.account_id.is_not(None)))}
    for key, undone in session.execute(select(PaymentMatch.id, PaymentMatch.undone)).tuples():
        wanted |= {f"match/{key}"} | ({f"match/{key}/undone"} if undone is not None else set())
    wanted |= {f"credit_note/{key}" for key in session.scalars(select(CreditNote.id).where(CreditNote.state == "issued"))}
    wanted |= {f"refund/{key}" for key in session.scalars(select(Refund.id).where(Refund.state == "paid"))}
    if set(postings) != wanted:
        yield f"postings without their thing: {sorted(set(postings) - wanted)[:3]}, things without theirs: {sorted(wanted - set(postings))[:3]}"


def counted(session: Session) -> str:
    """How much there is."""
    return ", ".join(f"{session.scalar(select(func.count()).select_from(table))} {words}" for table, words in (
        (Bill, "bills"), (Payment, "payments"), (CreditNote, "credit notes"), (BillingAccount, "accounts"))) + (
        f", {session.scalar(select(func.count()).select_from(Credit).where(Credit.state == 'applied'))} credits applied")
