"""Answers that are many times their questions, or were never asked for, to one address from services that can be abused so.

Counted: UDP from ports of DNS, NTP, SSDP, memcached, CLDAP, chargen, SNMP and others of that sort, of rows in which what came back is 8 times what was sent or
more, in packets of 200 bytes and more. The address that gets it is the target, whether it asked or somebody forged its address; each port is counted apart.
False alarms: pollers of SNMP tables; resolvers that check DNSSEC over poor caches.
To tune: `kilobytes`, and `reflectors`: what comes from one server alone is rather a download.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.conversation import AMPLIFIED_TO_CLIENT, AMPLIFIED_TO_SERVER, MANY_SERVERS, UDP, client_port, server_port
from dpi.security.detector import Detector, Limits, Rule, Words, option
from dpi.security.gauge import CLIENT, CLIENT_PORT, CLIENTS, CLIENTS_OWN, SERVER, SERVER_PORT, SERVERS, SERVERS_OWN


@dataclass(frozen=True)
class Options:
    """Of one slot."""
    seconds: int = option(60, 'length of a slot', 10, 3600)
    kilobytes: int = option(1000, 'kB of such answers to one address', 1, 1099511627776)
    reflectors: int = option(3, 'distinct servers that sent them', 1, 16777216)


def rules(options: Options) -> list[Rule]:
    """One for each side that may be the target: of ports above 1023 the sender of the first packet is the row's client."""
    limits = Limits(distinct=options.reflectors, bytes=options.kilobytes * 1000)
    return [Rule(all=UDP | AMPLIFIED_TO_CLIENT | server_port("reflector"), none=MANY_SERVERS, where="ip_protocol = 17 AND server_bytes >= 8 * client_bytes",
                 window=options.seconds, limits=limits, every=True, key=CLIENT, of=SERVERS, port=SERVER_PORT, sent=SERVERS_OWN, victim=True),
            Rule(all=UDP | AMPLIFIED_TO_SERVER | client_port("reflector"), none=MANY_SERVERS, where="ip_protocol = 17 AND client_bytes >= 8 * server_bytes",
                 window=options.seconds, limits=limits, every=True, key=SERVER, of=CLIENTS, port=CLIENT_PORT, sent=CLIENTS_OWN, victim=True)]


DETECTOR = Detector(
    kind="amplification", title=Words("Amplification", "反射放大攻击"), severity="high", technique="T1498.002", technique_name="Reflection Amplification",
    summary=Words("{target} got {bytes} bytes of amplified answers from {distinct} servers, of port {port}, in {seconds} s",
                  "{target} 在 {seconds} 秒内收到来自 {distinct} 台服务器 {port} 端口的 {bytes} 字节放大应答"),
    options=Options, rules=rules, by_port=True)
