"""`/fullspan/v1/login`, `/logout`, `/me`, and the way by an OpenID provider: how a person comes in, and what he may do here."""
from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from bss.api.entrance import Who
from bss.desk import Desk
from bss.moment import iso
from bss.office import Office
from bss.people import login, oidc, totp, user
from bss.people.entry import COOKIE, of_cookie
from bss.people.permission import PERMISSIONS, allowed
from bss.people.scope import Actor
from bss.tables import Login, User

V1 = "/fullspan/v1"
router = APIRouter(tags=["session"])
Password = Annotated[str, Field(max_length=1000)]


class Entering(BaseModel):
    """Log-in, password, and the code of an authenticator where he has one."""
    model_config = ConfigDict(extra="forbid")
    login: Annotated[str, Field(max_length=200)]
    password: Password
    code: Annotated[str, Field(max_length=20)] = ""


class NewPassword(BaseModel):
    """A new password, and the one that it replaces."""
    model_config = ConfigDict(extra="forbid")
    old: Password
    password: Password


class Proof(BaseModel):
    """The password of who asks."""
    model_config = ConfigDict(extra="forbid")
    password: Password


class Confirmation(BaseModel):
    """What an enrolment gave, and the first code."""
    model_config = ConfigDict(extra="forbid")
    pending: Annotated[str, Field(max_length=2000)]
    code: Annotated[str, Field(max_length=20)]


def office_of(request: Request) -> Office:
    """The office of the application."""
    office: Office = request.app.state.office
    return office


def _asker(request: Request) -> str:
    return request.client.host if request.client else ""


def told(actor: Actor, row: Login | None, name: str) -> dict[str, Any]:
    """Who somebody is and what he may do."""
    return {"id": actor.id, "login": actor.login, "name": name, "roles": sorted(actor.roles), "regions": list(actor.regions),
            "customers": list(actor.customers), "ownWork": actor.own_work, "permissions": [one for one in PERMISSIONS if allowed(actor.roles, one)],
            "csrf": row.csrf if row else None, "since": iso(row.since) if row else None}


@router.post(f"{V1}/login")
def enter(request: Request, asked: Entering) -> JSONResponse:
    """Come in. The answer sets the cookie, and holds what is to be sent as X-CSRF-Token with everything that changes something."""
    office = office_of(request)
    cookie, row = login.log_in(office, asked.login, asked.password, asked.code, address=_asker(request), before=request.cookies.get(COOKIE, ""))
    return _welcome(request, office, cookie, row)


@router.post(f"{V1}/logout")
def leave(request: Request) -> Response:
    """End this log-in."""
    office, cookie = office_of(request), request.cookies.get(COOKIE, "")
    of_cookie(office, cookie, request.headers.get("x-csrf-token", ""))
    login.log_out(office, cookie)
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=request.url.scheme == "https")
    return answer


@router.get(f"{V1}/me")
def me(request: Request, who: Who) -> JSONResponse:
    """Who asks, and what he may do."""
    row = None
    if not request.headers.get("authorization"):
        row = of_cookie(who.office, request.cookies.get(COOKIE, ""))[1]

    def look(desk: Desk) -> JSONResponse:
        return JSONResponse(told(desk.actor, row, desk.session.get_one(User, desk.actor.id).name), headers={"Cache-Control": "no-store"})

    return who.read(look)


@router.post(f"{V1}/me/password")
def password(request: Request, who: Who, asked: NewPassword) -> Response:
    """Give oneself a new password; all log-ins end, this one too."""
    login.prove(who.office, who.actor, asked.old, _asker(request))

    def change(desk: Desk) -> Response:
        user.set_password(desk, desk.actor.id, asked.password)
        return Response(status_code=204)

    return who.write(change)


@router.post(f"{V1}/me/totp")
def enrol(request: Request, who: Who, asked: Proof) -> JSONResponse:
    """Begin with an authenticator: its secret, and what to send back with the first code."""
    login.prove(who.office, who.actor, asked.password, _asker(request))
    return who.read(lambda desk: JSONResponse(totp.enrol(desk, desk.actor.id)._asdict(), headers={"Cache-Control": "no-store"}))


@router.post(f"{V1}/me/totp/confirm")
def confirm(who: Who, asked: Confirmation) -> Response:
    """From now on a code is wanted."""
    def act(desk: Desk) -> Response:
        totp.confirm(desk, desk.actor.id, asked.pending, asked.code)
        return Response(status_code=204)

    return who.write(act)


@router.get(f"{V1}/oidc/leave")
def leave_for_provider(request: Request, then: Annotated[str, Query(max_length=1000)] = "/") -> Response:
    """Go to the OpenID provider."""
    found = oidc.leave(office_of(request), str(request.url_for("come_back_from_provider")), then)
    answer = RedirectResponse(found.address, 303)
    answer.set_cookie(oidc.COOKIE, found.cookie, max_age=int(oidc.PATIENCE.total_seconds()), httponly=True, samesite="lax",
                      secure=request.url.scheme == "https", path=f"{V1}/oidc")
    return answer


@router.get(f"{V1}/oidc/return", name="come_back_from_provider")
def come_back(request: Request) -> Response:
    """Come back from it, and in."""
    office = office_of(request)
    cookie, _, then = oidc.come_back(office, request.cookies.get(oidc.COOKIE, ""), request.query_params, address=_asker(request),
                                     before=request.cookies.get(COOKIE, ""))
    answer = RedirectResponse(then, 303)
    answer.set_cookie(**login.cookie(cookie, request.url.scheme == "https"))
    answer.delete_cookie(oidc.COOKIE, path=f"{V1}/oidc")
    return answer


def _welcome(request: Request, office: Office, cookie: str, row: Login) -> JSONResponse:
    actor = of_cookie(office, cookie)[0]
    with office.reading(actor) as desk:
        name = desk.session.get_one(User, actor.id).name
    answer = JSONResponse(told(actor, row, name), headers={"Cache-Control": "no-store"})
    answer.set_cookie(**login.cookie(cookie, request.url.scheme == "https"))
    return answer
