"""Views for those who may see traffic but not whose it is: Grafana's user is granted these and the rollups, and nothing else (deploy/grafana/grants.sql).

Of `flows`: an address is shown whole only where the other side is local and this one is not; all others are cut to /24 of IPv4 and /48 of IPv6, so that
without local_networks every one is. What leads to one line or device is left out: MAC and outer addresses, VLANs, session numbers, client ports, user
agents, and the Community ID, which can be turned back into addresses by trying;
a server's name that is an address or of a device at home is masked. Customers and services are not in it, for with server names beside them a
pseudonym would be a diary. Of usage: customers and services by pseudonym, a keyed hash (SipHash-2-4, 128 bits, of which 40 are shown) whose key is in the
table `pseudonym_key`: the same as long as the store lives. Of alerts: source and target cut likewise, customers and services by pseudonym, no words; of
detections neither. Views run with the rights of who made them.
"""
from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Sequence

from dpi.rollups import ADDRESSED, DEVICES
from dpi.schema import TABLES

Run = Callable[[str], Sequence[Sequence[object]]]
KEY = "pseudonym_key"
LEFT_OUT = frozenset("""community_id source first_packet vlan inner_vlan tunnel_id outer_client_ip outer_server_ip client_mac server_mac client_port icmp_type
                     icmp_code client_ttl server_ttl ja3 ja3s ja4_all user_agent client_service_id client_customer_id server_service_id
                     server_customer_id""".split())       # noqa: SIM905
#: Columns of detections and alerts that say addresses in words.
WORDS = frozenset({"dedup_key", "summary", "summary_zh", "evidence"})
_V4 = "toIPv6('::ffff:0.0.0.0')", "toIPv6('::ffff:255.255.255.255')"


def _network(side: str, other: str) -> str:
    """SQL: the address of a side, masked where it may be a person's."""
    address = f"src.{side}_ip"
    masked = f"tupleElement(IPv6CIDRToRange({address}, if({address} BETWEEN {_V4[0]} AND {_V4[1]}, toUInt8(120), toUInt8(48))), 1)"
    return f"if(src.{other}_local AND NOT src.{side}_local AND src.{side}_service_id = '', {address}, {masked})"


def _flows() -> str:
    chosen = []
    for column in TABLES["flows"].columns:
        if column.name in ("client_ip", "server_ip"):
            side, other = ("client", "server") if column.name == "client_ip" else ("server", "client")
            chosen.append(f"{_network(side, other)} AS {side}_network")
        elif column.name == "server_name":      # a host may be called by its address, and in a house after who has it
            plain = "lower(src.server_name)"
            chosen.append(f"multiIf(match({plain}, '{ADDRESSED}'), '', match({plain}, '[.](in-addr|ip6)[.]arpa'), 'arpa', match({plain}, '{DEVICES}'), "
                          "'local', src.server_name) AS server_name")
        elif column.name not in LEFT_OUT:
            chosen.append(f"src.{column.name} AS {column.name}")
    return f"SELECT {', '.join(chosen)} FROM flows AS src"


def _pseudonym(letter: str, column: str) -> str:
    """SQL: 'c-' or 's-' and ten hexadecimal digits; '' of ''."""
    hashed = f"sipHash128Keyed((SELECT (k0, k1) FROM {KEY} LIMIT 1), src.{column})"
    return f"if(src.{column} = '', '', concat('{letter}-', lower(substring(hex({hashed}), 1, 10))))"


def _usage(name: str) -> str:
    given = {"customer_id": f"{_pseudonym('c', 'customer_id')} AS customer", "service_id": f"{_pseudonym('s', 'service_id')} AS service"}
    chosen = [given.get(column.name, f"src.{column.name} AS {column.name}") for column in TABLES[name].columns]
    final = " FINAL" if TABLES[name].engine.startswith("Replacing") else ""
    return f"SELECT {', '.join(chosen)} FROM {name} AS src{final}"


def _end(column: str) -> str:
    """SQL: a text that is an address, a network or something else, masked where it may be a person's: cut to /24 or /48, names and MAC addresses left out."""
    address, length = (f"arrayElement(splitByChar('/', src.{column}), {k})" for k in (1, 2))
    wide = f"toUInt8OrZero({length}) BETWEEN 1 AND"
    four = f"concat(toString(tupleElement(IPv4CIDRToRange(toIPv4OrDefault({address}), 24), 1)), '/24')"
    six = f"concat(toString(tupleElement(IPv6CIDRToRange(toIPv6OrDefault({address}), 48), 1)), '/48')"
    return (f"multiIf(isIPv4String({address}), if({wide} 24, src.{column}, {four}), isIPv6String({address}), if({wide} 48, src.{column}, {six}), "
            f"match(src.{column}, '[.:@]|([0-9a-fA-F]{{2}}-){{3}}'), '***', src.{column}) AS {column}")


def _alerts() -> str:
    """The newest state of each. Words that a person reads name addresses, and so does the key."""
    given = {"customer_id": f"{_pseudonym('c', 'customer_id')} AS customer", "service_id": f"{_pseudonym('s', 'service_id')} AS service",
             "source": _end("source"), "target": _end("target"), "first_time": "src.first_time AS time"}
    return (f"SELECT {', '.join(given.get(name, f'src.{name} AS {name}') for name in TABLES['alerts'].names if name not in WORDS)} FROM alerts AS src FINAL")


def _detections() -> str:
    """What was counted, without whose."""
    left = WORDS | {"flow_id", "packet_number", "source", "target", "customer_id", "service_id"}
    return f"SELECT {', '.join(f'src.{name} AS {name}' for name in TABLES['detections'].names if name not in left)} FROM detections AS src"


def _unbound() -> str:
    return f"SELECT {', '.join(f'src.{name} AS {name}' for name in TABLES['usage_unbound_1h'].names)} FROM usage_unbound_1h AS src FINAL"


_USED = ("usage_1m", "usage_1h", "services_1h", "services_1d")
#: Name of a view -> its SELECT.
VIEWS: dict[str, str] = {"grafana_flows": _flows(), "grafana_unbound_1h": _unbound(), **{f"grafana_{name}": _usage(name) for name in _USED},
                         "grafana_alerts": _alerts(), "grafana_detections": _detections()}
#: What Grafana's user may read.
READABLE = (*VIEWS, "coverage", *(table.name for table in TABLES.values() if table.folds and "service_id" not in table.names))


def keys(replicated: str = "", replica: str = "") -> list[str]:
    """CREATE TABLE of the pseudonyms' key."""
    engine = f"ReplicatedMergeTree('{replicated}/{KEY}', '{replica}')" if replicated else "MergeTree()"
    return [f"CREATE TABLE IF NOT EXISTS {KEY} (k0 UInt64, k1 UInt64) ENGINE = {engine} ORDER BY tuple()"]


def fill_key(run: Run) -> None:
    """Make the key, where there is none: another one would give everyone another pseudonym."""
    key(run)


def key(run: Run) -> tuple[int, int]:
    """The key; made, where there is none."""
    for first, second in run(f"SELECT k0, k1 FROM {KEY} LIMIT 1"):
        return int(str(first)), int(str(second))
    made = struct.unpack("<2Q", os.urandom(16))
    run(f"INSERT INTO {KEY} SELECT toUInt64({made[0]}), toUInt64({made[1]})")       # old servers wait for VALUES to be sent
    return made


def secret(run: Run) -> bytes:
    """What ids of alerts of this store are keyed with: derived from the key of its pseudonyms, so that replays of one store have the same ids."""
    return hashlib.blake2b(struct.pack("<QQ", *key(run)), digest_size=32, person=b"alerts").digest()


def statements() -> list[str]:
    """CREATE VIEW of each."""
    return [f"CREATE VIEW IF NOT EXISTS {name} DEFINER = CURRENT_USER SQL SECURITY DEFINER AS\n{select}" for name, select in VIEWS.items()]
