"""The summary on a terminal: with colour through rich where stdout is one, else plain text in straight columns."""
from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import field, replace

from dpi.dataclass import dataclass
from dpi.flow.figures import Delays, Figures, Host, Share
from dpi.reports.completeness import sentences, verdict
from dpi.reports.findings import findings
from dpi.reports.language import Language

_BAR = 14
_ROWS = 10
#: Protocols that carry other applications: for these "only the protocol is known" is worth saying.
CARRIERS = frozenset(("TLS", "QUIC", "DTLS", "HTTP", "HTTP2", "HTTP/2", "HTTP3", "WebSocket", "SOCKS", "TCP", "UDP"))


@dataclass
class Section:
    """A titled block: a table (columns and rows) or lines. A column whose heading begins with '>' is set to the right."""
    title: str
    columns: Sequence[str] = ()
    rows: list[Sequence[str]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    marked: bool = False        # lines are findings: a dot before each
    grave: int = 0              # so many of the first lines are grave


def clean(text: str, width: int = 0) -> str:
    """A string from the wire without anything a terminal would obey; cut to `width` columns where given."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    if width and columns(text) > width:
        while text and columns(text) > width - 1:
            text = text[:-1]
        text += "…"
    return text


def columns(text: str) -> int:
    """Columns a string takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def bar(share: float) -> str:
    """A bar of eighths."""
    eighths = round(max(0.0, min(1.0, share)) * _BAR * 8)
    text = "█" * (eighths // 8) + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths % 8]
    return text or ("▏" if share > 0 else "")


def label(share: Share, say: Language) -> str:
    """Name of an application line; where only the protocol is known it says so."""
    if not share.name:
        return say("label.unknown")
    return say("label.unnamed", name=share.name) if not share.named and share.name in CARRIERS else share.name


def confidences(share: Share, say: Language) -> str:
    """The ways a line's bytes were named, most first."""
    total = sum(share.confidence.values())
    parts = sorted(share.confidence.items(), key=lambda item: -item[1])[:2]
    if len(parts) == 1 or (parts and parts[0][1] >= 0.995 * total):
        return say.known("confidence", parts[0][0])
    return say("unit.comma").join(f"{say.known('confidence', word)} {say.percent(count / total)}" for word, count in parts if total)


def sections(f: Figures, say: Language) -> list[Section]:
    """The summary in the order it is read."""
    out = [Section("", lines=[], rows=_head(f, say))]
    found = findings(f, say)
    if found:
        out.append(Section(say("title.findings"), lines=[clean(one.text) for one in found], marked=True, grave=sum(one.grave for one in found)))
    out += detected(f, say)
    if not f.rows:
        return [*out, *_refused(f, say), _coverage(f, say)]
    out.append(_applications(f, say))
    out.append(Section(say("title.protocols"), lines=[" · ".join(f"{clean(share.name) or say('label.unknown')} {say.percent(share.bytes / max(1, f.bytes))}"
                                                          for share in f.protocols[:_ROWS])]))
    carried = [f"{clean(share.name)} {say.percent(share.bytes / max(1, f.bytes))}" for share in carriers(f)]
    out.append(Section(say("title.carriers"), lines=[" · ".join(carried)]))
    out += [_hosts(say("title.clients"), f.clients, f, say), _hosts(say("title.servers"), f.servers, f, say)]
    out += [*_quality(f, say), *_services(f, say), *_unknown(f, say), *_refused(f, say), _coverage(f, say)]
    return [section for section in out if section.rows or section.lines]


def detected(f: Figures, say: Language) -> list[Section]:
    """What detectors found, or that they found nothing; nothing at all where none looked."""
    found, chinese = f.detected, say.code == "zh"
    if not found.detectors:
        return []
    if not found.alerts:
        return [Section(say("title.detected"), lines=[say("label.detected_none", count=say.count(found.detectors))])]
    kinds = " · ".join(f"{found.titles[kind][chinese]} {say.count(count)}" for kind, count in found.kinds.items())
    lines = [clean(f"{say.known('severity', one.severity)}: {one.summary_zh if chinese else one.summary}") for one in found.worst]
    return [Section(say("title.detected"), lines=[*lines, clean(kinds)], marked=True, grave=sum(one.severity in ("high", "critical") for one in found.worst))]


def carriers(f: Figures) -> list[Share]:
    """Transports, IP versions, tunnels and VLANs that carry a thousandth of the bytes or more."""
    every = [*f.transports, *f.versions, *f.tunnels, *(replace(share, name=f"VLAN {share.name}") for share in f.vlans)]
    return [share for share in every if share.bytes * 1000 >= f.bytes]


def _head(f: Figures, say: Language) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    if len(f.captures) == 1:
        capture = f.captures[0]
        details = ", ".join([say.bytes(capture.size), *capture.link_types])
        rows.append((say("fact.file"), f"{clean(capture.name)} ({details})"))
    elif f.captures:
        names = ", ".join(clean(capture.name) for capture in f.captures[:3])
        more = f" {say('label.more', count=len(f.captures) - 3)}" if len(f.captures) > 3 else ""
        rows.append((say("fact.file"), f"{say('fact.files', count=say.count(len(f.captures)))}: {names}{more}"))
    if f.rows:
        same_day = f.last // 86_400_000_000 == f.first // 86_400_000_000
        rows.append((say("fact.span"), f"{say.span(f.seconds)}: {say('fact.from_to', first=say.time(f.first), last=say.time(f.last, clock=same_day))}"))
    rows.append((say("fact.coverage"), clean(verdict(f, say).text)))
    rows.append((say("fact.packets"), say("fact.packets_read", packets=say.count(f.read_packets), refused=say.count(f.refused_packets))))
    if f.rows:
        rows.append((say("fact.bytes"), say("fact.bytes_detail", bytes=say.bytes(f.bytes), up=say.bytes(f.client_bytes),
                                            down=say.bytes(f.bytes - f.client_bytes))))
        width = say("fact.peak_second") if f.peak_width == 1 else say("fact.peak_slot", span=say.span(f.peak_width))
        rates = [say("fact.rate_mean", mean=say.rate(f.mean_bits))]
        if f.peak_bits > f.mean_bits:       # in less than a second there is no busiest second
            rates.append(say("fact.rate_peak", peak=say.rate(f.peak_bits), time=say.time(f.peak_time, clock=True), width=width))
        rows.append((say("fact.rate"), say("unit.comma").join(rates)))
        rows.append((say("fact.flows"), say("fact.flows_detail", flows=say.count(f.flows), clients=say.count(f.distinct.get("clients", 0)),
                                            servers=say.count(f.distinct.get("servers", 0)))))
        rows.append((say("fact.named"), say("fact.named_detail", share=say.percent(named(f)[0]), flows=say.percent(named(f)[1]))))
    return rows


def named(f: Figures) -> tuple[float, float]:
    """Share of bytes and of flows whose protocol or application is known."""
    flows = sum(share.flows for share in f.confidences if share.name)
    octets = sum(share.bytes for share in f.confidences if share.name)
    return octets / max(1, f.bytes), flows / max(1, f.flows)


def _applications(f: Figures, say: Language) -> Section:
    section = Section(say("title.applications"), [say("column.application"), say("column.category"), ">" + say("column.flows"), ">" + say("column.packets"),
                                                  ">" + say("column.bytes"), ">" + say("column.share"), "", say("column.how")])
    most = max((share.bytes for share in f.applications), default=1)
    for share in f.applications[:15]:
        section.rows.append((clean(label(share, say), 34), clean(say.known("category", share.category), 18), say.count(share.flows), say.count(share.packets),
                             say.bytes(share.bytes), say.percent(share.bytes / max(1, f.bytes)), bar(share.bytes / max(1, most)), confidences(share, say)))
    return section


def _hosts(title: str, hosts: list[Host], f: Figures, say: Language) -> Section:
    named_too = any(host.name for host in hosts)
    heads = [say("column.address"), ">" + say("column.flows"), ">" + say("column.packets"), ">" + say("column.bytes"), ">" + say("column.share"),
             ">" + say("column.sent"), say("column.mostly")]
    section = Section(title, [*heads, say("column.name")] if named_too else heads)
    for host in hosts[:_ROWS]:
        row = [host.address, say.count(host.flows), say.count(host.packets), say.bytes(host.bytes), say.percent(host.bytes / max(1, f.bytes)),
               say.percent(host.sent / max(1, host.bytes)), clean(host.application or "-", 24)]
        section.rows.append([*row, clean(host.name, 40)] if named_too else row)
    return section


def _quality(f: Figures, say: Language) -> list[Section]:
    table = Section(say("title.quality"), [say("column.measure"), ">" + say("column.measured"), ">" + say("column.median"), ">" + say("column.p90"),
                                           ">" + say("column.p99")])
    for key, delays in delay_lines(f):
        table.rows.append((say(f"label.{key}"), say.count(delays.count), *(say.delay(delays.percentile(p)) for p in (0.5, 0.9, 0.99))))
    tcp = f.tcp
    if tcp.packets:
        for key, count, client, server in (("retransmissions", tcp.retransmissions, tcp.client_retransmissions, tcp.server_retransmissions),
                                           ("out_of_order", tcp.out_of_order, tcp.client_out_of_order, tcp.server_out_of_order)):
            sides = f"; {say('label.by_side', client=say.count(client), server=say.count(server))}" if count else ""
            table.lines.append(f"{say(f'label.{key}')}: {say('label.of_tcp', count=say.count(count), share=say.percent(count / tcp.packets))}{sides}")
        failed = [f"{say(f'label.{key}')} {say('label.of_handshakes', count=say.count(count), share=say.percent(count / max(1, tcp.handshakes)))}"
                  for key, count in (("unanswered", tcp.unanswered), ("reset", tcp.refused)) if count]
        table.lines.append("; ".join([f"{say('label.handshakes')}: {say.count(tcp.handshakes)}", *failed]))
        table.lines.append(f"{say('label.zero_windows')}: {say.count(tcp.zero_windows)}; {say('label.resets')}: {say.count(tcp.resets)}")
    return [table]


def delay_lines(f: Figures) -> list[tuple[str, Delays]]:
    """Delays that were measured, by the key of their label."""
    every = (("client_rtt", f.client_rtt), ("server_rtt", f.server_rtt), ("response", f.response), ("dns_response", f.dns.delays),
             ("http_response", f.http.delays))
    return [(key, delays) for key, delays in every if delays.count]


def _services(f: Figures, say: Language) -> list[Section]:
    out = []

    def line(title: str, shares: Iterable[Share], top: int = 6) -> str:
        return f"{title}: " + (" · ".join(f"{clean(share.name, 48)} {say.count(share.flows)}" for share in list(shares)[:top]) or say("label.none"))

    if f.dns.queries or f.dns.responses:
        out.append(Section(say("title.dns"), lines=[
            say("label.dns_line", queries=say.count(f.dns.queries), responses=say.count(f.dns.responses)), line(say("column.code"), f.dns.codes),
            line(say("column.type"), f.dns.types), line(say("label.names"), f.dns.names),
            *([line(say("label.failing"), f.dns.failing)] if f.dns.failing else [])]))
    if f.tls.hellos or f.tls.versions:
        out.append(Section(say("title.tls"), lines=[
            say("label.tls_line", hellos=say.count(f.tls.hellos), names=say.count(f.distinct.get("tls_names", 0)), unnamed=say.count(f.tls.unnamed)),
            line(say("label.versions"), f.tls.versions), line(say("label.ciphers"), f.tls.ciphers, 4), line(say("column.name"), f.tls.names),
            line(say("label.fingerprints"), f.tls.ja4, 4)]))
    if f.http.requests:
        out.append(Section(say("title.http"), lines=[
            say("label.http_line", requests=say.count(f.http.requests), hosts=say.count(f.distinct.get("http_hosts", 0))),
            line(say("column.status"), f.http.codes, 8),
            line(say("column.host"), f.http.hosts), line(say("column.agent"), f.http.agents, 4)]))
    return out


def _unknown(f: Figures, say: Language) -> list[Section]:
    if not f.unknown_ports:
        return []
    shares = " · ".join(f"{clean(share.name)} {say.percent(share.bytes / max(1, f.bytes))}" for share in f.unknown_ports[:8])
    return [Section(say("title.unknown"), lines=[shares])]


def _coverage(f: Figures, say: Language) -> Section:
    """What was lost, not read or given up, bad news first."""
    told = sorted(sentences(f, say), key=lambda one: one.state != "bad")
    return Section(say("title.coverage"), lines=[one.text for one in told], marked=True, grave=sum(one.state == "bad" for one in told))


def _refused(f: Figures, say: Language) -> list[Section]:
    out = Section(say("title.refused"))
    read = max(1, f.read_packets)
    for reason, count in sorted(f.refused.items(), key=lambda item: -item[1]):
        out.lines.append(f"{say.known('refusal', reason)}: {say.count(count)} ({say.percent(count / read)})")
    if not out.lines:
        out.lines.append(say("label.refused_none"))
    out.lines += [f"{say.known('counter', name)}: {say.count(count)}" for name, count in sorted(f.counters.items()) if count and f"counter.{name}" in say.words]
    out.lines += [say("label.capped", what=say(f"column.{what}") if f"column.{what}" in say.words else what, dropped=say.count(count))
                  for what, count in f.capped.items()]
    damaged = [say("label.damaged", file=clean(capture.name), damage=clean(capture.damage)) for capture in f.captures if capture.damage]
    out.lines += damaged + [say("label.skipped", what=clean(what)) for what in f.skipped]
    if f.interrupted:
        out.lines.append(say("label.interrupted"))
    return [out]


def show(parts: list[Section], colour: bool) -> str:
    """The sections as text."""
    return _rich(parts) if colour else plain(parts)


def plain(parts: list[Section]) -> str:
    """Straight columns, no colour, any width."""
    lines: list[str] = []
    for section in parts:
        if section.title:
            lines += ["", section.title, "-" * columns(section.title)]
        heads = [head.lstrip(">") for head in section.columns]
        table = ([heads] if heads else []) + [list(row) for row in section.rows]
        if table:
            widths = [max(columns(row[k]) for row in table) for k in range(len(table[0]))]
            for row in table:
                cells = [_set(cell, widths[k], bool(section.columns) and section.columns[k].startswith(">")) for k, cell in enumerate(row)]
                lines.append(("  " + "  ".join(cells)).rstrip())
        lines += ["  " + line for line in section.lines]
    return "\n".join(lines).strip("\n")


def _set(text: str, width: int, right: bool) -> str:
    pad = " " * (width - columns(text))
    return pad + text if right else text + pad


def _rich(parts: list[Section]) -> str:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    with console.capture() as capture:
        for section in parts:
            if section.title:
                console.print(Text(f"\n{section.title}", style="bold cyan"))
            if section.rows:
                table = Table(box=SIMPLE_HEAD if section.columns else None, show_header=bool(section.columns), header_style="dim", padding=(0, 1),
                              pad_edge=True,
                              show_edge=False)
                for k in range(len(section.rows[0])):
                    head = section.columns[k] if section.columns else ""
                    table.add_column(head.lstrip(">"), justify="right" if head.startswith(">") else "left", no_wrap=bool(section.columns),
                                     style="bold" if k == 0 else "blue" if section.columns and not head else None, overflow="ellipsis")
                for row in section.rows:
                    table.add_row(*(Text(cell) for cell in row))
                console.print(table)
            for k, line in enumerate(section.lines):
                mark = Text("● " if section.marked else "", style="red" if k < section.grave else "yellow")
                console.print(Padding(mark + Text(line), (0, 0, 0, 2)))
    return capture.get().rstrip("\n")
