"""Who works here, or is a customer at the portal, and how they come in."""
from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from bss.database import Table
from bss.sealing import Sealed

ROLES = ("presales", "provisioning", "assurance", "billing", "manager", "contractor", "customer", "auditor", "administrator")


class User(Table):
    """roles: of ROLES; regions: empty for all; customers: of a customer's user; own_work: sees only what he owns."""
    __tablename__ = "app_user"
    LETTER = "U"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    login: Mapped[str] = mapped_column(String(100), unique=True)
    name: Mapped[str] = mapped_column(Sealed)
    email: Mapped[str | None] = mapped_column(Sealed)
    email_digest: Mapped[bytes | None] = mapped_column(LargeBinary(16), unique=True)       # keyed: what an OpenID provider's e-mail is found by
    password: Mapped[str] = mapped_column(String(200), default="")      # argon2id; '' none
    totp: Mapped[str | None] = mapped_column(Sealed)
    totp_step: Mapped[int] = mapped_column(default=0)                   # of the code that was used last
    subject: Mapped[str | None] = mapped_column(String(255), unique=True)       # keyed digest of issuer and subject of an OpenID provider
    roles: Mapped[list[str]] = mapped_column(default=list)
    regions: Mapped[list[str]] = mapped_column(default=list)
    customers: Mapped[list[str]] = mapped_column(default=list)
    own_work: Mapped[bool] = mapped_column(default=False)
    disabled: Mapped[bool] = mapped_column(default=False)
    failures: Mapped[int] = mapped_column(default=0)
    locked_until: Mapped[datetime | None]
    created: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)


class Login(Table):
    """Somebody who has come in. id: SHA-256 of the cookie."""
    __tablename__ = "login"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("app_user.id"), index=True)
    csrf: Mapped[str] = mapped_column(String(64))
    since: Mapped[datetime]
    seen: Mapped[datetime]


class ApiToken(Table):
    """digest: SHA-256 of the token, hex, which is shown once. roles: of the user's, those that it has."""
    __tablename__ = "api_token"
    LETTER = "A"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("app_user.id"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    roles: Mapped[list[str]] = mapped_column(default=list)
    created: Mapped[datetime]
    expires: Mapped[datetime | None]
    used: Mapped[datetime | None]
    revoked: Mapped[datetime | None]
