"""Routes that only look: their parameters are read without FastAPI's machinery, which takes longer than many a question to the database.

A request that is as it should be is answered with what the route's function gives; the fields that FastAPI made of its parameters validate their values, as
they would there. Anything else (a value that is wrong or missing, a header that means more, a caller who has to be looked up) takes the long way, whose
answers and errors are what is documented.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, get_args, get_origin

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from bss.api.entrance import Caller, caller
from bss.people.entry import remembered

_ENDS = re.compile(r"[^{}]*/\{\w+\}")
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Look(APIRoute):
    """A route for APIRouter(route_class=Look)."""

    def get_route_handler(self) -> Handler:
        """The short way where there is one, before the long one."""
        whole = super().get_route_handler()
        return _short(self.dependant, self.endpoint, whole) if self.methods == {"GET"} and _simple(self.dependant) else whole


def _simple(dependant: Dependant) -> bool:
    """Whether a route takes a caller, and values of its path and query alone."""
    plain = not (dependant.header_params or dependant.cookie_params or dependant.body_params or dependant.request_param_name or dependant.response_param_name)
    return plain and [one.call for one in dependant.dependencies] == [caller]


def _listed(annotation: Any) -> bool:
    """Whether a parameter may be given more than once."""
    return get_origin(annotation) is list or any(get_origin(one) is list for one in get_args(annotation))


def _short(dependant: Dependant, endpoint: Callable[..., Any], whole: Handler) -> Handler:
    named = dependant.dependencies[0].name
    assert named is not None
    name: str = named
    places = [(one, one.alias) for one in dependant.path_params]
    values = [(one, one.alias, one.field_info.is_required(), one.default, _listed(one.field_info.annotation)) for one in dependant.query_params]
    known = {one.alias for one in dependant.query_params}

    async def answer(request: Request) -> Response:
        headers = request.headers
        actor = None if "idempotency-key" in headers else remembered(request.app.state.office, headers)
        given = request.query_params
        if actor is None or not known.issuperset(given):
            return await whole(request)
        taken: dict[str, Any] = {name: Caller(request.app.state.office, actor)}
        for field, alias in places:
            value, wrong = field.validate(request.path_params[alias], taken, loc=("path", alias))
            if wrong:
                return await whole(request)
            taken[field.name] = value
        for field, alias, required, default, many in values:
            if alias in given:
                value, wrong = field.validate(given.getlist(alias) if many else given[alias], taken, loc=("query", alias))
                if wrong:
                    return await whole(request)
                taken[field.name] = value
            elif required:
                return await whole(request)
            else:
                taken[field.name] = default
        response: Response = await run_in_threadpool(partial(endpoint, **taken))
        return response

    return answer


def beside(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Have requests for routes that look found by their path at once, before all routers are asked one after the other."""
    every = [one for router in routers for one in router.routes if isinstance(one, APIRoute)]
    fixed = {one.path for one in every if not one.param_convertors}
    alone = {one.path: one for one in every if isinstance(one, Look) and one.methods == {"GET"} and one.path in fixed}
    # a path that ends in a parameter, and has no other: by what is before it
    one_of = {one.path.rpartition("/")[0]: one for one in every if isinstance(one, Look) and one.methods == {"GET"} and _ENDS.fullmatch(one.path)}
    whole = app.router.middleware_stack

    async def found(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or scope.get("root_path"):
            await whole(scope, receive, send)
            return
        path: str = scope["path"]
        route, given = alone.get(path), {}      # type: APIRoute | None, dict[str, str]
        if route is None and path not in fixed:
            head, _, last = path.rpartition("/")
            route = one_of.get(head) if last else None
            given = {next(iter(route.param_convertors)): last} if route is not None else given
        if route is None:
            await whole(scope, receive, send)
            return
        scope.update(router=app.router, route=route, endpoint=route.endpoint, path_params=given)
        await route.app(scope, receive, send)

    app.router.middleware_stack = found
