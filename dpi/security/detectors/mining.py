"""A client that mines crypto-currency for a pool.

Counted: TCP connections that rules know by the words of Stratum or the names of pools (rules/apps/finance.toml: Mining, Monero); and, with
TLS or without a name, connections of more than ten minutes to ports of pools over which both sides say at most 16 kB a row, as a miner does that hands in
shares.
False alarms: wallets and nodes of Monero; somebody who looks at a pool's web page; chats and games on those ports.
Not seen: pools behind a proxy on port 443 whose name no rule has.
To tune: `quiet_packets`: of connections known by port alone; 1099511627776 switches these off.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.conversation import ANY_SERVER, FROM_INSIDE, NAMED, ONLY_CLIENT, ONLY_SERVER, TCP, TO_INSIDE, TRICKLE
from dpi.security.detector import Detector, Limits, Rule, Sort, Words, option
from dpi.security.gauge import CLIENT, SERVERS

NAMES = Sort(applications=("Mining", "Monero"))
#: Ports that pools document for Stratum, in clear and with TLS.
POOLS = Sort(ports=(3032, 3333, 3334, 4444, 5555, 7777, 8008, 8118, 9980, 10128, 10343, 14433, 14444, 20128, 20580, 45560, 45700))


@dataclass(frozen=True)
class Options:
    """Of one slot."""
    seconds: int = option(600, 'length of a slot', 60, 86400)
    packets: int = option(8, 'packets of connections known by their bytes or names', 1, 1099511627776)
    quiet_packets: int = option(60, 'packets of long, quiet connections known by port', 1, 1099511627776)


def rules(options: Options) -> list[Rule]:
    """By name; by port."""
    return [Rule(all=TCP, none=ONLY_CLIENT | ONLY_SERVER | ANY_SERVER, where="ip_protocol = 6 AND application IN ('Mining', 'Monero')", window=options.seconds,
                 limits=Limits(packets=options.packets), sort=NAMES, key=CLIENT, of=SERVERS),
            Rule(all=TCP | TRICKLE | FROM_INSIDE, none=TO_INSIDE | NAMED,
                 where="ip_protocol = 6 AND application = '' AND dateDiff('second', flow_start_time, interval_end) >= 600", window=options.seconds,
                 limits=Limits(packets=options.quiet_packets), sort=POOLS, key=CLIENT, of=SERVERS)]


DETECTOR = Detector(
    kind="mining", title=Words("Mining", "挖矿"), severity="medium", technique="T1496", technique_name="Resource Hijacking",
    summary=Words("{source} seems to mine for a pool, {target}",
                  "{source} 疑似为矿池 {target} 挖矿"),
    options=Options, rules=rules)
