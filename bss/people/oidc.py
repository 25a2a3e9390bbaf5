"""Coming in by an OpenID provider: authorization code flow with PKCE, state and nonce (OpenID Connect Core 1.0, RFC 7636, RFC 9207).

What is to be remembered between leaving and coming back is sealed into a cookie of ten minutes; nothing is kept here. A user is known by issuer and subject;
the first time by an e-mail that the provider has verified. Second factors are the provider's to ask for.
"""
from __future__ import annotations

import functools
import hmac
import json
import secrets
import ssl
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy import select

from bss.desk import Desk
from bss.office import Office
from bss.people.login import NOBODY, begin
from bss.people.user import email_digest
from bss.refusal import Refusal
from bss.sealing import ring
from bss.settings import secret
from bss.tables import Login, User

COOKIE = "fullspan_oidc"
PATIENCE = timedelta(minutes=10)        # in which somebody is to come back
LEEWAY = 60                             # s that the clocks may differ
LARGEST = 1 << 20                       # bytes of an answer of the provider
SIGNATURES = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]      # never `none`, never a shared secret


class Leaving(NamedTuple):
    """address: of the provider, to go to; cookie: to be kept by the browser as COOKIE until it comes back."""
    address: str
    cookie: str


def leave(office: Office, redirect: str, then: str = "/") -> Leaving:
    """Send somebody to the provider. redirect: the address he comes back to, as the provider knows it; then: the page he wants."""
    provider = _provider(office)
    kept = {"state": secrets.token_urlsafe(24), "nonce": secrets.token_urlsafe(24), "verifier": secrets.token_urlsafe(48), "redirect": redirect,
            "then": local(then), "time": office.clock().timestamp()}
    address = prepare_grant_uri(provider["authorization_endpoint"], office.settings.oidc.client_id, "code", redirect, "openid email profile", kept["state"],
                                nonce=kept["nonce"], code_challenge=create_s256_code_challenge(kept["verifier"]), code_challenge_method="S256")
    return Leaving(address, ring().seal(json.dumps(kept).encode()).hex())


def come_back(office: Office, kept: str, query: Mapping[str, str], *, address: str = "", before: str = "") -> tuple[str, Login, str]:
    """The cookie of a new log-in, its row, and the page that was wanted. kept: the cookie COOKIE; query: of the address he came back with."""
    told = _kept(office, kept)
    if not hmac.compare_digest(str(told["state"]).encode(), query.get("state", "").encode(errors="replace")):
        raise _no("the answer belongs to another log-in")
    if "error" in query:
        raise _no(f"the provider refuses it: {query['error'][:100]!r}")
    if "iss" in query and query["iss"] != office.settings.oidc.issuer:
        raise _no("the answer is of another provider")
    claims = _exchange(office, query.get("code", ""), told)
    outcome = office.act(NOBODY, lambda desk: _enter(desk, claims, address, before))
    if isinstance(outcome, Refusal):
        raise outcome
    return *outcome, str(told["then"])


def local(page: str) -> str:
    """A page of ours, `/` where it is another's."""
    return page if page.startswith("/") and not page.startswith(("//", "/\\")) and page.isprintable() and "\\" not in page else "/"


def _enter(desk: Desk, claims: Mapping[str, Any], address: str, before: str) -> tuple[str, Login] | Refusal:
    subject = ring().digest("user.subject", f"{claims['iss']}\0{claims['sub']}").hex()
    user = desk.session.execute(select(User).where(User.subject == subject)).scalar_one_or_none()
    if user is None and claims.get("email_verified") is True and isinstance(claims.get("email"), str):
        found = select(User).where(User.email_digest == email_digest(claims["email"]), User.subject.is_(None), User.disabled.is_(False))
        user = desk.session.execute(found.with_for_update()).scalar_one_or_none()
        if user is not None:
            user.subject = subject
            desk.record("user.subject", user, reason="first log-in by the provider, by verified e-mail")
    if user is None or user.disabled:
        why = "disabled" if user else "unknown"
        desk.record("login.failure", user or ("app_user", ""), after={"by": "oidc", "subject": subject, "address": address, "why": why})
        return _no("no user belongs to this account of the provider", "ask an administrator to enter your e-mail address, as the provider has verified it")
    return begin(desk, user, before, {"address": address, "by": "oidc"})


def _kept(office: Office, kept: str) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(ring().open(bytes.fromhex(kept)))
        if not 0 <= office.clock().timestamp() - told["time"] <= PATIENCE.total_seconds() or "verifier" not in told:
            raise ValueError
    except (Refusal, ValueError, KeyError, TypeError):
        raise _no("this log-in was begun too long ago, or in another browser") from None
    return told


def _exchange(office: Office, code: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """Claims of the ID token that a code is worth."""
    asked = office.settings.oidc
    provider = _provider(office)
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": told["redirect"], "client_id": asked.client_id, "code_verifier": told["verifier"]}
    auth = None
    if asked.secret_file:
        password = secret(asked.secret_file, "oidc.secret_file")
        if "client_secret_basic" in provider.get("token_endpoint_auth_methods_supported", ["client_secret_basic"]):
            auth = httpx.BasicAuth(asked.client_id, password)
        else:
            form["client_secret"] = password
    answer = _ask("POST", provider["token_endpoint"], auth=auth, data=form)
    try:
        keys = KeySet.import_key_set(_ask("GET", provider["jwks_uri"]))         # type: ignore[arg-type]
        token = jwt.decode(str(answer["id_token"]), keys, algorithms=SIGNATURES)
        wanted = {"iss": {"essential": True, "value": asked.issuer}, "aud": {"essential": True, "value": asked.client_id}}
        claims = CodeIDToken(token.claims, token.header, wanted,
                             {"nonce": told["nonce"], "client_id": asked.client_id, "access_token": answer.get("access_token")})
        claims.validate(now=int(office.clock().timestamp()), leeway=LEEWAY)
        if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255:
            raise ValueError("sub")
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise _no(f"the ID token is not valid: {type(error).__name__}") from None
    return dict(claims)


def _provider(office: Office) -> dict[str, Any]:
    """What the provider says of itself (OpenID Connect Discovery 1.0)."""
    issuer = office.settings.oidc.issuer
    if not issuer or not office.settings.oidc.client_id:
        raise Refusal("missing", "no OpenID provider is named", "oidc", "set issuer and client_id in the settings")
    told = _ask("GET", issuer.rstrip("/") + "/.well-known/openid-configuration")
    if told.get("issuer") != issuer:
        raise Refusal("away", "the OpenID provider calls itself otherwise", "oidc.issuer", f"write it as it does: {str(told.get('issuer'))[:200]}")
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        if not isinstance(told.get(name), str) or not _safe(told[name]):
            raise Refusal("away", f"the OpenID provider has no https address as {name}", "oidc.issuer", "ask who runs it")
    return told


def _safe(address: str) -> bool:
    """https, or this machine."""
    parts = urlsplit(address)
    return parts.scheme == "https" or parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")


@functools.cache
def _trust() -> ssl.SSLContext:
    """Whom this machine trusts."""
    return ssl.create_default_context()


def _ask(method: str, address: str, **given: Any) -> dict[str, Any]:
    if not _safe(address):
        raise Refusal("invalid", "the OpenID provider is to be asked by https", "oidc.issuer", "write https://...")
    try:
        with httpx.Client(timeout=10, headers={"Accept": "application/json"}, verify=_trust()) as client, client.stream(method, address, **given) as answer:
            body = b""
            for part in answer.iter_bytes():
                body += part
                if len(body) > LARGEST:
                    raise ValueError("it is too long")
            told = json.loads(body)
        if not isinstance(told, dict):
            raise ValueError("it is no JSON object")
    except (httpx.HTTPError, ValueError) as error:
        raise Refusal("away", f"the OpenID provider does not answer as it should: {type(error).__name__}", "oidc.issuer",
                      "try again, or log in by password") from None
    if answer.status_code != 200:
        raise _no(f"the provider refuses it: {answer.status_code} {str(told.get('error', ''))[:100]}")
    return told


def _no(what: str, mend: str = "begin again") -> Refusal:
    return Refusal("unauthorised", what, "oidc", mend)
