"""TMF666 Account Management: `/tmf-api/accountManagement/v4/billingAccount`; and the rates of tax."""
from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from bss.api import shape
from bss.api.contact import Model
from bss.api.entrance import IfMatch, Who
from bss.api.order import Reference
from bss.api.shape import Short
from bss.billing import account, choosing
from bss.desk import Desk
from bss.moment import iso
from bss.tables import BillingAccount, TaxRate

ROOT = "/tmf-api/accountManagement/v4/billingAccount"
RATES = "/fullspan/v1/taxRate"
router = APIRouter(tags=["billing"])
Day = Annotated[int, Field(ge=1, le=31)]


class Tax(Model):
    """As on invoices."""
    name: Annotated[str, Field(max_length=200)] = ""
    number: Annotated[str, Field(max_length=40)] = ""
    address: Annotated[str, Field(max_length=200)] = ""
    bank: Annotated[str, Field(max_length=200)] = ""


class Fields(Model):
    """What may be said of an account. cycleAnchor: the day on which its periods begin; paymentTermDays: from issue to due."""
    name: Annotated[str | None, Field(max_length=200)] = None
    accountType: Literal["postpaid", "prepaid"] | None = None
    cycleAnchor: Day | None = None
    payer: Literal["individual", "organization"] | None = None
    taxInformation: Tax | None = None
    language: Literal["en", "zh"] | None = None
    paymentTermDays: Annotated[int | None, Field(ge=0, le=365)] = None
    state: Literal["active", "closed"] | None = None

    def given(self) -> dict[str, Any]:
        """As the domain takes it."""
        tax = self.taxInformation.model_dump(exclude={"type_"}) if self.taxInformation else None
        return {"name": self.name, "kind": self.accountType, "anchor": self.cycleAnchor, "payer": self.payer, "tax": tax, "lang": self.language,
                "due_days": self.paymentTermDays, "state": self.state}


class New(Fields):
    """A new account of a customer."""
    customer: Reference
    currency: Annotated[str | None, Field(pattern="^[A-Z]{3}$")] = None


class Chosen(Model):
    """Services of the account's customer by their ids; or items of orders that have no service."""
    services: Annotated[list[Annotated[str, Field(max_length=16)]], Field(min_length=1, max_length=1000)]


class Rate(Model):
    """A rate of tax. charge: a kind of line or of offering, empty any; customer: individual or organization, empty any."""
    charge: Annotated[str, Field(max_length=32)] = ""
    customer: Literal["", "individual", "organization"] = ""
    validFrom: date
    validTo: date | None = None
    rate: Annotated[Decimal, Field(ge=0, lt=1)]


def told(desk: Desk, row: BillingAccount) -> dict[str, Any]:
    """An account in the shape of TMF666; what is personal is masked."""
    owed, balance = account.owed(desk, row.id), account.balance(desk, row.id)
    return {"id": row.id, "href": f"{ROOT}/{row.id}", "name": desk.shown(row.name), "accountNumber": row.number, "accountType": row.kind, "state": row.state,
            "cycleAnchor": row.anchor, "payer": row.payer, "language": row.lang, "paymentTermDays": row.due_days, "created": iso(row.created),
            "relatedParty": [{"role": "customer", "id": row.customer_id, "href": f"/tmf-api/customerManagement/v4/customer/{row.customer_id}"}],
            "hasTaxInformation": row.tax is not None,
            "accountBalance": [{"balanceType": name, "amount": {"unit": row.currency, "value": f"{amount:.2f}"}}
                               for name, amount in (("receivableBalance", owed), ("prepaidBalance", balance))], "@type": "BillingAccount"}


@router.get(ROOT)
def listed(who: Who, customer: Short = "", accountType: Short = "", state: Short = "", offset: shape.Offset = 0, limit: shape.Limit = 100,
           fields: shape.Fields = "") -> JSONResponse:
    """Accounts, the newest first."""
    return who.read(lambda desk: shape.page(desk.session, account.listed(desk, customer, accountType, state), offset, limit,
                                            lambda row: told(desk, row), fields))


@router.get(ROOT + "/{billing_account_id}")
def one(who: Who, billing_account_id: str, fields: shape.Fields = "") -> JSONResponse:
    """One account, with what it owes and has."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("bill.read")
        row = desk.find(BillingAccount, billing_account_id)
        return shape.one(shape.only(told(desk, row), fields), row.version)
    return who.read(look)


@router.post(ROOT, status_code=201)
def made(who: Who, sent: New) -> Response:
    """Open an account."""
    def act(desk: Desk) -> Response:
        row = account.open_(desk, sent.customer.id, currency=sent.currency, **sent.given())
        return shape.one(told(desk, row), row.version, 201)
    return who.write(act)


@router.patch(ROOT + "/{billing_account_id}")
def changed(who: Who, billing_account_id: str, sent: Fields, if_match: IfMatch = None) -> Response:
    """Change what is said of it."""
    def act(desk: Desk) -> Response:
        row = account.change(desk, billing_account_id, shape.version_of(if_match), **sent.given())
        return shape.one(told(desk, row), row.version)
    return who.write(act)


@router.get("/fullspan/v1/billingAccount/{billing_account_id}/service")
def charged(who: Who, billing_account_id: str) -> JSONResponse:
    """Services that the account pays for: those that were put on it, and on the customer's oldest account all others."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("bill.read")
        row = desk.find(BillingAccount, billing_account_id)
        return JSONResponse([{"id": one.id, "circuit": one.circuit, "state": one.state} for one in choosing.services_of(desk, row.customer_id, row.id)])
    return who.read(look)


@router.post("/fullspan/v1/billingAccount/{billing_account_id}/service")
def chosen(who: Who, billing_account_id: str, sent: Chosen) -> Response:
    """Put services of its customer, or items that have none, on the account: bills that are made from now on have them there."""
    return who.write(lambda desk: JSONResponse({"moved": choosing.choose(desk, billing_account_id, sent.services)}))


def _rate(row: TaxRate) -> dict[str, Any]:
    return {"id": row.id, "href": f"{RATES}/{row.id}", "charge": row.charge, "customer": row.customer, "validFrom": row.valid_from.isoformat(),
            "validTo": row.valid_to.isoformat() if row.valid_to else None, "rate": str(row.rate), "@type": "TaxRate"}


@router.get(RATES)
def rates(who: Who, offset: shape.Offset = 0, limit: shape.Limit = 100) -> JSONResponse:
    """Rates of tax, which come before what a price says."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("bill.read")
        return shape.page(desk.session, desk.select(TaxRate).order_by(TaxRate.charge, TaxRate.customer, TaxRate.valid_from), offset, limit, _rate)
    return who.read(look)


@router.post(RATES, status_code=201)
def entered(who: Who, sent: Rate) -> Response:
    """Enter a rate; the one before it ends where it begins."""
    def act(desk: Desk) -> Response:
        return shape.one(_rate(account.enter_rate(desk, sent.charge, sent.customer, sent.validFrom, sent.rate, sent.validTo)), 1, 201)
    return who.write(act)
