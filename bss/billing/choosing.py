"""Which of a customer's accounts pays for what he has: the oldest that is open, but for services (and items without one) that were put on another. What is
chosen holds for bills that are made from then on; days that were charged are charged by none again."""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import select

from bss.database import lots
from bss.desk import Desk
from bss.refusal import Refusal
from bss.tables import BilledOn, BillingAccount, OrderItem, ProductOrder, Service

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
        for one in wanted:
            if (row := known.get(one)) is not None:
                row.account_id, row.made, row.user_id = account.id, desk.now, desk.actor.id or None
            else:
                desk.add(BilledOn(subject=one, account_id=account.id, customer_id=account.customer_id, made=desk.now, user_id=desk.actor.id or None))
        desk.session.flush()
        desk.record("billing_account.choose", account, {one: choice.of(account.customer_id, one) for one in moved}, {one: account.id for one in moved})
        desk.emit("billingAccount.attributeValueChange", account.id, {"id": account.id, "changed": ["charged"], "subjects": moved})
        return len(moved)


def _owner(desk: Desk, subject: str) -> str | None:
    """Whose a service is, or an item that was added and has none."""
    if subject[:1] != OrderItem.LETTER:
        return desk.find(Service, subject).customer_id
    item = desk.find(OrderItem, subject)
    return desk.find(ProductOrder, item.order_id).customer_id if item.action == "add" and item.service_id is None else None
