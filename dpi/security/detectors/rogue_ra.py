"""A host advertises itself as an IPv6 router that is none of those expected (RFC 6104).

Counted: router advertisements of unknown MAC addresses, by the sender's address. Known is who is in `known`, and in each VLAN the MAC addresses of routers
heard within `learn` seconds of the first: an attacker who was there first is believed, so name your own routers and set `learn` to 0 where you can.
False alarms: a second router of one's own that first advertises itself later, after each start of the probe, unless it is in `known`; a phone or a virtual
machine that shares its connection (which is a rogue router, without intent).
To tune: `known` and `learn`.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.detector import Detector, Limits, Rule, Words, listed, option, parts
from dpi.security.gauge import CLIENTS, SERVER
from dpi.security.segment import ROGUE_ROUTER


@dataclass(frozen=True)
class Options:
    """Of one slot."""
    seconds: int = option(60, 'length of a slot', 10, 3600)
    advertisements: int = option(1, 'seconds in which it advertised itself', 1, 1000000)
    learn: int = option(10, 's after the first advertisement in a VLAN in which others are taken as known', 0, 604800)
    known: str = listed('addresses or networks of one\'s own routers, or their MAC addresses, separated by commas')


def rules(options: Options) -> list[Rule]:
    """By router."""
    return [Rule(all=ROGUE_ROUTER, where="ip_protocol = 58", window=options.seconds, limits=Limits(packets=options.advertisements), key=SERVER, of=CLIENTS,
                 table="segment", called=(("packets", "advertisements"),), learn=options.learn, spared=parts(options.known))]


DETECTOR = Detector(
    kind="rogue_ra", title=Words("Rogue router advertisement", "非法路由器通告"), severity="high", technique="T1557", technique_name="Adversary-in-the-Middle",
    summary=Words("{source} ({mac}) advertises itself as an IPv6 router and is none of those known", "{source}（{mac}）通告自己为 IPv6 路由器，但不在已知之列"),
    options=Options, rules=rules)
