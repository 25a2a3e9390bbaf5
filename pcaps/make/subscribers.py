"""Subscribers: who has which address, as accounting and DHCP say it, and what they do meanwhile."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from pcaps.make.catalogue import capture
from pcaps.make.management import freeradius
from pcaps.make.network import SERVER, Network, address, address6

ECHO = 7007


def echo(where: str) -> None:
    """Send every datagram back, for ever."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.bind((where, ECHO))
        while True:
            data, sender = here.recvfrom(2048)
            here.sendto(data, sender)


def talk(there: str, port: int, size: int, count: int, gap: float, here: str = "") -> None:
    """Send `count` datagrams of `size` octets from one port of an address of this host, `gap` seconds apart, and wait for each to come back."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.bind((here, port))
        ours.settimeout(1)
        for number in range(count):
            ours.sendto(bytes([number % 256]) * size, (there, ECHO))
            ours.recv(2048)
            time.sleep(gap)


@capture(
    "radius-sessions",
    "freeradius freeradius-utils",
    "RADIUS accounting of a NAS while its subscribers talk: alice starts at an address, stops and starts at another one; bob gets her first one in the "
    "middle of a conversation that goes on; an interim update; the NAS restarts; accounting that a subscriber forges",
    users=3,
)
def radius_sessions(net: Network) -> None:
    """client and client1 are subscribers, client2 is their NAS."""
    freeradius(net)
    net.internet("198.51.100.7")
    net.start("server", net.call("subscribers.echo", ["198.51.100.7"]), udp=ECHO)

    def account(host: str, what: str, user: str, session: str, where: str, more: str = "", secret: str = "testing123") -> None:
        """One accounting request, whose answer is waited for."""
        net.run(
            host,
            ["radclient", "-r", "2", "-t", "1", f"{SERVER}:1813", "acct", secret],
            stdin=f"Acct-Status-Type={what},User-Name={user},Acct-Session-Id={session},Framed-IP-Address={where},NAS-IP-Address={address(2)},"
            f"Calling-Station-Id=02-00-00-00-01-0a,NAS-Port-Id=eth1/1/1:10{more}\n",
            check=secret == "testing123",
        )

    net.capture()
    account("client2", "Start", "alice@example.com", "s1", address(0), f",Delegated-IPv6-Prefix={address6(0)}/128")
    long = net.start("client", net.call("subscribers.talk", ["198.51.100.7", 40000, 100, 60, 0.05]))
    net.run("client", ["sleep", "1.3"])
    account("client2", "Interim-Update", "alice@example.com", "s1", address(0))
    account("client2", "Stop", "alice@example.com", "s1", address(0))
    account("client2", "Start", "bob@example.com", "s2", address(0))
    account("client2", "Start", "alice@example.com", "s3", address(1))
    net.python("client1", "subscribers.talk", "198.51.100.7", 40001, 200, 5, 0.02)
    account("client", "Start", "mallory@example.com", "s4", address(1), secret="guessed")
    net.python("client1", "subscribers.talk", "198.51.100.7", 40002, 300, 5, 0.02)
    long.wait(20)
    net.run(
        "client2",
        ["radclient", f"{SERVER}:1813", "acct", "testing123"],
        stdin=f"Acct-Status-Type=Accounting-On,Acct-Session-Id=boot,NAS-IP-Address={address(2)}\n",
    )
    net.python("client1", "subscribers.talk", "198.51.100.7", 40003, 400, 3, 0.02)


@capture(
    "dhcp-lease",
    "dnsmasq-base isc-dhcp-client",
    "DHCP for IPv4: the only address there is leased, renewed and given back, then leased to another client; each talks meanwhile",
    users=2,
)
def dhcp_lease(net: Network) -> None:
    """One address, two clients, one after the other."""
    script = net.folder / "bound.sh"
    script.write_text(
        '#!/bin/sh\n[ -n "$new_ip_address" ] && ip address replace "$new_ip_address/24" dev "$interface"\n'
        '[ "$reason" = RELEASE ] && ip address delete "$old_ip_address/24" dev "$interface"\nexit 0\n'
    )
    script.chmod(0o755)
    net.start(
        "server",
        ["dnsmasq", "-k", "-u", "root", "-p", "0", "-C", "/dev/null", "--interface=br0", "--dhcp-range=192.0.2.50,192.0.2.50,120",
         "--dhcp-authoritative", f"--dhcp-leasefile={net.folder}/leases", f"--pid-file={net.folder}/dnsmasq", "--no-ping"],
        udp=67,
    )
    net.start("server", net.call("subscribers.echo", [SERVER]), udp=ECHO)
    net.capture()
    for host, count, size in (("client", 2, 100), ("client1", 3, 200)):
        line: list[str | Path] = ["dhclient", "-4", "-sf", script, "-lf", net.folder / f"{host}.leases", "-pf", net.folder / f"{host}.pid", "-cf", "/dev/null"]
        for _ in range(2):
            net.run(host, [*line, "-1", "eth0"])
            net.python(host, "subscribers.talk", SERVER, 40000, size, count, 0.1, "192.0.2.50")
            net.run(host, [*line, "-x"])
        net.run(host, [*line, "-1", "eth0"])
        net.run(host, [*line, "-r", "eth0"])
