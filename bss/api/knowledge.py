"""`/fullspan/v1/article`: the knowledge base; `/fullspan/v1/ticket/{id}/article`: what is known about a ticket."""
from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from bss.api import shape
from bss.api.contact import Model
from bss.api.entrance import IfMatch, Who
from bss.desk import Desk
from bss.moment import iso
from bss.tables import Article
from bss.tickets import knowledge
from bss.tickets.knowledge import Known

ROOT = "/fullspan/v1/article"
router = APIRouter(tags=["knowledge"])


class Retired(Model):
    """An article that is suggested no longer, and why."""
    reason: Annotated[str, Field(max_length=400)] = ""


def told(row: Article, score: float | None = None) -> dict[str, Any]:
    """An article. score: how well it fits what was asked."""
    return {"id": row.id, "href": f"{ROOT}/{row.id}", "title": row.title, "text": row.text, "alertKinds": row.alert_kinds, "ticketKinds": row.ticket_kinds,
            "retired": row.retired, "lastUpdate": iso(row.changed), "user": row.user_id, **({"score": score} if score is not None else {}), "@type": "Article"}


@router.get(ROOT)
def found(who: Who, q: Annotated[str, Query(max_length=400)] = "", kind: Annotated[str, Query(max_length=64)] = "",
          limit: Annotated[int, Query(ge=1, le=200)] = 20) -> JSONResponse:
    """The articles that fit words in either language and a kind of alert or ticket best; the newest, where nothing is asked."""
    return who.read(lambda desk: JSONResponse([told(one.article, one.score) for one in knowledge.search(desk, q, (kind,), limit)]))


@router.get(ROOT + "/{id}")
def one(who: Who, id: str) -> JSONResponse:
    """One article."""
    def look(desk: Desk) -> JSONResponse:
        row = knowledge.find(desk, id)
        return shape.one(told(row), row.version)
    return who.read(look)


@router.post(ROOT, status_code=201)
def written(who: Who, document: Known) -> Response:
    """Write an article."""
    def act(desk: Desk) -> Response:
        row = knowledge.write(desk, document)
        return shape.one(told(row), row.version, 201)
    return who.write(act)


@router.patch(ROOT + "/{id}")
def changed(who: Who, id: str, document: Known, if_match: IfMatch = None) -> Response:
    """Write it anew."""
    def act(desk: Desk) -> Response:
        row = knowledge.write(desk, document, id, shape.version_of(if_match))
        return shape.one(told(row), row.version)
    return who.write(act)


@router.post(ROOT + "/{id}/retirement", status_code=201)
def retired(who: Who, id: str, sent: Retired) -> Response:
    """Suggest it no longer."""
    def act(desk: Desk) -> Response:
        row = knowledge.retire(desk, id, sent.reason)
        return shape.one(told(row), row.version, 201)
    return who.write(act)


@router.get("/fullspan/v1/ticket/{id}/article")
def suggested(who: Who, id: str) -> JSONResponse:
    """What is known about a ticket: by its kind, its alarm, and its words."""
    def look(desk: Desk) -> JSONResponse:
        return JSONResponse([told(one.article, one.score) for one in knowledge.suggested(desk, id)])
    return who.read(look)
