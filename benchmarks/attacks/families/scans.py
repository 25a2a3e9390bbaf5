"""Looking for ports and hosts: nmap."""
from __future__ import annotations

from collections.abc import Callable

from benchmarks.attacks.attack import Attack
from benchmarks.attacks.place import ATTACKER, ATTACKER6, CUSTOMERS, VICTIM, VICTIM6, Place
from benchmarks.attacks.servers import nginx, sshd


def nmap(words: str, seconds: float = 60) -> Callable[[Place], None]:
    """nmap of a host that has a web server and sshd."""
    def run(place: Place) -> None:
        for server in (nginx, sshd):
            place.serve(server, "victim")
        place.begins()
        place.fails("attacker", ["nmap", "-n", *words.split()], seconds)
    return run


ATTACKS = (
    Attack("scan-connect", ("port_scan",), ATTACKER, VICTIM, 120, nmap(f"-Pn -sT -T4 -p 1-1000 {VICTIM}"), "nmap -sT"),
    Attack("scan-syn", ("port_scan",), ATTACKER, VICTIM, 120, nmap(f"-Pn -sS -T4 -p 1-1000 {VICTIM}"), "nmap -sS"),
    Attack("scan-syn-ipv6", ("port_scan",), ATTACKER6, VICTIM6, 120, nmap(f"-6 -Pn -sS -T4 -p 1-1000 {VICTIM6}"), "nmap -6 -sS"),
    Attack("scan-fin", ("port_scan",), ATTACKER, VICTIM, 120, nmap(f"-Pn -sF -T4 -p 1-500 {VICTIM}"), "nmap -sF"),
    Attack("scan-udp", ("port_scan",), ATTACKER, VICTIM, 120, nmap(f"-Pn -sU --min-rate 50 --max-retries 0 -p 1-1000 {VICTIM}"), "nmap -sU"),
    Attack("scan-slow", ("slow_scan", "port_scan"), ATTACKER, VICTIM, 300, nmap(f"-Pn -sS --max-retries 0 --scan-delay 1s -p 1000-1179 {VICTIM}", 200),
           "nmap --scan-delay 1s"),
    Attack("scan-slower", ("slow_scan",), ATTACKER, VICTIM, 420, nmap(f"-Pn -sS --max-retries 0 --scan-delay 3s -p 2000-2089 {VICTIM}", 300),
           "nmap --scan-delay 3s"),
    Attack("sweep-ping", ("host_sweep",), ATTACKER, "", 120, nmap(f"-sn -PE --min-rate 50 --max-retries 1 {CUSTOMERS}"), "nmap -sn -PE", ""),
    Attack("sweep-port", ("horizontal_scan", "host_sweep"), ATTACKER, "", 120,
           nmap(f"-Pn -sS --min-rate 50 --max-retries 1 -p 445 {CUSTOMERS}"), "nmap -p 445 /24", ""),
)
