"""The states of credits as data: what may happen to one, who does it, and why all else is refused.

drafted -> approved | rejected (with a reason) | superseded (the month was computed anew, or somebody took it back); approved -> applied. A line of the next
bill is what it becomes: nothing undoes that but a bill's own ways.
"""
from __future__ import annotations

STATES = ("drafted", "approved", "rejected", "superseded", "applied")
EVENTS = ("approve", "reject", "supersede", "apply")
LIVE = ("drafted", "approved", "applied")
#: (state, event) -> state after it.
STEPS: dict[tuple[str, str], str] = {
    ("drafted", "approve"): "approved", ("drafted", "reject"): "rejected", ("drafted", "supersede"): "superseded", ("approved", "apply"): "applied",
}
PERMISSION = {"approve": "credit.approve", "reject": "credit.approve", "supersede": "credit.draft", "apply": "credit.apply"}
MEANING = {"drafted": "nobody has decided on it", "approved": "it waits for the next bill", "rejected": "it was refused, with a reason",
           "superseded": "another one took its place", "applied": "it is a line of a bill"}


def refusal(state: str, event: str) -> str:
    """Why an event does not happen to a credit of a state: one sentence; '' where it does."""
    if event not in EVENTS:
        return f"{event!r} is nothing that happens to a credit"
    if (state, event) in STEPS:
        return ""
    past = {"approve": "approved", "reject": "rejected", "supersede": "superseded", "apply": "applied"}[event]
    if state == past:
        return f"it is {state} already"
    if state == "applied":
        return f"it is a line of a bill, and can't be {past}: correct the bill by a credit note"
    if state in ("rejected", "superseded"):
        return f"a credit that is {state} stays so: {MEANING[state]}"
    if event == "apply":
        return "a draft has to be approved before it is applied"
    return f"an approved credit waits for the next bill, and can't be {past}"
