"""Answers nobody asked for: an attacker asks in the victim's name, reflectors on twenty addresses answer the victim with many times as much."""
from __future__ import annotations

from collections.abc import Callable

from benchmarks.attacks.attack import Attack
from benchmarks.attacks.place import SERVER, VICTIM, Place
from benchmarks.attacks.responders import REFLECTED
from benchmarks.attacks.servers import large_names

REFLECTORS = [f"203.0.113.{one}" for one in range(30, 50)]


def asked(kind: str, count: int, rate: int) -> Callable[[Place], None]:
    """So many forged questions."""
    def run(place: Place) -> None:
        if kind == "dns":
            place.serve(large_names, "server")
        elif kind == "memcached":
            place.start("server", ["memcached", "-u", "nobody", "-U", "11211", "-l", ",".join([SERVER, *REFLECTORS])], tcp=11211)
            fill = ("import socket; s = socket.create_connection((%r, 11211)); "
                    "s.sendall(b'set big 0 0 60000\\r\\n' + b'x' * 60000 + b'\\r\\n'); print(s.recv(99))")
            place.run("server", ["python3", "-c", fill % SERVER])
        else:
            place.start("server", place.script("responders", "reflector", kind, *REFLECTORS), udp=REFLECTED[kind][0])
        place.begins()
        place.fails("attacker", [*place.script("callers", "reflect", kind, VICTIM, count, rate, *REFLECTORS)], 15)
    return run


ATTACKS = (
    Attack("reflection-dns", ("amplification",), "", VICTIM, 120, asked("dns", 4000, 400), "forged script, dnsmasq"),
    Attack("reflection-ntp", ("amplification",), "", VICTIM, 120, asked("ntp", 3000, 300), "forged script, script"),
    Attack("reflection-ssdp", ("amplification",), "", VICTIM, 120, asked("ssdp", 3000, 300), "forged script, script"),
    Attack("reflection-memcached", ("amplification",), "", VICTIM, 120, asked("memcached", 400, 40), "forged script, memcached"),
    Attack("reflection-cldap", ("amplification",), "", VICTIM, 120, asked("cldap", 4000, 400), "forged script, script"),
    Attack("reflection-chargen", ("amplification",), "", VICTIM, 120, asked("chargen", 6000, 600), "forged script, script"),
    Attack("reflection-snmp", ("amplification",), "", VICTIM, 120, asked("snmp", 4000, 400), "forged script, script"),
)
