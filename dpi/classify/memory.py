"""Where the arrays of naming lie in the world `w` (see `dpi.jit.world` and `dpi/flow/memory.py`)."""
from __future__ import annotations

import numpy as np

from dpi.classify.inspection import INSPECTION, TRANSACTION
from dpi.classify.names import AGENT, NAME
from dpi.classify.networks import NET4, NET6
from dpi.classify.resolutions import ANSWER, RESOLUTION
from dpi.classify.signatures import PIECE, ROW
from dpi.classify.verdict import REASON
from dpi.jit import pointed

U1, U2, U4, U8, I8 = (np.dtype(name) for name in ("u1", "u2", "u4", "u8", "i8"))
ARRAYS = {"inspection": INSPECTION,
          "outbox": TRANSACTION,
          "rows": ROW,
          "pieces": PIECE,
          "pattern_bytes": U1,
          "buckets": U4,
          "parsers": U8,
          "parser_memory": U2,
          "parser_starts": U1,
          "parser_protocol": U2,
          "parser_also": U4,
          "parser_reason": U4,
          "reasons": REASON,
          "names": NAME,
          "certificate_names": NAME,
          "alpns": NAME,
          "agents": AGENT,
          "agent_bytes": U1,
          "answers": ANSWER,
          "resolutions": RESOLUTION,
          "resolution_text": U1,
          "resolution_head": I8,
          "reason_dns": U4,
          "carriers": U1,
          "networks4": NET4,
          "networks6": NET6,
          "ports": U4}

inspection_of = pointed("inspection", INSPECTION)
outbox_of = pointed("outbox", TRANSACTION)
rows_of = pointed("rows", ROW)
pieces_of = pointed("pieces", PIECE)
pattern_bytes_of = pointed("pattern_bytes", U1)
buckets_of = pointed("buckets", U4)
parsers_of = pointed("parsers", U8)
parser_memory_of = pointed("parser_memory", U2)
parser_starts_of = pointed("parser_starts", U1)
parser_protocol_of = pointed("parser_protocol", U2)
parser_also_of = pointed("parser_also", U4)
parser_reason_of = pointed("parser_reason", U4)
reasons_of = pointed("reasons", REASON)
names_of = pointed("names", NAME)
certificate_names_of = pointed("certificate_names", NAME)
alpns_of = pointed("alpns", NAME)
agents_of = pointed("agents", AGENT)
agent_bytes_of = pointed("agent_bytes", U1)
answers_of = pointed("answers", ANSWER)
resolutions_of = pointed("resolutions", RESOLUTION)
resolution_text_of = pointed("resolution_text", U1)
resolution_head_of = pointed("resolution_head", I8)
reason_dns_of = pointed("reason_dns", U4)
carriers_of = pointed("carriers", U1)
networks4_of = pointed("networks4", NET4)
networks6_of = pointed("networks6", NET6)
ports_of = pointed("ports", U4)
