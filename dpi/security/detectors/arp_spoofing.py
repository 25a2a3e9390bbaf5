"""Somebody on the segment says by ARP, again and again, that an address is his which is another's.

Counted: frames of ARP, requests and replies, asked for or not, whose sender has another MAC address than the one first heard to have the address in these
VLANs; one a second at most. A new MAC address is believed where the old one was silent for 20 minutes, or since the claims began two minutes ago. Where the
probe hears the attacker first, the rightful owner's frames are the claims: the alert names the address, and a MAC address of the two.
False alarms: two hosts with one address (worth a look all the same); a router that answers for others (proxy ARP) beside them; a cluster whose address moves
to and fro. A switchover that is said a few times and then holds is not told.
To tune: `claims`; name moving addresses, or the MAC addresses they move between, in `ignore`.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.detector import Detector, Limits, Rule, Words, listed, option, parts
from dpi.security.gauge import CLIENTS, SERVER
from dpi.security.segment import CLAIMED


@dataclass(frozen=True)
class Options:
    """Of one slot."""
    seconds: int = option(60, 'length of a slot', 10, 3600)
    claims: int = option(4, 'seconds in which an address is claimed that is known to be another\'s', 1, 1000000)
    ignore: str = listed('addresses, networks or MAC addresses (02:00:5e:00:00:01) that are not told, separated by commas')


def rules(options: Options) -> list[Rule]:
    """By address."""
    return [Rule(all=CLAIMED, where="1", window=options.seconds, limits=Limits(packets=options.claims), key=SERVER, of=CLIENTS, victim=True, table="segment",
                 called=(("packets", "claims"), ("distinct", "MAC addresses")), spared=parts(options.ignore))]


DETECTOR = Detector(
    kind="arp_spoofing", title=Words("ARP spoofing", "ARP 欺骗"), severity="high", technique="T1557.002", technique_name="ARP Cache Poisoning",
    summary=Words("{target}, which another has, was claimed by {source} {packets} times in {seconds} s",
                  "{target} 已属他人，却在 {seconds} 秒内被 {source} 宣称 {packets} 次"),
    options=Options, rules=rules)
