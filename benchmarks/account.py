"""What was sent beside what a store has, flow by flow; and what a killed probe may have taken with it."""
from __future__ import annotations

import contextlib

import numpy as np

from benchmarks.traffic import Sent
from dpi.store import open_store

INTERVAL = 30.0             # s
LEAVING = 5.0               # s after its end in which a minute's rows are on their way to the disk


class Account:
    """What was sent beside what is stored, flow by flow."""

    def __init__(self, sent: Sent, url: str, legacy: bool) -> None:
        at = "interval_start" if legacy else "toUnixTimestamp64Micro(interval_start)"
        with contextlib.closing(open_store(url, create=False)) as store:
            rows = store.query("SELECT client_ip, sum(client_packets + server_packets), sum(client_wire_bytes + server_wire_bytes) FROM flows "
                               "GROUP BY client_ip").rows
            self.rows, different, per_flow = map(int, store.query(
                "SELECT sum(held), sum(others), sum(last) FROM (SELECT count() AS held, uniqExact(flows.interval) AS others, max(flows.interval) + 1 AS last "
                "FROM flows GROUP BY flow_id)").rows[0])
            minutes = store.query(f"SELECT intDiv({at.replace('interval_start', 'time')}, 60000000) AS minute, sum(unread_us), sum(frames), sum(wire_bytes), "
                                  "sum(dropped_nic + dropped_kernel + dropped_ring + dropped_store) FROM coverage GROUP BY minute ORDER BY minute").rows
        self.unread = {int(row[0]): int(row[1]) for row in minutes}
        self.frames, self.octets, self.dropped = (sum(int(row[k]) for row in minutes) for k in (2, 3, 4))
        self.sent = sent
        self.packets, self.bytes = np.zeros(len(sent.packets), np.int64), np.zeros(len(sent.packets), np.int64)
        for name, packets, octets in rows:
            _, a, b, c = map(int, str(name).split("."))
            self.packets[a << 16 | b << 8 | c] += int(packets)
            self.bytes[a << 16 | b << 8 | c] += int(octets)
        #: 0 unless a row is there twice, or one in the middle of a flow is missing
        self.odd_rows = (self.rows - different) + (per_flow - self.rows)

    def lines(self, kills: list[tuple[int, int]]) -> tuple[list[str], bool]:
        """What to print, and whether all is as it must be."""
        sent, missing = self.sent, self.sent.packets - self.packets
        lost, octets = int(missing.sum()), int((sent.bytes - self.bytes).sum())
        good = self.odd_rows == 0 and (missing >= 0).all() and self.dropped == 0
        lines = [f"  sent      {len(sent.packets):>9,} flows {int(sent.packets.sum()):>10,} packets {int(sent.bytes.sum()):>13,} bytes",
                 f"  stored    {int((self.packets > 0).sum()):>9,} flows {int(self.packets.sum()):>10,} packets {int(self.bytes.sum()):>13,} bytes "
                 f"in {self.rows:,} rows, {self.odd_rows} of them twice or not in their order",
                 f"  sent - stored                {lost:>10,} packets {octets:>13,} bytes"]
        if not kills:
            whole = lost == octets == 0 and (self.bytes == sent.bytes).all()
            counted = self.frames == sent.packets.sum() and self.octets == sent.bytes.sum()
            lines.append(f"  coverage: {self.frames:,} frames, {self.octets:,} bytes, {self.dropped} lost")
            return lines, bool(good and whole and counted)
        short = np.flatnonzero(missing)
        for at, reading in kills:
            # flows last 0.6 s: their packets are of a moment
            mine = [flow for flow in short.tolist() if at - 2 * INTERVAL * 1e6 < sent.began[flow] < reading]
            held = [flow for flow in mine if sent.began[flow] <= at]
            age = (at - min((int(sent.began[flow]) for flow in held), default=at)) / 1e6
            first = int(at // (INTERVAL * 1_000_000) * INTERVAL * 1_000_000)
            allowed = (at - first) / 1e6 + (INTERVAL if (at - first) / 1e6 < LEAVING else 0)
            minutes = {int(sent.began[flow]) // 60_000_000 for flow in mine}
            shown = all(self.unread.get(minute, 0) > 0 for minute in minutes)
            in_memory, gone = int(missing[np.array(held, np.int64)].sum()), int(missing[np.array(mine, np.int64)].sum())
            told = ", ".join(f"{self.unread.get(minute, 0) / 1e6:.1f} s" for minute in sorted(minutes))
            lines.append(f"  killed {(at - first) / 1e6:.1f} s into a half minute, reading again {(reading - at) / 1e6:.1f} s later: {in_memory:,} packets "
                         f"were in its memory, the oldest of {age:.1f} s before (may be {allowed + 1:.1f}); {gone - in_memory:,} came while nobody read; "
                         f"unread of these minutes by coverage: {told or 'none is missing'}{'' if shown else ' WRONG'}")
            good = good and shown and age <= allowed + 1
            short = np.array([flow for flow in short.tolist() if flow not in set(mine)], np.int64)
        lines.append(f"  missing of other times: {int(missing[short].sum())} packets")
        return lines, bool(good and not len(short))
