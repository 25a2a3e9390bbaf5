"""A name and a password that went over the line in clear.

Counted: conversations in which a parser saw a log-in without TLS: FTP, POP3, IMAP, SMTP, HTTP with Basic, LDAP, MQTT, SOCKS, SIP. That it was there is kept,
never what it was. Who guesses passwords is told by brute_force, not again.
False alarms: passwords that are none, as those of public FTP servers.
Not seen: log-ins in forms of pages, Telnet, databases; conversations known by port alone.
To tune: `connections`; `severity` where rules of a house forbid it; [detect] ignore_ports.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.conversation import CLEAR_TEXT
from dpi.security.detector import Detector, Limits, Rule, Words, option
from dpi.security.gauge import CONNECTIONS, PAIR


@dataclass(frozen=True)
class Options:
    """Of one slot."""
    seconds: int = option(60, 'length of a slot', 10, 3600)
    connections: int = option(1, 'distinct conversations with one server', 1, 1000000)


def rules(options: Options) -> list[Rule]:
    """One rule."""
    return [Rule(all=CLEAR_TEXT, where="has(risks, 'clear_text_credentials')", window=options.seconds, limits=Limits(distinct=options.connections), key=PAIR,
                 of=CONNECTIONS)]


DETECTOR = Detector(
    kind="cleartext_credentials", title=Words("Clear-text credentials", "明文凭据"), severity="low", technique="T1552", technique_name="Unsecured Credentials",
    summary=Words("{source} sent a password in clear to {target}",
                  "{source} 以明文向 {target} 发送了密码"),
    options=Options, rules=rules, unless=("brute_force",))
