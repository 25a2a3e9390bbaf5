"""A backup: one file (tar, gzip) with a consistent copy of the database, the attachments as they lie, and a list of both with their SHA-256.

What is personal in it is sealed as in the office. The ring of keys is not in it: it goes into a file of its own, to be kept elsewhere; who finds the backup
alone can read no name. The list is signed with the ring, so that a backup that was edited is told from one that was not.
"""
from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from bss.keeping import postgresql
from bss.migrations import current
from bss.moment import iso
from bss.office import Office
from bss.people.scope import Actor
from bss.refusal import Refusal
from bss.sealing import Ring

FORM = "fullspan bss backup 1"
DATABASE, LIST, FILES = "database", "list.json", "attachments"


def make(office: Office, actor: Actor, target: Path, keys: Path | None = None) -> dict[str, Any]:
    """Write a backup, and the ring into a second file; what is in it. Neither replaces a file."""
    office.act(actor, lambda desk: desk.demand("system.run"))
    for one in (target, keys):
        if one is not None and one.exists():
            raise Refusal("conflict", "the file is there already", str(one), "name another")
        if one is not None and not one.resolve().parent.is_dir():
            raise Refusal("invalid", "the folder is not there", str(one), "make it")
    beside = target.with_name(target.name + ".part")
    with _scratch(target.resolve().parent) as folder:
        try:
            told = _write(office, beside, folder / DATABASE)
            if keys is not None:
                office.ring.write(keys)
            os.rename(beside, target)
        finally:
            beside.unlink(missing_ok=True)
    office.act(actor, lambda desk: desk.record("backup", ("backup", told["time"]), after={"files": len(told["files"]), "keys": keys is not None}))
    return {"file": str(target), "bytes": target.stat().st_size, "keys": str(keys) if keys else None, "version": told["version"], "time": told["time"],
            "attachments": len(told["files"]) - 1}


def signature(ring: Ring, told: dict[str, Any]) -> str:
    """Of a list, by who has the ring."""
    return ring.digest("backup", json.dumps({name: value for name, value in told.items() if name != "signature"}, sort_keys=True)).hex()


def _write(office: Office, target: Path, copy: Path) -> dict[str, Any]:
    told: dict[str, Any] = {"form": FORM, "time": iso(office.clock()), "kind": "sqlite" if office.database.lite else "postgresql",
                            "version": current(office.database.engine)[0], "keys": sorted(office.ring.keys), "files": {}}
    # the database first: an attachment is there before the row that tells of it
    _copy(office, copy)
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        with tarfile.open(fileobj=file, mode="w:gz", compresslevel=6) as tar:
            _add(tar, copy, DATABASE, told)
            copy.unlink()
            folder = Path(office.settings.attachments)
            for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
                if path.is_file() and not path.name.endswith(".part"):
                    _add(tar, path, f"{FILES}/{path.relative_to(folder)}", told)
            told["signature"] = signature(office.ring, told)
            text = json.dumps(told, indent=1).encode()
            entry = tarfile.TarInfo(LIST)
            entry.size, entry.mode = len(text), 0o600
            tar.addfile(entry, io.BytesIO(text))
        file.flush()
        os.fsync(file.fileno())
    return told


def _copy(office: Office, target: Path) -> None:
    if not office.database.lite:
        postgresql.dump(office.settings.database, target)
        return
    with contextlib.closing(sqlite3.connect(office.database.engine.url.database or "")) as source, contextlib.closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")        # one file, whole by itself


def _add(tar: tarfile.TarFile, path: Path, name: str, told: dict[str, Any]) -> None:
    with open(path, "rb") as file:          # read from what is open: the name may be given to another file meanwhile
        size, digest = measure(file)
        file.seek(0)
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = size, 0o600
        tar.addfile(entry, file)
    told["files"][name] = [size, digest]


def measure(file: IO[bytes]) -> tuple[int, str]:
    """Bytes of a file, and their SHA-256."""
    size, digest = 0, hashlib.sha256()
    while part := file.read(1 << 20):
        size += len(part)
        digest.update(part)
    return size, digest.hexdigest()


@contextlib.contextmanager
def _scratch(beside: Path) -> Iterator[Path]:
    """A folder of our own, which is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=".backup-", dir=beside))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
