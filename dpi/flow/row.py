"""A row of `flows` as kernels hold it: every column of fixed width in one record, made by `rows.py`, folded by `summary.py`."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.batch import Batch, Texts, coded
from dpi.flow.facts import RISKS
from dpi.jit import records

_SIDES = ("client", "server")

#: Fields are named like the columns. Strings of small sets are codes; `reason`, `facts` and `around` say where the rest of the row lies. 256 bytes.
ROW = np.dtype((np.record, [
    ("flow_id", "u8"), ("first_packet", "u8"),
    ("interval_start", "i8"), ("interval_end", "i8"), ("flow_start_time", "i8"),
    ("client_ip", "u8", (2,)), ("server_ip", "u8", (2,)),          # 16 bytes in the order of the wire
    ("client_mac", "u8"), ("server_mac", "u8"), ("risks", "u8"),       # risks: bit i is RISKS[i]
    *((f"{side}_{what}", "u8") for what in ("packets", "bytes", "wire_bytes", "payload_bytes") for side in _SIDES),
    ("interval", "u4"), ("client_mss", "u4"), ("client_rtt_us", "u4"), ("server_rtt_us", "u4"), ("server_response_us", "u4"),
    *((f"{side}_{what}", "u4") for what in ("retransmissions", "out_of_order", "zero_windows") for side in _SIDES),
    ("folded", "u4"), ("reason", "u4"), ("facts", "u4"), ("around", "u4"),          # evidence; record of FACTS; record of TUNNEL, 0 none
    ("vlan", "u2"), ("inner_vlan", "u2"), ("client_port", "u2"), ("server_port", "u2"), ("interface", "u2"), ("tunnel", "u2"), ("end_reason", "u2"),
    ("protocol", "u2"), ("application", "u2"), ("category", "u2"), ("confidence", "u2"),
    ("final", "u1"), ("midstream", "u1"), ("ip_protocol", "u1"), ("icmp_type", "u1"), ("icmp_code", "u1"),
    *((f"{side}_{what}", "u1") for what in ("ttl", "dscp", "tcp_flags") for side in _SIDES),
    ("fold", "u1"), ("one_sided", "u1"), ("named", "u1"),          # fold: bits of dpi.flow.table.FOLD_TAGS; named: 1 where there is a server name
]))
assert ROW.itemsize == 256, ROW.itemsize

ONE_SIDED = "one_sided"     # among a row's tags
INNER = ("risks", "reason", "facts", "around", "fold", "one_sided", "named")       # fields that are no columns
ENDS = ("client_ip", "server_ip")
CODED = ("interface", "tunnel", "end_reason", "protocol", "application", "category", "confidence")


def records_of(batch: Batch) -> Any:
    """A batch's rows as ROW[n]: as they came out of the pipeline, else put together from its columns; what is missing is 0."""
    if batch.records is not None:
        return batch.records
    out = records(batch.count, ROW)
    plain = out.view(np.ndarray)
    for name in ("client_rtt_us", "server_rtt_us", "server_response_us", "client_mss"):
        plain[name] = 0xFFFFFFFF
    for name in ROW.names or ():
        column: Any = batch.columns.get(name)
        if column is None or name in INNER:
            continue
        if name in CODED:
            column = coded(column).codes
        elif name in ENDS:
            column = np.ascontiguousarray(column, np.uint8).view(np.uint64).reshape(-1, 2)
        plain[name] = column
    risks: Any = batch.columns.get("risks")
    if risks is not None:
        owner = np.repeat(np.arange(batch.count), np.diff(risks.offsets))
        np.bitwise_or.at(plain["risks"], owner, np.array([1 << RISKS.index(word) for word in risks.values], np.uint64))
    tags: Any = batch.columns.get("tags")
    if tags is not None:
        owner = np.repeat(np.arange(batch.count), np.diff(tags.offsets))
        plain["one_sided"][owner[np.array([word == ONE_SIDED for word in tags.values], np.bool_)]] = 1
    names: Any = batch.columns.get("server_name")
    if names is not None:
        plain["named"] = names.lengths != 0 if isinstance(names, Texts) else [bool(name) for name in names]
    return out
