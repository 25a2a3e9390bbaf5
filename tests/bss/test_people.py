"""How people come in: passwords, lockout, one-time codes, tokens, and who may do what of it."""
from __future__ import annotations

import threading
import time

import pyotp
import pytest
from argon2 import PasswordHasher
from fastapi.testclient import TestClient
from sqlalchemy import text

from bss import audit
from bss.office import Office
from bss.people import login, token, totp, user
from bss.people.entry import COOKIE, actor_of, of_cookie, of_request
from bss.people.scope import SYSTEM, Actor
from bss.refusal import Refusal
from bss.tables import ApiToken, AuditRow, Login, User
from bss.tables.person import ROLES
from tests.bss.conftest import Clock, served

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same algorithm with less work: what is tested is not how hard it is."""
    cheap = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(user, "HASHER", cheap)
    monkeypatch.setattr(login, "HASHER", cheap)
    login._nobodys.cache_clear()


def make(office: Office, name: str, *roles: str, **given: object) -> User:
    return office.act(SYSTEM, lambda desk: user.make(desk, name, f"{name} Name", PASSWORD, roles, **given))      # type: ignore[arg-type]


def actions(office: Office) -> list[str]:
    with office.reading() as desk:
        return [one.action for one in desk.session.query(AuditRow).order_by(AuditRow.number)]


def client(office: Office, name: str = "", password: str = PASSWORD) -> TestClient:
    made = TestClient(served(office), base_url="https://fullspan.test")
    if name:
        answer = made.post("/fullspan/v1/login", json={"login": name, "password": password})
        assert answer.status_code == 200, answer.text
        made.headers["x-csrf-token"] = answer.json()["csrf"]
    return made


def test_a_user_comes_in_and_goes(office: Office) -> None:
    made = make(office, "wang", "manager", email="wang@example.cn")
    cookie, row = login.log_in(office, "wang", PASSWORD, address="192.0.2.1")
    assert of_cookie(office, cookie)[0] == actor_of(made) and row.id != cookie
    login.log_out(office, cookie)
    with pytest.raises(Refusal, match="nobody is logged in"):
        of_cookie(office, cookie)
    assert actions(office) == ["user.create", "login", "logout"]


def test_unknown_user_and_wrong_password_get_the_same_answer(office: Office) -> None:
    make(office, "wang", "manager")
    office.act(SYSTEM, lambda desk: user.make(desk, "li", "Li", None, ["manager"]))
    told = []
    for name, password in (("nobody", PASSWORD), ("wang", "wrong"), ("li", ""), ("wang", "x" * 900), ("w\udcffng", "\udcff")):
        with pytest.raises(Refusal) as refused:
            login.log_in(office, name, password)
        told.append((refused.value.kind, str(refused.value)))
    assert len(set(told)) == 1 and actions(office)[2:] == ["login.failure"] * 5


def test_an_unknown_user_takes_as_long(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = PasswordHasher(time_cost=2, memory_cost=32768, parallelism=1)
    monkeypatch.setattr(user, "HASHER", hasher)
    monkeypatch.setattr(login, "HASHER", hasher)
    login._nobodys.cache_clear()
    make(office, "wang", "manager")
    took: dict[str, list[float]] = {"nobody": [], "wang": []}
    for name in ("nobody", "wang") * 3:
        begin = time.process_time()
        with pytest.raises(Refusal):
            login.log_in(office, name, "wrong password")
        took[name].append(time.process_time() - begin)
    assert 0.6 < min(took["nobody"][1:]) / min(took["wang"][1:]) < 1.6


def test_wrong_passwords_lock_for_a_while(office: Office, clock: Clock) -> None:
    make(office, "wang", "manager")
    for _ in range(office.settings.lockout_after):
        with pytest.raises(Refusal):
            login.log_in(office, "wang", "wrong password")
    with pytest.raises(Refusal, match="too many tries"):
        login.log_in(office, "wang", PASSWORD)
    clock.forward(minutes=office.settings.lockout_minutes, seconds=1)
    login.log_in(office, "wang", PASSWORD)
    assert actions(office).count("user.lock") == 1


def test_a_right_password_forgets_the_wrong_ones(office: Office) -> None:
    make(office, "wang", "manager")
    for _ in range(3):
        for _ in range(office.settings.lockout_after - 1):
            with pytest.raises(Refusal):
                login.log_in(office, "wang", "wrong password")
        login.log_in(office, "wang", PASSWORD)


def test_of_tries_at_once_no_more_are_looked_at_than_one_after_the_other(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    make(office, "wang", "manager")
    looked, found, real = [], [], login._matches

    def slow(kept: str, password: str) -> bool:
        if kept != login._nobodys():
            looked.append(password)
        time.sleep(0.02)
        return real(kept, password)

    def guess(k: int) -> None:
        try:
            login.log_in(office, "wang", PASSWORD if k == 19 else f"guess number {k}")
            found.append(k)
        except Refusal:
            pass

    monkeypatch.setattr(login, "_matches", slow)
    threads = [threading.Thread(target=guess, args=(k,)) for k in range(19)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    guess(19)
    assert len(looked) == office.settings.lockout_after and not found
    with office.reading() as desk:
        assert audit.check(desk.session) > 0


def test_a_code_is_wanted_and_good_once(office: Office, clock: Clock) -> None:
    made = make(office, "wang", "manager")
    mine = actor_of(made)
    enrolment = office.act(mine, lambda desk: totp.enrol(desk, made.id))
    codes = pyotp.TOTP(enrolment.secret)
    with pytest.raises(Refusal, match="not of this authenticator"):
        office.act(mine, lambda desk: totp.confirm(desk, made.id, enrolment.pending, "000000" if codes.at(clock.now) != "000000" else "000001"))
    office.act(mine, lambda desk: totp.confirm(desk, made.id, enrolment.pending, codes.at(clock.now)))
    clock.forward(seconds=90)
    with pytest.raises(Refusal) as wanted:
        login.log_in(office, "wang", PASSWORD)
    assert wanted.value.where == "code"
    now = codes.at(clock.now)
    login.log_in(office, "wang", PASSWORD, now)
    for again in (now, codes.at(clock.now.timestamp() - 30), "", "12345", "١٢٣٤٥٦"):
        with pytest.raises(Refusal):
            login.log_in(office, "wang", PASSWORD, again)
    clock.forward(seconds=30)
    login.log_in(office, "wang", PASSWORD, codes.at(clock.now))
    other = make(office, "li", "manager")
    with pytest.raises(Refusal, match="not open any more"):
        office.act(actor_of(other), lambda desk: totp.confirm(desk, other.id, enrolment.pending, codes.at(clock.now)))
    office.act(SYSTEM, lambda desk: totp.remove(desk, made.id))
    login.log_in(office, "wang", PASSWORD)


def test_one_code_at_once_lets_one_in(office: Office, clock: Clock) -> None:
    made = make(office, "wang", "manager")
    secret = pyotp.random_base32()
    with office.writing() as desk:
        desk.session.get_one(User, made.id).totp = secret
    entered = []

    def enter() -> None:
        try:
            login.log_in(office, "wang", PASSWORD, pyotp.TOTP(secret).at(clock.now))
            entered.append(1)
        except Refusal:
            pass

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(entered) == 1


def test_a_log_in_ends(office: Office, clock: Clock) -> None:
    made = make(office, "wang", "manager")
    cookie, _ = login.log_in(office, "wang", PASSWORD)
    for _ in range(office.settings.session_hours):
        clock.forward(minutes=59)
        of_cookie(office, cookie)
    clock.forward(minutes=30)
    with pytest.raises(Refusal):                # however busy he was
        of_cookie(office, cookie)
    cookie, _ = login.log_in(office, "wang", PASSWORD)
    clock.forward(minutes=office.settings.session_minutes, seconds=1)
    with pytest.raises(Refusal):
        of_cookie(office, cookie)
    ends = ((PASSWORD, lambda desk: user.set_password(desk, made.id, PASSWORD + "!")), (PASSWORD + "!", lambda desk: user.disable(desk, made.id)))
    for password, end in ends:
        cookie, _ = login.log_in(office, "wang", password)
        office.act(SYSTEM, end)
        with pytest.raises(Refusal):
            of_cookie(office, cookie)


def test_the_cookie_is_new_and_well_flagged(office: Office) -> None:
    make(office, "wang", "manager")
    one = client(office)
    one.cookies.set(COOKIE, "planted-by-somebody-else")
    answer = one.post("/fullspan/v1/login", json={"login": "wang", "password": PASSWORD})
    flags = answer.headers["set-cookie"].lower()
    assert "httponly" in flags and "samesite=lax" in flags and "secure" in flags and "planted" not in flags
    plain = TestClient(served(office), base_url="http://fullspan.test").post("/fullspan/v1/login", json={"login": "wang", "password": PASSWORD})
    assert "secure" not in plain.headers["set-cookie"].lower()
    first = answer.cookies[COOKIE]
    again = TestClient(served(office), base_url="https://fullspan.test", cookies={COOKIE: first}).post(
        "/fullspan/v1/login", json={"login": "wang", "password": PASSWORD})
    assert again.cookies[COOKIE] != first
    with pytest.raises(Refusal):
        of_cookie(office, first)
    with office.reading() as desk:
        assert not any(one.id in (first, again.cookies[COOKIE]) for one in desk.session.query(Login))


def test_what_changes_something_takes_the_token_of_the_log_in(office: Office) -> None:
    make(office, "wang", "manager")
    one = client(office, "wang")
    assert one.get("/fullspan/v1/me").json()["login"] == "wang" and "traffic.read" in one.get("/fullspan/v1/me").json()["permissions"]
    csrf = one.headers.pop("x-csrf-token")
    assert one.post("/fullspan/v1/logout").status_code == 403
    assert one.post("/fullspan/v1/logout", headers={"x-csrf-token": csrf}).status_code == 204
    assert one.get("/fullspan/v1/me").status_code == 401


def test_a_token_is_good_for_some_roles_for_some_time(office: Office, clock: Clock) -> None:
    made = make(office, "wang", "manager", "provisioning")
    secret, row = office.act(SYSTEM, lambda desk: token.make(desk, made.id, "probe", ["provisioning"], 10))
    header = {"authorization": f"Bearer {secret}"}
    assert of_request(office, header, {}, "POST").roles == {"provisioning"}
    with office.reading() as desk:
        assert secret not in str([vars(one) for one in desk.session.query(ApiToken)])
    office.act(SYSTEM, lambda desk: user.change(desk, made.id, roles=["manager"]))
    assert of_request(office, header, {}, "POST").roles == frozenset()
    clock.forward(days=10)
    with pytest.raises(Refusal, match="token is not valid"):
        of_request(office, header, {}, "GET")
    secret, row = office.act(SYSTEM, lambda desk: token.make(desk, made.id, "probe"))
    header = {"authorization": f"Bearer {secret}"}
    assert of_request(office, header, {}, "GET").roles == {"manager"}
    office.act(SYSTEM, lambda desk: token.revoke(desk, row.id))
    with pytest.raises(Refusal, match="token is not valid"):
        of_request(office, header, {}, "GET")
    for bad in ({"roles": ["auditor"]}, {"days": 0}, {"name": " "}):
        with pytest.raises(Refusal):
            office.act(SYSTEM, lambda desk, bad=bad: token.make(desk, made.id, **{"name": "x", **bad}))      # type: ignore[misc]


def test_a_token_of_fewer_roles_does_not_widen_what_a_customer_sees(office: Office) -> None:
    made = make(office, "shop", "customer", "presales")
    secret, _ = office.act(SYSTEM, lambda desk: token.make(desk, made.id, "x", ["presales"]))
    assert of_request(office, {"authorization": f"Bearer {secret}"}, {}, "GET").outside


def test_users_are_changed_and_the_last_administrator_stays(office: Office) -> None:
    admin = make(office, "admin", "administrator")
    made = make(office, "wang", "manager")
    changed = office.act(SYSTEM, lambda desk: user.change(desk, made.id, 1, roles=["presales"], regions=["贵阳"], own_work=True))
    assert changed.version == 2 and actor_of(changed).limited
    with pytest.raises(Refusal, match="was changed meanwhile"):
        office.act(SYSTEM, lambda desk: user.change(desk, made.id, 1, name="x"))
    for what in ({"roles": ["manager"]}, {"disabled": True}):
        with pytest.raises(Refusal, match="nobody would be administrator"):
            office.act(SYSTEM, lambda desk, what=what: user.change(desk, admin.id, **what))        # type: ignore[misc]
    for what, why in (({"roles": ["king"]}, "is no role"), ({"password": "x"}, "can't be changed"), ({"customers": ["C0"]}, "there is no customer"),
                      ({"email": "nonsense"}, "e-mail"), ({"name": ""}, "name")):
        with pytest.raises(Refusal, match=why):
            office.act(SYSTEM, lambda desk, what=what: user.change(desk, made.id, **what))         # type: ignore[misc, arg-type]
    for given, why in ((("wang", "W", PASSWORD, []), "already"), (("a b", "W", PASSWORD, []), "can't be a log-in"), (("li", "L", "short", []), "characters")):
        with pytest.raises(Refusal, match=why):
            office.act(SYSTEM, lambda desk, given=given: user.make(desk, *given))     # type: ignore[misc, arg-type]


def test_personal_fields_and_secrets_of_users_are_sealed(office: Office) -> None:
    made = make(office, "u1", "manager", email="unmistakable@example.cn")
    office.act(actor_of(made), lambda desk: totp.enrol(desk, made.id))
    with office.reading() as desk:
        for table in ("app_user", "audit"):
            for row in desk.session.execute(text(f"SELECT * FROM {table}")):
                for value in row:
                    assert b"unmistakable" not in (bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode())


PATHS = (("GET", "/fullspan/v1/user", "user.read", 200), ("GET", "/fullspan/v1/user/{id}", "user.read", 200),
         ("POST", "/fullspan/v1/user", "user.write", 201), ("PATCH", "/fullspan/v1/user/{id}", "user.write", 200),
         ("POST", "/fullspan/v1/user/{id}/password", "user.write", 204), ("POST", "/fullspan/v1/user/{id}/unlock", "user.write", 200),
         ("DELETE", "/fullspan/v1/user/{id}/totp", "user.write", 204), ("GET", "/fullspan/v1/user/{id}/token", "user.read", 200),
         ("POST", "/fullspan/v1/user/{id}/token", "user.write", 201), ("DELETE", "/fullspan/v1/user/{id}/token/A0", "user.write", 404),
         ("GET", "/fullspan/v1/audit", "audit.read", 200), ("GET", "/fullspan/v1/audit/check", "audit.read", 200),
         ("GET", "/fullspan/v1/audit?detail=true&reason=ticket+7", "audit.read", 200), ("GET", "/fullspan/v1/me", "", 200))
BODIES = {"/fullspan/v1/user": {"login": "new", "name": "N", "roles": []}, "/fullspan/v1/user/{id}/password": {"password": PASSWORD},
          "/fullspan/v1/user/{id}/token": {"name": "x"}}


def test_who_may_do_what(office: Office) -> None:
    from bss.people.permission import allowed
    target = make(office, "target", "manager")
    asker = client(office)
    for role in ROLES:
        made = make(office, role, role)
        secret, _ = office.act(SYSTEM, lambda desk, made=made: token.make(desk, made.id, "x"))        # type: ignore[misc]
        for method, path, permission, status in PATHS:
            body = {**BODIES.get(path, {}), **({"login": f"new-{role}"} if path == "/fullspan/v1/user" else {})} if method in ("POST", "PATCH") else None
            answer = asker.request(method, path.replace("{id}", target.id), json=body, headers={"authorization": f"Bearer {secret}"})
            wanted = status if not permission or allowed([role], permission) else 403
            if role == "customer" and permission and wanted != 403:
                wanted = 404
            assert answer.status_code == wanted, (role, method, path, answer.text)
    for method, path, *_ in PATHS:
        assert asker.request(method, path.replace("{id}", target.id), json={} if method in ("POST", "PATCH") else None).status_code == 401


def test_the_api_of_users(office: Office) -> None:
    make(office, "admin", "administrator", "manager")
    one = client(office, "admin")
    made = one.post("/fullspan/v1/user", json={"login": "wang", "name": "王小明", "password": PASSWORD, "roles": ["presales"], "email": "wang@example.cn"},
                    headers={"idempotency-key": "k1"})
    again = one.post("/fullspan/v1/user", json={"login": "wang", "name": "王小明", "password": PASSWORD, "roles": ["presales"], "email": "wang@example.cn"},
                     headers={"idempotency-key": "k1"})
    assert made.status_code == again.status_code == 201 and made.json() == again.json() and made.json()["name"] == "王**"
    path = made.headers["location"]
    assert one.get(path).json()["email"] == "w***@example.cn"
    assert one.get(path, params={"unmask": True}).status_code == 400
    shown = one.get(path, params={"unmask": True, "reason": "ticket 7"})
    assert shown.json()["name"] == "王小明" and actions(office)[-1] == "personal.unmask"
    assert one.patch(path, json={"regions": ["贵阳"]}, headers={"if-match": '"1"'}).headers["etag"] == '"2"'
    assert one.patch(path, json={"regions": []}, headers={"if-match": '"1"'}).status_code == 412
    assert [row["login"] for row in one.get("/fullspan/v1/user", params={"role": "presales", "fields": "login"}).json()] == ["wang"]
    for _ in range(2):
        assert one.post(path + "/password", json={"password": PASSWORD}, headers={"idempotency-key": "k2"}).status_code == 204
    assert one.post(path + "/token", json={"name": "x"}).json()["token"].startswith("fsp_")
    row = one.get(path + "/token").json()[0]
    assert "token" not in row and one.delete(row["href"]).status_code == 204 and one.get(path + "/token").json()[0]["revoked"]
    assert one.post("/fullspan/v1/me/password", json={"old": "wrong password", "password": PASSWORD + "2"}).status_code == 401
    assert one.post("/fullspan/v1/me/password", json={"old": PASSWORD, "password": PASSWORD + "2"}).status_code == 204
    assert one.get("/fullspan/v1/me").status_code == 401


def test_the_api_of_the_audit_log(office: Office) -> None:
    make(office, "u", "auditor")
    one = client(office, "u")
    assert [row["action"] for row in one.get("/fullspan/v1/audit").json()] == ["login", "user.create"]
    assert one.get("/fullspan/v1/audit", params={"detail": True}).status_code == 400
    detailed = one.get("/fullspan/v1/audit", params={"detail": True, "reason": "yearly audit", "action": "user.create"}).json()
    assert detailed[0]["detail"]["after"]["name"] == "u Name" and actions(office)[-1] == "audit.read"
    assert one.get("/fullspan/v1/audit", params={"since": "2026-12-01T00:00:00"}).status_code == 400
    assert one.get("/fullspan/v1/audit", params={"until": "2026-12-01T00:00:00Z"}).json() == []
    assert one.get("/fullspan/v1/audit/check").json() == {"rows": 3, "whole": True}


def test_an_own_authenticator_by_the_api(office: Office, clock: Clock) -> None:
    make(office, "wang", "manager")
    one = client(office, "wang")
    assert one.post("/fullspan/v1/me/totp", json={"password": "wrong password"}).status_code == 401
    told = one.post("/fullspan/v1/me/totp", json={"password": PASSWORD}).json()
    code = pyotp.TOTP(told["secret"]).at(clock.now)
    assert one.post("/fullspan/v1/me/totp/confirm", json={"pending": told["pending"], "code": code}).status_code == 204
    assert client(office).post("/fullspan/v1/login", json={"login": "wang", "password": PASSWORD}).json()["referenceError"] == "code"


def test_an_actor_without_permission_does_nothing_to_others(office: Office) -> None:
    made = make(office, "wang", "manager")
    for what in (lambda desk: user.set_password(desk, made.id, PASSWORD), lambda desk: totp.enrol(desk, made.id), lambda desk: totp.remove(desk, made.id),
                 lambda desk: user.unlock(desk, made.id), lambda desk: token.make(desk, made.id, "x"), lambda desk: user.search(desk),
                 lambda desk: audit.search(desk), lambda desk: user.named(desk, "wang")):
        with pytest.raises(Refusal, match="this needs the permission"):
            office.act(Actor("U1", "x", frozenset({"manager"})), what)
