"""Users: made, changed, locked out of the house. How they come in is login.py's."""
from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from argon2 import PasswordHasher
from sqlalchemy import Select, delete, select

from bss.desk import Desk
from bss.refusal import Refusal
from bss.sealing import ring
from bss.tables import Customer, Login, User
from bss.tables.person import ROLES

HASHER = PasswordHasher()           # argon2id, RFC 9106's second choice
SHORTEST, LONGEST = 10, 256         # characters of a password
FIELDS = ("name", "email", "roles", "regions", "customers", "own_work", "disabled")
_LOGIN = re.compile(r"[\w.@+-]{1,100}")


def make(desk: Desk, login: str, name: str, password: str | None, roles: Sequence[str], *, email: str | None = None, regions: Sequence[str] = (),
         customers: Sequence[str] = (), own_work: bool = False) -> User:
    """A new user. password None: he comes in by an OpenID provider alone. Refusal: a short password, a role that is none, a log-in that is taken."""
    desk.demand("user.write")
    login = unicodedata.normalize("NFKC", login).strip()
    if not _LOGIN.fullmatch(login):
        raise Refusal("invalid", f"{login!r} can't be a log-in", "login", "write letters, digits and . @ + - _, 100 at most")
    if desk.session.execute(select(User.id).where(User.login == login)).first() is not None:
        raise Refusal("conflict", f"there is a user {login!r} already", "login", "choose another")
    given = _checked(desk, {"name": name, "email": email, "roles": roles, "regions": regions, "customers": customers, "own_work": own_work})
    user: User = User(login=login, password="" if password is None else hashed(password, login), created=desk.now, **given)
    user.email_digest = email_digest(given["email"])
    desk.add(user)
    desk.record("user.create", user, after={"login": login, **given})
    return user


def search(desk: Desk, login: str = "", role: str = "", disabled: bool | None = None) -> Select[tuple[User]]:
    """Users, in order of their log-ins. role, disabled: only those."""
    desk.demand("user.read")
    query = desk.select(User).order_by(User.login)
    if login:
        query = query.where(User.login == login)
    if disabled is not None:
        query = query.where(User.disabled == disabled)
    if role:
        _role(role)
        users: Any = desk.session.execute(query).scalars()
        query = query.where(User.id.in_([one.id for one in users if role in one.roles]))
    return query


def named(desk: Desk, login: str, *, lock: bool = False) -> User:
    """A user by his log-in. Refusal: there is none."""
    desk.demand("user.read")
    found: Any = desk.session.execute(desk.select(User).where(User.login == login)).scalar_one_or_none()
    if found is None:
        raise Refusal("missing", f"there is no user {login!r}", "login", "look at the list: fullspan bss user list")
    return desk.find(User, found.id, lock=True) if lock else found


def change(desk: Desk, user_id: str, version: int | None = None, **what: Any) -> User:
    """Change fields of FIELDS. Roles and limits hold from the next request on; who is disabled is logged out. Refusal: the last administrator would be gone."""
    desk.demand("user.write")
    user = desk.find(User, user_id, lock=True)
    for name in what:
        if name not in FIELDS:
            raise Refusal("invalid", f"{name!r} of a user can't be changed", name, f"these can: {', '.join(FIELDS)}")
    given = _checked(desk, what)
    before = {name: getattr(user, name) for name, value in given.items() if getattr(user, name) != value}
    if not before:
        return user
    desk.fresh(user, version)
    for name in before:
        setattr(user, name, given[name])
    if "email" in before:
        user.email_digest = email_digest(user.email)
    desk.session.flush()
    if "administrator" in before.get("roles", user.roles) and not before.get("disabled", user.disabled):
        _keep_an_administrator(desk)
    if before.get("disabled") is False:
        end_log_ins(desk, user)
    desk.record("user.change", user, before, {name: given[name] for name in before})
    return user


def disable(desk: Desk, user_id: str, version: int | None = None, disabled: bool = True) -> User:
    """Keep a user out, or let him in again. His tokens are as good as he is."""
    return change(desk, user_id, version, disabled=disabled)


def set_password(desk: Desk, user_id: str, password: str) -> User:
    """Give a user a new password; he is logged out everywhere, and no longer locked. One's own takes no permission: the old one was proved (login.prove)."""
    if user_id != desk.actor.id:
        desk.demand("user.write")
    user = own(desk, user_id)
    user.password, user.failures, user.locked_until = hashed(password, user.login), 0, None
    desk.fresh(user, None)
    end_log_ins(desk, user)
    desk.record("user.password", user)
    return user


def unlock(desk: Desk, user_id: str) -> User:
    """Let a user try again who was locked after too many wrong passwords."""
    desk.demand("user.write")
    user = desk.find(User, user_id, lock=True)
    user.failures, user.locked_until = 0, None
    desk.record("user.unlock", user)
    return user


def own(desk: Desk, user_id: str) -> User:
    """A user's row, to be changed: his own he sees whatever his limits are."""
    if user_id == desk.actor.id:
        return desk.session.execute(select(User).where(User.id == user_id).with_for_update().execution_options(populate_existing=True)).scalar_one()
    return desk.find(User, user_id, lock=True)


def end_log_ins(desk: Desk, user: User) -> None:
    """Log a user out everywhere."""
    desk.session.execute(delete(Login).where(Login.user_id == user.id))


def hashed(password: str, login: str) -> str:
    """A password as it is kept. Refusal: it is too short, too long or the log-in."""
    if not SHORTEST <= len(password) <= LONGEST or not password.isprintable() or password.casefold() == login.casefold():
        raise Refusal("invalid", f"a password has {SHORTEST} to {LONGEST} characters that can be typed, and is not the log-in", "password", "choose another")
    return HASHER.hash(password)


def email_digest(email: str | None) -> bytes | None:
    """What a user is found by when an OpenID provider names his e-mail."""
    return ring().digest("user.email", email.casefold()) if email else None


def _role(role: str) -> str:
    if role not in ROLES:
        raise Refusal("invalid", f"{role!r} is no role", "roles", f"roles are {', '.join(ROLES)}")
    return role


def _checked(desk: Desk, given: dict[str, Any]) -> dict[str, Any]:
    """Fields as they are kept."""
    told: dict[str, Any] = dict(given)
    if "name" in told and not (isinstance(told["name"], str) and 0 < len(told["name"].strip()) <= 100 and told["name"].isprintable()):
        raise Refusal("invalid", "a name has 1 to 100 characters", "name", "write the user's name")
    if told.get("email") is not None and not re.fullmatch(r"[^\s@]{1,64}@[^\s@]{1,190}", str(told["email"])):
        raise Refusal("invalid", "the e-mail address is none", "email", "write it as name@example.cn")
    for name in ("roles", "regions", "customers"):
        if name in told:
            told[name] = list(dict.fromkeys(str(one) for one in told[name]))[:1000]
    for role in told.get("roles", ()):
        _role(role)
    allowed = desk.office.settings.regions
    for region in told.get("regions", ()):
        if allowed and region not in allowed:
            raise Refusal("invalid", f"{region!r} is no region of the settings", "regions", f"regions are {', '.join(allowed)}")
    for customer in told.get("customers", ()):
        desk.find(Customer, customer)
    return told


def _keep_an_administrator(desk: Desk) -> None:
    rest = desk.session.execute(select(User).where(User.disabled.is_(False)).order_by(User.id).with_for_update()).scalars()
    if not any("administrator" in one.roles for one in rest):
        raise Refusal("conflict", "nobody would be administrator any more", "roles", "make another user administrator before")
