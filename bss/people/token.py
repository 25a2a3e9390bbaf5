"""Tokens of the API: shown once, kept as a digest, good for some of their user's roles until they expire or are revoked."""
from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Select

from bss.desk import Desk
from bss.people.entry import digest_of
from bss.refusal import Refusal
from bss.tables import ApiToken, User

PREFIX = "fsp_"             # so that programs that look for leaked secrets know one
LONGEST = 3660              # days


def make(desk: Desk, user_id: str, name: str, roles: Sequence[str] = (), days: int = 365) -> tuple[str, ApiToken]:
    """The token, which is not shown again, and its row. roles: some of the user's; none: all that he has when it is used. Refusal: a role that he has not."""
    desk.demand("user.write")
    user = desk.find(User, user_id)
    if not 0 < len(name.strip()) <= 100 or not name.isprintable():
        raise Refusal("invalid", "a token needs a name of 1 to 100 characters", "name", "say what it is for")
    if not 1 <= days <= LONGEST:
        raise Refusal("invalid", f"a token is good for 1 to {LONGEST} days", "days", "choose fewer")
    if user.disabled:
        raise Refusal("conflict", f"user {user.login} is disabled", "user", "let him in before")
    for role in roles:
        if role not in user.roles:
            raise Refusal("invalid", f"{user.login} has no role {role!r}", "roles", f"he has {', '.join(user.roles) or 'none'}")
    secret = PREFIX + secrets.token_urlsafe(32)
    token = desk.add(ApiToken(user_id=user.id, name=name.strip(), digest=digest_of(secret), roles=list(dict.fromkeys(roles)), created=desk.now,
                              expires=desk.now + timedelta(days=days)))
    desk.record("token.create", token, after={"user": user.login, "name": token.name, "roles": token.roles, "expires": token.expires})
    return secret, token


def revoke(desk: Desk, token_id: str) -> ApiToken:
    """Make a token useless; it stays in the list."""
    desk.demand("user.write")
    token = desk.find(ApiToken, token_id, lock=True)
    if token.revoked is None:
        token.revoked = desk.now
        desk.record("token.revoke", token, after={"name": token.name})
    return token


def search(desk: Desk, user_id: str = "") -> Select[tuple[ApiToken]]:
    """Tokens, the newest first."""
    desk.demand("user.read")
    query = desk.select(ApiToken).order_by(ApiToken.created.desc(), ApiToken.id.desc())
    return query.where(ApiToken.user_id == user_id) if user_id else query
