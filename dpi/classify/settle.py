"""The last word on exported rows: where neither bytes nor names gave an application, DNS answers, networks and ports are asked."""
from __future__ import annotations

from typing import Any

import numpy as np

from dpi.classify.memory import (
    carriers_of,
    names_of,
    networks4_of,
    networks6_of,
    ports_of,
    reason_dns_of,
    reasons_of,
    resolution_head_of,
    resolution_text_of,
    resolutions_of,
)
from dpi.classify.names import find_name
from dpi.classify.networks import find_network
from dpi.classify.ports import find_port
from dpi.classify.resolutions import resolve
from dpi.flow.facts import NAME_DNS, NAME_NONE, clear
from dpi.flow.memory import out_addresses_of, out_details_of, out_extra_of, out_facts_of, out_flows_of, out_head_of, seed_of
from dpi.jit import kernel

BY_PORT, BY_NETWORK = 1, 2      # bits of `carriers`: what may name a flow of this protocol


@kernel
def settle(w: Any) -> Any:
    """Complete the verdict of the exported rows. `carriers` uint8 by protocol number: BY_PORT, BY_NETWORK."""
    out_flows, out_details, out_extra, reasons = out_flows_of(w), out_details_of(w), out_extra_of(w), reasons_of(w)
    carriers, networks4, networks6 = carriers_of(w), networks4_of(w), networks6_of(w)
    for k in range(out_head_of(w)[0]):
        extra = out_extra[k]
        reason = np.int64(extra.reason)
        if extra.application == 0 and carriers[extra.protocol] & BY_NETWORK:
            by = name_by_dns(w, k)
            if by != 0:
                by = np.int64(reason_dns_of(w)[by])
            else:
                by = find_network(out_addresses_of(w)[k].server, 0, networks4, networks6)
                if by == 0:
                    by = find_network(out_addresses_of(w)[k].client, 0, networks4, networks6)
            if by != 0:
                reason = by
                extra.application = reasons[by].application
        if extra.application == 0 and extra.protocol == 0:
            by = find_port(np.int64(out_flows[k].key1 & np.uint64(0xFF)), np.int64(out_details[k].server_port), ports_of(w))
            if by != 0:
                reason = by
                extra.application = reasons[by].application
                extra.protocol = reasons[by].protocol
        extra.reason = np.uint32(reason)
        extra.confidence = reasons[reason].confidence
    return 0


@kernel
def name_by_dns(w: Any, k: Any) -> Any:
    """Give the row the name its client asked for, where it has none of its own. Returns the reason of the name's application, 0 none."""
    out_details, out_facts, head, text = out_details_of(w), out_facts_of(w), out_head_of(w), resolution_text_of(w)
    extra = out_extra_of(w)[k]
    if extra.facts != 0 and out_facts[extra.facts].name_source != NAME_NONE:
        return np.int64(0)
    found = resolve(resolutions_of(w), text, resolution_head_of(w), seed_of(w), out_addresses_of(w)[k].server, 0, out_details[k].flow_start)
    if found == 0:
        return np.int64(0)
    if extra.facts == 0:
        if head[1] + 1 >= out_facts.size:
            return np.int64(0)
        head[1] += 1
        extra.facts = np.uint32(head[1])
        clear(out_facts, head[1])
    fact = out_facts[extra.facts]
    at = found >> 16
    length = found & 0xFFFF
    for i in range(length):
        fact.server_name[i] = text[at + i]
    fact.server_name_length = np.uint16(length)
    fact.name_source = NAME_DNS
    return find_name(fact.server_name, 0, length, names_of(w))
