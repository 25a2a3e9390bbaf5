"""Lies on the customers' own segment, to be seen there only: ARP, DHCP, router advertisements."""
from __future__ import annotations

from benchmarks.attacks.attack import Attack
from benchmarks.attacks.place import GATEWAY, NEIGHBOUR, Place


def spoofed(place: Place) -> None:
    """The gateway's address, asked for and known, is then claimed by another Ethernet address, once a second."""
    for host in ("victim", "office"):
        place.fails(host, ["ping", "-q", "-c", "5", "-i", "0.5", GATEWAY], 10)
    place.begins()
    place.start("neighbour", place.script("callers", "gratuitous", "eth0", GATEWAY, 40, 2))
    for host in ("victim", "office"):
        place.fails(host, ["ping", "-q", "-c", "10", "-i", "1", "-W", "1", GATEWAY], 20)


def leases(place: Place) -> None:
    """A DHCP server answers as ever; then another one, with itself as the router, answers too."""
    def server(host: str, own: str, first: int) -> None:
        config = place.folder / f"dhcp-{host}.conf"
        config.write_text(f"no-daemon\nport=0\nno-hosts\nuser=root\ninterface={'lan' if host == 'edge' else 'eth0'}\nbind-interfaces\ndhcp-authoritative\n"
                          f"dhcp-range=192.0.2.{first},192.0.2.{first + 20},255.255.255.0,5m\ndhcp-option=3,{own}\ndhcp-option=6,{own}\n"
                          f"dhcp-leasefile={place.folder}/leases-{host}\npid-file={place.folder}/dhcp-{host}.pid\n")
        place.start(host, ["dnsmasq", "-C", config], udp=67)
    client = ["udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "3", "-T", "2", "-s", "/bin/true"]
    server("edge", GATEWAY, 200)
    place.fails("office", [*client], 20)
    place.begins()
    server("neighbour", NEIGHBOUR, 230)
    for host in ("office", "victim", "office", "victim"):
        place.fails(host, [*client], 20)


def advertised(place: Place) -> None:
    """The edge advertises itself; then another host advertises itself and a prefix of its own."""
    def router(host: str, device: str, prefix: str) -> None:
        config = place.folder / f"radvd-{host}.conf"
        config.write_text(f"interface {device} {{ AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 5; prefix {prefix} {{ AdvAutonomous on; }}; }};\n")
        place.run(host, ["sysctl", "-qw", "net.ipv6.conf.all.forwarding=1"])
        place.start(host, ["radvd", "-n", "-m", "stderr", "-C", config, "-p", place.folder / f"radvd-{host}.pid"])
    router("edge", "lan", "2001:db8:1::/64")
    place.fails("office", ["sleep", "12"], 20)
    place.begins()
    router("neighbour", "eth0", "2001:db8:bad::/64")
    place.fails("office", ["sleep", "20"], 30)


ATTACKS = (
    Attack("arp-spoof", ("arp_spoofing",), "", GATEWAY, 120, spoofed, "script", "", "lan"),
    Attack("dhcp-rogue", ("rogue_dhcp",), NEIGHBOUR, "", 120, leases, "dnsmasq, udhcpc", "", "lan"),
    Attack("ra-rogue", ("rogue_ra",), "fe80::70", "", 120, advertised, "radvd", "", "lan"),
)
