"""Dunning: what is done about a bill that is not paid when it is due. Notices after 0, 7 and 15 days; after 30 a suspension, after 60 a termination is
proposed, which a person approves or declines. A dispute stops the days; what is paid or credited clears the case, and its services are active again."""
from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Select, select

from bss.billing import choosing, joints, states
from bss.billing.journal import today
from bss.desk import Desk
from bss.parties import interaction
from bss.refusal import Refusal
from bss.services import inventory
from bss.tables import Bill, Contact, Customer, DunningCase, Service, WriteOff
from bss.working import job, mail

OPEN = ("sent", "partiallyPaid")
NOTICES = {"noticed": 0, "reminded": 7, "warned": 15}
PROPOSED = {"suspensionProposed": 30, "terminationProposed": 60}
DECLINED = timedelta(days=7)            # before it is proposed again
WORDS = {
    "en": ("Bill {number} is due", "Bill {number} of {period}, {open} {currency}, was due on {due}. Please pay it; services may be suspended 30 days after."),
    "zh": ("账单 {number} 已到期", "账单 {number}({period})应付 {open} {currency},应于 {due} 前付清。请尽快缴费;逾期 30 天可能停机。"),
}


def days_of(case: DunningCase, due: date, day: date) -> int:
    """Days since a bill was due, without those of disputes."""
    disputed = (day - case.disputed).days if case.disputed else 0
    return (day - due).days - case.paused - disputed


def daily(desk: Desk, _argument: Mapping[str, Any]) -> None:
    """A worker's, each day: cases of bills that are due are opened, and each goes on by one step where its days have come."""
    day = today(desk)
    live = select(DunningCase.bill_id).where(DunningCase.state != "cleared")
    query = select(Bill).where(Bill.state.in_(OPEN), Bill.due <= day, Bill.credited.is_(False), Bill.id.not_in(live)).order_by(Bill.due, Bill.id)
    opened = set()
    for bill in desk.session.execute(query.with_for_update()).scalars().all():
        case = desk.add(DunningCase(bill_id=bill.id, account_id=bill.account_id, customer_id=bill.customer_id, opened=desk.now, paused=0, services=[]))
        opened.add(case.id)
        desk.record("dunning.open", case, after={"bill": bill.number, "due": str(bill.due)})
        _notice(desk, case, bill)
    going = tuple(before for _, before, _ in states.DUE)
    for case in desk.session.execute(select(DunningCase).where(DunningCase.state.in_(going)).order_by(DunningCase.id).with_for_update()).scalars().all():
        bill = desk.session.get_one(Bill, case.bill_id)
        if bill.state not in OPEN or case.id in opened or bill.due is None or (case.wait_until is not None and day < case.wait_until):
            continue
        for days, before, to in states.DUE:
            if case.state == before and days_of(case, bill.due, day) >= days:
                _step(desk, case, to, f"{days} days after it was due")
                if to in NOTICES:
                    _notice(desk, case, bill)
                break


def move(desk: Desk, case_id: str, to: str, reason: str = "", version: int | None = None) -> DunningCase:
    """What people do with a case: dispute it and take it up again, propose, approve what was proposed or decline it. Refusal `conflict` with one sentence why
    not; the attempt is on record."""
    try:
        return _moved(desk, case_id, to, reason, version)
    except Refusal as refusal:
        raise desk.deny("dunning.move", ("dunning_case", case_id), refusal, to=to, reason=reason) from None


def _moved(desk: Desk, case_id: str, to: str, reason: str, version: int | None) -> DunningCase:
    desk.demand("dunning.approve" if to in ("suspended", "terminated") else "dunning.write")
    case = desk.find(DunningCase, case_id, lock=True)
    if why := states.refusal(states.DUNNING, case.state, to, case.prior_state):
        raise Refusal("conflict", why, f"case {case.id}")
    desk.fresh(case, version)
    case.version -= 1           # the step takes the next one
    bill = desk.session.get_one(Bill, case.bill_id)
    declined = case.state in PROPOSED and to in ("warned", "suspended") and (case.state, to) != ("suspensionProposed", "suspended")
    if (to in ("disputed", "terminated") or declined or case.state == "disputed") and not reason.strip():
        raise Refusal("invalid", f"a reason is needed for {to}", "reason", "give one sentence")
    if to == "cleared" and bill.state in OPEN:
        raise Refusal("conflict", f"{bill.gross - bill.paid} {bill.currency} of the bill are open", f"bill {bill.number}", "enter the payment, or credit it")
    if to in NOTICES and case.state not in ("disputed", *PROPOSED):
        raise Refusal("conflict", "notices are given by the day", f"case {case.id}", "the worker does it")
    if to in PROPOSED and case.state != "disputed":
        assert bill.due is not None
        if (passed := days_of(case, bill.due, today(desk))) < PROPOSED[to]:
            raise Refusal("conflict", f"the bill is due since {max(passed, 0)} days: that is proposed after {PROPOSED[to]}", f"bill {bill.number}", "wait")
    if case.state in PROPOSED and to in ("suspended", "terminated", "warned"):
        desk.demand("dunning.approve")
        desk.another(case.proposed_by, "deciding on what was proposed")
    day = today(desk)
    if declined:
        case.wait_until = day + DECLINED
    elif to == "suspended" and case.state == "suspensionProposed":
        _suspend(desk, case)
    elif to == "terminated":
        _terminate(desk, case, reason)
    before = case.state
    _step(desk, case, to, reason)
    if to == "disputed":
        case.disputed, case.prior_state = day, before
    elif before == "disputed":
        case.paused, case.disputed, case.prior_state = case.paused + (day - (case.disputed or day)).days, None, None
    desk.session.flush()
    return case


def settled(desk: Desk, bill: Bill, given_up: bool = False) -> None:
    """Clear the case of a bill that is paid or credited; services that were suspended for it are taken up again by the worker. given_up: it was written off,
    and they are not, unless that is taken back and the bill paid."""
    if bill.state in OPEN:
        return
    query = select(DunningCase).where(DunningCase.bill_id == bill.id, DunningCase.state != "cleared").with_for_update()
    for case in desk.session.execute(query).scalars().all():
        if case.services and case.state != "terminated" and not given_up:
            job.add(desk, "billing.resume", f"resume {case.id}", {"case": case.id})
        _step(desk, case, "cleared", f"bill {bill.number} is {'written off' if given_up else bill.state}")
    if given_up:
        return
    # a write-off of it was taken back, and it is paid after all: the case that was cleared with that write-off, at the same time, is still to be taken up
    back = select(WriteOff.decided).where(WriteOff.bill_id == bill.id, WriteOff.state == "reversed")
    for case in desk.session.execute(select(DunningCase).where(DunningCase.bill_id == bill.id, DunningCase.cleared.in_(back))).scalars().all():
        if case.services:
            job.add(desk, "billing.resume", f"resume {case.id}", {"case": case.id})


def resume(desk: Desk, argument: Mapping[str, Any]) -> None:
    """A worker's: services that were suspended for a case are active again, but for those that another case holds."""
    case = desk.session.get_one(DunningCase, str(argument["case"]), with_for_update=True)
    held = _held(desk, case)
    joints.window_ended(desk, case.windows)         # first, and whole: or each service would get one of its own
    for service in desk.session.execute(select(Service).where(Service.id.in_([one for one in case.services if one not in held]))).scalars().all():
        if service.state == "inactive" and service.reason == "non_payment":
            inventory.move(desk, service.id, "active", "what was owed is paid")


def _held(desk: Desk, case: DunningCase) -> set[str]:
    """Services that other cases of the customer keep suspended, also while these are disputed."""
    off = ("suspended", "terminationProposed")
    others = desk.session.execute(select(DunningCase.services).where(
        DunningCase.customer_id == case.customer_id, DunningCase.id != case.id,
        DunningCase.state.in_(off) | ((DunningCase.state == "disputed") & DunningCase.prior_state.in_(off)))).scalars()
    return {one for services in others for one in services}


def _suspend(desk: Desk, case: DunningCase) -> None:
    """Suspend what the account pays for. What another case has suspended this one holds as well, so that it is not taken up again before both are paid."""
    found = [one for one in choosing.services_of(desk, case.customer_id, case.account_id, whole=True)
             if one.state == "active" or (one.state == "inactive" and one.reason == "non_payment")]
    case.services = sorted(one.id for one in found)
    for service in found:
        if service.state == "active":
            inventory.move(desk, service.id, "inactive", "non_payment")
    case.windows = joints.window_begun(desk, case.id, case.services, case.proposed_by)


def _terminate(desk: Desk, case: DunningCase, reason: str) -> None:
    for service in desk.session.execute(select(Service).where(Service.id.in_(case.services), Service.state == "inactive").order_by(Service.id)).scalars().all():
        inventory.move(desk, service.id, "terminated", reason)


def _step(desk: Desk, case: DunningCase, to: str, reason: str = "") -> None:
    if why := states.refusal(states.DUNNING, case.state, to, case.prior_state):
        raise Refusal("conflict", why, f"case {case.id}")
    before, case.state, case.reason, case.version = case.state, to, reason[:400], case.version + 1
    if to in PROPOSED and before != "disputed":
        case.proposed_by = desk.actor.id or None
    if to == "cleared":
        case.cleared = desk.now
    desk.session.flush()
    desk.record("dunning.move", case, {"state": before}, {"state": to}, reason)
    desk.emit("dunningCase.stateChange", case.id, {"id": case.id, "bill": case.bill_id, "from": before, "state": to})


def _notice(desk: Desk, case: DunningCase, bill: Bill) -> None:
    """Tell the customer: by mail where he has an address, and others by the event; it is noted as a contact with him."""
    lang = desk.office.settings.lang
    subject, text = (words.format(number=bill.number, period=bill.period, open=f"{bill.gross - bill.paid:.2f}", currency=bill.currency, due=bill.due)
                     for words in WORDS[lang])
    query = select(Contact).join(Customer, Customer.party_id == Contact.party_id).where(Customer.id == case.customer_id, Contact.medium == "email")
    mails = sorted(desk.session.execute(query).scalars(), key=lambda one: (one.role != "billing", not one.preferred, one.id))
    sent = bool(mails) and mail.write(desk, mails[0].value, subject, text, f"dunning {case.id} {case.state}")
    interaction.note(desk, customer_id=case.customer_id, channel="other", subject=subject, note=text, direction="out")
    desk.emit("dunningCase.notice", case.id, {"id": case.id, "bill": bill.id, "notice": NOTICES[case.state], "mailed": sent})


def listed(desk: Desk, state: str = "", customer_id: str = "") -> Select[tuple[DunningCase]]:
    """A query of cases, the newest first."""
    desk.demand("bill.read")
    query = desk.select(DunningCase)
    for column, wanted in ((DunningCase.state, state), (DunningCase.customer_id, customer_id)):
        if wanted:
            query = query.where(column == wanted)
    return query.order_by(DunningCase.opened.desc(), DunningCase.id.desc())
