"""A local client that calls one server again and again at even intervals, as malware asks its controller for orders.

Counted: the beginnings of TCP connections (and of QUIC) from a local or private address to one port of a server that is neither, whose application no rule
names, up to 64 within the slot. The standard deviation of their intervals must be at most `spread` percent of the mean: calls at random come to about 100,
intervals that vary evenly by a fifth to 12, by two fifths to 23. Calls much closer than the others are one.
False alarms: monitoring, update checks, clocks set over HTTPS, push services, anything a timer starts: name them by a rule of applications
(docs/rules.md) or put their servers into [detect] ignore_networks. NTP, DNS, mail, MQTT and SNMP are not looked at.
Not seen: calls that keep one connection open; intervals with more jitter; programs that call more often than each `least` s or less often than `calls` times
a slot; in a full table the calls that are rarest.
To tune: `calls`, `spread`; a longer slot for slower calls.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.conversation import ANSWERED, FROM_INSIDE, MIDSTREAM, NAMED, ONLY_CLIENT, ONLY_SERVER, OPENED, TCP, TO_INSIDE, UDP, server_port
from dpi.security.detector import Detector, Limits, Rule, Sort, Words, option
from dpi.security.gauge import PAIR, SERVER_PORT, STARTS
from dpi.security.rhythm import Rhythm

#: What programs ask again and again by its nature: mail, MQTT, SNMP, NTP.
POLLS = Sort(ports=(25, 110, 123, 143, 161, 465, 587, 993, 995, 1883, 8883))


@dataclass(frozen=True)
class Options:
    """Of one slot."""
    seconds: int = option(3600, 'length of a slot', 600, 86400)
    calls: int = option(12, 'calls in a slot, at least', 5, 64)
    spread: int = option(25, 'deviation of the intervals, percent of their mean, at most', 1, 80)
    least: int = option(4, 'mean interval, s, at least', 1, 3600)


def rules(options: Options) -> list[Rule]:
    """TCP, and QUIC."""
    def calls(bits: int, sort: Sort, where: str) -> Rule:
        return Rule(all=bits | FROM_INSIDE | OPENED, none=TO_INSIDE | NAMED | MIDSTREAM | ONLY_CLIENT | ONLY_SERVER | server_port("dns"),
                    where=f"interval = 0 AND application = '' AND {where}", window=options.seconds, limits=Limits(distinct=options.calls), sort=sort,
                    beside=POLLS, key=PAIR, of=STARTS, port=SERVER_PORT, rhythm=Rhythm(options.calls, options.spread, options.least))
    return [calls(TCP | ANSWERED, Sort(), "ip_protocol = 6"), calls(UDP, Sort(protocols=("QUIC",)), "protocol = 'QUIC'")]



DETECTOR = Detector(
    kind="beacon", title=Words("Beacon", "信标通信"), severity="medium", technique="T1071", technique_name="Application Layer Protocol",
    summary=Words("{source} calls {target}, port {port}, every {every} s",
                  "{source} 每隔 {every} 秒连接 {target} 的 {port} 端口"),
    options=Options, rules=rules, by_port=True)
