"""The packets that prove an alert, as a capture of their own: out of the file they were replayed from, or the probe's packet ring."""
from __future__ import annotations

import ipaddress
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dpi.cli.flow import _extract, _file, _narrowed, _seconds, from_ring
from dpi.errors import UserError

_FROM_RING = 200            # flows that are looked for in the ring at most


def packets(alert: dict[str, Any], flows: Sequence[dict[str, Any]], captured: Sequence[dict[str, Any]], target: Path) -> str:
    """Write them; what there is to say of them. UserError: there is nothing to write, or no place for it."""
    if not flows:
        raise UserError("the flows that prove it are not in the store any more, or it names none", alert["alert_id"], "replay the capture anew, or see docs/privacy.md for holds")
    with tempfile.TemporaryDirectory(prefix="fullspan-") as scratch:
        if alert["capture_id"] == "0":
            return _from_ring(flows, Path(scratch), target)
        path, gone = _file(captured)
        if not path:
            raise UserError(gone, alert["alert_id"])
        chosen = display_filter(alert, flows)
        os.replace(_extract(_narrowed(path, list(flows), scratch), chosen, str(target)), target)
    return f"written: {target}  ({path}, {chosen})"


def display_filter(alert: dict[str, Any], flows: Sequence[dict[str, Any]]) -> str:
    """Wireshark's display filter for the addresses of an alert and the span of its flows."""
    parts = [_at(end) for end in (alert["source"], alert["target"]) if end]
    if len(parts) < 2 and not parts:
        parts = [" || ".join(f"({_at(one)})" for one in sorted({str(row["server_ip"]) for row in flows})[:50])]
    start, end = min(int(row["start_us"]) for row in flows), max(int(row["end_us"]) for row in flows)
    numbers = sorted({int(row["ip_protocol"]) for row in flows})
    parts.append(" || ".join(f"ip.proto == {number} || ipv6.nxt == {number}" for number in numbers))
    return " && ".join([*(f"({part})" for part in parts), f"frame.time_epoch >= {_seconds(start)}", f"frame.time_epoch <= {_seconds(end + 1)}"])


def _at(end: str) -> str:
    return f"{'ipv6' if ipaddress.ip_network(end, strict=False).version == 6 else 'ip'}.addr == {end}"


def _from_ring(flows: Sequence[dict[str, Any]], scratch: Path, target: Path) -> str:
    """Each flow's packets, one behind the other, merged by time where mergecap is there."""
    found: list[str] = []
    gone = ""
    for row in flows[:_FROM_RING]:
        inner = scratch / str(len(found))
        inner.mkdir(exist_ok=True)
        path, gone, _ = from_ring([row], None, inner, True)
        if path:
            found.append(path)
    if not found:
        raise UserError(gone or "none of its packets is in the ring", "--pcap")
    if len(found) == 1:
        shutil.copyfile(found[0], target)
        return f"written: {target}"
    program = shutil.which("mergecap")
    if not program:
        raise UserError("mergecap is not installed", "fullspan alerts show --pcap", "install it: apt-get install wireshark-common")
    beside = target.with_name(f"{target.name}.{os.getpid()}.part")
    done = subprocess.run([program, "-F", "pcap", "-w", str(beside), *found], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise UserError(done.stderr.decode("utf-8", "replace").strip() or "mergecap wrote nothing", str(target))
    os.replace(beside, target)
    return f"written: {target} ({len(found)} of {len(flows)} flows)"
