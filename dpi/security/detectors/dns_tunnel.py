"""Data in names: one client asks for many names of one domain that are long and look like no words, or for many of types that carry data back (iodine,
dns2tcp, dnscat2, files spelled in names).

Counted: for each client and registered domain, questions whose name has 52 octets or more below the domain and few pairs of letters that words have: their
distinct names and octets; and distinct names asked for by TXT, NULL, CNAME, MX, SRV, KEY and iodine's PRIVATE.
What is inside of DNS over TLS or HTTPS is not seen.
False alarms: reputation services of virus scanners and spam filters, which spell hashes of files and addresses in names; a mail server that asks a large
list by TXT. Name their domains in `ignore`.
To tune: `names` and `kilobytes`; `typed`. What goes slower is told by slow_dns_tunnel.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.detector import Detector, Limits, Rule, Words, listed, option, parts
from dpi.security.gauge import NAMES, PAIR
from dpi.security.names import ASKED, CARRIER, LONG_NAME, REVERSE, SPELLED


@dataclass(frozen=True)
class Options:
    """Of one slot."""
    seconds: int = option(60, 'length of a slot', 10, 3600)
    names: int = option(50, 'distinct long names of one domain', 5, 16777216)
    kilobytes: int = option(4, 'kB spelled in them', 1, 1099511627776)
    typed: int = option(100, 'distinct names of one domain asked for by types that carry data', 5, 16777216)
    ignore: str = listed('domains that are not told, with what is below them, separated by commas')


def rules(options: Options) -> list[Rule]:
    """By names, and by type."""
    where, called, spared = "protocol = 'DNS'", (("distinct", "names"), ("packets", "questions"), ("bytes", "octets in names")), parts(options.ignore)
    long, typed = Limits(distinct=options.names, bytes=options.kilobytes * 1000), Limits(distinct=options.typed)
    return [Rule(all=ASKED | LONG_NAME | SPELLED, none=REVERSE, where=where, window=options.seconds, limits=long, every=True, key=PAIR, of=NAMES, table="dns",
                 called=called, spared=spared),
            Rule(all=ASKED | CARRIER, none=REVERSE, where=where, window=options.seconds, limits=typed, key=PAIR, of=NAMES, table="dns", called=called,
                 spared=spared)]


DETECTOR = Detector(
    kind="dns_tunnel", title=Words("DNS tunnel", "DNS 隧道"), severity="high", technique="T1071.004", technique_name="Application Layer Protocol: DNS",
    summary=Words("{source} asked for {distinct} names of {target} that carry data, {bytes} octets in {seconds} s",
                  "{source} 在 {seconds} 秒内查询了 {target} 下 {distinct} 个携带数据的域名，共 {bytes} 字节"),
    options=Options, rules=rules)
