"""REST API in the shapes of TM Forum's Open APIs: one file a resource, each with a `router` (FastAPI). What all have in common is in entrance.py (who asks, one
transaction a request, Idempotency-Key, ETag) and shape.py (paging, links, times)."""
from __future__ import annotations

import importlib
import pkgutil
from collections.abc import MutableMapping
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import DataError, OperationalError
from starlette.routing import Match

from bss.api.bound import Bound
from bss.api.look import beside
from bss.office import Office
from bss.refusal import Refusal

ROOT = "/tmf-api"


class Refused(BaseModel):
    """An error as TMF630 has it. code: the status of HTTP; reason: what is wrong; message: how to mend it; referenceError: the field or thing it is about."""
    code: str
    reason: str
    message: str
    referenceError: str


ANSWERS: dict[int | str, dict[str, Any]] = {"2XX": {"description": "Done; 206: there are more than this page has"},
                                            "default": {"model": Refused, "description": "Refused, and why"}}


def routers() -> list[APIRouter]:
    """The routers of the files beside, in order of their names."""
    found = [importlib.import_module(f"{__name__}.{one.name}") for one in pkgutil.iter_modules(__path__)]
    return [one.router for one in found if hasattr(one, "router")]


def add_to(app: FastAPI, office: Office) -> FastAPI:
    """Put the API into an application."""
    app.state.office = office
    app.add_middleware(Bound)
    found = routers()
    for router in found:
        app.include_router(router, responses=ANSWERS)
        _sift(app.router.routes[-1], router)
    beside(app, found)
    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(DataError, strange)
    app.add_exception_handler(OperationalError, away)
    return app


def _sift(included: Any, router: APIRouter) -> None:
    """Have a request tried against the routes of a router only where its path begins as one of theirs: there are a hundred, and each is an expression."""
    begins = tuple({str(getattr(one, "path", "")).partition("{")[0] for one in router.routes})
    whole = included.matches

    def matches(scope: MutableMapping[str, Any]) -> tuple[Match, MutableMapping[str, Any]]:
        return whole(scope) if scope.get("root_path") or scope["path"].startswith(begins) else (Match.NONE, {})

    included.matches = matches


def application(office: Office) -> FastAPI:
    """The API alone."""
    return add_to(FastAPI(title="Fullspan business API", version="1", docs_url=f"{ROOT}/docs", openapi_url=f"{ROOT}/openapi.json", redoc_url=None,
                          swagger_ui_oauth2_redirect_url=None), office)


def refused(_request: Request, error: Exception) -> JSONResponse:
    """A refusal as TMF630 has errors: code, reason, message."""
    assert isinstance(error, Refusal)
    return JSONResponse({"code": str(error.status), "reason": error.what, "message": error.mend, "referenceError": error.where}, error.status)


def invalid(_request: Request, error: Exception) -> JSONResponse:
    """A request of a wrong form: the first thing that is wrong."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return JSONResponse({"code": "400", "reason": first["msg"], "message": "see the OpenAPI document", "referenceError": ".".join(map(str, first["loc"]))}, 400)


def strange(_request: Request, _error: Exception) -> JSONResponse:
    """What the database can't even look for: a number that is too large, a text with a NUL."""
    return JSONResponse({"code": "400", "reason": "a value of the request is out of range", "message": "see the OpenAPI document", "referenceError": ""}, 400)


def away(_request: Request, _error: Exception) -> JSONResponse:
    """The database does not answer."""
    return JSONResponse({"code": "503", "reason": "the database does not answer", "message": "try again", "referenceError": ""}, 503, {"Retry-After": "5"})
