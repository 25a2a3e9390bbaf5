"""Making bills: for a lot of customers all that is owed for a period, as bills that are `new`, or `onHold` where something can't be told. Read and written for
the whole lot at once. Customers who have a bill of the period that holds are passed over: however often a lot is made, each has one."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import select

from bss.billing import account as accounts
from bss.billing import charging, choosing, joints
from bss.billing.choosing import Choice
from bss.billing.draft import Draft, summed
from bss.billing.standing import Catalogue, standing
from bss.charges.money import rounded
from bss.charges.proration import Period, period_of
from bss.desk import Desk
from bss.running import bulk
from bss.running.kind import Ids
from bss.tables import Bill, BillingAccount, BillLine, BillRun, Customer, Party, Service

CARRIED = ("usage", "percentile", "credit")         # lines that a bill takes over from the one that it replaces: their sources were used up by that
PRICED = ("recurring", "adjustment", "one_time", "penalty")      # lines that charging.py makes of a plan: their evidence says which


class Payer(NamedTuple):
    """An account that gets a bill. replaces: the bill of the period that was credited, None none."""
    account: Any
    customer_id: str
    revision: int
    replaces: str | None


def make(desk: Desk, run: BillRun, customer_ids: Collection[str], catalogue: Catalogue | None = None) -> int:
    """Bills of these customers; how many."""
    period, catalogue = period_of(run.period, run.anchor), catalogue or Catalogue(desk)
    payers, choice = _payers(desk, run, customer_ids)
    if not payers:
        return 0
    drafts, troubles = _owed(desk, payers, choice, period, run.period, catalogue)
    rules, ids = accounts.rates(desk), Ids()
    bills: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for one in payers:
        owed = drafts.get(one.account.id, [])
        if not owed:
            continue
        whole = summed(owed, rules, one.account.payer, one.account.currency)
        key = ids(Bill.LETTER)
        why = "; ".join(troubles.get(one.account.id, ()))[:400]
        bills.append({"id": key, "account_id": one.account.id, "customer_id": one.customer_id, "run_id": run.id, "period": run.period, "revision": one.revision,
                      "begin": period.begin, "end": period.end, "state": "onHold" if why else "new", "reason": why, "currency": one.account.currency,
                      "net": whole.net, "tax": whole.tax, "gross": whole.gross, "paid": Decimal(0), "credited": False, "created": desk.now,
                      "replaces_id": one.replaces, "version": 1})
        rows += [{"bill_id": key, **row} for row in whole.rows]
    bulk.write(desk, Bill, bills)
    bulk.write(desk, BillLine, rows)
    return len(bills)


def _payers(desk: Desk, run: BillRun, customer_ids: Collection[str]) -> tuple[list[Payer], Choice]:
    """The accounts of these customers whose periods begin on the run's day; and which of them pays for what. Who has none gets one, with the anchor 1."""
    session = desk.session
    owners = set(session.execute(select(BillingAccount.customer_id).where(BillingAccount.customer_id.in_(customer_ids), BillingAccount.state == "active"))
                 .scalars())
    lacking = [one for one in customer_ids if one not in owners]
    if lacking and run.anchor == 1:
        owning = set(session.execute(select(Service.customer_id).where(Service.customer_id.in_(lacking)).distinct()).scalars())
        kinds = session.execute(select(Customer.id, Party.kind).join(Party, Party.id == Customer.party_id).where(Customer.id.in_(owning))).tuples().all()
        ids, made = Ids(), []
        for customer_id, kind in sorted(kinds):
            key = ids(BillingAccount.LETTER)
            made.append({"id": key, "number": accounts.number_of(key), "customer_id": customer_id, "name": None, "kind": "postpaid", "state": "active",
                         "anchor": 1, "currency": "CNY", "payer": accounts.payer_of(kind), "tax": None, "lang": desk.office.settings.lang, "due_days": 15,
                         "created": desk.now, "version": 1})
        bulk.write(desk, BillingAccount, made)
    mine = {one.id: one for one in session.execute(select(BillingAccount).where(
        BillingAccount.customer_id.in_(customer_ids), BillingAccount.state == "active", BillingAccount.anchor == run.anchor)
        .order_by(BillingAccount.customer_id, BillingAccount.created, BillingAccount.id)).scalars()}
    known: dict[str, list[Any]] = defaultdict(list)
    for bill in session.execute(select(Bill.id, Bill.account_id, Bill.state, Bill.credited, Bill.revision).where(
            Bill.account_id.in_(list(mine)), Bill.period == run.period)):
        known[bill.account_id].append(bill)
    payers = []
    for key, one in mine.items():
        bills = known[key]
        if any(bill.state != "void" and not bill.credited for bill in bills):
            continue
        last = max((bill for bill in bills if bill.credited), key=lambda bill: bill.revision, default=None)
        payers.append(Payer(one, one.customer_id, max((bill.revision for bill in bills), default=0) + 1, last.id if last else None))
    choice = choosing.of_customers(desk, {one.customer_id for one in payers})
    return payers, choice._replace(chosen={**choice.chosen, **_stays(desk, payers)})


def _stays(desk: Desk, payers: Sequence[Payer]) -> dict[str, str]:
    """What a bill had charged that is made anew stays on its account, wherever it was put meanwhile: service or item -> account."""
    account = {one.replaces: one.account.id for one in payers if one.replaces is not None}
    query = select(BillLine.bill_id, BillLine.source).where(BillLine.bill_id.in_(list(account)), BillLine.kind == "recurring")
    return {source.split("/")[1]: account[bill] for bill, source in desk.session.execute(query).tuples()} if account else {}


def _owed(desk: Desk, payers: Sequence[Payer], choice: Choice, period: Period, named: str, catalogue: Catalogue
          ) -> tuple[dict[str, list[Draft]], dict[str, list[str]]]:
    """What each account owes, and what of it can't be told."""
    paying = {one.account.id: one for one in payers}
    whose = sorted({one.customer_id for one in payers})
    drafts: dict[str, list[Draft]] = defaultdict(list)
    troubles: dict[str, list[str]] = defaultdict(list)
    end = datetime.combine(period.end, time(), desk.office.settings.zone)
    kinds: dict[str, str] = {}
    taken = _taken(desk, whose, period)
    told = named if period.begin.day == 1 else str(period.begin)        # periods of two anchors have one name, and are charged apart
    for one in standing(desk, whose, end, catalogue):
        kinds[one.id] = one.kind
        key = choice.of(one.customer_id, one.id, one.part)
        if key is None or key not in paying:
            continue
        currency = paying[key].account.currency
        if one.trouble:
            troubles[key].append(one.trouble)
        owed = drafts[key]
        owed += charging.recurring(one, period, told, currency, taken.get(one.id, {}))
        owed += charging.once(one, period.end, currency)
        owed += charging.early(one, period, catalogue.of, currency)
    for customer_id, charge, why in joints.charges(desk, whose, named):
        key = choice.of(customer_id, charge.service_id or "")
        if key is None or key not in paying:
            continue
        draft = rated(charge, kinds.get(charge.service_id or "", ""))
        drafts[key].append(draft)
        if charge.currency != (currency := paying[key].account.currency):
            troubles[key].append(f"usage is priced in {charge.currency}, the account in {currency}")
        if why:
            troubles[key].append(why)
    for customer_id, credit in joints.credits(desk, whose, period.begin):
        key = choice.of(customer_id, credit.service_id)
        if key is not None and key in paying:
            drafts[key].append(credited(credit, period))
    for payer in payers:
        if payer.replaces is not None:
            drafts[payer.account.id] += _carried(desk, payer.replaces)
    left = _unbilled(desk, drafts)
    for key, owed in left.items():
        troubles[key] += _foreign(owed, paying[key].account.currency, catalogue)
    return left, troubles


def _taken(desk: Desk, customer_ids: Collection[str], period: Period) -> dict[str, dict[str, list[tuple[date, date]]]]:
    """Days of a period that bills which hold have charged: what stands -> price -> their times."""
    query = select(BillLine.source, BillLine.begin, BillLine.end).join(Bill, Bill.id == BillLine.bill_id).where(
        Bill.customer_id.in_(customer_ids), Bill.state != "void", Bill.credited.is_(False), Bill.begin < period.end, Bill.end > period.begin,
        BillLine.kind == "recurring", BillLine.unit == "day", BillLine.live.is_(True), BillLine.end > period.begin, BillLine.begin < period.end)
    found: dict[str, dict[str, list[tuple[date, date]]]] = defaultdict(lambda: defaultdict(list))
    for source, begin, end in desk.session.execute(query).tuples():
        _, key, price, *_ = source.split("/")
        found[key][price].append((begin, end))
    return found


def _foreign(owed: Sequence[Draft], currency: str, catalogue: Catalogue) -> list[str]:
    """Lines of a bill that are priced in another currency than it: nothing is converted, a person decides. What was priced so earlier and is on other bills, or
    on none any more, keeps no later bill on hold."""
    found: dict[str, None] = {}
    for offering, version in dict.fromkeys((one.evidence["offering"], one.evidence["version"]) for one in owed if one.kind in PRICED):
        document = catalogue.of(offering, version)
        if document is not None and (other := next((price.currency for price in document.prices if price.currency != currency), "")):
            found[f"{offering} is priced in {other}, the account in {currency}"] = None
    return list(found)


def rated(charge: Any, kind: str) -> Draft:
    """A rated charge as a line: here it is rounded, once. It is of the month that it was used in, which its tax goes by as well. kind: of its service."""
    what = "percentile" if charge.unit == "Mbps" else "usage"
    late = charge.original_period if charge.original_period and charge.original_period != charge.period else ""
    used = period_of(charge.original_period or charge.period)
    return Draft(what, charge.service_id, charge.price_key, charge.name, charge.unit, Decimal(charge.quantity), used.begin, used.end,
                 rounded(Decimal(charge.amount), charge.currency), charge.tax, Decimal(charge.tax_rate), f"rated/{charge.id}",
                 {**charge.evidence, "rated": charge.id, "period": charge.period, "exact": str(charge.amount)}, (kind, what), late)


def credited(credit: Any, period: Period) -> Draft:
    """An approved credit as a line: it lowers the bill, with the tax of the line that it credits."""
    name = {"en": f"SLA credit for {credit.month}", "zh": f"{credit.month} 服务质量补偿"}
    return Draft("credit", credit.service_id, "sla", name, "", Decimal(1), period.begin, period.begin, -rounded(Decimal(credit.amount)), credit.tax_mode,
                 Decimal(credit.tax_rate), f"credit/{credit.id}", {**credit.evidence, "credit": credit.id, "month": credit.month}, (), credit.month)


def _carried(desk: Desk, bill_id: str) -> list[Draft]:
    """Lines that a credited bill leaves to the one that replaces it."""
    rows = desk.session.execute(select(BillLine).where(BillLine.bill_id == bill_id, BillLine.kind.in_(CARRIED)).order_by(BillLine.number)).scalars()
    return [Draft(one.kind, one.service_id, one.price_key, one.name, one.unit, one.quantity, one.begin, one.end, one.amount, one.tax_mode, one.tax_rate,
                  one.source, {**one.evidence, "carried_from": bill_id}, (), one.original_period) for one in rows]


def _unbilled(desk: Desk, drafts: dict[str, list[Draft]]) -> dict[str, list[Draft]]:
    """Without what a bill that holds has charged already, and nothing twice."""
    sources = [one.source for owed in drafts.values() for one in owed]
    known: set[str] = set()
    for k in range(0, len(sources), 5000):
        known.update(desk.session.execute(select(BillLine.source).where(BillLine.live.is_(True), BillLine.source.in_(sources[k:k + 5000]))).scalars())
    found: dict[str, list[Draft]] = {}
    for key, owed in drafts.items():
        left = {one.source: one for one in owed if one.source not in known}
        if left:
            found[key] = list(left.values())
    return found
