"""Very much sent by a local client to one server outside that it has not sent so much to before.

Counted: bytes a local or private address sends to one that is neither, of conversations in which it sends ten times what it gets: uploads, not calls
and not downloads. To servers whose application a rule names (stores of files, video, backup) `named_megabytes` are allowed, to others `megabytes`: the
default is above the largest letter that mail systems take. Once half an hour has taught what is usual of a pair of addresses, four times that must be exceeded.
False alarms: the first backup, a film sent to somebody, tests of the line's speed.
Not seen: what is sent slowly, or shared out over many servers; what a server takes while it sends as much.
To tune: `megabytes`; [detect] ignore_networks for servers that backups go to.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.conversation import FROM_INSIDE, NAMED, SENDING, TCP, TO_INSIDE, UDP
from dpi.security.detector import Detector, Limits, Rule, Words, option
from dpi.security.gauge import CLIENTS_OWN, PAIR


@dataclass(frozen=True)
class Options:
    """Of one slot."""
    seconds: int = option(300, 'length of a slot', 60, 86400)
    megabytes: int = option(30, 'MB to one server without a name', 1, 1 << 30)
    named_megabytes: int = option(2000, 'MB to one server of a named application', 1, 1 << 30)
    times: int = option(4, 'so many times the usual, where that is known', 1, 1000)


def rules(options: Options) -> list[Rule]:
    """Servers without a name; all servers."""
    def sent(megabytes: int, none: int, where: str) -> Rule:
        limits = Limits(bytes=megabytes * 1_000_000)
        return Rule(all=FROM_INSIDE | SENDING, any=TCP | UDP, none=TO_INSIDE | none, where=f"ip_protocol IN (6, 17) AND {where}", window=options.seconds,
                    limits=limits, floor=limits, times=float(options.times), usual=True, key=PAIR, sent=CLIENTS_OWN)
    where = "client_payload_bytes >= 10 * server_payload_bytes"
    return [sent(options.megabytes, NAMED, f"application = '' AND {where}"), sent(options.named_megabytes, 0, where)]


DETECTOR = Detector(
    kind="exfiltration", title=Words("Exfiltration", "数据外泄"), severity="medium", technique="T1048",
    technique_name="Exfiltration Over Alternative Protocol",
    summary=Words("{source} sent {bytes} bytes to {target} in {seconds} s",
                  "{source} 在 {seconds} 秒内向 {target} 发送了 {bytes} 字节"),
    options=Options, rules=rules)
