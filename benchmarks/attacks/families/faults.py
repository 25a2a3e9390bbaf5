"""What goes wrong without anybody's ill will: a line that loses, a line that is full, bursts, a service that falls silent."""
from __future__ import annotations

from benchmarks.attacks.attack import Attack
from benchmarks.attacks.place import OFFICE, SERVER, VICTIM, Place
from benchmarks.attacks.servers import nginx

PACED = ("for k in $(seq {times}); do curl -s -m 20 -o /dev/null http://{server}/picture.bin; curl -s -m 20 -o /dev/null http://{server}/; sleep 1; done")


#: What an operator knows of the link. A slot of 30 s is judged 45 s after its end, a minute of coverage likewise,
#: if the probe read all of it; what must last does so for two slots.
LINK = "[links.line]\ncapacity_bps = {}\n"


def lossy(place: Place) -> None:
    """Pages for a minute; then every twentieth packet towards the customer is lost (nftables in the core; this needs no netem) for a minute and a half."""
    place.serve(nginx, "server")
    place.fails("office", ["sh", "-c", PACED.format(times=45, server=SERVER)], 80)
    place.begins()
    rule = 'table ip fault { chain lose { type filter hook forward priority 0; oifname "wire0" numgen random mod 100 < 5 drop; }\n}\n'
    place.run("core", ["nft", "-f", "-"], stdin=rule)
    place.fails("office", ["sh", "-c", PACED.format(times=80, server=SERVER)], 90)


def full(place: Place) -> None:
    """Small pages for a minute; then the line has 8 Mbit/s with half a second of queue, and four downloads fill it: round trips of all grow."""
    place.serve(nginx, "server")
    page = f"curl -s -m 20 -o /dev/null http://{SERVER}/"
    place.fails("office", ["sh", "-c", f"for k in $(seq 120); do {page}; sleep 0.5; done"], 80)
    place.begins()
    place.run("core", ["tc", "qdisc", "add", "dev", "wire0", "root", "tbf", "rate", "8mbit", "burst", "16kb", "latency", "400ms"])
    fill = place.start("office", ["sh", "-c", f"for k in 1 2 3 4; do curl -s -o /dev/null --interface 192.0.2.41 http://{SERVER}/disk.bin & done; wait"])
    more = place.start("office", ["sh", "-c", f"while :; do {page}; done"])
    place.fails("office", ["sh", "-c", f"while :; do {page}; sleep 0.2; done"], 45)
    place.stop(more)
    place.stop(fill)


def bursts(place: Place) -> None:
    """Bursts of 2 MB that fill a line of 16 Mbit/s for a second, of which a minute's average says nothing."""
    place.start("server", place.script("responders", "sink", SERVER, 5555), udp=5555)
    place.begins()
    place.fails("office", [*place.script("callers", "bursts", SERVER, 5555, 18)], 110)


def silent(place: Place) -> None:
    """A page asked for twice a second; after a minute and a half the server is gone and nothing says so: what comes is dropped."""
    place.serve(nginx, "victim")
    asks = f"for k in $(seq {{times}}); do curl -s -m 1 -o /dev/null http://{VICTIM}/; sleep 0.5; done"
    place.fails("attacker", ["sh", "-c", asks.format(times=180)], 100)
    place.begins()
    place.run("victim", ["nft", "-f", "-"], stdin="table ip fault { chain deaf { type filter hook input priority 0; tcp dport 80 drop; }\n}\n")
    place.fails("attacker", ["sh", "-c", asks.format(times=60)], 100)


ATTACKS = (
    Attack("link-loss", ("loss",), "", OFFICE, 150, lossy, "nft, curl"),
    Attack("link-full", ("congestion", "rtt_degradation"), "", OFFICE, 150, full, "tc tbf, curl", settings=LINK.format(8_000_000)),
    Attack("link-bursts", ("microburst",), "", "", 180, bursts, "script", settings=LINK.format(16_000_000)),
    Attack("service-silent", ("service_silent",), "", VICTIM, 150, silent, "nft, curl"),
)
