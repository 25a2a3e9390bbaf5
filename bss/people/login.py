"""Coming in: password and one-time code, lockout, and the cookie that is given.

A try is counted before the password is looked at, in a transaction of its own: of tries at once no more than `lockout_after` are looked at. Unknown user, wrong
password and locked user get the same answer after the same work, so that nobody learns who there is.
"""
from __future__ import annotations

import functools
import secrets
import threading
from datetime import timedelta
from typing import Any, NamedTuple

from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import select

from bss.desk import Desk
from bss.office import Office
from bss.people import totp
from bss.people.entry import COOKIE, actor_of, digest_of
from bss.people.scope import Actor
from bss.people.user import HASHER, LONGEST, end_log_ins
from bss.refusal import Refusal
from bss.tables import Login, User

NOBODY = Actor("", "nobody", frozenset())
_hashing = threading.BoundedSemaphore(4)        # each takes 64 MiB


class _Try(NamedTuple):
    """A try that was counted. user_id None: there is no such user, or he may not try now."""
    user_id: str | None
    kept: str           # the hash to compare with
    why: str = ""       # for the audit log


def log_in(office: Office, login: str, password: str, code: str = "", *, address: str = "", before: str = "") -> tuple[str, Login]:
    """The cookie of a new log-in, and its row. address: of who asks; before: the cookie that he sent, which ends. Refusal `unauthorised`; with `code` as where:
    the password is right, and a code of his authenticator is wanted."""
    user_id = _proved(office, login, None, password, code, address, "login")

    def enter(desk: Desk) -> tuple[str, Login]:
        user = desk.session.get_one(User, user_id)
        return begin(desk, user, before, {"address": address, "by": "password and code" if user.totp else "password"})

    return office.act(NOBODY, enter)


def prove(office: Office, actor: Actor, password: str, address: str = "") -> None:
    """That who is logged in knows his password, before something that a stolen log-in may not do. Tries are counted as at the door. Refusal `unauthorised`."""
    _proved(office, actor.login, actor.id, password, None, address, "login.prove")


def begin(desk: Desk, user: User, before: str, detail: dict[str, Any]) -> tuple[str, Login]:
    """A log-in for somebody who has proved who he is. The cookie is always a new one, and the one he came with is of no more use (session fixation)."""
    if before and (old := desk.session.get(Login, digest_of(before))) is not None:
        desk.session.delete(old)
    cookie = secrets.token_urlsafe(32)
    made = Login(id=digest_of(cookie), user_id=user.id, csrf=secrets.token_urlsafe(32), since=desk.now, seen=desk.now)
    desk.session.add(made)
    desk.session.flush()
    Desk(desk.session, actor_of(user), desk.office).record("login", user, after=detail)
    return cookie, made


def log_out(office: Office, cookie: str) -> None:
    """End a log-in; that there is none is no error."""
    def leave(desk: Desk) -> None:
        login = desk.session.get(Login, digest_of(cookie)) if cookie else None
        if login is not None:
            user = desk.session.get_one(User, login.user_id)
            desk.session.delete(login)
            Desk(desk.session, actor_of(user), desk.office).record("logout", user)

    office.act(NOBODY, leave)


def log_out_everywhere(desk: Desk) -> None:
    """End all log-ins of who acts."""
    user = desk.session.get_one(User, desk.actor.id)
    end_log_ins(desk, user)
    desk.record("logout", user, reason="everywhere")


def cookie(value: str, https: bool) -> dict[str, Any]:
    """What `set_cookie` of a response is given: not for scripts, not for requests of other sites, and over https alone where it came by that."""
    return {"key": COOKIE, "value": value, "httponly": True, "samesite": "lax", "secure": https, "path": "/"}


def _proved(office: Office, login: str, user_id: str | None, password: str, code: str | None, address: str, action: str) -> str:
    """Who has proved to be the user. code None: his password is enough."""
    login = login[:100].encode(errors="replace").decode().replace("\0", "")
    tried = office.act(NOBODY, lambda desk: _count(desk, login, user_id))
    right = _matches(tried.kept, password) and tried.user_id is not None
    outcome = office.act(NOBODY, lambda desk: _settle(desk, tried, right, login, password, code, address, action))
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome


def _count(desk: Desk, login: str, user_id: str | None) -> _Try:
    """Count a try as wrong until it is known to be right."""
    limits = desk.office.settings
    query = select(User).where(User.login == login if user_id is None else User.id == user_id)
    user = desk.session.execute(query.with_for_update().execution_options(populate_existing=True)).scalar_one_or_none()
    if user is None or not user.password or user.disabled:
        return _Try(None, _nobodys(), "no such user" if user is None else "disabled" if user.disabled else "no password")
    if user.locked_until is not None:
        if user.locked_until > desk.now:
            return _Try(None, _nobodys(), "locked")
        user.failures, user.locked_until = 0, None
    user.failures += 1
    if user.failures >= limits.lockout_after:
        user.locked_until = desk.now + timedelta(minutes=limits.lockout_minutes)
    return _Try(user.id, user.password)


def _settle(desk: Desk, tried: _Try, right: bool, login: str, password: str, code: str | None, address: str, action: str) -> str | Refusal:
    """What comes of a try. A refusal is given back, not raised: what is counted and recorded of it stays."""
    wrong = Refusal("unauthorised", "log-in or password is wrong, or there were too many tries", "login",
                    f"try again; after {desk.office.settings.lockout_after} wrong tries in {desk.office.settings.lockout_minutes} minutes")
    user = None if tried.user_id is None else desk.session.execute(
        select(User).where(User.id == tried.user_id).with_for_update().execution_options(populate_existing=True)).scalar_one()
    why = tried.why or "wrong password"
    if user is not None and right and not user.disabled and user.password == tried.kept:
        if code is None or user.totp is None or (code and totp.taken(user, code, desk.now)):
            user.failures, user.locked_until = 0, None
            if HASHER.check_needs_rehash(user.password):
                user.password = HASHER.hash(password)
            return user.id
        if not code:            # the first half of a log-in is no wrong try
            user.failures, user.locked_until = max(user.failures - 1, 0), None
            return Refusal("unauthorised", "a code of the authenticator is wanted", "code", "send it along with log-in and password")
        why, wrong = "wrong code", Refusal("unauthorised", "the code is wrong, or was used already", "code", "wait for the next one")
    told = {"login": login, "address": address, "why": why}
    entity = user or ("app_user", "")
    desk.record(f"{action}.failure", entity, after=told)
    if user is not None and user.locked_until is not None:
        desk.record("user.lock", user, after={"until": user.locked_until})
    return wrong


def _matches(kept: str, password: str) -> bool:
    if len(password) > LONGEST:
        password = ""
    with _hashing:
        try:
            return HASHER.verify(kept, password.encode(errors="replace"))
        except (VerificationError, InvalidHashError):
            return False


@functools.cache
def _nobodys() -> str:
    """A hash that no password has, which takes as long to compare with as another."""
    return HASHER.hash(secrets.token_urlsafe(32))
