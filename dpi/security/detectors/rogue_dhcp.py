"""A DHCP server answers that is none of those expected.

Counted: offers, acknowledgements and refusals of DHCP, advertisements and replies of DHCPv6, by the server that the message names, else its sender. Known are
the servers in `known`, and in each VLAN those heard within `learn` seconds of the first: an attacker who was there first is believed, so name your own
servers and set `learn` to 0 where you can.
False alarms: a second server of one's own that first answers later, after each start of the probe, unless it is in `known`; several segments without VLANs
in one capture.
To tune: `known` and `learn`.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.detector import Detector, Limits, Rule, Words, listed, option, parts
from dpi.security.gauge import CLIENTS, SERVER
from dpi.security.segment import ROGUE_SERVER


@dataclass(frozen=True)
class Options:
    """Of one slot."""
    seconds: int = option(60, 'length of a slot', 10, 3600)
    answers: int = option(1, 'seconds in which it answered', 1, 1000000)
    learn: int = option(2, 's after the first answer in a VLAN in which others are taken as known', 0, 604800)
    known: str = listed('addresses or networks of one\'s own servers, separated by commas')


def rules(options: Options) -> list[Rule]:
    """By server."""
    where = "(client_port IN (67, 547) OR server_port IN (67, 547))"
    return [Rule(all=ROGUE_SERVER, where=where, window=options.seconds, limits=Limits(packets=options.answers),
                 key=SERVER, of=CLIENTS, table="segment", called=(("packets", "answers"),), learn=options.learn, spared=parts(options.known))]


DETECTOR = Detector(
    kind="rogue_dhcp", title=Words("Rogue DHCP server", "非法 DHCP 服务器"), severity="high", technique="T1557.003", technique_name="DHCP Spoofing",
    summary=Words("{source} ({mac}) answers as a DHCP server and is none of those known", "{source}（{mac}）充当 DHCP 服务器应答，但不在已知之列"),
    options=Options, rules=rules)
