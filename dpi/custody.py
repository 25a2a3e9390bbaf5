"""Tables about the keeping of rows: who read what of a person and why, which rows a legal hold keeps, and what has expired. See docs/privacy.md."""
from __future__ import annotations

from dpi.columns import Column as C
from dpi.columns import Table

_STORED = C("stored_time", "time", "when the row was written; partitions and retention follow it")
WHO = (
    C("user", "code", "login name of who did it"),
    C("uid", "u32", "user id, as the system says it"),
    C("host", "code", "machine on which it was done"),
)
WHY = (C("reason", "text", "the reason given"), C("ticket", "text", "the ticket's number given"))

AUDIT = (
    C("number", "u64", "one more than the highest number of the rows before"),
    C("previous", "texts", "digests of the rows before that none yet follows: one, or several after writers that did not see each other"),
    C("time", "time", "when it was read"),
    *WHO,
    C("command", "code", "what was used: query, flow, whois, report, http, hold, retention ..."),
    *WHY,
    C("target_kind", "code", "flow, service, customer, address, tables, alert, action (on an alert), hold or audit"),
    C("target", "text", "which one"),
    C("sql", "text", "the statement, at most 4096 characters of it"),
    C("rows", "u64", "rows of the answer; 0 where it was given in a form whose rows are not counted", "rows"),
    C("store", "text", "the store that was asked"),
    C("digest", "text", "SHA-256 of all columns before, so that a change shows"),
    _STORED,
)
HOLDS = (
    C("hold_id", "id", "number of the hold"),
    C("service_id", "text", "service whose rows stay, or empty"),
    C("customer_id", "text", "customer whose rows stay, or empty"),
    C("from_time", "time", "packets from this time"),
    C("to_time", "time", "packets before this time"),
    *WHY, *WHO,
    C("begun_time", "time", "when it was added"),
    C("ended_time", "time?", "when it was ended; NULL: it is in force"),
    C("revision", "u32", "1 when it was added, 2 when it was ended; the highest holds"),
    _STORED,
)
EXPIRED = (
    C("boot", "u64", "flow_id / 2^40 of the flows: the start of a probe, or a capture"),
    C("probe", "code", "name of the probe that saw them"),
    C("capture_id", "id", "the capture's row in `captures`, 0 for live traffic"),
    C("first_flow", "id", "lowest flow_id"),
    C("last_flow", "id", "highest flow_id"),
    C("first_time", "time", "first packet"),
    C("last_time", "time", "last packet"),
    C("rows", "u64", "rows of flows that went", "rows"),
    C("cause", "code", "age, size or unbound"),
    _STORED,
)

CUSTODY = (
    Table("audit", "A row for each reading of what names a person, and for each change of what is kept. Rows are only added.", AUDIT, ("number",)),
    Table("holds", "A row for each legal hold: what it keeps does not expire.", HOLDS, ("hold_id",), "ReplacingMergeTree(revision)"),
    Table("expired", "A row for each part of `flows` that went, by probe or capture: how an evidence link tells that its flow was there.", EXPIRED,
          ("boot", "first_flow")),
)
