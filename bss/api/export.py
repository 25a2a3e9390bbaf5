"""`/fullspan/v1/export/{list}`: lists as XLSX and CSV, by the filters that they have; taking one is put on record."""
from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from bss.api.contact import Reason, Unmask, reason_of
from bss.api.entrance import Who
from bss.refusal import Refusal
from bss.running.taking import LISTS, MEDIA, take

router = APIRouter(tags=["export"])
OWN = ("format", "lang", "unmask", "reason")


@router.get("/fullspan/v1/export/{name}", response_class=Response)
def taken(who: Who, request: Request, name: str, format: Annotated[str, Query(pattern="^(csv|xlsx)$")] = "xlsx",
          lang: Annotated[str, Query(pattern="^(en|zh)?$")] = "", unmask: Unmask = False, reason: Reason = "") -> Response:
    """A list (customer, agreement, interaction, service, binding, order, ticket, resource) as a file. Its filters are parameters: state, class, region ..."""
    filters = {key: value for key, value in request.query_params.items() if key not in OWN}
    if any(len(value) > 200 for value in filters.values()) or len(filters) > 20:
        raise Refusal("invalid", "a filter is too long", "query", "200 characters are the most")
    why = reason_of(unmask, reason)
    content = who.audited(lambda desk: take(desk, name, format, filters, unmask=why, lang=lang))
    return Response(content, media_type=MEDIA[format], headers={"Content-Disposition": f'attachment; filename="{name if name in LISTS else "list"}.{format}"'})
