"""What was done (audit), what others are to be told (outbox), what is to be done (jobs), what was asked before (idempotency), what was brought in (imports)."""
from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from bss.database import Table
from bss.sealing import Sealed

_Number = BigInteger().with_variant(Integer, "sqlite")


class AuditRow(Table):
    """One act, in a chain: hash = SHA-256 of the row and the hash before it (audit.py). detail: JSON, personal values sealed."""
    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_entity", "entity", "entity_id"), Index("ix_audit_actor_time", "actor", "time"))
    number: Mapped[int] = mapped_column(_Number, primary_key=True, autoincrement=False)
    time: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(100))
    action: Mapped[str] = mapped_column(String(64))
    entity: Mapped[str] = mapped_column(String(16))
    entity_id: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(String(400), default="")
    detail: Mapped[bytes | None] = mapped_column(LargeBinary)
    before: Mapped[bytes] = mapped_column(LargeBinary(32))
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))


class AuditHead(Table):
    """The end of the chain: one row, which whoever adds to it holds. before: the hash of the row before the last."""
    __tablename__ = "audit_head"
    id: Mapped[int] = mapped_column(_Number, primary_key=True, autoincrement=False)
    number: Mapped[int]
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    before: Mapped[bytes] = mapped_column(LargeBinary(32))


class Outbox(Table):
    """An event (CloudEvents) that others are to be told, written with what it tells of. number: their order; sent: into every receiver's queue."""
    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_sent_number", "sent", "number"),)
    number: Mapped[int] = mapped_column(_Number, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(16), unique=True)
    type: Mapped[str] = mapped_column(String(100))
    subject: Mapped[str] = mapped_column(String(64))
    time: Mapped[datetime]
    data: Mapped[dict[str, Any]]
    sent: Mapped[datetime | None]


class Delivery(Table):
    """An event in a receiver's queue, until the receiver has said that it has it."""
    __tablename__ = "delivery"
    receiver: Mapped[str] = mapped_column(String(200), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, ForeignKey("outbox.number"), primary_key=True, index=True)
    subject: Mapped[str] = mapped_column(String(64))
    tries: Mapped[int] = mapped_column(default=0)
    next_try: Mapped[datetime | None]


class Receiver(Table):
    """Who is told of events, by the name in the settings. claimed: the worker that tells it; tries: that failed one after the other."""
    __tablename__ = "receiver"
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    claimed_by: Mapped[str | None] = mapped_column(String(64))
    claimed_until: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(default=0)
    next_try: Mapped[datetime | None]
    trouble: Mapped[str] = mapped_column(String(400), default="")
    told: Mapped[datetime | None]                                   # the last time that it took one


class Worker(Table):
    """A worker process, and when it was last heard of."""
    __tablename__ = "worker"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    since: Mapped[datetime]
    seen: Mapped[datetime]
    done: Mapped[int] = mapped_column(default=0)                    # jobs


class Job(Table):
    """Something to be done once at a time or later. key: unique, also when it is done; claimed: whose and until when, so that another takes over after a kill;
    personal: JSON, what of the argument is of a person. Done with trouble: it was given up."""
    __tablename__ = "job"
    __table_args__ = (Index("ix_job_done_due", "done", "due"),)
    LETTER = "J"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    key: Mapped[str] = mapped_column(String(200), unique=True)
    argument: Mapped[dict[str, Any]] = mapped_column(default=dict)
    personal: Mapped[str | None] = mapped_column(Sealed)
    due: Mapped[datetime]
    claimed_by: Mapped[str | None] = mapped_column(String(64))
    claimed_until: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(default=0)
    trouble: Mapped[str] = mapped_column(String(400), default="")
    done: Mapped[datetime | None]


class Idempotency(Table):
    """An Idempotency-Key of a user: what was asked with it (digest) and what was answered."""
    __tablename__ = "idempotency"
    user_id: Mapped[str] = mapped_column(String(16), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    status: Mapped[int]
    answer: Mapped[str | None] = mapped_column(Sealed)
    time: Mapped[datetime] = mapped_column(index=True)


class ImportBatch(Table):
    """A file that was brought in. state: imported, undone. The same file is in once at a time."""
    __tablename__ = "import_batch"
    __table_args__ = (Index("uq_import_batch_kind_digest", "kind", "digest", unique=True, sqlite_where=text("state = 'imported'"),
                            postgresql_where=text("state = 'imported'")),)
    LETTER = "H"
    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    name: Mapped[str] = mapped_column(String(200))
    digest: Mapped[str] = mapped_column(String(64))
    cutover: Mapped[datetime]
    time: Mapped[datetime]
    user_id: Mapped[str | None] = mapped_column(ForeignKey("app_user.id"))
    state: Mapped[str] = mapped_column(String(16), default="imported")
    totals: Mapped[dict[str, Any]] = mapped_column(default=dict)


class ImportRow(Table):
    """What a row of a file made, for its undoing. digest: keyed, of its cells as they were read."""
    __tablename__ = "import_row"
    batch_id: Mapped[str] = mapped_column(ForeignKey("import_batch.id"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    entity: Mapped[str] = mapped_column(String(16), primary_key=True)
    entity_id: Mapped[str] = mapped_column(String(16), primary_key=True, index=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(16))
