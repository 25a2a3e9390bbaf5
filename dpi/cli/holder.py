"""Who had an address by what was learned on the wire: the rows of `sessions` of a store, up to a moment."""
from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dpi.store import Store

_TOLD = """SELECT action, learned_from, toString(since) AS since, toUnixTimestamp64Micro(time) AS at, prefix_length, vlan, inner_vlan, any_vlan, session, nas, service_id,
    customer_id FROM sessions WHERE time <= fromUnixTimestamp64Micro({at:Int64}, 'UTC') AND action != 'restart'
    AND (address, prefix_length) IN ({prefixes}) ORDER BY time"""
_RESTARTS = """SELECT nas, toUnixTimestamp64Micro(max(time)) AS at FROM sessions WHERE action = 'restart' AND time <= fromUnixTimestamp64Micro({at:Int64}, 'UTC')
    GROUP BY nas"""


def holder(store: Store, address: IPv4Address | IPv6Address, at: int, vlan: int, inner: int) -> dict[str, Any] | None:
    """Who had the address at `at`, us, as seen in these VLANs (0: none): the row of `sessions` that says so, of the longest prefix that was held, those of the
    VLAN before those of anywhere, bound ones before others, the newest first. None: nobody that is known."""
    bits = address.max_prefixlen
    number = int(address)
    lengths = range(1, 129) if bits == 128 else (32,)
    prefixes = ((type(address)(number >> bits - length << bits - length), length) for length in lengths)
    wanted = ", ".join(f"(toIPv6('{one}'), {length})" for one, length in prefixes)
    held: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in store.query(_TOLD.replace("{prefixes}", wanted), {"at": at}).dicts():
        key = tuple(row[name] for name in ("learned_from", "session", "prefix_length", "any_vlan", "vlan", "inner_vlan"))
        if row["action"] == "stop":
            held.pop(key, None)
        else:
            held[key] = row
    restarts = {row["nas"]: int(row["at"]) for row in store.query(_RESTARTS, {"at": at}).dicts()}
    found = [row for row in held.values() if (row["any_vlan"] or (row["vlan"], row["inner_vlan"]) == (vlan, inner))
             and restarts.get(row["nas"], -1) < int(row["at"])]
    return max(found, key=lambda row: (row["prefix_length"], not row["any_vlan"], bool(row["service_id"]), int(row["at"])), default=None)
