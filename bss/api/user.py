"""`/fullspan/v1/user` and their tokens. Names and e-mail addresses are masked unless who asks may see them and says why."""
from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from bss.api import shape
from bss.api.entrance import IfMatch, Who
from bss.desk import Desk
from bss.moment import iso
from bss.people import token, totp, user
from bss.tables import ApiToken, User

ROOT = "/fullspan/v1/user"
router = APIRouter(tags=["user"])
Names = Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=1000)]
Id = Annotated[str, Field(max_length=16)]
Unmask = Annotated[bool, Query(description="show personal fields: needs permission and reason, and is recorded")]
Reason = Annotated[str, Query(max_length=400)]


class Made(BaseModel):
    """A new user. password null: he comes in by the OpenID provider alone."""
    model_config = ConfigDict(extra="forbid")
    login: Annotated[str, Field(max_length=100)]
    name: Annotated[str, Field(max_length=100)]
    password: Annotated[str | None, Field(max_length=1000)] = None
    roles: Names = []
    email: Annotated[str | None, Field(max_length=255)] = None
    regions: Names = []
    customers: Names = []
    ownWork: bool = False


class Changed(BaseModel):
    """Fields to be changed; what is left out stays."""
    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(max_length=100)] = ""
    roles: Names = []
    email: Annotated[str | None, Field(max_length=255)] = None
    regions: Names = []
    customers: Names = []
    ownWork: bool = False
    disabled: bool = False


class Password(BaseModel):
    """A new password."""
    model_config = ConfigDict(extra="forbid")
    password: Annotated[str, Field(max_length=1000)]


class MadeToken(BaseModel):
    """A token: for what, with which of the user's roles (none: all), for how many days."""
    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(max_length=100)]
    roles: Names = []
    days: Annotated[int, Field(ge=1, le=token.LONGEST)] = 365


def told(desk: Desk, one: User, unmasked: bool = False) -> dict[str, Any]:
    """A user as the API has it."""
    return {"id": one.id, "href": f"{ROOT}/{one.id}", "login": one.login, "name": desk.shown(one.name, unmasked), "email": desk.shown(one.email, unmasked),
            "roles": one.roles, "regions": one.regions, "customers": one.customers, "ownWork": one.own_work, "disabled": one.disabled, "totp": bool(one.totp),
            "oidc": bool(one.subject), "lockedUntil": iso(one.locked_until) if one.locked_until and one.locked_until > desk.now else None,
            "created": iso(one.created), "@type": "User"}


def told_token(one: ApiToken) -> dict[str, Any]:
    """A token as the API has it, without the secret."""
    return {"id": one.id, "href": f"{ROOT}/{one.user_id}/token/{one.id}", "user": one.user_id, "name": one.name, "roles": one.roles,
            "created": iso(one.created), "expires": iso(one.expires), "used": iso(one.used), "revoked": iso(one.revoked), "@type": "ApiToken"}


@router.get(ROOT)
def users(who: Who, login: Annotated[str, Query(max_length=100)] = "", role: Annotated[str, Query(max_length=20)] = "", disabled: bool | None = None,
          offset: shape.Offset = 0, limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Users by log-in."""
    return who.read(lambda desk: shape.page(desk.session, user.search(desk, login, role, disabled), offset, limit, lambda one: told(desk, one), fields))


@router.get(f"{ROOT}/{{id}}")
def one_user(who: Who, id: Id, fields: shape.Fields = "", unmask: Unmask = False, reason: Reason = "") -> JSONResponse:
    """One user."""
    def look(desk: Desk) -> JSONResponse:
        desk.demand("user.read")
        found = desk.find(User, id)
        return shape.one(shape.only(told(desk, found, unmask and desk.unmask(found, reason)), fields), found.version)

    return who.audited(look) if unmask else who.read(look)


@router.post(ROOT, status_code=201)
def make(who: Who, asked: Made) -> Response:
    """A new user."""
    def act(desk: Desk) -> Response:
        found = user.make(desk, asked.login, asked.name, asked.password, asked.roles, email=asked.email, regions=asked.regions, customers=asked.customers,
                          own_work=asked.ownWork)
        return shape.one(told(desk, found), found.version, 201)

    return who.write(act)


@router.patch(f"{ROOT}/{{id}}")
def change(who: Who, id: Id, asked: Changed, if_match: IfMatch = None) -> Response:
    """Change a user, or keep him out (`disabled`)."""
    given = {{"ownWork": "own_work"}.get(name, name): value for name, value in asked.model_dump(exclude_unset=True).items()}

    def act(desk: Desk) -> Response:
        found = user.change(desk, id, shape.version_of(if_match), **given)
        return shape.one(told(desk, found), found.version)

    return who.write(act)


@router.post(f"{ROOT}/{{id}}/password")
def set_password(who: Who, id: Id, asked: Password) -> Response:
    """Give a user a new password."""
    def act(desk: Desk) -> Response:
        desk.demand("user.write")           # one's own is changed at /me/password, where the old one is asked for
        user.set_password(desk, id, asked.password)
        return Response(status_code=204)

    return who.write(act)


@router.post(f"{ROOT}/{{id}}/unlock")
def unlock(who: Who, id: Id) -> Response:
    """Let a user try again who was locked."""
    def act(desk: Desk) -> Response:
        found = user.unlock(desk, id)
        return shape.one(told(desk, found), found.version)

    return who.write(act)


@router.delete(f"{ROOT}/{{id}}/totp")
def remove_totp(who: Who, id: Id) -> Response:
    """Want no codes of a user any more."""
    def act(desk: Desk) -> Response:
        totp.remove(desk, id)
        return Response(status_code=204)

    return who.write(act)


@router.get(f"{ROOT}/{{id}}/token")
def tokens(who: Who, id: Id, offset: shape.Offset = 0, limit: shape.Limit = 100, fields: shape.Fields = "") -> JSONResponse:
    """Tokens of a user."""
    def look(desk: Desk) -> JSONResponse:
        query = token.search(desk, id)
        desk.find(User, id)
        return shape.page(desk.session, query, offset, limit, told_token, fields)

    return who.read(look)


@router.post(f"{ROOT}/{{id}}/token", status_code=201)
def make_token(who: Who, id: Id, asked: MadeToken) -> Response:
    """A new token: `token` of the answer is shown this once."""
    def act(desk: Desk) -> Response:
        secret, found = token.make(desk, id, asked.name, asked.roles, asked.days)
        return JSONResponse({**told_token(found), "token": secret}, 201, {"Location": told_token(found)["href"], "Cache-Control": "no-store"})

    return who.write(act)


@router.delete(f"{ROOT}/{{id}}/token/{{token_id}}")
def revoke(who: Who, id: Id, token_id: Id) -> Response:
    """Make a token useless."""
    def act(desk: Desk) -> Response:
        token.revoke(desk, token_id)
        return Response(status_code=204)

    return who.write(act)
