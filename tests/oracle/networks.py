"""Networks, slowly: the twin of dpi/classify/networks.py."""
from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from dpi.classify.networks import Network


def find_network(address: ipaddress.IPv4Address | ipaddress.IPv6Address, prefixes: Mapping[Network, int]) -> int:
    """The reason of the longest prefix that holds the address; 0 none."""
    holding = [network for network in prefixes if network.version == address.version and address in network]
    return prefixes[max(holding, key=lambda network: network.prefixlen)] if holding else 0
