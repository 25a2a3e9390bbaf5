"""Attachments: files that belong to an enquiry, an order, a paper or a contract. What they are is told by their content, not by their name; they are sealed on
disk, written whole or not at all, and each reading of one is on record."""
from __future__ import annotations

import hashlib
import io
import os
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

from sqlalchemy import Select, or_, select

from bss.desk import Desk
from bss.orders.paper import subject_of
from bss.refusal import Refusal
from bss.sealing import ring
from bss.tables import Agreement, Attachment, Customer, Dispatch, Inspection, Paper

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
#: Type -> ends of names that it may have.
TYPES = {"application/pdf": (".pdf",), "image/png": (".png",), "image/jpeg": (".jpg", ".jpeg"), XLSX: (".xlsx",), DOCX: (".docx",),
         "text/plain": (".txt", ".log", ".md"), "text/csv": (".csv",)}
#: What files are attached to -> the permission to see that.
ENTITIES = {"enquiry": "enquiry.read", "product_order": "order.read", "order_item": "order.read", "paper": "paper.read", "agreement": "customer.read",
            "customer": "customer.read", "dispatch": "ticket.read", "inspection": "resource.read"}
#: Those of which who may see the files is told by more than a customer.
SCOPED: dict[str, type[Dispatch] | type[Inspection]] = {"dispatch": Dispatch, "inspection": Inspection}
MOST = 100              # of one thing
ENTRIES = 10_000        # of a packed document


def type_of(content: bytes, name: str) -> str:
    """The type of a file by its content. Refusal: it is of none that is taken, or its name says another."""
    end = Path(name).suffix.lower()
    found = _sniffed(content)
    if found == "text":
        found = "text/csv" if end == ".csv" else "text/plain"
    if found not in TYPES:
        raise Refusal("invalid", "files of this type are not taken", "attachment", "taken are pdf, png, jpeg, xlsx, docx, txt and csv")
    if end not in TYPES[found]:
        raise Refusal("invalid", f"its content is {found}, and its name ends with {end or 'nothing'}", "attachment", f"name it {' or '.join(TYPES[found])}")
    return found


def _sniffed(content: bytes) -> str:
    if content.startswith(b"%PDF-1.") or content.startswith(b"%PDF-2."):
        return "application/pdf"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith(b"PK\x03\x04"):
        return _packed(content)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        try:
            text = content.decode("gb18030")
        except UnicodeDecodeError:
            return ""
    return "" if any(unicodedata.category(one) == "Cc" and one not in "\t\r\n" for one in text) else "text"


def _packed(content: bytes) -> str:
    """xlsx and docx are archives; one with a program in it is neither."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return ""
    if len(names) > ENTRIES or "[Content_Types].xml" not in names or any(one.lower().endswith((".bin", ".exe", ".js", ".vbs")) for one in names):
        return ""
    return XLSX if "xl/workbook.xml" in names else DOCX if "word/document.xml" in names else ""


def attach(desk: Desk, entity: str, entity_id: str, name: str, content: bytes) -> Attachment:
    """Keep a file. Refusal: its type or size, or nothing of that id is there for who acts."""
    desk.demand("attachment.write")
    most = desk.office.settings.attachment_mb
    if len(content) > most << 20:
        raise Refusal("large", f"it has {len(content) / 2 ** 20:.1f} MB, and {most} are taken", "attachment", "make it smaller, or split it")
    if not content:
        raise Refusal("invalid", "it is empty", "attachment")
    name = Path(unicodedata.normalize("NFC", name).replace("\\", "/")).name.strip()
    if not name or len(name) > 200 or any(unicodedata.category(one).startswith("C") for one in name):
        raise Refusal("invalid", "its name is empty, longer than 200 letters or not printable", "name", "give it a name")
    customer_id = _owner_of(desk, entity, entity_id)
    media = type_of(content, name)
    if len(desk.session.execute(desk.select(Attachment).where(Attachment.entity_id == entity_id).limit(MOST)).all()) >= MOST:
        raise Refusal("large", f"{MOST} files are attached to it already", f"{entity} {entity_id}")
    row = desk.add(Attachment(entity=entity, entity_id=entity_id, customer_id=customer_id, name=name, media_type=media, size=len(content),
                              digest=hashlib.sha256(content).hexdigest(), time=desk.now, user_id=desk.actor.id or None))
    desk.record("attachment.add", row, after={"name": name, "type": media, "size": row.size, "digest": row.digest, "of": entity_id})
    desk.emit("attachment.create", row.id, {"id": row.id, "of": entity_id, "type": media, "size": row.size})
    _store(path_of(desk, row.id), ring().seal(content))
    return row


def _owner_of(desk: Desk, entity: str, entity_id: str) -> str | None:
    """The customer that the thing belongs to, by which it is told who may see the file."""
    if entity not in ENTITIES:
        raise Refusal("invalid", f"files are attached to one of {', '.join(ENTITIES)}", "entity")
    desk.demand(ENTITIES[entity])
    if entity == "paper":
        return desk.find(Paper, entity_id).customer_id
    if entity == "agreement":
        return desk.find(Agreement, entity_id).customer_id
    if entity == "customer":
        return desk.find(Customer, entity_id).id
    if entity == "dispatch":
        return desk.find(Dispatch, entity_id).customer_id
    if entity == "inspection":
        desk.find(Inspection, entity_id)
        return None
    return subject_of(desk, entity, entity_id).customer_id


def path_of(desk: Desk, key: str) -> Path:
    """Where the sealed file of an attachment lies."""
    return Path(desk.office.settings.attachments) / key[-2:] / f"{key}.sealed"


def _store(path: Path, sealed: bytes) -> None:
    """Whole or not at all: written beside, put on disk, renamed. A file whose act is undone after that lies there without a row, and says nothing."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_suffix(".part")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(sealed)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def find(desk: Desk, attachment_id: str) -> Attachment:
    """What is known of one. Refusal: what it is attached to is not for who acts."""
    desk.demand("attachment.read")
    known = desk.session.get(Attachment, attachment_id)
    if known is not None and known.entity in SCOPED:
        desk.demand(ENTITIES[known.entity])
        desk.find(SCOPED[known.entity], known.entity_id)
        return known
    row = desk.find(Attachment, attachment_id)
    desk.demand(ENTITIES[row.entity])
    return row


def read(desk: Desk, attachment_id: str, reason: str = "") -> tuple[Attachment, bytes]:
    """A file and what is in it; put on record. Refusal `away`: it is gone from the disk, or was changed there."""
    row = find(desk, attachment_id)
    path = path_of(desk, row.id)
    try:
        content = ring().open(path.read_bytes())
    except FileNotFoundError:
        raise Refusal("away", "its file is not there", f"attachment {row.id}", "restore the folder of attachments from the backup") from None
    if hashlib.sha256(content).hexdigest() != row.digest:
        raise Refusal("away", "its file is another one's", f"attachment {row.id}", "restore the folder of attachments from the backup")
    desk.record("attachment.read", row, reason=reason)
    return row, content


def listed(desk: Desk, entity_id: str = "") -> Select[tuple[Attachment]]:
    """A query of attachments, the newest first."""
    desk.demand("attachment.read")
    limits: list[Any] = [Attachment.id.in_(desk.select(Attachment).with_only_columns(Attachment.id).where(
        Attachment.entity.in_([name for name, permission in ENTITIES.items() if name not in SCOPED and desk.may(permission)])))]
    limits += [(Attachment.entity == name) & Attachment.entity_id.in_(desk.select(table).with_only_columns(table.id)) for name, table in SCOPED.items()
               if desk.may(ENTITIES[name])]
    query: Any = select(Attachment).where(or_(*limits))
    found: Select[tuple[Attachment]] = (query.where(Attachment.entity_id == entity_id) if entity_id else query).order_by(
        Attachment.time.desc(), Attachment.id.desc())
    return found
