"""The states of orders and their items, as data: what may follow what, why the rest is refused, and which state an order has by its items.

The names are TMF622's; the tables are ours. An order is told to go somewhere (transition.py `move`), or goes where its items take it (`derived`).
"""
from __future__ import annotations

from collections.abc import Iterable

from bss.course import Course

STATES = ("draft", "acknowledged", "rejected", "pending", "held", "inProgress", "assessingCancellation", "pendingCancellation", "cancelled", "completed",
          "failed", "partial")
ITEM_STATES = ("acknowledged", "rejected", "pending", "held", "inProgress", "cancelled", "completed", "failed")
TERMINAL = frozenset({"rejected", "cancelled", "completed", "failed", "partial"})
COMMANDED = frozenset({"assessingCancellation", "pendingCancellation"})
AMENDABLE = frozenset({"draft", "acknowledged", "pending", "held"})
OPEN = tuple(one for one in STATES if one not in TERMINAL)
ACTIONS = ("add", "modify", "delete", "noChange")

#: What may follow each state of an order. `assessingCancellation` also goes back to the state before (`allowed`).
ORDER: dict[str, tuple[str, ...]] = {
    "draft": ("acknowledged", "cancelled"),
    "acknowledged": ("rejected", "inProgress", "pending", "held", "assessingCancellation"),
    "inProgress": ("pending", "held", "completed", "failed", "partial", "assessingCancellation"),
    "pending": ("inProgress", "held", "assessingCancellation", "cancelled"),
    "held": ("inProgress", "pending", "failed", "assessingCancellation"),
    "assessingCancellation": ("pendingCancellation",),
    "pendingCancellation": ("cancelled", "failed"),
    "rejected": (), "cancelled": (), "completed": (), "failed": (), "partial": (),
}
#: And of an item.
ITEM: dict[str, tuple[str, ...]] = {
    "acknowledged": ("rejected", "inProgress", "pending", "held", "cancelled"),
    "inProgress": ("pending", "held", "completed", "failed", "cancelled"),
    "pending": ("inProgress", "held", "cancelled"),
    "held": ("inProgress", "pending", "failed", "cancelled"),
    "rejected": (), "cancelled": (), "completed": (), "failed": (),
}
#: What a state means, where a refusal has to say it.
MEANING = {
    "draft": "it is still being written", "acknowledged": "it is accepted and not begun", "rejected": "it was refused", "pending": "the customer has to act",
    "held": "it is stuck on our side", "inProgress": "it is being worked on", "assessingCancellation": "it is looked at whether it can be cancelled",
    "pendingCancellation": "it is being cancelled", "cancelled": "it was cancelled", "completed": "it is delivered and verified",
    "failed": "it could not be delivered", "partial": "a part of it is delivered, and the rest is not",
}
#: Of an order, and of an item.
COURSES = (Course("an order", ORDER, MEANING), Course("an item", ITEM, MEANING))


def allowed(before: str, to: str, prior: str | None = None) -> bool:
    """Whether an order may go from one state to another. prior: where assessing its cancellation goes back to."""
    return to in ORDER[before] or (before == "assessingCancellation" and prior is not None and to == prior)


def refusal(before: str, to: str, prior: str | None = None, item: bool = False) -> str:
    """Why an order (or an item) may not go from one state to another: one sentence; '' where it may."""
    course = COURSES[item]
    what = course.called

    def special() -> str:
        if to == "draft":
            return f"{what} that is {before} is no draft any more: amend it instead"
        if to == "acknowledged":
            return f"{what} that is {before} was acknowledged before"
        if to == "cancelled" and not item:
            return f"{what} that is {before} is cancelled by way of {'pendingCancellation' if before == 'assessingCancellation' else 'assessingCancellation'}"
        if to == "pendingCancellation":
            return f"whether {what} that is {before} can be cancelled is assessed first (assessingCancellation)"
        if before == "assessingCancellation":
            return f"its cancellation is being assessed: it goes on to pendingCancellation, or back to {prior or 'the state before'}"
        if before == "pendingCancellation":
            return "it is being cancelled: it can only become cancelled, or failed"
        if to in ("completed", "partial") and before != "inProgress":
            return f"{what} that is {before} has to be inProgress before it is {to}"
        if to == "rejected":
            return f"{what} that is {before} can't be rejected any more: cancel it, or let it fail"
        return f"a draft has to be acknowledged before it is {to}" if before == "draft" else ""
    return "" if not item and to in ORDER and allowed(before, to, prior) else course.refusal(before, to, special)


def derived(items: Iterable[tuple[str, str]], state: str = "acknowledged") -> str:
    """The state of an order by its items (action, state), first rule that matches; state: the one it has, which counts where it was commanded."""
    if state in COMMANDED:
        return state
    found = [one for action, one in items if action != "noChange"]
    if found and all(one == "rejected" for one in found):
        return "rejected"
    if all(one == "completed" for one in found):
        return "completed"
    if all(one == "cancelled" for one in found):
        return "cancelled"
    if all(one in TERMINAL for one in found):
        if "completed" in found:
            return "partial"
        return "failed" if "failed" in found else "cancelled"
    for one in ("held", "pending"):
        if one in found:
            return one
    return "inProgress" if any(one == "inProgress" or one in TERMINAL for one in found) else "acknowledged"


def path(before: str, to: str) -> tuple[str, ...] | None:
    """The states an order passes to get where its items take it: at once, or by way of inProgress. None: there is no way."""
    if allowed(before, to):
        return (to,)
    return ("inProgress", to) if allowed(before, "inProgress") and allowed("inProgress", to) else None
