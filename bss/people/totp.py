"""One-time codes of an authenticator (RFC 6238): enrolled with a first code, each good once, also for a clock that is half a minute off."""
from __future__ import annotations

import hmac
import json
from datetime import datetime, timedelta
from typing import NamedTuple

import pyotp

from bss.desk import Desk
from bss.people.user import own
from bss.refusal import Refusal
from bss.sealing import ring
from bss.tables import User

STEP = 30                               # s that a code is shown for
PATIENCE = timedelta(minutes=15)        # in which an enrolment is to be confirmed


class Enrolment(NamedTuple):
    """secret: to be typed into the authenticator; uri: the same, for a QR code; pending: to be sent back with the first code."""
    secret: str
    uri: str
    pending: str


def enrol(desk: Desk, user_id: str) -> Enrolment:
    """Begin: nothing is kept before the first code has come. One's own takes no permission, a colleague's `user.write`."""
    user = _user(desk, user_id)
    secret = pyotp.random_base32()
    pending = ring().seal(json.dumps({"user": user.id, "secret": secret, "time": desk.now.timestamp()}).encode()).hex()
    return Enrolment(secret, pyotp.TOTP(secret).provisioning_uri(name=user.login, issuer_name=desk.office.settings.operator), pending)


def confirm(desk: Desk, user_id: str, pending: str, code: str) -> User:
    """Codes are wanted from now on. Refusal: the code is not of this secret, or it took too long."""
    user = _user(desk, user_id)
    try:
        told = json.loads(ring().open(bytes.fromhex(pending)))
        if told["user"] != user.id or not 0 <= desk.now.timestamp() - told["time"] <= PATIENCE.total_seconds():
            raise ValueError
    except (Refusal, ValueError, KeyError, TypeError):
        raise Refusal("invalid", "this enrolment is not open any more", "pending", "begin again") from None
    user.totp, user.totp_step = told["secret"], 0
    if not taken(user, code, desk.now):
        raise Refusal("invalid", "the code is not of this authenticator", "code", "look whether its clock is right, and send the next one")
    desk.record("user.totp", user, after={"totp": True})
    return user


def remove(desk: Desk, user_id: str) -> User:
    """Want no codes any more, as when a telephone is lost: the work of who has `user.write`, for nobody does it for himself with a stolen log-in."""
    desk.demand("user.write")
    user = desk.find(User, user_id, lock=True)
    user.totp, user.totp_step = None, 0
    desk.record("user.totp", user, after={"totp": False})
    return user


def taken(user: User, code: str, now: datetime) -> bool:
    """Whether a code is right and was not used before; it is used now. The user's row is locked by who asks."""
    if user.totp is None or not (code.isascii() and code.isdigit() and len(code) == 6):
        return False
    generator, step = pyotp.TOTP(user.totp), int(now.timestamp()) // STEP
    for one in (step - 1, step, step + 1):
        if one > user.totp_step and hmac.compare_digest(generator.generate_otp(one), code):
            user.totp_step = one
            return True
    return False


def _user(desk: Desk, user_id: str) -> User:
    if user_id != desk.actor.id:
        desk.demand("user.write")
    return own(desk, user_id)
