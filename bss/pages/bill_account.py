"""Billing accounts: the list, and one with its bills, payments and balance."""
from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from sqlalchemy import select

from bss.billing import account as accounts
from bss.billing import bill as bills
from bss.billing import choosing
from bss.billing import payment as payments
from bss.desk import Desk
from bss.pages.bill import whose
from bss.pages.cell import link, number, tag, text
from bss.pages.listing import listed
from bss.pages.visitor import Visit
from bss.tables import BillingAccount, Customer

router = APIRouter()


@router.get("/bills/accounts")
def all_accounts(visit: Visit) -> Response:
    """The list."""
    def look(desk: Desk) -> dict[str, Any]:
        found = listed(desk, accounts.listed(desk), visit, {"state": BillingAccount.state, "kind": BillingAccount.kind}, BillingAccount.id.desc())
        rows = found["rows"]
        names, having = whose(desk, [one.customer_id for one in rows]), accounts.balances(desk, [one.id for one in rows])
        found["cells"] = [[link(one.number, f"/bills/accounts/{one.id}"), link(names.get(one.customer_id, ""), f"/customers/{one.customer_id}"), tag(one.kind),
                           tag(one.state), number(one.anchor), text(one.currency), number(f"{accounts.owed(desk, one.id):,.2f}"),
                           number(f"{having.get(one.id, 0):,.2f}")] for one in rows]
        return found

    heads = visit.heads("account.number", "account.customer", "account.kind", "list.state", "account.anchor", "account.currency", "account.owed",
                        "account.balance", numbers=("account.anchor", "account.owed", "account.balance"))
    return visit.page("bills", what="account", heads=heads, here_is="accounts", **visit.read(look))


@router.get("/bills/accounts/{billing_account_id}")
def one(visit: Visit, billing_account_id: str) -> Response:
    """One of them."""
    def look(desk: Desk) -> dict[str, Any]:
        desk.demand("bill.read")
        row = desk.find(BillingAccount, billing_account_id)
        customer = desk.session.execute(select(Customer).where(Customer.id == row.customer_id)).scalar_one()
        rows: list[Any] = list(desk.session.execute(bills.listed(desk, account_id=row.id).limit(60)).scalars())
        paid: list[Any] = list(desk.session.execute(payments.listed(desk, account_id=row.id).limit(60)).scalars())
        others = desk.session.execute(accounts.listed(desk, row.customer_id, state="active").where(BillingAccount.id != row.id).limit(60)).scalars()
        return {"services": choosing.services_of(desk, row.customer_id, row.id)[:200], "others": list(others), "one": row,
                "customer": customer, "name": desk.shown(row.name or customer.party.name), "owed": accounts.owed(desk, row.id),
                "balance": accounts.balance(desk, row.id), "bills": rows, "payments": paid}
    return visit.page("bill_account", said=visit.request.query_params.get("said", ""), **visit.read(look))


@router.post("/bills/accounts/{billing_account_id}/service")
async def moved(visit: Visit, billing_account_id: str) -> Response:
    """Have another account of the customer pay for a service of this one."""
    service, to = visit.form.get("service", ""), visit.form.get("to", "")

    def act(desk: Desk) -> None:
        desk.demand("bill.write")
        desk.find(BillingAccount, billing_account_id)
        choosing.choose(desk, to, [service])
    await run_in_threadpool(visit.act, act)
    return visit.back(f"/bills/accounts/{billing_account_id}", visit.say("account.moved"))
