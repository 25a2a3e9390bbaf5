"""A backup is put back: into a place where nothing is, after every digest, the signature and the chain of the audit log were found as they should be."""
from __future__ import annotations

import contextlib
import hmac
import json
import os
import re
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import Any

from sqlalchemy import inspect, make_url, text

from bss import audit
from bss.database import Database
from bss.keeping import postgresql
from bss.keeping.backup import DATABASE, FILES, FORM, LIST, measure, signature
from bss.office import Office
from bss.people.scope import SYSTEM
from bss.refusal import Refusal
from bss.sealing import Ring, install
from bss.settings import Settings

_NAME = re.compile(rf"{DATABASE}|{LIST}|{FILES}(/(?!\.)[\w.-]+)+")
LARGEST = 64 << 20          # bytes of a list


def restore(settings: Settings, source: Path, keys: Path | None = None, unchecked: bool = False) -> dict[str, Any]:
    """Put a backup into the database, folder and key file of the settings; what it was. unchecked: also where the chain of its audit log is broken. Refusal:
    there is something already, or the backup is damaged or was edited."""
    ring = Ring.read(keys or Path(settings.keys))
    if keys is not None and Path(settings.keys).exists() and Ring.read(Path(settings.keys)).json() != ring.json():
        raise Refusal("conflict", "there is another key file already", settings.keys, "move it away")
    database = Database(settings.database)
    try:
        _empty(settings, database)
        beside = Path(settings.attachments).resolve().parent
        beside.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".restore-", dir=beside))
        try:
            told = _unpack(source, folder, ring, database.lite)
            rows = _install(settings, database, folder, unchecked)
            if (folder / FILES).is_dir():
                with contextlib.suppress(OSError):
                    Path(settings.attachments).rmdir()          # an empty one
                os.rename(folder / FILES, settings.attachments)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        database.close()
    if not Path(settings.keys).exists():
        Path(settings.keys).parent.mkdir(parents=True, exist_ok=True)
        ring.write(Path(settings.keys))
    install(ring, Path(settings.keys))
    with contextlib.suppress(Refusal):          # of an earlier version: `fullspan bss upgrade` comes first
        office = Office(settings)
        office.act(SYSTEM, lambda desk: desk.record("restore", ("backup", told["time"])))
        office.close()
    return {"time": told["time"], "version": told["version"], "attachments": len(told["files"]) - 1, "audit_rows": rows}


def _empty(settings: Settings, database: Database) -> None:
    folder = Path(settings.attachments)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refusal("conflict", "there are attachments already", str(folder), "name another folder, or move them away")
    if database.lite:
        path = Path(make_url(settings.database).database or "")
        for one in (path, path.with_name(path.name + "-wal")):
            if one.exists():
                raise Refusal("conflict", "the database is there already", str(one), "name another, or move it away")
        path.parent.mkdir(parents=True, exist_ok=True)
        return
    database.reach()
    if inspect(database.engine).get_table_names():
        raise Refusal("conflict", "the database has tables already", settings.database.split("@")[-1], "name an empty one")


def _unpack(source: Path, folder: Path, ring: Ring, lite: bool) -> dict[str, Any]:
    """Everything of the file beside where it is to be; the list, when everything was found to be as it says."""
    found: dict[str, list[Any]] = {}
    told: dict[str, Any] = {}
    try:
        with tarfile.open(source, "r:gz") as tar:
            for entry in tar:
                if not entry.isfile() or not _NAME.fullmatch(entry.name) or ".." in entry.name.split("/"):
                    raise Refusal("invalid", f"there is {entry.name[:100]!r} in it, which is of no backup", str(source), "use a backup of ours")
                file = tar.extractfile(entry)
                assert file is not None
                if entry.name == LIST:
                    told = json.loads(file.read(LARGEST))
                    continue
                path = folder / entry.name
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as copy:
                    shutil.copyfileobj(file, copy, 1 << 20)
                with open(path, "rb") as copied:
                    found[entry.name] = list(measure(copied))
    except (OSError, EOFError, tarfile.TarError, zlib.error, ValueError) as error:
        raise Refusal("invalid", f"the backup can't be read: {error}", str(source), "use another copy of it") from None
    if told.get("form") != FORM:
        raise Refusal("invalid", "the backup has no list, or is of another program", str(source), "use another copy of it")
    if not hmac.compare_digest(str(told.get("signature")), signature(ring, told)):
        raise Refusal("invalid", "the backup was made with another ring of keys, or was edited", str(source),
                      "name the key file that was written with it: --keys")
    differing = sorted(name for name in found.keys() | told["files"].keys() if found.get(name) != told["files"].get(name))
    if differing:
        raise Refusal("invalid", f"{differing[0]} is not as it was written", str(source), "use another copy of it")
    if missing := set(told["keys"]) - ring.keys.keys():
        raise Refusal("invalid", f"key {min(missing)} is not in the ring", str(source), "name the key file that was written with it: --keys")
    if told["kind"] != ("sqlite" if lite else "postgresql"):
        raise Refusal("invalid", f"the backup is of {told['kind']}", str(source), "name a database of that kind")
    return told


def _install(settings: Settings, database: Database, folder: Path, unchecked: bool) -> int | None:
    """Put the database in its place, after a look at the audit log; how many rows it has, None where it was not whole."""
    if database.lite:
        staged = Database(f"sqlite:///{folder / DATABASE}")
        try:
            rows = _chain(staged, unchecked)
        finally:
            staged.close()
        os.rename(folder / DATABASE, make_url(settings.database).database or "")
        return rows
    postgresql.restore(settings.database, folder / DATABASE)
    try:
        return _chain(database, unchecked)
    except Refusal:
        with database.engine.begin() as connection:         # it was empty before
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        raise


def _chain(database: Database, unchecked: bool) -> int | None:
    with database.session() as session:
        try:
            return audit.check(session)
        except Refusal:
            if not unchecked:
                raise
            return None
