"""The knowledge base: found by words, one article in both languages, and the form by which one is written, changed and retired."""
from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from bss.desk import Desk
from bss.pages.visitor import Visit, Visitor
from bss.refusal import Refusal
from bss.tables import Article
from bss.tickets import knowledge

router = APIRouter()
LANGUAGES = ("en", "zh")
EMPTY = {"title": {"en": "", "zh": ""}, "text": {"en": "", "zh": ""}, "alert_kinds": [], "ticket_kinds": [], "id": "", "version": 0}


@router.get("/field/knowledge")
def found(visit: Visit) -> Response:
    """What fits the words best; the newest without."""
    words, kind = (visit.request.query_params.get(name, "")[:400] for name in ("words", "kind"))
    rows = visit.read(lambda desk: knowledge.search(desk, words, (kind,), 50))
    return visit.page("knowledge", words=words, said=visit.request.query_params.get("said", ""),
                      rows=[(one.article, one.article.text[visit.lang][:160]) for one in rows])


@router.get("/field/knowledge/{article_id}")
def article(visit: Visit, article_id: str) -> Response:
    """One article."""
    row = visit.read(lambda desk: knowledge.find(desk, article_id))
    other = "en" if visit.lang == "zh" else "zh"
    return visit.page("article", one=row, title=row.title[visit.lang], text=row.text[visit.lang], other=(row.title[other], row.text[other]),
                      said=visit.request.query_params.get("said", ""))


@router.get("/field/articles/new")
def blank(visit: Visit) -> Response:
    """The form for a new article."""
    visit.read(lambda desk: desk.demand("knowledge.write"))
    return visit.page("writing", one=EMPTY, action="/field/articles")


@router.post("/field/articles")
async def written(visit: Visit) -> Response:
    """Write a new article."""
    row = await run_in_threadpool(visit.act, lambda desk: knowledge.write(desk, _document(desk, visit)))
    return visit.back(f"/field/knowledge/{row.id}", visit.say("knowledge.kept"))


@router.get("/field/articles/{article_id}")
def form(visit: Visit, article_id: str) -> Response:
    """The form of an article that is there."""
    def look(desk: Desk) -> Article:
        desk.demand("knowledge.write")
        return knowledge.find(desk, article_id)
    return visit.page("writing", one=visit.read(look), action=f"/field/articles/{article_id}")


@router.post("/field/articles/{article_id}")
async def changed(visit: Visit, article_id: str) -> Response:
    """Write a new version of one. Refusal `stale`: somebody has changed it meanwhile."""
    def act(desk: Desk) -> Article:
        desk.demand("knowledge.write")
        knowledge.find(desk, article_id)
        version = visit.form.get("version", "")
        return knowledge.write(desk, _document(desk, visit), article_id, int(version) if version.isdigit() else None)
    await run_in_threadpool(visit.act, act)
    return visit.back(f"/field/knowledge/{article_id}", visit.say("knowledge.kept"))


@router.post("/field/articles/{article_id}/retire")
async def retired(visit: Visit, article_id: str) -> Response:
    """Suggest it no longer."""
    await run_in_threadpool(visit.act, lambda desk: knowledge.retire(desk, article_id, visit.form.get("reason", "")))
    return visit.back("/field/knowledge", visit.say("knowledge.was_retired"))


def _document(desk: Desk, visit: Visitor) -> dict[str, Any]:
    """What the form says. Refusal: a title or text is lacking in one of the languages."""
    desk.demand("knowledge.write")
    told = {name: visit.form.get(name, "").replace("\r\n", "\n").strip() for name in ("title_en", "title_zh", "text_en", "text_zh")}
    if lacks := [name for name, value in told.items() if not value]:
        raise Refusal("invalid", "an article has a title and a text in both languages", ", ".join(lacks), "write what is lacking")
    return {**{part: {lang: told[f"{part}_{lang}"] for lang in LANGUAGES} for part in ("title", "text")},
            **{name: visit.form.get(name, "").replace(",", " ").split() for name in ("alert_kinds", "ticket_kinds")}}
