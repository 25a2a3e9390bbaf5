"""What an engineer should look at first: plain thresholds over the figures, each said in one sentence."""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.flow.figures import Figures
from dpi.reports.language import Language

OBSOLETE = ("SSL 2.0", "SSL 3.0", "TLS 1.0", "TLS 1.1", "SSLv2", "SSLv3", "TLSv1", "TLSv1.0", "TLSv1.1", "1.0", "1.1")


@dataclass(frozen=True)
class Finding:
    """One sentence; `grave` ones come first and are coloured."""
    text: str
    grave: bool = False


def findings(figures: Figures, say: Language) -> list[Finding]:
    """In the order they should be read."""
    out = [*_coverage(figures, say), *_transport(figures, say), *_services(figures, say), *_security(figures, say)]
    return sorted(out, key=lambda finding: not finding.grave)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _coverage(f: Figures, say: Language) -> list[Finding]:
    out = []
    if f.coverage.evicted > f.coverage.folded:
        out.append(Finding(say("finding.evicted", count=say.count(f.coverage.evicted - f.coverage.folded)), True))
    if f.coverage.folded:
        out.append(Finding(say("finding.folded", count=say.count(f.coverage.folded)), True))
    real = f.refused_packets - f.refused.get("not_ip", 0) - f.refused.get("not_data", 0)
    if _share(real, f.read_packets) > 0.001:
        out.append(Finding(say("finding.refused", share=say.percent(_share(real, f.read_packets))), True))
    if f.tcp.packets > 200 and _share(f.tcp.one_sided, f.tcp.packets) > 0.5:
        out.append(Finding(say("finding.one_way", share=say.percent(_share(f.tcp.one_sided, f.tcp.packets))), True))
    unknown = sum(share.bytes for share in f.confidences if not share.name)
    if _share(unknown, f.bytes) > 0.1:
        out.append(Finding(say("finding.unknown", share=say.percent(_share(unknown, f.bytes)))))
    if f.clients and f.distinct.get("clients", 0) >= 10 and _share(f.clients[0].bytes, f.bytes) > 0.3:
        out.append(Finding(say("finding.concentration", share=say.percent(_share(f.clients[0].bytes, f.bytes)), address=f.clients[0].address)))
    return out


def _transport(f: Figures, say: Language) -> list[Finding]:
    out, tcp = [], f.tcp
    if tcp.packets >= 100:
        again, late = _share(tcp.retransmissions, tcp.packets), _share(tcp.out_of_order, tcp.packets)
        if again > 0.01:
            out.append(Finding(say("finding.retransmissions", share=say.percent(again)), again > 0.03))
        if late > 0.02:
            out.append(Finding(say("finding.reordering", share=say.percent(late))))
    if tcp.handshakes >= 10:
        for key, count in (("unanswered", tcp.unanswered), ("refused_handshakes", tcp.refused)):
            share = _share(count, tcp.handshakes)
            if share > 0.05:
                out.append(Finding(say(f"finding.{key}", count=say.count(count), total=say.count(tcp.handshakes), share=say.percent(share)), share > 0.25))
    if tcp.zero_windows >= 10:
        out.append(Finding(say("finding.zero_windows", count=say.count(tcp.zero_windows))))
    if f.server_rtt.count >= 10 and (median := f.server_rtt.percentile(0.5)) > 150_000:
        out.append(Finding(say("finding.server_delay", delay=say.delay(median))))
    if f.response.count >= 10 and (median := f.response.percentile(0.5)) > 500_000:
        out.append(Finding(say("finding.slow_response", delay=say.delay(median))))
    return out


def _services(f: Figures, say: Language) -> list[Finding]:
    out = []
    answered = sum(share.flows for share in f.dns.codes)
    bad = answered - sum(share.flows for share in f.dns.codes if share.name in ("NOERROR", ""))
    if answered >= 20 and _share(bad, answered) > 0.1:
        out.append(Finding(say("finding.nxdomain", share=say.percent(_share(bad, answered))), _share(bad, answered) > 0.3))
    if f.dns.delays.count >= 20 and (slow := f.dns.delays.percentile(0.9)) > 300_000:
        out.append(Finding(say("finding.dns_slow", delay=say.delay(slow))))
    statuses = sum(share.flows for share in f.http.status)
    errors = sum(share.flows for share in f.http.status if share.name == "5xx")
    if errors >= 3 and _share(errors, statuses) > 0.02:
        out.append(Finding(say("finding.server_errors", count=say.count(errors), share=say.percent(_share(errors, statuses)))))
    return out


def _security(f: Figures, say: Language) -> list[Finding]:
    out = []
    old = [share for share in f.tls.versions if share.name in OBSOLETE]
    if old:
        out.append(Finding(say("finding.obsolete_tls", count=say.count(sum(share.flows for share in old)), versions=", ".join(share.name for share in old))))
    for share in f.risks:
        if share.name and not (old and share.name == "obsolete_tls"):
            out.append(Finding(say("finding.risk", risk=say.known("risk", share.name), count=say.count(share.flows)), share.name == "clear_text_credentials"))
    return out
