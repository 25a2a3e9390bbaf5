"""How somebody who asks by HTTP is known: a token, or the cookie of a log-in."""
from __future__ import annotations

import contextlib
import hashlib
import hmac
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import chain
from typing import NamedTuple

from sqlalchemy import event, select
from sqlalchemy.orm import Session

from bss.desk import Desk
from bss.office import Office
from bss.people.scope import SYSTEM, Actor
from bss.refusal import Refusal
from bss.tables import ApiToken, Login, User

COOKIE, CSRF = "fullspan_login", "x-csrf-token"
SAFE = ("GET", "HEAD", "OPTIONS")
REMEMBERED, MOST = 1.0, 10_000      # s that a token is known without being looked up; how many are
STAMP = timedelta(minutes=1)        # how exactly it is noted when a token or log-in was used last


def digest_of(secret: str) -> str:
    """What is kept of a token or cookie."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def actor_of(user: User, roles: list[str] | None = None) -> Actor:
    """A user as an actor; roles: fewer, of a token. A customer's user stays one, for that is what limits him to his own."""
    held = frozenset(user.roles)
    if roles is not None:
        held &= frozenset(roles) | {"customer"}
    return Actor(user.id, user.login, held, tuple(user.regions), tuple(user.customers), user.own_work)


def remembered(office: Office, headers: Mapping[str, str]) -> Actor | None:
    """Whose token this is, if that was looked up within the last REMEMBERED seconds: so long, and no longer, may a token that is revoked in another process, or
    a user who loses a role there, still come in. In this process it is forgotten at once with any change of users and tokens."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    found: _Known | None = office.known.get(digest_of(token.strip())) if scheme.lower() == "bearer" else None
    if found is None or time.monotonic() > found.until or (found.expires is not None and found.expires <= office.clock()):
        return None
    return found.actor


class _Known(NamedTuple):
    actor: Actor
    until: float
    expires: datetime | None


@event.listens_for(Session, "after_flush")
def _touched(session: Session, _context: object) -> None:
    """Whether users or tokens change with this transaction."""
    if any(isinstance(one, User | ApiToken) for one in chain(session.dirty, session.deleted)):
        session.info["people"] = True


def of_request(office: Office, headers: Mapping[str, str], cookies: Mapping[str, str], method: str) -> Actor:
    """Refusal `unauthorised` where nobody is known; `forbidden` where a page of another site has sent a form (CSRF)."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return _of_token(office, token.strip())
    return of_cookie(office, cookies.get(COOKIE, ""), None if method in SAFE else headers.get(CSRF, ""))[0]


def of_cookie(office: Office, cookie: str, csrf: str | None = None) -> tuple[Actor, Login]:
    """Who has this cookie. csrf: what a form or a script sent along; None: nothing is changed by it."""
    nobody = Refusal("unauthorised", "nobody is logged in", mend="send Authorization: Bearer TOKEN, or log in")
    if not cookie:
        raise nobody
    with office.reading() as desk:
        login = desk.session.get(Login, digest_of(cookie))
        user = None if login is None else desk.session.get(User, login.user_id)
        now = desk.now
    limits = office.settings
    if (login is None or user is None or user.disabled or now - login.seen > timedelta(minutes=limits.session_minutes)
            or now - login.since > timedelta(hours=limits.session_hours)):
        raise nobody
    if csrf is not None and not hmac.compare_digest(login.csrf.encode(), csrf.encode(errors="replace")):
        raise Refusal("forbidden", "the request does not come from a page of this log-in", CSRF, "reload the page")
    if now - login.seen > STAMP:
        _stamp(office, Login, login.id, "seen")
    return actor_of(user), login


def _of_token(office: Office, token: str) -> Actor:
    began = time.monotonic()
    with office.reading() as desk:
        found = desk.session.execute(select(ApiToken, User).join(User, User.id == ApiToken.user_id).where(ApiToken.digest == digest_of(token))).first()
        now = desk.now
    if found is None or found[0].revoked or (found[0].expires and found[0].expires <= now) or found[1].disabled:
        raise Refusal("unauthorised", "the token is not valid", "Authorization", "make a new one: fullspan bss token")
    if found[0].used is None or now - found[0].used > STAMP:
        _stamp(office, ApiToken, found[0].id, "used")
    actor = actor_of(found[1], found[0].roles or None)
    if len(office.known) >= MOST:
        office.known.clear()
    office.known[found[0].digest] = _Known(actor, began + REMEMBERED, found[0].expires)
    return actor


def _stamp(office: Office, table: type[Login] | type[ApiToken], key: str, column: str) -> None:
    """Note the time of use, in a transaction of its own: that it can't be noted now is no reason to refuse anybody."""
    def note(desk: Desk) -> None:
        row = desk.session.get(table, key)
        if row is not None:
            setattr(row, column, desk.now)

    with contextlib.suppress(Refusal):
        office.act(SYSTEM, note)
