"""When an item may be completed: what the probe has seen of it, or, where no sensor looks, what two people have signed.

- Added, modified, resumed, and a sensor sees it: traffic of its service was seen, and in an installer's test one whole minute carried the share of the ordered
  rate that its class asks for, in each ordered direction at once, in IP bytes. A resumption orders no rate.
- Deleted or suspended: ten minutes that were measured, the last ones, carried nothing after the binding ended.
- Price or value-added alone: nothing to be seen.
- No sensor sees it: a test sheet that is approved, and a second person who accepted it. It is shown as verified by hand.

A minute that was not measured never counts: neither as traffic nor as silence.
"""
from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import select

from bss.catalogue.publishing import version_of
from bss.desk import Desk
from bss.evidence import Minute
from bss.moment import iso
from bss.orders.milestone import reach, reached
from bss.orders.wanted import access, ends, wanted_of
from bss.refusal import Refusal
from bss.tables import Binding, Milestone, OrderItem, Paper, ProductOrder, User

#: Share of the ordered rate, %, that a whole minute of the test carries.
SHARE = {"A": 95, "B": 95, "C": 90}
OTHERS = 80
SILENT = 10                         # measured minutes without a byte, after which nothing flows any more
MINUTE = timedelta(minutes=1)
LONGEST_TEST, LOOK_BACK = timedelta(hours=4), timedelta(hours=24)
MOST_TESTS = 20


class Verdict(NamedTuple):
    """Whether an item may be completed. how: measured, manual or none; why: one sentence where it may not."""
    done: bool
    how: str
    why: str = ""


def needed_bytes(rate_bps: int, class_: str) -> int:
    """IP bytes that a minute carries at the share of the class: 100 Mbit/s of class A are 712,500,000."""
    return -(-rate_bps * 60 * SHARE.get(class_, OTHERS) // 800)


def whole_minutes(minutes: Iterable[Minute], begin: datetime, end: datetime) -> list[Minute]:
    """Those that lie within a test from their first second to their last, and were measured."""
    return [one for one in minutes if one.covered and one.begin >= begin and one.begin + MINUTE <= end]


def enough(minutes: Iterable[Minute], down_bps: int, up_bps: int, class_: str) -> Minute | None:
    """The first minute that carries enough in each ordered direction."""
    down, up = needed_bytes(down_bps, class_), needed_bytes(up_bps, class_)
    return next((one for one in minutes if one.covered and one.down_bytes >= down and one.up_bytes >= up), None)


def silence(minutes: Iterable[Minute]) -> int:
    """How many of the last measured minutes carried nothing, one after the other."""
    run = 0
    for one in sorted(minutes, key=lambda one: one.begin):
        if one.covered:
            run = 0 if one.down_bytes or one.up_bytes else run + 1
    return run


def judge(desk: Desk, item: OrderItem) -> Verdict:
    """Whether an item may be completed, by what is on record and what the probe says now. Reached milestones are noted."""
    if item.action == "noChange":
        return Verdict(True, "none")
    version = version_of(desk, item.offering, item.offering_version)
    if not access(item, version.kind):
        return Verdict(True, "none")
    if item.service_id is None:
        return Verdict(False, "", "it has no service yet: reserve resources for it")
    if not item.covered:
        return _by_hand(desk, item)
    if ends(item):
        return _ended(desk, item)
    return _measured(desk, item, version.class_)


def verify(desk: Desk, item_id: str) -> Verdict:
    """Ask the probe for what an item still lacks, and note what it has reached."""
    desk.demand("order.advance")
    item = desk.find(OrderItem, item_id)
    if item.state not in ("inProgress", "held", "pending"):
        raise Refusal("conflict", f"the item is {item.state}: there is nothing to verify", f"item {item_id}", "start the order first")
    return judge(desk, item)


def begin_of_service(desk: Desk, item: OrderItem) -> datetime | None:
    """Since when what flows is this item's doing: since its service is bound, and since the order was acknowledged. None: it is not bound."""
    order = desk.session.get_one(ProductOrder, item.order_id)
    query = select(Binding.valid_from).where(Binding.service_id == item.service_id, Binding.withdrawn.is_(None), Binding.valid_to.is_(None))
    begins = list(desk.session.execute(query).scalars())
    if not begins or order.acknowledged is None:
        return None
    since = max(min(begins), order.acknowledged)
    return since if since <= desk.now else None


def _measured(desk: Desk, item: OrderItem, class_: str) -> Verdict:
    known = reached(desk, item)
    wanted, since = wanted_of(item), begin_of_service(desk, item)
    if since is None:
        return Verdict(False, "", "no traffic is bound to its service: bind it first")
    assert item.service_id is not None
    if not _since(known.get("firstTrafficSeen"), since):
        first = desk.office.evidence.first_traffic(item.service_id, since)
        if first is None:
            return Verdict(False, "", f"no traffic of its service was seen since {iso(since, desk.office.settings.zone)}")
        reach(desk, item, "firstTrafficSeen", {"minute": iso(first.begin), "down_bytes": first.down_bytes, "up_bytes": first.up_bytes}, first.begin)
    if not wanted.down_bps and not wanted.up_bps:
        return Verdict(True, "measured")
    if _holds(known.get("rateVerified"), (wanted.down_bps, wanted.up_bps), SHARE.get(class_, OTHERS), since):
        return Verdict(True, "measured")
    tests = tests_of(desk, item)
    if not tests:
        return Verdict(False, "", "no test is noted: the installer notes from when to when he tested")
    share, best, measured = SHARE.get(class_, OTHERS), (0, 0), 0
    for begin, end in tests:
        begin = max(begin, since)
        if begin >= end:
            continue
        whole = whole_minutes(desk.office.evidence.minutes(item.service_id, begin, end), begin, end)
        measured += len(whole)
        best = (max([best[0], *(one.down_bytes for one in whole)]), max([best[1], *(one.up_bytes for one in whole)]))
        found = enough(whole, wanted.down_bps, wanted.up_bps, class_)
        if found is not None:
            reach(desk, item, "rateVerified", {"minute": iso(found.begin), "down_bytes": found.down_bytes, "up_bytes": found.up_bytes,
                                               "down_bps": wanted.down_bps, "up_bps": wanted.up_bps, "share_percent": share,
                                               "needed_down_bytes": needed_bytes(wanted.down_bps, class_),
                                               "needed_up_bytes": needed_bytes(wanted.up_bps, class_)}, found.begin)
            return Verdict(True, "measured")
    if not measured:
        return Verdict(False, "", "no whole minute of the test was measured: what was not measured does not count; test again")
    return Verdict(False, "", f"no minute of the test carried {share} % of the ordered rate: at most {best[0]:,} bytes down and {best[1]:,} up, where "
                   f"{needed_bytes(wanted.down_bps, class_):,} and {needed_bytes(wanted.up_bps, class_):,} are asked for at once")


def _since(known: Milestone | None, since: datetime) -> bool:
    """Whether the minute that something is known by was the item's: what was seen before its service was bound as it is now, was another's."""
    return known is not None and "minute" in known.evidence and datetime.fromisoformat(known.evidence["minute"]) >= since


def _holds(known: Milestone | None, rates: tuple[int, int], share: int, since: datetime) -> bool:
    """Whether a test that was verified is one of what is ordered now."""
    return known is not None and _since(known, since) and (known.evidence.get("down_bps"), known.evidence.get("up_bps")) == rates \
        and known.evidence.get("share_percent", 0) >= share


def _ended(desk: Desk, item: OrderItem) -> Verdict:
    query = select(Binding).where(Binding.service_id == item.service_id, Binding.withdrawn.is_(None))
    bindings = desk.session.execute(query).scalars().all()
    if not bindings:
        return Verdict(True, "none")            # there was never anything to be seen
    ended = [one.valid_to for one in bindings if one.valid_to is not None and one.valid_to <= desk.now]
    if len(ended) < len(bindings):
        return Verdict(False, "", "traffic is still bound to its service: end the binding first")
    since = max(max(ended), desk.now - LOOK_BACK)
    assert item.service_id is not None
    minutes = [one for one in desk.office.evidence.minutes(item.service_id, since, desk.now) if one.begin >= since]
    run = silence(minutes)
    if run < SILENT:
        return Verdict(False, "", f"{run} measured minutes without traffic since the binding ended: {SILENT} are asked for")
    return Verdict(True, "measured")


def _by_hand(desk: Desk, item: OrderItem) -> Verdict:
    if (sheet := sheet_of(desk, item)) is None:
        return Verdict(False, "", "no sensor sees it: an approved test sheet is asked for")
    accepted = reached(desk, item).get("accepted")
    if accepted is None or accepted.evidence.get("paper") != sheet.id:
        return Verdict(False, "", "no sensor sees it: a second person has to accept the test sheet")
    return Verdict(True, "manual")


def sheet_of(desk: Desk, item: OrderItem) -> Paper | None:
    """The test sheet of an item that is approved."""
    query = select(Paper).where(Paper.kind == "test", Paper.entity == "order_item", Paper.entity_id == item.id, Paper.state == "approved")
    return desk.session.execute(query.order_by(Paper.number.desc()).limit(1)).scalar_one_or_none()


def accept_by_hand(desk: Desk, item_id: str, reason: str) -> OrderItem:
    """Accept an item that no sensor sees, by its approved test sheet: a second person, who neither wrote the sheet nor approved it."""
    desk.demand("order.accept")
    item = desk.find(OrderItem, item_id, lock=True)
    if item.covered:
        raise Refusal("conflict", "a sensor sees this service: what is measured decides", f"item {item_id}", "verify it")
    if item.state != "inProgress":
        raise Refusal("conflict", f"the item is {item.state}, not inProgress", f"item {item_id}")
    if not reason.strip():
        raise Refusal("invalid", "a reason is needed", "reason", "say what was looked at")
    sheet = sheet_of(desk, item)
    if sheet is None:
        raise Refusal("conflict", "there is no approved test sheet of the item", f"item {item_id}", "write one and have it approved")
    for who in (sheet.written_by, sheet.decided_by):
        desk.another(who, "accepting what no sensor sees")
    reach(desk, item, "accepted", {"verified": "manual", "paper": sheet.id, "written_by": sheet.written_by, "approved_by": sheet.decided_by,
                                   "accepted_by": desk.actor.id or None, "reason": reason})
    return item


def tests_of(desk: Desk, item: OrderItem) -> list[tuple[datetime, datetime]]:
    """From when to when the installer tested, each time."""
    known = reached(desk, item).get("installed")
    return [] if known is None else [(datetime.fromisoformat(one["begin"]), datetime.fromisoformat(one["end"])) for one in known.evidence.get("tests", [])]


def install(desk: Desk, item_id: str, tests: Iterable[tuple[datetime, datetime]] = (), note: str = "") -> OrderItem:
    """Note that an item is installed, and from when to when it was tested. Asked again it adds tests."""
    desk.demand("order.install")
    item = desk.find(OrderItem, item_id, lock=True)
    if item.state != "inProgress":
        raise Refusal("conflict", f"the item is {item.state}, not inProgress", f"item {item_id}", "move the order to inProgress")
    known = reached(desk, item).get("installed")
    kept: list[dict[str, Any]] = list(known.evidence.get("tests", [])) if known else []
    for begin, end in tests:
        if begin.tzinfo is None or end.tzinfo is None or not begin < end <= desk.now or end - begin > LONGEST_TEST:
            raise Refusal("invalid", f"a test lasts from a time to a later one, {LONGEST_TEST.seconds // 3600} hours at most, and is over", "tests")
        kept.append({"begin": begin.isoformat(), "end": end.isoformat(), "by": desk.actor.login, "note": note[:400]})
    if len(kept) > MOST_TESTS:
        raise Refusal("invalid", f"{MOST_TESTS} tests of an item at most", "tests")
    by = desk.session.get(User, desk.actor.id) if desk.actor.id else None
    reach(desk, item, "installed", {"tests": kept, "note": note[:400], "by": by.login if by else desk.actor.login})
    return item
