"""The states of tickets, as data: what may follow what, why the rest is refused, what an alarm does in each, and which priority a ticket has.

The names are TMF621's; the table is ours. `resolved` means that the fault is over; `closed`, that its customer agrees or has said nothing for 72 hours.
"""
from __future__ import annotations

import hashlib
from datetime import timedelta

from bss.course import Course

STATES = ("acknowledged", "rejected", "pending", "held", "inProgress", "resolved", "closed", "cancelled")
TERMINAL = frozenset({"rejected", "closed", "cancelled"})
OPEN = ("acknowledged", "inProgress", "pending", "held")
#: What people and other parts open tickets for. MEASURED: the traffic has a say in whether they are over.
KINDS = ("outage", "quality", "attack", "complaint", "breach", "inspection", "billing", "other")
MEASURED = frozenset({"outage", "quality"})
SEVERITIES = ("critical", "major", "minor")
CONFIRM = timedelta(hours=72)           # after which what is resolved is closed
REPEAT = timedelta(days=30)             # in which the next ticket of a key is a repeat
FLAPS, FLAPPING = 4, timedelta(hours=1)         # more raises than that in this time: it flaps

#: What may follow each state.
TICKET: dict[str, tuple[str, ...]] = {
    "acknowledged": ("inProgress", "resolved", "rejected", "cancelled"),
    "inProgress": ("pending", "held", "resolved"),
    "pending": ("inProgress", "held", "resolved", "cancelled"),
    "held": ("inProgress", "pending", "resolved", "cancelled"),
    "resolved": ("closed", "inProgress"),
    "rejected": (), "closed": (), "cancelled": (),
}
#: What people do, and where it leads.
EVENTS = {"take": "inProgress", "wait": "pending", "hold": "held", "resume": "inProgress", "resolve": "resolved", "reject": "rejected",
          "cancel": "cancelled", "close": "closed", "reopen": "inProgress"}
#: Where each of these may begin, where it is less than the table says.
BEGINS = {"take": ("acknowledged",), "resume": ("pending", "held"), "reopen": ("resolved",)}
MEANING = {
    "acknowledged": "nobody has begun with it", "inProgress": "it is being worked on", "pending": "the customer has to act, and its clock stands",
    "held": "it waits for somebody else, and its clock runs", "resolved": "the fault is over", "rejected": "it was refused", "closed": "it is over",
    "cancelled": "it was withdrawn",
}
COURSE = Course("a ticket", TICKET, MEANING, "; what happens again gets a ticket of its own")
REASONED = frozenset({"pending", "held", "rejected", "cancelled"})
#: By class and severity: critical, major, minor. A resource has the class of the lines that hang on it, B.
PRIORITIES: dict[str, tuple[int, int, int]] = {"A": (1, 1, 2), "B": (1, 2, 3), "C": (2, 3, 3), "home": (3, 3, 4), "wlan": (3, 4, 4), "mobile": (3, 3, 4)}


def priority(class_: str, severity: str) -> int:
    """1, the highest, to 4."""
    return PRIORITIES.get(class_, PRIORITIES["B"])[SEVERITIES.index(severity)]


def dedup_key(service_id: str | None, alert_kind: str, resource_id: str | None) -> str:
    """What tickets of one fault have in common: SHA-256 of service, kind and resource, in hexadecimal digits."""
    return hashlib.sha256("\0".join((service_id or "", alert_kind, resource_id or "")).encode()).hexdigest()


def refusal(before: str, to: str) -> str:
    """Why a ticket may not go from one state to another: one sentence; '' where it may."""
    def special() -> str:
        if to == "acknowledged":
            return f"a ticket that is {before} was acknowledged before"
        if to == "closed":
            return f"a ticket that is {before} has to be resolved before it is closed"
        if before == "resolved":
            return f"a ticket that is resolved is closed, or worked on again: it can't become {to}"
        if to == "rejected":
            return f"a ticket that is {before} was accepted: it can't be rejected any more"
        return "a ticket that is inProgress is not cancelled: resolve it, or hold it first" if to == "cancelled" else ""
    return COURSE.refusal(before, to, special)


def refused(before: str, event: str) -> str:
    """Why people may not do something with a ticket in a state: one sentence; '' where they may."""
    if event not in EVENTS:
        return f"{event!r} is nothing that is done with a ticket"
    if (begins := BEGINS.get(event)) and before not in begins:
        return refusal(before, EVENTS[event]) or f"to {event} a ticket it has to be {' or '.join(begins)}, and it is {before}"
    return refusal(before, EVENTS[event])


def raised(state: str) -> str:
    """What a raise makes of a ticket of its key: its state from then on, '' where it is over and there is a new one."""
    return "" if state in TERMINAL else "inProgress" if state == "resolved" else state


def cleared(state: str, worked: bool, flapping: bool) -> str:
    """What a clear makes of it: resolved where nobody has worked on it and it does not flap, else it stays and has a note."""
    return "resolved" if state in ("acknowledged", "inProgress") and not worked and not flapping else state
