"""What items have reached, in the order in which they reach it, and how that is known."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select

from bss.asking import Sight, several, whole
from bss.database import lots
from bss.desk import Desk
from bss.tables import Milestone, OrderItem

NAMES = ("surveyed", "resourceReserved", "dataConfigured", "installed", "firstTrafficSeen", "rateVerified", "accepted")


def reached(desk: Desk, item: OrderItem) -> dict[str, Milestone]:
    """By name, in the order of NAMES."""
    return reached_of(desk, [item])[item.id]


def reached_of(desk: Desk, items: Iterable[OrderItem]) -> dict[str, dict[str, Milestone]]:
    """The same of many items, asked once: by the items' ids."""
    keys = [one.id for one in items]
    return _ordered(keys, (one for lot in lots(keys) for one in desk.session.execute(select(Milestone).where(Milestone.item_id.in_(lot))).scalars()))


def seen_of(desk: Desk, items: Iterable[OrderItem]) -> dict[str, dict[str, Milestone]]:
    """The same to be looked at (asking.py)."""
    keys = [one.id for one in items]
    return _ordered(keys, (one for lot in lots(keys) for one in _OF_ITEMS.each(desk.session, keys=lot)))


_OF_ITEMS = Sight(whole(Milestone).where(Milestone.item_id.in_(several("keys"))), Milestone)


def _ordered(keys: Iterable[str], rows: Iterable[Milestone]) -> dict[str, dict[str, Milestone]]:
    found: dict[str, dict[str, Milestone]] = {key: {} for key in keys}
    for one in rows:
        found[one.item_id][one.name] = one
    return {key: {name: known[name] for name in NAMES if name in known} for key, known in found.items()}


def reach(desk: Desk, item: OrderItem, name: str, evidence: dict[str, Any] | None = None, at: Any = None) -> Milestone:
    """Note that an item has reached something, with how it is known. What was reached before keeps its time, and gets the newer evidence."""
    assert name in NAMES
    found = desk.session.get(Milestone, (item.id, name))
    if found is not None:
        if evidence and evidence != found.evidence:
            desk.record("milestone.evidence", ("order_item", item.id), {name: found.evidence}, {name: evidence})
            found.evidence = evidence
        return found
    made = Milestone(item_id=item.id, name=name, reached=at or desk.now, user_id=desk.actor.id or None, evidence=evidence or {})
    desk.add(made)
    desk.record("milestone.reach", ("order_item", item.id), after={"milestone": name, "reached": made.reached, "evidence": evidence or {}})
    desk.emit("productOrder.milestone", item.order_id, {"id": item.order_id, "item": item.id, "milestone": name, "reached": made.reached})
    return made
