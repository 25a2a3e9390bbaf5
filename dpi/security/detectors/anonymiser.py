"""A client that hides whom it talks to: Tor, I2P, proxies, VPN services.

Counted: connections whose application is an anonymiser or a VPN service that people subscribe to, by the names in rules/apps/vpn.toml and p2p.toml, and SOCKS
from a local or private address to one that is neither. With `vpn = 1` also every protocol of the category vpn (OpenVPN, WireGuard, IPSec and others), which
offices use.
False alarms: who reads a service's web page; a home worker's VPN, with `vpn = 1`.
Not seen: Tor and services by servers whose names no rule has; bridges made to look like something else.
To tune: `packets`; rules of applications (docs/rules.md) add services.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.conversation import FROM_INSIDE, MANY_SERVERS, ONLY_CLIENT, TO_INSIDE, server_port
from dpi.security.detector import Detector, Limits, Rule, Sort, Words, option
from dpi.security.gauge import CLIENT, SERVERS

SERVICES = Sort(applications=("CactusVPN", "CyberGhost", "ExpressVPN", "FreeGate", "HideMe", "Hola", "HotspotShield", "I2P", "IPVanish", "Lantern", "Mullvad",
                              "NordVPN", "OperaVPN", "Outline", "PrivateInternetAccess", "ProtonVPN", "Psiphon", "PureVPN", "Softether", "SurfShark", "Tor",
                              "TunnelBear", "UltraSurf", "Windscribe"))


@dataclass(frozen=True)
class Options:
    """Of one slot."""
    seconds: int = option(600, 'length of a slot', 60, 86400)
    packets: int = option(20, 'packets of such conversations', 1, 1099511627776)
    vpn: int = option(0, '1: every VPN counts, not only services', 0, 1)


def rules(options: Options) -> list[Rule]:
    """Services; SOCKS; all VPNs, where asked for."""
    def used(sort: Sort, where: str, bits: int = 0, none: int = 0) -> Rule:
        return Rule(all=bits, none=none | ONLY_CLIENT | MANY_SERVERS | server_port("dns"), where=where, window=options.seconds,
                    limits=Limits(packets=options.packets), sort=sort, key=CLIENT, of=SERVERS)
    every = [used(SERVICES, f"application IN {SERVICES.applications}"), used(Sort(protocols=("SOCKS",)), "protocol = 'SOCKS'", FROM_INSIDE, TO_INSIDE)]
    return [*every, used(Sort(categories=("vpn",)), "category = 'vpn'")] if options.vpn else every


DETECTOR = Detector(
    kind="anonymiser", title=Words("Anonymiser", "匿名工具"), severity="low", technique="T1090", technique_name="Proxy",
    summary=Words("{source} uses an anonymiser or a VPN service: {packets} packets with {addresses} in {seconds} s",
                  "{source} 使用匿名工具或 VPN 服务：{seconds} 秒内与 {distinct} 个地址交换 {packets} 个报文"),
    options=Options, rules=rules)
