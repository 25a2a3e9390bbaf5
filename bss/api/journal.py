"""The journal and rows for e-invoices: `/fullspan/v1/journal`, `/fullspan/v1/eInvoice`, as JSON or CSV, of days from one on and before another."""
from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response

from bss.api import shape
from bss.api.contact import Reason
from bss.api.entrance import Who
from bss.billing import data, journal
from bss.desk import Desk

router = APIRouter(tags=["billing"])
Lang = Annotated[str, Query(pattern="^(en|zh)$")]


@router.get("/fullspan/v1/journal")
def entries(who: Who, since: date, until: date, account: Annotated[str, Query(max_length=32)] = "", lang: Lang = "en", offset: shape.Offset = 0,
            limit: shape.Limit = 100) -> JSONResponse:
    """Lines of postings."""
    return who.read(lambda desk: shape.page(desk.session, journal.listed(desk, since, until, account), offset, limit, lambda row: journal.told(row, lang)))


@router.get("/fullspan/v1/journal/sum")
def sums(who: Who, since: date, until: date) -> JSONResponse:
    """Debits and credits of each account."""
    return who.read(lambda desk: JSONResponse(journal.sums(desk, since, until)))


@router.get("/fullspan/v1/journal/export", response_class=Response)
def exported(who: Who, since: date, until: date, lang: Lang = "zh") -> Response:
    """The journal as CSV; taking it is put on record."""
    def look(desk: Desk) -> Response:
        return Response(journal.export(desk, since, until, lang), media_type="text/csv; charset=utf-8",
                        headers={"Content-Disposition": 'attachment; filename="journal.csv"'})
    return who.audited(look)


@router.get("/fullspan/v1/eInvoice", response_class=Response)
def invoices(who: Who, since: date, until: date, reason: Reason = "") -> Response:
    """Rows for e-invoices (数电发票) as CSV; buyers are in them unmasked, so that it takes a reason."""
    def look(desk: Desk) -> Response:
        return Response(data.invoices(desk, since, until, reason), media_type="text/csv; charset=utf-8",
                        headers={"Content-Disposition": 'attachment; filename="invoices.csv"'})
    return who.audited(look)
