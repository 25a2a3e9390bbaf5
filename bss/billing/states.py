"""The states of bills, runs of them, payments, refunds and dunning, as data: what may follow what, and why the rest is refused."""
from __future__ import annotations

from bss.course import Course

#: TMF678's names. A bounced payment takes a bill one step back; one that is paid at once is settled without being partly paid before.
BILL = Course("a bill", {
    "new": ("onHold", "validated", "void"), "onHold": ("new", "void"), "validated": ("sent", "void"), "void": (), "sent": ("partiallyPaid", "settled"),
    "partiallyPaid": ("settled", "sent"), "settled": ("partiallyPaid", "sent"),
}, {"new": "it is made and not approved", "onHold": "something about it is not clear", "validated": "it is approved and not sent", "void": "it was never sent",
    "sent": "the customer has it", "partiallyPaid": "a part of it is paid", "settled": "it is paid"})

RUN = Course("a run", {
    "trial": ("built", "cancelled"), "built": ("audited", "trial", "cancelled"), "audited": ("approved", "trial", "cancelled"), "approved": ("issued",),
    "issued": (), "cancelled": (),
}, {"trial": "its bills are being made", "built": "its bills are made and not looked at", "audited": "its bills were compared and wait for a second person",
    "approved": "its bills are being sent", "issued": "its bills are sent", "cancelled": "its bills are void"})

PAYMENT = Course("a payment", {
    "received": ("suggested", "posted", "reversed"), "suggested": ("received", "posted", "reversed"), "posted": ("reversed",), "reversed": (),
}, {"received": "nobody knows yet whose it is", "suggested": "a person has to say whose it is", "posted": "it is on its account",
    "reversed": "it was taken back"})

REFUND = Course("a refund", {
    "asked": ("approved", "rejected"), "approved": ("paid", "rejected"), "rejected": (), "paid": (),
}, {"asked": "a second person has to approve it", "approved": "it is to be paid", "rejected": "it was refused", "paid": "the money was given back"})

WRITE_OFF = Course("a write-off", {
    "proposed": ("approved", "rejected"), "approved": ("reversed",), "rejected": (), "reversed": (),
}, {"proposed": "a second person has to approve it", "approved": "nobody is asked for it any more", "rejected": "it was refused",
    "reversed": "the bill is owed again, or was credited"})

DUNNING = Course("a case", {
    "noticed": ("reminded", "disputed", "cleared"), "reminded": ("warned", "disputed", "cleared"),
    "warned": ("suspensionProposed", "disputed", "cleared"), "suspensionProposed": ("suspended", "warned", "disputed", "cleared"),
    "suspended": ("terminationProposed", "disputed", "cleared"), "terminationProposed": ("terminated", "suspended", "disputed", "cleared"),
    "disputed": ("cleared",), "terminated": ("cleared",), "cleared": (),
}, {"noticed": "the first notice was given", "reminded": "the second notice was given", "warned": "the last notice was given",
    "suspensionProposed": "a person has to say whether services are suspended", "suspended": "services are suspended for it",
    "terminationProposed": "a person has to say whether services are terminated", "terminated": "services were terminated for it",
    "disputed": "the customer says that he does not owe it", "cleared": "it is paid, credited or written off"})

#: Days after a bill was due on which a case gets as far, without those of disputes. What is proposed a person approves.
DUE: tuple[tuple[int, str, str], ...] = ((7, "noticed", "reminded"), (15, "reminded", "warned"), (30, "warned", "suspensionProposed"),
                                         (60, "suspended", "terminationProposed"))


def allowed(course: Course, before: str, to: str, prior: str | None = None) -> bool:
    """Whether one state may follow another. prior: where a dispute goes back to."""
    return to in course.ways[before] or (before == "disputed" and prior is not None and to == prior)


def refusal(course: Course, before: str, to: str, prior: str | None = None) -> str:
    """Why one state may not follow another: one sentence; '' where it may."""
    def special() -> str:
        if course is BILL and to == "void":
            return f"a bill that is {before} is never void: write a credit note, and a new bill"
        if course is BILL and before in ("sent", "partiallyPaid", "settled"):
            return f"a bill that is {before} is not changed any more: write a credit note, and a new bill"
        if before == "disputed":
            return f"it is disputed, and nothing is done meanwhile: it goes back to {prior or 'what it was'}, or is cleared"
        return ""
    return "" if to in course.ways and allowed(course, before, to, prior) else course.refusal(before, to, special)
