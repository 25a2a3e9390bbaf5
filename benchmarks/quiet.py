"""python -m benchmarks.quiet [--minutes N] [--out DIR]: a day without an attack, by real programs in the namespaces of the attacks (root).

Five users and a watchman of a customer, another customer, and visitors from outside do what such people do: pages, packages, a backup, video, mail, time,
monitoring, shells, git, a broker, and mistakes (a password mistyped, a name that isn't there, a server that is off). Nobody does anything for long
because time is short, but as often and as steadily as an hour has it. DIR gets a capture for each five minutes, quiet.json and bindings.csv.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.attacks.attack import PROGRAMS
from benchmarks.attacks.place import NETWORKS, RESOLVER, SERVER, SERVER6, VICTIM, VICTIM6, Place, bindings
from benchmarks.attacks.servers import PASSWORD, USER, chronyd, dovecot, git, mosquitto, nginx, own_names, resolver, smtp, snmpd, sshd
from pcaps.make.catalogue import Capture, install

FILE = 300
"""Seconds of a capture."""
TIME, MAIL, BROKER = "203.0.113.18", "203.0.113.15", "203.0.113.17"
BROWSER = "-A 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0'"


@dataclass(frozen=True)
class Habit:
    """A shell line that a host does again and again, with a pause of `least` to `most` seconds in between; `first` seconds after the beginning at first."""

    what: str
    host: str
    line: str
    least: int
    most: int
    first: int = 0

    def loop(self) -> str:
        """The line as a shell does it for ever."""
        return f"sleep {self.first}; while :; do {self.line}; sleep $(shuf -n 1 -i {self.least}-{self.most}); done >/dev/null 2>&1"


def page(address: str, scheme: str, where: str = "site$(shuf -n 1 -i 0-59).example.$(shuf -n 1 -e com net org)") -> str:
    """A page with its style and three pictures on one connection."""
    base = f"{scheme}://$s"
    return (f"s={where}; curl -sk {BROWSER} -m 30 --interface {address} -o /dev/null {base}/ -o /dev/null {base}/style.css -o /dev/null {base}/picture.bin "
            f"-o /dev/null {base}/picture.bin?2 -o /dev/null {base}/picture.bin?3")


def letter(place: Place) -> Path:
    """A letter to send."""
    file = place.folder / "letter"
    file.write_text("From: alice@example.com\r\nTo: bob@example.com\r\nSubject: A note\r\n\r\n" + "A line of a letter.\r\n" * 100)
    return file


def habits(place: Place, ssh: str, far: str) -> list[Habit]:
    """What everybody does. `ssh`: options for a shell at the victim's host, `far`: for one at the server."""
    many = " ".join(f"203.0.113.{one}" for one in range(20, 50))
    names = place.folder / "names"
    names.write_text("".join(f"site{one % 60}.example.{('com', 'net', 'org')[one % 3]} {('A', 'A', 'AAAA')[one % 3]}\n" for one in range(180)))
    tree = place.folder / "tree"
    tree.mkdir()
    for one in range(200):
        (tree / f"{one:03d}").write_bytes(os.urandom(40_000))
    ask = f"dig +short -b 192.0.2.43 @{RESOLVER}"
    clone = f"{place.folder}/clone"
    wrong = "sshpass -p wrong ssh -o PubkeyAuthentication=no -o NumberOfPasswordPrompts=1"
    return [
        *(Habit("pages", "office", page(f"192.0.2.{40 + user}", ("https", "http")[user % 2]), 3, 15, user) for user in range(4)),
        Habit("pages, IPv6", "office", page("2001:db8:1::42", "https", f"[{SERVER6}]"), 10, 30, 5),
        Habit("pages", "neighbour", page("192.0.2.70", "https"), 5, 30, 2),
        Habit("packages", "office", "wget -q -O /dev/null http://deb.debian.org/package.bin", 60, 120, 20),
        Habit("video", "neighbour", "curl -s -o /dev/null http://video.example.net/segment.bin?$(date +%s)", 3, 4, 1),
        Habit("backup", "office", f"rsync -a -e 'ssh {far}' {tree}/ root@backup.example.org:{place.folder}/copy/; find {tree} -name '*[0-2]' | "
              "while read f; do head -c 40000 /dev/urandom >$f; done", 150, 240, 30),
        Habit("copy", "neighbour", f"scp -q {far} {tree}/00* root@backup.example.org:/dev/null", 100, 200, 40),
        Habit("busy resolver", "office", f"shuf -n 40 {names} >{names}.part; {ask} -f {names}.part", 1, 2),
        Habit("names that aren't there", "office",
              f"{ask} intranet.$(shuf -n 1 -e corp office lan).example.org; {ask} -x 192.0.2.$(shuf -n 1 -i 2-250)", 5, 20, 7),
        Habit("health of many hosts", "office", f"for h in {many}; do curl -s -m 5 --interface 192.0.2.44 -o /dev/null http://$h/health; done", 10, 10),
        Habit("pings of many hosts", "office", f"for h in {many}; do ping -q -c 2 -i 0.2 -I 192.0.2.44 $h; done", 30, 30, 3),
        Habit("SNMP", "office", f"for k in 3 5 6; do snmpget -v2c -c public --clientaddr=192.0.2.44 {SERVER} 1.3.6.1.2.1.1.$k.0; done", 30, 30, 4),
        Habit("a server that is off", "office", "curl -s -m 5 --interface 192.0.2.41 -o /dev/null http://203.0.113.12:8080/", 60, 60, 9),
        Habit("shells", "office", f"ssh {far} root@{SERVER} 'for k in 1 2 3 4 5 6; do date; ls -l /usr; sleep 3; done'", 20, 60, 6),
        Habit("a mistyped password", "office", f"{wrong} {far} root@{SERVER} true </dev/null", 200, 300, 50),
        Habit("mail out", "office",
              f"curl -s -m 20 smtp://{MAIL}/office --mail-from alice@example.com --mail-rcpt bob@example.com -T {letter(place)}", 20, 60, 8),
        Habit("mail in", "office", f"curl -sk -m 20 -u {USER}:{PASSWORD} 'imaps://{MAIL}/INBOX;MAILINDEX=1'", 30, 30, 10),
        Habit("git", "office", f"rm -rf {clone}; git clone -q git://git.example.org/project {clone}; git -C {clone} fetch -q", 60, 120, 15),
        Habit("a listener", "neighbour", f"mosquitto_sub -h {BROKER} -i listener -t 'office/#'", 1, 1),
        Habit("a sensor", "office", f"mosquitto_pub -h {BROKER} -i sensor -q 1 -t office/heat -m $(date +%S)", 5, 5, 2),
        *(Habit("visitors", "attacker", page(f"198.51.100.{66 + one}", ("https", "http")[one % 2], "192.0.2.1$(shuf -n 1 -i 0-2)"), 5, 40, one)
          for one in range(8)),
        Habit("visitors, IPv6", "attacker", page("2001:db8:66::66", "https", f"[{VICTIM6}]"), 10, 40, 3),
        Habit("a page for some only", "attacker",
              f"for p in wrong {PASSWORD}; do curl -sk -o /dev/null -u {USER}:$p https://{VICTIM}/private/; done", 60, 120, 12),
        Habit("a shell from outside", "attacker", f"ssh {ssh} root@{VICTIM} 'uptime; sleep 10; uptime'", 60, 120, 25),
        Habit("names of a customer", "attacker", f"dig +short @{VICTIM} www.example.com; dig +short @{VICTIM} example.com MX", 2, 8, 1),
    ]


def main() -> int:
    """Record a quiet time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--out", type=Path, default=Path("attack-captures/quiet"), metavar="DIR")
    asked = parser.parse_args()
    if os.geteuid():
        parser.error("namespaces need root")
    install([Capture("quiet", tuple(PROGRAMS.split()), "", 0, "", lambda _: None)])
    asked.out.mkdir(parents=True, exist_ok=True)
    bindings(asked.out)
    with Place() as place:
        for server in (resolver, nginx, smtp, dovecot, chronyd, snmpd, mosquitto, git):
            place.serve(server, "server")
        for server in (nginx, own_names):
            place.serve(server, "victim")
        far, ssh = " ".join(place.serve(sshd, "server")), " ".join(place.serve(sshd, "victim"))
        clock = place.folder / "clock.conf"
        clock.write_text(f"server {TIME} iburst minpoll 4 maxpoll 5\nport 0\ncmdport 0\npidfile {place.folder}/clock.pid\nbindcmdaddress /\n")
        place.record("wire", asked.out.resolve() / "quiet-%Y%m%dT%H%M%S.pcap", FILE)
        began = time.time()
        place.start("office", ["chronyd", "-d", "-x", "-u", "root", "-f", clock])
        all_of_them = habits(place, ssh, far)
        for one in all_of_them:
            place.start(one.host, ["sh", "-c", one.loop()])
        time.sleep(asked.minutes * 60)
        ended = time.time()
        place.captured()
    said = {"start": began, "end": ended, "local_networks": NETWORKS, "habits": [f"{one.host}: {one.what}" for one in all_of_them]}
    (asked.out / "quiet.json").write_text(json.dumps(said, indent=1) + "\n")
    files = sorted(asked.out.glob("quiet-*.pcap"))
    print(f"{len(files)} captures, {sum(file.stat().st_size for file in files)} bytes in {ended - began:.0f} s: {asked.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
