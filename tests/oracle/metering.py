"""The slow twin of dpi/security/metering.py: a dict of counts for each slot and line, row by row."""
from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

SLOT, SPAN, NONE, UNIT = 30_000_000, 4, 0xFFFFFFFF, 1024
COUNTS = ("packets", "octets", "tcp", "lost")


def _shares(total: int, start: int, end: int) -> list[int]:
    """What of a count falls into each slot of [start, end]: as much as had passed at its end, less what had before."""
    first = start // SLOT
    last = min(max(end // SLOT, first), first + SPAN - 1)
    span = max(min(end, (first + SPAN) * SLOT) - start, 1)
    passed = [min(total, int(float(total) * (((one + 1) * SLOT - start) / span))) for one in range(first, last)] + [total]
    return [now - before for now, before in zip(passed, [0, *passed], strict=False)]


def meters(rows: Sequence[Any], clients: Sequence[int], servers: Sequence[int], vlans: Sequence[int], nets: Sequence[int], local: Sequence[int],
           link: int) -> Any:
    """{(slot, line): {count: value}} of rows; lines as numbers + 1, 0 none."""
    out: Any = defaultdict(lambda: defaultdict(int))
    for k, row in enumerate(rows):
        told, swapped = local[k] in (1, 2), local[k] == 2
        of = [(link, swapped, told, True), (vlans[k], swapped, told, True), (nets[k], swapped, told, False), (clients[k], False, True, False)]
        of += [(servers[k], True, True, False)] if servers[k] != clients[k] else []
        for line, server_near, sided, everybody in of:
            if line:
                _one(out, row, line - 1, server_near, sided, everybody)
    return {key: dict(value) for key, value in out.items()}


def _one(out: Any, row: Any, line: int, server_near: bool, told: bool, everybody: bool) -> None:
    near, far = ("server", "client") if server_near else ("client", "server")
    first = int(row["interval_start"]) // SLOT
    data = int(row["ip_protocol"]) == 6 and int(row["client_payload_bytes"]) + int(row["server_payload_bytes"]) > 0
    for side, word in ((near, "near"), (far, "far")):
        lost = int(row[f"{side}_retransmissions"]) + int(row[f"{side}_out_of_order"])
        packets, octets = int(row[f"{side}_packets"]), int(row[f"{side}_wire_bytes"])
        for name, total in zip(COUNTS, (packets, octets, packets * data, lost * data), strict=True):
            for at, part in enumerate(_shares(total, int(row["interval_start"]), int(row["interval_end"]))):
                out[first + at, line][f"{word}_{name}"] += part
                out[first + at, line]["untold"] += part if name == "octets" and not told else 0
                out[first + at, line]["spoke"] |= int(everybody or int(row[f"{near}_packets"]) > 0)
    once = out[first, line]
    for name, value in (("near_rtt", int(row[f"{near}_rtt_us"])), ("far_rtt", int(row[f"{far}_rtt_us"])), ("response", int(row["server_response_us"]))):
        if value != NONE:
            once[name] += int(math.log2(max(value, 1)) * UNIT)
            once[f"{name}s"] += 1
    if server_near and int(row["interval"]) == 0 and int(row["server_packets"]) == 0:
        once["asked"] += int(row["folded"]) or 1
