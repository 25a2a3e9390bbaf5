"""Settings of the business layer: defaults, then `bss.toml` ($FULLSPAN_BSS_CONFIG names another), then FULLSPAN_BSS_* of the environment."""
from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from bss.refusal import Refusal

FILE, PREFIX = "bss.toml", "FULLSPAN_BSS_"
P = TypeVar("P", bound=BaseModel)


class Mail(BaseModel):
    """Where reminders are sent from; nowhere without a server."""
    model_config = ConfigDict(extra="forbid", frozen=True)
    server: Annotated[str, Field(description="host:port of an SMTP server; empty: no mail")] = ""
    sender: Annotated[str, Field(description="From")] = "fullspan@localhost"
    starttls: Annotated[bool, Field(description="TLS is asked for and verified")] = True
    user: Annotated[str, Field(description="log-in; empty: none")] = ""
    password_file: Annotated[str, Field(description="a file with the password in its first line, mode 0600")] = ""


class Oidc(BaseModel):
    """Log-in by an OpenID provider; none without an issuer."""
    model_config = ConfigDict(extra="forbid", frozen=True)
    issuer: Annotated[str, Field(description="https address of the provider; empty: passwords only")] = ""
    client_id: str = ""
    secret_file: Annotated[str, Field(description="a file with the client's secret in its first line, mode 0600")] = ""


class Events(BaseModel):
    """[[events]]: somebody who is told what happens, by HTTP (CloudEvents)."""
    model_config = ConfigDict(extra="forbid", frozen=True)
    url: Annotated[str, Field(pattern="^https?://[^@]+$", max_length=2000, description="address that events are sent to")]
    secret_file: Annotated[str, Field(description="a file whose first line signs what is sent, mode 0600")]
    name: Annotated[str, Field(max_length=200, description="what the receiver is called; what waits for it goes by this; empty: its address")] = ""

    @property
    def called(self) -> str:
        """The name of its queue."""
        return self.name or self.url[:200]


class Seller(BaseModel):
    """[seller]: who sells, as invoices have it."""
    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Annotated[str, Field(max_length=200, description="registered name; empty: that of the operator")] = ""
    number: Annotated[str, Field(max_length=40, description="taxpayer's number (纳税人识别号)")] = ""
    address: Annotated[str, Field(max_length=200, description="address and telephone number")] = ""
    bank: Annotated[str, Field(max_length=200, description="bank and account number")] = ""


class Settings(BaseModel):
    """[top level] of bss.toml."""
    model_config = ConfigDict(extra="forbid", frozen=True)
    database: Annotated[str, Field(description="sqlite:///path or postgresql+psycopg://user@host/name")] = "sqlite:///bss.db"
    keys: Annotated[str, Field(description="the ring of keys")] = "bss.keys"
    attachments: Annotated[str, Field(description="folder of attachments, each sealed")] = "attachments"
    attachment_mb: Annotated[int, Field(ge=1, le=1024, description="largest attachment")] = 20
    bindings: Annotated[str, Field(description="the bindings file that the probe follows")] = "bindings.csv"
    store: Annotated[str, Field(description="URL of the probe's store: chdb:///path or clickhouse://...; none: nothing is asked")] = "chdb:///fullspan.chdb"
    operator: Annotated[str, Field(description="name of the operator, on documents")] = "Fullspan"
    timezone: Annotated[str, Field(description="the operator's time zone: working days, documents, times that people write")] = "Asia/Shanghai"
    country: Annotated[str, Field(description="ISO 3166 code for telephone numbers without one")] = "CN"
    lang: Annotated[str, Field(pattern="^(en|zh)$", description="language of documents and mail: en or zh")] = "zh"
    regions: Annotated[list[str], Field(description="regions that rows may be of; empty: any")] = []
    session_minutes: Annotated[int, Field(ge=1, le=10080, description="minutes without a request after which a log-in ends")] = 60
    session_hours: Annotated[int, Field(ge=1, le=720, description="hours after which it ends whatever was done")] = 12
    lockout_after: Annotated[int, Field(ge=3, le=100, description="wrong passwords after which a user is locked")] = 5
    lockout_minutes: Annotated[int, Field(ge=1, le=10080, description="minutes that he is")] = 15
    mail: Mail = Mail()
    oidc: Oidc = Oidc()
    seller: Seller = Seller()
    events: Annotated[list[Events], Field(max_length=50, description="who is told what happens")] = []
    alerts_secret_file: Annotated[str, Field(description="a file whose first line signs the alerts that a probe's web hook sends here, mode 0600; empty: none "
                                             "are taken so")] = ""
    alerts_replayed: Annotated[bool, Field(description="alerts of captures that were replayed become tickets too: where captures are all there is")] = False
    events_days: Annotated[int, Field(ge=1, le=3650, description="days that events are kept after everybody has them")] = 30

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("is no time zone, such as Asia/Shanghai") from None
        return name

    @property
    def zone(self) -> ZoneInfo:
        """The operator's time zone."""
        return ZoneInfo(self.timezone)


def load(path: str | None = None, **given: Any) -> Settings:
    """Settings of a file and the environment; given: what a command line says. Paths of the file are beside it. Refusal: a wrong value, with its name."""
    named = path or os.environ.get(f"{PREFIX}CONFIG")
    file = Path(named or FILE)
    told: dict[str, Any] = {}
    try:
        told = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if named:
            raise Refusal("invalid", "there is no such settings file", str(file), "name another, or leave it out") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Refusal("invalid", f"the settings can't be read: {error}", str(file)) from None
    for name, value in os.environ.items():
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in ("CONFIG", "USER", "PASSWORD"):       # those are of commands
            whole, _, part = name.removeprefix(PREFIX).lower().partition("__")
            if part:
                told.setdefault(whole, {})[part] = value
            else:
                told[whole] = value.split(",") if whole == "regions" else value
    try:
        found = Settings(**{**told, **{name: value for name, value in given.items() if value is not None}})
    except ValidationError as error:
        first = error.errors()[0]
        raise Refusal("invalid", first["msg"], f"{file if told else 'settings'}: {'.'.join(map(str, first['loc']))}", "see docs/business.md") from None
    beside = file.resolve().parent
    paths = {name: str(beside / getattr(found, name)) for name in ("keys", "attachments", "bindings")}
    database = found.database
    if database.startswith("sqlite:///") and not database.startswith("sqlite:////") and database != "sqlite:///:memory:":
        database = f"sqlite:///{beside / database.removeprefix('sqlite:///')}"
    return found.model_copy(update={
        **paths, "database": database, "alerts_secret_file": str(beside / found.alerts_secret_file) if found.alerts_secret_file else "",
        "events": [_beside(one, "secret_file", beside) for one in found.events],
        "mail": _beside(found.mail, "password_file", beside), "oidc": _beside(found.oidc, "secret_file", beside)})


def _beside(part: P, field: str, folder: Path) -> P:
    """A part of the settings, whose file is looked for beside the settings."""
    return part.model_copy(update={field: str(folder / getattr(part, field))}) if getattr(part, field) else part


def secret(path: str, where: str) -> str:
    """The first line of a file that holds a secret. Refusal: it can't be read, it is empty, or others can read it."""
    try:
        file = Path(path)
        if file.stat().st_mode & 0o077:
            raise Refusal("away", "the file of a secret can be read by others", f"{where}: {path}", f"chmod 600 {path}")
        found = file.read_text(encoding="utf-8").split("\n", 1)[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal("away", f"the file of a secret can't be read: {error}", where, "name a file whose first line it is") from None
    if not found:
        raise Refusal("away", "the file of a secret is empty", f"{where}: {path}", "write it into its first line")
    return found
