"""What is learned of a flow beyond counters, and the transaction rows that parsers write."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.jit import kernel, records

#: Sources of FACTS.server_name, in rising order of trust
NAME_NONE, NAME_DNS, NAME_CERTIFICATE, NAME_HOST, NAME_SNI = 0, 1, 2, 3, 4

#: What is known of one flow beyond counters. 768 bytes.
FACTS = np.dtype((np.record, [
    ("server_name", "u1", (256,)),
    ("user_agent", "u1", (176,)),
    ("alpn", "u1", (32,)),              # the first offered, or the one chosen
    ("ja4_all", "u1", (36 * 6,)),       # every distinct client hello's JA4; the first is `ja4`
    ("ja3", "u1", (16,)), ("ja3s", "u1", (16,)),        # MD5 digests, raw
    ("risks", "u8"),                    # bit i: RISKS[i]
    ("handshake_time", "i8"),
    ("server_name_length", "u2"),
    ("user_agent_length", "u1"),
    ("alpn_length", "u1"),
    ("ja4_count", "u1"),
    ("ja4_missed", "u1"),               # distinct hellos beyond the six kept
    ("has_ja3", "u1"), ("has_ja3s", "u1"),
    ("name_source", "u1"),              # NAME_*
    ("tls_version", "u2"),              # as on the wire (0x0303)
    ("hint", "u2"),                     # application number a parser may propose (0 = none)
    ("pad", "u1", (27,)),
]))
assert FACTS.itemsize == 768, FACTS.itemsize

RISKS = ("clear_text_credentials", "obsolete_tls", "weak_cipher", "self_signed_certificate", "expired_certificate", "name_mismatch",
         "suspicious_dns", "http_suspicious_agent", "binary_transfer", "known_protocol_on_other_port")

TEXT_BYTES = 880        # all texts of a TRANSACTION together

#: One row of dns, tls, http or files on its way out. 1088 bytes. The columns of each table are declared in dpi/schema.py; the flow's ends are for those who
#: count by them. Addresses are two words as they lie in memory, in the order of the wire, IPv4 mapped.
TRANSACTION = np.dtype((np.record, [
    ("table", "u1"),                    # index in dpi.schema.TRANSACTION_TABLES, from 1
    ("direction", "u1"),
    ("texts", "u1"),                    # text fields ended so far
    ("pad", "u1"),
    ("vlan", "u2"), ("inner_vlan", "u2"),
    ("flow", "u8"),
    ("time", "i8"),
    ("client", "u8", (2,)), ("server", "u8", (2,)),
    ("numbers", "i8", (12,)),
    ("ends", "u2", (12,)),              # end of text field k inside `text`
    ("text", "u1", (TEXT_BYTES,)),
    ("pad2", "u1", (32,)),
]))
assert TRANSACTION.itemsize == 1088, TRANSACTION.itemsize


@kernel
def text_begin(one: Any, place: Any) -> Any:
    """Where text field `place` of a TRANSACTION begins in `text`, whatever `ends` holds."""
    return min(np.int64(one.ends[place - 1]), TEXT_BYTES) if place > 0 else np.int64(0)


@kernel
def text_length(one: Any, place: Any, begin: Any) -> Any:
    """Bytes of text field `place` that begins there; 0 where a parser wrote fewer texts."""
    return max(min(np.int64(one.ends[place]), TEXT_BYTES) - begin, 0) if np.int64(one.texts) > place else np.int64(0)


class Facts:
    """A pool of facts. Slot 0 is the scratch that parsers write to before anything is known; free slots are chained through `risks`."""

    def __init__(self, slots: int) -> None:
        self.pool = records(slots + 1, FACTS)


@kernel
def clear(facts: Any, slot: Any) -> Any:
    """Empty a slot (texts are bounded by their lengths and need no zeroing)."""
    row = facts[slot]
    row.risks = 0
    row.handshake_time = 0
    row.server_name_length = 0
    row.user_agent_length = 0
    row.alpn_length = 0
    row.ja4_count = 0
    row.ja4_missed = 0
    row.has_ja3 = 0
    row.has_ja3s = 0
    row.name_source = 0
    row.tls_version = 0
    row.hint = 0
    return 0


@kernel
def keep(facts: Any, shard: Any) -> Any:
    """Move the scratch into a slot of its own. Returns the slot, 0 when the pool is empty (counted)."""
    row = shard[0]
    slot = row.facts_free
    if slot != 0:
        row.facts_free = np.int64(facts[slot].risks)
    elif row.facts_high < facts.size:
        slot = row.facts_high
        row.facts_high += 1
    else:
        row.facts_full += 1
        return np.int64(0)
    facts[slot] = facts[0]
    return np.int64(slot)


@kernel
def release(facts: Any, shard: Any, slot: Any) -> Any:
    """Give a slot back."""
    row = shard[0]
    facts[slot].risks = np.uint64(row.facts_free)
    row.facts_free = np.int64(slot)
    return 0
