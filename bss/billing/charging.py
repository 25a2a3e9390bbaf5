"""What is owed for a period by what stands (standing.py): recurring charges by days, one-off charges once, what is left of a commitment. No database."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from bss.billing.draft import Draft
from bss.billing.standing import FAR, Plan, Standing
from bss.catalogue.document import Offering as Document
from bss.charges.money import EXACT, rounded
from bss.charges.proration import Period, days, months_left, prorated

ONE = Decimal(1)
Versions = Callable[[str, int], Document | None]


def recurring(one: Standing, period: Period, named: str, currency: str = "CNY") -> Iterator[Draft]:
    """Recurring charges of a period. A plan is charged for the days on which it could have run to the period's end; where another one follows, what is left of
    the old one is credited for the days from then on, and the new one charged for them. Prices that the change leaves as they are stand as one line.
    named: the period's name."""
    until = min(period.end, one.ended or FAR)
    held: dict[str, tuple[Mapping[str, Any], Plan]] = {}
    for plan in _within(one.plans, period):
        begin = max(plan.since, period.begin)
        lines = {str(line["key"]): line for line in plan.lines if line["type"] == "recurring"}
        for key, (line, old) in list(held.items()):
            if key not in lines or not _same(line, lines[key]):
                yield from _recurring(one, old, line, period, begin, until, named, currency, plan)
                del held[key]
        for key, line in lines.items():
            if key not in held:
                yield from _recurring(one, plan, line, period, begin, until, named, currency)
                held[key] = line, plan


def _within(plans: list[Plan], period: Period) -> list[Plan]:
    """Those that count in a period, one a day: the last of a day, and of those before the period the last."""
    found: list[Plan] = []
    for plan in plans:
        if plan.since >= period.end:
            break
        if found and (plan.since <= period.begin or plan.since == found[-1].since):
            found[-1] = plan
        else:
            found.append(plan)
    return found


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one[name] == other[name] for name in ("amount", "tax", "tax_rate", "period"))


def _recurring(one: Standing, plan: Plan, line: Mapping[str, Any], period: Period, begin: date, until: date, named: str, currency: str,
               by: Plan | None = None) -> Iterator[Draft]:
    """One price for the days from `begin` on; by: the plan that ends it, for which it is credited."""
    if line["period"] == "year":
        if by is None:
            yield from _yearly(one, plan, line, period, named, currency)
        return
    charged = days(one.spells, begin, until)
    amount = rounded(prorated(Decimal(line["amount"]), charged, period.days), currency)
    if not amount:
        return
    last = min(until, max((spell.end for spell in one.spells), default=until))
    first = max(begin, min((spell.begin for spell in one.spells), default=begin))
    how = {"days": format(charged.normalize(), "f"), "of": period.days, "monthly": line["amount"], "suspended": _suspended(one, begin, until)}
    source = f"recurring/{one.id}/{line['key']}/{named}/{plan.item or 'base'}" if by is None else f"change/{one.id}/{line['key']}/{named}/{by.item}"
    yield _draft("recurring" if by is None else "adjustment", one, plan, line, first, last, amount if by is None else -amount, charged, source, how)


def _yearly(one: Standing, plan: Plan, line: Mapping[str, Any], period: Period, named: str, currency: str) -> Iterator[Draft]:
    """A year is charged whole in the period in which it begins, while the service is active."""
    for year in range(period.begin.year, period.end.year + 1):
        day = plan.since.replace(year=year, day=min(plan.since.day, 28) if plan.since.month == 2 else plan.since.day)
        if period.begin <= day < period.end and day >= plan.since and days(one.spells, day, date.fromordinal(day.toordinal() + 1)):
            amount = rounded(Decimal(line["amount"]), currency)
            if amount:
                yield _draft("recurring", one, plan, line, day, day.replace(year=year + 1), amount, ONE,
                             f"recurring/{one.id}/{line['key']}/{named}/{plan.item or 'base'}", {"yearly": line["amount"]})


def _suspended(one: Standing, begin: date, until: date) -> list[dict[str, Any]]:
    """Days that count for less."""
    return [{"begin": str(max(spell.begin, begin)), "end": str(min(spell.end, until)), "share": str(spell.share)} for spell in one.spells
            if spell.share != 1 and spell.begin < until and spell.end > begin]


def once(one: Standing, before: date, currency: str = "CNY") -> Iterator[Draft]:
    """One-off charges of what was delivered before a day: each is known by its item, and charged by whichever bill comes first."""
    for plan in one.plans:
        for line in plan.lines:
            if line["type"] == "one_time" and plan.item and plan.since < before:
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
