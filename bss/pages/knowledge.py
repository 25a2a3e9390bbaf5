"""The knowledge base: found by words, and one article in both languages."""
from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from bss.pages.visitor import Visit
from bss.tickets import knowledge

router = APIRouter()


@router.get("/field/knowledge")
def found(visit: Visit) -> Response:
    """What fits the words best; the newest without."""
    words, kind = (visit.request.query_params.get(name, "")[:400] for name in ("words", "kind"))
    rows = visit.read(lambda desk: knowledge.search(desk, words, (kind,), 50))
    return visit.page("knowledge", words=words, rows=[(one.article, one.article.text[visit.lang][:160]) for one in rows])


@router.get("/field/knowledge/{article_id}")
def article(visit: Visit, article_id: str) -> Response:
    """One article."""
    row = visit.read(lambda desk: knowledge.find(desk, article_id))
    other = "en" if visit.lang == "zh" else "zh"
    return visit.page("article", one=row, title=row.title[visit.lang], text=row.text[visit.lang], other=(row.title[other], row.text[other]))
