"""The states of a service (TMF638) as a table: from which to which, by what name, and whether a reason is needed. Every pair that is not here is refused.

designed -> reserved -> inactive -> active <-> inactive (suspended, with a reason) -> terminated. What never was active may be given up where its order
was cancelled.
"""
from __future__ import annotations

from typing import NamedTuple

from bss.refusal import Refusal

STATES = ("designed", "reserved", "inactive", "active", "terminated")


class Step(NamedTuple):
    """A step that is allowed. event: its name; reason: one is needed."""
    event: str
    reason: bool = False


STEPS: dict[tuple[str, str], Step] = {
    ("designed", "reserved"): Step("reserve"),
    ("reserved", "designed"): Step("release"),
    ("reserved", "inactive"): Step("configure"),
    ("inactive", "active"): Step("activate"),
    ("active", "inactive"): Step("suspend", reason=True),
    ("designed", "terminated"): Step("cancel", reason=True),
    ("reserved", "terminated"): Step("cancel", reason=True),
    ("inactive", "terminated"): Step("terminate"),
    ("active", "terminated"): Step("terminate"),
}


def step(state: str, to: str, reason: str = "") -> Step:
    """What leads from one state to another. Refusal: nothing does, or its reason is missing."""
    if to not in STATES:
        raise Refusal("invalid", f"{to!r} is no state of a service", "state", f"states are {', '.join(STATES)}")
    found = STEPS.get((state, to))
    if found is None:
        open_to = [after for before, after in STEPS if before == state]
        raise Refusal("conflict", f"a service that is {state} can't become {to}", "state",
                      f"it can become {' or '.join(open_to)}" if open_to else "nothing follows")
    if found.reason and not reason.strip():
        raise Refusal("invalid", f"a reason is needed to {found.event} a service", "reason", "say why in a sentence")
    return found
