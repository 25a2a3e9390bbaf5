"""Many attempts to log in, by one client, at one server or at many.

Counted: connections over in a moment that hold little more than a log-in, to SSH, RDP, FTP, Telnet, VNC, mail and databases (PostgreSQL, MySQL, Redis, SQL
Server, MongoDB and others), known by their bytes or else by port; and answers 401 of HTTP in clear. Whether a log-in failed is not seen: twenty
connections of that kind a minute are what counts. Of mail and databases only those count so that hold too little for a session with TLS; of mail with TLS three
times as many do. `spray_hosts` servers tried within ten minutes are password spraying.
False alarms: programs that open a session for each command (ansible without persistent connections, git in a loop); web programs without a pool of
connections to their database, told until half an hour has taught what is usual; offices behind one address that read mail; pages that ask Windows for a log-in.
Not seen: log-ins in forms of pages, in HTTPS, many tries in one connection, guesses slower than `slow_attempts` an hour.
To tune: the numbers of attempts; [detect] ignore_networks for management stations.
"""
from __future__ import annotations

from dpi.dataclass import dataclass
from dpi.security.conversation import BRIEF, CLEAR_TEXT, DENIED, TCP, TERSE
from dpi.security.detector import Detector, Limits, Rule, Sort, Words, option
from dpi.security.gauge import CLIENT, PAIR, SERVER_PORT, SERVERS

SHELLS = Sort(protocols=("SSH", "RDP", "FTP_CONTROL", "Telnet", "VNC", "Rlogin"), ports=(21, 22, 23, 513, 3389, 5900))
#: Not port 25: mail servers meet there.
MAIL = Sort(protocols=("IMAP", "POP3"), ports=(110, 143, 465, 587, 993, 995))
DATABASES = Sort(protocols=("PostgreSQL", "MySQL", "RESP", "MsSQL-TDS", "MongoDB", "Oracle", "Cassandra"), ports=(1433, 1521, 3306, 5432, 6379, 9042, 27017))


@dataclass(frozen=True)
class Options:
    """Of one slot."""
    seconds: int = option(60, 'length of a slot', 10, 3600)
    attempts: int = option(20, 'connections to SSH, RDP, FTP, Telnet or VNC', 3, 1000000)
    mail_attempts: int = option(30, 'connections to mail servers; three times as many with TLS', 3, 1000000)
    database_attempts: int = option(20, 'connections to databases', 3, 1000000)
    web_attempts: int = option(30, 'answers 401 of HTTP', 3, 1000000)
    slow_attempts: int = option(150, 'connections to SSH, RDP, FTP, Telnet or VNC within an hour', 3, 1000000)
    spray_hosts: int = option(20, 'distinct servers within ten minutes', 3, 16777216)


def rules(options: Options) -> list[Rule]:
    """By server and port; over an hour; HTTP; by port alone, over servers."""
    where = "ip_protocol = 6 AND interval = 0 AND final AND client_payload_bytes BETWEEN 1 AND 4096 AND server_payload_bytes BETWEEN 1 AND 8192"
    terse = "ip_protocol = 6 AND interval = 0 AND final AND client_payload_bytes BETWEEN 1 AND 1024 AND server_payload_bytes BETWEEN 1 AND 1024"

    def pair(bits: int, count: int, sort: Sort, words: str, seconds: int = options.seconds, usual: bool = False, any_of: int = 0) -> Rule:
        limits = Limits(flows=count)
        return Rule(all=TCP | bits, any=any_of, where=words, window=seconds, limits=limits, floor=limits if usual else Limits(), times=4.0 if usual else 0.0,
                    usual=usual, sort=sort, key=PAIR, port=SERVER_PORT)

    return [pair(BRIEF, options.attempts, SHELLS, where), pair(BRIEF, options.slow_attempts, SHELLS, where, 3600),
            pair(BRIEF, options.mail_attempts, MAIL, where, any_of=TERSE | CLEAR_TEXT), pair(BRIEF, 3 * options.mail_attempts, MAIL, where),
            pair(TERSE, options.database_attempts, DATABASES, terse, usual=True),
            pair(DENIED, options.web_attempts, Sort(), "ip_protocol = 6 AND protocol IN ('HTTP', 'HTTP2')"),
            *(Rule(all=TCP | bits, where=words, window=600, limits=Limits(distinct=options.spray_hosts), sort=sort, key=CLIENT, of=SERVERS, port=SERVER_PORT)
              for bits, words, sort in ((BRIEF, where, SHELLS), (TERSE, terse, DATABASES)))]


DETECTOR = Detector(
    kind="brute_force", title=Words("Brute force", "暴力破解"), severity="medium", technique="T1110", technique_name="Brute Force",
    summary=Words("{source} tried {flows} times to log in at {target}, port {port}, within {seconds} s",
                  "{source} 在 {seconds} 秒内尝试登录 {target} 的 {port} 端口 {flows} 次"),
    options=Options, rules=rules, by_port=True)
