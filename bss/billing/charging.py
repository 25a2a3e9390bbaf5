"""What is owed for a period by what stands (standing.py): recurring charges by days, one-off charges once, what is left of a commitment. No database."""
from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from bss.billing.draft import Draft
from bss.billing.standing import FAR, Plan, Standing
from bss.catalogue.document import Offering as Document
from bss.charges.money import EXACT, rounded
from bss.charges.proration import Period, days, months_left, prorated, without

ONE = Decimal(1)
Versions = Callable[[str, int], Document | None]


Taken = Mapping[str, Sequence[tuple[date, date]]]          # price -> days that bills of other periods have charged


def recurring(one: Standing, period: Period, named: str, currency: str = "CNY", taken: Taken = MappingProxyType({})) -> Iterator[Draft]:
    """Recurring charges of a period. A plan is charged for the days on which it could have run to the period's end; where another one follows, what is left of
    the old one is credited for the days from then on, and the new one charged for them. Prices that the change leaves as they are stand as one line.
    named: the period's name; taken: where an account with another anchor had the service before, its bill reaches into this period."""
    one = one._replace(plans=_last(one.plans))
    until = min(period.end, one.ended or FAR)
    held: dict[str, tuple[Mapping[str, Any], Plan]] = {}
    plans = _within(one.plans, period)
    if plans and plans[0].since == period.begin:
        yield from _ended(one, plans[0], currency)
    for plan in plans:
        begin = max(plan.since, period.begin)
        lines = {str(line["key"]): line for line in plan.lines if line["type"] == "recurring"}
        for key, (line, old) in list(held.items()):
            if key not in lines or not _same(line, lines[key]):
                yield from _recurring(one, old, line, period, begin, until, named, currency, taken, plan)
                del held[key]
        for key, line in lines.items():
            if key not in held:
                yield from _recurring(one, plan, line, period, begin, until, named, currency, taken)
                held[key] = line, plan


def _last(plans: list[Plan]) -> list[Plan]:
    """One a day, the last: what held for no day ends no price."""
    return list({plan.since: plan for plan in plans}.values())


def _within(plans: list[Plan], period: Period) -> list[Plan]:
    """Those that count in a period: those in it, and of those before it the last."""
    found: list[Plan] = []
    for plan in plans:
        if plan.since >= period.end:
            break
        if found and plan.since <= period.begin:
            found[-1] = plan
        else:
            found.append(plan)
    return found


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one[name] == other[name] for name in ("amount", "tax", "tax_rate", "period"))


def _recurring(one: Standing, plan: Plan, line: Mapping[str, Any], period: Period, begin: date, until: date, named: str, currency: str,
               taken: Taken, by: Plan | None = None) -> Iterator[Draft]:
    """One price for the days from `begin` on; by: the plan that ends it, for which it is credited."""
    if line["period"] == "year":
        yield from _yearly(one, plan, line, period, currency) if by is None else _rest(one, plan, line, by, currency)
        return
    spells = without(one.spells, taken.get(str(line["key"]), ()))
    charged = days(spells, begin, until)
    amount = rounded(prorated(Decimal(line["amount"]), charged, period.days), currency)
    if not amount:
        return
    last = min(until, max((spell.end for spell in spells), default=until))
    first = max(begin, min((spell.begin for spell in spells if spell.end > begin), default=begin))
    how = {"days": format(charged.normalize(), "f"), "of": period.days, "monthly": line["amount"], "suspended": _suspended(one, begin, until)}
    source = f"recurring/{one.id}/{line['key']}/{named}/{plan.item or 'base'}" if by is None else f"change/{one.id}/{line['key']}/{named}/{by.item}"
    yield _draft("recurring" if by is None else "adjustment", one, plan, line, first, last, amount if by is None else -amount, charged, source, how)


def _yearly(one: Standing, plan: Plan, line: Mapping[str, Any], period: Period, currency: str) -> Iterator[Draft]:
    """A year is charged whole in the period in which it begins, while the service is active. It is counted from when the price began to be what it is: a change
    that leaves it so moves no year; and none begins once another plan has ended it, though the plan counts on the period's first days.
    It is known by the day on which it begins, and by no period or item: of two anchors' periods both may have that day, and another plan on their first day."""
    since, until = _since(one, plan, line), _until(one, plan, line)
    for year in range(period.begin.year, period.end.year + 1):
        day = _year(since, year)
        if period.begin <= day < period.end and since <= day < until and _active(one, day):
            amount = rounded(Decimal(line["amount"]), currency)
            if amount:
                yield _draft("recurring", one, plan, line, day, _year(since, year + 1), amount, ONE,
                             f"recurring/{one.id}/{line['key']}/year/{day}", {"yearly": line["amount"]})


def _rest(one: Standing, plan: Plan, line: Mapping[str, Any], by: Plan, currency: str) -> Iterator[Draft]:
    """What is left of a year that was charged when another plan ends it: it is credited, and the new one has a year of its own."""
    since = _since(one, plan, line)
    begin = max(day for day in (_year(since, by.since.year - 1), _year(since, by.since.year)) if day <= by.since) if since < by.since else since
    end = _year(since, begin.year + 1)
    amount = rounded(prorated(Decimal(line["amount"]), (end - by.since).days, (end - begin).days), currency)
    if amount and begin < by.since < end and _active(one, begin):
        how = {"yearly": line["amount"], "days": str((end - by.since).days), "of": (end - begin).days}
        yield _draft("adjustment", one, plan, line, by.since, end, -amount, Decimal((end - by.since).days),
                     f"change/{one.id}/{line['key']}/year/{begin}/{by.item}", how)


def _ended(one: Standing, by: Plan, currency: str) -> Iterator[Draft]:
    """What is left of years that a plan ends on a period's first day: the one before does not count in the period, but its year reaches into it."""
    before = next((plan for plan in reversed(one.plans) if plan.since < by.since), None)
    if before is None:
        return
    for line in before.lines:
        if line["type"] == "recurring" and line["period"] == "year" and not _keeps(by, line):
            yield from _rest(one, before, line, by, currency)


def _since(one: Standing, plan: Plan, line: Mapping[str, Any]) -> date:
    """Since when a price is what it is in a plan."""
    since, before = plan.since, None
    for each in one.plans:
        found = next((other for other in each.lines if other["type"] == "recurring" and other["key"] == line["key"]), None)
        if found is not None and (before is None or not _same(before, found)):
            since = each.since
        before = found
        if each is plan:
            break
    return since


def _until(one: Standing, plan: Plan, line: Mapping[str, Any]) -> date:
    """Until when a price of a plan is what it is: the day from which a later one has another, or none."""
    later = one.plans[next(place for place, each in enumerate(one.plans) if each is plan) + 1:]
    return next((each.since for each in later if not _keeps(each, line)), FAR)


def _keeps(plan: Plan, line: Mapping[str, Any]) -> bool:
    return any(other["type"] == "recurring" and other["key"] == line["key"] and _same(line, other) for other in plan.lines)


def _year(since: date, year: int) -> date:
    """The day of a year; of 29 February the 28th where there is none, and the 29th again where there is."""
    return since.replace(year=year, day=min(since.day, monthrange(year, since.month)[1]))


def _active(one: Standing, day: date) -> bool:
    return days(one.spells, day, date.fromordinal(day.toordinal() + 1)) > 0


def _suspended(one: Standing, begin: date, until: date) -> list[dict[str, Any]]:
    """Days that count for less."""
    return [{"begin": str(max(spell.begin, begin)), "end": str(min(spell.end, until)), "share": str(spell.share)} for spell in one.spells
            if spell.share != 1 and spell.begin < until and spell.end > begin]


def once(one: Standing, before: date, currency: str = "CNY") -> Iterator[Draft]:
    """One-off charges of what was delivered before a day: each is known by its item, and charged by whichever bill comes first. A change of plan charges those
    alone that the service did not have before: it is not set up again because it costs another price."""
    known: set[str] = set()
    for plan in one.plans:
        had, known = known, known | {str(line["key"]) for line in plan.lines if line["type"] == "one_time"}
        for line in plan.lines:
            if line["type"] == "one_time" and plan.item and plan.since < before and (plan.added or line["key"] not in had):
                amount = rounded(Decimal(line["amount"]), currency)
                if amount:
                    yield _draft("one_time", one, plan, line, plan.since, plan.since, amount, Decimal(line["quantity"]), f"once/{plan.item}/{line['key']}", {})


def early(one: Standing, period: Period, versions: Versions, currency: str = "CNY") -> Iterator[Draft]:
    """What is left of a commitment that ended in a period: the share of the monthly charge that was agreed on, for the months left."""
    if one.ended is None or not period.begin <= one.ended < period.end or not any(spell.begin < one.ended for spell in one.spells):
        return
    begun = next((plan for plan in reversed(one.plans) if plan.added), None)
    document = None if begun is None else versions(begun.offering, begun.version)
    if begun is None or document is None or document.commitment is None or not document.commitment.early_share:
        return
    left = months_left(begun.since, document.commitment.months, one.ended)
    if not left:
        return
    last = one.plans[-1]
    for line in last.lines:
        if line["type"] == "recurring" and line["period"] == "month":
            exact = EXACT.multiply(EXACT.multiply(Decimal(line["amount"]), document.commitment.early_share), left)
            if amount := rounded(exact, currency):
                how = {"months_left": str(round(left, 6)), "share": str(document.commitment.early_share), "committed": document.commitment.months,
                       "since": str(begun.since), "monthly": line["amount"]}
                yield _draft("penalty", one, last, line, one.ended, one.ended, amount, round(left, 6), f"early/{one.id}/{line['key']}", how)


def _draft(kind: str, one: Standing, plan: Plan, line: Mapping[str, Any], begin: date, end: date, amount: Decimal, quantity: Decimal, source: str,
           how: Mapping[str, Any]) -> Draft:
    evidence = {"order_item": plan.item, "order": plan.order, "offering": plan.offering, "version": plan.version, "circuit": one.circuit,
                **({"by_contract": True} if line.get("by_contract") else {}), **{name: value for name, value in how.items() if value not in ("", [], None)}}
    unit = "day" if kind in ("recurring", "adjustment") and "days" in how else "month" if kind == "penalty" else str(line["unit"] or "")
    return Draft(kind, one.service_id, str(line["key"]), line["name"], unit, quantity, begin, end, amount, str(line["tax"]), Decimal(line["tax_rate"]), source,
                 {name: value for name, value in evidence.items() if value not in ("", None)}, (one.kind, kind))
