"""Names of an algorithm: one client asks for many domains that don't exist and whose letters look drawn at random, as malware does that looks for its server.

Counted: for each client, distinct registered domains of answers NXDOMAIN whose own label has 8 letters or more, of whose pairs of neighbouring letters
fewer than 45 % are among the common ones of words (dpi/security/names.py has the list; nothing is learned). IDNs and reverse names are not counted.
Algorithms that put words together look like people, and those that make names below one dynamic domain are rather told by nxdomain_storm.
False alarms: a resolver as the client of many users; a scanner that looks for free domains.
To tune: `domains`.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.detector import Detector, Limits, Rule, Words, listed, option, parts
from dpi.security.gauge import CLIENT, SERVERS
from dpi.security.names import ANSWERED, GENERATED, MISSING, REVERSE


@dataclass(frozen=True)
class Options:
    """Of one slot."""
    seconds: int = option(300, 'length of a slot', 10, 86400)
    domains: int = option(25, 'distinct domains that look random and do not exist', 3, 16777216)
    ignore: str = listed('clients or networks that are not told, such as resolvers, separated by commas')


def rules(options: Options) -> list[Rule]:
    """By client."""
    return [Rule(all=ANSWERED | MISSING | GENERATED, none=REVERSE, where="protocol = 'DNS'", window=options.seconds, limits=Limits(distinct=options.domains),
                 key=CLIENT, of=SERVERS, table="dns", called=(("distinct", "domains"), ("packets", "answers NXDOMAIN")), spared=parts(options.ignore))]


DETECTOR = Detector(
    kind="dga", title=Words("Generated domains", "算法生成域名"), severity="high", technique="T1568.002", technique_name="Domain Generation Algorithms",
    summary=Words("{source} asked for {distinct} domains that look random and do not exist, in {seconds} s",
                  "{source} 在 {seconds} 秒内查询了 {distinct} 个貌似随机且不存在的域名"),
    options=Options, rules=rules)
