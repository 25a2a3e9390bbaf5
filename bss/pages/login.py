"""Where one logs in, and out."""
from __future__ import annotations

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response

from bss.pages.visitor import Visit
from bss.people.entry import COOKIE
from bss.people.login import log_in, log_out
from bss.refusal import Refusal

router = APIRouter()


def _inside(path: str) -> str:
    """A path of ours: a log-in sends nobody to another site."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"


@router.get("/login")
def form(visit: Visit, next: str = "/") -> Response:
    """The form."""
    return visit.page("login", error="", next=_inside(next))


@router.post("/login")
async def enter(visit: Visit) -> Response:
    """Come in."""
    given = visit.form
    try:
        cookie, _ = await run_in_threadpool(log_in, visit.office, given.get("login", ""), given.get("password", ""), given.get("code", ""))
    except Refusal as error:
        return visit.page("login", error.status, error=error.what, next=_inside(given.get("next", "/")))
    answer = RedirectResponse(_inside(given.get("next", "/")), 303)
    answer.set_cookie(COOKIE, cookie, httponly=True, samesite="lax", secure=visit.request.url.scheme == "https", path="/")
    return answer


@router.post("/logout")
async def leave(visit: Visit) -> Response:
    """Go."""
    await run_in_threadpool(log_out, visit.office, visit.request.cookies.get(COOKIE, ""))
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE)
    return answer
