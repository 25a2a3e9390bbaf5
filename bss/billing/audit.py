"""What of a run's bills a person has to look at before they are approved: much more or less than last month, nothing, the first bill of an account, less than
nothing. What was cleared for a bill stays cleared."""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, func, select

from bss.desk import Desk
from bss.refusal import Refusal
from bss.running import bulk
from bss.running.kind import Ids
from bss.tables import Bill, BillFinding, BillRun
from bss.tables.billing import FINDINGS

SHARE, LEAST = Decimal("0.5"), Decimal("10.00")         # a change is more than half of the last bill, and more than that
LOT = 5000


def kinds_of(gross: Decimal, last: Decimal | None) -> dict[str, dict[str, Any]]:
    """What is to be looked at of a bill. last: what the bill of the period before came to, None where there was none."""
    found: dict[str, dict[str, Any]] = {}
    if gross == 0:
        found["zero"] = {}
    if gross < 0:
        found["negative"] = {"gross": str(gross)}
    if last is None:
        found["first"] = {"gross": str(gross)}
    elif abs(gross - last) > LEAST and abs(gross - last) > SHARE * abs(last):
        found["change"] = {"gross": str(gross), "last": str(last), "difference": str(gross - last)}
    return found


def findings(desk: Desk, run: BillRun) -> Counter[str]:
    """Look at all bills of a run that are not void; how much was found of each kind."""
    session, ids, count = desk.session, Ids(), Counter[str]()
    after = ""
    while True:
        rows = session.execute(select(Bill.id, Bill.account_id, Bill.gross).where(
            Bill.run_id == run.id, Bill.state.in_(("new", "onHold")), Bill.id > after).order_by(Bill.id).limit(LOT)).all()
        if not rows:
            return count
        after = rows[-1].id
        last: dict[str, Decimal] = {}
        for account, gross in session.execute(select(Bill.account_id, Bill.gross).where(
                Bill.account_id.in_([one.account_id for one in rows]), Bill.period < run.period, Bill.issued.is_not(None), Bill.credited.is_(False))
                .order_by(Bill.period, Bill.revision)).tuples():
            last[account] = gross
        known = set(session.execute(select(BillFinding.bill_id, BillFinding.kind).where(BillFinding.bill_id.in_([one.id for one in rows]))).tuples())
        made = []
        for one in rows:
            for kind, detail in kinds_of(one.gross, last.get(one.account_id)).items():
                count[kind] += 1
                if (one.id, kind) not in known:
                    made.append({"id": ids(BillFinding.LETTER), "run_id": run.id, "bill_id": one.id, "kind": kind, "detail": detail, "made": desk.now,
                                 "reason": ""})
        bulk.write(desk, BillFinding, made)


def open_(desk: Desk, run_id: str) -> dict[str, int]:
    """How much of each kind nobody has cleared, of bills that would be approved."""
    query = select(BillFinding.kind, func.count()).join(Bill, Bill.id == BillFinding.bill_id).where(
        BillFinding.run_id == run_id, BillFinding.cleared.is_(None), Bill.state == "new").group_by(BillFinding.kind)
    return dict(desk.session.execute(query).tuples().all())


def listed(desk: Desk, run_id: str, kind: str = "", cleared: bool | None = None) -> Select[tuple[BillFinding]]:
    """A query of findings of a run."""
    desk.demand("bill.read")
    query = desk.select(BillFinding).where(BillFinding.run_id == run_id)
    if kind:
        query = query.where(BillFinding.kind == kind)
    if cleared is not None:
        query = query.where(BillFinding.cleared.is_not(None) if cleared else BillFinding.cleared.is_(None))
    return query.order_by(BillFinding.kind, BillFinding.id)


def clear(desk: Desk, run_id: str, reason: str, finding_ids: Sequence[str] = (), kind: str = "") -> int:
    """Say of findings that they are as they should be, and why: of these, or of all of a kind. How many."""
    with desk.answering("bill_run.clear", ("bill_run", run_id), kind=kind, findings=list(finding_ids)[:20], reason=reason):
        desk.demand("bill.write")
        run = desk.find(BillRun, run_id, lock=True)
        if not reason.strip():
            raise Refusal("invalid", "a reason is needed to clear what was found", "reason", "say why it is right")
        if not finding_ids and kind not in FINDINGS:
            raise Refusal("invalid", "it is said which findings are cleared", "finding", f"name some, or a kind: {', '.join(FINDINGS)}")
        if run.state not in ("audited", "approved", "issued"):
            raise Refusal("conflict", f"the run is {run.state}", f"run {run.id}", "audit it first")
        query = desk.select(BillFinding).where(BillFinding.run_id == run.id, BillFinding.cleared.is_(None))
        query = query.where(BillFinding.id.in_(list(finding_ids))) if finding_ids else query.where(BillFinding.kind == kind)
        found: list[Any] = list(desk.session.execute(query).scalars())
        if finding_ids and len(found) != len(set(finding_ids)):
            raise Refusal("missing", "one of the findings is not there, or was cleared", "finding", "look at the list")
        for one in found:
            one.cleared, one.cleared_by, one.reason = desk.now, desk.actor.id or None, reason[:400]
        desk.session.flush()
        desk.record("bill_run.clear", run, after={"findings": len(found), "kind": kind or "some"}, reason=reason)
        return len(found)


def waiting(desk: Desk, bill_id: str) -> list[str]:
    """Kinds of findings of one bill that nobody has cleared."""
    query = select(BillFinding.kind).where(BillFinding.bill_id == bill_id, BillFinding.cleared.is_(None)).order_by(BillFinding.kind)
    return list(desk.session.execute(query).scalars())
