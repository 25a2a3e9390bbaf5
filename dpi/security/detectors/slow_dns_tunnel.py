"""Data in names, said slowly: one client asks for many names of one domain within an hour that are long and look like no words.

Counted: as the long names of dns_tunnel, over an hour. A tunnel that dns_tunnel has told within the hour is not told again.
False alarms: as there.
To tune: `names` and `kilobytes`.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.detector import Detector, Limits, Rule, Words, listed, option, parts
from dpi.security.gauge import NAMES, PAIR
from dpi.security.names import ASKED, LONG_NAME, REVERSE, SPELLED


@dataclass(frozen=True)
class Options:
    """Of one slot."""
    seconds: int = option(3600, 'length of a slot', 60, 86400)
    names: int = option(200, 'distinct long names of one domain', 5, 16777216)
    kilobytes: int = option(12, 'kB spelled in them', 1, 1099511627776)
    ignore: str = listed('domains that are not told, with what is below them, separated by commas')


def rules(options: Options) -> list[Rule]:
    """By client and domain."""
    return [Rule(all=ASKED | LONG_NAME | SPELLED, none=REVERSE, where="protocol = 'DNS'", window=options.seconds, every=True, key=PAIR, of=NAMES, table="dns",
                 limits=Limits(distinct=options.names, bytes=options.kilobytes * 1000), spared=parts(options.ignore),
                 called=(("distinct", "names"), ("packets", "questions"), ("bytes", "octets in names")))]


DETECTOR = Detector(
    kind="slow_dns_tunnel", title=Words("Slow DNS tunnel", "慢速 DNS 隧道"), severity="medium", technique="T1071.004",
    technique_name="Application Layer Protocol: DNS",
    summary=Words("{source} slowly asked for {distinct} names of {target} that carry data, {bytes} octets in {seconds} s",
                  "{source} 在 {seconds} 秒内缓慢查询了 {target} 下 {distinct} 个携带数据的域名，共 {bytes} 字节"),
    options=Options, rules=rules, unless=("dns_tunnel",))
