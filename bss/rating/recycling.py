"""The queue of usage that nobody is charged for by itself: a person takes it up, or rejects it, with a reason."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, insert

from bss.desk import Desk
from bss.rating import closing, month, rate, usage
from bss.rating.hours import hold
from bss.rating.lines import digest, pack, unpack
from bss.rating.plan import plans
from bss.rating.rate import Tools
from bss.refusal import Refusal
from bss.tables import RatedUsage, Recycled
from bss.tables.rating import RECYCLED_STATES


def queue(desk: Desk, state: str = "recycled", customer_id: str = "") -> Select[tuple[Recycled]]:
    """What waits, the oldest first; of another state what was decided; '' all."""
    desk.demand("usage.read")
    if state and state not in RECYCLED_STATES:
        raise Refusal("invalid", f"{state!r} is no state of recycled usage", "state", f"states are {', '.join(RECYCLED_STATES)}")
    query = desk.select(Recycled).order_by(Recycled.made, Recycled.id)
    if state:
        query = query.where(Recycled.state == state)
    return query.where(Recycled.customer_id == customer_id) if customer_id else query


def decide(desk: Desk, recycled_id: str, state: str, reason: str, version: int | None = None) -> Recycled:
    """Take usage up (`rated`: it goes on the next bill) or reject it. Refusal: it was decided, or no reason is given."""
    desk.demand("rating.write")
    row = desk.find(Recycled, recycled_id, lock=True)
    try:
        if state not in ("rated", "rejected"):
            raise Refusal("invalid", f"recycled usage can't become {state!r}", "state", "take it up (rated) or reject it (rejected)")
        if row.state != "recycled":
            raise Refusal("conflict", f"it was {row.state} before", "state", "look at who decided and why")
        if not reason.strip():
            raise Refusal("invalid", "a reason is needed to decide on recycled usage", "reason", "give a ticket's number or a sentence")
    except Refusal as refusal:
        raise desk.deny("usage.recycled", row, refusal, state=state, reason=reason[:400]) from None
    desk.fresh(row, version)
    row.state, row.decided, row.decided_by, row.why = state, desk.now, desk.actor.id or None, reason.strip()[:400]
    desk.session.flush()
    if state == "rated":
        _take_up(desk, row)
    desk.record(f"usage.{'take' if state == 'rated' else 'reject'}", row, before={"state": "recycled"}, after={"state": state, "bytes": row.octets},
                reason=reason)
    desk.emit("usage.stateChange", row.id, {"id": row.id, "service": row.service_id, "customer": row.customer_id, "from": "recycled", "state": state})
    return row


def _take_up(desk: Desk, row: Recycled) -> None:
    """Its hours become those of the service's day, in a new revision, and its month is rated anew."""
    hold(desk, [row.customer_id])
    revision, before, _ = usage.current(desk, [row.service_id], row.day, row.day).get((row.service_id, row.day), (0, b"", ""))
    fresh = unpack(row.lines)
    hours = {one.at for one in fresh}
    lines = pack([one for one in unpack(before) if one.at not in hours] + fresh)
    kept = unpack(lines)
    desk.session.execute(insert(RatedUsage), [{
        "service_id": row.service_id, "day": row.day, "revision": revision + 1, "period": row.period, "state": "rerated" if revision else "rated",
        "up_bytes": sum(one.up for one in kept), "down_bytes": sum(one.down for one in kept), "lines": lines, "digest": digest(lines), "rated": desk.now}])
    tools = Tools(desk)
    plan = plans(desk, [row.customer_id]).get(row.customer_id)
    if plan is None:
        raise Refusal("conflict", "its customer has no service that was ever in use", "customer")
    if closing.closed(desk, row.period) or month.apart(row.period, month.of(desk.now, desk.office.settings.zone)) > 1:
        closing.settle(desk, [plan], row.period, tools, {})
    else:
        rate.advance(desk, {plan.customer: plan}, row.period, usage.of_period(desk, list(plan.spells), row.period), tools, anew=True)


def told(rows: Sequence[Recycled]) -> list[dict[str, Any]]:
    """Lines of the queue, for lists."""
    return [{"id": one.id, "service": one.service_id, "customer": one.customer_id, "day": one.day, "reason": one.reason, "bytes": one.octets,
             "state": one.state, "made": one.made, "why": one.why} for one in rows]
