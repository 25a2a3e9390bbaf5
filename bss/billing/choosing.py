"""Which of a customer's accounts pays for what he has: the oldest that is open, but for services (and items without one) that were put on another. What is
chosen holds for bills that are made from then on; days that were charged are charged by none again."""
from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from sqlalchemy import func, select

from bss.database import lots
from bss.desk import Desk
from bss.refusal import Refusal
from bss.tables import Bill, BilledOn, BillingAccount, BillLine, OrderItem, ProductOrder, Service

MOST = 1000             # services that are put on an account at once


class Choice(NamedTuple):
    """accounts: customer -> his accounts that are open, the oldest first; chosen: service or item -> account."""
    accounts: Mapping[str, Sequence[str]]
    chosen: Mapping[str, str]

    def of(self, customer_id: str, *keys: str) -> str | None:
        """The account that pays for a service or an item, by the first of these that was chosen for. None: he has none. One that was closed pays no more."""
        mine = self.accounts.get(customer_id, ())
        account = next((self.chosen[one] for one in keys if one in self.chosen), "")
        return account if account in mine else mine[0] if mine else None


def of_customers(desk: Desk, customer_ids: Collection[str]) -> Choice:
    """How it is with these customers."""
    accounts: dict[str, list[str]] = {}
    chosen: dict[str, str] = {}
    for lot in lots(sorted(set(customer_ids))):
        query = select(BillingAccount.customer_id, BillingAccount.id).where(BillingAccount.customer_id.in_(lot), BillingAccount.state == "active")
        for customer, key in desk.session.execute(query.order_by(BillingAccount.created, BillingAccount.id)).tuples():
            accounts.setdefault(customer, []).append(key)
        chosen.update(desk.session.execute(select(BilledOn.subject, BilledOn.account_id).where(BilledOn.customer_id.in_(lot))).tuples().all())
    return Choice(accounts, chosen)


def services_of(desk: Desk, customer_id: str, account_id: str, whole: bool = False) -> list[Service]:
    """Services that an account pays for, which were not terminated: those that the actor may see. whole: all of them, for what is done and not shown."""
    choice = of_customers(desk, [customer_id])
    query = (select(Service) if whole else desk.select(Service)).where(Service.customer_id == customer_id, Service.state != "terminated")
    query = query.order_by(Service.circuit, Service.id)
    return [one for one in desk.session.execute(query).scalars() if choice.of(customer_id, one.id) == account_id]


def choose(desk: Desk, account_id: str, subjects: Sequence[str]) -> int:
    """Put services, or items that have none, on an account of their customer; how many were on another. Refusal: one is not his, or the account is closed."""
    with desk.answering("billing_account.choose", ("billing_account", account_id), subjects=list(subjects)[:20]):
        desk.demand("bill.write")
        account = desk.find(BillingAccount, account_id, lock=True)
        if account.state != "active":
            raise Refusal("conflict", f"the account is {account.state}, and pays for nothing", f"account {account.number}", "open it again, or take another")
        if not subjects or len(subjects) > MOST:
            raise Refusal("invalid", f"1 to {MOST} services are put on an account at once", "services", "name them by their ids")
        wanted = list(dict.fromkeys(subjects))
        for one in wanted:
            if _owner(desk, one) != account.customer_id:
                raise Refusal("conflict", "it is another customer's, or has a service of its own", f"service {one}", "name services of the account's customer")
        known = {row.subject: row for row in desk.session.execute(select(BilledOn).where(BilledOn.subject.in_(wanted)).with_for_update()).scalars()}
        choice = of_customers(desk, [account.customer_id])
        moved = [one for one in wanted if choice.of(account.customer_id, one) != account.id]
        before = {one: choice.of(account.customer_id, one) for one in moved}
        for old in sorted({key for key in before.values() if key}):
            covered(desk, account.customer_id, old, account.id, [one for one in moved if before[one] == old])
        for one in wanted:
            if (row := known.get(one)) is not None:
                row.account_id, row.made, row.user_id = account.id, desk.now, desk.actor.id or None
            else:
                desk.add(BilledOn(subject=one, account_id=account.id, customer_id=account.customer_id, made=desk.now, user_id=desk.actor.id or None))
        desk.session.flush()
        desk.record("billing_account.choose", account, before, {one: account.id for one in moved})
        desk.emit("billingAccount.attributeValueChange", account.id, {"id": account.id, "changed": ["charged"], "subjects": moved})
        return len(moved)


def closing(desk: Desk, account: BillingAccount) -> None:
    """Refusal where an account can't be closed yet: days of what it pays for would be on no bill."""
    choice, customer = of_customers(desk, [account.customer_id]), account.customer_id
    following = next((one for one in choice.accounts.get(customer, ()) if one != account.id), None)
    if following is None:
        return
    mine: list[str] = list(desk.session.execute(select(Service.id).where(Service.customer_id == customer).order_by(Service.id)).scalars())
    items = desk.session.execute(select(OrderItem.id).join(ProductOrder, ProductOrder.id == OrderItem.order_id).where(
        ProductOrder.customer_id == customer, OrderItem.action == "add", OrderItem.service_id.is_(None), OrderItem.state == "completed").order_by(OrderItem.id))
    covered(desk, customer, account.id, following, [one for one in (*mine, *items.scalars()) if choice.of(customer, one) == account.id])


def covered(desk: Desk, customer_id: str, old: str, new: str, subjects: Iterable[str]) -> None:
    """Refusal where another account that is billed further ahead would pay for these from now on: its next bill begins after days that no bill has."""
    holds = (Bill.customer_id == customer_id, Bill.state != "void", Bill.credited.is_(False))
    ends = dict(desk.session.execute(select(Bill.account_id, func.max(Bill.end)).where(*holds).group_by(Bill.account_id)).tuples().all())
    until = ends.get(new)
    if until is None or until <= ends.get(old, date.min):
        return
    for one in subjects:
        begin, end = _charged(desk, one)
        if begin is None or begin >= until:         # nothing is charged of the days that the other account has passed
            continue
        # what the account before has no bill of may be on one of the other: it was put there and is put back
        having = select(func.max(Bill.end)).join(BillLine, BillLine.bill_id == Bill.id).where(*holds, BillLine.source.startswith(f"recurring/{one}/"))
        told = max(ends.get(old, date.min), desk.session.execute(having).scalar() or date.min)
        if told < until and (end is None or end > told):
            numbers = dict(desk.session.execute(select(BillingAccount.id, BillingAccount.number).where(BillingAccount.id.in_((old, new)))).tuples().all())
            billed = f"is billed to {told}" if told > date.min else "has no bill of it"
            raise Refusal("conflict", f"account {numbers[new]} is billed to {until}, and account {numbers[old]}, which pays for {one} now, {billed}: "
                          "the days between would be on no bill", f"account {numbers[new]}",
                          f"have account {numbers[old]} billed to {until} or later first, and do it then")


def _charged(desk: Desk, subject: str) -> tuple[date | None, date | None]:
    """The day from which a service, or an item without one, is charged, and the one on which that ended: None where it did not."""
    zone = desk.office.settings.zone
    if subject[:1] != OrderItem.LETTER:
        service = desk.session.get_one(Service, subject)
        begin = service.activated or (service.created if service.state == "active" else None)
        return begin and begin.astimezone(zone).date(), service.terminated and service.terminated.astimezone(zone).date()
    item = desk.session.get_one(OrderItem, subject)
    if item.state != "completed" or not any(line["type"] == "recurring" for line in item.price.get("lines", [])):
        return None, None
    return desk.session.get_one(ProductOrder, item.order_id).created.astimezone(zone).date(), None          # it was completed on that day or later


def _owner(desk: Desk, subject: str) -> str | None:
    """Whose a service is, or an item that was added and has none."""
    if subject[:1] != OrderItem.LETTER:
        return desk.find(Service, subject).customer_id
    item = desk.find(OrderItem, subject)
    return desk.find(ProductOrder, item.order_id).customer_id if item.action == "add" and item.service_id is None else None
