"""A run of bills: trial -> audit -> a second person approves -> issue. Made in lots, each one transaction that also moves the run's cursor: whoever goes on
after a kill finds what is done, and goes on behind it. One run of all accounts of an anchor at a time; of some customers, as many as are needed."""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, func, select, update

from bss.billing import audit, joints, making, states
from bss.billing.journal import today
from bss.billing.standing import Catalogue
from bss.charges.proration import anchored, period_of
from bss.desk import Desk
from bss.office import Office
from bss.people.scope import Actor
from bss.refusal import Refusal
from bss.tables import Bill, BillFinding, BillLine, BillRun, Customer
from bss.working import job

LOT = 500               # customers of a transaction
FEW = 50                # customers whose bills are made at once, without a job


def last_period(desk: Desk, anchor: int = 1) -> str:
    """The period that ended last."""
    day = today(desk)
    for back in (1, 2):
        begin = anchored(day.year, day.month - back, anchor)
        if period_of(f"{begin:%Y-%m}", anchor).end <= day:
            return f"{begin:%Y-%m}"
    raise AssertionError(day)


def start(desk: Desk, period: str, anchor: int = 1, customers: Sequence[str] = ()) -> BillRun:
    """Begin a run. customers: of these alone (ids). Refusal: the period has not ended, or there is a run of it."""
    with desk.answering("bill_run.start", ("bill_run", period[:16]), anchor=anchor, customers=list(customers)[:20]):
        desk.demand("bill.write")
        try:
            ends = period_of(period, anchor).end
        except ValueError:
            raise Refusal("invalid", f"{period!r} is no period, or {anchor} no day of a month", "period",
                          "write it as 2026-11, and an anchor of 1 to 31") from None
        if ends > today(desk):
            raise Refusal("conflict", f"the period {period} ends on {ends}: what it comes to is not known before", "period", "wait, or name an earlier one")
        if why := joints.unclosed(desk, period, customers):
            raise Refusal("conflict", why, "period", "close the month's usage first")
        for one in customers:
            desk.find(Customer, one)
        if desk.actor.limited:
            raise Refusal("forbidden", "a run is of the whole installation: it is for who may see all of it", "region", "ask one who works in all regions")
        query = select(BillRun.id).where(BillRun.period == period, BillRun.anchor == anchor, BillRun.whole.is_(True), BillRun.state != "cancelled")
        if not customers and (other := desk.session.execute(query).scalar()):
            raise Refusal("conflict", f"there is a run of {period} already: {other}", "period", "go on with it, or cancel it")
        run = desk.add(BillRun(period=period, anchor=anchor, whole=not customers, customers=sorted(set(customers)), begun=desk.now,
                               begun_by=desk.actor.id or None))
        desk.record("bill_run.start", run, after={"period": period, "anchor": anchor, "customers": len(run.customers) or "all"})
        desk.emit("billRun.create", run.id, {"id": run.id, "period": period, "state": run.state})
        return run


def lot(desk: Desk, run_id: str, catalogue: Catalogue | None = None) -> int:
    """Make the bills of the next customers; how many customers were looked at, 0 where the run is made. Two who do so wait for one another."""
    desk.demand("bill.write")
    run = _held(desk, run_id)
    if run.state != "trial":
        return 0
    if run.whole:
        query = select(Customer.id).where(Customer.id > run.cursor, Customer.merged_into.is_(None)).order_by(Customer.id).limit(LOT)
        ids = list(desk.session.execute(query).scalars())
    else:
        ids = [one for one in run.customers if one > run.cursor][:LOT]
    made = making.make(desk, run, ids, catalogue) if ids else 0
    if ids:
        run.cursor = ids[-1]
    desk.record("bill_run.make", run, after={"customers": len(ids), "bills": made, "cursor": run.cursor})
    if len(ids) < LOT:
        _step(desk, run, "built")
    return len(ids)


def build(office: Office, actor: Actor, run_id: str, told: Callable[[int], None] = lambda _count: None) -> None:
    """Make all bills of a run, lot by lot, from where it stands. told: is given how many customers each lot had."""
    while count := office.act(actor, lambda desk: lot(desk, run_id)):
        told(count)


def later(desk: Desk, run: BillRun) -> None:
    """Have the worker make its bills; of a few customers it is done at once. Refusal: they are made."""
    with desk.answering("bill_run.make", run):
        desk.demand("bill.write")
        if run.state != "trial":
            _allowed(desk, run, "built")
    if run.whole or len(run.customers) > FEW:
        job.add(desk, "billing.build", f"bills {run.id} {run.version}", {"run": run.id})
        return
    while lot(desk, run.id) and run.state == "trial":
        continue


def again(desk: Desk, run_id: str, customers: Sequence[str], reason: str) -> BillRun:
    """Make the bills of some customers anew while the run is not approved: what was made of them is void, and the run is audited again."""
    with desk.answering("bill_run.again", ("bill_run", run_id), customers=list(customers)[:20], reason=reason):
        desk.demand("bill.write")
        run = _held(desk, run_id)
        if run.state not in ("trial", "built", "audited"):
            raise desk.deny("bill_run.again", run, Refusal("conflict", f"the run is {run.state}: {states.RUN.meaning[run.state]}", f"run {run.id}",
                                                           "hold the bill, or write a credit note and a new bill"))
        if not customers or not reason.strip():
            raise Refusal("invalid", "it is said of which customers, and why", "customers", "name them and a reason")
        ids = sorted({desk.find(Customer, one).id for one in customers})
        if not run.whole and (strange := sorted(set(ids) - set(run.customers))):
            raise Refusal("conflict", f"the run is of other customers, not of {strange[0]}", f"run {run.id}", "begin a run of these")
        bills = list(desk.session.execute(select(Bill.id).where(Bill.run_id == run.id, Bill.customer_id.in_(ids),
                                                                Bill.state.in_(("new", "onHold")))).scalars())
        void(desk, bills, reason)
        making.make(desk, run, ids)
        if run.state == "audited":
            _step(desk, run, "trial", reason)
            _step(desk, run, "built", reason)
        desk.record("bill_run.again", run, after={"customers": ids, "void": len(bills)}, reason=reason)
        return run


def void(desk: Desk, bill_ids: Sequence[str], reason: str) -> None:
    """Bills that nobody has seen hold no more: what they charge may be charged by others."""
    for k in range(0, len(bill_ids), 5000):
        some = bill_ids[k:k + 5000]
        desk.session.execute(update(Bill).where(Bill.id.in_(some)).values(state="void", reason=reason[:400], version=Bill.version + 1))
        desk.session.execute(update(BillLine).where(BillLine.bill_id.in_(some)).values(live=False))
        desk.session.execute(update(BillFinding).where(BillFinding.bill_id.in_(some), BillFinding.cleared.is_(None))
                             .values(cleared=desk.now, cleared_by=desk.actor.id or None, reason="the bill is void"))
    desk.session.expire_all()


def look_over(desk: Desk, run_id: str) -> Counter[str]:
    """Audit a run that is built: compare its bills with the last ones of their accounts. What is found a person clears. How much of each kind."""
    with desk.answering("bill_run.audit", ("bill_run", run_id)):
        desk.demand("bill.write")
        run = _held(desk, run_id)
        if run.state != "audited":
            _allowed(desk, run, "audited")
        found = audit.findings(desk, run)
        run.audited = desk.now
        if run.state != "audited":
            _step(desk, run, "audited")
        desk.record("bill_run.audit", run, after=dict(found))
        return found


def approve(desk: Desk, run_id: str) -> BillRun:
    """Approve a run, as the second person: its bills are validated. Refusal: something that was found is not cleared."""
    with desk.answering("bill_run.approve", ("bill_run", run_id)):
        desk.demand("bill.approve")
        run = _held(desk, run_id)
        _allowed(desk, run, "approved")
        desk.another(run.begun_by, "approving a run of bills")
        if left := audit.open_(desk, run.id):
            raise desk.deny("bill_run.approve", run, Refusal(
                "conflict", f"of what was found nobody has cleared: {', '.join(f'{count} {kind}' for kind, count in sorted(left.items()))}", f"run {run.id}",
                "look at them, and clear them with a reason or make the bills again"))
        changed = desk.session.execute(update(Bill).where(Bill.run_id == run.id, Bill.state == "new").values(state="validated", version=Bill.version + 1))
        desk.session.expire_all()
        run.approved, run.approved_by = desk.now, desk.actor.id or None
        _step(desk, run, "approved")
        desk.record("bill_run.approve", run, after={"bills": changed.rowcount})         # type: ignore[attr-defined]
        return run


def cancel(desk: Desk, run_id: str, reason: str) -> BillRun:
    """Give up a run that is not approved: its bills are void."""
    with desk.answering("bill_run.cancel", ("bill_run", run_id), reason=reason):
        desk.demand("bill.write")
        run = _held(desk, run_id)
        _allowed(desk, run, "cancelled")
        if not reason.strip():
            raise Refusal("invalid", "a reason is needed to cancel a run", "reason", "give one sentence")
        void(desk, list(desk.session.execute(select(Bill.id).where(Bill.run_id == run.id, Bill.state.in_(("new", "onHold", "validated")))).scalars()), reason)
        _step(desk, run, "cancelled", reason)
        desk.record("bill_run.cancel", run, reason=reason)
        return run


def find(desk: Desk, run_id: str) -> BillRun:
    """A run, for who may see bills."""
    desk.demand("bill.read")
    return desk.find(BillRun, run_id)


def listed(desk: Desk) -> Select[tuple[BillRun]]:
    """A query of runs, the newest first."""
    desk.demand("bill.read")
    return desk.select(BillRun).order_by(BillRun.begun.desc(), BillRun.id.desc())


def totals(desk: Desk, run_id: str) -> dict[str, Any]:
    """Bills of a run by state, and what they come to, by currency."""
    counts: dict[str, int] = {}
    sums: dict[str, Any] = {}
    query = select(Bill.state, Bill.currency, func.count(), func.sum(Bill.gross), func.sum(Bill.tax)).where(Bill.run_id == run_id)
    for state, currency, count, gross, tax in desk.session.execute(query.group_by(Bill.state, Bill.currency)).tuples():
        counts[state] = counts.get(state, 0) + count
        if state != "void":
            known = sums.setdefault(currency, {"gross": 0, "tax": 0})
            known["gross"], known["tax"] = known["gross"] + gross, known["tax"] + tax
    return {"bills": counts, "sums": {currency: {name: str(amount) for name, amount in one.items()} for currency, one in sums.items()}}


def step(desk: Desk, run: BillRun, to: str) -> None:
    """Bring a run on (issuing.py)."""
    _step(desk, run, to)


def _held(desk: Desk, run_id: str) -> BillRun:
    return desk.find(BillRun, run_id, lock=True)


def _allowed(desk: Desk, run: BillRun, to: str) -> None:
    if why := states.refusal(states.RUN, run.state, to):
        raise desk.deny("bill_run.move", run, Refusal("conflict", why, f"run {run.id}"), to=to)


def _step(desk: Desk, run: BillRun, to: str, reason: str = "") -> None:
    _allowed(desk, run, to)
    before, run.state = run.state, to
    run.reason, run.version = reason[:400], run.version + 1
    desk.session.flush()
    desk.emit("billRun.stateChange", run.id, {"id": run.id, "period": run.period, "from": before, "state": to})


def build_job(office: Office, argument: dict[str, Any]) -> None:
    """A worker's: make the bills of a run."""
    from bss.people.scope import SYSTEM

    build(office, SYSTEM, str(argument["run"]))


def keep(desk: Desk, _argument: dict[str, Any]) -> None:
    """A worker's, each hour: a run that was being made and is not gone on with is asked for anew."""
    for run in desk.session.execute(select(BillRun).where(BillRun.state == "trial", BillRun.begun < desk.now - timedelta(hours=1))).scalars():
        job.add(desk, "billing.build", f"bills {run.id} {run.version} {run.cursor}", {"run": run.id})
