"""What an alarm is about, by its kind: an outage, poor quality, an attack or something else; whether it speaks of a link; how grave it is here.

Kinds are words with underscores; those of TM Forum's probable causes and of SNMP, which write them in one, are taken as such (`lossOfSignal` is
`loss_of_signal`). What is not known here is an alarm and a ticket of kind `other`.
"""
from __future__ import annotations

import re

from bss.tickets.states import dedup_key

#: An alarm of these says that the link of its service or resource is down.
LINK = frozenset({"link_down", "loss_of_signal", "los", "onu_offline", "onu_down", "olt_down", "port_down", "ap_down", "service_down", "resource_down",
                  "equipment_failure", "communications_failure", "communications_subsystem_failure", "node_down", "unreachable"})
#: And of these that the customer's own device has no power.
POWER = frozenset({"power_off", "dying_gasp"})
OUTAGE = LINK | {"ping_down", "service_silent", "resource_silent", "outage"}
QUALITY = frozenset({"loss", "congestion", "rtt_degradation", "microburst", "degraded", "degraded_signal", "signal_degrade", "high_error_rate", "quality"})
#: Against whom something is sent: what may be blocked, or limited.
FLOOD = frozenset({"syn_flood", "ack_flood", "rst_flood", "udp_flood", "icmp_flood", "dns_flood", "http_flood", "amplification", "carpet_bombing", "slow_http",
                   "nxdomain_storm"})
ATTACK = FLOOD | {"brute_force", "port_scan", "horizontal_scan", "host_sweep", "slow_scan", "arp_spoofing", "rogue_dhcp", "rogue_ra", "beacon", "dga",
                  "dns_tunnel", "icmp_tunnel", "slow_dns_tunnel", "exfiltration", "mining", "anonymiser", "new_admin_pair", "cleartext_credentials"}
#: How the probe calls it (low, medium, high, critical), and X.733 (perceivedSeverity); a warning is an alarm and no ticket.
SEVERITIES = {"critical": "critical", "high": "major", "major": "major", "medium": "minor", "minor": "minor", "low": "warning", "warning": "warning",
              "indeterminate": "warning"}


def kind_of(text: str) -> str:
    """A kind as it is written here: `lossOfSignal` and `Loss of signal` are `loss_of_signal`; '' it is none."""
    parts = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", text.strip())
    found = re.sub(r"[^a-z0-9]+", "_", parts.lower()).strip("_")
    return found if len(found) <= 64 else ""


def ticket_kind(kind: str) -> str:
    """Of which kind a ticket of such an alarm is."""
    return "outage" if kind in OUTAGE else "quality" if kind in QUALITY else "attack" if kind in ATTACK else "other"


def key_of(kind: str, service_id: str | None, resource_id: str | None) -> str:
    """The key of its ticket. All that says that a service is down is one fault of it, whichever source says so by which resource."""
    if kind in OUTAGE:
        return dedup_key(service_id, "outage", None if service_id else resource_id)
    return dedup_key(service_id, kind, resource_id)


def proposal_of(kind: str, target: str) -> dict[str, str]:
    """What is proposed against it, to be approved by a person; nothing for what nobody is hit by."""
    if kind not in FLOOD:
        return {}
    action = "block" if kind in ("amplification", "carpet_bombing") else "rate_limit"
    return {"action": action, "target": target[:200], "state": "proposed"}
