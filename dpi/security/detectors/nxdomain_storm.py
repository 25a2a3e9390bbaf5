"""More answers that fail than answers that help: a client, or a resolver, asks for what isn't there at a high rate, or many clients do so about one domain.

Counted: answers NXDOMAIN and SERVFAIL against all others, in a minute, which must be fewer: by client, over `domains` domains or more; by client and
domain, `names` distinct names (a random-subdomain attack through one resolver, or a broken program); by domain, from `clients` clients or more (the same
attack from a botnet, also called water torture). Reverse names and lists asked by address are not counted. What dga and dns_tunnel tell is not told again.
False alarms: a search suffix that makes every name of a large office fail at first; a crawler of an old list of names.
To tune: `answers`, `names`, and `clients`.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.detector import Detector, Limits, Rule, Words, listed, option, parts
from dpi.security.gauge import CLIENT, CLIENTS, NAMES, PAIR, SERVER, SERVERS
from dpi.security.names import ANSWERED, REVERSE


@dataclass(frozen=True)
class Options:
    """Of one slot."""
    seconds: int = option(60, 'length of a slot', 10, 3600)
    answers: int = option(300, 'answers to one client that failed', 10, 1099511627776)
    domains: int = option(10, 'distinct domains they are about', 1, 16777216)
    names: int = option(300, 'distinct names of one domain that one client asked for', 10, 16777216)
    all_answers: int = option(1000, 'answers about one domain that failed, to all clients', 10, 1099511627776)
    clients: int = option(10, 'distinct clients that had them', 2, 16777216)
    ignore: str = listed('domains, clients or networks that are not told, separated by commas')


def rules(options: Options) -> list[Rule]:
    """By client, by client and domain, by domain."""
    where, spared = "protocol = 'DNS'", parts(options.ignore)
    failed, others = ("packets", "answers that failed"), ("bytes", "other answers")
    one = Limits(packets=options.answers, distinct=options.domains)
    about, many = Limits(packets=options.names, distinct=options.names), Limits(packets=options.all_answers, distinct=options.clients)
    return [Rule(all=ANSWERED, none=REVERSE, where=where, window=options.seconds, limits=one, every=True, outweigh=True, key=CLIENT, of=SERVERS, table="dns",
                 called=(("distinct", "domains"), failed, others), spared=spared),
            Rule(all=ANSWERED, none=REVERSE, where=where, window=options.seconds, limits=about, every=True, outweigh=True, key=PAIR, of=NAMES, table="dns",
                 called=(("distinct", "names"), failed, others), spared=spared),
            Rule(all=ANSWERED, none=REVERSE, where=where, window=options.seconds, limits=many, every=True, outweigh=True, key=SERVER, of=CLIENTS, table="dns",
                 victim=True, called=(("distinct", "clients"), failed, others), spared=spared)]


DETECTOR = Detector(
    kind="nxdomain_storm", title=Words("NXDOMAIN storm", "NXDOMAIN 风暴"), severity="medium", technique="T1499.002", technique_name="Service Exhaustion Flood",
    summary=Words("{packets} answers of DNS to {source} about names of {target} failed in {seconds} s",
                  "{seconds} 秒内 {source} 关于 {target} 域名的 DNS 应答有 {packets} 个失败"),
    options=Options, rules=rules, unless=("dga", "dns_tunnel"))
