"""What the record says was done: the steps of things, and how often each was acted on."""
from __future__ import annotations

from collections import Counter, defaultdict

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bss.tables import AuditRow, Transition

BOUND = ("reserved", "inactive", "active")          # states of a service in which a binding may hold


def steps_of(session: Session, entity: str) -> dict[str, list[tuple[str, str]]]:
    """The steps of all things of a kind, in any order."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for key, before, to in session.execute(select(Transition.entity_id, Transition.from_state, Transition.to_state).where(Transition.entity == entity)):
        found[key].append((before, to))
    return found


def walk(steps: list[tuple[str, str]], first: str | None, last: str) -> str:
    """Why steps, in any order, are no walk that ends in a state; '' where they are. first: where it begins, None anywhere."""
    balance: Counter[str] = Counter()
    for before, to in steps:
        balance[before] += 1
        balance[to] -= 1
    balance[last] += 1
    begins = [state for state, count in balance.items() if count == 1]
    if any(count not in (0, 1) for count in balance.values()) or len(begins) != 1 or (first is not None and begins != [first]):
        return f"it is {last}, and its steps are {steps}"
    return ""


def count_of(session: Session, action: str) -> Counter[str]:
    """How often something was done with each thing, by the record."""
    return Counter(dict(session.execute(select(AuditRow.entity_id, func.count()).where(AuditRow.action == action).group_by(AuditRow.entity_id)).tuples().all()))
