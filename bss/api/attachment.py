"""Attachments: `/fullspan/v1/attachment`. A file is sent as the body, named by the query; its type is told by its content."""
from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from bss.api import shape
from bss.api.entrance import Who
from bss.api.shape import Short
from bss.desk import Desk
from bss.moment import iso
from bss.orders import attachment
from bss.refusal import Refusal
from bss.tables import Attachment

ROOT = "/fullspan/v1/attachment"
router = APIRouter(tags=["attachment"])


def told(desk: Desk, row: Attachment) -> dict[str, Any]:
    """An attachment; its name is masked, for names of files name people."""
    return {"id": row.id, "href": f"{ROOT}/{row.id}", "entity": row.entity, "entityId": row.entity_id, "name": desk.shown(row.name), "mimeType": row.media_type,
            "size": {"amount": row.size, "units": "byte"}, "sha256": row.digest, "creationDate": iso(row.time), "user": row.user_id, "@type": "Attachment"}


@router.get(ROOT)
def listed(who: Who, entityId: Short = "", offset: shape.Offset = 0, limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Attachments, the newest first."""
    return who.read(lambda desk: shape.page(desk.session, attachment.listed(desk, entityId), offset, limit, lambda row: told(desk, row), fields))


@router.get(ROOT + "/{id}")
def one(who: Who, id: str) -> JSONResponse:
    """What is known of one."""
    def look(desk: Desk) -> JSONResponse:
        return shape.one(told(desk, attachment.find(desk, id)), 1)
    return who.read(look)


@router.post(ROOT, status_code=201)
async def made(who: Who, request: Request, entity: Annotated[str, Query(max_length=16)], entityId: Annotated[str, Query(max_length=16)],
               name: Annotated[str, Query(min_length=1, max_length=200)]) -> Response:
    """Attach the body of the request. It is cut off where it is larger than what is taken."""
    most = who.office.settings.attachment_mb << 20
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise Refusal("large", f"it is larger than {most >> 20} MB", "attachment", "make it smaller, or split it")
        parts.append(part)

    def act(desk: Desk) -> Response:
        return shape.one(told(desk, attachment.attach(desk, entity, entityId, name, b"".join(parts))), 1, 201)
    return await run_in_threadpool(who.write, act)


@router.get(ROOT + "/{id}/content")
def content(who: Who, id: str, reason: Annotated[str, Query(max_length=400)] = "") -> Response:
    """What is in one; that it was read is put on record. It is never shown in a page of ours."""
    row, found = who.audited(lambda desk: attachment.read(desk, id, reason))
    return Response(found, media_type=row.media_type, headers={
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(row.name)}", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
        "Content-Security-Policy": "sandbox; default-src 'none'"})
