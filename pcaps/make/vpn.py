"""Tunnels and measurement: OpenVPN, IKE with strongSwan, iperf3."""

from __future__ import annotations

from pathlib import Path

from pcaps.make.catalogue import capture
from pcaps.make.network import SERVER, Network, address, certificate


def tunnel(net: Network, transport: str) -> None:
    """Join two OpenVPN peers with certificates for three seconds; no tunnel device is made, only keep-alives travel."""
    cert, key = certificate(net.folder, "vpn.example.com")
    files = ["--dev", "null", "--ca", cert, "--cert", cert, "--key", key, "--ping", "1", "--persist-tun", "--verb", "1", "--port", "1194"]
    server = ["openvpn", *files, "--tls-server", "--dh", "none", "--local", SERVER]
    client = ["openvpn", *files, "--tls-client", "--remote", SERVER]
    if transport == "tcp":
        net.start("server", [*server, "--proto", "tcp-server"], tcp=1194)
        client += ["--proto", "tcp-client"]
    else:
        net.start("server", server, udp=1194)
    net.capture()
    net.run("client", ["timeout", "--preserve-status", "4", *client], check=False)


@capture("openvpn-udp", "openvpn", "OpenVPN over UDP: hard reset, the TLS handshake inside the control channel, keep-alives in the data channel")
def openvpn_udp(net: Network) -> None:
    """A tunnel over UDP."""
    tunnel(net, "udp")


@capture("openvpn-tcp", "openvpn", "OpenVPN over TCP, each packet after its length")
def openvpn_tcp(net: Network) -> None:
    """A tunnel over TCP."""
    tunnel(net, "tcp")


def charon(net: Network, host: str, left: str, right: str, auto: str) -> None:
    """Start strongSwan with files of its own in the places where it looks for them."""
    etc = Path("/etc/netns") / net.name(host)
    (etc / "ipsec.conf").write_text(
        f"conn office\n keyexchange=ikev2\n authby=secret\n left={left}\n right={right}\n leftid={left}\n rightid={right}\n auto={auto}\n "
        f"ike=aes128-sha256-modp2048!\n"
        " esp=aes128-sha256!\n type=transport\n"
    )
    (etc / "ipsec.secrets").write_text('%any : PSK "an office secret"\n')
    net.start(host, ["unshare", "-m", "sh", "-c", "mount -t tmpfs tmpfs /run && exec ipsec start --nofork"], udp=500)


@capture("ike", "strongswan-starter strongswan-charon", "IKE version 2: IKE_SA_INIT and IKE_AUTH with a shared key on ports 500 and 4500")
def ike(net: Network) -> None:
    """Keys for IPsec."""
    charon(net, "server", SERVER, address(0), "add")
    net.run("server", ["sleep", "1"])
    net.capture()
    charon(net, "client", address(0), SERVER, "start")
    net.run("client", ["sleep", "4"])


@capture("iperf3", "iperf3", "iperf3: its control connection, 30 kB over TCP in each direction, 20 kB over UDP")
def iperf(net: Network) -> None:
    """A measurement, kept small."""
    net.start("server", ["iperf3", "-s", "-B", SERVER], tcp=5201)
    net.capture()
    for more in (["-n", "15K", "-l", "5K"], ["-R", "-n", "15K", "-l", "5K"], ["-u", "-n", "20K", "-l", "1000"]):
        net.run("client", ["iperf3", "-c", SERVER, *more])
