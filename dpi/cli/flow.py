"""fullspan flow: one flow, its row and its packets in full detail."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any

import click

from dpi.cli.reasons import permitted, reason_options
from dpi.errors import UserError
from dpi.schema import TABLES

_DEFAULT_STORE = "chdb:///fullspan.chdb"
_LARGE = 64 << 20           # bytes from which a capture is cut to the flow's span first
_LAYERS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"}


@click.command("flow", short_help="Show one flow: its row, then its packets through tshark.")
@click.argument("flow_id", metavar="ID")
@click.option("--store", "store_url", metavar="URL", default=_DEFAULT_STORE, help="The store to ask (default: fullspan.chdb in this directory).")
@click.option("--capture", metavar="NAME|ID", help="The capture it is in, where several hold a flow of that number.")
@click.option("--ring", "ring", metavar="DIRECTORY", help="The probe's packet ring, for a flow of live traffic (default: [probe] ring_directory).")
@click.option("--pcap", "pcap", metavar="OUT", help="Write the flow's packets to this file instead of showing them.")
@click.option("--packets", type=click.IntRange(0), default=50, show_default=True, metavar="N", help="Show at most so many packets; 0 only the row.")
@reason_options
@click.option("--json", "as_json", is_flag=True, help="Print the rows, and the packets as tshark's JSON.")
def command(flow_id: str, store_url: str, capture: str | None, ring: str | None, pcap: str | None, packets: int, reason: str, ticket: str, as_json: bool) -> None:
    """Show every column of a flow's rows, then its packets in full detail from the capture they came from, or from the probe's packet ring."""
    from dpi.store import open_store

    if not flow_id.isascii() or not flow_id.isdigit():
        raise UserError(f"not a flow id: {flow_id!r}", "ID", "it is a number; see: fullspan query 'SELECT flow_id, application FROM flows LIMIT 10'")
    store = open_store(store_url, create=False)
    try:
        reading = permitted(store, "flow", reason, ticket, "flow", flow_id)
        rows = _rows(store, flow_id, capture)
        reading.told(len(rows))
        if not rows:
            _say_expired(store, flow_id, as_json)
            raise UserError(f"no flow {flow_id}", store_url, "see some with: fullspan query 'SELECT flow_id, application FROM flows LIMIT 10'")
        holders = sorted({f"{row['source'] or 'live'} ({row['capture_id']})" for row in rows})
        if len(holders) > 1:
            raise UserError(f"{len(holders)} captures hold a flow {flow_id}: {', '.join(holders[:5])}", store_url, "say which with --capture NAME or --capture ID")
        captured = store.query("SELECT path, sha256, size FROM captures FINAL WHERE capture_id = {id:UInt64}", {"id": int(rows[0]["capture_id"])}).dicts()
    finally:
        store.close()
    flow_filter, said = display_filter(rows), ""
    with tempfile.TemporaryDirectory(prefix="fullspan-") as scratch:
        if folded := sum(int(row["folded"]) for row in rows):
            path, gone = "", f"this row stands for {folded} half-open connections (its tags say what they share): packets of one of them can't be told apart"
        elif captured or rows[0]["capture_id"] != "0":
            path, gone = _file(captured)
        else:
            path, gone, said = from_ring(rows, ring, Path(scratch), bool(pcap or packets))
        _show(rows, _narrowed(path, rows, scratch), path, gone, flow_filter, said, pcap, packets, as_json)


def _show(rows: list[dict[str, Any]], narrowed: str, path: str, gone: str, flow_filter: str, said: str, pcap: str | None, packets: int, as_json: bool) -> None:
    """Print the rows and the packets, or write these. said: what there is to say of the packets."""
    shown: list[Any] = []
    if not as_json:
        _print_rows(rows)
        click.echo(f"\npackets: {said or path or gone}\nfilter:  {flow_filter}\n")
    if path and pcap:
        os.replace(_extract(narrowed, flow_filter, pcap), pcap)
        click.echo(f"written: {pcap}", err=as_json)
    elif path and packets:
        how = ("-T", "json", "--no-duplicate-keys") if as_json else ("-V",)
        told = _tshark(narrowed, flow_filter, packets, *how)
        if told in ("", "[]"):      # replayed with --time-shift: the file's clock is another
            told = _tshark(path, flow_filter.split(" && frame.time_epoch")[0], packets, *how)
        if as_json:
            shown = json.loads(told or "[]")
        else:
            click.echo(told or "no packet of the capture matches")
    if as_json:
        click.echo(json.dumps({"rows": rows, "capture": said or path, "filter": flow_filter, "packets": shown}, ensure_ascii=False, indent=2))
    if not path and (packets or pcap):
        if as_json:
            click.echo(gone, err=True)
        sys.exit(1)


def _say_expired(store: Any, flow_id: str, as_json: bool) -> None:
    """Where the rows of the flow have expired: say so, show the closed usage of its time, and end."""
    from dpi.store.expired import Expired, closed, span_of

    gone: Expired | None = span_of(store, int(flow_id))
    if gone is None:
        return
    slots = closed(store, gone)
    if as_json:
        click.echo(json.dumps({"expired": gone.json(), "closed": slots}, indent=2))
    else:
        click.echo(f"The rows of flow {flow_id} have expired ({gone.cause}, {gone.stored}). It was among the {gone.rows:,} rows of {gone.source} from {gone.first} to {gone.last} UTC.")
        click.echo("Usage of that time that is closed:" if slots else "No usage of that time is closed.")
        for slot in slots:
            click.echo(f"  {slot['table_name']:16} {slot['at']}  {slot['rows']:>6} rows  {slot['bytes']:>14} bytes  sha256 {slot['digest']}")
    sys.exit(0)


def _rows(store: Any, flow_id: str, capture: str | None) -> list[dict[str, Any]]:
    """The rows of a flow in order, each a plain dict; 64-bit ids and times as text."""
    columns = ", ".join(f"toString({column.name}) AS {column.name}" if column.kind == "id" else column.name for column in TABLES["flows"].columns)
    times = "toUnixTimestamp64Micro(interval_start) AS start_us, toUnixTimestamp64Micro(interval_end) AS end_us"
    chosen = "AND (f.source = {capture:String} OR toString(f.capture_id) = {capture:String})" if capture else ""
    rows: list[dict[str, Any]] = store.query(f"SELECT {columns}, {times} FROM flows AS f WHERE f.flow_id = {{id:UInt64}} {chosen} ORDER BY f.capture_id, f.interval",
                                             {"id": int(flow_id), "capture": capture or ""}).dicts()
    return rows


def _print_rows(rows: Sequence[dict[str, Any]]) -> None:
    """Columns that say something, a line each; a flow of several rows shows the last with sums beside."""
    from dpi.reports.terminal import clean

    last, several = rows[-1], len(rows) > 1
    for column in TABLES["flows"].columns:
        value: Any = last[column.name]
        if column.unit in ("packets", "bytes") and several and column.kind in ("u32", "u64"):
            value = f"{sum(int(row[column.name]) for row in rows)}  (in {len(rows)} rows)"
        if column.kind.endswith("?") and value is None:
            value = next((row[column.name] for row in rows if row[column.name] is not None), None)
        if value in ("", 0, "0", [], None, False, "::", "0.0.0.0"):
            continue
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        click.echo(f"{column.name:24} {clean(text)}{' ' + column.unit if column.unit == 'us' and column.kind.endswith('?') else ''}")


def _file(capture: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """(path of the capture, '') or ('', why it can't be read)."""
    if not capture:
        return "", "its capture is no longer listed: there are no packets to show"
    path = str(capture[0]["path"])
    if not path or path == "-":
        return "", "the capture came by standard input: there is no file to read its packets from"
    if not Path(path).is_file():
        return "", f"the capture is no longer at {path}: move it back to see its packets"
    if int(capture[0]["size"]) and os.path.getsize(path) != int(capture[0]["size"]):
        return "", f"the file at {path} is not the capture that was read (its size differs): put the old one back to see its packets"
    return path, ""


def from_ring(rows: Sequence[dict[str, Any]], directory: str | None, scratch: Path, wanted: bool) -> tuple[str, str, str]:
    """(a capture of the packets that a probe's ring has of a live flow, why there is none, what there is to say of them)."""
    from dpi import settings

    asked = settings.load()
    directory = directory or asked.probe.ring_directory
    if not directory:
        return "", "this flow came from live traffic, and no packet ring is named (--ring DIRECTORY, or [probe] ring_directory)", ""
    if not wanted:
        return "", directory, ""
    from dpi.capture.excerpt import Conversation, excerpt

    row = rows[0]
    ends = [ip_address(str(row[name])) for name in ("client_ip", "server_ip")]
    ends = [(end.ipv4_mapped if isinstance(end, IPv6Address) else None) or end for end in ends]
    sought = Conversation(int(row["flow_id"]) >> 40, str(row["interface"]), ends[0], ends[1], int(row["client_port"]), int(row["server_port"]),
                          int(row["ip_protocol"]), int(row["vlan"]) if asked.flow.key_vlan else -1, min(int(one["start_us"]) for one in rows), max(int(one["end_us"]) for one in rows))
    target = scratch / "flow.pcap"
    found = excerpt(Path(directory), sought, target)
    counted = sum(int(one["client_packets"]) + int(one["server_packets"]) for one in rows)
    if not found.packets:
        return "", f"{directory}: none of its {counted} packets {'was kept' if 0 < found.begins <= sought.since else 'is in the ring any more'}", ""
    said = f"{directory}: {found.packets} of {counted}"
    if found.packets < counted:
        said += ", the others have left the ring" if found.begins > sought.since else ", the others were not kept"
    if found.cut:
        said += f"; {'all' if found.cut == found.packets else found.cut} without content: headers are kept, content where a case opens it"
    return str(target), "", said


def display_filter(rows: Sequence[dict[str, Any]]) -> str:
    """Wireshark's display filter for a flow: addresses, ports, and the span of its rows."""
    row = rows[0]
    client, server = str(row["client_ip"]), str(row["server_ip"])
    family = "ipv6" if ":" in client else "ip"
    parts = [f"{family}.addr == {client} && {family}.addr == {server}"]
    layer = _LAYERS.get(int(row["ip_protocol"]))
    if layer in ("tcp", "udp", "sctp"):
        parts.append(f"{layer}.port == {int(row['client_port'])} && {layer}.port == {int(row['server_port'])}")
    elif layer:
        parts.append(layer)
    else:
        parts.append(f"ip.proto == {int(row['ip_protocol'])}" if family == "ip" else f"ipv6.nxt == {int(row['ip_protocol'])}")
    start, end = min(int(one["start_us"]) for one in rows), max(int(one["end_us"]) for one in rows)
    parts.append(f'frame.time_epoch >= {_seconds(start)} && frame.time_epoch <= {_seconds(end + 1)}')
    return " && ".join(parts)


def _seconds(microseconds: int) -> str:
    return f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06d}"


def _narrowed(path: str, rows: Sequence[dict[str, Any]], scratch: str) -> str:
    """A large capture cut to the flow's span first: dissecting is a hundred times slower than copying. Frames are then numbered from the cut."""
    editcap = shutil.which("editcap")
    if not path or not editcap or os.path.getsize(path) < _LARGE:
        return path
    start, end = min(int(one["start_us"]) for one in rows), max(int(one["end_us"]) for one in rows)
    target = os.path.join(scratch, "span.pcapng")
    done = subprocess.run([editcap, "-A", _seconds(start), "-B", _seconds(end + 1_000_000), path, target], capture_output=True, check=False,
                          stdin=subprocess.DEVNULL, env={**os.environ, "TZ": "UTC"})
    return target if done.returncode == 0 and os.path.isfile(target) else path


def _program() -> str:
    found = shutil.which("tshark")
    if not found:
        raise UserError("tshark is not installed", "fullspan flow", "install it: apt-get install tshark")
    return found


def _tshark(path: str, flow_filter: str, packets: int, *how: str) -> str:
    """tshark's words on the first packets of a flow."""
    done = subprocess.run([_program(), "-n", "-r", path, "-Y", flow_filter, *how], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode and not done.stdout:
        raise UserError(done.stderr.decode("utf-8", "replace").strip().splitlines()[-1] if done.stderr else "tshark failed", path)
    text = "".join(c if c.isprintable() or c in "\n\t" else "?" for c in done.stdout.decode("utf-8", "replace"))
    if "-T" in how:
        body = json.loads(text or "[]")
        return json.dumps(body[:packets])
    blocks = text.split("\n\nFrame ")
    more = f"\n\n... and {len(blocks) - packets} more packets (--packets {len(blocks)})" if len(blocks) > packets else ""
    return "\n\nFrame ".join(blocks[:packets]).rstrip() + more


def _extract(path: str, flow_filter: str, target: str) -> str:
    """Write the packets beside their final name; the name of what was written."""
    beside = f"{target}.{os.getpid()}.part"
    done = subprocess.run([_program(), "-n", "-r", path, "-Y", flow_filter, "-w", beside], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if not Path(beside).is_file():
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UserError(words[-1] if words else "tshark wrote nothing", target, "give another path with --pcap")
    return beside
