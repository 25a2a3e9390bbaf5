"""What of sessions is learned, from words of the settings."""
from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

from dpi.errors import UserError
from dpi.identity.event import SOURCES
from dpi.identity.sessions import Learning

MOST_NETWORKS = 256


def learning(learn: str, radius_from: str, dhcp_from: str, seconds: int, most: int, *, wanted: bool, any_scope: bool) -> Learning:
    """learn: '' (everything, where it is `wanted`), 'off', or what is learned, separated by commas; radius_from, dhcp_from: networks whose accounting is
    believed, and whose DHCP servers and relays are.

    UserError: a word or a network that is none."""
    kinds = 0
    words = [word.strip() for word in learn.lower().split(",") if word.strip()]
    for word in words:
        if word not in SOURCES and (word != "off" or len(words) > 1):
            raise UserError(f"nothing is learned from {word!r}", "[identity] learn", f"write {', '.join(SOURCES)}, or off alone, or nothing")
        kinds |= SOURCES.get(word, 0)
    if not words and wanted:
        kinds = sum(SOURCES.values())
    return Learning(kinds, _networks(radius_from, "radius_from"), seconds, most, any_scope, _networks(dhcp_from, "dhcp_from"))


def _networks(words: str, name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    networks: list[IPv4Network | IPv6Network] = []
    for text in words.split(","):
        if text.strip():
            try:
                networks.append(ip_network(text.strip()))
            except ValueError as error:
                raise UserError(f"not a network: {error}", f"[identity] {name}", "write networks as 192.0.2.0/28, separated by commas") from None
    if len(networks) > MOST_NETWORKS:
        raise UserError(f"{len(networks)} networks, {MOST_NETWORKS} are allowed", f"[identity] {name}", "name the larger networks that hold them")
    return tuple(networks)
