"""The bindings file that the probe follows: written whole after each change, and again by the worker where that failed or was done on another machine.

Ids alone leave the database here: `service_id` and `customer_id`, no name. Lines that have ended stay for 35 days, for traffic that is stored late. The probe
looks at the file twice a second (docs/identity.md).
"""
from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import logging
import os
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import or_, select, update

from bss.desk import Desk
from bss.refusal import Refusal
from bss.tables import Binding, ExportMark, Service

if TYPE_CHECKING:
    from bss.office import Office

log = logging.getLogger(__name__)
COLUMNS = ("service_id", "customer_id", "prefix", "vlan", "inner_vlan", "mac", "user", "circuit", "valid_from", "valid_to", "probe", "interface")
KEPT = timedelta(days=35)
_written: dict[str, tuple[int, datetime]] = {}       # path -> the version that this process wrote last, and when
_turn = threading.Lock()


class Written(NamedTuple):
    """What became of the file."""
    path: str
    lines: int
    version: int
    changed: bool


def changed(desk: Desk) -> None:
    """Say that bindings, or whose services are, have changed: the file follows once the act is committed."""
    desk.session.flush()
    desk.session.execute(update(ExportMark).where(ExportMark.id == 1).values(version=ExportMark.version + 1))
    desk.after["bindings"] = partial(_follow, desk.office)


def _follow(office: Office) -> None:
    try:
        write(office)
    except Exception:           # what was done is committed and stays; the worker tries again
        log.exception("the bindings file was not written")


def keep(office: Office, argument: Mapping[str, Any]) -> None:
    """Duty: write the file where it is behind, or a day old (lines that ended long ago leave it)."""
    write(office)


def write(office: Office, always: bool = False) -> Written:
    """Write the file if it is not as the database is. Refusal `away`: it can't be written."""
    path = Path(office.settings.bindings)
    try:
        with _turn, open(os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600), "rb") as lock:
            # one at a time, of all processes of this machine, from reading to renaming: what was read first never replaces what was read later
            fcntl.flock(lock, fcntl.LOCK_EX)
            with office.reading() as desk:
                version = desk.session.execute(select(ExportMark.version).where(ExportMark.id == 1)).scalar_one()
                known = _written.get(str(path))
                if not always and known is not None and known[0] == version and desk.now - known[1] < timedelta(days=1) and path.exists():
                    return Written(str(path), -1, version, False)
                text, lines = _text(desk)
                now = desk.now
            same = _digest(path) == hashlib.sha256(text).digest() and path.stat().st_mode & 0o777 == 0o600
            if not same:
                _replace(path, text)
            _written[str(path)] = version, now
            return Written(str(path), lines, version, not same)
    except OSError as error:
        raise Refusal("away", f"the bindings file can't be written: {error.strerror}", str(path), "make its directory writable") from None


def _text(desk: Desk) -> tuple[bytes, int]:
    """The file, and how many lines it has beside its header. In one order, so that it differs only where bindings do."""
    b: Any = Binding.__table__.c
    query = (select(b.service_id, Service.customer_id, b.prefix, b.vlan, b.inner_vlan, b.mac, b.user_name, b.circuit, b.valid_from, b.valid_to, b.probe,
                    b.interface).join(Service, Service.id == b.service_id)
             .where(b.withdrawn.is_(None), or_(b.valid_to.is_(None), b.valid_to > desk.now - KEPT)).order_by(b.key, b.valid_from, b.id))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    lines = 0
    for row in desk.session.execute(query):
        writer.writerow(["" if one is None else one.isoformat().replace("+00:00", "Z") if isinstance(one, datetime) else one for one in row])
        lines += 1
    return out.getvalue().encode(), lines


def _digest(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except FileNotFoundError:
        return b""


def _replace(path: Path, text: bytes) -> None:
    beside = path.with_name(f".{path.name}.part")         # one name, for one writes at a time: what a killed writer left is taken away here
    beside.unlink(missing_ok=True)
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
