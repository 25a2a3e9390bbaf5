"""Pages: server-rendered, English and Chinese, on the same functions as the API. One file a thing, each with a `router`; templates in html/, words in
language/. They need no script, and load nothing from elsewhere."""
from __future__ import annotations

import importlib
import pkgutil

from fastapi import APIRouter, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from bss.office import Office
from bss.refusal import Refusal


def routers() -> list[APIRouter]:
    """The routers of the files beside, in order of their names."""
    found = [importlib.import_module(f"{__name__}.{one.name}") for one in pkgutil.iter_modules(__path__)]
    return [one.router for one in found if hasattr(one, "router")]


def add_to(app: FastAPI, office: Office) -> FastAPI:
    """Put the pages into an application, beside the API. A refusal is a page here, and to who is not logged in the page where one logs in."""
    from bss.api import refused

    app.state.office = office
    for router in routers():
        app.include_router(router, include_in_schema=False)

    async def shown(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        if request.url.path.startswith(("/tmf-api", "/fullspan", "/login.json")) or "text/html" not in request.headers.get("accept", "text/html"):
            return refused(request, error)
        if error.kind == "unauthorised":
            return RedirectResponse(f"/login?next={request.url.path}", 303)
        from bss.pages.visitor import Visitor, visitor

        try:
            found = await visitor(request)
        except Refusal:
            found = Visitor(request, request.app.state.office, None, "", {})
        return await run_in_threadpool(lambda: found.page("refused", error.status, error=error))

    app.add_exception_handler(Refusal, shown)
    return app
