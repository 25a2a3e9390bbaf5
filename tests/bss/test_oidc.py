"""Coming in by an OpenID provider: a small real one, over HTTP on loopback, with RSA keys of its own."""
from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import RSAKey

from bss.office import Office
from bss.people import oidc, user
from bss.people.entry import COOKIE
from bss.people.scope import SYSTEM
from bss.settings import Oidc
from bss.tables import AuditRow, User
from tests.bss.conftest import Clock, served

CLIENT, SECRET = "fullspan", "client secret"
KEY = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})


class Provider(ThreadingHTTPServer):
    """account: who is logged in there; spoil: changes claims; sign: makes the ID token of them."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.key = clock, KEY
        self.codes: dict[str, dict[str, str]] = {}
        self.account: dict[str, Any] = {"sub": "account-7", "email": "wang@example.cn", "email_verified": True}
        self.spoil: Callable[[dict[str, Any]], None] = lambda claims: None
        self.sign = self.signer(self.key, "k1")
        super().__init__(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server_port}"

    def authorize(self, query: dict[str, str]) -> str:
        """Where somebody who has agreed is sent."""
        assert query["response_type"] == "code" and query["code_challenge_method"] == "S256" and "openid" in query["scope"].split()
        code = secrets.token_urlsafe(8)
        self.codes[code] = query
        return f"{query['redirect_uri']}?code={code}&state={query['state']}&iss={self.issuer}"

    def token(self, form: dict[str, str], authorization: str) -> dict[str, Any] | None:
        """What a code is worth; None: nothing."""
        asked = self.codes.pop(form["code"], None)
        wanted = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if asked is None or authorization != wanted or form["redirect_uri"] != asked["redirect_uri"]:
            return None
        proof = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if proof != asked["code_challenge"]:
            return None
        now = int(self.clock.now.timestamp())
        claims = {"iss": self.issuer, "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": asked["nonce"], **self.account}
        self.spoil(claims)
        return {"access_token": "x", "token_type": "Bearer", "id_token": self.sign(claims)}

    @staticmethod
    def signer(key: RSAKey, kid: str) -> Callable[[dict[str, Any]], str]:
        """What makes ID tokens."""
        return lambda claims: jwt.encode({"alg": "RS256", "kid": kid}, claims, key)


class Handler(BaseHTTPRequestHandler):
    """Its addresses."""
    server: Provider

    def do_GET(self) -> None:
        here = self.server.issuer
        if self.path == "/.well-known/openid-configuration":
            self._answer({"issuer": here, "authorization_endpoint": f"{here}/authorize", "token_endpoint": f"{here}/token", "jwks_uri": f"{here}/keys"})
        elif self.path == "/keys":
            self._answer({"keys": [self.server.key.as_dict(private=False)]})

    def do_POST(self) -> None:
        form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        answer = self.server.token(form, self.headers.get("Authorization", ""))
        self._answer(answer or {"error": "invalid_grant"}, 200 if answer else 400)

    def _answer(self, told: dict[str, Any], status: int = 200) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def provider(clock: Clock) -> Iterator[Provider]:
    server = Provider(clock)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def browser(office: Office, provider: Provider, tmp_path: Path) -> TestClient:
    """Of somebody who is nobody yet; a user of his e-mail address is there."""
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    file.chmod(0o600)
    office.settings = office.settings.model_copy(update={"oidc": Oidc(issuer=provider.issuer, client_id=CLIENT, secret_file=str(file))})
    office.act(SYSTEM, lambda desk: user.make(desk, "wang", "Wang", None, ["manager"], email="Wang@Example.cn"))
    return TestClient(served(office), base_url="https://fullspan.test", follow_redirects=False)


def leave(browser: TestClient, then: str = "/orders") -> dict[str, str]:
    answer = browser.get("/fullspan/v1/oidc/leave", params={"then": then})
    assert answer.status_code == 303, answer.text
    return {name: value[0] for name, value in parse_qs(urlsplit(answer.headers["location"]).query).items()}


def enter(browser: TestClient, provider: Provider, then: str = "/orders") -> Any:
    return browser.get(provider.authorize(leave(browser, then)))


def test_he_comes_in_by_verified_email_and_then_by_subject(office: Office, browser: TestClient, provider: Provider) -> None:
    answer = enter(browser, provider)
    assert answer.status_code == 303 and answer.headers["location"] == "/orders" and "secure" in answer.headers["set-cookie"].lower()
    assert browser.get("/fullspan/v1/me").json()["login"] == "wang"
    first = browser.cookies[COOKIE]
    provider.account |= {"email": "another@example.cn", "email_verified": False}
    assert enter(browser, provider).status_code == 303 and browser.cookies[COOKIE] != first
    with office.reading() as desk:
        assert [one.action for one in desk.session.query(AuditRow).order_by(AuditRow.number)] == ["user.create", "user.subject", "login", "login"]
        assert "account-7" not in str(desk.session.query(User.subject).scalar())
    provider.account = {"sub": "account-8", "email": "wang@example.cn", "email_verified": True}
    assert enter(browser, provider).status_code == 401          # the address belongs to another account already
    office.act(SYSTEM, lambda desk: user.disable(desk, user.named(desk, "wang").id))
    provider.account = {"sub": "account-7"}
    assert enter(browser, provider).status_code == 401


def test_who_is_not_known_stays_outside(office: Office, browser: TestClient, provider: Provider) -> None:
    for account in ({"sub": "a", "email": "wang@example.cn"}, {"sub": "a", "email": "wang@example.cn", "email_verified": "true"},
                    {"sub": "a", "email": "li@example.cn", "email_verified": True}, {"sub": "a"}):
        provider.account = account
        assert enter(browser, provider).status_code == 401 and COOKIE not in browser.cookies, account
    with office.reading() as desk:
        assert [one.action for one in desk.session.query(AuditRow).order_by(AuditRow.number)] == ["user.create"] + ["login.failure"] * 4


def forged(header: dict[str, Any], claims: dict[str, Any], key: bytes) -> str:
    """A token without a signature, or signed with what everybody knows."""
    def part(told: bytes) -> str:
        return base64.urlsafe_b64encode(told).rstrip(b"=").decode()

    text = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    return f"{text}.{part(hmac.digest(key, text.encode(), 'sha256')) if key else ''}"


def test_an_id_token_that_is_not_for_us_is_refused(browser: TestClient, provider: Provider, clock: Clock) -> None:
    now = int(clock.now.timestamp())
    for claim, value in (("iss", "http://other"), ("aud", "other"), ("aud", ["other", CLIENT]), ("azp", "other"), ("exp", now - 120), ("iat", now + 600),
                         ("nonce", "x"), ("nonce", None), ("sub", ""), ("sub", None), ("at_hash", "AAAA")):
        def spoil(claims: dict[str, Any], claim: str = claim, value: Any = value) -> None:
            claims.pop(claim, None)
            if value is not None:
                claims[claim] = value

        provider.spoil = spoil
        answer = enter(browser, provider)
        assert answer.status_code == 401 and COOKIE not in browser.cookies, (claim, value, answer.status_code)
    provider.spoil = lambda claims: None
    right, public = provider.sign, provider.key.as_pem(private=False)
    for sign in (provider.signer(RSAKey.generate_key(2048), "k1"), provider.signer(provider.key, "k2"), lambda claims: forged({"alg": "none"}, claims, b""),
                 lambda claims: forged({"alg": "HS256", "kid": "k1"}, claims, public), lambda claims: right(claims)[:-4] + "AAAA", lambda claims: "a.b"):
        provider.sign = sign
        assert enter(browser, provider).status_code == 401
    provider.sign = right
    assert enter(browser, provider).status_code == 303


def test_an_answer_to_another_log_in_is_refused(office: Office, browser: TestClient, provider: Provider, clock: Clock) -> None:
    asked = leave(browser)
    back = provider.authorize(asked)
    stranger = TestClient(served(office), base_url="https://fullspan.test", follow_redirects=False)
    assert stranger.get(back).status_code == 401                                    # without the cookie of who left
    leave(stranger)
    assert stranger.get(back).status_code == 401                                    # with the state of another
    assert browser.get(back.replace("iss=http", "iss=https")).status_code == 401
    assert browser.get(back.split("?")[0], params={"state": asked["state"], "error": "access_denied"}).status_code == 401
    stolen = provider.authorize({**asked, "code_challenge": "another"})
    assert browser.get(stolen).status_code == 401                                   # PKCE: the code is of another who left
    assert browser.get(back).status_code == 303
    assert browser.get(back).status_code == 401                                     # a code is worth something once
    back = provider.authorize(leave(browser))
    clock.forward(minutes=11)
    assert browser.get(back).status_code == 401


def test_he_is_not_sent_elsewhere(browser: TestClient, provider: Provider) -> None:
    for then in ("https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)", "/a\\b", "", "/a\nb"):
        assert oidc.local(then) == "/", then
    assert enter(browser, provider, "https://evil.test/").headers["location"] == "/"


def test_a_provider_that_is_away_or_none_is_said(office: Office, browser: TestClient, provider: Provider) -> None:
    for issuer, status in (("", 404), ("http://provider.example", 400), ("http://127.0.0.1:9", 503), (provider.issuer + "/", 503)):
        office.settings = office.settings.model_copy(update={"oidc": office.settings.oidc.model_copy(update={"issuer": issuer})})
        assert browser.get("/fullspan/v1/oidc/leave").status_code == status, issuer
