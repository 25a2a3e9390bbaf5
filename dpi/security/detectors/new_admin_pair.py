"""A session of administration between two hosts that never had one before: SSH, RDP, SMB, WinRM, VNC, Telnet, the interfaces of Kubernetes and Docker.

Counted: connections with payload both ways that are more than a failed log-in, known by their bytes or else by port. For `learn` seconds after the start
pairs of hosts are only learned; then each that is new is told once. 32,768 pairs are remembered, in memory: a restart learns anew.
False alarms: a new machine or a new colleague; addresses that change hands; file shares of guests.
Not seen: sessions that began before the probe did, and what pairs do that are known.
To tune: `learn`: a day or a week where a probe runs all the time. In a replay only what comes `learn` seconds after the first packet can be told.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.conversation import BRIEF, EMPTY, FOLDED, MANY_SERVERS, ONE_SIDED, ONLY_CLIENT, ONLY_SERVER, PROBE, TCP, UNFINISHED
from dpi.security.detector import Detector, Limits, Rule, Sort, Words, option
from dpi.security.gauge import PAIR, SERVER_PORT

ADMINISTRATION = Sort(protocols=("SSH", "RDP", "SMBv1", "SMBv23", "VNC", "Telnet", "Rlogin", "Radmin"),
                      ports=(22, 23, 135, 139, 445, 2375, 2376, 3389, 5900, 5985, 5986, 6443, 10250))


@dataclass(frozen=True)
class Options:
    """What is remembered."""
    seconds: int = option(60, 'length of a slot', 10, 3600)
    learn: int = option(3600, 'seconds after the start in which pairs are only learned', 0, 31 * 86400)


def rules(options: Options) -> list[Rule]:
    """One rule."""
    return [Rule(all=TCP, none=BRIEF | EMPTY | FOLDED | MANY_SERVERS | ONE_SIDED | ONLY_CLIENT | ONLY_SERVER | PROBE | UNFINISHED,
                 where="ip_protocol = 6 AND client_payload_bytes > 0 AND server_payload_bytes > 0 AND NOT (final AND interval = 0 AND "
                       "client_payload_bytes <= 4096 AND server_payload_bytes <= 8192)",
                 window=options.seconds, limits=Limits(packets=10), sort=ADMINISTRATION, key=PAIR, port=SERVER_PORT, acquaint=options.learn)]


DETECTOR = Detector(
    kind="new_admin_pair", title=Words("New admin pair", "新的管理会话"), severity="low", technique="T1021", technique_name="Remote Services",
    summary=Words("{source} administers {target}, port {port}, for the first time",
                  "{source} 首次管理 {target}（端口 {port}）"),
    options=Options, rules=rules, by_port=True)
