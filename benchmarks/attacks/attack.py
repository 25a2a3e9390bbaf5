"""What an attack is, and all there are."""
from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.attacks import families
from benchmarks.attacks.place import Place

PROGRAMS = ("nmap hping3 slowhttptest iodine dns2tcp ptunnel vsftpd apache2-utils openssh-server openssh-client sshpass dovecot-imapd dovecot-pop3d "
            "nginx-light dnsmasq-base bind9-dnsutils memcached radvd udhcpc nftables curl wget "
            "rsync git chrony snmpd snmp mosquitto mosquitto-clients iputils-ping procps postgresql-15 postgresql-client-15 mariadb-server "
            "mariadb-client redis-server redis-tools")
"""Debian packages of all attacks, and of the quiet day."""


@dataclass(frozen=True)
class Attack:
    """`run` starts the tool and returns when it is over; what it starts ends with it, or with the place.

    `kinds`: any alert of these kinds names it rightly. `source` and `target`: addresses the alert must name, '' where it can't (forged) or need not.
    `customer`: whom it concerns. `limit`: seconds from its beginning to the alert, at most, live. `link`: where it is to be seen. `settings`: a fullspan.toml
    for the scene: what an operator knows of the link, and options of detectors because it is short.
    """

    name: str
    kinds: tuple[str, ...]
    source: str
    target: str
    limit: float
    run: Callable[[Place], object]
    tool: str
    customer: str = "c-1001"
    link: str = "wire"
    settings: str = ""


def attacks() -> list[Attack]:
    """Those of every file in families/, by family and in the order of the file."""
    found: list[Attack] = []
    for one in sorted(pkgutil.iter_modules(families.__path__), key=lambda module: module.name):
        found += importlib.import_module(f"{families.__name__}.{one.name}").ATTACKS
    names = [one.name for one in found]
    assert len(names) == len(set(names)), "two attacks of one name"
    return found
