"""Keys are rotated, the office is copied away and put back, and the commands that do it."""
from __future__ import annotations

import gzip
import io
import json
import os
import socket
import sqlite3
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest
from click.testing import CliRunner
from sqlalchemy import create_engine, text

from bss import audit
from bss.cli import command
from bss.keeping import backup, keys, restoring
from bss.office import Office
from bss.people import user
from bss.people.scope import SYSTEM, Actor
from bss.refusal import Refusal
from bss.sealing import Ring, ring
from bss.settings import Settings
from bss.tables import Contact, Party, User
from tests.bss import deeds, killing

pytestmark = pytest.mark.both

SECRET = "王小明-unmistakable"


def fill(office: Office, count: int = 3) -> None:
    def make(desk: Any) -> None:
        for n in range(count):
            party = desk.add(Party(kind="individual", name=f"{SECRET} {n}", legal_id=None if n % 2 else f"id {n}", created=desk.now))
            desk.add(Contact(party_id=party.id, medium="phone", value=f"phone {n}"))
            desk.record("party.create", party, after={"name": party.name})

    office.act(SYSTEM, make)
    folder = Path(office.settings.attachments)
    folder.mkdir(exist_ok=True)
    (folder / "X1").write_bytes(ring().seal(b"contract of unmistakable"))


def elsewhere(settings: Settings, folder: Path, request: pytest.FixtureRequest) -> Settings:
    """Settings of another place of the same kind."""
    folder.mkdir()
    given = {"keys": str(folder / "bss.keys"), "attachments": str(folder / "attachments")}
    if settings.database.startswith("sqlite"):
        return settings.model_copy(update={**given, "database": f"sqlite:///{folder / 'bss.db'}"})
    server, name = request.getfixturevalue("postgresql"), f"r{os.urandom(6).hex()}"
    engine = create_engine(server + "postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return settings.model_copy(update={**given, "database": server + name})


def test_everything_is_sealed_anew_and_the_old_key_can_go(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LOT", 10)
    fill(office, 24)
    office.act(SYSTEM, lambda desk: user.make(desk, "wang", "Wang", None, ["manager"], email="wang@example.cn"))
    with office.reading() as desk:
        before = keys.used(desk)
    assert before[1] == {"party.name": 24, "party.legal_id": 12, "contact.value": 24, "app_user.name": 1, "app_user.email": 1, "audit.detail": 25,
                         "attachments": 1}
    number = office.act(SYSTEM, keys.rotate)
    told: list[tuple[str, int]] = []
    assert keys.reseal(office, SYSTEM, lambda name, done: told.append((name, done))) == 63
    assert [done for name, done in told if name == "contact"] == [10, 20, 24]
    with office.reading() as desk:
        after = keys.used(desk)
        assert after[1] == {"audit.detail": 25} and after[number]["party.name"] == 24 and audit.check(desk.session) == 27
        assert {one.name for one in desk.session.query(Party)} == {f"{SECRET} {n}" for n in range(24)}
    assert ring().open(Path(office.settings.attachments, "X1").read_bytes()) == b"contract of unmistakable"
    with pytest.raises(Refusal, match="a moment ago"):
        office.act(SYSTEM, lambda desk: keys.drop(desk, 1))
    with pytest.raises(Refusal, match="25 of audit.detail"):
        office.act(SYSTEM, lambda desk: keys.drop(desk, 1, now=True))
    spare = office.act(SYSTEM, keys.rotate)
    assert keys.reseal(office, SYSTEM) == 63
    with pytest.raises(Refusal, match="is in force"):
        office.act(SYSTEM, lambda desk: keys.drop(desk, spare, now=True))
    with pytest.raises(Refusal, match="1 of audit.detail"):
        office.act(SYSTEM, lambda desk: keys.drop(desk, number, now=True))
    with pytest.raises(Refusal, match="this needs the permission"):
        office.act(Actor("U1", "x", frozenset({"manager"})), keys.rotate)


def test_a_key_that_nothing_needs_goes(office: Office) -> None:
    number = office.act(SYSTEM, keys.rotate)
    office.act(SYSTEM, lambda desk: keys.drop(desk, 1, now=True))
    assert set(Ring.read(Path(office.settings.keys)).keys) == {number}


def test_sealing_anew_is_stopped_and_resumed(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LOT", 10)
    fill(office, 24)
    office.act(SYSTEM, keys.rotate)

    def stop(name: str, done: int) -> None:
        if name == "contact" and done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keys.reseal(office, SYSTEM, stop)
    with office.reading() as desk:
        assert 0 < keys.used(desk)[1]["contact.value"] < 24
        assert desk.session.query(Contact).count() == len({one.value for one in desk.session.query(Contact)})
    keys.reseal(office, SYSTEM)
    with office.reading() as desk:
        assert keys.used(desk)[1] == {"audit.detail": 24}


def test_what_is_changed_meanwhile_is_not_undone(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    if office.database.lite:
        pytest.skip("SQLite has one writer at a time")
    fill(office, 1)
    office.act(SYSTEM, keys.rotate)
    real = Ring.open

    def opened(self: Ring, sealed: bytes) -> bytes:
        """Between the reading of a value and its writing somebody else changes it."""
        monkeypatch.setattr(Ring, "open", real)
        with office.writing() as desk:
            desk.session.query(Party).one().name = "another name"
        return real(self, sealed)

    monkeypatch.setattr(Ring, "open", opened)
    keys.reseal(office, SYSTEM)
    with office.reading() as desk:
        assert desk.session.query(Party).one().name == "another name"


def test_others_that_run_follow_a_rotation(office: Office) -> None:
    """This process sees a key file that another one has written."""
    fill(office)
    made = Ring.read(Path(office.settings.keys)).rotated()
    time.sleep(0.01)
    made.write(Path(office.settings.keys))
    fill(office)
    with office.reading() as desk:
        assert set(keys.used(desk)[2]) >= {"party.name"} and desk.session.query(Party).count() == len([one.name for one in desk.session.query(Party)])


def test_a_backup_is_put_back(office: Office, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    fill(office)
    told = backup.make(office, SYSTEM, tmp_path / "b.tar.gz", tmp_path / "b.keys")
    assert told["attachments"] == 1 and (tmp_path / "b.tar.gz").stat().st_mode & 0o077 == 0 == (tmp_path / "b.keys").stat().st_mode & 0o077
    for again in ((tmp_path / "b.tar.gz", None), (tmp_path / "c.tar.gz", tmp_path / "b.keys")):
        with pytest.raises(Refusal, match="is there already"):
            backup.make(office, SYSTEM, *again)
    other = elsewhere(office.settings, tmp_path / "there", request)
    with pytest.raises(Refusal, match="no key file"):
        restoring.restore(other, tmp_path / "b.tar.gz")
    found = restoring.restore(other, tmp_path / "b.tar.gz", tmp_path / "b.keys")
    assert found["audit_rows"] == 3
    restored = Office(other)
    with restored.reading() as desk:
        assert sorted(one.name for one in desk.session.query(Party)) == [f"{SECRET} {n}" for n in range(3)]
        assert audit.check(desk.session) == 4
        with pytest.raises(Exception, match="append-only"):
            desk.session.execute(text("DELETE FROM audit"))
    assert ring().open(Path(other.attachments, "X1").read_bytes()) == b"contract of unmistakable"
    deeds.customer(restored, 1)
    restored.close()
    for what in (other, other.model_copy(update={"attachments": str(tmp_path / "nowhere")})):
        with pytest.raises(Refusal, match="already"):
            restoring.restore(what, tmp_path / "b.tar.gz")
    assert not [one.name for one in tmp_path.glob("*/.restore*")] and not list(tmp_path.glob(".backup*"))


def test_a_backup_alone_is_unreadable(office: Office, tmp_path: Path) -> None:
    fill(office)
    backup.make(office, SYSTEM, tmp_path / "b.tar.gz")
    content = gzip.decompress((tmp_path / "b.tar.gz").read_bytes())
    if not office.database.lite:
        with tarfile.open(tmp_path / "b.tar.gz") as tar:
            tar.extract("database", tmp_path, filter="data")
        content += subprocess.run(["pg_restore", "-f", "-", tmp_path / "database"], capture_output=True, check=True).stdout
        assert b"COPY public.party" in content
    assert b"unmistakable" not in content and b"unmistakable".hex().encode() not in content and Ring.read(Path(office.settings.keys)).keys[1] not in content


@pytest.mark.parametrize("damage", ["cut", "byte", "edited", "foreign", "ring", "not a backup"])
def test_a_damaged_backup_is_refused_and_nothing_is_left(office: Office, tmp_path: Path, request: pytest.FixtureRequest, damage: str) -> None:
    fill(office)
    file, ringed = tmp_path / "b.tar.gz", tmp_path / "b.keys"
    backup.make(office, SYSTEM, file, ringed)
    content = file.read_bytes()
    if damage == "cut":
        file.write_bytes(content[:len(content) // 2])
    elif damage == "byte":
        file.write_bytes(gzip.compress(gzip.decompress(content).replace(b"attachments/X1\0", b"attachments/X2\0")))
    elif damage in ("edited", "foreign"):
        with tarfile.open(file) as tar:
            parts = {one.name: tar.extractfile(one).read() for one in tar}           # type: ignore[union-attr]
        if damage == "edited":          # consistently, as somebody without the ring could
            parts["attachments/X1"] = b"\0\1forged"
            told = json.loads(parts["list.json"])
            told["files"]["attachments/X1"] = list(backup.measure(io.BytesIO(parts["attachments/X1"])))
            parts["list.json"] = json.dumps(told).encode()
        else:
            parts["attachments/../../evil"] = b"x"
        with tarfile.open(file, "w:gz") as tar:
            for name, part in parts.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(part)
                tar.addfile(entry, io.BytesIO(part))
    elif damage == "ring":
        Ring.fresh().write(tmp_path / "other.keys")
        ringed = tmp_path / "other.keys"
    else:
        file.write_bytes(b"hello")
    other = elsewhere(office.settings, tmp_path / "there", request)
    with pytest.raises(Refusal) as refused:
        restoring.restore(other, file, ringed)
    assert refused.value.kind == "invalid" and not list((tmp_path / "there").iterdir()) and not (tmp_path / "evil").exists()
    if not other.database.startswith("sqlite"):
        engine = create_engine(other.database)
        with engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")).scalar() == 0
        engine.dispose()


def test_a_backup_of_an_edited_audit_log_is_refused(office: Office, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    fill(office)
    with office.writing() as desk:
        desk.session.execute(text("DROP TRIGGER audit_no_update" if office.database.lite else "ALTER TABLE audit DISABLE TRIGGER ALL"))
        desk.session.execute(text("UPDATE audit SET actor = 'y' WHERE number = 2"))
    backup.make(office, SYSTEM, tmp_path / "b.tar.gz", tmp_path / "b.keys")
    other = elsewhere(office.settings, tmp_path / "there", request)
    with pytest.raises(Refusal, match="row 2 of the audit log"):
        restoring.restore(other, tmp_path / "b.tar.gz", tmp_path / "b.keys")
    assert restoring.restore(other, tmp_path / "b.tar.gz", tmp_path / "b.keys", unchecked=True)["audit_rows"] is None


@pytest.fixture
def cli(settings: Settings, tmp_path: Path) -> Any:
    """A command line of an office of its own."""
    file = tmp_path / "bss.toml"
    file.write_text(f'database = "{settings.database}"\nkeys = "bss.keys"\nattachments = "attachments"\n')

    def run(*arguments: str, code: int = 0, text: str | None = None) -> Any:
        found = CliRunner().invoke(command, ["--config", str(file), *arguments], input=text, catch_exceptions=False)
        assert found.exit_code == code, found.output
        return json.loads(found.stdout) if "--json" in arguments and code == 0 else found.output

    run("init", "--password", "short", code=2)
    run("init", "--password", "correct horse battery")
    return run


def test_users_and_tokens_on_the_command_line(cli: Any) -> None:
    made = cli("user", "add", "wang", "--name", "王小明", "--email", "wang@example.cn", "--role", "presales", "--region", "贵阳",
               "--password", "correct horse 2", "--json")
    assert made[0]["name"] == "王**" and made[0]["roles"] == "presales"
    assert cli("user", "change", "wang", "--role", "manager", "--all-regions", "--own-work", "--json")[0] | {"id": ""} == made[0] | {
        "id": "", "roles": "manager", "regions": "", "own_work": True}
    assert "there is no user" in cli("user", "change", "li", "--name", "x", code=2)
    assert [one["login"] for one in cli("user", "list", "--json")] == ["admin", "wang"]
    assert cli("user", "list", "--role", "manager", "--unmask", "ticket 7", "--json")[0]["name"] == "王小明"
    assert cli("user", "disable", "wang", "--json")[0]["disabled"] and not cli("user", "disable", "wang", "--undo", "--json")[0]["disabled"]
    assert "nobody would be administrator" in cli("user", "disable", "admin", code=2)
    cli("user", "password", "wang", text="correct horse 3\ncorrect horse 3\n")
    token = cli("token", "make", "wang", "--name", "probe", "--role", "manager", "--json")[0]
    assert "has no role" in cli("token", "make", "wang", "--name", "x", "--role", "auditor", code=2)
    listed = cli("token", "list", "--user", "wang", "--json")
    assert token["token"] not in str(listed) and listed[0]["id"] == token["id"] and cli("token", "revoke", token["id"], "--json")[0]["revoked"]
    assert "this needs the permission" in cli("--as", "wang", "user", "list", code=2)
    shown = cli("audit", "show", "--detail", "yearly", "--actor", "system", "--json")
    assert shown[0]["action"] == "token.revoke" and any("王小明" in str(one.get("detail")) for one in shown)
    assert cli("audit", "check", "--json")["whole"] and "as they were written" in cli("audit", "check")


def test_an_authenticator_on_the_command_line(cli: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    import click
    given: list[str] = []
    monkeypatch.setattr(click, "echo", lambda message=None, err=False, **_: given.append(str(message)))
    monkeypatch.setattr(click, "prompt", lambda *_, **__: pyotp.TOTP(given[-1].split()[1]).now())
    cli("user", "totp", "admin")
    office = Office(settings)
    with office.reading() as desk:
        assert desk.session.query(User).one().totp == given[0].split()[1]
    office.close()


def test_keys_backup_and_jobs_on_the_command_line(cli: Any, tmp_path: Path) -> None:
    assert cli("keys", "list", "--json")[0]["of"] == {"app_user.name": 1, "audit.detail": 1}
    assert cli("keys", "rotate", "--json") == {"key": 2, "resealed": 1} and cli("keys", "rotate", "--resume", "--json")["resealed"] == 0
    assert "is needed by 1 of audit.detail" in cli("keys", "drop", "1", "--now", code=2)
    told = cli("backup", str(tmp_path / "b.tar.gz"), "--keys", str(tmp_path / "b.keys"), "--json")
    assert told["attachments"] == 0 and "there already" in cli("backup", str(tmp_path / "b.tar.gz"), code=2)
    assert "already" in cli("restore", str(tmp_path / "b.tar.gz"), code=2)
    assert cli("worker", "--once", "--json")["jobs"] >= 1
    tidy = next(one for one in cli("job", "list", "--json") if one["kind"] == "tidy")
    assert tidy["done"] and "is done" in cli("job", "again", tidy["id"], code=2)
    assert "passwords would go over the network" in cli("serve", "--host", "0.0.0.0", code=2)


def test_the_copy_is_consistent_while_others_write(office: Office, tmp_path: Path) -> None:
    if not office.database.lite:
        pytest.skip("pg_dump reads one snapshot")
    import threading
    begun, stop = threading.Event(), threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            deeds.customer(office, n)
            begun.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert begun.wait(60)
    backup._copy(office, tmp_path / "copy")
    stop.set()
    thread.join()
    with sqlite3.connect(tmp_path / "copy") as copy:
        customers, rows = copy.execute("SELECT (SELECT count(*) FROM customer), (SELECT count(*) FROM audit)").fetchone()
        assert customers == rows > 0
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    copy.close()


def test_the_server_serves_and_stops(cli: Any, settings: Settings, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = subprocess.Popen([sys.executable, "-c", "from bss.cli import command; command()", "--config", tmp_path / "bss.toml", "serve", "--port", str(port),
                                "--json"], env={**os.environ, "PYTHONPATH": str(killing.ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert running.stdout and json.loads(running.stdout.readline()) == {"url": f"http://127.0.0.1:{port}/"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", transport=httpx.HTTPTransport(retries=5), timeout=60) as client:
            for _ in range(600):
                try:
                    assert client.get("/fullspan/v1/me").status_code == 401
                    break
                except httpx.ConnectError:
                    time.sleep(0.05)
            told = client.post("/fullspan/v1/login", json={"login": "admin", "password": "correct horse battery"}).json()
            assert client.get("/fullspan/v1/user").json()[0]["login"] == "admin" and client.get("/tmf-api/openapi.json").status_code == 200
            assert client.get("/fullspan/v1/user", params={"login": "\0"}).status_code in (200, 400)
            assert client.post("/fullspan/v1/logout", headers={"x-csrf-token": told["csrf"]}).status_code == 204
    finally:
        running.terminate()
    _, error = running.communicate(timeout=60)
    assert "Traceback" not in error, error
