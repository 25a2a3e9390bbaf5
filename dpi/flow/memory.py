"""Where the arrays of a shard lie: kernels of `dpi.flow` take a world `w` (see `dpi.jit.world`) and find what they need in it."""
from __future__ import annotations

import numpy as np

from dpi.flow.arena import POOL
from dpi.flow.export import EXTRA
from dpi.flow.facts import FACTS
from dpi.flow.stream import STREAM
from dpi.flow.table import ADDRESSES, CHANGE, DETAIL, FLOW, SHARD, TUNNEL
from dpi.jit import pointed

U1, U8, I8 = np.dtype("u1"), np.dtype("u8"), np.dtype("i8")
ARRAYS = {"shard": SHARD, "seed": U8, "slots": U8, "flows": FLOW, "details": DETAIL, "addresses": ADDRESSES, "tunnels": TUNNEL, "births": U8, "streams": STREAM,
          "pools": POOL, "arena": U1, "facts": FACTS, "bounds": CHANGE, "pending": CHANGE, "passed": CHANGE, "touched": I8,
          "out_head": I8, "out_flows": FLOW, "out_details": DETAIL, "out_addresses": ADDRESSES, "out_extra": EXTRA, "out_facts": FACTS, "out_tunnels": TUNNEL}

shard_of = pointed("shard", SHARD)
seed_of = pointed("seed", U8)
slots_of = pointed("slots", U8)
flows_of = pointed("flows", FLOW)
details_of = pointed("details", DETAIL)
addresses_of = pointed("addresses", ADDRESSES)
tunnels_of = pointed("tunnels", TUNNEL)
births_of = pointed("births", U8)
streams_of = pointed("streams", STREAM)
pools_of = pointed("pools", POOL)
arena_of = pointed("arena", U1)
facts_of = pointed("facts", FACTS)
bounds_of = pointed("bounds", CHANGE)
pending_of = pointed("pending", CHANGE)
passed_of = pointed("passed", CHANGE)
touched_of = pointed("touched", I8)
out_head_of = pointed("out_head", I8)           # how many rows, how many facts
out_flows_of = pointed("out_flows", FLOW)
out_details_of = pointed("out_details", DETAIL)
out_addresses_of = pointed("out_addresses", ADDRESSES)
out_extra_of = pointed("out_extra", EXTRA)
out_facts_of = pointed("out_facts", FACTS)
out_tunnels_of = pointed("out_tunnels", TUNNEL)
